"""Programs at work on a bucket with versions: each writes three versions of a tree of files, brings
every one back, gives up the old ones, and removes the rest. Nothing may be left of it.

What a program cannot do (s3cmd knows no versions, restic not even that they are there) is done for
it with boto3.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from tests.api.jobs import dmd
from tests.api.support import new_name, set_versioning
from tests.clients import history, tree
from tests.clients.awscli import AwsCli
from tests.clients.emptied import assert_nothing_is_left
from tests.clients.rclone import REMOTE, Rclone
from tests.clients.restic import Restic
from tests.clients.s3cmd import S3cmd
from tests.clients.stored import Bucket
from tests.clients_boto3 import s3_client
from tests.servers import Cluster, Front, cluster

pytestmark = pytest.mark.timeout(3600)

_THREADS = 8


@dataclass(frozen=True)
class Versioned(Bucket):
    """A bucket with versions in a cluster that holds nothing else."""

    running: Cluster
    front: Front

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    def markers(self) -> list[dict[str, Any]]:
        return self.versions("DeleteMarkers")

    def old_versions(self) -> list[dict[str, Any]]:
        return [entry for entry in self.versions() if not entry["IsLatest"]]

    def ids(self) -> dict[tuple[str, int], str]:
        """The IDs of all versions, by file and number."""
        by_key = defaultdict(list)
        for entry in self.versions():
            by_key[entry["Key"]].append(entry["VersionId"])
        assert all(len(ids) == len(history.VERSIONS) for ids in by_key.values())
        return {
            (key, number): version
            for key, ids in by_key.items()
            for number, version in zip(history.VERSIONS, reversed(ids), strict=True)
        }

    def assert_has_all_versions(self) -> None:
        """Every version of every file is there, byte for byte."""
        ids = self.ids()
        assert ids.keys() == set(history.all_versions())

        def assert_reads(wanted: tuple[str, int]) -> None:
            named = {"Key": wanted[0], "VersionId": ids[wanted]}
            body = self.s3.get_object(Bucket=self.name, **named)["Body"]
            assert body.read() == history.content(*wanted), wanted

        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(assert_reads, ids))

    def undelete(self, *, but: tuple[str, ...] = ()) -> None:
        """Remove the delete markers, but for some folders: what they hid is there again."""
        self.delete_versions([mark for mark in self.markers() if not mark["Key"].startswith(but)])

    def purge(self) -> None:
        """Remove every version and every delete marker."""
        self.delete_versions([*self.versions(), *self.markers()])

    def assert_emptied(self) -> None:
        """Nothing is left of what was in it; removes the bucket itself."""
        assert (self.versions(), self.markers()) == ([], [])
        assert_nothing_is_left(self.running, self.name)
        self.s3.delete_bucket(Bucket=self.name)


@pytest.fixture(scope="module")
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster in which the tests of this module are alone."""
    settings = {"deleteDelaySeconds": 0}
    with cluster(tmp_path_factory.mktemp("versions"), settings=settings) as running:
        assert dmd(running, "gc", "--adopt").code == 0
        yield running


@pytest.fixture
def versioned(own_cluster: Cluster) -> Iterator[Versioned]:
    """A bucket with versions; what a failed test leaves in it is removed."""
    front = own_cluster.fronts[0]
    s3, name = s3_client(front, max_pool_connections=_THREADS), new_name()
    s3.create_bucket(Bucket=name)
    set_versioning(s3, name, "Enabled")
    made = Versioned(s3, name, own_cluster, front)
    yield made
    if made.exists():
        made.purge()
        made.remove()


def test_boto3(versioned: Versioned) -> None:
    part_size = tree.PART_SIZE_MIB * tree.MIB
    by_parts = TransferConfig(multipart_threshold=part_size, multipart_chunksize=part_size)
    s3, bucket = versioned.s3, versioned.name

    def upload(name: str, number: int) -> None:
        data = BytesIO(history.content(name, number))
        s3.upload_fileobj(data, bucket, name, Config=by_parts)

    with ThreadPoolExecutor(_THREADS) as pool:
        for number in history.VERSIONS:
            list(pool.map(lambda name, number=number: upload(name, number), history.names()))
    versioned.assert_has_all_versions()
    objects = [{"Key": key} for key in versioned.listing()]
    for start in range(0, len(objects), 1000):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": objects[start : start + 1000]})
    assert versioned.listing() == {}
    assert len(versioned.markers()) == len(objects)
    versioned.undelete()
    versioned.assert_has_all_versions()
    versioned.delete_versions(versioned.old_versions())
    names = history.names()
    for name in names:
        body = s3.get_object(Bucket=bucket, Key=name)["Body"].read()
        assert body == history.content(name, history.VERSIONS[-1]), name
    assert len(versioned.versions()) == len(names)
    versioned.purge()
    versioned.assert_emptied()


def test_awscli(versioned: Versioned, tmp_path: Path) -> None:
    aws, folder = AwsCli(versioned.front, tmp_path), tmp_path / "tree"
    for number in history.VERSIONS:
        aws.s3("sync", "--only-show-errors", str(history.write(folder, number)), versioned.url)
    ids = versioned.ids()
    for name, number in ids:
        (tmp_path / str(number) / name).parent.mkdir(parents=True, exist_ok=True)
    address = ("get-object", "--bucket", versioned.name, "--key")
    aws.api_many(
        (*address, name, "--version-id", ids[name, number], str(tmp_path / str(number) / name))
        for name, number in ids
    )
    for number in history.VERSIONS:
        history.assert_holds(tmp_path / str(number), number)
    _delete_with_awscli(aws, versioned, "Versions[?!IsLatest][]")
    assert len(versioned.versions()) == len(history.names())
    aws.s3("sync", "--only-show-errors", versioned.url, str(tmp_path / "latest"))
    history.assert_holds(tmp_path / "latest", history.VERSIONS[-1])
    aws.s3("rm", "--recursive", "--only-show-errors", versioned.url)
    _delete_with_awscli(aws, versioned, "[Versions, DeleteMarkers][]")
    versioned.assert_emptied()


def _delete_with_awscli(aws: AwsCli, versioned: Versioned, which: str) -> None:
    """Remove what a query of aws-cli's finds in the listing of versions."""
    query = f"{which}.{{Key: Key, VersionId: VersionId}}"
    found = aws.api("list-object-versions", "--bucket", versioned.name, "--query", query)
    batch = aws.folder / "batch.json"
    for start in range(0, len(found), 1000):
        batch.write_text(json.dumps({"Objects": found[start : start + 1000], "Quiet": True}))
        told = aws.api("delete-objects", "--bucket", versioned.name, "--delete", f"file://{batch}")
        assert told is None, told


def test_s3cmd(versioned: Versioned, tmp_path: Path) -> None:
    """It sees the latest versions alone, and what it deletes stays as a version."""
    s3cmd, folder, url = S3cmd(versioned.front, tmp_path), tmp_path / "tree", versioned.url
    s3cmd.run("setversioning", url, "enable")
    for number in history.VERSIONS:
        s3cmd.run("sync", f"{history.write(folder, number)}/", url)
    versioned.assert_has_all_versions()
    s3cmd.run("del", "--recursive", "--force", url)
    assert s3cmd.run("ls", "--recursive", url).output == ""
    refused = s3cmd.try_("rb", url)
    assert "BucketNotEmpty" in refused.errors
    versioned.undelete()
    s3cmd.run("sync", f"{url}/", f"{tmp_path / 'back'}/")
    history.assert_holds(tmp_path / "back", history.VERSIONS[-1])
    versioned.assert_has_all_versions()
    versioned.delete_versions(versioned.old_versions())
    s3cmd.run("del", "--recursive", "--force", url)
    assert len(versioned.versions()) == len(versioned.markers()) == len(history.names())
    versioned.purge()
    versioned.assert_emptied()


def test_rclone(versioned: Versioned, tmp_path: Path) -> None:
    rclone, remote = Rclone(versioned.front, tmp_path), f"{REMOTE}{versioned.name}"
    assert rclone.run("backend", "versioning", remote).document == "Enabled"
    times = []
    for number in history.VERSIONS:
        rclone.run("sync", str(history.write(tmp_path / "tree", number)), remote)
        times.append(datetime.now(UTC).isoformat())
    rclone.run("delete", remote)
    for number, time in zip(history.VERSIONS, times, strict=True):
        back = tmp_path / f"of {number}"
        rclone.run("copy", "--s3-version-at", time, remote, str(back))
        history.assert_holds(back, number)
    versioned.undelete()
    rclone.run("copy", "--s3-versions", remote, str(tmp_path / "all"))
    _assert_holds_all_versions(tmp_path / "all")
    rclone.run("backend", "cleanup-hidden", remote)
    assert len(versioned.versions()) == len(history.names())
    rclone.run("check", "--download", str(tmp_path / "tree"), remote)
    rclone.run("delete", remote)
    assert len(versioned.markers()) == len(history.names())
    rclone.run("backend", "cleanup-hidden", remote)
    versioned.assert_emptied()


_VERSION_IN_NAME = re.compile(r"-v[0-9]{4}-[0-9]{2}-[0-9]{2}-[0-9]{6}-[0-9]{3}(?=\.|$)")


def _assert_holds_all_versions(folder: Path) -> None:
    """A folder where the latest versions have their names, and others the time in it as well."""
    found = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = str(path.relative_to(folder))
            found[_VERSION_IN_NAME.sub("", name)].append(path)
    assert found.keys() == set(history.names())
    for name, paths in found.items():
        latest = folder / name
        ordered = [*(path for path in paths if path != latest), latest]
        for number, path in zip(history.VERSIONS, ordered, strict=True):
            assert path.read_bytes() == history.content(name, number), path


def test_restic(versioned: Versioned, tmp_path: Path) -> None:
    """A repository of three snapshots. It never writes an object twice; what is forgotten, and
    pruned, comes back when the delete markers go."""
    restic, folder = Restic(versioned.front, tmp_path, versioned.name), tmp_path / "tree"
    restic.run("init")
    snapshots = {}
    for number in history.VERSIONS:
        told = restic.run("backup", str(history.write(folder, number))).output
        snapshots[number] = json.loads(told.splitlines()[-1])["snapshot_id"]
    *old, latest = history.VERSIONS
    restic.run("forget", "--keep-last", "1", "--prune")
    assert restic.try_("ls", snapshots[old[0]]).code != 0
    versioned.undelete(but=("locks/",))
    for number in old:
        _assert_restores(restic, snapshots[number], folder, number)
    restic.run("forget", "--keep-last", "1", "--prune")
    versioned.delete_versions(versioned.old_versions())
    _assert_restores(restic, snapshots[latest], folder, latest)
    assert restic.run("check", "--read-data").document["num_errors"] == 0
    versioned.purge()
    versioned.assert_emptied()


def _assert_restores(restic: Restic, snapshot: str, folder: Path, number: int) -> None:
    back = restic.folder / f"of {number}"
    restic.run("restore", f"{snapshot}:{folder}", "--target", str(back))
    history.assert_holds(back, number)
