"""Pure functions over a history, named after the anomaly they find; none knows a binding or a broker.

Each gives one Anomaly for each case, and an empty list for a good history.
"""

from ampybus_contract.harness.checkers.dead_letters import (
    dead_letter_changed,
    dead_letter_missing,
    poison_delivered,
    poison_retried,
    reason_wrong,
)
from ampybus_contract.harness.checkers.delivery import (
    cross_env,
    lost_write,
    nothing_shown,
    outside_pattern,
    swallowed,
)
from ampybus_contract.harness.checkers.envelope import (
    header_changed,
    id_rewritten,
    payload_changed,
    required_header_missing,
    sent_plain,
    time_rewritten,
    topic_changed,
    unknown_header_changed,
)
from ampybus_contract.harness.checkers.idempotency import duplicate_effect
from ampybus_contract.harness.checkers.keys import key_wrong
from ampybus_contract.harness.checkers.ordering import effect_reordered, key_reordered
from ampybus_contract.harness.checkers.publishing import (
    broken_on_wire,
    hint_missing,
    refused_valid,
    unanswered,
    violation_accepted,
)
from ampybus_contract.harness.checkers.reading import Checker, History, is_dead_letter

__all__ = [
    "Checker",
    "History",
    "broken_on_wire",
    "cross_env",
    "dead_letter_changed",
    "dead_letter_missing",
    "duplicate_effect",
    "effect_reordered",
    "header_changed",
    "hint_missing",
    "id_rewritten",
    "is_dead_letter",
    "key_reordered",
    "key_wrong",
    "lost_write",
    "nothing_shown",
    "outside_pattern",
    "payload_changed",
    "poison_delivered",
    "poison_retried",
    "reason_wrong",
    "refused_valid",
    "required_header_missing",
    "sent_plain",
    "swallowed",
    "time_rewritten",
    "topic_changed",
    "unanswered",
    "unknown_header_changed",
    "violation_accepted",
]
