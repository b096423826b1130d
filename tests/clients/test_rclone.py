"""rclone: a tree there and back, copies, moves, and removal."""

from __future__ import annotations

import filecmp
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients import tree
from tests.clients.rclone import REMOTE, Rclone
from tests.clients.stored import Bucket, Description, tree_listing
from tests.servers import Front

# 100 MiB go up and down: on a busy machine, that takes its time.
pytestmark = pytest.mark.timeout(300)

# The program adds these attributes of the file to the metadata, and the MD5 of an upload by parts.
_ATTRIBUTES = {"atime", "btime", "gid", "md5chksum", "mode", "mtime", "uid"}


@dataclass(frozen=True)
class Uploaded:
    """A bucket into which ``rclone sync`` has put the tree and the big file."""

    rclone: Rclone
    bucket: Bucket
    folder: Path
    output: str

    @property
    def remote(self) -> str:
        return f"{REMOTE}{self.bucket.name}"


def described(bucket: Bucket, key: str) -> Description:
    """The description of an object without what the program adds to it."""
    found = bucket.description(key)
    metadata = {name: found.metadata[name] for name in found.metadata.keys() - _ATTRIBUTES}
    return Description(found.content_type, found.cache_control, metadata)


def transferred(log: str) -> list[str]:
    """The names of the files that a command has moved, by its log."""
    messages = [json.loads(line) for line in log.splitlines()]
    return [entry["object"] for entry in messages if entry["msg"].startswith("Copied")]


@pytest.fixture(scope="module")
def rclone(front: Front, tmp_path_factory: pytest.TempPathFactory) -> Rclone:
    return Rclone(front, tmp_path_factory.mktemp("rclone"))


@pytest.fixture(scope="module")
def uploaded(rclone: Rclone, program_bucket: Bucket, big_file: tree.BigFile) -> Iterator[Uploaded]:
    """The tree in a bucket of its own; the program removes everything at the end."""
    folder, remote = rclone.folder / "tree", f"{REMOTE}{program_bucket.name}"
    tree.write_files(folder)
    (folder / big_file.path.name).hardlink_to(big_file.path)
    rclone.run("mkdir", remote)
    assert program_bucket.exists()
    description = Description()
    headers = {"content-type": description.content_type, "cache-control": description.cache_control}
    options = ["--metadata"]
    for name, value in (headers | description.metadata).items():
        options += ["--metadata-set", f"{name}={value}"]
    finished = rclone.run("sync", "--verbose", "--use-json-log", *options, str(folder), remote)
    yield Uploaded(rclone, program_bucket, folder, finished.errors)
    rclone.run("delete", remote)
    assert program_bucket.listing() == {}
    rclone.run("rmdir", remote)
    assert not program_bucket.exists()


def test_sync_moves_every_file_once(uploaded: Uploaded, big_file: tree.BigFile) -> None:
    assert sorted(transferred(uploaded.output)) == sorted({*tree.files(), big_file.path.name})
    again = uploaded.rclone.run(
        "sync", "--verbose", "--use-json-log", str(uploaded.folder), uploaded.remote
    )
    assert transferred(again.errors) == []


def test_what_is_stored_is_what_was_sent(uploaded: Uploaded, big_file: tree.BigFile) -> None:
    big = {big_file.path.name: (big_file.multipart_etag, big_file.size_bytes)}
    assert uploaded.bucket.listing() == tree_listing() | big
    assert uploaded.bucket.sha256(big_file.path.name) == big_file.sha256
    for key in uploaded.bucket.listing():
        assert described(uploaded.bucket, key) == Description(), key


def test_sync_brings_back_every_file_once(
    uploaded: Uploaded, big_file: tree.BigFile, tmp_path: Path
) -> None:
    uploaded.rclone.run("sync", uploaded.remote, str(tmp_path))
    big = tmp_path / big_file.path.name
    assert filecmp.cmp(big, big_file.path, shallow=False)
    again = uploaded.rclone.run(
        "sync", "--verbose", "--use-json-log", uploaded.remote, str(tmp_path)
    )
    assert transferred(again.errors) == []
    big.unlink()
    assert tree.read_files(tmp_path) == tree.files()


def test_the_listing_has_every_file(uploaded: Uploaded, big_file: tree.BigFile) -> None:
    entries = uploaded.rclone.run(
        "lsjson", "--recursive", "--files-only", "--hash", uploaded.remote
    ).document
    listed = {entry["Path"]: (f'"{entry["Hashes"]["md5"]}"', entry["Size"]) for entry in entries}
    # The MD5 of the big file is not in its ETag: the program has kept it in the metadata.
    big = {big_file.path.name: (big_file.etag, big_file.size_bytes)}
    assert listed == tree_listing() | big
    folders = uploaded.rclone.run("lsf", "--dirs-only", f"{uploaded.remote}/a/b").output
    assert folders == "c/\n"


def test_copies_and_moves_keep_bytes_and_description(
    uploaded: Uploaded, big_file: tree.BigFile
) -> None:
    """An object of more than ``copy_cutoff`` is copied by parts.

    Without ``--metadata``, the program begins such a copy without the Cache-Control of its source.
    """
    rclone, bucket, remote = uploaded.rclone, uploaded.bucket, uploaded.remote
    for key in (big_file.path.name, "emoji 🎉🚀/👩‍👩‍👧.png"):
        rclone.run("copyto", "--metadata", f"{remote}/{key}", f"{remote}/copy of {key}")
        rclone.run("moveto", "--metadata", f"{remote}/copy of {key}", f"{remote}/moved/{key}")
        assert f"copy of {key}" not in bucket.listing()
        assert bucket.etag(f"moved/{key}") == bucket.etag(key)
        assert bucket.sha256(f"moved/{key}") == bucket.sha256(key)
        assert described(bucket, f"moved/{key}") == described(bucket, key)
        rclone.run("deletefile", f"{remote}/moved/{key}")
        assert f"moved/{key}" not in bucket.listing()


def test_a_tree_goes_up_over_https_and_is_purged(
    tls_front: Front, program_bucket: Bucket, tmp_path: Path
) -> None:
    rclone, remote = Rclone(tls_front, tmp_path), f"{REMOTE}{program_bucket.name}-tls"
    tree.write_files(tmp_path / "tree")
    bucket = Bucket(program_bucket.s3, f"{program_bucket.name}-tls")
    rclone.run("copy", str(tmp_path / "tree"), remote)
    assert bucket.listing() == tree_listing()
    rclone.run("check", "--download", str(tmp_path / "tree"), remote)
    rclone.run("purge", remote)
    assert not bucket.exists()
