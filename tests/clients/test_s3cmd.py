"""s3cmd, with both of its signatures: a tree there and back, copies, moves, and removal."""

from __future__ import annotations

import filecmp
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients import tree
from tests.clients.s3cmd import S3cmd
from tests.clients.stored import Bucket, Description, tree_listing
from tests.servers import Front

# 100 MiB go up and down: on a busy machine, that takes its time.
pytestmark = pytest.mark.timeout(300)

# The program's own attributes (owner, times, MD5), which it adds to the metadata.
_ATTRIBUTES = "s3cmd-attrs"


@dataclass(frozen=True)
class Uploaded:
    """A bucket into which ``s3cmd sync`` has put the tree and the big file."""

    s3cmd: S3cmd
    bucket: Bucket
    folder: Path
    output: str

    @property
    def url(self) -> str:
        return f"s3://{self.bucket.name}"


def described(bucket: Bucket, key: str) -> Description:
    """The description of an object without what the program adds to it."""
    found = bucket.description(key)
    metadata = {name: value for name, value in found.metadata.items() if name != _ATTRIBUTES}
    return Description(found.content_type, found.cache_control, metadata)


@pytest.fixture(scope="module", params=[False, True], ids=["v4", "v2"])
def s3cmd(
    request: pytest.FixtureRequest, front: Front, tmp_path_factory: pytest.TempPathFactory
) -> S3cmd:
    return S3cmd(front, tmp_path_factory.mktemp("s3cmd"), signature_v2=request.param)


@pytest.fixture(scope="module")
def uploaded(s3cmd: S3cmd, program_bucket: Bucket, big_file: tree.BigFile) -> Iterator[Uploaded]:
    """The tree in a bucket of its own; the program removes everything at the end."""
    folder, url = s3cmd.folder / "tree", f"s3://{program_bucket.name}"
    tree.write_files(folder)
    (folder / big_file.path.name).hardlink_to(big_file.path)
    s3cmd.run("mb", url)
    description = Description()
    headers = [f"Cache-Control: {description.cache_control}"]
    headers += [f"x-amz-meta-{name}: {value}" for name, value in description.metadata.items()]
    options = ["--mime-type", description.content_type]
    options += [option for header in headers for option in ("--add-header", header)]
    output = s3cmd.run("sync", *options, f"{folder}/", url).output
    yield Uploaded(s3cmd, program_bucket, folder, output)
    s3cmd.run("rb", "--recursive", "--force", url)
    assert not program_bucket.exists()


def test_the_signature_is_the_chosen_one(s3cmd: S3cmd) -> None:
    assert f"Using signature v{2 if s3cmd.signature_v2 else 4}" in s3cmd.run("--debug", "ls").errors


def test_sync_moves_every_file_once(uploaded: Uploaded) -> None:
    moved = [line for line in uploaded.output.splitlines() if line.startswith("upload: ")]
    files = {line.partition("' -> '")[0] for line in moved}
    assert len(files) == len(tree.files()) + 1
    assert uploaded.s3cmd.run("sync", f"{uploaded.folder}/", uploaded.url).output == ""


def test_what_is_stored_is_what_was_sent(uploaded: Uploaded, big_file: tree.BigFile) -> None:
    big = {big_file.path.name: (big_file.multipart_etag, big_file.size_bytes)}
    assert uploaded.bucket.listing() == tree_listing() | big
    assert uploaded.bucket.sha256(big_file.path.name) == big_file.sha256
    for key in uploaded.bucket.listing():
        assert described(uploaded.bucket, key) == Description(), key


def test_sync_brings_back_every_file_once(
    uploaded: Uploaded, big_file: tree.BigFile, tmp_path: Path
) -> None:
    uploaded.s3cmd.run("sync", f"{uploaded.url}/", f"{tmp_path}/")
    big = tmp_path / big_file.path.name
    assert filecmp.cmp(big, big_file.path, shallow=False)
    assert uploaded.s3cmd.run("sync", f"{uploaded.url}/", f"{tmp_path}/").output == ""
    big.unlink()
    assert tree.read_files(tmp_path) == tree.files()


def test_ls_shows_folders_and_files(uploaded: Uploaded) -> None:
    assert uploaded.url in uploaded.s3cmd.run("ls").output
    (line,) = uploaded.s3cmd.run("ls", f"{uploaded.url}/a/b/").output.splitlines()
    assert line.split() == ["DIR", f"{uploaded.url}/a/b/c/"]
    lines = uploaded.s3cmd.run("ls", "--recursive", uploaded.url).output.splitlines()
    listed = {line.partition(f"{uploaded.url}/")[2]: int(line.split()[2]) for line in lines}
    assert listed == {key: size for key, (_, size) in uploaded.bucket.listing().items()}


def test_copies_and_moves_keep_bytes_and_description(
    uploaded: Uploaded, big_file: tree.BigFile
) -> None:
    """An object of more than ``multipart_copy_chunk_size_mb`` is copied by parts."""
    s3cmd, bucket, url = uploaded.s3cmd, uploaded.bucket, uploaded.url
    for key in (big_file.path.name, "emoji 🎉🚀/👩‍👩‍👧.png"):
        s3cmd.run("cp", f"{url}/{key}", f"{url}/copy of {key}")
        s3cmd.run("mv", f"{url}/copy of {key}", f"{url}/moved/{key}")
        assert f"copy of {key}" not in bucket.listing()
        assert bucket.etag(f"moved/{key}") == bucket.etag(key)
        assert bucket.sha256(f"moved/{key}") == bucket.sha256(key)
        assert bucket.description(f"moved/{key}") == bucket.description(key)
        s3cmd.run("del", f"{url}/moved/{key}")
        assert f"moved/{key}" not in bucket.listing()
