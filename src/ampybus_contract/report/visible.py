"""Text from elsewhere with nothing in it that a reader cannot see."""

from __future__ import annotations

import unicodedata

KEPT = "\t\n"
UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def visible(text: str) -> str:
    """The text with control, direction and other unseen characters written as their escapes.

    A header value that turns the direction of what follows, or moves a terminal's cursor, then shows it.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character in KEPT or unicodedata.category(character) not in UNSEEN:
        return character
    return character.encode("unicode_escape").decode("ascii")
