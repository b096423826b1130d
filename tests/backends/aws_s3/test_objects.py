"""An S3 service as a location: its store, against real services, looked at from both sides."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator

import pytest

from s3front.locations.base import DataNotFoundError, ObjectInfo
from s3front.locations.remote_store import MARK, MARK_METADATA, PlaceError, Trouble, new_mark
from tests.api.data_server import RecordingLog
from tests.backends.s3_services import Remote
from tests.backends.s3_stores import INFO, Stores, blocks_of, md5_of, read

LARGE = secrets.token_bytes(3 * 1024 * 1024 + 5)


async def test_what_is_stored_is_read(there: Remote, stores: Stores) -> None:
    store = stores(there)
    blob = await store.put(4, b"body", INFO)
    assert (blob.key == INFO.key, blob.size, blob.md5) == (there.is_natural, 4, md5_of(b"body"))
    assert await read(store, blob) == there.content(blob.key) == b"body"
    assert await read(store, blob, 1, 2) == b"od"
    reader = await store.open(blob, 0, 3)
    assert await reader.read() == b"body"
    assert (blob.version is not None) == (there.versioned or there.is_google)


async def test_a_large_body_comes_as_a_stream(there: Remote, stores: Stores) -> None:
    store = stores(there)
    blob = await store.put(len(LARGE), blocks_of(LARGE), INFO)
    assert (blob.key == INFO.key, blob.md5) == (there.is_natural, md5_of(LARGE))
    assert await read(store, blob) == LARGE
    assert await read(store, blob, 1_000_000, 2_999_999) == LARGE[1_000_000:3_000_000]


async def test_metadata_is_kept_beside_the_bytes(there: Remote, stores: Stores) -> None:
    info = ObjectInfo(
        "photos", "a b", "image/jpeg", {"colour": "black", "name": "Mütze"},
        {"cache-control": "no-store", "content-language": "de"},
    )  # fmt: skip
    mark = new_mark()
    blob = await stores(there).put(4, b"body", info, mark)
    found = there.head(blob.key)
    assert found["Metadata"] == {
        "colour": "black",
        "name": "=?UTF-8?Q?M=C3=BCtze?=",
        MARK_METADATA: mark,
    }
    assert (found["ContentType"], found["CacheControl"]) == ("image/jpeg", "no-store")
    assert found["ContentLanguage"] == "de"
    assert blob.extra == {MARK: mark}


async def test_nothing_is_ever_overwritten(there: Remote, stores: Stores) -> None:
    store = stores(there)
    first = await store.put(1, b"1", INFO)
    second = await store.put(1, b"2", INFO)
    third = await store.put(len(LARGE), blocks_of(LARGE), INFO)
    assert await read(store, first) == b"1"
    assert await read(store, second) == b"2"
    assert await read(store, third) == LARGE
    if not there.versioned:
        assert (first.key == INFO.key) == there.is_natural
        assert second.key.startswith(f"{INFO.key}~")
        assert third.key.startswith(f"{INFO.key}~")


async def test_deleting_removes_just_that(there: Remote, stores: Stores) -> None:
    store = stores(there)
    blobs = [await store.put(1, letter, INFO) for letter in (b"1", b"2", b"3")]
    await store.delete(blobs[1])
    await store.delete(blobs[1])
    with pytest.raises(DataNotFoundError) as caught:
        await read(store, blobs[1])
    assert str(caught.value) == blobs[1].extra[MARK]
    assert await read(store, blobs[0]) == b"1"
    assert await read(store, blobs[2]) == b"3"
    await store.delete(blobs[0])
    await store.delete(blobs[2])
    assert there.keys() == []
    assert there.versions(INFO.key) == []


async def test_a_blob_whose_name_another_has_by_now_is_left(plain: Remote, stores: Stores) -> None:
    plain.service.needs("create-only")
    store = stores(plain)
    blob = await store.put(1, b"1", INFO)
    plain.s3.put_object(Bucket=plain.bucket, Key=INFO.key, Body=b"from outside")
    with pytest.raises(PlaceError) as caught:
        await read(store, blob)
    assert caught.value.trouble is Trouble.BROKEN
    assert "somebody else has overwritten" in caught.value.reason
    await store.delete(blob)
    assert plain.content(INFO.key) == b"from outside"


@pytest.mark.parametrize("number", [0, 1], ids=["natural name", "own name"])
async def test_a_blob_that_somebody_has_changed_in_place_is_left(
    plain: Remote, stores: Stores, number: int
) -> None:
    """Its metadata are still there, and the mark among them."""
    if plain.is_google:
        pytest.skip("each object has a generation there")
    store = stores(plain)
    blob = [await store.put(1, body, INFO) for body in (b"1", b"2")][number]
    metadata = plain.head(blob.key)["Metadata"]
    plain.s3.put_object(Bucket=plain.bucket, Key=blob.key, Body=b"changed", Metadata=metadata)
    await store.delete(blob)
    assert plain.content(blob.key) == b"changed"


async def test_strays_are_found_by_their_mark(there: Remote, stores: Stores) -> None:
    store = stores(there)
    marks = [new_mark() for _ in range(3)]
    blobs = [await store.put(1, str(n).encode(), INFO, mark) for n, mark in enumerate(marks)]
    await store.remove_strays(INFO, new_mark())
    await store.remove_strays(INFO, marks[1])
    await store.remove_strays(INFO, marks[1])
    assert await read(store, blobs[0]) == b"0"
    assert await read(store, blobs[2]) == b"2"
    with pytest.raises(DataNotFoundError):
        await read(store, blobs[1])
    await store.remove_strays(INFO, marks[0])
    await store.remove_strays(INFO, marks[2])
    assert there.keys() == []


@pytest.mark.parametrize(
    "key",
    [
        *("a b+c%20&=?#", "日本語/ключ", "~!*'()", "a//b", "../../etc", "./x", "dir/", "x" * 1024),
        *("\\", "a\x01b", "a\r\nb", "a\ufffe"),
    ],
)
async def test_odd_keys(there: Remote, stores: Stores, key: str) -> None:
    store = stores(there)
    info = ObjectInfo("photos", key, "text/plain", {})
    blob = await store.put(4, b"body", info)
    assert await read(store, blob) == b"body"
    second = await store.put(5, blocks_of(b"other"), info)
    assert await read(store, second) == b"other"
    await store.delete(blob)
    await store.delete(second)
    assert there.keys() == []


async def test_names_begin_with_that_of_the_bucket(there: Remote, stores: Stores) -> None:
    store = stores(there, bucketMatch=False)
    blob = await store.put(4, b"body", INFO)
    assert blob.key.partition("~")[0] == "photos/2026/cat.jpg"
    long = await store.put(4, b"body", ObjectInfo("photos", "ü" * 512, "text/plain", {}))
    assert len(long.key.encode()) <= 1024
    assert await read(store, long) == b"body"


async def test_a_bucket_without_versions_is_warned_of_once(
    there: Remote, stores: Stores, log: RecordingLog
) -> None:
    store = stores(there)
    await store.put(1, b"1", INFO)
    await store.put(1, b"2", INFO)
    warned = log.fields_of("the bucket of a location keeps no versions: switch versioning on there")
    assert warned == ([] if there.versioned else [{"location": "there"}])


async def test_what_was_stored_before_versions_were_kept(plain: Remote, stores: Stores) -> None:
    blob = await stores(plain).put(1, b"1", INFO)
    status = {"Status": "Enabled"}
    plain.s3.put_bucket_versioning(Bucket=plain.bucket, VersioningConfiguration=status)
    store = stores(plain)
    newer = await store.put(1, b"2", INFO)
    assert (await read(store, blob), await read(store, newer)) == (b"1", b"2")
    await store.delete(blob)
    assert await read(store, newer) == b"2"
    assert plain.versions(INFO.key) == [newer.version]


async def test_the_source_of_a_body_fails(there: Remote, stores: Stores) -> None:
    async def failing() -> AsyncGenerator[bytes, None]:
        yield LARGE[:1_000_000]
        raise ValueError("the client went away")

    store = stores(there)
    with pytest.raises(ValueError, match="went away"):
        await store.put(len(LARGE), failing(), INFO)
    assert there.keys() == []


async def test_a_wrong_secret_is_refused(there: Remote, stores: Stores) -> None:
    there.service.needs("signatures")
    keys = {"accessKey": there.service.access_key, "secretKey": "wrong"}
    store = stores(there, credentials=keys)
    with pytest.raises(PlaceError) as caught:
        await store.put(4, b"body", INFO)
    assert caught.value.trouble is Trouble.REFUSED
    assert "SignatureDoesNotMatch" in caught.value.reason


async def test_a_bucket_that_is_not_there(there: Remote, stores: Stores) -> None:
    store = stores(there, bucketName="no-such-bucket")
    with pytest.raises(PlaceError) as caught:
        await store.put(4, b"body", INFO)
    assert caught.value.trouble is Trouble.REFUSED
    assert "NoSuchBucket" in caught.value.reason


async def test_a_look(there: Remote, stores: Stores) -> None:
    findings = await stores(there).look(thorough=True)
    versions = next(finding for finding in findings if finding.what == "versions")
    assert versions.is_good is there.versioned
    assert [each for each in findings if each.is_good is False and each is not versions] == []
    assert there.keys() == []
