"""Objects whose records are as other front-ends write them: without a checksum, or with its name in
lower case."""

from __future__ import annotations

import json
from typing import Any

import pytest

from s3front.bodies.checksums import Algorithm
from tests.api.support import checksum_members, checksum_of
from tests.faults.stores import call_metadata, stored_records
from tests.servers import Cluster

pytestmark = pytest.mark.usefixtures("undisturbed")


def rewrite(running: Cluster, bucket: str, checksum: dict[str, str] | None) -> None:
    """Store the record of ``key`` again, with this as its checksum."""
    record = stored_records(running, [bucket])[bucket]["key"]
    del record["checksum"]
    if checksum is not None:
        record["checksum"] = checksum
    call_metadata(running, "put", ["key", json.dumps(record), {}], [bucket])


@pytest.fixture
def address(s3: Any, bucket: str) -> dict[str, str]:
    """An object."""
    s3.put_object(Bucket=bucket, Key="key", Body=b"body", ChecksumAlgorithm="SHA256")
    return {"Bucket": bucket, "Key": "key"}


def test_an_object_without_a_checksum(
    s3: Any, bucket: str, address: dict[str, str], shared_cluster: Cluster
) -> None:
    rewrite(shared_cluster, bucket, None)
    reply = s3.get_object(**address, ChecksumMode="ENABLED")
    assert (reply["Body"].read(), checksum_members(reply)) == (b"body", {})
    assert checksum_members(s3.head_object(**address, ChecksumMode="ENABLED")) == {}
    attributes = s3.get_object_attributes(**address, ObjectAttributes=["Checksum", "ETag"])
    assert "Checksum" not in attributes
    assert checksum_members(s3.list_objects_v2(Bucket=bucket)["Contents"][0]) == {}
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=address)["CopyObjectResult"]
    assert copied["ChecksumCRC64NVME"] == checksum_of(Algorithm.CRC64NVME, b"body")


def test_an_algorithm_in_lower_case(
    s3: Any, bucket: str, address: dict[str, str], shared_cluster: Cluster
) -> None:
    value = checksum_of(Algorithm.CRC64NVME, b"body")
    document = {"checksumAlgorithm": "crc64nvme", "checksumValue": value}
    rewrite(shared_cluster, bucket, {**document, "checksumType": "FULL_OBJECT"})
    expected = {"ChecksumCRC64NVME": value, "ChecksumType": "FULL_OBJECT"}
    assert checksum_members(s3.head_object(**address, ChecksumMode="ENABLED")) == expected
    attributes = s3.get_object_attributes(**address, ObjectAttributes=["Checksum"])
    assert attributes["Checksum"] == expected
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=address)["CopyObjectResult"]
    assert checksum_members(copied) == expected


def test_the_copy_of_a_checksum_that_is_not_known(
    s3: Any, bucket: str, address: dict[str, str], shared_cluster: Cluster
) -> None:
    document = {"checksumAlgorithm": "BLAKE3", "checksumValue": "AAAA"}
    rewrite(shared_cluster, bucket, {**document, "checksumType": "FULL_OBJECT"})
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=address)["CopyObjectResult"]
    assert copied["ChecksumCRC64NVME"] == checksum_of(Algorithm.CRC64NVME, b"body")
