"""Subtopics that agree with a payload: a group of the pattern that names a component gets that one's text."""

from __future__ import annotations

from collections.abc import Mapping

from ampybus_contract.contract import Contract, DomainRule
from ampybus_contract.strategies.entropy import Entropy
from ampybus_contract.strategies.pattern_text import PatternText

_ATTEMPTS = 16


class Subtopics:
    """Makes the subtopics of one domain."""

    def __init__(self, contract: Contract, domain: DomainRule) -> None:
        self.contract, self.domain = contract, domain
        self._text = PatternText(domain.subtopic)
        own = {name for name, part in domain.components.items() if part.paths}
        self.shared = frozenset(domain.subtopic.groupindex) & own

    def allows(self, subtopic: str) -> bool:
        """Whether a subtopic fits the pattern and each of its tokens the grammar."""
        return bool(self.domain.subtopic.fullmatch(subtopic)) and all(
            self.contract.topic.token.fullmatch(token) for token in subtopic.split(".")
        )

    def of(self, parts: Mapping[str, str], entropy: Entropy) -> str | None:
        """A subtopic whose groups equal ``parts``, or None where the pattern does not allow the texts."""
        for attempt in range(_ATTEMPTS):
            made = self._text.make(entropy if attempt < _ATTEMPTS - 1 else Entropy(b""), parts)
            if self.allows(made) and self._agrees(made, parts):
                return made
        return None

    def parts(self, entropy: Entropy) -> dict[str, str] | None:
        """Texts for the components that the subtopic names, such as the pattern allows."""
        for attempt in range(_ATTEMPTS):
            made = self._text.make(entropy if attempt < _ATTEMPTS - 1 else Entropy(b""))
            match = self.domain.subtopic.fullmatch(made)
            if match and self.allows(made):
                found = match.groupdict()
                texts = {name: found[name] for name in self.shared if found[name] is not None}
                if not any(self.contract.key_separator in text for text in texts.values()):
                    return texts
        return None

    def _agrees(self, subtopic: str, parts: Mapping[str, str]) -> bool:
        match = self.domain.subtopic.fullmatch(subtopic)
        return match is not None and all(
            text is None or parts.get(name, text) == text for name, text in match.groupdict().items()
        )
