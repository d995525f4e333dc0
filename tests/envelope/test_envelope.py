"""The vocabulary keeps what it is given."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ampybus_contract import Headers, Topic
from ampybus_contract.envelope import uuid7, uuid7_unix_ms
from ampybus_contract.envelope.codec import compress, decompress
from ampybus_contract.errors import DecodeError, HeaderError, TopicError

TOKEN = st.from_regex(r"[!-)+\-/-=?-~]+", fullmatch=True)


@given(st.lists(TOKEN, min_size=5))
def test_a_topic_round_trips(tokens: list[str]) -> None:
    text = ".".join(tokens)
    assert str(Topic.parse(text)) == text
    assert list(Topic.parse(text).tokens) == tokens


@pytest.mark.parametrize("text", ["", "a.b.c.d", "a..c.d.e", "ampy.dev.bars.v1."])
def test_what_is_no_topic_is_refused(text: str) -> None:
    with pytest.raises(TopicError):
        Topic.parse(text)


@given(st.binary())
def test_gzip_round_trips(payload: bytes) -> None:
    assert decompress(compress(payload), len(payload)) == payload


@given(st.binary(min_size=1), st.data())
def test_truncated_or_larger_than_allowed_is_a_decode_error(payload: bytes, data: st.DataObject) -> None:
    packed = compress(payload)
    with pytest.raises(DecodeError):
        decompress(packed[: data.draw(st.integers(0, len(packed) - 1))], len(payload))
    with pytest.raises(DecodeError):
        decompress(packed, len(payload) - 1)


@given(st.integers(0, (1 << 48) - 1), st.integers(0, (1 << 74) - 1))
def test_a_uuid7_is_one_and_keeps_its_time(unix_ms: int, bits: int) -> None:
    made = uuid7(unix_ms, bits)
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert uuid7_unix_ms(made) == unix_ms


def test_headers_are_a_value() -> None:
    one = Headers({"a": "1", "b": "2"})
    assert one == Headers({"b": "2", "a": "1"})
    assert hash(one) == hash(Headers({"b": "2", "a": "1"}))
    assert one.with_(a=None, c="3") == {"b": "2", "c": "3"}
    assert "a" in one


def test_a_header_that_is_no_text_is_refused() -> None:
    with pytest.raises(HeaderError):
        Headers({"retry_count": 1})  # type: ignore[dict-item]  # what untyped callers do
