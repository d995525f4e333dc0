"""Keys on the wire that are not the contract's."""

from __future__ import annotations

from ampybus_contract.contract import Contract
from ampybus_contract.envelope.formula import fill
from ampybus_contract.harness.checkers.reading import History, is_dead_letter, musts, only, words
from ampybus_contract.harness.history import Anomaly, Event, Operation


def key_scattered(history: History, contract: Contract) -> list[Anomaly]:
    """A key of one domain on several partitions, so that nothing orders its messages (section 15.2).

    Sample: store a on partition 0, store b of the same key on partition 2.
    """
    first: dict[tuple[str, str], Event] = {}
    found: list[Anomaly] = []
    for item in only(history, Operation.STORE):
        if not is_dead_letter(item.topic, contract):
            family = fill(contract.kafka.topic, _tokens(item.topic))
            earlier = first.setdefault((family, item.key), item)
            if earlier.count != item.count:
                sentence = f"The key {item.key!r} is on the partitions {earlier.count} and {item.count}."
                found.append(Anomaly(sentence, (earlier, item)))
    return found


def _tokens(topic: str) -> dict[str, str]:
    return dict(zip(("prefix", "env", "domain", "version"), [*topic.split("."), "", "", ""], strict=False))


def key_wrong(history: History, contract: Contract) -> list[Anomaly]:
    """A stored message whose key is not the formula of its domain over its payload."""
    wrong = set(contract.key_requirements.values())
    return [
        Anomaly(f"The message on the wire has a wrong key. {words(broken[0])}", (item,))
        for item in only(history, Operation.STORE)
        if (broken := [finding for finding in musts(item, contract) if finding.requirement in wrong])
    ]
