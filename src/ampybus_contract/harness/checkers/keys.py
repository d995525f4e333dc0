"""Keys on the wire that are not the contract's."""

from __future__ import annotations

from ampybus_contract.contract import Contract
from ampybus_contract.harness.checkers.reading import History, musts, only, words
from ampybus_contract.harness.history import Anomaly, Operation


def key_wrong(history: History, contract: Contract) -> list[Anomaly]:
    """A stored message whose key is not the formula of its domain over its payload."""
    wrong = set(contract.key_requirements.values())
    return [
        Anomaly(f"The message on the wire has a wrong key. {words(broken[0])}", (item,))
        for item in only(history, Operation.STORE)
        if (broken := [finding for finding in musts(item, contract) if finding.requirement in wrong])
    ]
