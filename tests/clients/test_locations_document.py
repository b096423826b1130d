"""The first steps of docs/locations.md, as they are written there."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.awscli import AwsCli
from tests.clients_boto3 import s3_client
from tests.faults.stores import stored_records
from tests.servers import REPOSITORY, Cluster, cluster

_URL = "http://localhost:8000"
_INDENT = "    "
TEXT = (REPOSITORY / "docs" / "locations.md").read_text().partition("\n## ")[0]
BLOCKS = [
    "\n".join(line.removeprefix(_INDENT) for line in block.splitlines())
    for block in TEXT.split("\n\n")
    if block.startswith(_INDENT)
]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Cluster]:
    """A server with the locations of the document, started as it says."""
    locations, start, _uploads = BLOCKS
    assert start == "S3_LOCATION_FILE=$PWD/my-locations.json make start"
    path = tmp_path / "my-locations.json"
    path.write_text(locations)
    json.loads(locations)
    environ = {"S3_LOCATION_FILE": str(path)}
    with cluster(tmp_path / "server", environ=environ, supervised=True) as started:
        yield started


def test_the_first_steps_work(running: Cluster, tmp_path: Path) -> None:
    front = running.fronts[0]
    aws = AwsCli(front, tmp_path)
    finished = subprocess.run(
        ["sh", "-eux", "-c", BLOCKS[2].replace(_URL, front.url)],
        env=aws.environ,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert '"LocationConstraint": "scratch"' in finished.stdout
    assert [line.split()[-1] for line in finished.stdout.splitlines()[-2:]] == [
        "README.md",
        "kept.md",
    ]
    records = stored_records(running, ["drafts"])["drafts"]
    places = {key: record["dataStoreName"] for key, record in records.items()}
    assert places == {"README.md": "scratch", "kept.md": "us-east-1"}
    body = (REPOSITORY / "README.md").read_bytes()
    for key in places:
        assert s3_client(front).get_object(Bucket="drafts", Key=key)["Body"].read() == body
