"""Listings of current objects behind very many delete markers, which the store has to read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dmd.metadata import record_keys, stored
from dmd.metadata.metadata_directory import open_engine
from dmd.metadata.projection import project
from shared import limits
from tests.clients_boto3 import s3_client
from tests.raw_http import call
from tests.servers import Cluster, Front, cluster, wait_for

BUCKET = "deleted"
MARKERS = limits.LIST_HIDDEN_MAX + 1000
MARKER = {"isDeleteMarker": True, "versionId": "1", "last-modified": "2026-01-02T03:04:05.678Z"}


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with cluster(tmp_path_factory.mktemp("markers")) as running:
        s3_client(running.fronts[0]).create_bucket(Bucket=BUCKET)
        _fill(running)
        s3 = s3_client(running.fronts[0])
        for key in ("a/z", "b"):
            s3.put_object(Bucket=BUCKET, Key=key)
        yield running.fronts[0]


def _fill(running: Cluster) -> None:
    """Write the markers as the daemon would, which is stopped for it."""
    running.dmd_metadata.stop()
    record = json.dumps(MARKER).encode()
    entry = stored.Stored(1, *project([BUCKET], record), record)
    engine = open_engine(running.folder / "metadata")
    with engine.transaction() as transaction:
        for number in range(MARKERS):
            key = record_keys.physical([BUCKET], f"a/{number:06}", engine.key_bytes_max)
            transaction.put(key, stored.pack(key, entry))
    engine.close()
    running.start_daemons()
    wait_for(lambda: call(running.fronts[0], "HEAD", f"/{BUCKET}").status == 200, "the bucket")


@pytest.fixture
def s3(front: Front) -> Any:
    return s3_client(front)


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
@pytest.mark.parametrize(("delimiter", "wanted"), [("", ["a/z", "b"]), ("/", ["a/", "b"])])
def test_all_pages_have_what_there_is(
    s3: Any, operation: str, delimiter: str, wanted: list[str]
) -> None:
    pages = [*s3.get_paginator(operation).paginate(Bucket=BUCKET, Delimiter=delimiter)]
    prefixes = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]
    found = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    assert prefixes + found == wanted
    # A marker cannot say that it lies within a prefix that was not listed; a token can.
    in_one_piece = operation == "list_objects" and delimiter
    assert len(pages) == (1 if in_one_piece else 2)


def test_a_page_without_keys_says_where_to_go_on(front: Front) -> None:
    xml = call(front, "GET", f"/{BUCKET}?max-keys=5").xml
    assert (xml.findtext("IsTruncated"), xml.find("Contents")) == ("true", None)
    assert (xml.findtext("NextMarker") or "").startswith("a/0")
    xml = call(front, "GET", f"/{BUCKET}?list-type=2").xml
    assert (xml.findtext("IsTruncated"), xml.findtext("KeyCount")) == ("true", "0")
    assert xml.findtext("NextContinuationToken")
