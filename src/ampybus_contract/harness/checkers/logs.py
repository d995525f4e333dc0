"""Log records: whole, and without the payload (section 11, D33)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ampybus_contract.contract import Contract
from ampybus_contract.harness.checkers.reading import History, is_dead_letter, only
from ampybus_contract.harness.history import Anomaly, Event, Operation, Outcome

SHORTEST = 16
SLICE = 24
_TEXT = re.compile(rb"[\x20-\x7e]{%d,}" % SHORTEST)


def log_incomplete(history: History, contract: Contract) -> list[Anomaly]:
    """A log record without the contract's fields, or something done to a message that no record tells."""
    rule = contract.logs
    found: list[Anomaly] = []
    told: set[tuple[str, str]] = set()
    for item in only(history, Operation.LOG):
        record = _record(item)
        if record is None:
            found.append(Anomaly("A log record is no JSON object.", (item,)))
            continue
        lacking = [name for name in rule.fields if record.get(name) is None]
        if not any(record.get(name) for name in rule.one_of):
            lacking.append(" or ".join(rule.one_of))
        if record.get("result") not in rule.results:
            lacking.append(f"a result of {', '.join(rule.results)}")
        if lacking:
            found.append(Anomaly(f"A log record lacks {', '.join(lacking)}.", (item,)))
        told.add((str(record.get("message_id", "")).lower(), str(record.get("result"))))
    for item, result in _due(history, contract):
        if (item.id, result) not in told:
            found.append(Anomaly(f"No log record tells of this, with the result {result}.", (item,)))
    return found


def payload_logged(history: History, contract: Contract) -> list[Anomaly]:
    """A log record that holds a payload or a part of one, in an encoding that the contract names."""
    marks: dict[str, list[tuple[str, Event]]] = {}
    for item in history:
        if item.operation in (Operation.PUBLISH, Operation.INJECT) and item.outcome is not Outcome.INVOKE:
            for form in contract.logs.payload_forbidden_as:
                found = [(mark, item) for mark in _FORMS[form](item.envelope.payload)]
                marks.setdefault(form, []).extend(found)
    return [
        Anomaly(f"A log record holds the payload, in the form {form}.", (origin, item))
        for item in only(history, Operation.LOG)
        for form, known in marks.items()
        for origin in [next((event for mark, event in known if mark in _folded(item, form)), None)]
        if origin is not None
    ]


def _record(item: Event) -> Mapping[str, Any] | None:
    try:
        record = json.loads(item.said)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _due(history: History, contract: Contract) -> Iterator[tuple[Event, str]]:
    """What a record must tell, and with which result."""
    done, again, buried = contract.logs.results
    for item in history:
        if item.operation is Operation.EFFECT or (
            item.operation is Operation.PUBLISH and item.outcome is Outcome.OK
        ):
            yield item, done
        elif item.operation is Operation.DELIVER and item.attempt > 1:
            yield item, again
        elif item.operation is Operation.STORE and is_dead_letter(item.topic, contract):
            yield item, buried


def _folded(item: Event, form: str) -> str:
    return item.said.lower() if form == "hex" else item.said


def _raw(payload: bytes) -> list[str]:
    """The texts inside a payload; they stay readable however the rest is escaped."""
    return [match[0].decode() for match in _TEXT.finditer(payload)]


def _hex(payload: bytes) -> list[str]:
    return [payload[:SLICE].hex()] if len(payload) >= SLICE else []


def _base64(payload: bytes) -> list[str]:
    head = payload[:SLICE]
    whole = len(payload) >= SLICE
    return [base64.b64encode(head).decode(), base64.urlsafe_b64encode(head).decode()] if whole else []


_FORMS: Mapping[str, Callable[[bytes], list[str]]] = {"raw": _raw, "hex": _hex, "base64": _base64}
