"""Rules of personal data: fields nobody declared, and texts that look like a person's number or address."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from ampybus_contract.contract import DomainRule
from ampybus_contract.contract.privacy import PrivacyRule
from ampybus_contract.envelope.registry import decode, message_type
from ampybus_contract.validation.case import Case

Found = tuple[str, str, str]
Agrees = Callable[[bytes, Mapping[str, str]], bool]


def judge_privacy(case: Case, domain: DomainRule, message: Message | None) -> None:
    """Headers, and the payload where it is given, of a domain without personal data (section 12, D36)."""
    rule = case.contract.privacy
    if domain.name not in rule.domains:
        return
    found = list(in_headers(rule, case.envelope.headers))
    if message is not None:
        found += in_message(rule, message, "payload")
    for kind, where, got in found:
        expected = "only fields of the schema" if kind == "fields" else "no personal data"
        case.report(rule.requirements[kind], where, expected, got)


class Guarded:
    """The fast judge of a payload type (``compared``), asking also for the absence of personal data."""

    __slots__ = ("_fqdn", "_parse", "_rule", "_texts", "compared")

    def __init__(self, compared: Agrees, rule: PrivacyRule, fqdn: str) -> None:
        kind = message_type(fqdn)
        assert kind is not None
        self.compared = compared
        self._rule, self._fqdn, self._parse = rule, fqdn, kind.FromString
        paths = _text_paths(kind.DESCRIPTOR, rule)
        self._texts = attrgetter(*paths) if paths and len(paths) > 1 else None

    def __call__(self, plain: bytes, headers: Mapping[str, str]) -> bool:
        """Whether payload and headers surely keep the contract."""
        if not self.compared(plain, headers) or any(in_headers(self._rule, headers)):
            return False
        message = self._parse(plain)
        if self._texts is not None and self._rule.screen.search("\n".join(self._texts(message))) is None:
            message.DiscardUnknownFields()
            if message.SerializeToString() == plain:
                return True
        return not any(in_message(self._rule, decode(self._fqdn, plain), ""))


def _text_paths(kind: Any, rule: PrivacyRule, depth: int = 4) -> list[str] | None:
    """The dotted paths of all texts of a type that are not exempt; None where it has repeated fields."""
    found: list[str] = []
    for field in kind.fields:
        if field.is_repeated or depth == 0:
            return None
        if field.message_type is not None:
            inner = _text_paths(field.message_type, rule, depth - 1)
            if inner is None:
                return None
            found += [f"{field.name}.{path}" for path in inner]
        elif field.type == FieldDescriptor.TYPE_STRING and field.name not in rule.exempt_fields:
            found.append(field.name)
    return found


def in_headers(rule: PrivacyRule, headers: Mapping[str, str]) -> Iterator[Found]:
    """What headers hold: kind of requirement, place, and what was seen there, never the text itself."""
    named = [name for name in headers if name not in rule.exempt_headers]
    if rule.screen.search("\n".join([headers[name] for name in named])):
        for name in named:
            value = headers[name]
            for seen in in_text(rule, value):
                yield "text", f"headers.{name}", seen


def in_message(rule: PrivacyRule, message: Message, where: str) -> Iterator[Found]:
    """What a message holds at any depth, as ``in_headers``."""
    unknown = UnknownFieldSet(message)
    if len(unknown):
        yield "fields", where, f"unknown field {unknown[0].field_number}"
    for field, value in message.ListFields():
        for item in _inside(field, value):
            if isinstance(item, Message):
                yield from in_message(rule, item, f"{where}.{field.name}")
            elif isinstance(item, str) and field.name not in rule.exempt_fields:
                for seen in in_text(rule, item):
                    yield "text", f"{where}.{field.name}", seen


def _inside(field: FieldDescriptor, value: Any) -> Iterable[Any]:
    """The values of a field: one, those of a list, or keys and values of a map."""
    if not field.is_repeated:
        return (value,)
    return (*value.keys(), *value.values()) if hasattr(value, "keys") else value


def in_text(rule: PrivacyRule, text: str) -> Iterator[str]:
    """The names of the kinds of personal data that a text holds."""
    if rule.screen.search(text) is None:
        return
    for detector in rule.detectors:
        check = _CHECKS[detector.check] if detector.check else None
        if any(check is None or check(match[0]) for match in detector.pattern.finditer(text)):
            yield f"an {detector.name}" if detector.name[0] in "aeiouAEIOU" else f"a {detector.name}"


def luhn(text: str) -> bool:
    """Whether the digits of a text end in their Luhn check digit (ISO/IEC 7812-1)."""
    digits = [int(letter) for letter in reversed(text) if letter.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def mod97(text: str) -> bool:
    """Whether a text begins with an IBAN whose check digits are right (ISO 13616); words may follow it."""
    words = text.split(" ")
    for count in range(len(words), 0, -1):
        packed = "".join(words[:count])
        if 15 <= len(packed) <= 34:
            turned = packed[4:] + packed[:4]
            if int("".join(str(int(letter, 36)) for letter in turned)) % 97 == 1:
                return True
    return False


_CHECKS: Mapping[str, Callable[[str], bool]] = {"luhn": luhn, "mod97": mod97}
