"""Generated mutants differ from the binding they are made of, are drawn evenly, and are judged honestly."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from ampybus_contract import Envelope
from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.protocol import Endpoint
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.memory import MemoryBroker
from ampybus_contract.brokers.virtual_time import run_virtual
from ampybus_contract.cli.main import main
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import TargetError
from ampybus_contract.harness.generated import Fate, GeneratedMutant, catalogue, draw, judged
from ampybus_contract.harness.generated.fault import Fault, Strike, Trigger
from ampybus_contract.harness.generated.judging import likely_first
from ampybus_contract.harness.generated.wire import on_send
from ampybus_contract.harness.generated.witnesses import witnesses
from ampybus_contract.harness.kill_matrix import ground
from ampybus_contract.harness.workload import Workload
from ampybus_contract.pytest_plugin.targets import binding_factory
from ampybus_contract.validation import validate
from tests.harness.bus_day import PARTS, WATCHED, day, reference_day

CONTRACT = default_contract()
KNOWN = catalogue(CONTRACT)
ALWAYS = KNOWN.triggers["always"]
NEVER = Trigger("never", "", frozenset(), lambda life: lambda moment: False)
OF_A_PROCESS = frozenset({"effect.swap.global"})
"""What shows only where the process of a binding is killed, and not where a kill is played."""


def families() -> dict[str, Fault]:
    """Of each family the first fault that shows always."""
    found: dict[str, Fault] = {}
    for fault in KNOWN.faults.values():
        left_out = fault.name in OF_A_PROCESS or KNOWN.excluded(fault, ALWAYS) is not None
        if not left_out and not KNOWN.rare(fault):
            found.setdefault(fault.family, fault)
    return found


FAMILIES = families()


def seen(fault: Fault, trigger: Trigger, told: list[str]) -> tuple[list[str], list[str]]:
    """What is seen of the mutant, and of the binding that it is made of, in the parts of a day about it."""
    parts, watched = PARTS[fault.place], fault.place in WATCHED
    build = GeneratedMutant(fault, trigger).built(told.append)
    return day(build, parts, watched), reference_day(parts, watched)


@pytest.mark.long
@pytest.mark.parametrize("family", FAMILIES)
def test_a_fault_of_each_family_shows_and_does_not_raise(family: str) -> None:
    told: list[str] = []
    mutant, reference = seen(FAMILIES[family], ALWAYS, told)
    assert mutant != reference
    assert told == []


@pytest.mark.parametrize("place", PARTS)
def test_a_fault_whose_trigger_never_comes_changes_nothing(place: str) -> None:
    fault = next(fault for name, fault in FAMILIES.items() if name.startswith(f"{place}."))
    told: list[str] = []
    mutant, reference = seen(fault, NEVER, told)
    assert mutant == reference
    assert told == []


@pytest.mark.parametrize(
    "name",
    [
        "wire.drop.unknown.empty@always",
        "wire.alter.header.produced_at.microseconds@always",
        "wire.alter.unknown.no_astral@always",
        "wire.alter.unknown.number@always",
        "wire.alter.header.message_id.lower@always",
        "retry.ignore.rule.attempts@domain=news",
        "delivery.reorder.lanes@domain=ticks",
        "effect.drop.dedupe_key@env=prod",
        "delivery.delay.acknowledged_first@size=above_4_KiB",
        "delivery.reorder.lanes@keys=2000",
        "effect.cut.limit.512@always",
        "effect.cut.window.5_min@always",
        "delivery.drop.stuck@after=10",
        "publish.ignore.requirement.HDR-02@always",
        "delivery.ignore.requirement.HDR-07@always",
        "effect.ignore.group@always",
        "delivery.ignore.raised@always",
        "delivery.alter.answer.reject@always",
        "delivery.ignore.answer.reject@always",
        "delivery.cut.slow_handler.10_s@always",
        "letter.drop.unknown.number@always",
        "redrive.ignore.limit@always",
        "replay.ignore.subtopic@always",
        "replay.ignore.window.empty@always",
        "replay.cut.records.100@always",
        "metric.ignore.applied.duplicate@always",
        "metric.ignore.published.redriven@always",
        "log.swap.message_id.of_source@always",
        "effect.swap.global@always",
        "delivery.drop.message@unless=group",
        "delivery.delay.unclaimed.acknowledged_first@always",
    ],
)
def test_the_kinds_that_once_passed_are_among_the_mutants(name: str) -> None:
    assert KNOWN.find(name).id == name


def test_one_seed_draws_the_same_mutants_and_another_one_others() -> None:
    first = [item.id for item in draw(CONTRACT, 40, 1)]
    assert len(set(first)) == 40
    assert [item.id for item in draw(CONTRACT, 40, 1)] == first
    assert [item.id for item in draw(CONTRACT, 40, 2)] != first


def test_a_sample_has_every_place_and_operator_and_most_kinds_of_triggers() -> None:
    drawn = draw(CONTRACT, 400, 1)
    assert {item.fault.place for item in drawn} == set(PARTS)
    assert {item.fault.operator for item in drawn} == {fault.operator for fault in KNOWN.faults.values()}
    kinds = {trigger.kind for trigger in KNOWN.triggers.values()}
    assert len({item.trigger.kind for item in drawn}) > 0.9 * len(kinds)


def test_witnesses_keep_the_contract() -> None:
    broken = [
        item for item in witnesses(CONTRACT) if any(it.level == "MUST" for it in validate(item, CONTRACT))
    ]
    assert broken == []


def test_what_changes_no_message_is_left_out_with_the_reason() -> None:
    with pytest.raises(TargetError, match="no message that the contract allows is changed"):
        KNOWN.find("wire.alter.header.content_type.lower@always")
    with pytest.raises(TargetError, match="no message with encoding=gzip is changed"):
        KNOWN.find("publish.ignore.requirement.SIZ-01@encoding=gzip")
    with pytest.raises(TargetError, match="no group is known"):
        KNOWN.find("wire.drop.message@group=second")
    with pytest.raises(TargetError, match="has its effect already"):
        KNOWN.find("checkpoint.drop.mark@always")


def test_an_id_that_is_none_is_refused_with_what_is_wrong() -> None:
    with pytest.raises(TargetError, match=r"no fault 'wire\.drop\.nothing'"):
        KNOWN.find("wire.drop.nothing@always")
    with pytest.raises(TargetError, match="no trigger 'never'"):
        KNOWN.find("wire.drop.message@never")


def test_a_killed_mutant_names_the_check_that_found_an_anomaly() -> None:
    with ground("memory", CONTRACT) as place:
        found = judged(CONTRACT, place, KNOWN.find("wire.alter.header.producer.upper@always"))
    assert (found.fate, found.check, found.trouble) == (Fate.KILLED, "ENV-01", ())
    assert "producer" in found.reason


def test_a_mutant_whose_own_code_raises_is_invalid_and_not_killed() -> None:
    def broken(envelope: Envelope) -> Envelope:
        raise KeyError("of the fault's own making")

    def install(strike: Strike, binding: ReferenceBinding) -> None:
        async def send(method: Any, envelope: Envelope, act: str) -> None:
            await method(strike.changed(broken, envelope), act)

        on_send(strike, binding, "", send)

    fault = dataclasses.replace(KNOWN.faults["wire.alter.header.producer.upper"], install=install)
    with ground("memory", CONTRACT) as place:
        found = judged(CONTRACT, place, GeneratedMutant(fault, ALWAYS))
    assert found.fate is Fate.INVALID
    assert "own making" in found.reason


def test_checks_of_the_own_chapter_come_first_and_each_once() -> None:
    with ground("memory", CONTRACT) as place:
        checks = list(likely_first(CONTRACT, place, "Replay"))
    chapters = [CONTRACT.checks[check].chapter for check in checks]
    assert chapters[: chapters.count("Replay")] == ["Replay"] * chapters.count("Replay")
    assert len(checks) == len(set(checks))


def test_a_mutant_is_a_binding_of_the_command_line() -> None:
    factory = binding_factory("mutant:wire.drop.message@domain=bars", CONTRACT)
    assert isinstance(factory(), ReferenceBinding)
    with pytest.raises(TargetError, match="no fault"):
        binding_factory("mutant:wire.drop.nothing", CONTRACT)


@pytest.mark.subprocess
def test_a_conformance_run_takes_a_mutant(pytester: pytest.Pytester) -> None:
    words = ("--ampybus-conformance", "--ampybus-binding", "mutant:wire.drop.header.run_id", "-k", "ENV-01")
    result = pytester.runpytest_subprocess(*words)
    result.stdout.fnmatch_lines(["*FAIL ENV-01*"])
    assert result.ret == 1


def test_the_command_prints_the_score_and_how_to_judge_a_survivor_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "fates.json"
    words = ["mutants", "--only", "wire.drop.header.run_id@domain=bars", "--json", str(file)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "1 of 1 generated mutants killed, 100.0%" in out
    (row,) = json.loads(file.read_text())
    assert (row["fate"], row["place"], row["operator"], row["trigger"]) == (
        "killed",
        "wire",
        "drop",
        "domain",
    )


def test_a_binding_is_restarted_where_its_state_has_seen_one(tmp_path: Path) -> None:
    """The trigger reads no variable of the process: a kill of it changes nothing."""
    envelope = Workload(CONTRACT, 1).envelope("bars")
    strikes = []

    async def started() -> None:
        binding = ReferenceBinding(MemoryTransport(), CONTRACT)
        strike = Strike(KNOWN.triggers["restarted"], CONTRACT, print)
        strike.live(binding)
        await binding.start(Endpoint("memory", "memory", MemoryBroker(), tmp_path))
        strikes.append(strike(envelope))
        await binding.stop()

    run_virtual(started())
    run_virtual(started())
    assert strikes == [False, True]
