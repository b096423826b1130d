"""A place that others run, for the tests of all that is done around one: files in a folder.

Any number of processes may use one folder. It follows ``RemoteStore`` to the letter, can do as
much or as little as its details say, and fails as it is told to: a file ``faults/VERB`` says what
the next calls of that verb do, until it is removed:

* ``hold``: wait, for as long as it is there, before anything is done;
* ``unreached``, ``busy``, ``refused``, ``broken``: fail, having done nothing;
* ``silent``, ``failed``: do it, and fail as if it were silent or busy;
* ``failed-once``: the same of the next call alone;
* ``other-md5``: say a wrong MD5.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from s3front.locations.base import (
    Capabilities,
    DataNotFoundError,
    ObjectInfo,
    Stored,
)
from s3front.locations.location_config import Location, LocationType, Surroundings, Written
from s3front.locations.remote_store import (
    MARK,
    PART_OF,
    UPLOAD,
    Finding,
    PlaceError,
    RemoteStore,
    Trouble,
    UploadedPart,
    natural_name,
    own_name,
)
from s3front.port.request import Passage
from s3front.s3_errors import S3Error

TYPE: Final = "native"
_NAME_BYTES_MAX: Final = 1024
_BLOCK_BYTES: Final = 64 * 1024
_HOLD_SECONDS_MAX: Final = 60.0

_Answer = TypeVar("_Answer")


class Details(msgspec.Struct, frozen=True, rename="camel"):
    """What it can do, and where it is."""

    folder: str
    versions: bool = False
    multipart: bool = False
    copy: bool = False
    tags: bool = False
    blob_bytes_max: int | None = None
    part_bytes_min: int = 0
    part_bytes_max: int | None = None


class Blob(msgspec.Struct, frozen=True):
    """A blob as the folder has it: what a look from the other side shows."""

    name: str
    version: str
    mark: str
    bucket: str
    key: str
    etag: str
    content_type: str
    user_metadata: dict[str, str]
    headers: dict[str, str]
    tags: dict[str, str]
    content: bytes = b""
    upload: str = ""
    parts: list[tuple[int, str]] = []


class NativePlace(RemoteStore):
    """See the module."""

    def __init__(self, details: Details) -> None:
        self.details = details
        self.root = Path(details.folder)
        for name in ("blobs", "uploads", "faults"):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    @property
    def type(self) -> str:
        return TYPE

    @property
    def capabilities(self) -> Capabilities:
        details = self.details
        return Capabilities(
            ranges=True,
            versions=details.versions,
            multipart=details.multipart,
            copy=details.copy,
            tags=details.tags,
            create_only=not details.versions,
            checksums=True,
            blob_bytes_max=details.blob_bytes_max,
            part_bytes_min=details.part_bytes_min,
            part_bytes_max=details.part_bytes_max,
        )

    # --- From the other side ----------------------------------------------------------------

    def blobs(self) -> list[Blob]:
        """All that is there, by name."""
        found = []
        for path in (self.root / "blobs").glob("*.json"):
            with suppress(FileNotFoundError):
                found.append(self._blob(path))
        return sorted(found, key=lambda blob: (blob.name, blob.version))

    def uploads(self) -> list[str]:
        """The IDs of the uploads that are under way there."""
        return sorted(path.name for path in (self.root / "uploads").iterdir())

    def bucket_of_upload(self, upload_id: str) -> str:
        """For which bucket's object one of them is."""
        return self._upload(upload_id)["bucket"]

    def calls(self) -> list[str]:
        """The verbs that were asked for, in order."""
        path = self.root / "calls"
        return path.read_text().split() if path.exists() else []

    def fault(self, verb: str, what: str) -> Path:
        """Have a verb fail; removing the file ends that."""
        path = self.root / "faults" / verb
        path.write_text(what)
        return path

    # --- As RemoteStore has it ----------------------------------------------------------------

    async def put(
        self, size: int, body: bytes | AsyncGenerator[bytes, None], info: ObjectInfo, mark: str = ""
    ) -> Stored:
        fault = await self._begin("put")
        content = await _content(size, body)
        with self._locked():
            blob = self._new_blob(info, mark, content)
            self._write(blob)
        return self._answer(fault, _stored(blob, self.details.versions))

    async def open(self, blob: Stored, start: int, end: int) -> Reader:
        await self._begin("open")
        found = self._find(blob)
        if found is None:
            raise DataNotFoundError(blob.key)
        if blob.version is None and blob.etag is not None and found.etag != blob.etag:
            raise PlaceError(Trouble.BROKEN, f"{blob.key} was overwritten")
        return Reader(found.content[start : end + 1])

    async def delete(self, blob: Stored) -> None:
        fault = await self._begin("delete")
        if PART_OF in blob.extra:
            return
        with self._locked():
            if UPLOAD in blob.extra:
                self._remove_upload(blob.extra[UPLOAD])
            elif (found := self._find(blob)) is not None and found.mark == blob.extra.get(MARK):
                self._remove(found)
        self._answer(fault, None)

    async def close(self) -> None:
        """Nothing is open."""

    async def remove_strays(self, info: ObjectInfo, mark: str) -> None:
        fault = await self._begin("remove_strays")
        with self._locked():
            for blob in self.blobs():
                if (blob.bucket, blob.key, blob.mark) == (info.bucket, info.key, mark):
                    self._remove(blob)
            for upload_id in self.uploads():
                if self._upload(upload_id)["mark"] == mark:
                    self._remove_upload(upload_id)
        self._answer(fault, None)

    async def look(self, *, thorough: bool) -> Sequence[Finding]:
        if (self.root / "faults" / "look").exists():
            raise PlaceError(Trouble.REFUSED, "the test's own: refused")
        return [Finding("the folder", self.root.is_dir(), str(self.root))]

    async def begin_upload(self, info: ObjectInfo, mark: str) -> Stored:
        fault = await self._begin("begin_upload")
        upload_id = secrets.token_hex(8)
        with self._locked():
            folder = self.root / "uploads" / upload_id
            folder.mkdir()
            name = natural_name(info, bucket_match=False)
            upload = {"mark": mark, "name": name, "bucket": info.bucket}
            (folder / "upload.json").write_text(json.dumps(upload))
        handle = Stored(name, 0, extra={UPLOAD: upload_id, MARK: mark})
        return self._answer(fault, handle)

    async def put_part(
        self, upload: Stored, number: int, size: int, body: bytes | AsyncGenerator[bytes, None]
    ) -> Stored:
        fault = await self._begin("put_part")
        content = await _content(size, body)
        upload_id = upload.extra[UPLOAD]
        with self._locked():
            folder = self.root / "uploads" / upload_id
            if not folder.is_dir():
                raise S3Error("NoSuchUpload")
            (folder / f"{number}.part").write_bytes(content)
        etag = _md5(content)
        extra = {PART_OF: upload_id}
        return self._answer(fault, Stored(upload.key, size, etag=etag, extra=extra, md5=etag))

    async def complete_upload(
        self, upload: Stored, parts: Sequence[UploadedPart], info: ObjectInfo
    ) -> Stored:
        fault = await self._begin("complete_upload")
        assert parts
        assert all(part.size for part in parts)
        upload_id = upload.extra[UPLOAD]
        listed = [(part.number, part.stored.etag or "") for part in parts]
        with self._locked():
            blob = next((each for each in self.blobs() if each.upload == upload_id), None)
            if blob is None:
                blob = self._completed(upload_id, listed, info)
            elif blob.parts != listed:
                raise S3Error("InvalidPart")
        return self._answer(fault, _stored(blob, self.details.versions))

    async def copy(
        self, source: RemoteStore, blob: Stored, info: ObjectInfo, mark: str
    ) -> Stored | None:
        fault = await self._begin("copy")
        if not isinstance(source, NativePlace):
            return None
        found = source._find(blob)
        if found is None:
            raise DataNotFoundError(blob.key)
        with self._locked():
            copied = self._new_blob(info, mark, found.content)
            self._write(copied)
        return self._answer(fault, _stored(copied, self.details.versions))

    async def put_tags(self, blob: Stored, tags: Mapping[str, str]) -> None:
        fault = await self._begin("put_tags")
        with self._locked():
            found = self._find(blob)
            if found is not None:
                self._write(msgspec.structs.replace(found, tags=dict(tags)))
        self._answer(fault, None)

    # --- Files ----------------------------------------------------------------------------------

    async def _begin(self, verb: str) -> str:
        """Count a call, and fail as it is to; what is to be done after it."""
        with (self.root / "calls").open("a") as calls:
            calls.write(f"{verb}\n")
        path = self.root / "faults" / verb
        try:
            fault = path.read_text()
        except FileNotFoundError:
            return ""
        if fault == "hold":
            until = time.monotonic() + _HOLD_SECONDS_MAX
            while path.exists() and time.monotonic() < until:  # noqa: ASYNC110  # another process's
                await asyncio.sleep(0.01)  # between two looks
            return ""
        if fault in ("unreached", "busy", "refused", "broken"):
            raise PlaceError(Trouble[fault.upper()], f"the test's own: {fault}")
        return fault

    def _answer(self, fault: str, answer: _Answer) -> _Answer:
        if fault == "failed-once":
            for path in (self.root / "faults").iterdir():
                path.unlink()
        if fault in ("silent", "failed", "failed-once"):
            trouble = Trouble.SILENT if fault == "silent" else Trouble.BUSY
            raise PlaceError(trouble, f"the test's own: {fault}")
        if fault == "other-md5" and isinstance(answer, Stored):
            return msgspec.structs.replace(answer, md5="0" * 32)
        return answer

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _new_blob(self, info: ObjectInfo, mark: str, content: bytes) -> Blob:
        """A blob under a name, or a version, that nobody has."""
        name = natural_name(info, bucket_match=False)
        version = secrets.token_hex(8) if self.details.versions else ""
        if not version and _file(self.root, name, "").exists():
            name = own_name(name, mark, _NAME_BYTES_MAX)
        return Blob(
            name,
            version,
            mark,
            info.bucket,
            info.key,
            _md5(content),
            info.content_type,
            dict(info.user_metadata),
            dict(info.headers),
            dict(info.tags),
            content,
        )

    def _completed(
        self, upload_id: str, listed: Sequence[tuple[int, str]], info: ObjectInfo
    ) -> Blob:
        upload = self._upload(upload_id)
        folder = self.root / "uploads" / upload_id
        pieces = []
        for number, etag in listed:
            path = folder / f"{number}.part"
            if not path.exists() or _md5(path.read_bytes()) != etag:
                raise S3Error("InvalidPart")
            pieces.append(path.read_bytes())
        blob = self._new_blob(info, upload["mark"], b"".join(pieces))
        blob = msgspec.structs.replace(
            blob, upload=upload_id, parts=list(listed), etag=f"{blob.etag}-{len(listed)}"
        )
        self._write(blob)
        shutil.rmtree(folder)
        return blob

    def _upload(self, upload_id: str) -> dict[str, str]:
        path = self.root / "uploads" / upload_id / "upload.json"
        if not path.exists():
            raise S3Error("NoSuchUpload")
        found: dict[str, str] = json.loads(path.read_text())
        return found

    def _remove_upload(self, upload_id: str) -> None:
        shutil.rmtree(self.root / "uploads" / upload_id, ignore_errors=True)
        for blob in self.blobs():
            if blob.upload == upload_id:
                self._remove(blob)

    def _find(self, blob: Stored) -> Blob | None:
        path = _file(self.root, blob.key, blob.version or "")
        return self._blob(path) if path.exists() else None

    def _blob(self, path: Path) -> Blob:
        return msgspec.json.decode(path.read_bytes(), type=Blob)

    def _write(self, blob: Blob) -> None:
        path = _file(self.root, blob.name, blob.version)
        new = path.with_suffix(f".{secrets.token_hex(4)}")
        new.write_bytes(msgspec.json.encode(blob))
        os.replace(new, path)

    def _remove(self, blob: Blob) -> None:
        _file(self.root, blob.name, blob.version).unlink(missing_ok=True)


class Reader:
    """See ``base.DataReader``."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def blocks(self) -> AsyncGenerator[bytes | Passage, None]:
        for start in range(0, len(self._content), _BLOCK_BYTES):
            yield self._content[start : start + _BLOCK_BYTES]

    async def read(self) -> bytes:
        return self._content

    def close(self) -> None:
        """Nothing is open."""


async def _content(size: int, body: bytes | AsyncGenerator[bytes, None]) -> bytes:
    content = body if isinstance(body, bytes) else b"".join([block async for block in body])
    assert len(content) == size
    return content


def _stored(blob: Blob, versions: bool) -> Stored:
    md5 = None if "-" in blob.etag else blob.etag
    version = blob.version if versions else None
    return Stored(blob.name, len(blob.content), version, blob.etag, {MARK: blob.mark}, md5)


def _file(root: Path, name: str, version: str) -> Path:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return root / "blobs" / f"{digest}-{version}.json"


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _read_details(document: object, _written: Written) -> Details:
    return msgspec.convert(document, Details)


def _make(location: Location, _surroundings: Surroundings) -> NativePlace:
    assert isinstance(location.details, Details)
    return NativePlace(location.details)


NATIVE: Final = LocationType(_read_details, _make)
"""What a row of ``registry.TYPES`` would be."""
