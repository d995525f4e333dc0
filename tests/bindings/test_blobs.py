"""The pointer pattern on a directory and on an S3 server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from ampybus_contract.bindings.blobs import BlobStore
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import BlobError

PAYLOAD = bytes(range(256)) * 8_000
KEYS = {"access_key_id": "test", "secret_access_key": "not-a-secret"}


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["directory", "s3", "s3 with versions"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "directory":
        return BlobStore(default_contract(), tmp_path.as_uri())
    endpoint = request.getfixturevalue("s3")
    bucket = f"blobs-{tmp_path.name.replace('_', '-').lower()[:40]}"
    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1",
        aws_access_key_id=KEYS["access_key_id"], aws_secret_access_key=KEYS["secret_access_key"],
    )  # fmt: skip
    client.create_bucket(Bucket=bucket)
    if request.param.endswith("versions"):
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return BlobStore(
        default_contract(), f"s3://{bucket}/large", endpoint=endpoint, region="us-east-1",
        client_options={"allow_http": True}, **KEYS,
    )  # fmt: skip


def refused(store: BlobStore, headers: dict[str, str]) -> BlobError:
    with pytest.raises(BlobError) as caught:
        asyncio.run(store.fetch(headers))
    return caught.value


def test_what_was_put_is_fetched_byte_for_byte(store: BlobStore) -> None:
    headers = asyncio.run(store.put("bars/one.binpb", PAYLOAD))
    rules = default_contract().headers
    assert all(rules[name].pattern.fullmatch(value) for name, value in headers.items())
    assert asyncio.run(store.fetch(headers)) == PAYLOAD


def test_another_object_under_the_name_is_refused_for_good(store: BlobStore) -> None:
    headers = asyncio.run(store.put("one", PAYLOAD))
    ref = headers["blob_ref"].partition("?")[0]
    asyncio.run(store.put("one", PAYLOAD[::-1]))
    error = refused(store, {**headers, "blob_ref": ref})
    assert not error.passing
    assert headers["blob_hash"] in str(error)


def test_a_pointer_with_a_version_still_finds_its_object(store: BlobStore) -> None:
    headers = asyncio.run(store.put("one", PAYLOAD))
    if "versionId" not in headers["blob_ref"]:
        pytest.skip("this store keeps no versions")
    asyncio.run(store.put("one", b"newer"))
    assert asyncio.run(store.fetch(headers)) == PAYLOAD


@pytest.mark.parametrize("size", ["1", "2048001"])
def test_another_size_is_refused_for_good(store: BlobStore, size: str) -> None:
    headers = asyncio.run(store.put("one", PAYLOAD))
    assert not refused(store, {**headers, "blob_size": size}).passing


def test_a_missing_object_may_come_yet(store: BlobStore) -> None:
    headers = asyncio.run(store.put("one", PAYLOAD))
    missing = {**headers, "blob_ref": headers["blob_ref"].partition("?")[0] + "-two"}
    assert refused(store, missing).passing


@pytest.mark.parametrize("ref", ["file:///etc/passwd", "s3://other/large/one", "http://127.0.0.1/one"])
def test_a_pointer_out_of_the_store_is_not_followed(store: BlobStore, ref: str) -> None:
    headers = asyncio.run(store.put("one", PAYLOAD))
    assert not refused(store, {**headers, "blob_ref": ref}).passing


def test_a_pointer_cannot_climb_out_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(PAYLOAD)
    store = BlobStore(default_contract(), (tmp_path / "blobs").as_uri(), mkdir=True)
    headers = asyncio.run(store.put("one", PAYLOAD))
    for climb in ("../secret", "%2e%2e/secret"):
        refused(store, {**headers, "blob_ref": f"{store.base}{climb}"})
