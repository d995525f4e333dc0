"""Headers: a frozen, ordered mapping of text to text (contract section 6, D9)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ampybus_contract.errors import HeaderError


class Headers(Mapping[str, str]):
    """Header names and values as they travel. Unknown names are kept; equality ignores order."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, str]) -> None:
        """Copy ``items``. Raises HeaderError where a name or value is not text."""
        for name, value in items.items():
            if not isinstance(name, str) or not isinstance(value, str):
                raise HeaderError(
                    f"HEADER expected text, got {type(value).__name__} in header {name!r}. "
                    "Fix: write the value as a string"
                )
        self._items = dict(items)

    def __getitem__(self, name: str) -> str:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return f"Headers({self._items!r})"

    def with_(self, **changes: str | None) -> Headers:
        """A copy with some headers set, or removed where the new value is None."""
        merged: dict[str, str | None] = {**self._items, **changes}
        return Headers({name: value for name, value in merged.items() if value is not None})
