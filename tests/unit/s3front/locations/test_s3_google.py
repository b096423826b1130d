"""The names of Google's XML API, and what locationConfig.json says of it."""

from __future__ import annotations

from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.locations.location_config import load_locations
from s3front.locations.registry import TYPES
from s3front.locations.s3_checksum import checksum_of
from s3front.locations.s3_details import S3Details
from s3front.locations.s3_google import amazon_headers, google_parameters
from shared.config import ConfigError
from tests.unit.shared.config.conftest import Installation

KEYS = {"accessKey": "GOOG1EXAMPLE", "secretKey": "s+cret"}


def load(installation: Installation, details: dict[str, Any]) -> S3Details:
    document = {"us-east-1": {"type": "file"}, "there": {"type": "gcp", "details": details}}
    installation.write("locationConfig.json", document)
    found = load_locations(installation.load(), TYPES, {})["there"].details
    assert isinstance(found, S3Details)
    return found


def test_its_details(installation: Installation) -> None:
    given = {"bucketName": "zenko", "mpuBucketName": "zenko-mpu", "credentials": KEYS}
    found = load(installation, given)
    assert (found.host, found.port, found.region) == ("storage.googleapis.com", 443, "auto")
    assert (found.is_google, found.is_amazon, found.path_style) == (True, False, False)
    elsewhere = load(installation, {**given, "gcpEndpoint": "http://127.0.0.1:4443"})
    assert (elsewhere.host, elsewhere.secure, elsewhere.path_style) == ("127.0.0.1", False, True)
    with pytest.raises(ConfigError, match=r"awsEndpoint: unknown key; did you mean gcpEndpoint\?"):
        load(installation, {**given, "awsEndpoint": "x"})
    with pytest.raises(ConfigError, match="gcpEndpoint: 'a b' is not a host"):
        load(installation, {**given, "gcpEndpoint": "a b"})


def test_headers_and_parameters() -> None:
    query = [("versionId", "17"), ("tagging", "")]
    assert google_parameters(query) == [("generation", "17"), ("tagging", "")]
    said = CIMultiDict({"x-goog-generation": "17", "X-Goog-Meta-Colour": "black", "ETag": "e"})
    found = amazon_headers(CIMultiDictProxy(said))
    assert (found["x-amz-version-id"], found["x-amz-meta-colour"]) == ("17", "black")
    assert found["ETag"] == "e"


@pytest.mark.parametrize("apart", [True, False])
def test_its_checksum(apart: bool) -> None:
    hashes = ["crc32c=yZRlqg==", "md5=XrY7u+Ae7tCTyyK7j1rNww=="]
    said: CIMultiDict[str] = CIMultiDict()
    for value in hashes if apart else [",".join(hashes)]:
        said.add("x-goog-hash", value)
    check = checksum_of(amazon_headers(CIMultiDictProxy(said)))
    assert check is not None
    check.add(b"hello ")
    assert not check.is_right
    check.add(b"world")
    assert check.is_right
