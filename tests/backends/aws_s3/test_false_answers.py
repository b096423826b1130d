"""Answers that say that something was done, and are not those of S3: of a captive portal, or of
whatever else is in front. Nothing is believed that they say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from s3front.locations.aws_s3 import AwsS3Store
from s3front.locations.base import Stored
from s3front.locations.remote_store import MARK, PlaceError, Trouble, is_undone, new_mark
from s3front.locations.s3_bucket import Versioning
from tests.api.data_server import RecordingLog
from tests.backends.aws_s3.test_faults import BLOB, COPIED, HANDLE, PART, asking
from tests.backends.s3_stores import INFO, blocks_of, md5_of, read
from tests.backends.scripted_s3 import OK_ETAG, Asked, answer, error, scripted

PAGE = b"<!DOCTYPE html><html><body>Sign in<br></body></html>"
HTML = {"Content-Type": "text/html"}
VERSION = {"x-amz-version-id": "v1"}
RIGHT = {**OK_ETAG, **VERSION}

FALSE = {
    "page": answer(200, HTML, PAGE),
    "page with an ETag": answer(200, {**HTML, **RIGHT}, PAGE),
    "paragraph": answer(200, HTML, b"<p>Sign in</p>"),
    "created": answer(201, RIGHT),
    "accepted": answer(202, RIGHT),
    "nothing": answer(204, VERSION),
    "nothing with an ETag": answer(204, RIGHT),
    "part": answer(206, RIGHT),
    "no ETag": answer(200, VERSION),
    "empty ETag": answer(200, {**VERSION, "ETag": '""'}),
    "error": answer(200, RIGHT, b"<Error><Code>AccessDenied</Code></Error>"),
}
"""To PUT."""

Act = Callable[[AwsS3Store], Awaitable[object]]
MAKES: dict[str, Act] = {
    "put": lambda store: store.put(4, b"body", INFO),
    "stream": lambda store: store.put(4, blocks_of(b"body"), INFO),
    "part": lambda store: store.put_part(HANDLE, 1, 4, b"body"),
    "streamed part": lambda store: store.put_part(HANDLE, 1, 4, blocks_of(b"body")),
}


def saying(said: bytes) -> Callable[[Asked], bytes]:
    """That to all but HEAD, to which there is nothing."""
    return lambda asked: answer(404) if asked.method == "HEAD" else said


async def not_believed(work: Awaitable[object]) -> None:
    """It fails, and what was stored by it, if anything was, is still to be looked for."""
    with pytest.raises(PlaceError) as caught:
        await work
    assert caught.value.trouble is Trouble.BROKEN
    assert not is_undone(caught.value)


@pytest.mark.parametrize("versioned", [True, False], ids=["versioned", "plain"])
@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("said", FALSE)
async def test_nothing_was_stored(said: str, make: str, *, versioned: bool) -> None:
    async with asking(saying(FALSE[said]), versioned=versioned) as (store, _):
        await not_believed(MAKES[make](store))


@pytest.mark.parametrize("etag", ['"etag-of-a-proxy"', 'W/"841a2d689ad86bd1611447453c22c6fc"'])
@pytest.mark.parametrize("make", MAKES)
async def test_an_etag_that_is_no_md5_where_they_are(make: str, etag: str) -> None:
    said = answer(200, {**VERSION, "ETag": etag})
    async with asking(saying(said)) as (store, _):
        await not_believed(MAKES[make](store))


async def test_an_etag_of_what_came_without_its_md5() -> None:
    """MinIO, told to leave out MD5s, makes one up when none is sent."""
    etag = f"{md5_of(b'random')}-1"
    said = answer(200, {**VERSION, "ETag": f'"{etag}"'})
    async with asking(saying(said)) as (store, _):
        assert (await store.put(4, blocks_of(b"body"), INFO)).etag == etag


@pytest.mark.parametrize(
    "said",
    [
        answer(200, HTML, PAGE),
        answer(200, {}, b"<p>Sign in</p>"),
        answer(200, RIGHT, b"<CopyObjectResult/>"),
        answer(201, RIGHT, COPIED),
    ],
    ids=["page", "paragraph", "no ETag", "created"],
)
async def test_nothing_was_copied_completed_or_begun(said: bytes) -> None:
    async with asking(saying(said)) as (store, _):
        await not_believed(store.copy(store, BLOB, INFO, new_mark()))
        await not_believed(store.complete_upload(HANDLE, [PART], INFO))
        await not_believed(store.begin_upload(INFO, new_mark()))


@pytest.mark.parametrize(
    "said",
    [answer(200, HTML, PAGE), answer(202), answer(404, HTML, PAGE)],
    ids=["page", "accepted", "not found page"],
)
async def test_nothing_was_removed(said: bytes) -> None:
    async with asking(lambda _asked: said) as (store, _):
        await not_believed(store.delete(BLOB))
        await not_believed(store.delete(HANDLE))


@pytest.mark.parametrize("said", [answer(204), answer(200), error(404, "NoSuchVersion")])
async def test_it_was_removed(said: bytes) -> None:
    async with asking(lambda _asked: said) as (store, _):
        await store.delete(BLOB)


async def test_a_page_where_a_blob_is_looked_for_that_is_to_be_removed() -> None:
    blob = Stored("cat", 4, None, md5_of(b"body"), {MARK: new_mark()})
    async with asking(lambda _asked: answer(200, HTML), versioned=False) as (store, _):
        await not_believed(store.delete(blob))


@pytest.mark.parametrize("versioned", [True, False], ids=["versioned", "plain"])
@pytest.mark.parametrize("span", [(0, 3), (1, 2)], ids=["whole", "range"])
async def test_a_page_as_long_as_a_blob(span: tuple[int, int], *, versioned: bool) -> None:
    blob = BLOB if versioned else Stored("cat", 4, None, md5_of(b"body"))
    start, end = span
    headers = {} if span == (0, 3) else {"Content-Range": f"bytes {start}-{end}/4"}
    said = answer(206 if headers else 200, {**headers, **HTML}, b"<p/>"[start : end + 1])
    async with asking(lambda _asked: said) as (store, _):
        await not_believed(read(store, blob, *span))


@pytest.mark.parametrize("said", FALSE)
async def test_nothing_is_learned_from_a_portal(said: str) -> None:
    """The same is said to whatever is asked, the trials among it; then all is well."""
    portal = True

    async with scripted(lambda _asked: answer(200, OK_ETAG)) as service:
        usual = service._of_bucket
        service._of_bucket = lambda asked: FALSE[said] if portal else usual(asked)  # type: ignore[method-assign]
        store = AwsS3Store("there", service.details(), RecordingLog())
        try:
            with pytest.raises(PlaceError):
                await store.put(4, b"body", INFO)
            known = store._bucket.known_versioning, store._bucket.known_habits
            assert known == (None, None)
            portal = False
            assert (await store.put(4, b"body", INFO)).key == "2026/cat.jpg"
            assert store._bucket.known_habits is not None
            assert store._bucket.known_habits.md5
        finally:
            await store.close()


@pytest.mark.parametrize("said", ["page", "nothing", "no ETag", "page with an ETag"])
async def test_no_habit_is_learned_from_a_trial_that_was_not_stored(said: str) -> None:
    portal = True

    async with scripted(lambda _asked: answer(200, OK_ETAG)) as service:
        usual = service._of_bucket

        def of_bucket(asked: Asked) -> bytes | None:
            return FALSE[said] if portal and asked.method == "PUT" else usual(asked)

        service._of_bucket = of_bucket  # type: ignore[method-assign]
        store = AwsS3Store("there", service.details(), RecordingLog())
        try:
            await not_believed(store.put(4, b"body", INFO))
            assert (store._bucket.known_habits, store._bucket.known_tags) == (None, None)
            portal = False
            await store.put(4, b"body", INFO)
        finally:
            await store.close()


@pytest.mark.parametrize(
    ("root", "known"),
    [
        ("VersioningConfiguration", Versioning.ON),
        ("GetBucketVersioningResponse", Versioning.ON),  # moto's
        ("ListBucketResult", None),
    ],
)
async def test_what_says_whether_versions_are_kept(root: str, known: Versioning | None) -> None:
    said = answer(200, {}, f"<{root}><Status>Enabled</Status></{root}>".encode())

    def say(asked: Asked) -> bytes:
        return said if asked.is_about("versioning") else answer(200, RIGHT)

    async with asking(say) as (store, service):
        service.hides_versioning = True
        if known is None:
            await not_believed(store.put(4, b"body", INFO))
        else:
            await store.put(4, b"body", INFO)
        assert store._bucket.known_versioning is known
