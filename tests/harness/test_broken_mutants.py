"""Each mutant of what is refused and of what arrives broken is found by the anomaly that it stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.memory import MemorySource
from ampybus_contract.contract import default_contract
from ampybus_contract.harness import checkers
from ampybus_contract.harness.breadth import Breadth
from ampybus_contract.harness.history import Event
from ampybus_contract.harness.mutants import Mutant, mutants
from ampybus_contract.harness.playing import furnished, play
from ampybus_contract.harness.schedules import Scheduled
from ampybus_contract.harness.suites import suites

CONTRACT = default_contract()
CHECKS = ("ENV-09", "DLQ-11", "DLQ-12")
MUTANTS = [item for item in mutants(CONTRACT) if item.check in CHECKS]
REFUSED = "violation_accepted"
FOUND_BY: Mapping[str, str] = {
    "publishes any time": REFUSED,
    "publishes without a run_id": REFUSED,
    "publishes any metrics": REFUSED,
    "publishes anything in the last environment": REFUSED,
    "mends line breaks in headers": REFUSED,
    "stores what it refuses": REFUSED,
    "leaves the refusal of broken payloads open": REFUSED,
    "refuses a key after one refusal": "refused_valid",
    "hands over any trace": "poison_delivered",
    "hands over what has a bad header name, without it": "poison_delivered",
    "looks at no universe": "poison_delivered",
    "looks at nothing in the last environment": "poison_delivered",
    "takes unknown types for violations": "reason_wrong",
    "files fills under orders": "dead_letter_misplaced",
    "drops unknown headers from dead letters": "dead_letter_changed",
    "buries news twice": "dlq_lost",
    "drops what has no message_id": "dlq_lost",
    "hashes dead letters as sent": "dead_letter_changed",
    "names the family as origin": "dead_letter_changed",
    "acknowledges nothing undecodable": "source_unacknowledged",
    "forgets a key after a violation": "unseen",
    "looks at nothing for a consumer of everything": "poison_delivered",
    "buries dead letters that are rejected": "dlq_lost",
    "has one DLQ for all domains": "dead_letter_misplaced",
    "hands out no dead letters": "dead_letter_unseen",
}


def history_of(mutant: Mutant) -> list[Event]:
    scenario = suites()[mutant.check].scenario
    assert not isinstance(scenario, Scheduled)

    def make() -> ReferenceBinding:
        return mutant.build(MemoryTransport(), CONTRACT)

    source = MemorySource()
    place = furnished(source.stream(), False)
    return source.run(play(CONTRACT, make, place, scenario, 1, 5.0, breadth=Breadth.EACH))


def named(mutant: Mutant) -> checkers.Checker:
    """The checker of the mutant's suite that stands for it."""
    wanted = FOUND_BY[mutant.name]
    own = suites()[mutant.check].checkers
    return next(item for item in own if wanted in (item.__name__, item.__qualname__.partition(".")[0]))


def test_every_mutant_stands_for_an_anomaly() -> None:
    assert [item.name for item in MUTANTS] == list(FOUND_BY)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda item: re.sub(r"\W+", "-", item.name))
def test_the_anomaly_of_a_mutant_is_found(mutant: Mutant, caplog: pytest.LogCaptureFixture) -> None:
    assert named(mutant)(history_of(mutant), CONTRACT)
    assert "never retrieved" not in caplog.text
