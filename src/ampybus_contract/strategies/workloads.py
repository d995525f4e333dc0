"""Sequences of publishes: several keys, steps of one key, repetitions, and answers that come late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from ampybus_contract.contract import Contract
from ampybus_contract.contract.meaning import WorkloadMeaning
from ampybus_contract.envelope import Envelope, Topic, uuid7
from ampybus_contract.envelope.codec import decompress
from ampybus_contract.envelope.registry import decode
from ampybus_contract.errors import StrategyError
from ampybus_contract.strategies.entropy import Entropy
from ampybus_contract.strategies.envelope_maker import EnvelopeMaker, Made, Shape, Wish
from ampybus_contract.strategies.public import entropy, maker_of, with_texts
from ampybus_contract.strategies.values import SECOND, time_text

_MILLISECOND = SECOND // 1000
_MOVE_BYTES = 96


class Kind(StrEnum):
    """What one publish of a workload is.

    ``same_id`` sends an earlier envelope once more; ``same_dedupe_key`` sends its content under a new id;
    ``step`` is the next of the steps that ``payloads.yaml`` names for the domain, on the key of the first;
    ``answer`` belongs to another domain and speaks of an earlier message, often long after it.
    """

    NEW = "new"
    STEP = "step"
    SAME_ID = "same id"
    SAME_DEDUPE_KEY = "same dedupe key"
    ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class Sent:
    """One publish: the envelope, what it is, and the place of the earlier one that it refers to, if any.

    ``repeats`` is the place of the first publish with this id or dedupe key: an idempotent consumer applies
    that one only (D23). It is None for a message of its own.
    """

    envelope: Envelope
    kind: Kind
    refers_to: int | None = None
    repeats: int | None = None


def workloads(
    domain: str,
    *,
    contract: Contract | None = None,
    keys: int = 3,
    min_size: int = 1,
    max_size: int = 20,
) -> SearchStrategy[list[Sent]]:
    """Publishes of one producer in their order: of one domain in one environment, and answers from others.

    ``keys`` is how many partition keys at most; sizes count publishes. Every envelope keeps the contract.
    Raises StrategyError for a domain without a single-message payload type of its own.
    """
    maker = maker_of(contract)
    shapes = [_single(maker, domain), *(_single(maker, name) for name in _answers(maker.contract, domain))]
    moves = st.tuples(
        st.integers(0, keys - 1), st.sampled_from(_kinds(maker.contract, domain)), entropy(_MOVE_BYTES)
    )
    return _workloads(maker, shapes, st.lists(moves, min_size=min_size, max_size=max_size))


@st.composite
def _workloads(
    draw: DrawFn, maker: EnvelopeMaker, shapes: Sequence[Shape], moves: SearchStrategy[list[Any]]
) -> list[Sent]:
    run = _Run(maker, shapes[0], shapes[1:], with_texts(draw, maker, Wish()))
    for key, kind, source in draw(moves):
        run.move(key, kind, source)
    return run.sent


@dataclass(slots=True)
class _Run:
    maker: EnvelopeMaker
    shape: Shape
    answers: Sequence[Shape]
    wish: Wish
    sent: list[Sent] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    dedupe: dict[tuple[str, str], int] = field(default_factory=dict)
    keys: dict[int, Envelope] = field(default_factory=dict)
    latest: int | None = None

    def move(self, key: int, kind: Kind, source: Entropy) -> None:
        """Append one publish; a move that refers to nothing yet is a new message."""
        own = [place for place, item in enumerate(self.sent) if item.kind in (Kind.NEW, Kind.STEP)]
        place = source.choice(own) if own else None
        if kind is Kind.NEW or place is None:
            self._new(key, source)
        elif kind is Kind.SAME_ID:
            self._append(self.sent[place].envelope, kind, place, place)
        elif kind is Kind.SAME_DEDUPE_KEY:
            self._renamed(place)
        elif kind is Kind.STEP:
            self._step(place, source)
        else:
            self._answer(place, source)

    def _new(self, key: int, source: Entropy) -> None:
        first = self.keys.get(key)
        made = self._make(self.shape, source, self._like(first) if first else Wish())
        self.keys.setdefault(key, made.envelope)
        self._append(made.envelope, Kind.NEW, None)

    def _step(self, place: int, source: Entropy) -> None:
        meaning = self._meaning()
        first = self.sent[place].envelope
        done = [item for item in self.sent if item.refers_to == place and item.kind is Kind.STEP]
        if self.sent[place].kind is not Kind.NEW or len(done) + 1 >= len(meaning.steps):
            self._append(first, Kind.SAME_ID, place, place)
            return
        made = self._make(self.shape, source, self._like(first))
        step = {meaning.step_header: meaning.steps[len(done) + 1]}
        headers = made.envelope.headers.with_(**step)
        self._append(Envelope(made.envelope.topic, headers, made.envelope.payload), Kind.STEP, place)

    def _renamed(self, place: int) -> None:
        first = self.sent[place].envelope
        self.latest = (self.latest or 0) + _MILLISECOND
        changes = {"message_id": self._id(self.latest), "produced_at": time_text(self.latest)}
        self._append(
            Envelope(first.topic, first.headers.with_(**changes), first.payload), Kind.SAME_DEDUPE_KEY, place
        )

    def _answer(self, place: int, source: Entropy) -> None:
        shape = source.choice(self.answers)
        about = self._like(self.sent[place].envelope).parts
        made = self._make(shape, source, Wish(parts=about))
        self._append(made.envelope, Kind.ANSWER, place)

    def _make(self, shape: Shape, source: Entropy, like: Wish) -> Made:
        env = self.maker.contract.topic.environments[0]
        wish = replace(like, env=env, latest=self.latest, headers=self.wish.headers)
        made = self.maker.make(shape, source, wish)
        self.latest = made.produced
        message_id = made.envelope.headers["message_id"]
        if message_id.lower() in self.ids:
            headers = made.envelope.headers.with_(message_id=self._id(made.produced))
            made = Made(
                Envelope(made.envelope.topic, headers, made.envelope.payload), made.plain, made.produced
            )
        return made

    def _id(self, instant: int) -> str:
        return str(uuid7(instant // _MILLISECOND, len(self.ids) + 1))

    def _append(
        self, envelope: Envelope, kind: Kind, refers_to: int | None, repeats: int | None = None
    ) -> None:
        self.ids.add(envelope.headers["message_id"].lower())
        key = envelope.headers.get("dedupe_key")
        if key is not None and repeats is None:
            name = (Topic.parse(envelope.topic).domain, key)
            first = self.dedupe.setdefault(name, len(self.sent))
            repeats = None if first == len(self.sent) else first
        elif repeats is not None and self.sent[repeats].repeats is not None:
            repeats = self.sent[repeats].repeats
        self.sent.append(Sent(envelope, kind, refers_to, repeats))

    def _like(self, envelope: Envelope) -> Wish:
        """The wish for another message with the key of one that was sent."""
        agreement = self.maker.agreements[self.shape.domain]
        limit = self.maker.contract.payload.decoded_at_most
        packed = "content_encoding" in envelope.headers
        plain = decompress(envelope.payload, limit) if packed else envelope.payload
        message = decode(self.shape.fqdn, plain)
        groups = agreement.under(Topic.parse(envelope.topic).subtopic)
        return Wish(parts=agreement.read(message, groups), like=message)

    def _meaning(self) -> WorkloadMeaning:
        return self.maker.contract.meaning.workloads[self.shape.domain]


def _single(maker: EnvelopeMaker, domain: str) -> Shape:
    payloads = maker.contract.domains[domain].payloads if domain in maker.contract.domains else {}
    for shape in maker.shapes(domain):
        if shape.fqdn and not payloads[shape.fqdn].item:
            return shape
    raise StrategyError(
        f"STRATEGY expected a domain with a single-message payload type, got {domain!r}. Fix: name another"
    )


def _answers(contract: Contract, domain: str) -> Sequence[str]:
    known = contract.meaning.workloads.get(domain)
    return [name for name in known.answered_by if name in contract.domains] if known else []


def _kinds(contract: Contract, domain: str) -> list[Kind]:
    """The kinds that a domain can have, the simplest first, new messages most often."""
    known, rule = contract.meaning.workloads.get(domain), contract.domains.get(domain)
    found = [Kind.NEW] * 4 + [Kind.SAME_ID]
    if rule is not None and rule.dedupe_key:
        found.append(Kind.SAME_DEDUPE_KEY)
    if known is not None:
        found += [Kind.STEP] * 2 if known.steps else []
        found += [Kind.ANSWER] * 2 if _answers(contract, domain) else []
    return found
