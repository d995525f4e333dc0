"""Envelopes drawn from the whole contract: every domain, environment, size and kind of header appears.

A factor is a side of an envelope that bindings may treat in a way of its own; ``covering_rows`` decides which
values of the factors come together. The rest of each envelope is drawn by the strategies' maker.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope, Topic, uuid7
from ampybus_contract.envelope.codec import compress, decompress
from ampybus_contract.envelope.digest import plain_payload
from ampybus_contract.envelope.registry import decode
from ampybus_contract.harness.covering import Row, covering_rows
from ampybus_contract.strategies.entropy import Entropy
from ampybus_contract.strategies.envelope_maker import EnvelopeMaker, Shape, Wish
from ampybus_contract.strategies.public import ENTROPY_BYTES, maker_of
from ampybus_contract.validation import validate

EPOCH_MS = 1_757_100_661_000
LARGE_BYTES = 250_000
TRIES = 24
LONG = "n4-" * 1_365

UNKNOWN: Mapping[str, Mapping[str, str]] = {
    "none": {},
    "empty": {"x_empty": ""},
    "inner spaces": {"x_note": "two  spaces and\ta tab"},
    "non-ascii": {"x_place": "Zürich ≥ 東京"},
    "beyond the basic plane": {"x_mood": "🙂 𝄞 done"},
    "decomposed": {"x_name": "Zu\u0308rich e\u0301"},
    "number-like": {"x_int": "007", "x_float": "1.50", "x_exp": "1e3", "x_hex": "0x1F", "x_minus": "-0"},
    "word-like": {"x_true": "True", "x_null": "null", "x_none": "None", "x_nan": "NaN"},
    "json-like": {"x_json": '{"b": 1, "a": [1.0, null]}', "x_list": "[1, 2]"},
    "escaped": {"x_percent": "100%25 %0A", "x_slash": "a\\nb \\u00e9", "x_entity": "&amp; &#10;"},
    "quoted": {"x_quotes": '"it\'s"', "x_signs": "a:b;c=d,e|f*g>h.i"},
    "encoded word": {"x_mime": "=?utf-8?q?caf=C3=A9?=", "x_base": "aGVsbG8="},
    "time-like": {"x_day": "2025-09-05T19:31:01.120Z", "x_uuid": "018F5E2F-9B1C-76AA-8F7A-3B1D8F3EA0C2"},
    "long": {"x_long": LONG},
    "long name": {"x_" + "very_" * 20 + "long_name": "1"},
    "many": {f"x_many_{number}": str(number) for number in range(40)},
    "another header's name": {"x_message_id": "1", "message_id_2": "2", "topic": "other", "key": "k"},
    "transport-like": {"content_length": "3", "status": "503", "x_msg_id": "1", "subject": "a.b"},
}
"""Headers that the contract does not know, by what is special about them (D9)."""

TEXTS = ("run_id", "source", "producer")
PLAIN_TEXTS: Mapping[str, str] = {
    "example": "",
    "one letter": "x",
    "capitals": "Desk-A Live",
    "non-ascii": "zürich-東京",
    "beyond the basic plane": "run-🙂",
    "number-like": "0012",
    "long": "run-" * 60,
    "signs": 'a:b;c="d", e/f|g',
    "word-like": "null",
}
IDS = ("lower", "upper", "mixed")
TIMES: Mapping[str, str] = {
    "as drawn": "",
    "nanoseconds": "2025-09-05T19:31:01.123456789Z",
    "last nanosecond": "2025-12-31T23:59:59.999999999Z",
    "zeros at the end": "2025-09-05T19:31:01.120000000Z",
    "one digit": "2025-09-05T19:31:01.5Z",
    "whole second": "2025-09-05T19:31:01Z",
    "zero fraction": "2025-09-05T19:31:01.000Z",
    "leap day": "2028-02-29T00:00:00Z",
    "far past": "1999-12-31T23:59:59.000000001Z",
    "far future": "2262-04-11T23:47:16.854775807Z",
}
SIZES = ("typical", "empty", "at the threshold", "above the threshold", "large")
CODINGS = ("plain", "gzip", "gzip at another level", "gzip in two members")
OPTIONAL = ("none", "all", "span only", "traceparent only", "schema hash only", "sampled off")
VERSIONS = ("example", "minor", "pre-release")


@dataclass(frozen=True, slots=True)
class Drawn:
    """An envelope, and the values of the factors that it was made by; what did not fit is not among them."""

    envelope: Envelope
    row: Row


class Variety:
    """Draws envelopes of one contract; one seed, one sequence. Ids and dedupe keys are never repeated."""

    def __init__(self, contract: Contract, seed: int) -> None:
        self.contract = contract
        self.seed = seed
        self.random = random.Random(f"variety {seed}")
        self.maker: EnvelopeMaker = maker_of(contract)
        self.shapes = {
            f"{shape.domain} {shape.fqdn.rpartition('.')[2]}": shape
            for shape in self.maker.shapes()
            if shape.fqdn and contract.domains[shape.domain].carries is None
        }
        self.made = 0

    @property
    def factors(self) -> dict[str, Sequence[str]]:
        """The values of each factor."""
        return {
            "shape": list(self.shapes),
            "environment": list(self.contract.topic.environments),
            "unknown headers": list(UNKNOWN),
            "texts": list(PLAIN_TEXTS),
            "id": IDS,
            "time": list(TIMES),
            "size": SIZES,
            "coding": CODINGS,
            "optional headers": OPTIONAL,
            "version": VERSIONS,
        }

    def rows(self, strength: int) -> list[Row]:
        """Rows in which every value appears (1), every pair (2), every triple (3)."""
        return covering_rows(self.factors, strength, self.seed)

    def envelopes(self, strength: int) -> Iterator[Drawn]:
        """An envelope for each row."""
        for row in self.rows(strength):
            yield self.envelope(row)

    @property
    def domains(self) -> list[str]:
        """The domains that envelopes can be made of."""
        return list(dict.fromkeys(shape.domain for shape in self.shapes.values()))

    def any_of(self, domain: str, env: str, small: bool = True) -> Envelope:
        """An envelope of a domain and environment with any values of the other factors."""
        row = {name: self.random.choice(values) for name, values in self.factors.items()}
        row["shape"] = self.random.choice(
            [name for name, item in self.shapes.items() if item.domain == domain]
        )
        row["environment"] = env
        if small:
            row["size"] = SIZES[0]
        return self.envelope(row).envelope

    def envelope(self, row: Row) -> Drawn:
        """The envelope of a row; a value that the contract forbids here is left out."""
        self.made += 1
        shape = self.shapes[row["shape"]]
        for _ in range(TRIES):
            wish = self._wish(row, shape)
            made = self.maker.make(shape, Entropy(self.random.randbytes(ENTROPY_BYTES)), wish).envelope
            base = self._own(made, row["id"])
            whole = base
            for _factor, change in self._changes(base, row):
                whole = change(whole)
            if not self._broken(whole):
                return Drawn(whole, dict(row))
            if not self._broken(base):
                return self._fitting(base, row)
        raise AssertionError(f"expected a valid envelope of {shape}, got none in {TRIES} tries")

    def again(self, first: Envelope) -> Envelope | None:
        """Another message of the same domain, topic and key; None where the first holds no key."""
        topic = Topic.parse(first.topic)
        shape = next(
            item
            for item in self.shapes.values()
            if item.domain == topic.domain and item.fqdn == first.headers["schema_fqdn"]
        )
        message: Any = decode(shape.fqdn, plain_payload(first, self.contract))
        field = self.contract.domains[topic.domain].payloads[shape.fqdn].item
        if field:
            items = getattr(message, field)
            if not items:
                return None
            message = items[0]
        agreement = self.maker.agreements[topic.domain]
        parts = agreement.read(message, agreement.under(topic.subtopic))
        if not agreement.holds(parts):
            return None
        for _ in range(TRIES):
            self.made += 1
            wish = Wish(env=topic.env, parts=parts, like=message)
            entropy = Entropy(self.random.randbytes(ENTROPY_BYTES))
            made = self._own(self.maker.make(shape, entropy, wish).envelope, "lower")
            same = made.headers["partition_key"] == first.headers["partition_key"]
            if same and made.topic == first.topic and not self._broken(made):
                return made
        return None

    def renamed(self, envelope: Envelope) -> Envelope:
        """The same envelope under an id of its own."""
        self.made += 1
        return replace(envelope, headers=envelope.headers.with_(message_id=self._id()))

    def _id(self) -> str:
        bits = (self.made << 48) | self.random.getrandbits(48)
        return str(uuid7(EPOCH_MS + self.made, bits & ((1 << 74) - 1)))

    def _wish(self, row: Row, shape: Shape) -> Wish:
        at = self.contract.payload.compress_above
        size = {
            "at the threshold": at,
            "above the threshold": at + 1,
            "large": LARGE_BYTES,
        }.get(row["size"])
        rule = self.contract.domains[shape.domain]
        parts = {}
        if rule.dedupe_key:
            unique = [name for name in rule.components if f"{{{name}}}" in rule.dedupe_key]
            parts = {name: f"{name}_{self.seed}_{self.made}" for name in unique}
        return Wish(
            env=row["environment"],
            empty=row["size"] == "empty",
            packed=row["coding"] != "plain",
            size=size,
            parts=parts,
        )

    def _own(self, envelope: Envelope, form: str) -> Envelope:
        """With an id and a dedupe key that no other message here has, and nothing that the bus adds."""
        text = self._id()
        if form == "upper":
            text = text.upper()
        elif form == "mixed":
            text = "".join(sign.upper() if place % 2 else sign for place, sign in enumerate(text))
        known, rule = envelope.headers, self.contract.domains[Topic.parse(envelope.topic).domain]
        others = {*self.contract.infrastructure_headers, self.contract.kafka.topic_header}
        gone = [name for name in known if name in others or name not in self.contract.headers]
        own: dict[str, str | None] = {**dict.fromkeys(gone), "message_id": text}
        if rule.dedupe_key is None and "dedupe_key" in known:
            own["dedupe_key"] = f"{known['dedupe_key']}-{self.seed}-{self.made}"
        return replace(envelope, headers=known.with_(**own))

    def _fitting(self, base: Envelope, row: Row) -> Drawn:
        """With those of the row's values that the contract allows together here."""
        kept = dict(row)
        envelope = base
        for factor, change in self._changes(base, row):
            other = change(envelope)
            if self._broken(other):
                del kept[factor]
            else:
                envelope = other
        return Drawn(envelope, kept)

    def _broken(self, envelope: Envelope) -> bool:
        return any(item.level == "MUST" for item in validate(envelope, self.contract))

    def _changes(self, base: Envelope, row: Row) -> list[tuple[str, Callable[[Envelope], Envelope]]]:
        text, time = PLAIN_TEXTS[row["texts"]], TIMES[row["time"]]
        texts = dict.fromkeys(TEXTS, text) if text else {}
        return [
            ("coding", lambda item: self._coded(item, row["coding"])),
            ("optional headers", lambda item: self._optional(item, row["optional headers"])),
            ("version", lambda item: _set(item, self._version(base, row["version"]))),
            ("texts", lambda item: _set(item, texts)),
            ("time", lambda item: _set(item, {"produced_at": time} if time else {})),
            ("unknown headers", lambda item: _set(item, UNKNOWN[row["unknown headers"]])),
        ]

    def _coded(self, item: Envelope, coding: str) -> Envelope:
        if "content_encoding" not in item.headers or coding in ("plain", "gzip"):
            return item
        plain = decompress(item.payload, self.contract.payload.decoded_at_most)
        if coding == "gzip at another level":
            return replace(item, payload=gzip.compress(plain, 1, mtime=0))
        half = len(plain) // 2
        return replace(item, payload=compress(plain[:half]) + compress(plain[half:]))

    def _optional(self, item: Envelope, which: str) -> Envelope:
        """With all, none or some of the trace headers and the schema hash."""
        trace, span = item.headers["trace_id"], f"{self.random.getrandbits(64) | 1:016x}"
        flags = "00" if which == "sampled off" else "01"
        hashed = self.contract.headers["schema_hash"].example
        wanted: dict[str, str | None] = dict.fromkeys(("span_id", "traceparent", "schema_hash"))
        if which in ("all", "span only"):
            wanted["span_id"] = span
        if which in ("all", "traceparent only", "sampled off"):
            wanted["traceparent"] = f"00-{trace}-{span}-{flags}"
        if which in ("all", "schema hash only"):
            wanted["schema_hash"] = item.headers.get("schema_hash") or hashed
        return replace(item, headers=item.headers.with_(**wanted))

    def _version(self, item: Envelope, which: str) -> dict[str, str]:
        major = Topic.parse(item.topic).version[1:]
        texts = {"minor": f"{major}.14.3", "pre-release": f"{major}.2.0-rc.1+build.5"}
        return {"schema_version": texts[which]} if which in texts else {}


def _set(item: Envelope, headers: Mapping[str, str]) -> Envelope:
    return replace(item, headers=item.headers.with_(**headers)) if headers else item
