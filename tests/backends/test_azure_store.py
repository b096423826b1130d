"""A container of Azure's as a location: its store, against Azurite, looked at from both sides."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import ContainerClient
from azure.storage.blob.aio import BlobClient
from msgspec.structs import replace

from s3front.locations import azure, azure_blocks
from s3front.locations.azure import AzureStore
from s3front.locations.azure_client import AzureContainer
from s3front.locations.azure_details import read_azure_details
from s3front.locations.azure_names import MARK_NAME
from s3front.locations.azure_recognition import Seen
from s3front.locations.base import DataNotFoundError, ObjectInfo, Stored
from s3front.locations.location_config import Written
from s3front.locations.remote_store import (
    MARK,
    UPLOAD,
    PlaceError,
    Trouble,
    UploadedPart,
    new_mark,
)
from s3front.s3_errors import S3Error
from tests.backends.azurites import Azurite, azurite
from tests.etags import etag_of
from tests.servers import free_port

INFO = ObjectInfo("photos", "2026/cat.jpg", "image/jpeg", {})
LARGE = secrets.token_bytes(3 * 1024 * 1024 + 17)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with azurite(tmp_path_factory.mktemp("azurite")) as running:
        yield running


@pytest.fixture
def container(there: Azurite) -> ContainerClient:
    """A fresh container, as Azure's own client sees it."""
    return there.container(f"c{uuid.uuid4().hex[:16]}")


@pytest.fixture
async def store(there: Azurite, container: ContainerClient) -> AsyncIterator[AzureStore]:
    made = store_of(there.details(container.container_name))
    yield made
    await made.close()


def store_of(details: dict[str, Any]) -> AzureStore:
    written = Written("locationConfig.json", "here.details", "here", {}, Path())
    return AzureStore(AzureContainer(read_azure_details(details, written)))


def md5(data: bytes) -> str:
    return etag_of(data).strip('"')


async def blocks_of(*blocks: bytes) -> AsyncGenerator[bytes, None]:
    for block in blocks:
        yield block


async def pieces_of(data: bytes, size: int = 100_000) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def failing(data: bytes, error: Exception) -> AsyncGenerator[bytes, None]:
    yield data
    raise error


async def busy(*_arguments: object, **_options: object) -> None:
    error = HttpResponseError("not now")
    error.status_code = 503
    raise error


async def read(store: AzureStore, blob: Stored, start: int = 0, end: int = -1) -> bytes:
    reader = await store.open(blob, start, end if end >= 0 else blob.size - 1)
    try:
        return b"".join([piece async for piece in reader.blocks()])
    finally:
        reader.close()


def recorded(blob: Stored, **members: Any) -> Stored:
    """A blob as its record says it later."""
    extra = {**json.loads(json.dumps(dict(blob.members()))), **members}
    return Stored(blob.key, blob.size, blob.version, None, extra)


def names(container: ContainerClient) -> list[str]:
    return sorted(container.list_blob_names())


async def test_bytes_are_read_as_they_were_stored(
    store: AzureStore, container: ContainerClient
) -> None:
    mark = new_mark()
    blob = await store.put(4, b"body", INFO, mark)
    assert (blob.key, blob.size, blob.extra[MARK]) == ("2026/cat.jpg", 4, mark)
    assert blob.md5 == md5(b"body")
    assert await read(store, recorded(blob)) == b"body"
    assert container.download_blob("2026/cat.jpg").readall() == b"body"


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 1024 * 1024 + 1, len(LARGE)])
async def test_a_stream_is_read_as_it_was_stored(
    store: AzureStore, container: ContainerClient, size: int
) -> None:
    data = LARGE[:size]
    blob = await store.put(size, pieces_of(data), INFO, new_mark())
    assert (blob.key, blob.md5) == ("2026/cat.jpg", md5(data))
    assert await read(store, recorded(blob)) == data
    assert container.download_blob("2026/cat.jpg").readall() == data


async def test_blocks_of_a_stream_are_put_together(
    store: AzureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one that is larger than what Azure takes at once."""
    monkeypatch.setattr(azure, "SINGLE_PUT_BYTES_MAX", 2_000_000)
    monkeypatch.setattr(azure_blocks, "BLOCK_BYTES", 1_000_000)
    blob = await store.put(len(LARGE), pieces_of(LARGE, 70_001), INFO, new_mark())
    assert blob.md5 is None
    for error in (S3Error("BadDigest"), ConnectionResetError("the client")):
        with pytest.raises(type(error)):
            await store.put(len(LARGE), failing(LARGE, error), INFO, new_mark())
    assert await read(store, recorded(blob)) == LARGE


async def test_parts_of_a_blob(store: AzureStore) -> None:
    blob = recorded(await store.put(10, b"0123456789", INFO, new_mark()))
    assert await read(store, blob, 3, 6) == b"3456"
    assert await read(store, blob, 9, 9) == b"9"
    reader = await store.open(blob, 1, 2)
    assert await reader.read() == b"12"


async def test_a_reader_that_is_closed_early(store: AzureStore) -> None:
    blob = recorded(await store.put(len(LARGE), pieces_of(LARGE), INFO, new_mark()))
    reader = await store.open(blob, 0, blob.size - 1)
    assert await anext(reader.blocks())
    reader.close()
    assert await read(store, blob) == LARGE


async def test_what_is_kept_beside_a_blob(store: AzureStore, container: ContainerClient) -> None:
    info = ObjectInfo(
        "photos",
        "cat",
        "image/jpeg",
        {"taken-by": "Ann", "a.b": "ü  x", "tags": "mine", "empty": ""},
        {"cache-control": "no-store", "content-encoding": "gzip", "expires": "never"},
        {"colour": "grey  cat", "ü": "ß"},
    )
    mark = new_mark()
    for size in (4, 2_000_000):
        blob = await store.put(size, blocks_of(LARGE[:size]), info, mark)
        found = container.get_blob_client(blob.key).get_blob_properties()
        assert found.metadata == {
            "twofold_mark": mark,
            "taken_by": "Ann",
            "a_2e_b": "%C3%BC %20x",
            "tags_2": "mine",
            "tags": '{"colour":"grey\\u0020\\u0020cat","\\u00fc":"\\u00df"}',
        }
        assert json.loads(found.metadata["tags"]) == info.tags
        settings = found.content_settings
        assert settings.content_type == "image/jpeg"
        assert (settings.cache_control, settings.content_encoding) == ("no-store", "gzip")
        assert await read(store, recorded(blob)) == LARGE[:size]
        await store.delete(recorded(blob))


ODD_KEYS = [
    "a b",
    "/a",
    "a//b",
    "a/",
    "folder/",
    "//",
    "../up",
    "a/../b",
    "./x",
    "dots...",
    "a./b./c.",
    "back\\slash",
    "per%cent",
    "%2F%2E",
    "tab\tnew\nline",
    "\x7f\x85\u2028\ufeff\ue000\uffff",
    "".join(chr(code) for code in range(0x21, 0x7F)),
    "ünï/日本語/🐈‍⬛",
    "?query=1&x#fragment",
    "a+b=c@d:e;f,g!h*i'j(k)l",
    "x" * 1024,
    "ü" * 512,
    "/" * 300,
    "a/" * 400,
]


@pytest.mark.parametrize("bucket_match", [True, False])
async def test_any_key_has_a_blob(
    there: Azurite, container: ContainerClient, bucket_match: bool
) -> None:
    store = store_of(there.details(container.container_name, bucketMatch=bucket_match))
    try:
        for key in ODD_KEYS:
            for size in (3, 1_100_000):
                info = ObjectInfo("photos", key, "", {})
                blob = recorded(await store.put(size, pieces_of(LARGE[:size]), info, new_mark()))
                assert await read(store, blob, 1, 2) == LARGE[1:3], key
                assert blob.key in names(container), key
                await store.delete(blob)
        assert names(container) == []
    finally:
        await store.close()


async def test_no_name_is_used_twice(store: AzureStore, container: ContainerClient) -> None:
    blobs = []
    for size in (3, 2_000_000, 3, 2_000_000):
        mark = new_mark()
        blob = recorded(await store.put(size, blocks_of(LARGE[:size]), INFO, mark))
        assert blob.key in ("2026/cat.jpg", f"2026/cat.jpg~{mark}")
        blobs.append(blob)
    assert len(names(container)) == 4
    for blob in blobs:
        assert await read(store, blob) == LARGE[: blob.size]


async def test_two_who_write_a_fresh_key_at_once(
    store: AzureStore, container: ContainerClient
) -> None:
    bodies = [secrets.token_bytes(1_200_000 + number) for number in range(8)]
    blobs = await asyncio.gather(
        *(store.put(len(body), pieces_of(body), INFO, new_mark()) for body in bodies)
    )
    assert len({blob.key for blob in blobs}) == 8
    assert "2026/cat.jpg" in names(container)
    for blob, body in zip(blobs, bodies, strict=True):
        assert await read(store, recorded(blob)) == body


@pytest.mark.parametrize("size", [1000, 2_000_000])
async def test_a_body_that_fails_leaves_nothing(
    store: AzureStore, container: ContainerClient, size: int
) -> None:
    for error in (S3Error("BadDigest"), ConnectionResetError("the client"), ValueError("x")):
        with pytest.raises(type(error)) as caught:
            await store.put(size, failing(LARGE[: size // 2], error), INFO, new_mark())
        assert caught.value is error
        # At its very end, when every byte was sent.
        with pytest.raises(type(error)):
            await store.put(size, failing(LARGE[:size], error), INFO, new_mark())
    with pytest.raises(S3Error, match="IncompleteBody"):
        await store.put(size, blocks_of(b"short"), INFO, new_mark())
    with pytest.raises(S3Error, match="IncompleteBody"):
        await store.put(size, blocks_of(LARGE[:size], b"long"), INFO, new_mark())
    assert names(container) == []


@pytest.mark.parametrize("failure", [S3Error("BadDigest"), PlaceError(Trouble.UNREACHED, "gone")])
async def test_a_placeholder_that_is_left_is_said(
    store: AzureStore,
    container: ContainerClient,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
) -> None:
    mark = new_mark()
    monkeypatch.setattr(BlobClient, "delete_blob", busy)
    with pytest.raises(PlaceError) as caught:
        await store.put(2_000_000, failing(LARGE[:1_000_000], failure), INFO, mark)
    assert caught.value.trouble is Trouble.SILENT
    monkeypatch.undo()
    await store.remove_strays(INFO, mark)
    assert names(container) == []


@pytest.mark.parametrize("verb", ["delete", "remove_strays"])
async def test_what_is_changed_as_it_is_removed_is_not_said_to_be_gone(
    store: AzureStore, container: ContainerClient, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """As by a request that Azure does late, for instance of tags: it has the mark still."""
    mark = new_mark()
    blob = recorded(await store.put(4, b"body", INFO, mark))
    blob = replace(blob, extra={**blob.extra, UPLOAD: mark})
    look_up = store._container.look_up

    async def changed(name: str) -> Seen | None:
        seen = await look_up(name)
        client = container.get_blob_client(name)
        if seen is not None:
            client.set_blob_metadata({**seen.metadata, "changed": "1"})
        return seen

    container.get_blob_client(blob.key).set_blob_metadata({MARK_NAME: mark})
    monkeypatch.setattr(store._container, "look_up", changed)
    removing = store.delete(blob) if verb == "delete" else store.remove_strays(INFO, mark)
    with pytest.raises(PlaceError) as caught:
        await removing
    assert caught.value.trouble is Trouble.BUSY
    monkeypatch.undo()
    await store.remove_strays(INFO, mark)
    assert names(container) == []


async def test_what_somebody_else_has_overwritten_is_not_ours(
    store: AzureStore, container: ContainerClient
) -> None:
    blob = recorded(await store.put(4, b"body", INFO, new_mark()))
    client = container.get_blob_client(blob.key)
    metadata = client.get_blob_properties().metadata
    client.upload_blob(b"ydob", overwrite=True, metadata=metadata)
    for start, end in ((0, 3), (1, 2)):
        with pytest.raises(PlaceError) as caught:
            await read(store, blob, start, end)
        assert caught.value.trouble is Trouble.BROKEN
    await store.delete(blob)
    await store.put_tags(blob, {"a": "b"})
    assert client.download_blob().readall() == b"ydob"
    assert client.get_blob_properties().metadata == metadata


async def test_what_is_gone_is_not_found(store: AzureStore) -> None:
    blob = recorded(await store.put(4, b"body", INFO, new_mark()))
    await store.delete(blob)
    with pytest.raises(DataNotFoundError):
        await store.open(blob, 0, 3)
    await store.delete(blob)
    await store.put_tags(blob, {"a": "b"})


async def test_new_tags(store: AzureStore, container: ContainerClient) -> None:
    info = ObjectInfo("photos", "cat", "image/jpeg", {"by": "Ann"}, {}, {"a": "1"})
    mark = new_mark()
    blob = recorded(await store.put(4, b"body", info, mark))
    for tags in ({"b": "2"}, {"c": "3", "d": ""}, {}):
        await store.put_tags(blob, tags)
        metadata = container.get_blob_client("cat").get_blob_properties().metadata
        assert json.loads(metadata.pop("tags", "{}")) == tags
        assert metadata.pop("twofold_etag")
        assert metadata == {"twofold_mark": mark, "by": "Ann"}
        assert await read(store, blob) == b"body"
        assert await read(store, blob, 1, 2) == b"od"
    await store.delete(blob)
    assert names(container) == []


async def test_strays_are_removed_by_their_mark(
    store: AzureStore, container: ContainerClient
) -> None:
    mark, other = new_mark(), new_mark()
    kept = recorded(await store.put(4, b"body", INFO, other))
    await store.put(4, b"lost", INFO, mark)
    await store.remove_strays(INFO, mark)
    assert names(container) == [kept.key]
    await store.remove_strays(INFO, mark)
    await store.delete(kept)
    await store.begin_upload(INFO, mark)
    await store.remove_strays(INFO, mark)
    assert names(container) == []


class TestBlobsOfCloudServer:
    """Its records have no ETag of Azure's, and it maps metadata as we do."""

    def record(self, data: bytes, size: int = -1) -> Stored:
        etag = f"1:{md5(data)}"
        extra = {"dataStoreETag": etag, "dataStoreType": "azure"}
        return Stored("old", size if size >= 0 else len(data), None, None, extra)

    async def test_they_are_read_tagged_and_deleted(
        self, store: AzureStore, container: ContainerClient
    ) -> None:
        container.upload_blob("old", b"body", metadata={"by": "Ann", "tags": '{"a":"b"}'})
        blob = self.record(b"body")
        assert await read(store, blob) == b"body"
        assert await read(store, blob, 1, 1) == b"o"
        await store.put_tags(blob, {"c": "d"})
        found = container.get_blob_client("old").get_blob_properties().metadata
        assert found == {"by": "Ann", "tags": '{"c":"d"}'}
        assert await read(store, blob) == b"body"
        await store.delete(blob)
        assert names(container) == []

    async def test_overwritten_ones_are_not_served(
        self, store: AzureStore, container: ContainerClient
    ) -> None:
        container.upload_blob("old", b"ydob")
        for blob in (self.record(b"body"), self.record(b"ydob", 3)):
            with pytest.raises(PlaceError):
                await store.open(blob, 0, 1)

    async def test_a_blob_of_ours_under_the_name_is_not_deleted_for_one(
        self, store: AzureStore, container: ContainerClient
    ) -> None:
        await store.put(4, b"body", ObjectInfo("photos", "old", "", {}), new_mark())
        await store.delete(self.record(b"body"))
        assert names(container) == ["old"]


class TestUploads:
    async def test_parts_become_one_blob(
        self, store: AzureStore, container: ContainerClient
    ) -> None:
        info = ObjectInfo("photos", "film", "video/mp4", {"by": "Ann"}, {}, {"a": "b"})
        mark = new_mark()
        upload = recorded(await store.begin_upload(info, mark))
        assert upload.key == "film"
        parts = [
            await part(store, upload, 2, b"two"),
            await part(store, upload, 7, LARGE, stream=True),
            await part(store, upload, 1, b"one", stream=True),
        ]
        parts = [parts[2], parts[0], parts[1]]
        blob = await store.complete_upload(upload, parts, info)
        again = await store.complete_upload(upload, parts, info)
        assert again == blob
        assert blob.size == 6 + len(LARGE)
        assert await read(store, recorded(blob)) == b"onetwo" + LARGE
        found = container.get_blob_client("film").get_blob_properties()
        assert found.metadata == {"twofold_mark": mark, "by": "Ann", "tags": '{"a":"b"}'}
        assert found.content_settings.content_type == "video/mp4"

    async def test_a_part_that_is_sent_again_replaces_the_former(self, store: AzureStore) -> None:
        upload = recorded(await store.begin_upload(INFO, new_mark()))
        await part(store, upload, 1, b"former, which is longer")
        second = await part(store, upload, 1, b"latter")
        with pytest.raises(ValueError, match="x"):
            await store.put_part(upload, 1, 9, failing(b"fail", ValueError("x")))
        blob = await store.complete_upload(upload, [second], INFO)
        assert await read(store, recorded(blob)) == b"latter"

    async def test_uploads_and_objects_of_one_key_at_once(
        self, store: AzureStore, container: ContainerClient
    ) -> None:
        uploads = [recorded(await store.begin_upload(INFO, new_mark())) for _ in range(3)]
        parts = [[await part(store, upload, 1, upload.key.encode())] for upload in uploads]
        whole = recorded(await store.put(4, b"body", INFO, new_mark()))
        for upload, those in zip(uploads, parts, strict=True):
            those.append(await part(store, upload, 2, b"-end"))
            blob = await store.complete_upload(upload, those, INFO)
            assert await read(store, recorded(blob)) == upload.key.encode() + b"-end"
        assert await read(store, whole) == b"body"
        assert len(names(container)) == 4

    async def test_an_aborted_upload_leaves_nothing(
        self, store: AzureStore, container: ContainerClient
    ) -> None:
        upload = recorded(await store.begin_upload(INFO, new_mark()))
        one = await part(store, upload, 1, b"one")
        await store.delete(recorded(one.stored))
        await store.delete(upload)
        await store.delete(upload)
        assert names(container) == []
        with pytest.raises(S3Error):
            await store.complete_upload(upload, [one], INFO)
        fresh = recorded(await store.put(4, b"body", INFO, new_mark()))
        assert await read(store, fresh) == b"body"

    async def test_to_abort_a_completed_upload_removes_its_blob_alone(
        self, store: AzureStore, container: ContainerClient
    ) -> None:
        upload = recorded(await store.begin_upload(INFO, new_mark()))
        await store.complete_upload(upload, [await part(store, upload, 1, b"one")], INFO)
        await store.delete(upload)
        assert names(container) == []
        other = recorded(await store.put(4, b"body", INFO, new_mark()))
        await store.delete(upload)
        assert await read(store, other) == b"body"

    async def test_other_parts_than_it_was_completed_with(self, store: AzureStore) -> None:
        upload = recorded(await store.begin_upload(INFO, new_mark()))
        first = await part(store, upload, 1, b"former")
        blob = recorded(await store.complete_upload(upload, [first], INFO))
        second = await part(store, upload, 1, b"latter")
        with pytest.raises(S3Error, match="InvalidPart"):
            await store.complete_upload(upload, [second], INFO)
        assert await read(store, blob) == b"former"

    async def test_a_part_that_is_not_there(self, store: AzureStore) -> None:
        upload = recorded(await store.begin_upload(INFO, new_mark()))
        made_up = Stored(upload.key, 3, extra={"dataStoreBlocks": "0123456789abcdef:1"})
        for stored in (made_up, Stored(upload.key, 3)):
            with pytest.raises(S3Error, match="InvalidPart"):
                await store.complete_upload(upload, [UploadedPart(1, 3, "", stored)], INFO)


async def part(
    store: AzureStore, upload: Stored, number: int, data: bytes, *, stream: bool = False
) -> UploadedPart:
    body = pieces_of(data) if stream else data
    stored = await store.put_part(upload, number, len(data), body)
    return UploadedPart(number, len(data), md5(data), recorded(stored))


class TestCopies:
    @pytest.mark.parametrize("by_signature", [False, True])
    async def test_within_an_account(self, there: Azurite, by_signature: bool) -> None:
        details = there.details("source"), there.details("target", bucketMatch=False)
        there.container("source"), there.container("target")
        if by_signature:
            for one in details:
                del one["azureStorageAccessKey"]
                one["sasToken"] = there.sas("rcwd", one["azureContainerName"])
        source, target = map(store_of, details)
        info = ObjectInfo("photos", "kopie ü", "text/plain", {"by": "Bob"}, {}, {"a": "b"})
        try:
            blob = recorded(await source.put(len(LARGE), pieces_of(LARGE), INFO, new_mark()))
            mark = new_mark()
            copied = await target.copy(source, blob, info, mark)
            assert copied is not None
            assert copied.md5 == md5(LARGE)
            assert copied.key == "photos/kopie ü"
            assert await read(target, recorded(copied)) == LARGE
            found = there.container("target").get_blob_client(copied.key).get_blob_properties()
            assert found.metadata == {"twofold_mark": mark, "by": "Bob", "tags": '{"a":"b"}'}
            assert found.content_settings.content_type == "text/plain"
            second = await target.copy(source, blob, info, new_mark())
            assert second is not None
            assert second.key != copied.key
            for copy in (copied, second):
                await target.delete(recorded(copy))
            await source.delete(blob)
            assert await target.copy(source, blob, info, mark) is None
            assert names(there.container("target")) == []
        finally:
            await source.close()
            await target.close()

    @pytest.mark.parametrize("is_left", [False, True])
    async def test_one_that_is_not_finished_is_taken_back(
        self,
        store: AzureStore,
        container: ContainerClient,
        monkeypatch: pytest.MonkeyPatch,
        is_left: bool,
    ) -> None:
        blob = recorded(await store.put(4, b"body", INFO, new_mark()))
        monkeypatch.setattr(BlobClient, "set_http_headers", busy)
        if is_left:
            monkeypatch.setattr(BlobClient, "delete_blob", busy)
        with pytest.raises(PlaceError) as caught:
            await store.copy(store, blob, INFO, new_mark())
        assert caught.value.trouble is (Trouble.SILENT if is_left else Trouble.BUSY)
        assert len(names(container)) == (2 if is_left else 1)


class TestLooks:
    async def test_all_is_well(self, store: AzureStore, container: ContainerClient) -> None:
        findings = await store.look(thorough=True)
        assert {finding.is_good for finding in findings} == {True}
        assert {finding.what for finding in findings} == {
            "container",
            "create",
            "create only",
            "read",
            "metadata",
            "blocks",
            "block list",
            "ETags",
            "delete",
        }
        assert names(container) == []
        assert len(await store.look(thorough=False)) == 1

    async def test_a_container_that_is_not_there(self, there: Azurite) -> None:
        store = store_of(there.details("elsewhere"))
        try:
            for ask in (
                store.look(thorough=False),
                store.put(4, b"body", INFO, new_mark()),
                store.put(2_000_000, pieces_of(LARGE[:2_000_000]), INFO, new_mark()),
                store.open(Stored("x", 4), 0, 3),
                store.delete(Stored("x", 4)),
            ):
                with pytest.raises(PlaceError, match="ServiceUnavailable") as caught:
                    await ask
                assert caught.value.trouble is Trouble.REFUSED
                assert "the container does not exist" in caught.value.reason
        finally:
            await store.close()

    async def test_a_wrong_key(self, there: Azurite, container: ContainerClient) -> None:
        details = there.details(container.container_name, azureStorageAccessKey="d3Jvbmc=")
        store = store_of(details)
        try:
            with pytest.raises(PlaceError) as caught:
                await store.look(thorough=False)
            assert caught.value.trouble is Trouble.REFUSED
            assert "403 Authorization" in caught.value.reason
        finally:
            await store.close()

    async def test_what_a_signature_lacks_is_named(
        self, there: Azurite, container: ContainerClient
    ) -> None:
        details = there.details(container.container_name)
        del details["azureStorageAccessKey"]
        details["sasToken"] = there.sas("rc", container.container_name, hours=1)
        store = store_of(details)
        try:
            findings = {
                finding.words: finding.is_good for finding in await store.look(thorough=True)
            }
            assert findings["sasToken does not allow: write, delete"] is False
            assert any("sasToken ends on" in words for words in findings)
            assert any(words.startswith("not allowed: ") for words in findings), findings
        finally:
            await store.close()

    async def test_nobody_is_there(self, there: Azurite) -> None:
        details = there.details()
        details["azureStorageEndpoint"] = f"http://127.0.0.1:{free_port()}/twofoldtests"
        store = store_of(details)
        try:
            for ask in (store.put(4, b"body", INFO, new_mark()), store.look(thorough=False)):
                with pytest.raises(PlaceError) as caught:
                    await ask
                assert caught.value.trouble is Trouble.UNREACHED
        finally:
            await store.close()


async def test_a_name_that_is_locked_by_another(
    store: AzureStore, container: ContainerClient
) -> None:
    blob = recorded(await store.put(4, b"body", INFO, new_mark()))
    lease = container.get_blob_client(blob.key).acquire_lease(15)
    with pytest.raises(PlaceError) as caught:
        await store.delete(blob)
    assert caught.value.trouble is Trouble.REFUSED
    assert "lease" in caught.value.reason
    lease.release()
    await store.delete(blob)


async def test_the_library_logs_nothing(
    there: Azurite, container: ContainerClient, caplog: pytest.LogCaptureFixture
) -> None:
    """At no level: what it says may hold what was signed, and with what."""
    signed = there.details(container.container_name, sasToken=there.sas("rc"))
    del signed["azureStorageAccessKey"]
    wrong = there.details(container.container_name, azureStorageAccessKey="d3Jvbmc=")
    with caplog.at_level(1):
        for details in (there.details(container.container_name), signed, wrong):
            store = store_of(details)
            try:
                for ask in (
                    store.put(4, b"body", INFO, new_mark()),
                    store.put(2_000_000, pieces_of(LARGE[:2_000_000]), INFO, new_mark()),
                    store.open(Stored("not there", 4), 0, 3),
                    store.delete(Stored("not there", 4)),
                ):
                    with contextlib.suppress(S3Error, DataNotFoundError):
                        await ask
            finally:
                await store.close()
    assert [record for record in caplog.records if record.name.startswith(("azure", "msal"))] == []
    assert "sig=" not in caplog.text
