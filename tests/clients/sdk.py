"""SDKs behind one set of commands, and the tests that every one of them passes.

A small program for each SDK serves the commands: JSON lines in, a JSON line of answer each. An SDK
that has no ``sync`` shows instead that its listing and its ``stat`` say what was sent.

    makeBucket    bucket
    removeBucket  bucket
    put           bucket, key, file, contentType, cacheControl, metadata, partSize (in bytes: a
                  larger file is sent by parts); the result is the ETag
    get           bucket, key, file
    list          bucket; the result has key, etag and size of each object
    stat          bucket, key; the result has etag, size, contentType, cacheControl and metadata
    copy          bucket, from, to
    copyByParts   bucket, from, to, partSize; of those that can
    join          bucket, keys, to; of those that can, with the description of the first one
    remove        bucket, keys
"""

from __future__ import annotations

import filecmp
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients import tree
from tests.clients.program import DEADLINE_SECONDS
from tests.clients.stored import Bucket, Description
from tests.servers import ACCESS_KEY, SECRET_KEY, Front

PART_SIZE_BYTES = tree.PART_SIZE_MIB * tree.MIB


class SdkError(Exception):
    """The SDK raised an error: its name or code, then its text."""


@dataclass(frozen=True)
class Sdk:
    """A running program that serves the commands."""

    process: subprocess.Popen[str]
    inexpressible: frozenset[str]
    """Keys that the SDK refuses."""

    @classmethod
    @contextmanager
    def running(
        cls,
        argv: list[str],
        front: Front,
        environ: Mapping[str, str] | None = None,
        inexpressible: frozenset[str] = frozenset(),
    ) -> Iterator[Sdk]:
        process = subprocess.Popen(
            argv,
            env={
                "PATH": os.environ["PATH"],
                "LC_ALL": "C.UTF-8",
                "S3_ENDPOINT": front.url,
                "S3_ACCESS_KEY": ACCESS_KEY,
                "S3_SECRET_KEY": SECRET_KEY,
                **(environ or {}),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        with process:
            try:
                yield cls(process, inexpressible)
            finally:
                # The end of its input is the end of the program.
                assert process.stdin is not None
                process.stdin.close()
                process.wait(DEADLINE_SECONDS)

    def ask(self, do: str, **told: Any) -> Any:
        """The result of a command; raises SdkError."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **told}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the program ended at {do!r}"
        answer = json.loads(line)
        if "error" in answer:
            raise SdkError(answer["error"], answer["message"])
        return answer["result"]


@dataclass(frozen=True)
class Uploaded:
    """A bucket that holds the tree and the big file."""

    sdk: Sdk
    bucket: Bucket
    listing: dict[str, tuple[str, int]]
    """ETag and size that every object must have."""

    def ask(self, do: str, **told: Any) -> Any:
        return self.sdk.ask(do, bucket=self.bucket.name, **told)


@contextmanager
def uploaded_by(
    sdk: Sdk, stored: Bucket, big_file: tree.BigFile, folder: Path
) -> Iterator[Uploaded]:
    """The tree and the big file, uploaded by the SDK, which removes everything at the end."""
    listing = {big_file.path.name: (big_file.multipart_etag, big_file.size_bytes)}
    files = {big_file.path.name: big_file.path}
    for number, (key, data) in enumerate(tree.objects().items()):
        if key not in sdk.inexpressible:
            listing[key] = (tree.etag(data), len(data))
            files[key] = folder / str(number)
            files[key].write_bytes(data)
    bucket, description = Uploaded(sdk, stored, listing), Description()
    bucket.ask("makeBucket")
    for key, file in files.items():
        etag = bucket.ask(
            "put",
            key=key,
            file=str(file),
            contentType=description.content_type,
            cacheControl=description.cache_control,
            metadata=description.metadata,
            partSize=PART_SIZE_BYTES,
        )
        assert etag == listing[key][0], key
    yield bucket
    bucket.ask("remove", keys=list(listing))
    assert stored.listing() == {}
    bucket.ask("removeBucket")
    assert not stored.exists()


class SdkTests:
    """A module that has a subclass defines a fixture ``sdk``, of the module's scope."""

    def test_what_is_stored_is_what_was_sent(
        self, uploaded: Uploaded, big_file: tree.BigFile
    ) -> None:
        assert uploaded.bucket.listing() == uploaded.listing
        assert uploaded.bucket.sha256(big_file.path.name) == big_file.sha256
        for key in uploaded.listing:
            assert uploaded.bucket.description(key) == Description(), key

    def test_list_and_stat_say_what_was_sent(self, uploaded: Uploaded) -> None:
        entries = uploaded.ask("list")
        assert {entry["key"]: (entry["etag"], entry["size"]) for entry in entries} == (
            uploaded.listing
        )
        for key in uploaded.listing:
            found = uploaded.ask("stat", key=key)
            assert (found["etag"], found["size"]) == uploaded.listing[key]
            described = (found["contentType"], found["cacheControl"], found["metadata"])
            assert Description(*described) == Description(), key

    def test_every_object_comes_back_as_it_went_up(
        self, uploaded: Uploaded, big_file: tree.BigFile, tmp_path: Path
    ) -> None:
        for number, key in enumerate(uploaded.listing):
            path = tmp_path / str(number)
            uploaded.ask("get", key=key, file=str(path))
            if key == big_file.path.name:
                assert filecmp.cmp(path, big_file.path, shallow=False)
            else:
                assert path.read_bytes() == tree.objects()[key], key

    def test_copies_keep_bytes_and_description(self, uploaded: Uploaded) -> None:
        bucket = uploaded.bucket
        for key in ("spaces  in  the  middle", "percent%20encoded%2Fslash%", "ünïcödé", "empty"):
            uploaded.ask("copy", **{"from": key, "to": f"copy of {key}"})
            assert bucket.listing()[f"copy of {key}"] == uploaded.listing[key]
            assert bucket.sha256(f"copy of {key}") == bucket.sha256(key)
            assert bucket.description(f"copy of {key}") == Description()
            uploaded.ask("remove", keys=[f"copy of {key}"])
            assert bucket.listing() == uploaded.listing

    def test_a_big_object_is_moved_whole(self, uploaded: Uploaded, big_file: tree.BigFile) -> None:
        """An SDK has no command for a move: it copies, and removes the source."""
        bucket, key = uploaded.bucket, big_file.path.name
        uploaded.ask("copy", **{"from": key, "to": "copied"})
        uploaded.ask("copy", **{"from": "copied", "to": "moved/it"})
        uploaded.ask("remove", keys=["copied"])
        moved = {"moved/it": (big_file.etag, big_file.size_bytes)}
        assert bucket.listing() == uploaded.listing | moved
        assert bucket.sha256("moved/it") == big_file.sha256
        assert bucket.description("moved/it") == Description()
        uploaded.ask("remove", keys=["moved/it"])
        assert bucket.listing() == uploaded.listing

    def test_errors_have_their_names(self, uploaded: Uploaded, tmp_path: Path) -> None:
        with pytest.raises(SdkError, match=r"NoSuchKey|NotFound"):
            uploaded.ask("get", key="missing", file=str(tmp_path / "missing"))
        with pytest.raises(SdkError, match="BucketNotEmpty"):
            uploaded.ask("removeBucket")


class PartCopyTests(SdkTests):
    """The tests of an SDK that can copy an object by parts."""

    def test_a_big_object_is_copied_by_parts(
        self, uploaded: Uploaded, big_file: tree.BigFile
    ) -> None:
        bucket, key = uploaded.bucket, big_file.path.name
        uploaded.ask("copyByParts", **{"from": key, "to": "copied"}, partSize=PART_SIZE_BYTES)
        copied = {"copied": (big_file.multipart_etag, big_file.size_bytes)}
        assert bucket.listing() == uploaded.listing | copied
        assert bucket.sha256("copied") == big_file.sha256
        assert bucket.description("copied") == Description()
        uploaded.ask("remove", keys=["copied"])
        assert bucket.listing() == uploaded.listing

    def test_a_plus_sign_is_copied(self, uploaded: Uploaded) -> None:
        """The source of a copy is encoded like a query, where a plus sign would be a space."""
        uploaded.ask("copy", **{"from": "plus+plus", "to": "copied"})
        assert uploaded.bucket.listing()["copied"] == uploaded.listing["plus+plus"]
        uploaded.ask("remove", keys=["copied"])
