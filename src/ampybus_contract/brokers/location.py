"""Broker URLs: as they are given, and as they may be shown.

``nats://``, ``tls://`` (NATS over TLS), ``kafka://`` and ``kafkas://`` (Kafka over TLS), with
``user:password@`` where the broker asks for it. The URLs for TLS take the files to use as
``?ca=ca.pem&cert=client.pem&key=client.key``; what is left out is not used, and without ``ca`` the
authorities of the system are trusted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from ampybus_contract.brokers.tls import SECURE, TlsFiles
from ampybus_contract.errors import BrokerError

FILES = {"ca": "ca", "cert": "certificate", "key": "key"}


@dataclass(frozen=True, slots=True)
class Location:
    """A broker's URL without the names of files, and these."""

    url: str = field(repr=False)
    tls: TlsFiles | None = None

    @classmethod
    def parse(cls, text: str) -> Location:
        """Take a given URL apart. Raises BrokerError, which shows none of its values."""
        url, _, query = text.partition("?")
        secure = url.partition("://")[0] in SECURE
        words = parse_qsl(query, keep_blank_values=True)
        names = [name for name, _ in words]
        if (query and not words) or not {*names} <= {*FILES} or ("key" in names and "cert" not in names):
            raise BrokerError(
                "BROKER expected ?ca=FILE&cert=FILE&key=FILE after the URL, got other words. "
                "Fix: name these only, and write ? in a password as %3F"
            )
        if words and not secure:
            raise BrokerError(
                "BROKER expected a URL for TLS with certificates, got one for plain text. "
                "Fix: begin it with tls:// (NATS) or kafkas:// (Kafka)"
            )
        files = {FILES[name]: Path(value).absolute() for name, value in words}
        return cls(url, TlsFiles(**files) if secure else None)


def first_server(url: str) -> tuple[str, int]:
    """Host and port of the first server that a URL names. Raises BrokerError where it names no port."""
    parts = urlsplit(url.partition(",")[0])
    if parts.hostname is None or parts.port is None:
        raise BrokerError(
            f"BROKER expected a URL with host and port, got {without_credentials(url)}. Fix: write both"
        )
    return parts.hostname, parts.port


def elsewhere(url: str, place: str) -> str:
    """A URL of one server, with another host and port."""
    parts = urlsplit(url.partition(",")[0])
    credentials, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{credentials}{at}{place}"))


def with_credentials(url: str, user: str, password: str, place: str = "") -> str:
    """A URL with a user and a password, and another host and port where ``place`` names them."""
    first = url.partition(",")[0]
    parts = urlsplit(first if "://" in first else f"{first}://{first}")
    host = place or parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{host}"))


def without_credentials(url: str) -> str:
    """What of a URL anybody may see: its scheme, and hosts and ports after the last ``@``."""
    head, at, rest = url.rpartition("@")
    scheme, sign, _ = head.partition("://")
    shown = f"{scheme}{sign}{rest}" if at and sign else rest
    return shown.partition("?")[0]
