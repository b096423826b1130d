"""s5cmd: a tree there and back, copies, moves, and removal."""

from __future__ import annotations

import filecmp
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients import tree
from tests.clients.s5cmd import S5cmd
from tests.clients.stored import Bucket, Description, tree_listing
from tests.servers import Front

# 100 MiB go up and down: on a busy machine, that takes its time.
pytestmark = pytest.mark.timeout(300)

# ``sync`` writes the names into commands, which it then reads again: a character that is not
# printable (here the zero-width joiner) comes out as the six characters of its escape, and the
# program finds no such file. ``cp`` has no such detour.
_NOT_BY_SYNC = frozenset({"emoji 🎉🚀/👩‍👩‍👧.png"})
# For the same reason, ``sync`` makes one of two ``--metadata`` options.
_DESCRIPTION = Description(metadata={"colour": "blue"})
_OPTIONS = [
    *("--part-size", str(tree.PART_SIZE_MIB)),
    *("--content-type", _DESCRIPTION.content_type),
    *("--cache-control", _DESCRIPTION.cache_control),
    *("--metadata", "colour=blue"),
]


@dataclass(frozen=True)
class Uploaded:
    """A bucket into which ``s5cmd sync`` has put the tree and the big file."""

    s5cmd: S5cmd
    bucket: Bucket
    folder: Path
    told: list[dict[str, Any]]

    @property
    def url(self) -> str:
        return f"s3://{self.bucket.name}"


@pytest.fixture(scope="module")
def s5cmd(front: Front, tmp_path_factory: pytest.TempPathFactory) -> S5cmd:
    return S5cmd(front, tmp_path_factory.mktemp("s5cmd"))


@pytest.fixture(scope="module")
def uploaded(s5cmd: S5cmd, program_bucket: Bucket, big_file: tree.BigFile) -> Iterator[Uploaded]:
    """The tree in a bucket of its own; the program removes everything at the end."""
    folder, url = s5cmd.folder / "tree", f"s3://{program_bucket.name}"
    tree.write_files(folder, without=_NOT_BY_SYNC)
    (folder / big_file.path.name).hardlink_to(big_file.path)
    s5cmd.run("mb", url)
    told = s5cmd.told("sync", *_OPTIONS, f"{folder}/", url)
    yield Uploaded(s5cmd, program_bucket, folder, told)
    s5cmd.run("rm", f"{url}/*")
    assert program_bucket.listing() == {}
    s5cmd.run("rb", url)
    assert not program_bucket.exists()


def test_sync_moves_every_file_once(uploaded: Uploaded, big_file: tree.BigFile) -> None:
    moved = sorted(document["destination"] for document in uploaded.told)
    names = {*tree.files(), big_file.path.name} - _NOT_BY_SYNC
    assert moved == sorted(f"{uploaded.url}/{name}" for name in names)
    assert uploaded.s5cmd.told("sync", *_OPTIONS, f"{uploaded.folder}/", uploaded.url) == []


def test_what_is_stored_is_what_was_sent(uploaded: Uploaded, big_file: tree.BigFile) -> None:
    big = {big_file.path.name: (big_file.multipart_etag, big_file.size_bytes)}
    assert uploaded.bucket.listing() == tree_listing(without=_NOT_BY_SYNC) | big
    assert uploaded.bucket.sha256(big_file.path.name) == big_file.sha256
    for key in uploaded.bucket.listing():
        assert uploaded.bucket.description(key) == _DESCRIPTION, key


def test_sync_brings_back_every_file_once(
    uploaded: Uploaded, big_file: tree.BigFile, tmp_path: Path
) -> None:
    uploaded.s5cmd.run("sync", f"{uploaded.url}/*", f"{tmp_path}/")
    big = tmp_path / big_file.path.name
    assert filecmp.cmp(big, big_file.path, shallow=False)
    assert uploaded.s5cmd.told("sync", f"{uploaded.url}/*", f"{tmp_path}/") == []
    big.unlink()
    expected = {name: data for name, data in tree.files().items() if name not in _NOT_BY_SYNC}
    assert tree.read_files(tmp_path) == expected


def test_the_listing_has_every_file(uploaded: Uploaded) -> None:
    told = uploaded.s5cmd.told("ls", "--etag", f"{uploaded.url}/*")
    # A size of 0 is left out.
    listed = {
        entry["key"].removeprefix(f"{uploaded.url}/"): (f'"{entry["etag"]}"', entry.get("size", 0))
        for entry in told
    }
    assert listed == uploaded.bucket.listing()
    (folder,) = uploaded.s5cmd.told("ls", f"{uploaded.url}/a/b/")
    assert (folder["key"], folder["type"]) == (f"{uploaded.url}/a/b/c/", "directory")


def test_cp_takes_the_names_that_sync_does_not(uploaded: Uploaded, tmp_path: Path) -> None:
    metadata = Description().metadata
    options = [option for pair in metadata.items() for option in ("--metadata", "=".join(pair))]
    for name in _NOT_BY_SYNC:
        (tmp_path / "file").write_bytes(tree.files()[name])
        uploaded.s5cmd.run("cp", *options, str(tmp_path / "file"), f"{uploaded.url}/{name}")
        uploaded.s5cmd.run("cp", f"{uploaded.url}/{name}", str(tmp_path / "back"))
        assert (tmp_path / "back").read_bytes() == tree.files()[name]
        assert uploaded.bucket.description(name).metadata == metadata
        uploaded.s5cmd.run("rm", f"{uploaded.url}/{name}")
        assert name not in uploaded.bucket.listing()


def test_copies_and_moves_keep_bytes_and_description(
    uploaded: Uploaded, big_file: tree.BigFile
) -> None:
    """The program copies an object whole, whatever its size.

    Unless it is told otherwise, it asks for a copy without the source's metadata.
    """
    s5cmd, bucket, url = uploaded.s5cmd, uploaded.bucket, uploaded.url
    small = "folder with space/sub+folder/100%"
    etags = {big_file.path.name: big_file.etag, small: bucket.etag(small)}
    keep = ("--metadata-directive", "COPY")
    for key, etag in etags.items():
        s5cmd.run("cp", *keep, f"{url}/{key}", f"{url}/copy of {key}")
        s5cmd.run("mv", *keep, f"{url}/copy of {key}", f"{url}/moved/{key}")
        assert f"copy of {key}" not in bucket.listing()
        assert bucket.etag(f"moved/{key}") == etag
        assert bucket.sha256(f"moved/{key}") == bucket.sha256(key)
        assert bucket.description(f"moved/{key}") == bucket.description(key)
        s5cmd.run("rm", f"{url}/moved/{key}")
        assert f"moved/{key}" not in bucket.listing()
