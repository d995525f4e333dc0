"""Telemetry of the reference binding as a service uses it, with sinks of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from ampybus_contract import Envelope
from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.observer import Observer
from ampybus_contract.bindings.protocol import Endpoint, Settlement, Subscription
from ampybus_contract.bindings.reference import LAG_SECONDS, ReferenceBinding
from ampybus_contract.bindings.telemetry import Telemetry
from ampybus_contract.brokers.memory import MemoryBroker
from ampybus_contract.brokers.virtual_time import run_virtual
from ampybus_contract.contract import default_contract
from ampybus_contract.harness.workload import Workload

CONTRACT = default_contract()
SPAN = "00f067aa0ba902b7"


def order() -> Envelope:
    return Workload(CONTRACT, 1).envelope("orders")


def sent(observer: Observer | None, envelope: Envelope) -> Envelope:
    """Publish to a handler that applies; gives what is stored."""

    async def main() -> Envelope:
        broker = MemoryBroker()
        binding = ReferenceBinding(MemoryTransport(), CONTRACT, observer=observer)

        async def handle(_envelope: Envelope) -> Settlement:
            return Settlement.OK

        await binding.start(Endpoint("memory", "memory", broker))
        await binding.subscribe(Subscription("ampy.>", "group"), handle)
        await binding.publish(envelope)
        while any(item.waiting or item.pending for item in broker.consumers.values()):
            await asyncio.sleep(0.01)
        await binding.stop()
        return broker.stored[0]

    return run_virtual(main())


def test_metrics_stand_in_the_services_own_registry() -> None:
    registry = CollectorRegistry()
    sent(Telemetry(CONTRACT, registry), order())
    labels = {"topic": "ampy.dev.orders.v1", "consumer": "group"}
    assert registry.get_sample_value("bus_consumed_total", labels) == 1
    assert registry.get_sample_value("bus_consumer_lag", labels) == 0


def test_the_lag_counts_what_came_since_a_group_took_its_last_record() -> None:
    registry = CollectorRegistry()
    room = CONTRACT.backpressure.in_flight

    async def main() -> float | None:
        binding = ReferenceBinding(MemoryTransport(), CONTRACT, observer=Telemetry(CONTRACT, registry))
        release = asyncio.Event()

        async def wait(_envelope: Envelope) -> Settlement:
            await release.wait()
            return Settlement.OK

        await binding.start(Endpoint("memory", "memory", MemoryBroker()))
        await binding.subscribe(Subscription("ampy.>", "group"), wait)
        made = Workload(CONTRACT, 1)
        for number in range(room + 7):
            await binding.publish(made.envelope("orders"))
            if number == room:
                await asyncio.sleep(LAG_SECONDS / 2)
        await asyncio.sleep(LAG_SECONDS)
        labels = {"topic": "ampy.dev.orders.v1", "consumer": "group"}
        shown = registry.get_sample_value("bus_consumer_lag", labels)
        release.set()
        await binding.stop()
        return shown

    assert run_virtual(main()) == room + 7


def test_log_records_go_where_the_service_says() -> None:
    lines: list[str] = []
    sent(Telemetry(CONTRACT, log=lines.append), order())
    assert [sorted(json.loads(line)) for line in lines] == [
        sorted([*CONTRACT.logs.fields, side]) for side in ("producer", "consumer")
    ]


def test_spans_hang_together_and_the_context_travels() -> None:
    spans = InMemorySpanExporter()
    stored = sent(Telemetry(CONTRACT, spans=SimpleSpanProcessor(spans)), order())
    made = {span.name.partition(" ")[0]: span for span in spans.get_finished_spans()}
    context = made["publish"].get_span_context()
    assert context is not None
    assert stored.headers["traceparent"] == f"00-{stored.headers['trace_id']}-{context.span_id:016x}-01"
    parent = made["consume"].parent
    assert parent is not None
    assert parent.span_id == context.span_id
    assert [link.context.span_id for link in made["consume"].links] == [context.span_id]
    assert made["handle"].parent == made["consume"].get_span_context()


@pytest.mark.parametrize("header", ["traceparent", "span_id"])
def test_a_context_that_is_there_is_kept(header: str) -> None:
    trace = order().headers["trace_id"]
    value = SPAN if header == "span_id" else f"00-{trace}-{SPAN}-01"
    spans = InMemorySpanExporter()
    plain = order()
    envelope = Envelope(plain.topic, plain.headers.with_(**{header: value}), plain.payload)
    assert sent(Telemetry(CONTRACT, spans=SimpleSpanProcessor(spans)), envelope) == envelope
    parents = {span.parent.span_id for span in spans.get_finished_spans() if span.parent}
    assert int(SPAN, 16) in parents


def test_without_telemetry_the_envelope_goes_as_it_is() -> None:
    assert sent(None, order()) == order()


def test_without_telemetry_its_libraries_are_not_loaded() -> None:
    code = (
        "import sys, ampybus_contract.bindings.reference; "
        "print([n for n in sys.modules if n.startswith(('prometheus_client', 'opentelemetry'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
