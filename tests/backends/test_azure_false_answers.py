"""Answers that say that something was done, and are not Azure's: of a captive portal, or of
whatever else is in front. Nothing is believed that they say."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from s3front.locations.azure import AzureStore
from s3front.locations.azure_client import AzureContainer
from s3front.locations.azure_details import read_azure_details
from s3front.locations.azure_recognition import ETAG
from s3front.locations.base import Stored
from s3front.locations.location_config import Written
from s3front.locations.remote_store import MARK, UPLOAD, PlaceError, Trouble, is_undone, new_mark
from tests.backends.scripted_s3 import Asked, answer, scripted
from tests.backends.test_azure_store import INFO, LARGE, pieces_of

PAGE = b"<!DOCTYPE html><html><body>Sign in<br></body></html>"
HTML = {"Content-Type": "text/html"}
ITS = {"ETag": '"0x8D"'}
MARKED = new_mark()
BLOB = Stored("cat", 4, etag='"0x8D"', extra={MARK: MARKED, ETAG: '"0x8D"'})
UPLOAD_HANDLE = Stored("cat", 0, extra={UPLOAD: MARKED, MARK: MARKED, ETAG: '"0x8D"'})

Act = Callable[[AzureStore], Awaitable[object]]
MAKES: dict[str, Act] = {
    "put": lambda store: store.put(4, b"body", INFO, new_mark()),
    "stream": lambda store: store.put(len(LARGE), pieces_of(LARGE), INFO, new_mark()),
    "begin upload": lambda store: store.begin_upload(INFO, new_mark()),
    "complete": lambda store: store.complete_upload(UPLOAD_HANDLE, [], INFO),
}
FALSE = {
    "page": answer(200, HTML, PAGE),
    "created page": answer(201, HTML, PAGE),
    "ok": answer(200, ITS),
    "accepted": answer(202, ITS),
    "nothing": answer(204, ITS),
    "no ETag": answer(201),
}


@asynccontextmanager
async def asking(say: Callable[[Asked], bytes]) -> AsyncIterator[AzureStore]:
    async with scripted(say) as service:
        document = {
            "azureStorageEndpoint": f"http://127.0.0.1:{service.port}/account",
            "azureContainerName": "container",
            "azureStorageAccountName": "account",
            "azureStorageAccessKey": base64.b64encode(b"k" * 64).decode(),
        }
        details = read_azure_details(document, Written("file", "here.details", "here", {}, Path()))
        store = AzureStore(AzureContainer(details))
        try:
            yield store
        finally:
            await store.close()


async def not_believed(work: Awaitable[object]) -> None:
    """It fails, and what was stored by it, if anything was, is still to be looked for."""
    with pytest.raises(PlaceError) as caught:
        await work
    assert caught.value.trouble is Trouble.BROKEN
    assert not is_undone(caught.value)


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("said", FALSE)
async def test_nothing_was_stored(said: str, make: str) -> None:
    async with asking(lambda _asked: FALSE[said]) as store:
        await not_believed(MAKES[make](store))


@pytest.mark.parametrize("said", ["page", "ok", "nothing"])
async def test_no_part_was_stored(said: str) -> None:
    async with asking(lambda _asked: FALSE[said]) as store:
        await not_believed(store.put_part(UPLOAD_HANDLE, 1, 4, b"body"))


@pytest.mark.parametrize("said", ["page", "created page", "ok", "nothing"])
async def test_nothing_was_removed(said: str) -> None:
    async with asking(lambda _asked: FALSE[said]) as store:
        await not_believed(store.delete(BLOB))


async def test_a_page_where_a_blob_is_looked_for_that_is_to_be_removed() -> None:
    async with asking(lambda _asked: answer(200, HTML)) as store:
        await not_believed(store.delete(Stored("cat", 4, extra={MARK: MARKED})))
        await not_believed(store.remove_strays(INFO, MARKED))
        await not_believed(store.put_tags(BLOB, {"a": "b"}))


@pytest.mark.parametrize("span", [(0, 3), (1, 2)], ids=["whole", "range"])
async def test_a_page_as_long_as_a_blob(span: tuple[int, int]) -> None:
    start, end = span
    headers = {} if span == (0, 3) else {"Content-Range": f"bytes {start}-{end}/4"}
    said = answer(206 if headers else 200, {**headers, **HTML}, b"<p/>"[start : end + 1])
    async with asking(lambda _asked: said) as store:
        await not_believed(store.open(BLOB, *span))


async def test_a_copy_without_an_etag() -> None:
    """What is to be copied is there."""
    there = {
        **ITS,
        "Content-MD5": base64.b64encode(bytes(16)).decode(),
        "x-ms-blob-type": "BlockBlob",
        "Content-Type": "text/plain",
    }

    def say(asked: Asked) -> bytes:
        if asked.method == "HEAD":
            return answer(200, there, length=4)
        return answer(200, ITS) if asked.is_about("comp") else answer(202)

    async with asking(say) as store:
        await not_believed(store.copy(store, BLOB, INFO, new_mark()))
