"""Broker URLs as they may be shown."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit


def with_credentials(url: str, user: str, password: str, place: str = "") -> str:
    """A URL with a user and a password, and another host and port where ``place`` names them."""
    parts = urlsplit(url if "://" in url else f"{url}://{url}")
    host = place or parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{host}"))


def without_credentials(url: str) -> str:
    """A URL without its user and password."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
