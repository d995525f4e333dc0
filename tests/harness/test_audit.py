"""Session files, what is done to them, and the checkers of both (D37)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ampybus_contract import Envelope
from ampybus_contract.bindings.sessions import Damage, damages, seal, write_session
from ampybus_contract.contract import default_contract
from ampybus_contract.envelope.codec import compress
from ampybus_contract.errors import HistoryError
from ampybus_contract.harness import checkers
from ampybus_contract.harness.history import Event, Operation, Outcome
from ampybus_contract.harness.sessions import Session
from ampybus_contract.harness.workload import Workload

CONTRACT = default_contract()
MADE = Workload(CONTRACT, 1)
DOMAIN = MADE.keyed_domain()
PATTERN = f"{CONTRACT.topic.prefix}.>"
A, B, OTHER = MADE.envelope(DOMAIN), MADE.envelope(DOMAIN), MADE.envelope(DOMAIN, 1)
PACKED = replace(
    MADE.envelope(DOMAIN, content_encoding="gzip"), payload=compress(MADE.envelope(DOMAIN).payload)
)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    write_session(tmp_path / "session.jsonl", PATTERN, [A, OTHER, B], CONTRACT)
    return Session(tmp_path / "session.jsonl")


def test_a_session_holds_what_was_stored_and_is_sound(session: Session) -> None:
    assert [item for _, item, _ in session.records()] == [A, OTHER, B]
    assert damages(session.path) == []


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        (lambda it: it.turn(2), (Damage.TAMPERED, 2)),
        (lambda it: it.rename(3, "run_id"), (Damage.TAMPERED, 3)),
        (lambda it: it.drop(1), (Damage.MISSING, 1)),
        (lambda it: it.drop(3), (Damage.MISSING, 3)),
        (lambda it: it.double(2), (Damage.DOUBLED, 2)),
    ],
)
def test_each_damage_is_named_with_its_record(
    session: Session, harm: Callable[[Session], None], found: tuple[str, int]
) -> None:
    size = len(session.path.read_bytes())
    harm(session)
    assert damages(session.path) == session.done == [found]
    if found[0] == Damage.TAMPERED:
        assert len(session.path.read_bytes()) == size


@pytest.mark.parametrize("text", ["", "{}\n", '{"kind": "ampybus-session"}\n', "no json\n"])
def test_what_is_no_session_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text(text)
    with pytest.raises(HistoryError, match=r"other\.jsonl"):
        damages(path)


def captured(envelope: Envelope, number: int, digest: str = "") -> Event:
    return Event(0, "auditor", Operation.CAPTURE, Outcome.OK, envelope, 1, PATTERN, digest, number)


def stored(envelope: Envelope) -> Event:
    return Event(0, "wire", Operation.STORE, Outcome.OK, envelope)


STORED = [stored(A), stored(OTHER), stored(B)]


@pytest.mark.parametrize("kept", [[A, OTHER, B], [OTHER, A, B], [A, B, OTHER]])
def test_a_session_keeps_the_order_of_each_key(kept: list[Envelope]) -> None:
    history = [*(captured(item, number) for number, item in enumerate(kept, 1)), *STORED]
    assert not checkers.session_differs(history, CONTRACT)


@pytest.mark.parametrize(
    "kept",
    [
        [],
        [(A, 1), (OTHER, 2)],
        [(A, 1), (B, 2)],
        [(B, 1), (OTHER, 2), (A, 3)],
        [(A, 1), (OTHER, 2), (B, 3), (B, 4)],
        [(A, 1), (OTHER, 3), (B, 2)],
        [(A, 1), (OTHER, 2), (replace(B, headers=B.headers.with_(run_id=None)), 3)],
        [(A, 1), (OTHER, 2), (replace(B, payload=b""), 3)],
    ],
)
def test_another_session_than_what_was_stored_is_found(kept: list[tuple[Envelope, int]]) -> None:
    assert checkers.session_differs([*(captured(*item) for item in kept), *STORED], CONTRACT)


def digest(payload: bytes) -> str:
    return f"sha256:{hashlib.sha256(payload).hexdigest()}"


def test_a_hash_is_over_the_decoded_payload() -> None:
    plain = MADE.envelope(DOMAIN)
    packed = replace(PACKED, payload=compress(plain.payload))
    right = captured(packed, 1, digest(plain.payload))
    wrong = captured(packed, 1, digest(packed.payload))
    assert not checkers.hash_wrong([right, stored(packed)], CONTRACT)
    assert checkers.hash_wrong([wrong, stored(packed)], CONTRACT)


def said(operation: Operation, damage: str = "", number: int = 0) -> Event:
    return Event(0, "someone", operation, Outcome.OK, A, error=damage, count=number)


TAMPERED = said(Operation.TAMPER, "tampered", 2)
ASKED = said(Operation.AUDIT)
NAMED = said(Operation.AUDIT, "tampered", 2)


def test_an_audit_names_what_was_done_since_and_no_more() -> None:
    assert not checkers.damage_unnamed([ASKED, TAMPERED, ASKED, NAMED], CONTRACT)


@pytest.mark.parametrize(
    "history",
    [
        [ASKED],
        [TAMPERED, ASKED],
        [ASKED, NAMED, TAMPERED, ASKED, NAMED],
        [TAMPERED, ASKED, said(Operation.AUDIT, "missing", 2)],
        [TAMPERED, ASKED, NAMED, said(Operation.AUDIT, "tampered", 3)],
    ],
)
def test_an_audit_that_names_less_or_more_is_found(history: list[Event]) -> None:
    assert checkers.damage_unnamed(history, CONTRACT)


def test_a_seal_covers_all_that_a_record_says(session: Session) -> None:
    row = json.loads(session.path.read_text().splitlines()[1])
    assert row["seal"] == seal(row)
    for name, other in {"number": 9, "topic": B.topic + "x", "payload": "", "payload_hash": ""}.items():
        assert seal({**row, name: other}) != row["seal"]
