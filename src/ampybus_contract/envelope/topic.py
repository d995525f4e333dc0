"""Topics: ``ampy.{env}.{domain}.{version}.{subtopic…}`` (contract section 5, D1)."""

from __future__ import annotations

from dataclasses import dataclass

from ampybus_contract.errors import TopicError


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic taken apart; ``str(topic)`` is the text again, exactly."""

    prefix: str
    env: str
    domain: str
    version: str
    subtopic: str

    @classmethod
    def parse(cls, text: str) -> Topic:
        """Split a topic; the subtopic keeps its dots. Raises TopicError below five tokens or on an empty one.

        Whether the parts are allowed by the contract is a question for ``validate``.
        """
        parts = text.split(".", 4)
        if len(parts) < 5 or not all(text.split(".")):
            raise TopicError(
                f"TOPIC expected five or more non-empty tokens joined by dots, got {text!r}. "
                "Fix: write ampy.{env}.{domain}.{version}.{subtopic}"
            )
        return cls(*parts)

    @property
    def tokens(self) -> tuple[str, ...]:
        """All tokens, those of the subtopic one by one."""
        return (self.prefix, self.env, self.domain, self.version, *self.subtopic.split("."))

    def __str__(self) -> str:
        return f"{self.prefix}.{self.env}.{self.domain}.{self.version}.{self.subtopic}"
