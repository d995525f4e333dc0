"""Strangers between a binding and its broker, and certificates that change."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from ampybus_contract.bindings.protocol import Endpoint
from ampybus_contract.brokers.intermediary import Disguise, intermediary
from ampybus_contract.brokers.location import elsewhere, first_server
from ampybus_contract.brokers.proxy import fault_proxy
from ampybus_contract.brokers.tls import PLAIN_SCHEMES
from ampybus_contract.harness.stage import Stage

KEYS = 3
ROUNDS = 8
PLAIN_CONNECTION = "a plain connection"
NO_CERTIFICATE = "a client without a certificate"
RENEWED = "the certificates of broker and clients were replaced"
BROKEN = "all connections were reset"


async def plain_peer(stage: Stage) -> None:
    """A server that offers no TLS, and the right one with a binding that is told to go without."""
    await _traffic(stage)
    await _meet(stage, Disguise.NONE, Disguise.PLAIN)
    endpoint = stage.place
    scheme, sign, rest = endpoint.url.partition("://")
    plain = f"{PLAIN_SCHEMES.get(scheme, scheme)}{sign}{rest}"
    await stage.meet(PLAIN_CONNECTION, replace(endpoint, url=plain, tls=None))


async def old_peer(stage: Stage) -> None:
    """A server whose newest TLS version is older than the contract allows."""
    await _traffic(stage)
    await _meet(stage, Disguise.NONE, Disguise.OLD)


async def untrusted_peers(stage: Stage) -> None:
    """Servers whose certificates fail in one thing each of those that the contract has verified."""
    await _traffic(stage)
    await _meet(stage, Disguise.NONE, *(Disguise(name) for name in stage.contract.security.tls_verify))


async def without_certificate(stage: Stage) -> None:
    """A binding with its certificate, and one without."""
    await _traffic(stage)
    endpoint = stage.place
    tls = endpoint.tls and replace(endpoint.tls, certificate=None, key=None)
    await stage.meet("", endpoint)
    await stage.meet(NO_CERTIFICATE, replace(endpoint, tls=tls))


async def renewed_certificates(stage: Stage) -> None:
    """Certificates that are replaced in the middle of traffic; then every connection breaks once."""
    domain = stage.workload.keyed_domain()
    host, port = first_server(stage.place.url)
    made = [stage.workload.envelope(domain, position % KEYS) for position in range(KEYS * ROUNDS)]
    async with fault_proxy(port, host) as link:
        through = replace(stage.place, url=elsewhere(stage.place.url, f"{host}:{link.port}"))
        await stage.move(through)
        await stage.subscribe(stage.pattern(domain))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(stage.publish(*made))
            await stage.renew_certificates()
            stage.fault(RENEWED)
        link.reset()
        stage.fault(BROKEN)
        await stage.healed([*made, *await stage.publish_until_acknowledged(domain)])
        await stage.stop()


async def _traffic(stage: Stage) -> None:
    domain = stage.workload.keyed_domain()
    made = [stage.workload.envelope(domain, key) for key in range(KEYS)]
    await stage.subscribe(stage.pattern(domain))
    await stage.publish(*made)
    await stage.applied(made)


async def _meet(stage: Stage, *disguises: Disguise) -> None:
    endpoint: Endpoint = stage.place
    for disguise in disguises:
        async with intermediary(endpoint, stage.contract.security.tls_minimum, disguise) as between:
            place = replace(endpoint, url=elsewhere(endpoint.url, between.place), tls=between.files)
            await stage.meet(disguise, place, between.bytes_read)
