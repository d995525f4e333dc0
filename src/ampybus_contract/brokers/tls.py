"""TLS of a client: which files it uses, and contexts that take what the files hold at the moment (D35)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ampybus_contract.errors import BrokerError

PLAIN_SCHEMES = {"tls": "nats", "kafkas": "kafka"}
SECURE = tuple(PLAIN_SCHEMES)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the authorities to trust, and the client's own certificate chain and key.

    Without ``ca`` those of the system are trusted; without ``certificate`` the client shows none. A
    certificate may hold its key in the same file. The files may be replaced while clients run.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def context(self, minimum: str) -> ssl.SSLContext:
        """A context that verifies issuer, host name and validity, and reads the files for each connection.

        ``minimum`` is the lowest TLS version, as in ``security.yaml``. Raises BrokerError for files that
        cannot be used.
        """
        try:
            self.loaded(minimum)
        except (OSError, ValueError) as error:
            raise BrokerError(
                f"BROKER expected PEM files for TLS, got {type(error).__name__} for {self._named()}. "
                "Fix: see that they are there, and that the key belongs to the certificate"
            ) from error
        made = _Reread(ssl.PROTOCOL_TLS_CLIENT)
        made.files = self
        made.minimum = minimum
        return made

    def loaded(self, minimum: str) -> ssl.SSLContext:
        """A context with what the files hold now."""
        made = ssl.create_default_context(cafile=self.ca)
        made.minimum_version = version(minimum)
        if self.certificate is not None:
            made.load_cert_chain(self.certificate, self.key)
        return made

    def _named(self) -> str:
        return ", ".join(str(path) for path in (self.ca, self.certificate, self.key) if path is not None)


class _Reread(ssl.SSLContext):
    """Makes every connection by a new context, so that a replaced certificate needs no restart."""

    files: TlsFiles
    minimum: str

    def wrap_bio(self, *words: Any, **named: Any) -> ssl.SSLObject:
        return self.files.loaded(self.minimum).wrap_bio(*words, **named)


def version(text: str) -> ssl.TLSVersion:
    """The TLS version of a number such as 1.2."""
    return ssl.TLSVersion[f"TLSv{text.replace('.', '_')}"]


def files_for(url: str, tls: TlsFiles | None) -> TlsFiles | None:
    """The files to connect with, None for plain text; a URL for TLS without any trusts as the system does."""
    if tls is None and url.partition("://")[0] in SECURE:
        return TlsFiles()
    return tls
