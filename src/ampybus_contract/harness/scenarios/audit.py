"""Sessions that are captured, and what strangers do to them (D37)."""

from __future__ import annotations

from ampybus_contract.envelope import Envelope
from ampybus_contract.envelope.codec import compress
from ampybus_contract.harness.sessions import Session
from ampybus_contract.harness.stage import Stage

KEYS = 3
ROUNDS = 4
RUNS = ("", "_other")
CHANGED, RENAMED, DROPPED, DOUBLED = 2, 5, 4, 7


async def captured(stage: Stage) -> None:
    """Records of two runs, some of them compressed, and their session."""
    await _captured(stage)


async def captured_letters(stage: Stage) -> None:
    """As ``captured``; and the session of a compressed message's dead letter, where the binding has a DLQ."""
    domain = await _published(stage)
    if "dlq" in stage.claims:
        await stage.inject(_compressed(stage, stage.workload.envelope(domain, run_id=None)))
        await stage.buried(1)
        await stage.capture(stage.dead_letters(domain))
    await stage.capture(stage.pattern(domain))


async def tampered(stage: Stage) -> None:
    """A session as it was captured, and after a payload and a header were changed, their sizes kept."""
    session = await _captured(stage)
    await stage.audit(session)
    session.turn(CHANGED)
    session.rename(RENAMED, "run_id")
    await stage.audit(session)


async def gap_and_double(stage: Stage) -> None:
    """A session as it was captured, and after one record was taken out and another one put in twice."""
    session = await _captured(stage)
    await stage.audit(session)
    session.drop(DROPPED)
    session.double(DOUBLED)
    await stage.audit(session)


async def _captured(stage: Stage) -> Session:
    return await stage.capture(stage.pattern(await _published(stage)))


async def _published(stage: Stage) -> str:
    """Publish both runs; gives their domain."""
    domain = stage.workload.keyed_domain()
    await stage.subscribe(stage.pattern(domain))
    made = []
    for number in range(KEYS * ROUNDS):
        plain = stage.workload.envelope(domain, number % KEYS)
        run = plain.headers["run_id"] + RUNS[number % len(RUNS)]
        plain = Envelope(plain.topic, plain.headers.with_(run_id=run), plain.payload)
        made.append(_compressed(stage, plain) if number % 4 == 1 else plain)
    await stage.publish(*made)
    await stage.applied(made)
    return domain


def _compressed(stage: Stage, plain: Envelope) -> Envelope:
    headers = plain.headers.with_(content_encoding=stage.contract.payload.encodings[0])
    return Envelope(plain.topic, headers, compress(plain.payload))
