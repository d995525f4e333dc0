"""What the fast path remembers of topics and of the runs that publish to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ampybus_contract.contract import DomainRule
from ampybus_contract.validation.fast_payload import Agrees

Schema = tuple[str, str, str | None]


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """A topic without findings: its domain, the parts of its subtopic, and the payload types seen on it.

    ``origin`` is how the topics begin whose envelopes are carried here. ``schemas`` maps schema_fqdn,
    schema_version and schema_hash to a plan, or to None where they do not belong there.
    """

    text: str
    domain: DomainRule
    groups: Mapping[str, str | None]
    key: str | None
    key_form: Callable[[str], object] | None
    origin: str | None
    schemas: dict[Schema, Agrees | None]


@dataclass(frozen=True, slots=True)
class Route:
    """A topic as one run publishes to it: all that does not differ between its messages.

    ``agrees`` compares the payload, and is None where the domain carries the payloads of others. What topic
    and headers tell of the key is looked at before: ``key`` is the only one that an envelope can have, if the
    topic names every part; ``sole`` says that the key is one part, and the dedupe key the same; ``settled``,
    that with the right key nothing is left to look at but the payload.
    """

    topic: TopicPlan
    agrees: Agrees | None
    key: str | None
    settled: bool
    sole: bool


Runs = dict[tuple[str, ...], dict[str, Route]]
