"""What must not be on the bus, and what must not be shown."""

from __future__ import annotations

from dataclasses import replace

from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.listening import listening
from ampybus_contract.harness.stage import Stage

KEYS = 3
PASSWORD_BITS = 128
UNDECLARED = bytes([0xC2, 0x3E, 0x03]) + b"abc"


async def personal_data(stage: Stage) -> None:
    """In each domain that forbids it, every kind of personal data in the payload and in a header.

    And a field that the type does not have. All are published, and put on the wire as well.
    """
    for domain in stage.workload.private_domains():
        group = f"{domain}-consumer"
        await stage.subscribe(stage.pattern(domain), group)
        await stage.publish(*_seeded(stage, domain))
        if "dlq" in stage.claims:
            bad = _seeded(stage, domain)
            await stage.inject(*bad)
            await stage.buried(len(bad))
        good = [stage.workload.envelope(domain) for _ in range(KEYS)]
        await stage.publish(*good)
        await stage.applied(good, group)


async def credentials(stage: Stage) -> None:
    """A binding with a password in its URL: it works, refuses, fails, dead-letters and finds no broker."""
    domain = stage.workload.keyed_domain()
    password = f"{stage.workload.random.getrandbits(PASSWORD_BITS):x}"
    with listening() as lines:
        await stage.enter("service", password)
        await stage.subscribe(stage.pattern(domain))
        good = [stage.workload.envelope(domain, key) for key in range(KEYS)]
        await stage.publish(*good, stage.workload.envelope(domain, run_id=None))
        if "dlq" in stage.claims:
            await stage.inject(stage.workload.envelope(domain, run_id=None))
            await stage.buried(1)
        await stage.applied(good)
    for line in lines:
        stage.show("a log line", line)


def _seeded(stage: Stage, domain: str) -> list[Envelope]:
    made = []
    for detector in stage.contract.privacy.detectors:
        text = f"for {detector.example}"
        made.append(stage.workload.noted(domain, text))
        made.append(stage.workload.envelope(domain, x_note=text))
    plain = stage.workload.envelope(domain)
    return [*made, replace(plain, payload=plain.payload + UNDECLARED)]
