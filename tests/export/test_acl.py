"""The permissions derived from the service map, held by a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import nats
import pytest

from ampybus_contract import Envelope
from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.protocol import Endpoint, Subscription
from ampybus_contract.brokers.nats_server import NatsServer, nats_server
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import BrokerError, PublishError, TargetError
from ampybus_contract.export.acl import nats_permissions
from ampybus_contract.harness.workload import Workload

CONTRACT = default_contract()
SERVICES = ("ampy-oms", "broker-alpaca")
DEADLINE_SECONDS = 30.0


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    users: list[dict[str, object]] = [{"user": "admin", "password": "admin"}]
    for service in SERVICES:
        found = nats_permissions(CONTRACT, "dev", service, "S")
        allowed = {"publish": list(found.publish), "subscribe": list(found.subscribe)}
        users.append({"user": found.user, "password": service, "permissions": allowed})
    with nats_server(settings=f"authorization: {json.dumps({'users': users})}\n") as made:
        asyncio.run(create(made))
        yield made


async def create(server: NatsServer) -> None:
    client = await nats.connect(server.url, user="admin", password="admin", allow_reconnect=False)
    await client.jetstream().add_stream(name="S", subjects=["ampy.>"])
    await client.close()


async def all_acknowledged(server: NatsServer, consumer: str) -> None:
    client = await nats.connect(server.url, user="admin", password="admin", allow_reconnect=False)
    while (await client.jetstream().consumer_info("S", consumer)).num_ack_pending:
        pass
    await client.close()


@asynccontextmanager
async def service(server: NatsServer, name: str) -> AsyncIterator[NatsTransport]:
    url = server.url.replace("nats://", f"nats://dev.{name}:{name}@")
    transport = NatsTransport()
    async with asyncio.timeout(DEADLINE_SECONDS):
        await transport.open(Endpoint(url, "S", inbox=nats_permissions(CONTRACT, "dev", name, "S").inbox))
        try:
            yield transport
        finally:
            await transport.close()


def order(env: str = "dev") -> Envelope:
    made = Workload(CONTRACT, 1).envelope("orders")
    return Envelope(f"ampy.{env}.orders.v1.requests", made.headers, made.payload)


@pytest.mark.server
def test_what_the_map_permits_is_published_read_and_acknowledged(server: NatsServer) -> None:
    async def main() -> None:
        async with service(server, "ampy-oms") as oms, service(server, "broker-alpaca") as alpaca:
            await oms.send(order())
            incoming = await alpaca.consume(Subscription("ampy.dev.orders.v1.requests", "broker-alpaca"))
            message = await anext(incoming)
            assert message.envelope.topic == order().topic
            await message.ack()
            await all_acknowledged(server, "S_broker-alpaca")

    asyncio.run(main())


@pytest.mark.server
@pytest.mark.parametrize(("name", "env"), [("broker-alpaca", "dev"), ("ampy-oms", "prod")])
def test_a_publish_of_another_service_or_environment_is_refused(
    server: NatsServer, name: str, env: str
) -> None:
    async def main() -> None:
        async with service(server, name) as transport:
            with pytest.raises(PublishError, match=r"(?i)permissions violation for publish") as raised:
                await transport.send(order(env))
            assert raised.value.definite

    asyncio.run(main())


@pytest.mark.server
@pytest.mark.parametrize(
    ("pattern", "group"),
    [
        ("ampy.prod.signals.v1.>", "ampy-oms"),
        ("ampy.dev.orders.v1.requests", "ampy-oms"),
        ("ampy.>", "ampy-oms"),
        ("ampy.dev.signals.v1.>", "broker-alpaca"),
    ],
)
def test_a_read_beyond_the_map_is_refused(server: NatsServer, pattern: str, group: str) -> None:
    async def main() -> None:
        async with service(server, "ampy-oms") as transport:
            with pytest.raises(BrokerError, match=r"(?i)permissions violation.*consumer"):
                await transport.consume(Subscription(pattern, group))

    asyncio.run(main())


@pytest.mark.parametrize(("name", "env"), [("nobody", "dev"), ("ampy-oms", "moon")])
def test_an_unknown_service_or_environment_is_named(name: str, env: str) -> None:
    with pytest.raises(TargetError, match=f"{name}.*{env}"):
        nats_permissions(CONTRACT, env, name, "S")
