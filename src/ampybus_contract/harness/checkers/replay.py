"""What a replay gave, and what it did to live traffic (D26)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from ampybus_contract.contract import Contract
from ampybus_contract.envelope.digest import plain_payload
from ampybus_contract.envelope.instant import nanoseconds
from ampybus_contract.envelope.pattern import matches
from ampybus_contract.envelope.registry import decode
from ampybus_contract.harness.checkers.reading import (
    History,
    acknowledged,
    dedupe_of,
    differing,
    is_dead_letter,
    musts,
    only,
    taken,
)
from ampybus_contract.harness.history import Anomaly, Event, Operation

ALL_KEYS = ("", "*")


def nothing_replayed(history: History, contract: Contract) -> list[Anomaly]:
    """A history that proves nothing about replay: none was asked for, or a sink got nothing that was due.

    Sample: replay sink, publish a ok, publish request-of-a ok, and no deliver a with the replay header.
    """
    requests = _requests(history, contract)
    if not requests:
        return [Anomaly("No replay was requested.", tuple(history[-1:]))]
    sinks = only(history, Operation.REPLAY)
    if not sinks:
        return [Anomaly("No sink takes replays.", tuple(requests[:1]))]
    return [
        Anomaly(f"The sink {sink.actor} got nothing of what was to be replayed.", (requests[0],))
        for sink in sinks
        if not any(item.actor == sink.actor for item in _replayed(history, contract))
    ]


def replay_incomplete(history: History, contract: Contract) -> list[Anomaly]:
    """A record that a request asks for and that a sink which takes replays never got, live or replayed."""
    seen = {
        (item.actor, name) for item in only(history, Operation.DELIVER) for name in (item.id, dedupe_of(item))
    }
    records = _records(history, contract)
    found: list[Anomaly] = []
    for sink in only(history, Operation.REPLAY):
        for request in _requests(history, contract):
            missing = [
                item
                for item in records
                if matches(sink.pattern, item.topic)
                and _asked_for(request, item, contract)
                and not {(sink.actor, item.id), (sink.actor, dedupe_of(item))} & seen
            ]
            found += [
                Anomaly(f"The sink {sink.actor} never got a record that was to be replayed.", (request, item))
                for item in missing[:1]
            ]
    return found


def request_skipped(history: History, contract: Contract) -> list[Anomaly]:
    """A record that came to a sink for a later request, although an earlier one asked for it too.

    Sample: replay sink, request one ok, request two ok, and deliver a for request two only.
    """
    requests = _requests(history, contract)
    names = [_asked(item, contract).request_id for item in requests]
    places = {id(item): place for place, item in enumerate(history)}
    taking = {item.actor: place for place, item in enumerate(history) if item.operation is Operation.REPLAY}
    seen: set[tuple[str, str]] = set()
    found: list[Anomaly] = []
    for item in _replayed(history, contract):
        name = item.envelope.headers[contract.replay.header]
        if (item.actor, item.id) in seen or name not in names:
            continue
        seen.add((item.actor, item.id))
        since = taking.get(item.actor, 0)
        earlier = [one for one in requests[: names.index(name)] if places[id(one)] > since]
        skipped = next((one for one in earlier if _asked_for(one, item, contract)), None)
        if skipped is not None:
            found.append(
                Anomaly("A record came for a later request, an earlier one was skipped.", (skipped, item))
            )
    return found[:1]


def replay_outside_window(history: History, contract: Contract) -> list[Anomaly]:
    """A replayed record whose produced_at is not in the window asked for, to the nanosecond."""
    return [
        Anomaly(
            f"A record of {_time_of(item, contract)} was replayed, which is outside the window.",
            (request, item),
        )
        for request, item in _answers(history, contract)
        if not _in_window(request, item, contract)
    ]


def replay_outside_scope(history: History, contract: Contract) -> list[Anomaly]:
    """A replayed record of another key or domain than the one asked for."""
    found: list[Anomaly] = []
    for request, item in _answers(history, contract):
        asked = _asked(request, contract)
        other = item.topic.split(".")[2:3] != [asked.domain]
        if other or (asked.scope not in ALL_KEYS and item.key != asked.scope):
            found.append(
                Anomaly(f"A record of {item.key} was replayed, which nobody asked for.", (request, item))
            )
    return found


def replay_cross_env(history: History, contract: Contract) -> list[Anomaly]:
    """A replayed record of another environment than the one the request was published in (D5)."""
    return [
        Anomaly("A record of another environment was replayed.", (request, item))
        for request, item in _answers(history, contract)
        if request.topic.split(".")[1:2] != item.topic.split(".")[1:2]
    ]


def replay_unrequested(history: History, contract: Contract) -> list[Anomaly]:
    """A replayed record that names no request which was published."""
    known = {_asked(item, contract).request_id for item in _requests(history, contract)}
    name = contract.replay.header
    return [
        Anomaly(f"A record was replayed for {item.envelope.headers[name]!r}, which is no request.", (item,))
        for item in _replayed(history, contract)
        if item.envelope.headers[name] not in known
    ]


def replay_changed(history: History, contract: Contract) -> list[Anomaly]:
    """A replayed record with another payload or other headers than published, the replay header aside."""
    origins = {item.id: item for item in _records(history, contract)}
    found: list[Anomaly] = []
    for item in _replayed(history, contract):
        origin = origins.get(item.id)
        if origin is None:
            found.append(Anomaly("A record was replayed that nobody published.", (item,)))
            continue
        names = [name for name in differing(origin, item, contract) if name != contract.replay.header]
        if names or origin.envelope.payload != item.envelope.payload or origin.topic != item.topic:
            said = ", ".join(names) or "payload or topic"
            found.append(
                Anomaly(f"A replayed record differs from the published one: {said}.", (origin, item))
            )
    return found


def replay_reordered(history: History, contract: Contract) -> list[Anomaly]:
    """Two sinks that got the same window in different sequences.

    Sample: for one window, sink one gets a, b and sink two gets b, a. What only one got is not compared.
    """
    windows = {
        _asked(item, contract).request_id: _meaning(item, contract) for item in _requests(history, contract)
    }
    sequences: dict[Any, dict[str, dict[str, Event]]] = defaultdict(lambda: defaultdict(dict))
    for item in _replayed(history, contract):
        window = windows.get(item.envelope.headers[contract.replay.header])
        if window is not None:
            sequences[window][item.actor].setdefault(item.id, item)
    found: list[Anomaly] = []
    for sinks in sequences.values():
        first, *others = sinks.values()
        for other in others:
            common = [(first[name], other[name]) for name in first if name in other]
            order = [item for name, item in other.items() if name in first]
            wrong = next(
                (pair for pair, item in zip(common, order, strict=True) if pair[1] is not item), None
            )
            if wrong is not None:
                found.append(Anomaly("The same window came in another sequence the second time.", wrong))
    return found


def live_paused(history: History, contract: Contract) -> list[Anomaly]:
    """A live record published while a replay ran, and delivered only when it had ended, or never."""
    places = [place for place, item in enumerate(history) if _is_replayed(item, contract)]
    if not places:
        return []
    begin = places[0]
    end = next(
        (
            place
            for place, item in enumerate(history[begin:], begin)
            if item.operation is Operation.EFFECT and contract.replay.header in item.envelope.headers
        ),
        len(history),
    )
    found: list[Anomaly] = []
    for sub in only(history, Operation.SUBSCRIBE):
        got = {
            item.id
            for item in history[:end]
            if item.operation is Operation.DELIVER and item.actor == sub.actor
        }
        found += [
            Anomaly("A live record waited until the replay was done.", (item,))
            for item in history[begin:end]
            if acknowledged(item) and matches(sub.pattern, item.topic) and item.id not in got
        ][:1]
    return found


def live_disturbed(history: History, contract: Contract) -> list[Anomaly]:
    """A replayed record in the live stream: stored there again, or given to a consumer that takes none."""
    sinks = {item.actor for item in only(history, Operation.REPLAY)}
    name = contract.replay.header
    stored = [
        Anomaly("A replayed record was stored in the live stream, where every consumer gets it.", (item,))
        for item in only(history, Operation.STORE)
        if name in item.envelope.headers and not is_dead_letter(item.topic, contract)
    ]
    return stored + [
        Anomaly(f"{item.actor} takes no replays, and got a replayed record.", (item,))
        for item in _replayed(history, contract)
        if item.actor not in sinks
    ]


def _replayed(history: History, contract: Contract) -> list[Event]:
    """What was handed over for a request; a message that somebody published so is none."""
    own = {
        item.id
        for operation in (Operation.PUBLISH, Operation.INJECT)
        for item in only(history, operation)
        if contract.replay.header in item.envelope.headers
    }
    return [
        item
        for item in only(history, Operation.DELIVER)
        if _is_replayed(item, contract) and item.id not in own
    ]


def _is_replayed(item: Event, contract: Contract) -> bool:
    return item.operation is Operation.DELIVER and contract.replay.header in item.envelope.headers


def _is_request(item: Event, contract: Contract) -> bool:
    return item.envelope.headers.get("schema_fqdn") == contract.replay.request


def _requests(history: History, contract: Contract) -> list[Event]:
    """The valid requests that were published."""
    return [item for item in taken(history) if _is_request(item, contract) and not musts(item, contract)]


def _records(history: History, contract: Contract) -> list[Event]:
    """What was stored and can be replayed."""
    return [item for item in taken(history) if not _is_request(item, contract) and not musts(item, contract)]


def _answers(history: History, contract: Contract) -> Iterator[tuple[Event, Event]]:
    """Each replayed delivery with the request that it names."""
    requests = {_asked(item, contract).request_id: item for item in _requests(history, contract)}
    for item in _replayed(history, contract):
        request = requests.get(item.envelope.headers[contract.replay.header])
        if request is not None:
            yield request, item


def _asked(request: Event, contract: Contract) -> Any:
    return decode(contract.replay.request, plain_payload(request.envelope, contract))


def _meaning(request: Event, contract: Contract) -> tuple[object, ...]:
    """What a request asks for, whoever asks and whatever it is called."""
    asked = _asked(request, contract)
    asked.request_id = asked.reason = ""
    return request.topic, asked.SerializeToString(deterministic=True)


def _time_of(item: Event, contract: Contract) -> str:
    return item.envelope.headers.get(contract.replay.window["header"], "")


def _in_window(request: Event, item: Event, contract: Contract) -> bool:
    asked, rule = _asked(request, contract), contract.replay.window
    try:
        at = nanoseconds(_time_of(item, contract))
    except ValueError:
        return False
    after = before = True
    if asked.HasField("start"):
        start = asked.start.ToNanoseconds()
        after = start <= at if rule["start"] == "included" else start < at
    if asked.HasField("end"):
        end = asked.end.ToNanoseconds()
        before = at <= end if rule["end"] == "included" else at < end
    return after and before


def _asked_for(request: Event, item: Event, contract: Contract) -> bool:
    """Whether a request asks for a record."""
    asked = _asked(request, contract)
    _, env, domain, version, subtopic = [*item.topic.split(".", 4), *[""] * 5][:5]
    if (env, domain, version) != (request.topic.split(".")[1], asked.domain, asked.version):
        return False
    if asked.subject_pattern and not matches(asked.subject_pattern, item.topic):
        return False
    if asked.subtopic and asked.subtopic != subtopic:
        return False
    return (asked.scope in ALL_KEYS or item.key == asked.scope) and _in_window(request, item, contract)
