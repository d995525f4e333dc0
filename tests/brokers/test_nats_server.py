"""A golden crosses a real server unchanged, and nothing stays behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import sysconfig
from pathlib import Path

import nats
import pytest

from ampybus_contract import Envelope, Headers
from ampybus_contract.brokers.nats_server import nats_server
from ampybus_contract.errors import BrokerError


async def cross(url: str, envelope: Envelope) -> Envelope:
    """Store an envelope in a stream and read it back with a plain client."""
    client = await nats.connect(url, allow_reconnect=False)
    try:
        stream = client.jetstream()
        await stream.add_stream(name="goldens", subjects=["ampy.>"])
        await stream.publish(envelope.topic, envelope.payload, headers=dict(envelope.headers))
        subscription = await stream.subscribe("ampy.>")
        message = await subscription.next_msg(timeout=5)
        return Envelope(message.subject, Headers(message.headers or {}), message.data)
    finally:
        await client.close()


@pytest.mark.server
def test_a_golden_crosses_unchanged(bars: Envelope) -> None:
    with nats_server() as server:
        assert server.url.startswith("nats://127.0.0.1:")
        assert asyncio.run(cross(server.url, bars)) == bars


@pytest.mark.server
def test_process_and_files_are_gone_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pid = 0
    with pytest.raises(ZeroDivisionError), nats_server() as server:
        pid = server.pid
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_missing_server_is_named_with_its_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda _name: str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(BrokerError, match=r"ampybus-contract\[nats\]"), nats_server():
        pass
