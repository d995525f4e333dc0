"""The benchmark judges what it says it judges, and its traffic is what it says it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ampybus_contract import validate
from ampybus_contract.benchmark.__main__ import main
from ampybus_contract.benchmark.peers import peers
from ampybus_contract.benchmark.traffic import archive_lines, envelopes
from ampybus_contract.contract import default_contract
from ampybus_contract.envelope import read_fixture

CHECKS_NO_ZEROS = "ampy-bus"
CHECKS_PRESENCE_ONLY = "presence alone"
UNSTEADY = """
import os
from pathlib import Path
from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.reference import ReferenceBinding

class Forgets(ReferenceBinding):
    async def publish(self, envelope):
        pass

first = Path("process of the first run")
if not first.exists():
    first.write_text(str(os.getpid()))
make_it = ReferenceBinding if first.read_text() == str(os.getpid()) else Forgets

def make():
    return make_it(NatsTransport())
"""


@pytest.mark.parametrize(("domain", "items"), [("bars", 0), ("bars", 3), ("orders", 0)])
def test_traffic_is_valid_and_distinct(domain: str, items: int) -> None:
    traffic = list(envelopes(30, default_contract(), items=items, domain=domain))
    assert [validate(envelope) for envelope in traffic] == [[]] * 30
    for name in ("message_id", "produced_at", "trace_id", "partition_key"):
        assert len({envelope.headers[name] for envelope in traffic}) == 30


def test_every_installed_peer_accepts_the_header_set_and_refuses_a_broken_one() -> None:
    (envelope,) = envelopes(1, default_contract())
    right = dict(envelope.headers)
    for name, judge in peers(default_contract()):
        if judge is not None:
            assert judge(right), name
            assert not judge({**right, "run_id": ""}), name
            if CHECKS_PRESENCE_ONLY not in name:
                assert not judge({**right, "message_id": "abc"}), name
            if not name.startswith(CHECKS_NO_ZEROS):
                assert not judge({**right, "trace_id": "0" * 32}), name


def test_the_table_has_a_line_for_every_contender(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validators", "--count", "20", "--rounds", "2"]) == 0
    printed = capsys.readouterr().out
    for name in ("ampybus-contract", "one bar", "one order", "100 bars", *dict(peers(default_contract()))):
        assert any(line.startswith(name) for line in printed.splitlines()), name


def test_each_detector_of_personal_data_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["patterns", "--rounds", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    names = [detector.name for detector in default_contract().privacy.detectors]
    assert [line[:24].strip() for line in lines] == [*names, "(a+)+$"]


def test_an_archive_has_invalid_envelopes_where_asked() -> None:
    rows = [json.loads(line) for line in archive_lines(6, default_contract(), invalid_every=3)]
    found = [[item.requirement for item in validate(read_fixture(row).envelope)] for row in rows]
    assert found == [[], [], ["HDR-01"], [], [], ["HDR-01"]]


def test_recorded_histories_are_good_and_judged_at_each_length(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["histories", "--counts", "50", "100"]) == 0
    lengths = [line.split()[0] for line in capfd.readouterr().out.splitlines()[-2:]]
    assert lengths == ["51", "101"]


@pytest.mark.server
def test_the_bindings_are_measured_beside_the_raw_client(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bindings", "--count", "40", "--rounds", "2"]) == 0
    rows = {words[0]: words[1:] for words in map(str.split, capsys.readouterr().out.splitlines()[2:])}
    assert set(rows) == {"publish", "consume"}
    assert all(float(figure) > 0 for row in rows.values() for figure in row[:2])


@pytest.mark.server
def test_memory_is_shown_at_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", "--count", "50"]) == 0
    shown = [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:]]
    assert shown == [str(number) for number in range(5, 51, 5)]


@pytest.mark.subprocess
def test_runs_that_are_alike_are_told_from_those_that_are_not(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unsteady.py").write_text(UNSTEADY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    steady = ["steadiness", "--runs", "2", "--busy", "1", "--", "-k", "ENV-01"]
    assert main(steady) == 0
    idle, busy, whole = capsys.readouterr().out.splitlines()
    assert "idle" in idle
    assert "busy" in busy
    assert whole == "2 of 2 runs passed alike, 1 of them with every core busy"
    assert main([*steady, "--ampybus-binding", "unsteady:make"]) == 1
    first, second, whole = capsys.readouterr().out.splitlines()
    assert first.endswith("1 pass")
    assert second.endswith("1 fail; exit code 1, other verdicts for: ENV-01")
    assert whole == "1 of 2 runs passed alike, 1 of them with every core busy"
