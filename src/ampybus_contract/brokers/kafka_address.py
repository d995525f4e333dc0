"""Kafka URLs: ``kafka://[user:password@]host:port[,host:port…]``, or ``kafkas://`` for TLS."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from ampybus_contract.brokers.tls import TlsFiles, files_for
from ampybus_contract.errors import BrokerError

SCHEMES = ("kafka://", "kafkas://")


@dataclass(frozen=True, slots=True)
class KafkaAddress:
    """Where the brokers are, and as whom and how to speak to them."""

    servers: str
    tls: TlsFiles | None
    user: str | None
    password: str | None = field(repr=False)

    @classmethod
    def parse(cls, url: str, tls: TlsFiles | None = None) -> KafkaAddress:
        """Take a URL apart; ``tls`` are the files to connect with. Raises BrokerError for one of others."""
        parts = urlsplit(url)
        credentials, at, servers = parts.netloc.rpartition("@")
        if parts.scheme not in ("kafka", "kafkas") or not all(
            server.rpartition(":")[2].isdigit() for server in servers.split(",")
        ):
            shown = f"{parts.scheme}://{servers}"
            raise BrokerError(f"BROKER expected kafka://host:port, got {shown!r}. Fix: write host and port")
        user, _, password = credentials.partition(":")
        return cls(
            servers,
            files_for(url, tls),
            unquote(user) if at else None,
            unquote(password) if at else None,
        )

    def options(self, tls_minimum: str) -> dict[str, Any]:
        """The words by which aiokafka's clients connect; a password goes by SASL PLAIN.

        ``tls_minimum`` is the lowest version of TLS. Raises BrokerError for files that cannot be used.
        """
        protocol = ("SASL_" if self.user is not None else "") + ("PLAINTEXT" if self.tls is None else "SSL")
        found: dict[str, Any] = {
            "bootstrap_servers": self.servers.split(","),
            "security_protocol": protocol,
        }
        if self.tls is not None:
            found["ssl_context"] = self.tls.context(tls_minimum)
        if self.user is not None:
            found |= {
                "sasl_mechanism": "PLAIN",
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password,
            }
        return found
