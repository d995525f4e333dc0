"""Hypothesis strategies derived from a contract (extra ``strategies``).

What they make follows ``spec/`` alone: topics from subtopic patterns, header values from header patterns,
keys from formulas, payloads from protobuf descriptors and ``spec/payloads.yaml``.
"""

from ampybus_contract.strategies.broken import Break, Broken, breaks, broken, covering, one_each
from ampybus_contract.strategies.public import envelopes, headers, payloads, topics
from ampybus_contract.strategies.violations import breakable_requirements, invalid_envelopes
from ampybus_contract.strategies.workloads import Kind, Sent, workloads

__all__ = [
    "Break",
    "Broken",
    "Kind",
    "Sent",
    "breakable_requirements",
    "breaks",
    "broken",
    "covering",
    "envelopes",
    "headers",
    "invalid_envelopes",
    "one_each",
    "payloads",
    "topics",
    "workloads",
]
