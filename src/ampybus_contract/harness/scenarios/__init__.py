"""What is done to a binding; none of these knows what is right."""

from ampybus_contract.harness.scenarios.audit import captured, captured_letters, gap_and_double, tampered
from ampybus_contract.harness.scenarios.backpressure import behind, held_handlers, slowed_producer
from ampybus_contract.harness.scenarios.breadth import crossing, endings, repeats
from ampybus_contract.harness.scenarios.broken import (
    broken_arrivals,
    broken_arrivals_everywhere,
    broken_publishes,
)
from ampybus_contract.harness.scenarios.chaos import chaos
from ampybus_contract.harness.scenarios.day import trading_day
from ampybus_contract.harness.scenarios.dead_letters import poison
from ampybus_contract.harness.scenarios.disturbed import (
    cut_link,
    healed_link,
    killed_broker,
    killed_consumer,
    paused_broker,
    slow_consumer,
    slow_link,
)
from ampybus_contract.harness.scenarios.encryption import (
    old_peer,
    plain_peer,
    renewed_certificates,
    untrusted_peers,
    without_certificate,
)
from ampybus_contract.harness.scenarios.envelope import (
    every_header,
    payload_sizes,
    round_trip,
    unknown_encoding,
    versions,
)
from ampybus_contract.harness.scenarios.idempotency import (
    after_the_window,
    crash_before_ack,
    duplicates,
    duplicates_of_dead_letters,
    lost_ack,
    lost_acks,
    other_case,
    same_dedupe_key,
)
from ampybus_contract.harness.scenarios.keys import keys_over_restarts, missing_keys, separators, wrong_keys
from ampybus_contract.harness.scenarios.large_payloads import (
    absent_object,
    compression_threshold,
    decompression_bomb,
    pointers,
    replaced_object,
    size_limit,
)
from ampybus_contract.harness.scenarios.observability import busy, fast_clock, stuck
from ampybus_contract.harness.scenarios.ordering import (
    keyed_stream,
    keyed_stream_with_retries,
    lost_connection,
    many_keys,
    snapshots,
    steps,
)
from ampybus_contract.harness.scenarios.rebalance import rebalance
from ampybus_contract.harness.scenarios.replay import (
    killed_in_the_middle,
    one_key,
    replay_beside_live,
    replayed_sinks,
    requested_in_one_env,
    same_window_twice,
    stored_late,
    window_edges,
)
from ampybus_contract.harness.scenarios.rereading import checkpoints, replays, sessions
from ampybus_contract.harness.scenarios.retries import (
    dead_letter_outage,
    failing_dead_letters,
    held_key,
    hopeless,
    redriven,
)
from ampybus_contract.harness.scenarios.security import credentials, personal_data
from ampybus_contract.harness.scenarios.service_levels import stalled
from ampybus_contract.harness.scenarios.topics import (
    bad_topics,
    environments,
    every_name,
    wildcard_subscriptions,
    wildcard_topics,
)
from ampybus_contract.harness.scenarios.unfinished import unfinished

__all__ = [
    "absent_object",
    "after_the_window",
    "bad_topics",
    "behind",
    "broken_arrivals",
    "broken_arrivals_everywhere",
    "broken_publishes",
    "busy",
    "captured",
    "captured_letters",
    "chaos",
    "checkpoints",
    "compression_threshold",
    "crash_before_ack",
    "credentials",
    "crossing",
    "cut_link",
    "dead_letter_outage",
    "decompression_bomb",
    "duplicates",
    "duplicates_of_dead_letters",
    "endings",
    "environments",
    "every_header",
    "every_name",
    "failing_dead_letters",
    "fast_clock",
    "gap_and_double",
    "healed_link",
    "held_handlers",
    "held_key",
    "hopeless",
    "keyed_stream",
    "keyed_stream_with_retries",
    "keys_over_restarts",
    "killed_broker",
    "killed_consumer",
    "killed_in_the_middle",
    "lost_ack",
    "lost_acks",
    "lost_connection",
    "many_keys",
    "missing_keys",
    "old_peer",
    "one_key",
    "other_case",
    "paused_broker",
    "payload_sizes",
    "personal_data",
    "plain_peer",
    "pointers",
    "poison",
    "rebalance",
    "redriven",
    "renewed_certificates",
    "repeats",
    "replaced_object",
    "replay_beside_live",
    "replayed_sinks",
    "replays",
    "requested_in_one_env",
    "round_trip",
    "same_dedupe_key",
    "same_window_twice",
    "separators",
    "sessions",
    "size_limit",
    "slow_consumer",
    "slow_link",
    "slowed_producer",
    "snapshots",
    "stalled",
    "steps",
    "stored_late",
    "stuck",
    "tampered",
    "trading_day",
    "unfinished",
    "unknown_encoding",
    "untrusted_peers",
    "versions",
    "wildcard_subscriptions",
    "wildcard_topics",
    "window_edges",
    "without_certificate",
    "wrong_keys",
]
