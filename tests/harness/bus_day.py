"""A day of a binding in little: each thing that it can do, done once, and all that can be seen of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.protocol import Endpoint, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.memory import MemoryBroker
from ampybus_contract.brokers.virtual_time import run_virtual
from ampybus_contract.contract import default_contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.envelope.digest import sha256_of
from ampybus_contract.envelope.instant import nanoseconds
from ampybus_contract.harness.generated.publishing import breakable
from ampybus_contract.harness.generated.witnesses import broken, witnesses
from ampybus_contract.harness.mutants.build import Build
from ampybus_contract.harness.objects import Objects
from ampybus_contract.harness.workload import Workload

CONTRACT = default_contract()
HOUR = 3_600.0
EACH_WITNESS = 3
MORE: dict[str, Any] = {
    "note": "one",
    "remark": "two",
    "schema_hash": f"sha256:{'5' * 64}",
    "replay_request_id": "r",
    "source": "answers",
}
NAMES = re.compile(r"\b[0-9a-f]{16}\b")


class Day:
    """Plays the day; ``seen`` is all that anybody saw."""

    def __init__(self, build: Build, state: Path, watched: bool) -> None:
        self.build = build
        self.broker = MemoryBroker()
        self.workload = Workload(CONTRACT, 1)
        self.seen: list[Any] = []
        self.calls: Counter[tuple[str, str]] = Counter()
        self.gate = asyncio.Event()
        blobs, telemetry = state / "blobs", state / "telemetry"
        blobs.mkdir()
        self.objects = Objects(CONTRACT, blobs.as_uri())
        self.endpoint = Endpoint("memory", "memory", self.broker, state, blobs=blobs.as_uri())
        if watched:
            telemetry.mkdir()
            self.endpoint = replace(self.endpoint, telemetry=telemetry)
        self.binding = build(MemoryTransport(), CONTRACT)

    def note(self, *what: Any) -> None:
        self.seen.append((round(asyncio.get_running_loop().time(), 3), *what))

    async def publish(self, envelope: Envelope, broken_one: bool = False) -> None:
        try:
            async with asyncio.timeout(60):
                await self.binding.publish(envelope)
            self.note("published", envelope.topic)
        except Exception as error:
            definite = getattr(error, "definite", None)
            self.note("refused", envelope.topic, type(error).__name__, definite, str(error)[:80])

    async def inject(self, *envelopes: Envelope) -> None:
        for envelope in envelopes:
            self.broker.publish(envelope)
        await asyncio.sleep(1)

    def handler(self, group: str, gated: bool = False, pause: float = 0) -> Callable[[Envelope], Any]:
        async def handle(envelope: Envelope) -> Settlement:
            headers = tuple(sorted(envelope.headers.items()))
            self.note("handed", group, envelope.topic, headers, sha256_of(envelope.payload))
            name = (group, envelope.headers.get("message_id", "").lower())
            self.calls[name] += 1
            await asyncio.sleep(pause or 0.002 * (1 + len(self.seen) % 3))
            if gated:
                await self.gate.wait()
            if envelope.headers.get("act") == "slow":
                await asyncio.sleep(50)
            return self.answer(envelope.headers.get("act", ""), self.calls[name])

        return handle

    def answer(self, act: str, attempt: int) -> Settlement:
        if act == "raise" and attempt < 3:
            raise RuntimeError("as asked")
        if act == "reject":
            return Settlement.REJECT
        if act == "fail" or (act == "retry" and attempt < 3) or (act == "reject later" and attempt < 2):
            return Settlement.RETRY
        if act == "reject later":
            return Settlement.REJECT
        return Settlement.OK

    async def start(self) -> None:
        self.binding = self.build(MemoryTransport(), CONTRACT)
        await self.binding.start(self.endpoint)

    async def subscribe(self, pattern: str, group: str, gated: bool = False) -> None:
        await self.binding.subscribe(Subscription(pattern, group), self.handler(group, gated))

    async def all_groups(self) -> None:
        for env in CONTRACT.topic.environments:
            await self.subscribe(f"ampy.{env}.>", f"all {env}")
        await self.subscribe("ampy.dev.bars.v1.XNAS.AAPL", "one symbol")
        await self.subscribe("ampy.dev.bars.>", "bars")

    async def play(self, parts: Sequence[str]) -> None:
        await self.binding.start(self.endpoint)
        await self.all_groups()
        for part in parts:
            await getattr(self, part)()
        await self.end()

    async def messages(self) -> None:
        for envelope in witnesses(CONTRACT)[::EACH_WITNESS]:
            await self.publish(envelope)
        batch = [
            self.workload.envelope("bars", key % 2, act="retry" if key == 3 else None) for key in range(8)
        ]
        await asyncio.gather(*map(self.publish, batch))
        await asyncio.sleep(1)

    async def answers(self) -> None:
        for domain in self.workload.domains:
            for act in ("raise", "retry", "reject", "fail", "reject later"):
                await self.publish(self.workload.envelope(domain, act=act, **MORE))
            await self.publish(self.workload.envelope(domain))
        await self.publish(self.workload.envelope("fx", act="slow"))
        packed = self.workload.filled("bars", 5_000)
        await self.publish(replace(packed, headers=packed.headers.with_(act="reject")))
        await asyncio.sleep(60)

    async def broken_ones(self) -> None:
        await self.subscribe("ampy.>", "everything")
        for name in breakable(CONTRACT):
            for envelope in broken(CONTRACT, name)[:2]:
                await self.publish(envelope, True)
                self.broker.publish(envelope)
        bomb = self.workload.envelope("bars", content_encoding="gzip")
        await self.inject(replace(bomb, payload=b"no gzip"))
        await asyncio.sleep(60)

    async def duplicates(self) -> None:
        await self.subscribe("ampy.>", "everything")
        await self.alike()
        for domain in ("bars", "orders", "news"):
            first = self.workload.envelope(domain)
            upper = replace(
                first, headers=first.headers.with_(message_id=first.headers["message_id"].upper())
            )
            other = self.workload.envelope(domain).headers["message_id"]
            traced = {"trace_id": "5" * 32, "producer": "other@1", "run_id": "other", "source": "other"}
            same = replace(first, headers=first.headers.with_(message_id=other, **traced))
            key = first.headers.get("dedupe_key", "").upper()
            cased = replace(
                same, headers=same.headers.with_(message_id=_id(self.workload), dedupe_key=key or None)
            )
            raw = replace(same, topic=same.topic.replace(".raw", ".nlp"))
            raw = replace(raw, headers=raw.headers.with_(message_id=_id(self.workload)))
            paper = replace(first, topic=first.topic.replace(".dev.", ".paper."))
            paper = replace(paper, headers=paper.headers.with_(message_id=_id(self.workload)))
            elsewhere = self.workload.envelope("bars", dedupe_key=first.headers.get("dedupe_key"))
            await self.publish(first)
            await asyncio.sleep(1)
            await self.inject(first, upper, same, cased, raw, paper, elsewhere)
            await asyncio.sleep(3 * HOUR)
            await self.inject(first, same)

    async def alike(self) -> None:
        """Messages that are not the same, though something of them is."""
        first = self.workload.envelope("bars")
        for end in ("001", "002"):
            name = first.headers["message_id"][:-3] + end
            await self.publish(replace(first, headers=first.headers.with_(message_id=name)))
        for key, text in ((0, "some name"), (0, "SOME NAME"), (0, "another name"), (1, "another name")):
            await self.publish(self.workload.envelope("bars", key, dedupe_key=text))
        await asyncio.sleep(1)

    async def outage(self) -> None:
        """Nothing takes letters, and the binding is killed meanwhile."""
        self.broker.accepted = ["ampy.*.bars.>"]
        await self.publish(self.workload.envelope("bars", act="reject"))
        await asyncio.sleep(0.5)
        await self.binding.kill()
        self.broker.accepted = None
        await self.start()
        await self.all_groups()
        await asyncio.sleep(60)
        soon = [self.workload.envelope("ticks", key) for key in range(3)]
        for envelope in soon:
            await self.publish(envelope)
        await asyncio.sleep(0.1)
        await self.binding.kill()
        await self.start()
        await self.all_groups()
        await self.inject(*soon)
        await asyncio.sleep(60)

    async def many(self) -> None:
        old = self.workload.envelope("bars")
        await self.publish(old)
        for number in range(4_100):
            await self.publish(self.workload.envelope("bars", number))
        await asyncio.sleep(60)
        await self.inject(old)

    async def trouble(self) -> None:
        self.broker.acks_lost = True
        await self.publish(self.workload.envelope("bars"))
        self.broker.acks_lost = False
        late = self.workload.envelope("bars")
        lost = asyncio.create_task(self.publish(late))
        self.broker.acks_lost = True
        await asyncio.sleep(1)
        self.broker.acks_lost, self.broker.accepted = False, []
        await lost
        self.broker.acks_lost = True
        refused = asyncio.create_task(self.publish(self.workload.envelope("ticks")))
        await asyncio.sleep(0.1)
        self.broker.accepted = []
        await refused
        self.broker.acks_lost = False
        await self.publish(self.workload.envelope("bars"))
        self.broker.accepted = None
        again = self.workload.envelope("fx")
        self.broker.acks_lost, self.broker.accepted = True, None
        soon = asyncio.create_task(self.publish(again))
        await asyncio.sleep(0.1)
        self.broker.acks_lost, self.broker.accepted = False, []
        await soon
        self.broker.accepted = None
        await asyncio.sleep(60)

    async def large_ones(self) -> None:
        limit = CONTRACT.payload.sent_below
        large = [self.workload.bulky("bars"), self.workload.bulky("bars", 1), self.workload.bulky("bars")]
        large += [self.workload.filled("bars", limit), self.workload.filled("bars", limit - 1)]
        huge = self.workload.bulky("bars")
        large.append(replace(huge, headers=huge.headers.with_(note="unknown"), payload=huge.payload))
        for envelope in large:
            await self.publish(envelope)
        half = self.workload.filled("bars", limit * 3 // 4)
        await self.publish(half)
        await self.pointers()

    async def pointers(self) -> None:
        made = []
        for number in range(4):
            plain = self.workload.pointer("bars")
            payload = self.workload.envelope("bars").payload
            made.append(plain.headers.with_(**self.objects.put(f"object-{number}", payload)))
        self.objects.replace(made[1])
        self.objects.remove(made[2])
        made[3] = made[3].with_(blob_size=str(int(made[3]["blob_size"]) + 1))
        await self.inject(*(Envelope(plain.topic, headers, b"") for headers in made))
        await asyncio.sleep(60)

    async def redrives(self) -> None:
        for number in range(130):
            await self.publish(self.workload.envelope("bars", act="reject", note=f"letter {number}"))
        await asyncio.sleep(5)
        foreign = next(one for one in self.broker.stored if one.topic == "ampy.dev.dlq.v1.bars")
        moved = {"message_id": _id(self.workload), "dlq_origin_topic": "ampy.prod.bars.v1.XNAS.AAPL"}
        self.broker.publish(replace(foreign, headers=foreign.headers.with_(**moved)))
        for pattern, limit in (
            ("ampy.dev.dlq.v1.bars", 2),
            ("ampy.dev.dlq.v1.bars", 3),
            ("ampy.dev.dlq.v1.bars", 120),
            ("ampy.dev.dlq.v1.>", 6),
        ):
            self.note("redriven", await self.binding.redrive(pattern, limit))
            await asyncio.sleep(60)

    async def replays(self) -> None:
        await self.binding.take_replays(Subscription("ampy.dev.>", "replayed"), self.handler("replayed"))
        await self.binding.take_replays(Subscription("ampy.dev.>", "all dev"), self.handler("all dev"))
        await self.binding.take_replays(Subscription("ampy.*.bars.>", "anywhere"), self.handler("anywhere"))
        for number in range(110):
            await self.publish(
                self.workload.envelope("bars", number, act={7: "raise", 8: "reject", 9: "retry"}.get(number))
            )
        stored = [one for one in self.broker.stored if one.topic.startswith("ampy.dev.bars.v1")]
        like = stored[-1]
        middle = self.broker.now()
        same = self.workload.envelope("bars")
        await self.publish(replace(same, headers=same.headers.with_(produced_at=_text(middle))))
        ends = [
            self.workload.envelope("bars", key, produced_at=_text(middle + 10**9 * key)) for key in (0, 1, 2)
        ]
        for envelope in ends:
            await self.publish(envelope)
        windows = [(middle, middle + 2 * 10**9), (0, 2**61), (middle - 5 * HOUR_NS, middle + 1), (7, 8)]
        orders = self.workload.envelope("orders")
        first, *others = [self.workload.replay_request(like, window) for window in windows]
        narrow = self.workload.replay_request(like, windows[1], pattern="ampy.dev.bars.v1.XNAS.*")
        for request in (first, narrow, *others):
            await self.publish(request)
            await asyncio.sleep(30)
        first = self.workload.replay_request(like, windows[0])
        for request in (
            self.workload.replay_request(like, windows[1], pattern="ampy.dev.bars.v1.XNAS.*"),
            self.workload.replay_request(like, windows[1], key="XNAS.AAPL"),
            self.workload.replay_request(orders, key=orders.headers["partition_key"]),
            self.workload.replay_request(orders),
            self.workload.replay_request(like),
            self.workload.envelope("bars", produced_at=_text(middle + 1)),
            first,
            replace(first, headers=first.headers.with_(message_id=_id(self.workload))),
        ):
            await self.publish(request)
            await asyncio.sleep(30)

    async def resumed(self) -> None:
        await self.binding.resume(Subscription("ampy.dev.>", "resumed"), self.handler("resumed"))
        await self.binding.resume(Subscription("ampy.dev.bars.>", "slow"), self.handler("slow", pause=0.5))

    async def checkpoints(self) -> None:
        await self.resumed()
        acts = (None, "raise", "reject", "retry", None, None)
        more = [self.workload.envelope("bars", number % 2, act=act) for number, act in enumerate(acts)]
        for envelope in more:
            await self.publish(envelope)
        await asyncio.sleep(60)
        held = self.workload.envelope("bars", act="fail")
        await self.publish(held)
        for number in range(6):
            await self.publish(self.workload.envelope("bars", number % 3))
        await asyncio.sleep(0.6)
        await self.binding.kill()
        for number in range(6):
            self.broker.publish(self.workload.envelope("bars", number % 3))
        await self.start()
        await self.resumed()
        await asyncio.sleep(60)
        await self.all_groups()
        await asyncio.sleep(60)

    async def crashes(self) -> None:
        crash = asyncio.create_task(self.binding.crash())
        await asyncio.sleep(0)
        before = [self.workload.envelope("bars", key) for key in range(3)]
        for envelope in before:
            self.broker.publish(envelope)
        async with asyncio.timeout(60):
            await crash
        await self.start()
        await self.all_groups()
        await asyncio.sleep(60)
        await self.inject(*before)
        await asyncio.sleep(60)
        slow = [self.workload.envelope("ticks", key, act="retry") for key in range(3)]
        for envelope in slow:
            await self.publish(envelope)
        await asyncio.sleep(0.01)
        await self.binding.kill()
        await self.start()
        await self.all_groups()
        await asyncio.sleep(60)
        await self.inject(*slow)
        for key in range(3):
            self.broker.publish(self.workload.envelope("ticks", key, act="fail"))
        await asyncio.sleep(0.005)
        await self.binding.stop()
        await self.start()
        await self.all_groups()
        await asyncio.sleep(60)

    async def sessions(self) -> None:
        assert self.endpoint.state is not None
        path = self.endpoint.state / "session.jsonl"
        await self.binding.capture("ampy.dev.bars.>", path)
        head, *rows = path.read_text().splitlines()
        self.note("captured", head, *rows)
        for number, lines in enumerate(
            (
                rows,
                rows[1:],
                [*rows, rows[0]],
                [
                    rows[0].replace('"headers": {', '"headers": {"more": "1", '),
                    *rows[1:3],
                    *rows[4:],
                    rows[5],
                ],
            )
        ):
            tampered = path.with_name(f"session-{number}.jsonl")
            tampered.write_text("".join(f"{line}\n" for line in (head, *lines)))
            self.note("audited", *sorted(map(tuple, await self.binding.audit(tampered))))

    async def slowness(self) -> None:
        for levels in (1, 2, 9):
            await self.binding.slow_down(levels)
            tasks = [
                asyncio.create_task(self.publish(self.workload.envelope(one)))
                for one in self.workload.domains
            ]
            tasks += [asyncio.create_task(self.publish(one)) for one in self.other_domains()]
            await asyncio.sleep(5)
            await self.binding.slow_down(0)
            await asyncio.sleep(5)
            self.note("let go", sum(task.done() for task in tasks))
            await self.binding.slow_down(0)
            await asyncio.gather(*tasks)

    def other_domains(self) -> list[Envelope]:
        found: dict[str, Envelope] = {}
        for envelope in witnesses(CONTRACT):
            found.setdefault(envelope.topic.split(".")[2], envelope)
        named = {"message_id": _id(self.workload), "dedupe_key": None}
        return [
            replace(one, headers=one.headers.with_(**named))
            for domain, one in sorted(found.items())
            if domain not in (*self.workload.domains, "dlq", "control")
        ]

    async def fullness(self) -> None:
        await self.subscribe("ampy.prod.bars.>", "full", gated=True)
        await self.subscribe("ampy.prod.>", "idle")
        for number in range(CONTRACT.backpressure.in_flight + 120):
            key = {"mic": "XNAS", "symbol": f"S{number}"}
            self.broker.publish(self.workload.envelope("bars", env="prod", parts=key))
        await asyncio.sleep(1)
        for _ in range(2):
            self.note("lag", await self.binding.lag("full"), await self.binding.lag("idle"))
            self.note("in hand", len(self.broker.consumers["full"].pending))
            self.gate.set()
            await asyncio.sleep(60)
        self.note("lag", await self.binding.lag("full"), await self.binding.lag("idle"))

    async def end(self) -> None:
        for key in range(3):
            await self.publish(self.workload.envelope("bars", key))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60):
                await self.binding.stop()
        for envelope in self.broker.stored:
            headers = tuple(sorted(envelope.headers.items()))
            self.note("stored", envelope.topic, headers, sha256_of(envelope.payload))
        for name, consumer in sorted(self.broker.consumers.items()):
            self.note("left", name, len(consumer.waiting), len(consumer.pending))
        if self.endpoint.telemetry is not None:
            traces = {envelope.headers.get("trace_id", "") for envelope in self.broker.stored}
            self.note("told", *told(self.endpoint.telemetry, traces))


HOUR_NS = 3_600 * 10**9


def _at(envelope: Envelope) -> int:
    return nanoseconds(envelope.headers["produced_at"])


def _text(at: int) -> str:
    whole, rest = divmod(at, 10**9)
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest:09d}Z"


def _id(workload: Workload) -> str:
    return workload.envelope("bars").headers["message_id"]


def told(directory: Path, traces: set[str]) -> list[Any]:
    """What telemetry says, without what differs from run to run: ids of spans and exact latencies.

    ``traces`` are those of messages; others are drawn.
    """
    found: list[Any] = sorted(path.name for path in directory.iterdir())
    metrics = directory / "metrics.prom"
    for line in metrics.read_text().splitlines() if metrics.exists() else []:
        if "_created" not in line:
            name, _, value = line.rpartition(" ")
            found.append((name, _magnitude(value) if "latency" in name else value))
    for line in (directory / "logs.jsonl").read_text().splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            found.append(("no JSON", len(line.split())))
            continue
        found.append(tuple((key, _magnitude(row[key]) if key == "latency_ms" else row[key]) for key in row))
    spans = (directory / "spans.jsonl").read_text().splitlines()
    return found + _spans([json.loads(line) for line in spans], traces)


def _magnitude(value: Any) -> Any:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return value
    size = math.floor(math.log10(abs(number))) if number else 0
    return (type(value).__name__, number < 0, size)


def _spans(rows: Sequence[dict[str, Any]], traces: set[str]) -> list[Any]:
    names = {row["span_id"]: row["name"] for row in rows}
    return [
        (
            row["name"],
            row["kind"],
            row["trace_id"] if row["trace_id"] in traces else "drawn",
            names.get(row["parent_span_id"] or "", row["parent_span_id"]),
            [names.get(link["span_id"], link["span_id"]) for link in row["links"]],
            sorted(row["attributes"].items()),
        )
        for row in rows
    ]


PARTS: Mapping[str, tuple[str, ...]] = {
    "publish": ("messages", "broken_ones", "trouble"),
    "wire": ("messages", "answers"),
    "delivery": ("messages", "answers", "broken_ones", "crashes"),
    "retry": ("messages", "answers", "broken_ones"),
    "effect": ("duplicates", "answers", "crashes", "redrives", "outage"),
    "letter": ("answers", "broken_ones", "large_ones", "outage"),
    "redrive": ("answers", "broken_ones", "redrives"),
    "replay": ("messages", "replays"),
    "checkpoint": ("messages", "checkpoints"),
    "pointer": ("large_ones",),
    "metric": ("answers", "broken_ones", "duplicates", "redrives"),
    "log": ("answers", "broken_ones"),
    "span": ("answers", "redrives"),
    "session": ("messages", "sessions"),
    "flow": ("slowness", "fullness", "crashes"),
}
"""The parts of a day in which the faults of a place can show."""

WATCHED = ("metric", "log", "span")


def day(build: Build, parts: Sequence[str], watched: bool = False) -> list[Any]:
    """All that was seen of a binding; what it raised ends the day there."""
    with TemporaryDirectory(prefix="day-") as directory:
        state = Path(directory)

        async def main() -> list[Any]:
            it = Day(build, state, watched)
            try:
                await it.play(parts)
            except Exception as error:
                it.note("ended", repr(error)[:200])
            return it.seen

        seen = run_virtual(main())
    return [_plain(item, directory) for item in seen]


def _plain(item: Any, directory: str) -> Any:
    """Without the place of files, and the ids that a tracing binding draws."""
    return NAMES.sub("<id>", repr(item).replace(directory, "<state>"))


@cache
def reference_day(parts: tuple[str, ...], watched: bool) -> list[Any]:
    """The day of the binding that keeps the contract."""
    return day(ReferenceBinding, parts, watched)
