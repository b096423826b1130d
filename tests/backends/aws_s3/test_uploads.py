"""Uploads of parts, copies and tags at an S3 service."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import pytest

from s3front.locations.aws_s3 import AwsS3Store
from s3front.locations.base import DataNotFoundError, ObjectInfo, Stored
from s3front.locations.remote_store import (
    MARK,
    MARK_METADATA,
    PART_OF,
    UPLOAD,
    PlaceError,
    Trouble,
    UploadedPart,
    new_mark,
)
from s3front.s3_errors import S3Error
from tests.api.data_server import RecordingLog
from tests.backends.s3_services import Remote
from tests.backends.s3_stores import INFO, Stores, blocks_of, md5_of, read
from tests.etags import multipart_etag_of

PARTS = [secrets.token_bytes(5 * 1024 * 1024), secrets.token_bytes(5 * 1024 * 1024), b"end"]
TAGGED = ObjectInfo("photos", "tagged", "text/plain", {}, {}, {"animal": "cat", "a b": "c=+"})


async def put_all(store: AwsS3Store, upload: Stored) -> list[UploadedPart]:
    """The parts, as bytes and as streams in turns."""
    uploaded = []
    for number, data in enumerate(PARTS, 1):
        body = data if number % 2 else blocks_of(data)
        stored = await store.put_part(upload, number, len(data), body)
        assert stored.md5 == md5_of(data)
        assert PART_OF in stored.extra
        uploaded.append(UploadedPart(number, len(data), md5_of(data), stored))
    return uploaded


async def begun(store: AwsS3Store, mark: str = "") -> tuple[Stored, Sequence[UploadedPart]]:
    upload = await store.begin_upload(INFO, mark or new_mark())
    return upload, await put_all(store, upload)


def uploads(there: Remote) -> list[str]:
    found = there.s3.list_multipart_uploads(Bucket=there.bucket)
    return [entry["Key"] for entry in found.get("Uploads", [])]


async def test_parts_become_one_blob(there: Remote, stores: Stores) -> None:
    store, mark = stores(there), new_mark()
    upload, parts = await begun(store, mark)
    assert (upload.extra[MARK], there.keys()) == (mark, [])
    blob = await store.complete_upload(upload, parts, INFO)
    whole = b"".join(PARTS)
    assert (blob.size, blob.extra) == (len(whole), {MARK: mark})
    assert blob.etag == multipart_etag_of(PARTS).strip('"')
    assert await read(store, blob) == whole == there.content(blob.key)
    assert await read(store, blob, len(whole) - 5, len(whole) - 1) == whole[-5:]
    found = there.head(blob.key)
    assert found["Metadata"] == {"colour": "black", MARK_METADATA: mark}
    assert (blob.key == INFO.key) == there.versioned
    assert (blob.version is not None) == there.versioned


async def test_asked_to_complete_again_it_answers_the_same(there: Remote, stores: Stores) -> None:
    there.service.needs("memory of uploads")
    store = stores(there)
    upload, parts = await begun(store)
    blob = await store.complete_upload(upload, parts, INFO)
    await store.put(1, b"1", INFO)
    again = await store.complete_upload(upload, parts, INFO)
    assert (again.key, again.version, again.etag) == (blob.key, blob.version, blob.etag)


async def test_what_a_service_cannot_complete(there: Remote, stores: Stores) -> None:
    there.service.needs("sizes of parts")
    store = stores(there)
    upload, parts = await begun(store)
    small = await store.put_part(upload, 1, 1, b"1")
    first = UploadedPart(1, 1, md5_of(b"1"), small)
    with pytest.raises(S3Error) as caught:
        await store.complete_upload(upload, [first, *parts[1:]], INFO)
    assert caught.value.code == "EntityTooSmall"
    with pytest.raises(S3Error) as caught:
        await store.complete_upload(upload, parts, INFO)
    assert caught.value.code == "InvalidPart"
    await store.delete(upload)


async def test_deleting_an_upload_aborts_it(there: Remote, stores: Stores) -> None:
    there.service.needs("memory of uploads")
    store = stores(there)
    upload, parts = await begun(store)
    await store.delete(parts[0].stored)
    await store.delete(upload)
    await store.delete(upload)
    assert (uploads(there), there.keys()) == ([], [])
    with pytest.raises(S3Error) as caught:
        await store.put_part(upload, 1, 1, b"1")
    assert caught.value.code == "NoSuchUpload"
    with pytest.raises(S3Error) as caught:
        await store.complete_upload(upload, parts, INFO)
    assert caught.value.code == "NoSuchUpload"


async def test_deleting_an_upload_removes_what_it_became(there: Remote, stores: Stores) -> None:
    store = stores(there)
    upload, parts = await begun(store)
    await store.complete_upload(upload, parts, INFO)
    other = await store.put(1, b"1", INFO)
    await store.delete(upload)
    assert await read(store, other) == b"1"
    assert there.keys() == [other.key]


async def test_neither_an_upload_nor_a_part_can_be_read(there: Remote, stores: Stores) -> None:
    store = stores(there)
    upload, parts = await begun(store)
    for each in (upload, parts[0].stored):
        with pytest.raises(DataNotFoundError):
            await store.open(each, 0, 0)
    await store.delete(upload)


async def test_strays_of_uploads(there: Remote, stores: Stores) -> None:
    there.service.needs("dates of uploads")
    store, marks = stores(there), [new_mark(), new_mark()]
    upload, parts = await begun(store)
    await store.begin_upload(INFO, marks[0])
    await store.remove_strays(INFO, marks[0])
    assert uploads(there) == [upload.key]
    made = await store.begin_upload(INFO, marks[1])
    await store.complete_upload(made, await put_all(store, made), INFO)
    await store.remove_strays(INFO, marks[1])
    assert there.keys() == []
    blob = await store.complete_upload(upload, parts, INFO)
    assert there.keys() == [blob.key]


async def test_a_copy_at_the_place_itself(there: Remote, stores: Stores) -> None:
    store = stores(there)
    blob = await store.put(4, b"body", INFO)
    mark, info = new_mark(), ObjectInfo("photos", "copy", "text/plain", {"size": "small"})
    copy = await store.copy(store, blob, info, mark)
    assert copy is not None
    assert (copy.size, copy.md5, copy.extra) == (4, md5_of(b"body"), {MARK: mark})
    await store.delete(blob)
    assert await read(store, copy) == b"body"
    assert there.head(copy.key)["Metadata"] == {"size": "small", MARK_METADATA: mark}
    assert (copy.key == "copy") == there.versioned


async def test_a_copy_of_what_is_another_one_now(plain: Remote, stores: Stores) -> None:
    plain.service.needs("create-only")
    store = stores(plain)
    blob = await store.put(4, b"body", INFO)
    plain.s3.put_object(Bucket=plain.bucket, Key=INFO.key, Body=b"from outside")
    assert await store.copy(store, blob, ObjectInfo("photos", "copy", "", {}), new_mark()) is None
    gone = Stored("none", 4, None, "0" * 32)
    assert await store.copy(store, gone, ObjectInfo("photos", "copy", "", {}), new_mark()) is None


async def test_a_copy_between_buckets(plain: Remote, versioned: Remote, stores: Stores) -> None:
    source, target = stores(plain, bucketMatch=False), stores(versioned)
    info = ObjectInfo("photos", "a b+c/ü", "text/plain", {})
    blob = await source.put(4, b"body", info)
    copy = await target.copy(source, blob, info, new_mark())
    assert copy is not None
    assert await read(target, copy) == b"body"
    other = stores(versioned, credentials={"accessKey": "other", "secretKey": "other"})
    assert await other.copy(source, blob, info, new_mark()) is None


async def test_tags_are_kept_beside_the_bytes(there: Remote, stores: Stores) -> None:
    there.service.needs("tags")
    store = stores(there)
    blob = await store.put(4, b"body", TAGGED)

    def tags(key: str) -> dict[str, str]:
        found = there.s3.get_object_tagging(Bucket=there.bucket, Key=key)["TagSet"]
        return {tag["Key"]: tag["Value"] for tag in found}

    assert tags(blob.key) == {"animal": "cat", "a b": "c=+"}
    copy = await store.copy(store, blob, TAGGED, new_mark())
    assert copy is not None
    assert tags(copy.key) == {"animal": "cat", "a b": "c=+"}
    await store.put_tags(blob, {"animal": "dog"})
    if not there.versioned:
        assert tags(blob.key) == {"animal": "dog"}
    await store.put_tags(copy, {})
    assert tags(copy.key) == {}
    await store.delete(copy)
    await store.put_tags(copy, {"animal": "dog"})


async def test_tags_that_are_too_long_for_a_header(there: Remote, stores: Stores) -> None:
    there.service.needs("tags")
    long = {f"{number}": "x" * 250 for number in range(10)}
    info = ObjectInfo("photos", "tagged", "text/plain", {}, {}, long)
    blob = await stores(there).put(4, b"body", info)
    found = there.s3.get_object_tagging(Bucket=there.bucket, Key=blob.key)["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in found} == long


async def test_tags_where_there_are_none_are_metadata(there: Remote, stores: Stores) -> None:
    if not there.is_google:
        pytest.skip("it has tags")
    blob = await stores(there).put(4, b"body", TAGGED)
    assert there.head(blob.key)["Metadata"]["aws-tag-animal"] == "cat"
    assert not stores(there).capabilities.tags


async def test_metadata_without_room_is_said_once(
    there: Remote, stores: Stores, log: RecordingLog
) -> None:
    store = stores(there)
    marks = [new_mark(), new_mark()]
    for mark in marks:
        info = ObjectInfo("photos", "a", "text/plain", {"long": "x" * 2040})
        await store.put(1, b"1", info, mark)
    event = "metadata of an object has no room there: its record alone has it"
    assert log.fields_of(event) == [{"location": "there", "mark": marks[0]}]


async def test_another_endpoint_is_no_place_to_copy_from(plain: Remote, stores: Stores) -> None:
    store, away = stores(plain), stores(plain, **{plain.endpoint_key: "127.0.0.1:1"})
    blob = await store.put(4, b"body", INFO)
    assert await store.copy(away, blob, INFO, new_mark()) is None
    with pytest.raises(PlaceError) as caught:
        await away.put(4, b"body", INFO)
    assert caught.value.trouble is Trouble.UNREACHED
    assert UPLOAD not in blob.extra
