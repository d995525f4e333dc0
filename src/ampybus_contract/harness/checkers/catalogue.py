"""The checkers that hold for any history, with a bad and a good sample each in the notation of histories.

A scenario may let more of them judge; those need to know what was played.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from ampybus_contract.harness import notation
from ampybus_contract.harness.checkers.dead_letters import (
    dead_letter_changed,
    dead_letter_misplaced,
    dlq_loop,
    dlq_lost,
    poison_delivered,
    reason_wrong,
)
from ampybus_contract.harness.checkers.delivery import cross_env, lost_write, outside_pattern, unseen
from ampybus_contract.harness.checkers.envelope import header_changed, payload_changed, topic_changed
from ampybus_contract.harness.checkers.idempotency import (
    acked_before_effect,
    dedupe_repeated,
    duplicate_effect,
)
from ampybus_contract.harness.checkers.ordering import effect_reordered, key_reordered
from ampybus_contract.harness.checkers.positions import nonmonotonic, poll_skip
from ampybus_contract.harness.checkers.publishing import definite_but_stored, id_invented
from ampybus_contract.harness.checkers.reading import Checker
from ampybus_contract.harness.checkers.replay import (
    replay_changed,
    replay_cross_env,
    replay_outside_window,
    replay_unrequested,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A checker, the capability that a binding must claim for it to apply (or empty), and its samples."""

    checker: Checker
    bad: str
    good: str
    claim: str = ""

    @property
    def name(self) -> str:
        """The anomaly."""
        return str(getattr(self.checker, "__name__", ""))


GENERAL = (
    Entry(
        lost_write,
        "subscribe; publish a; publish b; deliver b",
        "subscribe; publish a fail; publish c info; publish b; deliver b",
    ),
    Entry(
        unseen,
        "subscribe; publish a; publish b; deliver a",
        "subscribe; publish a; publish b open; deliver a",
    ),
    Entry(
        key_reordered,
        "publish a; publish b; deliver b; deliver a",
        "publish a; publish b; publish x; deliver x; deliver a; deliver b; deliver a",
    ),
    Entry(
        effect_reordered,
        "publish a; publish b; deliver a; deliver b; effect b; effect a",
        "publish a; publish b; deliver a; deliver a; effect a; deliver b; effect b",
        claim="retry",
    ),
    Entry(
        nonmonotonic,
        "store a 1; store b 2; deliver b; deliver a",
        "store a 1; store b 2; deliver a; deliver b; deliver a",
    ),
    Entry(
        poll_skip,
        "store a 1; store b 2; store c 3; deliver a; deliver c",
        "store a 1; store b 2; store c 3; deliver b; deliver c; other: deliver a",
    ),
    Entry(
        duplicate_effect, "effect a; effect a", "effect a; other: effect a; effect b", claim="deduplication"
    ),
    Entry(
        dedupe_repeated, "effect once; effect twin", "effect once; effect a; effect b", claim="deduplication"
    ),
    Entry(acked_before_effect, "deliver a; ack a; effect a", "deliver a; effect a; ack a; deliver a; ack a"),
    Entry(header_changed, "publish a; deliver a^", "publish a; deliver a; publish b^; deliver b^"),
    Entry(payload_changed, "publish a; deliver a~", "publish a~; deliver a~"),
    Entry(topic_changed, "publish a; deliver a@prod", "publish a@prod; deliver a@prod"),
    Entry(outside_pattern, "subscribe; deliver a@prod", "subscribe; deliver a"),
    Entry(
        definite_but_stored,
        "publish a fail; store a",
        "publish a info; publish b fail; publish c; store a; store c",
    ),
    Entry(id_invented, "publish a; store a; store b", "publish a open; inject p; store a; store p!"),
    Entry(dlq_lost, "inject p", "inject p; store p; store p!", claim="dlq"),
    Entry(dlq_loop, "inject p; store p!; store p!", "inject p; store p; store p!", claim="dlq"),
    Entry(dead_letter_changed, "inject p; store p~!", "inject p; store p!", claim="dlq"),
    Entry(dead_letter_misplaced, "inject p; store p!@prod", "inject p; store p!", claim="dlq"),
    Entry(reason_wrong, "inject p; store p!?", "inject p; store p!", claim="dlq"),
    Entry(poison_delivered, "inject p; deliver p", "inject p; inject a; deliver a", claim="dlq"),
    Entry(cross_env, "inject p; store p!@prod", "inject p; store p!", claim="dlq"),
    Entry(
        replay_outside_window,
        "publish a; publish b; publish ask; sink: replay; sink: deliver b+",
        "publish a; publish b; publish ask; sink: replay; sink: deliver a+",
        claim="replay",
    ),
    Entry(
        replay_unrequested,
        "publish a; sink: replay; sink: deliver a+",
        "publish a; publish ask; sink: replay; sink: deliver a+",
        claim="replay",
    ),
    Entry(
        replay_changed,
        "publish a; publish ask; sink: replay; sink: deliver a~+",
        "publish a; publish ask; sink: replay; sink: deliver a+",
        claim="replay",
    ),
    Entry(
        replay_cross_env,
        "publish a@prod; publish ask; sink: replay; sink: deliver a@prod+",
        "publish a; publish ask; sink: replay; sink: deliver a+",
        claim="replay",
    ),
)


def described() -> str:
    """All of them as a page in Markdown: what each finds, and the samples."""
    lines = [
        "# Checkers",
        "",
        "A checker is a pure function over a history. Each of these holds for any history, and",
        "`ampybus check` applies them to a recording that names no check. Where a capability is given, it",
        "applies to bindings that claim it. This page is what `ampybus check --list` prints.",
        "",
        "## The notation of the samples",
        "",
        *str(notation.__doc__).strip().replace("``", "`").splitlines()[2:],
    ]
    for entry in GENERAL:
        prose = inspect.getdoc(entry.checker) or ""
        needs = ["", f"Capability: `{entry.claim}`."] if entry.claim else []
        lines += [
            "",
            f"## {entry.name}",
            "",
            *prose.replace("``", "`").splitlines(),
            *needs,
            "",
            f"- found in: `{entry.bad}`",
            f"- not in: `{entry.good}`",
        ]
    return "\n".join(lines) + "\n"
