"""Bindings that connect in another way than they are told."""

from __future__ import annotations

import contextlib
import ssl
import warnings
from collections.abc import Callable
from dataclasses import replace

from ampybus_contract.bindings.protocol import Endpoint
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.tls import PLAIN_SCHEMES, TlsFiles
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import BrokerError
from ampybus_contract.harness.mutants.build import Build, Mutant

NO_CHECK_TIME = 0x200000


class FallsBack(ReferenceBinding):
    """Where TLS does not work, goes without."""

    async def start(self, endpoint: Endpoint) -> None:
        try:
            await super().start(endpoint)
        except BrokerError:
            scheme, sign, rest = endpoint.url.partition("://")
            plain = f"{PLAIN_SCHEMES.get(scheme, scheme)}{sign}{rest}"
            await super().start(replace(endpoint, url=plain, tls=None))


def trust_anybody(context: ssl.SSLContext) -> None:
    """Take any certificate."""
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE


def trust_any_host(context: ssl.SSLContext) -> None:
    """Take the certificate of another host."""
    context.check_hostname = False


def trust_for_ever(context: ssl.SSLContext) -> None:
    """Take a certificate whose time is over."""
    context.verify_flags |= NO_CHECK_TIME


def take_old_versions(context: ssl.SSLContext) -> None:
    """Take TLS 1.0."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1


class ReadsOnce(TlsFiles):
    """Keeps what the files held at first until the process is started again."""

    __slots__ = ()

    def context(self, minimum: str) -> ssl.SSLContext:
        return self.loaded(minimum)


class ShowsNoCertificate(ReferenceBinding):
    """Connects as if it had none."""

    async def start(self, endpoint: Endpoint) -> None:
        tls = endpoint.tls and replace(endpoint.tls, certificate=None, key=None)
        await super().start(replace(endpoint, tls=tls))


class TakesRefusalsForAnswers(ReferenceBinding):
    """Says that all is well where it is not let in."""

    refused = False

    async def start(self, endpoint: Endpoint) -> None:
        try:
            await super().start(endpoint)
        except BrokerError:
            self.refused = True

    async def publish(self, envelope: Envelope) -> None:
        if not self.refused:
            await super().publish(envelope)

    async def stop(self) -> None:
        with contextlib.suppress(BrokerError):
            await super().stop()


def mutants(_contract: Contract) -> list[Mutant]:
    """Every mutant of the chapter."""
    return [
        Mutant("falls back to plaintext", "SEC-01", FallsBack),
        Mutant("allows TLS 1.0", "SEC-02", _loosened(take_old_versions)),
        Mutant("verifies nothing", "SEC-03", _loosened(trust_anybody)),
        Mutant("does not compare the host name", "SEC-03", _loosened(trust_any_host)),
        Mutant("takes expired certificates", "SEC-03", _loosened(trust_for_ever)),
        Mutant("shows no certificate of its own", "SEC-04", ShowsNoCertificate),
        Mutant("takes a refusal for an answer", "SEC-04", TakesRefusalsForAnswers),
        Mutant("needs a restart for new certificates", "SEC-05", _with(ReadsOnce)),
    ]


def _loosened(loosen: Callable[[ssl.SSLContext], None]) -> Build:
    """Connects by contexts that are loosened in one way."""

    class Loose(TlsFiles):
        __slots__ = ()

        def loaded(self, minimum: str) -> ssl.SSLContext:
            made = TlsFiles.loaded(self, minimum)
            loosen(made)
            return made

    return _with(Loose)


def _with(files: type[TlsFiles]) -> Build:
    """Uses the endpoint's files in another way."""

    class Other(ReferenceBinding):
        async def start(self, endpoint: Endpoint) -> None:
            tls = endpoint.tls
            own = None if tls is None else files(tls.ca, tls.certificate, tls.key)
            await super().start(replace(endpoint, tls=own))

    return Other
