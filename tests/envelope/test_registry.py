"""Payload types, those of ampy-proto and the provisional one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ampybus_contract.contract import data_directory, default_contract
from ampybus_contract.envelope.registry import from_json, message_type


@pytest.mark.parametrize("domain", default_contract().domains)
def test_every_payload_type_and_item_field_exists(domain: str) -> None:
    for fqdn, kind in default_contract().domains[domain].payloads.items():
        found = message_type(fqdn)
        assert found is not None, fqdn
        assert not kind.item or kind.item in found.DESCRIPTOR.fields_by_name


def test_the_compiled_descriptors_are_those_of_the_proto_files(tmp_path: Path) -> None:
    directory = data_directory("spec") / "proto"
    for proto in directory.glob("*.proto"):
        made = tmp_path / "made.binpb"
        subprocess.run(
            [
                sys.executable,
                "-m",
                "grpc_tools.protoc",
                f"-I{directory}",
                f"--descriptor_set_out={made}",
                str(proto),
            ],
            check=True,
        )
        assert made.read_bytes() == proto.with_suffix(".binpb").read_bytes()


@pytest.mark.parametrize(
    "fqdn", ["", "ampy.bars.v1.Baz", "ampy.os.v1.x", "os.path.join", "ampy.bars.v1.DESCRIPTOR", "ü.ü.ü.Ü"]
)
def test_what_is_no_payload_type_gives_none(fqdn: str) -> None:
    assert message_type(fqdn) is None


def test_the_provisional_type_round_trips() -> None:
    wire = from_json(
        "ampy.control.v1.ReplayRequest", {"domain": "bars", "start": "2025-01-01T00:00:00.000000001Z"}
    )
    kind = message_type("ampy.control.v1.ReplayRequest")
    assert kind is not None
    assert kind.FromString(wire).SerializeToString() == wire
