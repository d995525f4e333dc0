"""The vocabulary: topics, headers, envelopes, codecs, payload types."""

from ampybus_contract.envelope.envelope import Envelope
from ampybus_contract.envelope.fixture import Fixture, read_fixture
from ampybus_contract.envelope.headers import Headers
from ampybus_contract.envelope.identifiers import uuid7, uuid7_unix_ms
from ampybus_contract.envelope.topic import Topic

__all__ = ["Envelope", "Fixture", "Headers", "Topic", "read_fixture", "uuid7", "uuid7_unix_ms"]
