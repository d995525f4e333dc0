"""Changes of one message that no binding may make: of its headers, its payload and its topic."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from ampybus_contract.contract import Contract, HeaderRule
from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.envelope.codec import decompress
from ampybus_contract.envelope.registry import message_type
from ampybus_contract.harness.generated.classes import NAMES, VALUES, known
from ampybus_contract.harness.generated.fault import Change
from ampybus_contract.harness.generated.values import ALTER, CUT, OF_COUNTS, OF_IDS, OF_TIMES, REPEAT, Rewrite

DROP, TO_ALTER, TO_CUT, TO_SWAP, TO_REPEAT = "drop", "alter", "cut", "swap", "repeat"
SWAPPED = (
    ("producer", "source"),
    ("source", "run_id"),
    ("partition_key", "dedupe_key"),
    ("trace_id", "message_id"),
)
MANY = 32
KIB = 1024
OF_KAFKA = "ampy_topic"


@dataclass(frozen=True, slots=True)
class Changing:
    """A change with its operator, its subject as in an ID, and what the binding does, as a verb phrase."""

    operator: str
    subject: str
    says: str
    change: Change

    def shows(self, envelope: Envelope) -> bool:
        """Whether it changes this message."""
        return self.change(envelope) != envelope


def changes(contract: Contract) -> Iterator[Changing]:
    """Every change of a message."""
    for rule in contract.headers.values():
        if rule.name != OF_KAFKA:
            yield from _of_header(rule)
    yield from _of_unknown(frozenset(contract.headers))
    yield from _of_payload(contract)
    yield from _of_topic(contract)


def bus_headers(contract: Contract) -> frozenset[str]:
    """The headers that a bus writes itself, and so may write anew while it carries a message."""
    return contract.infrastructure_headers | {"span_id", contract.tracing.propagates}


def _of_header(rule: HeaderRule) -> Iterator[Changing]:
    name = rule.name
    yield Changing(DROP, f"header.{name}", f"loses {name}", partial(_without, name))
    more = OF_TIMES if rule.date_time else OF_IDS if name == "message_id" else OF_COUNTS
    for how, rewrite in {**ALTER, **more}.items():
        said = f"rewrites {name} ({how})"
        yield Changing(TO_ALTER, f"header.{name}.{how}", said, partial(_rewritten, name, rewrite))
    said = f"puts a fixed value into {name}"
    yield Changing(TO_ALTER, f"header.{name}.fixed", said, partial(_rewritten, name, lambda _: rule.example))
    for how, rewrite in CUT.items():
        yield Changing(
            TO_CUT, f"header.{name}.{how}", f"cuts {name} ({how})", partial(_rewritten, name, rewrite)
        )
    for how, rewrite in REPEAT.items():
        said = f"writes {name} twice ({how})"
        yield Changing(TO_REPEAT, f"header.{name}.{how}", said, partial(_rewritten, name, rewrite))
    for one, other in SWAPPED:
        if one == name:
            said = f"swaps {one} and {other}"
            yield Changing(TO_SWAP, f"header.{one}.{other}", said, partial(_swapped, one, other))


def _of_unknown(names: frozenset[str]) -> Iterator[Changing]:
    for kind, is_one in VALUES.items():
        chosen = partial(_unknown_value, names, is_one)
        said = f"loses unknown headers with a value of the class {kind}"
        yield Changing(DROP, f"unknown.{kind}", said, partial(_without_those, chosen))
    for kind, is_name in NAMES.items():
        chosen = partial(_unknown_name, names, is_name)
        said = f"loses unknown headers with a name of the class {kind}"
        yield Changing(DROP, f"unknown_name.{kind}", said, partial(_without_those, chosen))
    anyone = partial(_unknown_name, names, lambda _: True)
    for operator, rewrites in ((TO_ALTER, ALTER), (TO_CUT, CUT), (TO_REPEAT, REPEAT)):
        for how, rewrite in rewrites.items():
            said = f"rewrites values of unknown headers ({how})"
            yield Changing(operator, f"unknown.{how}", said, partial(_rewritten_those, anyone, rewrite))
    said = f"keeps no more than {MANY} headers"
    yield Changing(TO_CUT, "unknown.many", said, partial(_first_headers, MANY))
    for how, rename in (("kebab", _kebab), ("upper", str.upper), ("cut_at_32", lambda name: name[:32])):
        said = f"renames unknown headers ({how})"
        yield Changing(TO_ALTER, f"unknown_name.{how}", said, partial(_renamed_those, anyone, rename))
    yield Changing(
        TO_SWAP, "unknown.values", "swaps the values of unknown headers", partial(_rotated, anyone)
    )


def _of_payload(contract: Contract) -> Iterator[Changing]:
    for operator, subject, said, change in (
        (DROP, "all", "loses the payload", lambda data: b""),
        (TO_ALTER, "last_byte", "flips a bit of the last byte", lambda data: data[:-1] + _flipped(data[-1:])),
        (TO_ALTER, "first_byte", "flips a bit of the first byte", lambda data: _flipped(data[:1]) + data[1:]),
        (TO_ALTER, "strip", "strips white space of the payload", bytes.strip),
        (TO_ALTER, "crlf", "writes CR LF for LF in the payload", lambda data: data.replace(b"\n", b"\r\n")),
        (TO_ALTER, "text", "takes the payload through UTF-8", _through_text),
        (TO_CUT, "last_byte", "loses the last byte", lambda data: data[:-1]),
        (TO_CUT, "at_1_KiB", "cuts the payload at 1 KiB", lambda data: data[:KIB]),
        (TO_CUT, "at_64_KiB", "cuts the payload at 64 KiB", lambda data: data[: 64 * KIB]),
        (TO_CUT, "at_512_KiB", "cuts the payload at 512 KiB", lambda data: data[: 512 * KIB]),
        (TO_CUT, "at_nul", "ends the payload at the first NUL", lambda data: data.split(b"\0")[0]),
        (TO_REPEAT, "all", "writes the payload twice", lambda data: data * 2),
    ):
        yield Changing(operator, f"payload.{subject}", said, partial(_payload, change))
    yield Changing(TO_ALTER, "payload.serialized_anew", "serializes the payload anew", _serialized_anew)
    said = "sends compressed payloads plain, with the header"
    yield Changing(TO_ALTER, "payload.decompressed", said, partial(_unpacked, contract, False))
    said = "hands compressed payloads over plain, without the header"
    yield Changing(TO_ALTER, "payload.decoded", said, partial(_unpacked, contract, True))
    yield Changing(
        TO_ALTER, "payload.compressed_anew", "compresses payloads anew", partial(_repacked, contract)
    )


def _of_topic(contract: Contract) -> Iterator[Changing]:
    first = contract.topic.environments[0]
    for operator, subject, said, change in (
        (TO_ALTER, "lower", "lower-cases the topic", str.lower),
        (TO_ALTER, "dots", "joins a dotted symbol by underscores", _joined),
        (TO_ALTER, "at_sign", "writes an underscore for the at sign", lambda topic: topic.replace("@", "_")),
        (TO_ALTER, "version", "names the next version", lambda topic: topic.replace(".v1.", ".v2.")),
        (TO_ALTER, "env", f"names {first} as the environment", partial(_token, 1, first)),
        (
            TO_CUT,
            "six_tokens",
            "cuts the topic after six tokens",
            lambda topic: ".".join(topic.split(".")[:6]),
        ),
        (TO_CUT, "last_token", "loses the last token of long topics", _shorter),
        (TO_SWAP, "subtopic", "swaps the last two tokens", _last_two),
    ):
        yield Changing(operator, f"topic.{subject}", said, partial(_topic, change))


def _without(name: str, item: Envelope) -> Envelope:
    return replace(item, headers=item.headers.with_(**{name: None}))


def _with_headers(item: Envelope, headers: dict[str, str]) -> Envelope:
    return replace(item, headers=Headers(headers))


def _rewritten(name: str, rewrite: Rewrite, item: Envelope) -> Envelope:
    if name not in item.headers:
        return item
    return _with_headers(item, {**item.headers, name: rewrite(item.headers[name])})


def _swapped(one: str, other: str, item: Envelope) -> Envelope:
    if one not in item.headers or other not in item.headers:
        return item
    return _with_headers(item, {**item.headers, one: item.headers[other], other: item.headers[one]})


Chosen = Callable[[str, str], bool]


def _unknown_value(names: frozenset[str], is_one: Callable[[str], bool], name: str, value: str) -> bool:
    return name not in names and is_one(value)


def _unknown_name(names: frozenset[str], is_one: Callable[[str], bool], name: str, _: str) -> bool:
    return name not in names and is_one(name)


def _without_those(chosen: Chosen, item: Envelope) -> Envelope:
    return _with_headers(item, {name: text for name, text in item.headers.items() if not chosen(name, text)})


def _rewritten_those(chosen: Chosen, rewrite: Rewrite, item: Envelope) -> Envelope:
    changed = {name: rewrite(text) if chosen(name, text) else text for name, text in item.headers.items()}
    return _with_headers(item, changed)


def _renamed_those(chosen: Chosen, rename: Callable[[str], str], item: Envelope) -> Envelope:
    changed = {rename(name) if chosen(name, text) else name: text for name, text in item.headers.items()}
    return _with_headers(item, changed)


def _first_headers(count: int, item: Envelope) -> Envelope:
    return _with_headers(item, dict(list(item.headers.items())[:count]))


def _rotated(chosen: Chosen, item: Envelope) -> Envelope:
    names = [name for name, text in item.headers.items() if chosen(name, text)]
    values = [item.headers[name] for name in [*names[1:], *names[:1]]]
    return _with_headers(item, {**item.headers, **dict(zip(names, values, strict=True))})


def _kebab(name: str) -> str:
    return name.replace("_", "-")


def _payload(change: Callable[[bytes], bytes], item: Envelope) -> Envelope:
    return replace(item, payload=change(item.payload))


def _flipped(byte: bytes) -> bytes:
    return bytes(one ^ 1 for one in byte)


def _through_text(data: bytes) -> bytes:
    return data.decode("utf-8", "replace").encode()


def _serialized_anew(item: Envelope) -> Envelope:
    """With fields in their order and without those that the type does not know."""
    kind = message_type(known(item, "schema_fqdn"))
    if kind is None or "content_encoding" in item.headers:
        return item
    try:
        message = kind.FromString(item.payload)
    except Exception:
        return item
    message.DiscardUnknownFields()
    data: bytes = message.SerializeToString(deterministic=True)
    return replace(item, payload=data)


def _unpacked(contract: Contract, honest: bool, item: Envelope) -> Envelope:
    if not item.payload.startswith(b"\x1f\x8b"):
        return item
    plain = replace(item, payload=decompress(item.payload, contract.payload.decoded_at_most))
    return _without("content_encoding", plain) if honest else plain


def _repacked(contract: Contract, item: Envelope) -> Envelope:
    if not item.payload.startswith(b"\x1f\x8b"):
        return item
    data = gzip.compress(decompress(item.payload, contract.payload.decoded_at_most), 1, mtime=1)
    return replace(item, payload=data)


def _topic(change: Callable[[str], str], item: Envelope) -> Envelope:
    return replace(item, topic=change(item.topic))


def _joined(topic: str) -> str:
    tokens = topic.split(".")
    return ".".join([*tokens[:5], "_".join(tokens[5:])]) if len(tokens) > 6 else topic


def _token(number: int, value: str, topic: str) -> str:
    tokens = topic.split(".")
    tokens[number : number + 1] = [value]
    return ".".join(tokens)


def _shorter(topic: str) -> str:
    tokens = topic.split(".")
    return ".".join(tokens[:-1]) if len(tokens) > 5 else topic


def _last_two(topic: str) -> str:
    tokens = topic.split(".")
    return ".".join([*tokens[:-2], tokens[-1], tokens[-2]]) if len(tokens) > 5 else topic
