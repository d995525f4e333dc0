"""Certificates for tests: an authority of the run's own, and what it issues. Nobody else trusts it."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ampybus_contract.brokers.tls import TlsFiles
from ampybus_contract.errors import BrokerError

HOST = "127.0.0.1"
OTHER_HOST = "other.invalid"
LIFE = timedelta(days=2)
CLIENT = "client.ampybus.invalid"


class Authority:
    """Issues certificates; one file holds a certificate, what leads from it to the authority, and its key.

    Raises BrokerError where what makes certificates is not installed.
    """

    def __init__(self) -> None:
        try:
            import trustme  # noqa: PLC0415  needs an extra
        except ModuleNotFoundError as error:
            raise BrokerError(
                f"BROKER expected {error.name} to make certificates, found none. "
                "Fix: pip install 'ampybus-contract[tls]'"
            ) from error
        self._ca = trustme.CA()

    @property
    def certificate(self) -> bytes:
        """Its own certificate, to be trusted."""
        return self._ca.cert_pem.bytes()

    def issue(self, name: str, age: timedelta = timedelta(0)) -> bytes:
        """A certificate for a host or a client, as if issued that long ago for ``LIFE``, with its key."""
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  needs an extra

        start = datetime.now(UTC) - age - timedelta(hours=1)
        leaf = self._ca.issue_cert(name, not_before=start, not_after=start + LIFE)
        key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
        own = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return b"".join(blob.bytes() for blob in leaf.cert_chain_pems) + own

    def issue_expired(self, name: str) -> bytes:
        """A certificate whose time is over."""
        return self.issue(name, LIFE * 2)


class Certificates:
    """The files of one server on loopback and its clients, each trusting one authority alone."""

    def __init__(self, directory: Path) -> None:
        self.ca = directory / "ca.pem"
        self.server = directory / "server.pem"
        self.client = directory / "client.pem"
        self.renew()

    @property
    def files(self) -> TlsFiles:
        """What a client needs."""
        return TlsFiles(self.ca, self.client)

    def renew(self) -> None:
        """Replace all of them by those of a new authority; nobody has to trust the old one any more."""
        authority = Authority()
        replace_file(self.ca, authority.certificate)
        replace_file(self.server, authority.issue(HOST))
        replace_file(self.client, authority.issue(CLIENT))


def replace_file(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, so that a reader finds the old content or the new."""
    new = path.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_bytes(content)
    os.replace(new, path)
