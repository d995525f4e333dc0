"""How often and when a message that fails is tried again (D24)."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from ampybus_contract.contract import Contract, RetryRule
from ampybus_contract.harness.checkers.reading import History, is_dead_letter, only
from ampybus_contract.harness.history import Anomaly, Event, Operation

NOISE_SECONDS = 1.0
CLOCK_SECONDS = 0.001
SAMPLES = 4


def attempts_wrong(history: History, contract: Contract) -> list[Anomaly]:
    """A message that never took effect and was not tried as often as the contract says."""
    return [
        Anomaly(f"Tried {len(tries)} times, the tier says {bound}.", (*tries[:1], *tries[1:][-1:]))
        for tries in _failures(history, contract)
        if len(tries) != (bound := _rule(tries, contract).attempts)
    ]


def backoff_wrong(history: History, contract: Contract) -> list[Anomaly]:
    """A pause before another try that is too short for its number, or longer than the cap.

    A pause may be up to the jitter's share shorter than nominal, and ``NOISE_SECONDS`` longer than the cap.
    """
    end = history[-1].at if history else 0
    found: list[Anomaly] = []
    for tries in _failures(history, contract):
        rule = _rule(tries, contract)
        for number, (one, two) in enumerate(pairwise(tries)):
            nominal = rule.pause(number + 1)
            pause = (two.at - one.at) / 1e9
            if pause < nominal * (1 - rule.jitter) - CLOCK_SECONDS:
                said = f"The pause after attempt {number + 1} took {pause:.3f} s, of nominal {nominal:.3f} s."
                found.append(Anomaly(said, (one, two)))
            elif pause > rule.backoff_max + NOISE_SECONDS:
                said = f"A pause of {pause:.3f} s is longer than the cap of {rule.backoff_max:.3f} s."
                found.append(Anomaly(said, (one, two)))
        waited = (end - tries[-1].at) / 1e9
        if len(tries) < rule.attempts and waited > rule.backoff_max + NOISE_SECONDS:
            said = f"No other try came within {waited:.3f} s; the cap is {rule.backoff_max:.3f} s."
            found.append(Anomaly(said, (tries[-1],)))
    return found


def backoff_unjittered(history: History, contract: Contract) -> list[Anomaly]:
    """Pauses after one attempt that are the same to the nanosecond for several messages of a tier.

    Only a virtual clock shows that; consumers that fail together would come back together.
    """
    pauses: dict[tuple[RetryRule, int], list[tuple[int, Event, Event]]] = defaultdict(list)
    for tries in _failures(history, contract):
        rule = _rule(tries, contract)
        for number, (one, two) in enumerate(pairwise(tries if rule.jitter else ())):
            pauses[rule, number].append((two.at - one.at, one, two))
    return [
        Anomaly("Several messages waited equally long: the pauses have no jitter.", same[0][1:])
        for same in pauses.values()
        if len(same) >= SAMPLES and len({pause for pause, _, _ in same}) == 1
    ]


def retry_count_wrong(history: History, _contract: Contract) -> list[Anomaly]:
    """A delivery whose retry_count is not the number of tries before it (D14, D24)."""
    found: list[Anomaly] = []
    for item in only(history, Operation.DELIVER):
        got = item.envelope.headers.get("retry_count", "0")
        if got != str(item.attempt - 1):
            said = f"At attempt {item.attempt} retry_count should be {item.attempt - 1}, it is {got}."
            found.append(Anomaly(said, (item,)))
    return found


def _rule(tries: list[Event], contract: Contract) -> RetryRule:
    """What the tier of a message's domain says."""
    return contract.retry_of(tries[0].topic.split(".")[2])


def _failures(history: History, contract: Contract) -> list[list[Event]]:
    """The deliveries of each message that never took effect, dead letters aside."""
    applied = {item.id for item in only(history, Operation.EFFECT)}
    found: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for item in only(history, Operation.DELIVER):
        known = item.topic.split(".")[2:3] and item.topic.split(".")[2] in contract.domains
        if known and item.id not in applied and not is_dead_letter(item.topic, contract):
            found[item.actor, item.id].append(item)
    return list(found.values())
