"""No log names an object, also where the name of a blob is that of its object: in a location of
type ``folder``, whose files are changed and removed from the other side."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.support import code_of
from tests.clients_boto3 import s3_client
from tests.servers import Cluster, cluster, wait_for

NAME = "diary-of-somebody"
LOST = (500, "InternalError")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "nas"
    folder.mkdir()
    return folder


@pytest.fixture
def running(tmp_path: Path, files: Path) -> Iterator[Cluster]:
    details = {"path": str(files), "readOnly": False, "bucketMatch": True}
    rows = {"us-east-1": {"type": "file"}, "nas": {"type": "folder", "details": details}}
    path = tmp_path / "locations.json"
    path.write_text(json.dumps(rows))
    environ = {"S3_LOCATION_FILE": str(path)}
    settings = {"deleteDelaySeconds": 0, "log": {"logLevel": "trace"}}
    with cluster(tmp_path, settings=settings, environ=environ) as started:
        yield started


def test_no_log_names_an_object(running: Cluster, files: Path) -> None:
    s3: Any = s3_client(running.fronts[0])
    where = {"LocationConstraint": "nas"}
    s3.create_bucket(Bucket="photos", CreateBucketConfiguration=where)
    for way in ("removed", "changed", "longer", "replaced", "goes"):
        address = {"Bucket": "photos", "Key": f"{way}/{NAME}"}
        s3.put_object(**address, Body=b"as it was")
        file = files / way / NAME
        assert file.read_bytes() == b"as it was"
        if way == "removed":
            file.unlink()
        elif way == "changed":
            file.write_bytes(b"otherwise")
        elif way == "longer":
            file.write_bytes(b"longer than it was")
        elif way == "replaced":
            file.unlink()
            file.mkdir()
        if way != "goes":
            assert code_of(s3.get_object, **address) == LOST
            copy = {"Bucket": "photos", "Key": f"copy/{NAME}", "CopySource": address}
            assert code_of(s3.copy_object, **copy) == LOST
        s3.delete_object(**address)
    wait_for(lambda: not (files / "goes" / NAME).exists(), "the file to go")
    address = {"Bucket": "photos", "Key": f"away/{NAME}"}
    s3.put_object(**address, Body=b"as it was")
    shutil.rmtree(files)
    assert code_of(s3.get_object, **address)[0] == 503
    assert code_of(s3.put_object, **address, Body=b"new")[0] == 503
    s3.delete_object(**address)
    wait_for(lambda: "entries wait while" in running.work.output, "the deletion to wait")
    for process in (
        running.fronts[0].process,
        running.work,
        running.dmd_metadata,
        running.dmd_data,
    ):
        assert NAME not in process.output, process.name
    said = running.fronts[0].process.output
    assert "the data of an object is missing" in said
    assert '"locations":["nas"]' in said
