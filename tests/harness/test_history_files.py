"""Histories as files: what is written is read again, what is no history is named with its place."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ampybus_contract import Envelope
from ampybus_contract.cli.main import main
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import HistoryError
from ampybus_contract.harness import recording
from ampybus_contract.harness.checkers import catalogue, header_changed, payload_changed
from ampybus_contract.harness.checkers.catalogue import GENERAL, Entry
from ampybus_contract.harness.history import Event, HashedPayload, Operation, Outcome
from ampybus_contract.harness.notation import read_notation
from ampybus_contract.harness.recording import Head, read_history, write_history
from ampybus_contract.strategies import envelopes

CONTRACT = default_contract()
SCHEMA = json.loads((Path(recording.__file__).parent / "schema/history.schema.json").read_text())
SAMPLE = read_notation(
    "subscribe; publish a; publish p info; deliver a; effect a; ack a; store a 7", CONTRACT
)


def written(events: Iterable[Event], head: Head | None = None) -> str:
    stream = io.StringIO()
    write_history(stream, head or Head(CONTRACT.version), events)
    return stream.getvalue()


def read(text: str) -> tuple[Head, list[Event]]:
    return read_history(io.BytesIO(text.encode()), "some.jsonl")


def by_name(entry: Entry) -> str:
    return entry.name


@pytest.mark.parametrize("entry", GENERAL, ids=by_name)
def test_a_checker_finds_its_bad_sample_and_not_its_good_one(entry: Entry) -> None:
    assert entry.checker(read_notation(entry.bad, CONTRACT), CONTRACT)
    assert entry.checker(read_notation(entry.good, CONTRACT), CONTRACT) == []


@pytest.mark.parametrize("entry", GENERAL, ids=by_name)
def test_a_sample_is_judged_alike_after_writing_and_reading(entry: Entry) -> None:
    for text in (entry.bad, entry.good):
        events = read_notation(text, CONTRACT)
        again = read(written(events))[1]
        assert again == events
        assert entry.checker(again, CONTRACT) == entry.checker(events, CONTRACT)


@given(st.lists(envelopes(), max_size=6), st.data())
def test_what_is_written_is_read_again(drawn: list[Envelope], data: st.DataObject) -> None:
    events = [
        Event(
            data.draw(st.integers(0, 2**62)),
            data.draw(st.text(max_size=5)),
            data.draw(st.sampled_from(Operation)),
            data.draw(st.sampled_from(Outcome)),
            envelope,
            attempt=data.draw(st.integers(1, 9)),
            error=data.draw(st.text(max_size=5)),
            position=data.draw(st.integers(0, 9)),
        )
        for envelope in [*drawn, *drawn]
    ]
    head = Head("1.0.0", "ORD-01", "some:Bus", "nats-server", {"sync": "always"}, ("dlq",), 7)
    assert read(written(events, head)) == (head, events)


def test_every_line_keeps_the_published_schema() -> None:
    judge = Draft202012Validator(SCHEMA)
    for line in written(SAMPLE, Head("1.0.0", settings={"sync": "always"})).splitlines():
        judge.validate(json.loads(line))
    assert not judge.is_valid({"at": 1})


def test_the_schema_names_every_operation_and_outcome() -> None:
    fields = SCHEMA["$defs"]["event"]["properties"]
    assert fields["operation"]["enum"] == [str(item) for item in Operation]
    assert fields["outcome"]["enum"] == [str(item) for item in Outcome]


def test_an_envelope_is_written_in_full_once() -> None:
    rows = [json.loads(line) for line in written(SAMPLE).splitlines()]
    assert sum("headers" in row for row in rows) == 2
    assert sum("body" in row for row in rows) == 2


def test_a_body_that_is_not_recorded_is_compared_by_its_hash() -> None:
    (entry,) = (item for item in GENERAL if item.checker is payload_changed)

    def hashed(text: str) -> list[Event]:
        rows = [json.loads(line) for line in written(read_notation(text, CONTRACT)).splitlines()]
        for row in rows:
            row.pop("body", None)
        return read("\n".join(map(json.dumps, rows)))[1]

    assert isinstance(hashed(entry.bad)[0].envelope.payload, HashedPayload)
    (found,) = payload_changed(hashed(entry.bad), CONTRACT)
    assert found.sentence == payload_changed(read_notation(entry.bad, CONTRACT), CONTRACT)[0].sentence
    assert payload_changed(hashed(entry.good), CONTRACT) == []
    lost = next(item for item in GENERAL if item.name == "lost_write")
    assert lost.checker(hashed(lost.bad), CONTRACT)
    assert written(hashed(entry.bad)).count('"body"') == 0


def row(**changes: Any) -> dict[str, Any]:
    return {"at": 1, "actor": "a", "operation": "deliver", "outcome": "ok", **changes}


HEAD = written([])
BODY = b"abc"
BODY_HASH = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
GIVEN = {"header_hash": "h", "headers": {}}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "an empty file"),
        ("{}\n", 1, "kind None"),
        (HEAD.replace('"seed": 0', '"seed": "x"'), 1, "a head as the schema says"),
        (HEAD + "[1]\n", 2, "list"),
        (HEAD + "\n\nnull\n", 4, "NoneType"),
        (HEAD + '{"at": 1, "act', 2, "the recording was cut off"),
        (HEAD + "[" * 100_000 + "\n", 2, "a JSON object"),
        (HEAD + '{"at": NaN}\n', 2, "NaN is no JSON number"),
        (HEAD + "\udcff".encode("utf-8", "surrogateescape").decode("latin-1") + "\n", 2, "a JSON object"),
        (HEAD + json.dumps({"at": 1}) + "\n", 2, "no actor, operation, outcome"),
        (HEAD + json.dumps(row(at=True)), 2, "a whole number in 'at'"),
        (HEAD + json.dumps(row(at="1")), 2, "a whole number in 'at'"),
        (HEAD + json.dumps(row(actor=1)), 2, "a text in 'actor'"),
        (HEAD + json.dumps(row(operation="drop")), 2, "operation one of"),
        (HEAD + json.dumps(row(outcome="maybe")), 2, "outcome one of"),
        (HEAD + json.dumps(row(more=1)), 2, "'more'"),
        (HEAD + json.dumps(row(header_hash="h")), 2, "given in full before"),
        (HEAD + json.dumps(row(header_hash=1)), 2, "a text in 'header_hash'"),
        (HEAD + json.dumps(row(header_hash="h", headers=[1])), 2, "an object in 'headers'"),
        (HEAD + json.dumps(row(**GIVEN, body_hash=BODY_HASH, body="%")), 2, "a body as base64"),
        (HEAD + json.dumps(row(**GIVEN, body_hash=BODY_HASH, body="YWJk")), 2, "a body with the hash"),
        (
            HEAD
            + json.dumps(row(**GIVEN, body_hash=BODY_HASH))
            + "\n"
            + json.dumps(row(**GIVEN, body_hash=BODY_HASH, body=base64.b64encode(BODY).decode())),
            3,
            "one that came late",
        ),
    ],
)
def test_what_is_no_history_is_named_with_its_place(text: str, line: int, said: str) -> None:
    with pytest.raises(HistoryError) as caught:
        read(text)
    assert f"some.jsonl:{line}." in str(caught.value)
    assert said in str(caught.value)


def test_a_line_beyond_all_bounds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "LONGEST_LINE", len(HEAD) + 10)
    with pytest.raises(HistoryError, match="a line of at most"):
        read(HEAD + json.dumps(row(error="x" * len(HEAD))))


def test_a_step_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="operation message"):
        read_notation("publish a; !", CONTRACT)


def stream_of(count: int) -> list[Event]:
    """A run of ``count`` messages of two keys, each published, delivered, applied and stored."""
    first = read_notation("publish a", CONTRACT)[0].envelope
    events = [Event(0, "consumer", Operation.SUBSCRIBE, Outcome.OK, first, pattern="ampy.>")]
    for number in range(count):
        identity = f"0194276d-44a0-7000-8000-{number:012x}"
        envelope = replace(first, headers=first.headers.with_(message_id=identity))
        events += [
            Event(number, "producer", Operation.PUBLISH, Outcome.INVOKE, envelope),
            Event(number, "producer", Operation.PUBLISH, Outcome.OK, envelope),
            Event(number, "consumer", Operation.DELIVER, Outcome.OK, envelope, pattern="ampy.>"),
            Event(number, "consumer", Operation.EFFECT, Outcome.OK, envelope, pattern="ampy.>"),
            Event(number, "wire", Operation.STORE, Outcome.OK, envelope),
        ]
    return events


class Counted(list[Event]):
    """Counts how often one of its events is looked at."""

    looks = 0

    def __iter__(self) -> Any:
        for item in super().__iter__():
            type(self).looks += 1
            yield item


@pytest.mark.parametrize("entry", GENERAL, ids=by_name)
def test_a_checker_looks_at_each_event_a_bounded_number_of_times(entry: Entry) -> None:
    looks = []
    for count in (20, 40, 80):
        Counted.looks = 0
        assert entry.checker(Counted(stream_of(count)), CONTRACT) == []
        looks.append(Counted.looks)
    assert all(after <= 2.2 * before for before, after in pairwise(looks))


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., str]:
    def record(text: str, name: str = "history.jsonl", **head: Any) -> str:
        path = tmp_path / name
        events = read_notation(text, CONTRACT)
        path.write_text(written(events, replace(Head(CONTRACT.version), **head)))
        return str(path)

    return record


def test_a_good_recording_passes(recorded: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", recorded("subscribe; publish a; deliver a; effect a")]) == 0
    assert "PASS (general checkers, 5 events)" in capsys.readouterr().out


def test_a_bad_recording_is_named_with_what_shows_it(
    recorded: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = recorded("subscribe; publish a; publish b; deliver b; deliver a")
    assert main(["check", path, recorded("publish a", "other.jsonl")]) == 1
    said = capsys.readouterr().out
    assert f"{path}: FAIL" in said
    assert "Two messages of one key arrived in the other order." in said
    assert "deliver  ok     ampy.dev.bars.v1.XNAS.AA key=XNAS.AA" in said


def test_a_recording_that_ends_early_is_inconclusive(recorded: Callable[..., str]) -> None:
    assert main(["check", recorded("subscribe; publish a; publish b; deliver a")]) == 3


def test_what_is_legal_depends_on_the_claims(recorded: Callable[..., str]) -> None:
    assert main(["check", recorded("effect a; effect a")]) == 0
    assert main(["check", recorded("effect a; effect a", claims=("deduplication",))]) == 1


def test_a_recorded_check_is_judged_as_its_suite_does(
    recorded: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    bad = recorded("subscribe; publish a; deliver a^", check="ENV-01")
    assert main(["check", bad]) == 1
    assert "A required header arrived with another value: source." in capsys.readouterr().out
    assert main(["check", recorded("publish a; deliver a^", check="XXX-01")]) == 2
    assert "a check with a suite" in capsys.readouterr().err


def test_checkers_can_be_chosen(recorded: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    path = recorded("publish a; deliver a^~")
    name = header_changed.__name__
    assert main(["check", path, "--checkers", "lost_write,cross_env"]) == 0
    assert main(["check", path, "--checkers", name]) == 1
    assert main(["check", path, "--checkers", "no_such"]) == 2
    assert "ampybus check --list" in capsys.readouterr().err


def test_json_and_annotations_say_the_same(
    recorded: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = recorded("effect a; effect a", claims=("deduplication",))
    assert main(["check", path, "--format", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["events"], found["findings"]) == ("fail", 2, 2)
    assert main(["check", path, "--format", "github"]) == 1
    assert capsys.readouterr().out.startswith(f"::error file={path},title=")


def test_what_cannot_be_read_is_a_usage_error_and_the_rest_is_judged(
    recorded: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(tmp_path / "none.jsonl"), str(tmp_path), recorded("publish a")]) == 2
    said = capsys.readouterr()
    assert "PASS" in said.out
    assert said.err.count("HISTORY expected a file") == 2
    assert main(["check"]) == 2


def test_the_page_is_what_the_checkers_say(capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(catalogue.__file__).parents[2] / "export/pages/checkers.md"
    assert main(["check", "--list"]) == 0
    assert capsys.readouterr().out == page.read_text(encoding="utf-8")
