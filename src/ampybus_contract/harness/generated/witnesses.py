"""Messages that the contract allows, of every kind: what a fault must change for at least one of."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.envelope.codec import stored
from ampybus_contract.harness.generated.classes import NAME_SAMPLES, SAMPLES
from ampybus_contract.strategies.envelope_maker import EnvelopeMaker, Shape, Wish
from ampybus_contract.strategies.header_values import trial
from ampybus_contract.strategies.public import maker_of
from ampybus_contract.strategies.violations import _ways

DRAWS = 8
MORE = 40
KIB = 1024
SIZES = (128 * KIB - 1, 128 * KIB, 128 * KIB + 1, 80 * KIB)
LARGE = 600 * KIB
OPEN = "none_allowed"
NEWER_FIELD = b"\xfa\x7f\x01x"
"""A field that no type has: a newer producer may send it where fields are not closed."""
OPTIONAL = ("retry_count", "replay_request_id", "schema_hash")
FREE = ("producer", "source", "run_id")
TIMES = ("2024-02-29T00:00:00Z", "2009-12-31T23:59:59.120Z", "2025-09-05T19:31:01.123456789Z")


@lru_cache(2)
def witnesses(contract: Contract) -> tuple[Envelope, ...]:
    """Valid messages of all domains, environments, sizes and times, and with headers of all classes."""
    maker = maker_of(contract)
    shapes = enumerate(maker.shapes())
    return plain(contract) + tuple(
        item for number, shape in shapes for item in _of_shape(contract, maker, shape, number)
    )


@lru_cache(2)
def plain(contract: Contract) -> tuple[Envelope, ...]:
    """Valid messages as they come most often; the first of the witnesses."""
    maker = maker_of(contract)
    return tuple(
        maker.make(shape, trial(1_000 + MORE * number + draw), Wish()).envelope
        for number, shape in enumerate(maker.shapes())
        for draw in range(MORE // 4 if shape.fqdn else MORE)
    )


def _of_shape(contract: Contract, maker: EnvelopeMaker, shape: Shape, number: int) -> Iterator[Envelope]:
    for draw in range(DRAWS):
        env = contract.topic.environments[draw % len(contract.topic.environments)]
        wish = Wish(env=env, packed=draw % 4 == 1, empty=draw % 4 == 2, pointer=draw % 4 == 3)
        yield _furnished(contract, maker.make(shape, trial(1 + draw + DRAWS * number), wish).envelope, draw)
    if shape.fqdn:
        size = SIZES[number % len(SIZES)]
        yield _furnished(contract, maker.make(shape, trial(number), Wish(size=size)).envelope, number)
        large = maker.make(shape, trial(number), Wish(size=LARGE, packed=True))
        payload = stored(large.plain, len(large.plain) + KIB)
        yield Envelope(large.envelope.topic, large.envelope.headers, payload)
        if contract.domains[shape.domain].personal_data == OPEN:
            newer = maker.make(shape, trial(number), Wish()).envelope
            yield Envelope(newer.topic, newer.headers, newer.payload + NEWER_FIELD)


def _furnished(contract: Contract, item: Envelope, number: int) -> Envelope:
    """With unknown headers of all classes, every optional header that fits, and a time of another class."""
    headers = {f"note_{kind.lower()}": text for kind, text in SAMPLES.items()}
    headers |= dict.fromkeys(NAME_SAMPLES.values(), "named")
    headers |= {f"extra_{count}": "many" for count in range(40)} if number % 2 else {}
    headers["produced_at"] = TIMES[number % len(TIMES)]
    headers |= {name: contract.headers[name].example for name in OPTIONAL}
    texts = [text for text in SAMPLES.values() if text]
    headers |= {name: texts[(3 * number + place) % len(texts)] for place, name in enumerate(FREE)}
    if number % 2:
        headers["message_id"] = item.headers["message_id"].upper()
    return Envelope(item.topic, item.headers.with_(**headers), item.payload)


@lru_cache(256)
def broken(contract: Contract, requirement: str) -> tuple[Envelope, ...]:
    """Messages that break one requirement, of every shape in which they can."""
    maker = maker_of(contract)
    found = []
    for way in _ways(maker).get(requirement, ()):
        for number, shape in enumerate(way.shapes):
            made = maker.make(shape, trial(number), way.wish)
            changed = way.change(made, shape, trial(number))
            if changed is not None:
                found.append(changed)
    return tuple(found)
