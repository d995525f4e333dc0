"""What is done to a binding; none of these knows what is right."""

from ampybus_contract.harness.scenarios.dead_letters import poison
from ampybus_contract.harness.scenarios.envelope import payload_sizes, round_trip, unknown_encoding, versions
from ampybus_contract.harness.scenarios.idempotency import duplicates, other_case, same_dedupe_key
from ampybus_contract.harness.scenarios.keys import missing_keys, separators, wrong_keys
from ampybus_contract.harness.scenarios.large_payloads import (
    compression_threshold,
    decompression_bomb,
    pointers,
)
from ampybus_contract.harness.scenarios.ordering import (
    keyed_stream,
    keyed_stream_with_retries,
    many_keys,
    snapshots,
    steps,
)
from ampybus_contract.harness.scenarios.retries import failing_dead_letters, held_key, hopeless
from ampybus_contract.harness.scenarios.topics import (
    bad_topics,
    environments,
    every_name,
    wildcard_subscriptions,
    wildcard_topics,
)

__all__ = [
    "bad_topics",
    "compression_threshold",
    "decompression_bomb",
    "duplicates",
    "environments",
    "every_name",
    "failing_dead_letters",
    "held_key",
    "hopeless",
    "keyed_stream",
    "keyed_stream_with_retries",
    "many_keys",
    "missing_keys",
    "other_case",
    "payload_sizes",
    "pointers",
    "poison",
    "round_trip",
    "same_dedupe_key",
    "separators",
    "snapshots",
    "steps",
    "unknown_encoding",
    "versions",
    "wildcard_subscriptions",
    "wildcard_topics",
    "wrong_keys",
]
