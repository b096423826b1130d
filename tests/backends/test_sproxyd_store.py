"""A RING as a location: its store, against connectors that are strict about the protocol."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from s3front.locations.base import DataNotFoundError, ObjectInfo, Stored
from s3front.locations.remote_store import PlaceError, Trouble, is_undone, new_mark
from s3front.locations.ring import SproxydDetails
from s3front.locations.sproxyd import SproxydStore
from s3front.locations.sproxyd_keys import sproxyd_key
from s3front.s3_errors import S3Error
from shared.http1.passage import Passage
from tests.backends.rings import Connector, Ring, ring

INFO = ObjectInfo("photos", "2026/cat.jpg", "image/jpeg", {})
LARGE = secrets.token_bytes(3 * 1024 * 1024)
IMPATIENT_SECONDS = 1.0


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Ring]:
    """Two connectors."""
    with ring(tmp_path) as running:
        yield running


@pytest.fixture
async def store(there: Ring) -> AsyncIterator[SproxydStore]:
    made = store_of(there.connectors)
    yield made
    await made.close()


def store_of(connectors: list[Connector]) -> SproxydStore:
    return SproxydStore(details_of(connectors), IMPATIENT_SECONDS)


def details_of(connectors: list[Connector]) -> SproxydDetails:
    return SproxydDetails(bootstrap=tuple(("127.0.0.1", each.port) for each in connectors))


def order(store: SproxydStore, there: Ring) -> list[Connector]:
    """The connectors, that which is asked first at the front."""
    hosts = store._hosts.hosts
    return sorted(there.connectors, key=lambda connector: hosts.index(connector.address))


async def read(store: SproxydStore, blob: Stored, start: int = 0, end: int = -1) -> bytes:
    reader = await store.open(blob, start, end if end >= 0 else blob.size - 1)
    pieces = [piece async for piece in reader.blocks()]
    assert not any(isinstance(piece, Passage) and not piece.moved for piece in pieces[:-1])
    return b"".join(piece for piece in pieces if isinstance(piece, bytes))


async def blocks_of(*blocks: bytes) -> AsyncGenerator[bytes, None]:
    for block in blocks:
        yield block


async def test_what_is_stored_is_read(store: SproxydStore, there: Ring) -> None:
    blob = await store.put(4, b"body", INFO)
    assert (await read(store, blob), blob.size, there.blobs()) == (b"body", 4, {blob.key})
    streamed = await store.put(8, blocks_of(b"many", b"more"), INFO)
    assert await read(store, streamed) == b"manymore"


async def test_parts_of_a_blob(store: SproxydStore) -> None:
    blob = await store.put(10, b"0123456789", INFO)
    assert await read(store, blob, 3, 6) == b"3456"
    assert await read(store, blob, 9, 9) == b"9"
    reader = await store.open(blob, 1, 2)
    assert await reader.read() == b"12"


async def test_a_blob_of_other_size_than_the_record_says(store: SproxydStore) -> None:
    blob = await store.put(10, b"0123456789", INFO)
    for size, start, end in ((9, 0, 8), (11, 0, 10), (20, 3, 6)):
        with pytest.raises(PlaceError) as caught:
            await store.open(Stored(blob.key, size), start, end)
        assert caught.value.trouble is Trouble.BROKEN


async def test_the_key_is_that_of_the_mark(store: SproxydStore, there: Ring) -> None:
    mark = new_mark()
    blob = await store.put(4, b"body", INFO, mark)
    assert blob.key == sproxyd_key("photos", mark, 2)
    await store.remove_strays(INFO, new_mark())
    assert there.blobs() == {blob.key}
    await store.remove_strays(INFO, mark)
    assert there.blobs() == set()
    await store.remove_strays(INFO, mark)


async def test_the_chord_driver(tmp_path: Path) -> None:
    with ring(tmp_path, hosts=1, path="/proxy/chord/") as there:
        details = SproxydDetails(bootstrap=(("127.0.0.1", there.connectors[0].port),), chord_cos=4)
        store = SproxydStore(details)
        blob = await store.put(4, b"body", INFO)
        assert await read(store, blob) == b"body"
        assert blob.key.endswith("40")
        await store.close()


async def test_what_is_not_there(store: SproxydStore) -> None:
    missing = Stored(sproxyd_key("photos", new_mark(), 2), 4)
    with pytest.raises(DataNotFoundError):
        await store.open(missing, 0, 3)
    await store.delete(missing)


async def test_what_is_no_key_is_not_asked_for(store: SproxydStore, there: Ring) -> None:
    for name in ("../.conf", "", "0" * 39, "a/b"):
        with pytest.raises(DataNotFoundError):
            await store.open(Stored(name, 4), 0, 3)
        await store.delete(Stored(name, 4))
    assert [request for each in there.connectors for request in each.said()["requests"]] == []


async def test_removing(store: SproxydStore, there: Ring) -> None:
    blob = await store.put(4, b"body", INFO)
    await store.delete(blob)
    assert there.blobs() == set()


@pytest.mark.parametrize("status", [423, 404, 204])
async def test_removing_at_the_same_time_as_others(
    store: SproxydStore, there: Ring, status: int
) -> None:
    blob = await store.put(4, b"body", INFO)
    order(store, there)[0].tell(status=status)
    await store.delete(blob)


async def test_many_are_removed_by_one_request(store: SproxydStore, there: Ring) -> None:
    blobs = await asyncio.gather(*(store.put(1, b"x", INFO) for _ in range(12)))
    most = store.capabilities.deletes_at_once
    gone = [Stored(sproxyd_key("b", new_mark(), 2), 1) for _ in range(most - 13)]
    await store.delete_many([*blobs, *gone, Stored("no key", 1)])
    assert there.blobs() == set()
    asked = order(store, there)[0].said()["requests"]
    assert asked[12:] == ["POST /proxy/arc/.batch_delete"]


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (500, Trouble.BUSY),
        (503, Trouble.BUSY),
        (429, Trouble.BUSY),
        (403, Trouble.REFUSED),
        (404, Trouble.REFUSED),
        (418, Trouble.BROKEN),
        (423, Trouble.BROKEN),
    ],
)
async def test_what_an_answer_means_for_a_new_blob(
    store: SproxydStore, there: Ring, status: int, trouble: Trouble
) -> None:
    for connector in there.connectors:
        connector.tell(status=status)
    with pytest.raises(PlaceError) as caught:
        await store.put(4, b"body", INFO)
    assert caught.value.trouble is trouble
    assert f"answered {status} told to" in caught.value.reason


async def test_a_body_that_fails_stores_nothing(store: SproxydStore, there: Ring) -> None:
    async def body() -> AsyncGenerator[bytes, None]:
        yield b"x"
        raise S3Error("BadDigest")

    with pytest.raises(S3Error, match="BadDigest"):
        await store.put(4, body(), INFO)
    assert there.blobs() == set()


# -- Hosts that fail ------------------------------------------------------------------------------

FAULTS: dict[str, Callable[[Connector], None]] = {
    "dead": lambda host: host.process.kill(),
    "mute": lambda host: host.tell(hang="head"),
    "busy": lambda host: host.tell(status=503),
    "broken": lambda host: host.tell(status=500),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_other_host_is_asked(store: SproxydStore, there: Ring, fault: str) -> None:
    kept = await store.put(4, b"kept", INFO)
    first, second = order(store, there)
    FAULTS[fault](first)
    blob = await store.put(4, b"body", INFO)
    assert there.blobs() == {kept.key, blob.key}
    assert await read(store, kept) == b"kept"
    await store.delete(kept)
    await store.delete_many([blob, kept])
    assert there.blobs() == set()
    assert second.said()["requests"]


async def test_a_host_that_failed_is_asked_no_more(store: SproxydStore, there: Ring) -> None:
    first, second = order(store, there)
    first.tell(hang="head")
    await store.put(4, b"body", INFO)
    assert order(store, there) == [second, first]
    for _ in range(5):
        await store.put(4, b"body", INFO)
    assert len(first.said()["requests"]) == 1


async def test_a_host_that_somebody_waited_for_in_vain_is_asked_no_more(there: Ring) -> None:
    """Whoever asks has deadlines of its own."""
    store = SproxydStore(details_of(there.connectors))
    first, second = order(store, there)
    first.tell(hang="head")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(store.put(4, b"body", INFO), 1.5)
    assert order(store, there) == [second, first]
    await store.close()


async def test_a_host_that_failed_is_asked_again_when_the_others_fail(
    store: SproxydStore, there: Ring
) -> None:
    first, second = order(store, there)
    first.process.kill()
    await store.put(4, b"body", INFO)
    second.process.kill()
    first.start()
    await store.put(4, b"body", INFO)
    assert len(there.blobs()) == 2


async def test_a_stream_goes_to_the_other_host_as_long_as_it_has_not_begun(
    store: SproxydStore, there: Ring
) -> None:
    order(store, there)[0].process.kill()
    blob = await store.put(8, blocks_of(b"many", b"more"), INFO)
    assert await read(store, blob) == b"manymore"


async def test_a_stream_that_has_begun_is_not_sent_again(store: SproxydStore, there: Ring) -> None:
    first, second = order(store, there)
    first.tell(die="body")

    async def body() -> AsyncGenerator[bytes, None]:
        for _ in range(64):
            yield bytes(64 * 1024)

    with pytest.raises(PlaceError) as caught:
        await store.put(64 * 64 * 1024, body(), INFO)
    assert caught.value.trouble is Trouble.SILENT
    assert (there.blobs(), second.said()["requests"]) == (set(), [])
    first.process.kill()


async def test_no_host_is_there(store: SproxydStore, there: Ring) -> None:
    for connector in there.connectors:
        connector.process.kill()
    for call in (
        store.put(4, b"body", INFO),
        store.put(4, blocks_of(b"body"), INFO),
        store.delete(Stored("0" * 40, 4)),
        store.open(Stored("0" * 40, 4), 0, 3),
        store.look(thorough=False),
    ):
        with pytest.raises(PlaceError) as caught:
            await call
        assert (caught.value.trouble, caught.value.status) == (Trouble.UNREACHED, 503)
        assert "127.0.0.1" in caught.value.reason


async def test_no_host_answers(store: SproxydStore, there: Ring) -> None:
    """What was asked of one of them may have been done."""
    for connector in there.connectors:
        connector.tell(hang="head")
    with pytest.raises(PlaceError) as caught:
        await store.put(4, b"body", INFO)
    assert caught.value.trouble is Trouble.SILENT


@pytest.mark.parametrize("fault", ["hang", "cut"])
@pytest.mark.parametrize("size", [5, 300_000, len(LARGE)])
async def test_reading_goes_on_at_the_other_host(
    store: SproxydStore, there: Ring, fault: str, size: int
) -> None:
    blob = await store.put(size, LARGE[:size], INFO)
    order(store, there)[0].tell(**{fault: "body", "times": 1})
    reader = await store.open(blob, 0, size - 1)
    assert await reader.read() == LARGE[:size]
    order(store, there)[0].tell(**{fault: "body", "times": 1})
    reader = await store.open(blob, 1, size - 1)
    assert await reader.read() == LARGE[1:size]


async def test_reading_leaves_a_host_that_hangs_in_the_middle(
    store: SproxydStore, there: Ring
) -> None:
    blob = await store.put(1_000_000, LARGE[:1_000_000], INFO)
    first, second = order(store, there)
    first.tell(hang="body")
    for _ in range(2):
        reader = await store.open(blob, 0, blob.size - 1)
        assert await reader.read() == LARGE[: blob.size]
        assert order(store, there) == [second, first]


async def test_reading_that_fails_again_and_again(store: SproxydStore, there: Ring) -> None:
    blob = await store.put(1_000_000, LARGE[:1_000_000], INFO)
    for connector in there.connectors:
        connector.tell(cut="body")
    reader = await store.open(blob, 0, blob.size - 1)
    with pytest.raises(PlaceError) as caught:
        await reader.read()
    assert caught.value.trouble is Trouble.SILENT


# -- Looking --------------------------------------------------------------------------------------


async def test_looking_at_hosts(store: SproxydStore, there: Ring) -> None:
    found = await store.look(thorough=False)
    assert {finding.what: finding.is_good for finding in found} == {
        connector.address: True for connector in there.connectors
    }
    there.connectors[0].process.kill()
    there.connectors[1].tell(status=404)
    with pytest.raises(PlaceError, match="ServiceUnavailable") as caught:
        await store.look(thorough=False)
    assert "answers 404 to /proxy/arc/.conf" in caught.value.reason


async def test_looking_thoroughly(store: SproxydStore, there: Ring) -> None:
    there.connectors[0].process.kill()
    found = await store.look(thorough=True)
    said = [(finding.what, finding.is_good) for finding in found]
    assert sorted(said[:2]) == sorted(zip(there.bootstrap, [False, True], strict=True))
    assert [what for what, good in said[2:] if good] == [
        "store a blob",
        "read part of a blob",
        "remove a blob",
    ]
    assert there.blobs() == set()


async def test_a_host_that_lets_nobody_store(store: SproxydStore, there: Ring) -> None:
    for connector in there.connectors:
        connector.tell(on="PUT", status=403)
    found = await store.look(thorough=True)
    assert (found[-1].what, found[-1].is_good) == ("store a blob", False)


@pytest.mark.parametrize("status", [200, 201, 202, 206])
async def test_a_web_page_is_no_answer(store: SproxydStore, there: Ring, status: int) -> None:
    """Something in front answers, be it with as many bytes as a blob has."""
    blob = await store.put(4, b"body", INFO)
    for connector in there.connectors:
        connector.tell(status=status, page="<p/>")
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: store.put(4, b"body", INFO),
        lambda: store.put(4, blocks_of(b"body"), INFO),
        lambda: store.open(blob, 0, 3),
        lambda: store.open(blob, 1, 2),
        lambda: store.delete(blob),
        lambda: store.delete_many([blob]),
    ]
    for call in calls:
        with pytest.raises(PlaceError) as caught:
            await call()
        assert caught.value.trouble is Trouble.BROKEN
        assert not is_undone(caught.value)


@pytest.mark.parametrize("status", [201, 202, 204])
async def test_another_status_is_no_answer_to_put(
    store: SproxydStore, there: Ring, status: int
) -> None:
    for connector in there.connectors:
        connector.tell(status=status)
    with pytest.raises(PlaceError) as caught:
        await store.put(4, b"body", INFO)
    assert not is_undone(caught.value)


async def test_a_web_page_that_says_that_a_blob_is_gone(store: SproxydStore, there: Ring) -> None:
    blob = await store.put(4, b"body", INFO)
    for connector in there.connectors:
        connector.tell(status=404, page="<p>Not found</p>")
    for call in (store.delete(blob), store.open(blob, 0, 3)):
        with pytest.raises(PlaceError) as caught:
            await call
        assert caught.value.trouble is Trouble.BROKEN
