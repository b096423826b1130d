"""A bucket whose versioning is suspended while stores use it: nothing that was stored is lost."""

from __future__ import annotations

import pytest

from s3front.locations.aws_s3 import AwsS3Store
from s3front.locations.base import ObjectInfo
from s3front.locations.remote_store import (
    MARK,
    MARK_METADATA,
    PlaceError,
    Trouble,
    UploadedPart,
    new_mark,
)
from tests.api.data_server import RecordingLog
from tests.backends.aws_s3.test_faults import COPIED, asking
from tests.backends.s3_services import Remote
from tests.backends.s3_stores import INFO, Stores, md5_of, read
from tests.backends.scripted_s3 import OK_ETAG, Answer, Asked, answer, error

NULL = {**OK_ETAG, "x-amz-version-id": "null"}


@pytest.fixture
def there(versioned: Remote) -> Remote:
    if versioned.is_google:
        pytest.skip("each object has a generation there")
    versioned.service.needs("versions when suspended")
    return versioned


def switch(there: Remote, *, on: bool) -> None:
    status = {"Status": "Enabled" if on else "Suspended"}
    there.s3.put_bucket_versioning(Bucket=there.bucket, VersioningConfiguration=status)


async def informed(there: Remote, stores: Stores) -> AwsS3Store:
    """A store that knows that versions are kept."""
    store = stores(there)
    await store.put(1, b"0", ObjectInfo("photos", "other", "", {}))
    return store


async def test_two_processes_that_do_not_know_it(there: Remote, stores: Stores) -> None:
    one, other = await informed(there, stores), await informed(there, stores)
    switch(there, on=False)
    blobs = [await store.put(1, b"%d" % n, INFO) for n, store in enumerate((one, other, one))]
    assert [await read(other, blob) for blob in blobs] == [b"0", b"1", b"2"]
    assert there.versions(INFO.key) == []
    assert all(blob.key != INFO.key for blob in blobs)
    found = there.head(blobs[0].key)
    assert found["Metadata"] == {"colour": "black", MARK_METADATA: blobs[0].extra[MARK]}
    assert found["ContentType"] == "image/jpeg"
    for blob in blobs:
        await one.delete(blob)
    assert there.keys() == ["other"]


async def test_on_and_off_again(there: Remote, stores: Stores) -> None:
    store, blobs = await informed(there, stores), []
    for number in range(3):
        switch(there, on=False)
        blobs.append(await store.put(1, b"%d" % number, INFO))
        switch(there, on=True)
        # A blob of its own shows that versions are kept again.
        blobs.append(await store.put(1, b"%d" % number, INFO))
        blobs.append(await store.put(1, b"%d" % number, INFO))
    for number, blob in enumerate(blobs):
        assert await read(store, blob) == b"%d" % (number // 3)


async def test_what_was_there_before_versions_were_kept(there: Remote, stores: Stores) -> None:
    store = await informed(there, stores)
    switch(there, on=False)
    there.s3.put_object(Bucket=there.bucket, Key=INFO.key, Body=b"stranger")
    await store.put(1, b"0", ObjectInfo("photos", "dog", "", {}))
    await store.put(1, b"1", INFO)
    assert there.content(INFO.key, VersionId="null") == b"stranger"


async def test_a_copy(there: Remote, stores: Stores) -> None:
    store = await informed(there, stores)
    blob = await store.put(4, b"body", INFO)
    switch(there, on=False)
    mark = new_mark()
    copy = await store.copy(store, blob, ObjectInfo("photos", "copy", "text/plain", {}), mark)
    assert copy is not None
    assert (copy.md5, copy.key) == (md5_of(b"body"), f"copy~{mark}")
    assert there.versions("copy") == []
    assert await read(store, copy) == b"body"


async def _begun(store: AwsS3Store, mark: str) -> tuple:  # type: ignore[type-arg]
    upload = await store.begin_upload(INFO, mark)
    stored = await store.put_part(upload, 1, 4, b"part")
    return upload, [UploadedPart(1, 4, md5_of(b"part"), stored)]


async def test_an_upload_that_was_begun_before(there: Remote, stores: Stores) -> None:
    there.service.needs("memory of uploads")
    store, other, mark = await informed(there, stores), await informed(there, stores), new_mark()
    upload, parts = await _begun(store, mark)
    switch(there, on=False)
    blob = await store.complete_upload(upload, parts, INFO)
    again = await other.complete_upload(upload, parts, INFO)
    assert blob.key == again.key == f"{INFO.key}~{mark}"
    assert there.versions(INFO.key) == []
    assert await read(store, blob) == b"part"
    assert there.head(blob.key)["Metadata"] == {"colour": "black", MARK_METADATA: mark}
    await store.delete(upload)
    assert there.keys() == ["other"]


async def test_an_upload_takes_nobodys_place(there: Remote, stores: Stores) -> None:
    store = await informed(there, stores)
    upload, parts = await _begun(store, new_mark())
    switch(there, on=False)
    there.s3.put_object(Bucket=there.bucket, Key=INFO.key, Body=b"stranger")
    await store.put(1, b"0", ObjectInfo("photos", "dog", "", {}))
    with pytest.raises(PlaceError) as caught:
        await store.complete_upload(upload, parts, INFO)
    assert caught.value.trouble is Trouble.BUSY
    assert there.content(INFO.key) == b"stranger"
    await store.delete(upload)


def _suspended(copied: bytes, mark: str, removal: bytes) -> Answer:
    """A service that answers so when what it has stored is copied to another name."""

    def say(asked: Asked) -> bytes:
        if "x-amz-copy-source" in asked.headers:
            return copied
        if asked.method == "DELETE":
            return removal
        return answer(200, {**NULL, "x-amz-meta-twofold-mark": mark})

    return say


MARK_HERE, THEIRS = new_mark(), new_mark()
REMOVED = answer(204)


@pytest.mark.parametrize(
    ("copied", "holds", "removal", "trouble", "is_removed"),
    [
        (error(412, "PreconditionFailed"), THEIRS, REMOVED, Trouble.BUSY, False),
        (error(404, "NoSuchKey"), THEIRS, REMOVED, Trouble.BUSY, False),
        (error(403, "AccessDenied"), MARK_HERE, REMOVED, Trouble.BUSY, True),
        (error(501, "NotImplemented"), MARK_HERE, REMOVED, Trouble.BUSY, True),
        (error(403, "AccessDenied"), MARK_HERE, error(403, "AccessDenied"), Trouble.SILENT, True),
        (answer(200, {}, COPIED), MARK_HERE, error(503, "SlowDown"), Trouble.SILENT, True),
    ],
    ids=["overwritten", "gone", "refused", "unknown", "left", "left copied"],
)
async def test_what_cannot_be_moved_is_not_stored(
    copied: bytes, holds: str, removal: bytes, trouble: Trouble, is_removed: bool
) -> None:
    async with asking(_suspended(copied, holds, removal)) as (store, service):
        with pytest.raises(PlaceError) as caught:
            await store.put(4, b"body", INFO, MARK_HERE)
        assert caught.value.trouble is trouble
        copying = next(each for each in service.asked if "x-amz-copy-source" in each.headers)
        assert copying.headers["x-amz-copy-source-if-match"] == OK_ETAG["ETag"]
        removals = [each for each in service.wanted() if each.startswith("DELETE")]
        assert bool(removals) is is_removed


async def test_a_service_that_looks_at_no_condition() -> None:
    other = b"<R><ETag>%b</ETag></R>" % md5_of(b"other").encode()
    async with asking(_suspended(answer(200, {}, other), THEIRS, REMOVED)) as (store, service):
        with pytest.raises(PlaceError) as caught:
            await store.put(4, b"body", INFO, MARK_HERE)
        assert caught.value.trouble is Trouble.BUSY
        removals = [each for each in service.wanted() if each.startswith("DELETE")]
        assert removals == [f"DELETE /there/2026/cat.jpg~{MARK_HERE}"]


async def test_it_is_warned_of(there: Remote, stores: Stores, log: RecordingLog) -> None:
    store = await informed(there, stores)
    switch(there, on=False)
    await store.put(1, b"1", INFO)
    event = "the bucket of a location keeps no versions: switch versioning on there"
    assert log.fields_of(event) == [{"location": "there"}]
