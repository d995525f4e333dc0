"""Pure functions over a history, named after the anomaly they find; none knows a binding or a broker.

Each gives one Anomaly for each case, and an empty list for a good history.
"""

from ampybus_contract.harness.checkers.audit import damage_unnamed, hash_wrong, session_differs
from ampybus_contract.harness.checkers.backpressure import (
    in_flight_exceeded,
    lag_wrong,
    nothing_slowed,
    priority_inverted,
)
from ampybus_contract.harness.checkers.dead_letters import (
    acked_before_dead_letter,
    dead_letter_changed,
    dlq_loop,
    dlq_lost,
    other_key_blocked,
    poison_delivered,
    poison_retried,
    reason_wrong,
    redrive_wrong,
)
from ampybus_contract.harness.checkers.delivery import (
    cross_env,
    lost_write,
    nothing_shown,
    outside_pattern,
    swallowed,
    unseen,
)
from ampybus_contract.harness.checkers.encryption import stranger_trusted
from ampybus_contract.harness.checkers.envelope import (
    header_changed,
    id_rewritten,
    mapped_otherwise,
    payload_changed,
    required_header_altered,
    required_header_missing,
    sent_plain,
    time_rewritten,
    topic_changed,
    unknown_header_changed,
    wire_differs,
)
from ampybus_contract.harness.checkers.idempotency import (
    acked_before_effect,
    dedupe_repeated,
    duplicate_effect,
)
from ampybus_contract.harness.checkers.keys import key_scattered, key_wrong
from ampybus_contract.harness.checkers.latency import stall_hidden
from ampybus_contract.harness.checkers.logs import log_incomplete, payload_logged
from ampybus_contract.harness.checkers.metrics import (
    counter_wrong,
    lag_stale,
    latency_negative,
    metric_misnamed,
    reason_undeclared,
)
from ampybus_contract.harness.checkers.ordering import effect_reordered, key_reordered, stale_end
from ampybus_contract.harness.checkers.pointers import (
    absence_mishandled,
    large_payload_lost,
    object_unverified,
)
from ampybus_contract.harness.checkers.positions import nonmonotonic, poll_skip
from ampybus_contract.harness.checkers.progress import not_resumed, wedged
from ampybus_contract.harness.checkers.publishing import (
    broken_on_wire,
    definite_but_stored,
    hint_missing,
    id_invented,
    refused_valid,
    unanswered,
    unsettled_size,
    violation_accepted,
)
from ampybus_contract.harness.checkers.reading import Checker, History, is_dead_letter
from ampybus_contract.harness.checkers.replay import (
    live_disturbed,
    live_paused,
    nothing_replayed,
    replay_changed,
    replay_cross_env,
    replay_incomplete,
    replay_outside_scope,
    replay_outside_window,
    replay_reordered,
    replay_unrequested,
    request_skipped,
)
from ampybus_contract.harness.checkers.retries import (
    attempts_wrong,
    backoff_unjittered,
    backoff_wrong,
    retry_count_wrong,
)
from ampybus_contract.harness.checkers.security import credential_shown
from ampybus_contract.harness.checkers.tracing import span_missing, trace_broken
from ampybus_contract.harness.checkers.unfinished import acked_before_done, never_again

__all__ = [
    "Checker",
    "History",
    "absence_mishandled",
    "acked_before_dead_letter",
    "acked_before_done",
    "acked_before_effect",
    "attempts_wrong",
    "backoff_unjittered",
    "backoff_wrong",
    "broken_on_wire",
    "counter_wrong",
    "credential_shown",
    "cross_env",
    "damage_unnamed",
    "dead_letter_changed",
    "dedupe_repeated",
    "definite_but_stored",
    "dlq_loop",
    "dlq_lost",
    "duplicate_effect",
    "effect_reordered",
    "hash_wrong",
    "header_changed",
    "hint_missing",
    "id_invented",
    "id_rewritten",
    "in_flight_exceeded",
    "is_dead_letter",
    "key_reordered",
    "key_scattered",
    "key_wrong",
    "lag_stale",
    "lag_wrong",
    "large_payload_lost",
    "latency_negative",
    "live_disturbed",
    "live_paused",
    "log_incomplete",
    "lost_write",
    "mapped_otherwise",
    "metric_misnamed",
    "never_again",
    "nonmonotonic",
    "not_resumed",
    "nothing_replayed",
    "nothing_shown",
    "nothing_slowed",
    "object_unverified",
    "other_key_blocked",
    "outside_pattern",
    "payload_changed",
    "payload_logged",
    "poison_delivered",
    "poison_retried",
    "poll_skip",
    "priority_inverted",
    "reason_undeclared",
    "reason_wrong",
    "redrive_wrong",
    "refused_valid",
    "replay_changed",
    "replay_cross_env",
    "replay_incomplete",
    "replay_outside_scope",
    "replay_outside_window",
    "replay_reordered",
    "replay_unrequested",
    "request_skipped",
    "required_header_altered",
    "required_header_missing",
    "retry_count_wrong",
    "sent_plain",
    "session_differs",
    "span_missing",
    "stale_end",
    "stall_hidden",
    "stranger_trusted",
    "swallowed",
    "time_rewritten",
    "topic_changed",
    "trace_broken",
    "unanswered",
    "unknown_header_changed",
    "unseen",
    "unsettled_size",
    "violation_accepted",
    "wedged",
    "wire_differs",
]
