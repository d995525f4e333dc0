"""The mistakes of the SDK's troubleshooting page: each is refused with what was meant, on every binding."""

from __future__ import annotations

import asyncio

import pytest

from ampybus_contract import Envelope
from ampybus_contract.bindings.kafka import KafkaTransport
from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.protocol import Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Transport
from ampybus_contract.brokers.kafka_light import light_kafka_server
from ampybus_contract.brokers.kafka_stream import KafkaSource
from ampybus_contract.brokers.nats_source import embedded_nats
from ampybus_contract.brokers.protocol import Broker
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import PublishError, SubscriptionError
from ampybus_contract.validation.subscribable import see_pattern

CONTRACT = default_contract()
SECONDS = 30.0
TRANSPORTS = [MemoryTransport, NatsTransport, KafkaTransport]
SHAPE = r"[Ww]rite ampy\.\{env\}\.\{domain\}\.\{version\}\.\{subtopic\}"
TOPICS = {
    "ampy.dev_bars_v1_XNAS_AAPL": r"did you mean ampy\.dev\.bars\.v1\.XNAS\.AAPL\?",
    "": SHAPE,
    "ampy": SHAPE,
    "ampy.dev.bars.v1": SHAPE,
    "ampy.dev..v1.XNAS.AAPL": SHAPE,
    "ampy/dev/bars/v1/XNAS/AAPL": SHAPE,
    "ampy.dev.bars.v1.>": r"Replace \* and > by concrete tokens",
}
PATTERNS = {
    "ampy.dev_bars_v1_XNAS_AAPL": r"did you mean ampy\.dev\.bars\.v1\.XNAS\.AAPL\?",
    "": SHAPE,
    "ampy": r"write ampy\.> for all below",
    "*": r"write \*\.> for all below",
    "ampy.dev..v1.>": SHAPE,
    "ampy.>.bars": SHAPE,
    "ampy.>.>": SHAPE,
    "ampy.d*v.>": SHAPE,
    "ampy.dev bars.>": SHAPE,
    "other.>": "Fix: write ampy$",
    "ampy.mars.>": r"Fix: write dev \| paper \| prod$",
    "ampy.dev.barz.>": r"Fix: write bars \| ",
}


async def apply(_envelope: Envelope) -> Settlement:
    return Settlement.OK


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("topic", "hint"), TOPICS.items())
def test_a_wrong_topic_is_refused_with_what_was_meant(
    transport: type[MemoryTransport], topic: str, hint: str, bars: Envelope
) -> None:
    binding = ReferenceBinding(transport(), CONTRACT)
    with pytest.raises(PublishError, match=hint) as caught:
        asyncio.run(binding.publish(Envelope(topic, bars.headers, bars.payload)))
    assert caught.value.definite


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("pattern", "hint"), PATTERNS.items())
def test_a_pattern_that_no_topic_falls_under_is_refused_with_what_was_meant(
    transport: type[MemoryTransport], pattern: str, hint: str
) -> None:
    binding = ReferenceBinding(transport(), CONTRACT)
    with pytest.raises(SubscriptionError, match=f"^SUBSCRIBE expected .*{hint}"):
        asyncio.run(binding.subscribe(Subscription(pattern, "group"), apply))


@pytest.mark.parametrize("act", ["resume", "take_replays", "redrive", "capture"])
def test_so_it_is_for_every_act_that_takes_a_pattern(act: str) -> None:
    binding = ReferenceBinding(MemoryTransport(), CONTRACT)
    wanted = Subscription("ampy.dev_bars_v1_XNAS_AAPL", "group")
    given = {"redrive": (wanted.pattern, 1), "capture": (wanted.pattern, None)}.get(act, (wanted, apply))
    with pytest.raises(SubscriptionError, match="did you mean"):
        asyncio.run(getattr(binding, act)(*given))


@pytest.mark.parametrize("group", ["", " ", "a\nb"])
def test_a_group_without_a_name_is_refused(group: str) -> None:
    binding = ReferenceBinding(MemoryTransport(), CONTRACT)
    with pytest.raises(SubscriptionError, match="Fix: give it the name of the service"):
        asyncio.run(binding.subscribe(Subscription("ampy.>", group), apply))


@pytest.mark.parametrize(
    "pattern",
    [">", "ampy.>", "*.*.bars.>", "ampy.dev.*.v1.>", "ampy.dev.bars.v1.XNAS.*", "ampy.dev.bars.v2.>"],
)
def test_a_pattern_that_topics_can_fall_under_is_accepted(pattern: str) -> None:
    see_pattern(pattern, CONTRACT)


@pytest.mark.parametrize(
    "broker", [pytest.param("nats", marks=pytest.mark.server), pytest.param("kafka", marks=pytest.mark.kafka)]
)
def test_a_group_with_dots_gets_its_messages(broker: str, bars: Envelope) -> None:
    async def scene(source: Broker, transport: Transport) -> None:
        async with asyncio.timeout(SECONDS), source.stream() as (place, _):
            binding = ReferenceBinding(transport, CONTRACT)
            await binding.start(place)
            got: asyncio.Queue[Envelope] = asyncio.Queue()

            async def handle(envelope: Envelope) -> Settlement:
                got.put_nowait(envelope)
                return Settlement.OK

            await binding.subscribe(Subscription("ampy.>", "ampy.bars.v1.Bar"), handle)
            await binding.publish(bars)
            assert await got.get() == bars
            await binding.stop()

    if broker == "nats":
        with embedded_nats(CONTRACT) as source:
            source.run(scene(source, NatsTransport(CONTRACT)))
    else:
        with light_kafka_server() as server:
            asyncio.run(scene(KafkaSource(server.url, CONTRACT, "light"), KafkaTransport()))
