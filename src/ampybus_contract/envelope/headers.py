"""Headers: a frozen, ordered mapping of text to text (contract section 6, D9)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar, overload

from ampybus_contract.errors import HeaderError

T = TypeVar("T")


class Headers(Mapping[str, str]):
    """Header names and values as they travel. Unknown names are kept; equality ignores order.

    ``plain`` is the same as a dict, for readers in a hurry; nobody may change it.
    """

    __slots__ = ("plain",)

    def __init__(self, items: Mapping[str, str]) -> None:
        """Copy ``items``. Raises HeaderError where a name or value is not text."""
        self.plain: dict[str, str] = dict(items)
        for name, value in self.plain.items():
            if not isinstance(name, str) or not isinstance(value, str):
                raise HeaderError(
                    f"HEADER expected text, got {type(value).__name__} in header {name!r}. "
                    "Fix: write the value as a string"
                )

    @classmethod
    def adopt(cls, plain: dict[str, str]) -> Headers:
        """Take over a dict of text that is nobody else's: it is neither copied nor looked at (section 6)."""
        taken = cls.__new__(cls)
        taken.plain = plain
        return taken

    def __getitem__(self, name: str) -> str:
        return self.plain[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.plain)

    def __len__(self) -> int:
        return len(self.plain)

    def __contains__(self, name: object) -> bool:
        return name in self.plain

    @overload
    def get(self, name: str, /) -> str | None: ...

    @overload
    def get(self, name: str, default: T, /) -> str | T: ...

    def get(self, name: str, default: T | None = None, /) -> str | T | None:
        """As of a dict, without the detour that mappings take by default."""
        return self.plain.get(name, default)

    def __hash__(self) -> int:
        return hash(frozenset(self.plain.items()))

    def __repr__(self) -> str:
        return f"Headers({self.plain!r})"

    def with_(self, **changes: str | None) -> Headers:
        """A copy with some headers set, or removed where the new value is None."""
        merged: dict[str, str | None] = {**self.plain, **changes}
        return Headers({name: value for name, value in merged.items() if value is not None})
