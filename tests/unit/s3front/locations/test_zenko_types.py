"""Entries as Zenko writes them, in the terms of locationConfig.json."""

from __future__ import annotations

from typing import Any

import pytest

from s3front.locations.location_config import load_locations, location_warnings
from s3front.locations.registry import TYPES
from s3front.locations.zenko_types import in_our_terms
from tests.unit.shared.config.conftest import Installation

CLOUD = {
    "accessKey": "ak",
    "secretKey": "sk",
    "bucketName": "there",
    "bucketMatch": True,
    "bootstrapList": [],
}
KEYS = {"credentials": {"accessKey": "ak", "secretKey": "sk"}}
THERE = {"bucketName": "there", "bucketMatch": True, **KEYS}


@pytest.mark.parametrize(
    ("zenkos", "details", "kind", "expected"),
    [
        ("location-mem-v1", {}, "mem", {}),
        ("location-file-v1", {"supportsVersioning": True}, "file", {"supportsVersioning": True}),
        ("location-aws-s3-v1", CLOUD, "aws_s3", {**THERE, "awsEndpoint": "s3.amazonaws.com"}),
        (
            "location-wasabi-v1",
            {**CLOUD, "endpoint": "https://s3.wasabisys.com", "region": "eu-central-1"},
            "aws_s3",
            {**THERE, "awsEndpoint": "https://s3.wasabisys.com", "region": "eu-central-1"},
        ),
        (
            "location-scality-ring-s3-v1",
            {**CLOUD, "endpoint": "http://ring:8000"},
            "aws_s3",
            {**THERE, "awsEndpoint": "http://ring:8000", "pathStyle": True},
        ),
        (
            "location-ceph-radosgw-s3-v1",
            {**CLOUD, "endpoint": "http://ceph:7480", "serverSideEncryption": None},
            "aws_s3",
            {**THERE, "awsEndpoint": "http://ceph:7480", "pathStyle": True},
        ),
        (
            "location-do-spaces-v1",
            {**CLOUD, "endpoint": "https://ams3.digitaloceanspaces.com"},
            "aws_s3",
            {
                **THERE,
                "awsEndpoint": "https://ams3.digitaloceanspaces.com",
                "supportsVersioning": False,
            },
        ),
        (
            "location-gcp-v1",
            {**CLOUD, "mpuBucketName": "parts", "endpoint": "https://storage.googleapis.com"},
            "gcp",
            {**THERE, "gcpEndpoint": "storage.googleapis.com", "mpuBucketName": "parts"},
        ),
        (
            "location-azure-v1",
            {**CLOUD, "endpoint": "https://ak.blob.core.windows.net"},
            "azure",
            {
                "azureStorageEndpoint": "https://ak.blob.core.windows.net",
                "azureContainerName": "there",
                "azureStorageAccountName": "ak",
                "azureStorageAccessKey": "sk",
                "bucketMatch": True,
            },
        ),
        (
            "location-scality-sproxyd-v1",
            {"bootstrapList": ["a:81", "b:81"], "chordCos": 3, "proxyPath": "/proxy/path"},
            "scality",
            {
                "connector": {
                    "sproxyd": {"bootstrap": ["a:81", "b:81"], "chordCos": 3, "path": "/proxy/path"}
                }
            },
        ),
        ("location-dmf-v1", {"endpoint": "ws://dmf"}, "dmf", {"endpoint": "ws://dmf"}),
        (
            "location-scality-hdclient-v2",
            {"bootstrapList": ["a:18888"]},
            "scality",
            {"connector": {"hdclient": {"bootstrap": ["a:18888"]}}},
        ),
        ("location-nfs-mount-v1", {"endpoint": "nfs://a"}, "pfs", {"endpoint": "nfs://a"}),
    ],
)
def test_a_type_and_its_details(
    zenkos: str, details: dict[str, Any], kind: str, expected: dict[str, Any]
) -> None:
    entry = {"name": "here", "isBuiltin": False, "locationType": zenkos, "details": details}
    common = {"objectId": "1", "isTransient": False}
    assert in_our_terms({**entry, **common}) == {"type": kind, "details": expected, **common}
    # Under the key of the file as well.
    assert in_our_terms({"type": zenkos, "details": details})["details"] == expected


def test_details_in_the_terms_of_the_file_stay() -> None:
    details = {**THERE, "awsEndpoint": "10.0.0.1:9000"}
    entry = {"type": "location-aws-s3-v1", "details": details}
    assert in_our_terms(entry) == {"type": "aws_s3", "details": details}


@pytest.mark.parametrize(
    "entry", [{"type": "file"}, {}, {"type": 1}, {"type": "location-unknown-v1", "name": "x"}]
)
def test_anything_else_stays(entry: dict[str, Any]) -> None:
    assert in_our_terms(entry) == entry


def test_details_that_are_none() -> None:
    entry = {"type": "location-aws-s3-v1", "details": "x"}
    assert in_our_terms(entry) == {"type": "aws_s3", "details": "x"}


def test_such_a_file_is_read(installation: Installation) -> None:
    common = {"isTransient": False, "isCold": False, "sizeLimitGB": 0, "isBuiltin": True}
    document = {
        "us-east-1": {
            "name": "us-east-1",
            "objectId": "95dbedf5-9888-11e7-8565-1af7d5a3c0a4",
            "locationType": "location-file-v1",
            "legacyAwsBehavior": True,
            "details": {"bootstrapList": []},
            **common,
        },
        "cloud": {
            "name": "cloud",
            "objectId": "a1",
            "locationType": "location-aws-s3-v1",
            "details": {**CLOUD, "endpoint": "https://s3.eu-west-1.amazonaws.com"},
            **common,
        },
        "tape": {"name": "tape", "locationType": "location-dmf-v1", "isCold": True, "details": {}},
    }
    installation.write("locationConfig.json", document)
    locations = load_locations(installation.load(), TYPES)
    assert {name: location.type for name, location in locations.items()} == {
        "us-east-1": "file",
        "cloud": "aws_s3",
        "tape": "dmf",
    }
    assert [warning.partition(":")[0] for warning in location_warnings(locations, TYPES)] == [
        "location 'tape'"
    ]
