"""A location that is taken out of locationConfig.json, or mistyped there, while something needs it:
nothing goes elsewhere, what is asked is refused, and what waits is done when it is back.

The location is a folder, which can be looked at from the other side.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.records.names import DEAD_LETTERS, DELETIONS
from tests.api.support import body_of, code_of, error_of
from tests.clients_boto3 import s3_client
from tests.faults.stores import stored_records
from tests.forms import form_body, form_request, signed_v4
from tests.raw_http import exchange
from tests.servers import Cluster, Process, cluster, wait_for

REFUSED = (501, "NotImplemented")


class Shelf:
    """A server with a location that comes and goes."""

    def __init__(self, folder: Path, running: Cluster) -> None:
        self.folder, self.running = folder, running
        self.front = running.fronts[0]
        self.s3 = s3_client(self.front)
        self.files = folder / "nas"

    @staticmethod
    def write(folder: Path, *names: str) -> Path:
        nas = {"path": str(folder / "nas"), "readOnly": False}
        rows: dict[str, Any] = {"us-east-1": {"type": "file"}}
        rows |= {name: {"type": "folder", "details": nas} for name in names}
        path = folder / "locations.json"
        path.write_text(json.dumps(rows))
        return path

    def configure(self, *names: str) -> None:
        """Have these besides us-east-1."""
        self.write(self.folder, *names)
        for process in (self.front.process, self.running.work):
            self._reload(process)

    def _reload(self, process: Process) -> None:
        before = process.output.count("configuration reloaded")
        os.kill(process.pid, signal.SIGHUP)
        wait_for(
            lambda: process.output.count("configuration reloaded") > before,
            "the locations to be read again",
        )

    def blobs(self) -> int:
        return sum(path.is_file() for path in self.files.rglob("*"))

    def warnings(self, process: Process) -> list[dict[str, Any]]:
        lines = map(json.loads, process.output.splitlines())
        return [line for line in lines if line["event"].startswith("a location is not configured")]


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    (tmp_path / "nas").mkdir()
    path = Shelf.write(tmp_path, "nas")
    environ = {"S3_LOCATION_FILE": str(path)}
    with cluster(tmp_path, settings={"deleteDelaySeconds": 0}, environ=environ) as running:
        yield Shelf(tmp_path, running)


@pytest.fixture
def bucket(shelf: Shelf) -> str:
    where = {"LocationConstraint": "nas"}
    shelf.s3.create_bucket(Bucket="photos", CreateBucketConfiguration=where)
    return "photos"


def test_nothing_goes_elsewhere(shelf: Shelf, bucket: str) -> None:
    s3, address = shelf.s3, {"Bucket": bucket, "Key": "key"}
    s3.put_object(**address, Body=b"there")
    upload = {"Bucket": bucket, "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    shelf.configure("nsa")
    for size in (0, 4, 100_000):
        answer = error_of(s3.put_object, **address, Body=b"x" * size)
        assert (answer["status"], answer["Code"]) == REFUSED
        assert answer["Message"] == "The location 'nas' is not configured."
    assert code_of(s3.create_multipart_upload, **address) == REFUSED
    assert code_of(s3.upload_part, **upload, PartNumber=1, Body=b"part") == REFUSED
    copy = {"Bucket": bucket, "Key": "copy", "CopySource": address}
    assert code_of(s3.copy_object, **copy) == REFUSED
    form = form_body(signed_v4({"key": "new"}, bucket), b"text")
    request = form_request(f"localhost:{shelf.front.port}", f"/{bucket}", form)
    assert exchange(shelf.front, request).status == 501
    answer = error_of(s3.get_object, **address)
    assert (answer["status"], answer["Code"]) == REFUSED
    assert answer["Message"] == "The location 'nas' is not configured."
    assert len(shelf.warnings(shelf.front.process)) == 1
    # Where a request says another one, it goes there.
    here = {"Metadata": {"scal-location-constraint": "us-east-1"}}
    s3.put_object(Bucket=bucket, Key="here", Body=b"here", **here)
    shelf.configure("nas")
    assert body_of(s3, bucket, "key") == b"there"
    s3.upload_part(**upload, PartNumber=1, Body=b"part")
    assert set(stored_records(shelf.running, [bucket])[bucket]) == {"key", "here"}


def test_deletions_wait_for_it(shelf: Shelf, bucket: str) -> None:
    s3, work = shelf.s3, shelf.running.work
    s3.put_object(Bucket=bucket, Key="key", Body=b"there")
    shelf.configure("nsa")
    s3.delete_object(Bucket=bucket, Key="key")
    wait_for(lambda: bool(shelf.warnings(work)), "the deletion to wait")
    assert len(stored_records(shelf.running, [DELETIONS])[DELETIONS]) == 1
    assert shelf.blobs() == 1
    shelf.configure("nas")
    wait_for(lambda: not shelf.blobs(), "the blob to go")
    assert not stored_records(shelf.running, [DEAD_LETTERS])[DEAD_LETTERS]
