"""The parts of a payload that topic and keys repeat: read, fixed, and brought into agreement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.message import Message

from ampybus_contract.contract import Contract, DomainRule, PayloadType
from ampybus_contract.envelope.formula import fill
from ampybus_contract.envelope.parts import part_text
from ampybus_contract.errors import StrategyError
from ampybus_contract.strategies.messages import Messages
from ampybus_contract.strategies.subtopics import Subtopics
from ampybus_contract.strategies.values import Moment, value

_ATTEMPTS = 8


class Agreement:
    """What topic, keys and payload of one domain must agree on."""

    def __init__(self, contract: Contract, rule: DomainRule) -> None:
        self.contract, self.rule = contract, rule
        self.subtopics = Subtopics(contract, rule)
        self.paths = frozenset(path for part in rule.components.values() for path in part.paths)
        named = {part.topic for part in rule.components.values() if part.topic} & set(contract.meaning.fields)
        self._named = {name: value(contract.meaning.fields[name], contract.meaning) for name in sorted(named)}

    def named(self, moment: Moment) -> dict[str, str]:
        """Texts for the parts that only the subtopic has, where ``payloads.yaml`` knows such a field."""
        return {name: str(make(moment)) for name, make in self._named.items()}

    def kinds(self, item: Message, payload: PayloadType) -> dict[str, str]:
        """The texts of the subtopic parts that name the kind of payload (D7)."""
        found = dict(payload.when)
        if payload.choice:
            (choice,) = item.DESCRIPTOR.oneofs
            found[payload.choice] = item.WhichOneof(choice.name) or ""
        return found

    def read(self, item: Message, groups: Mapping[str, str | None]) -> dict[str, str]:
        """The texts of the components of one item under a subtopic with these groups."""
        return {name: part_text(part, item, groups) for name, part in self.rule.components.items()}

    def keys(self, parts: Mapping[str, str]) -> dict[str, str]:
        """The headers that the domain's formulas give."""
        formulas = {"partition_key": self.rule.key, "dedupe_key": self.rule.dedupe_key}
        return {name: fill(formula, parts) for name, formula in formulas.items() if formula}

    def holds(self, parts: Mapping[str, str]) -> bool:
        """Whether the texts are there, keep the separator free, and give allowed keys."""
        separator = self.contract.key_separator
        return all(text and separator not in text for text in parts.values()) and all(
            self.contract.headers[name].pattern.fullmatch(text) for name, text in self.keys(parts).items()
        )

    def under(self, subtopic: str) -> dict[str, str | None]:
        """The groups of a subtopic."""
        match = self.rule.subtopic.fullmatch(subtopic)
        return match.groupdict() if match else {}


class PayloadParts:
    """Fills the first item of a payload so that a topic and keys can be made of it."""

    def __init__(self, messages: Messages) -> None:
        self.messages = messages

    def settle(
        self,
        item: Message,
        payload: PayloadType,
        agreement: Agreement,
        moment: Moment,
        fixed: Mapping[str, str],
        like: Message | None = None,
    ) -> tuple[str, dict[str, str]]:
        """Fill ``item`` with the fixed parts, or those of ``like``; gives subtopic and components.

        Raises StrategyError where nothing fits.
        """
        wanted = dict(fixed)
        for attempt in range(_ATTEMPTS):
            item.Clear()
            self.messages.fill(item, moment, agreement.paths)
            for name, text in wanted.items():
                if name in agreement.rule.components:
                    for path in live(item, agreement.rule.components[name].paths):
                        set_text(item, path, text)
            if like is not None:
                copy_parts(like, item, agreement.paths)
            named = {**agreement.named(moment), **fixed, **agreement.kinds(item, payload)}
            known = {name: text for name, text in agreement.read(item, named).items() if text}
            subtopic = agreement.subtopics.of({**named, **known}, moment.entropy)
            if subtopic is not None:
                parts = agreement.read(item, agreement.under(subtopic))
                if agreement.holds(parts):
                    return subtopic, parts
            if attempt % 2 == 0:
                wanted = {**(agreement.subtopics.parts(moment.entropy) or {}), **fixed}
        raise StrategyError(
            f"STRATEGY expected a payload that fits subtopic and keys of {agreement.rule.name}, got none. "
            "Fix: compare subtopic pattern, key formulas and header patterns, or give values in payloads.yaml"
        )


def live(message: Message, paths: Iterable[str]) -> list[str]:
    """Those of the dotted paths that a message has: known fields, below inner messages that are set."""
    return [path for path in paths if _lives(message, path.split("."))]


def _lives(message: Any, path: list[str]) -> bool:
    field = message.DESCRIPTOR.fields_by_name.get(path[0])
    if field is None or len(path) == 1:
        return field is not None
    if field.is_repeated:
        return len(getattr(message, path[0])) > 0
    return message.HasField(path[0]) and _lives(getattr(message, path[0]), path[1:])


def set_text(message: Message, path: str, text: str) -> None:
    """Set the field at a dotted path, if it holds text or a whole number that ``text`` spells."""
    *parents, name = path.split(".")
    owner: Any = message
    for parent in parents:
        owner = getattr(owner, parent)
    kind = type(getattr(owner, name, None))
    if kind is str:
        setattr(owner, name, text)
    elif kind is int and text.isascii() and text.isdecimal():
        setattr(owner, name, int(text))


def copy_parts(source: Message, target: Message, paths: Iterable[str]) -> None:
    """Give ``target`` the components of ``source``: whole parent messages, so that each stays coherent."""
    for path in live(source, paths):
        *parents, name = path.split(".")
        _copy(source, target, parents or [name])


def _copy(source: Any, target: Any, path: list[str]) -> None:
    for place, name in enumerate(path):
        one, other = getattr(source, name), getattr(target, name)
        if source.DESCRIPTOR.fields_by_name[name].is_repeated:
            target.ClearField(name)
            other = getattr(target, name)
            other.extend(one)
            return
        if not isinstance(one, Message):
            setattr(target, name, one)
            return
        if place == len(path) - 1:
            other.CopyFrom(one)
        source, target = one, other
