"""Brokers hold as it is what the rule of their probe lets pass, and nothing else."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from ampybus_contract.brokers import kafka_fit, nats_fit
from ampybus_contract.brokers.levers import Fits
from ampybus_contract.brokers.memory import MemoryBroker, MemoryProbe
from ampybus_contract.brokers.nats_server import nats_server
from ampybus_contract.brokers.nats_stream import NatsProbe, NatsSource
from ampybus_contract.contract import default_contract
from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.errors import BrokerError
from ampybus_contract.harness.history import Operation, Outcome
from ampybus_contract.harness.wire import Wire
from ampybus_contract.harness.workload import Workload
from ampybus_contract.strategies import breaks, broken
from ampybus_contract.strategies.mangled import MANGLINGS, mangled

CONTRACT = default_contract()
MADE = Workload(CONTRACT, 1)
LIKE = MADE.envelope("bars")
ODD = ("", " ", "a ", "\u00a0x", "a\x1f", "\x00", "\x7f", "é", "\U0001d518", "a\nb", "\ud800", "x" * 4096)


def with_header(name: str, value: str) -> Envelope:
    return MADE.envelope("bars", **{name: value})  # type: ignore[arg-type]


def drawn() -> list[Envelope]:
    made = [broken(spot, number) for number, spot in enumerate(breaks())]
    accidents = [mangled(item.before, MANGLINGS[n % len(MANGLINGS)], n) for n, item in enumerate(made)]
    odd = [with_header("x_odd", text) for text in ODD] + [with_header(f"x{text}", "1") for text in ODD]
    whole = [item.envelope for item in made] + [item.before for item in made]
    return [*whole, *filter(None, accidents), *odd]


@pytest.mark.server
def test_nats_holds_as_it_is_what_fits_and_alters_or_refuses_the_rest() -> None:
    with nats_server() as server:
        source = NatsSource(server.url, CONTRACT.topic.prefix, "nats", server=server)
        source.run(_compared(source))


async def _compared(source: NatsSource) -> None:
    async with source.stream() as (_endpoint, probe):
        expected, rules = [], Counter[str]()
        for envelope in drawn():
            rule = probe.unfit(envelope)
            rules[rule] += 1
            if not rule:
                expected.append(envelope)
                await probe.inject(envelope)
            else:
                await _differs(probe, envelope)
        assert [item for item in await probe.stored() if item in set(expected)] == expected
        assert len(rules) == 6


async def _differs(probe: NatsProbe, envelope: Envelope) -> None:
    """What the rule leaves out is refused, or stored as something else."""
    before = (await probe.jetstream.stream_info(probe.stream)).state.last_seq
    try:
        async with asyncio.timeout(5):
            await probe.inject(envelope)
    except (BrokerError, UnicodeEncodeError, TimeoutError):
        return
    message = await probe.jetstream.get_msg(probe.stream, before + 1)
    headers = {name: str(value) for name, value in (message.headers or {}).items()}
    stored = Envelope(str(message.subject), Headers(headers), message.data or b"")
    assert stored != envelope


@pytest.mark.parametrize(
    ("envelope", "says"),
    [
        (LIKE, ""),
        (with_header("x_odd", " é\n"), ""),
        (replace(LIKE, topic="ampy.dev"), "name a Kafka topic"),
        (replace(LIKE, topic="ampy..bars.v1.XNAS.A"), "name a Kafka topic"),
        (replace(LIKE, topic="ampy.dev.bars.v~.XNAS.A"), "name a Kafka topic"),
        (replace(LIKE, topic=f"ampy.dev.bars.{'v' * 250}.A"), "short"),
        (with_header("ampy_topic", LIKE.topic), "carries the topic"),
        (with_header("x_odd", "\ud800"), "UTF-8"),
        (replace(LIKE, payload=bytes(1_048_576)), "max.message.bytes"),
    ],
)
def test_kafka_holds_what_the_mapping_has_a_place_for(envelope: Envelope, says: str) -> None:
    rule = kafka_fit.unfit(envelope, 4, CONTRACT.kafka.topic_header, CONTRACT.payload.sent_below)
    assert rule == "" if not says else says in rule


def test_nats_counts_headers_into_its_limit() -> None:
    size = len(LIKE.payload) + 26 + sum(len(f"{name}: {value}\r\n".encode()) for name, value in HEADERS)
    assert nats_fit.unfit(LIKE, "ampy", "Nats-Msg-Id", size) == ""
    assert "max_payload" in nats_fit.unfit(LIKE, "ampy", "Nats-Msg-Id", size - 100)


HEADERS = LIKE.headers.items()


class PickyProbe(MemoryProbe):
    """Holds no news."""

    def unfit(self, envelope: Envelope) -> str:
        return "no news" if ".news." in envelope.topic else ""


def test_what_does_not_fit_is_left_out_and_the_history_says_why() -> None:
    async def injected() -> tuple[Wire, MemoryBroker]:
        broker = MemoryBroker()
        wire = Wire(CONTRACT, PickyProbe(broker), 1.0)
        await wire.inject(LIKE, Workload(CONTRACT, 1).envelope("news"))
        return wire, broker

    wire, broker = asyncio.run(injected())
    assert broker.stored == [LIKE]
    assert [(item.operation, item.outcome, item.error) for item in wire.history] == [
        (Operation.INJECT, Outcome.OK, ""),
        (Operation.INJECT, Outcome.FAIL, "no news"),
    ]
    assert isinstance(wire.probe, Fits)
    assert not isinstance(MemoryProbe(broker), Fits)
