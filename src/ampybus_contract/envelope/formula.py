"""Key formulas such as ``{mic}.{symbol}``."""

from __future__ import annotations

from collections.abc import Mapping


def fill(formula: str, parts: Mapping[str, str]) -> str:
    """Put the parts into ``{name}`` places; plain replacement, so that spec text never runs as a format.

    Raises KeyError for a name that ``parts`` does not have.
    """
    pieces = formula.split("{")
    text = pieces[0]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}")
        text += parts[name] + rest
    return text
