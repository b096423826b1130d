"""The method ``list`` over both engines; the algorithms themselves are tested in tests/property."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmd.metadata import record_keys, stored
from dmd.metadata.engines.base import Engine, Reader
from dmd.metadata.engines.lmdb import LmdbEngine
from dmd.metadata.engines.memory import MemoryEngine
from dmd.metadata.lister import list_page
from dmd.metadata.projection import project
from shared import limits
from shared.errors import ServiceError
from shared.records.listed_rows import decode_page
from shared.rpc.attachments import Attachments

BUCKET = ["bucket"]
MARKER = {"isDeleteMarker": True, "versionId": "1"}


@pytest.fixture(params=["memory", "lmdb"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    made: Engine = MemoryEngine() if request.param == "memory" else LmdbEngine(tmp_path, 1 << 26)
    yield made
    made.close()


def store(engine: Engine, records: dict[str, Any], sub_level: list[str] | None = None) -> None:
    """Put records as the daemon does."""
    with engine.transaction() as transaction:
        for name, document in records.items():
            key = record_keys.physical(sub_level or BUCKET, name, engine.key_bytes_max)
            record = json.dumps(document).encode()
            schema, projection = project(sub_level or BUCKET, record)
            transaction.put(key, stored.pack(key, stored.Stored(1, schema, projection, record)))


async def listed(engine: Engine, sub_level: list[str] | None = None, **params: Any) -> Any:
    page = await list_page(engine, sub_level or BUCKET, {"type": "DelimiterMaster", **params})
    return orjson.loads(orjson.dumps(page))


def names(page: dict[str, Any]) -> list[str]:
    return [entry[0] for entry in page["Contents"]]


async def packed(engine: Engine, attachments: Attachments | None, **params: Any) -> Any:
    """The page with packed rows, those as bytes."""
    asked = {"type": "DelimiterMaster", "packedRows": True, **params}
    page = orjson.loads(orjson.dumps(await list_page(engine, BUCKET, asked, attachments)))
    found = page["Contents"]
    if isinstance(found, str):
        page["Contents"] = base64.b64decode(found)
    elif attachments and isinstance(found, dict):
        page["Contents"] = attachments.to_send[found["num"]]
    return page


def unpacked(rows: bytes) -> list[Any]:
    """Rows as a page without ``packedRows`` has them, but for what only it tells."""
    return [
        (key, *row, *msgspec.structs.astuple(run.common))
        for run in decode_page(rows)
        for key, *row in zip(run.keys, *run.columns, strict=True)
    ]


def told(contents: list[Any]) -> list[Any]:
    """The same of the rows of such a page."""
    return [(key, *row[:6], *row[10:]) for key, row in contents]


async def refusal(engine: Engine, **params: Any) -> str:
    with pytest.raises(ServiceError) as caught:
        await listed(engine, **params)
    return caught.value.code


# --- What is answered -----------------------------------------------------------------------------


async def test_objects_come_with_what_listings_print(engine: Engine) -> None:
    store(engine, {"a": {"content-length": 3, "content-md5": "e", "owner-id": "o"}})
    page = await listed(engine)
    row = [None, 3, "e", None, "o", None, None, False, False, False, None, None]
    assert page == {"Contents": [["a", row]], "CommonPrefixes": [], "IsTruncated": False}


async def test_a_record_without_a_projection_is_read_itself(engine: Engine) -> None:
    key = record_keys.physical(BUCKET, "a", engine.key_bytes_max)
    record = b'{"content-length": 3}'
    with engine.transaction() as transaction:
        transaction.put(key, stored.pack(key, stored.Stored(1, 0, b"", record)))
    assert (await listed(engine))["Contents"][0][1][1] == 3
    store(engine, {"b": {"content-length": 4}})
    assert [entry[1][1] for entry in (await listed(engine))["Contents"]] == [3, 4]


async def test_a_record_of_another_shape_is_listed_by_its_name(engine: Engine) -> None:
    store(engine, {"a": ["no object"]})
    assert names(await listed(engine)) == ["a"]


@pytest.mark.parametrize("room", [None, 0, 1 << 20], ids=["no way", "no room", "attached"])
@pytest.mark.parametrize("delimiter", ["", "/"])
async def test_packed_rows_tell_what_others_do(
    engine: Engine, room: int | None, delimiter: str
) -> None:
    common = {"x-amz-storage-class": "STANDARD", "owner-id": "o", "last-modified": "t"}
    checksum = {"checksum": {"checksumAlgorithm": "CRC32", "checksumType": "FULL_OBJECT"}}
    versioned = {**common, "versionId": "2", "isNull": True}
    records: dict[str, Any] = {
        f"k{number:02}": {**common, "content-length": number} for number in range(40)
    }
    records |= {f"l{number}": {**common, **checksum, "content-md5": "e"} for number in range(4)}
    records |= {"m": MARKER, "m\0001": MARKER, "n": versioned, "n\0002": versioned, "o": ["none"]}
    records |= {"p/1": common, "p/2": common, "q": {"isPHD": True}, "q\0003": common, "r": common}
    store(engine, records)
    attachments = None if room is None else Attachments((), room)
    for keys_max in (3, 41, 1000):
        plain = await listed(engine, delimiter=delimiter, maxKeys=keys_max)
        page = await packed(engine, attachments, delimiter=delimiter, maxKeys=keys_max)
        assert unpacked(page.pop("Contents")) == told(plain.pop("Contents"))
        assert page == plain
    assert (attachments is not None and bool(attachments.to_send)) is bool(room)


@pytest.mark.parametrize(
    ("schema", "projection", "record", "shown"),
    [
        (0, b"", b'{"content-length": 3}', 3),
        (2, b"\x90", b'{"content-length": 3}', 3),
        (0, b"", b'{"content-length": %d}' % 10**30, None),
        (0, b"", b"none", None),
        (1, b"", b'{"content-length": 3}', None),
        (1, b"\x9c\xb8", b'{"content-length": 3}', None),
    ],
)
async def test_a_record_without_a_projection_is_packed_itself(
    engine: Engine, schema: int, projection: bytes, record: bytes, shown: int | None
) -> None:
    key = record_keys.physical(BUCKET, "a", engine.key_bytes_max)
    entry = stored.Stored(1, schema, projection, record)
    with engine.transaction() as transaction:
        transaction.put(key, stored.pack(key, entry))
    store(engine, {"b": {"content-length": 4}})
    rows = unpacked((await packed(engine, None))["Contents"])
    assert [(row[0], row[2]) for row in rows] == [("a", shown), ("b", 4)]


async def test_a_page_without_objects_has_no_packed_rows(engine: Engine) -> None:
    assert (await packed(engine, Attachments()))["Contents"] == []


texts = st.text(st.sampled_from("aZ\x00©ÂÃ«\u0656é€\U0001f600"), max_size=40)
sizes = st.sampled_from([0, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63])


def of_length(*lengths: int) -> st.SearchStrategy[str]:
    """Texts of the lengths at which their encoding changes, and others."""
    return st.builds("".ljust, st.sampled_from(lengths), st.sampled_from("ab"))


usual = {
    "last-modified": of_length(24),
    "content-length": sizes,
    "content-md5": of_length(0, 31, 32, 35, 255, 256),
    "versionId": of_length(0, 27, 31, 32, 40),
}
"""The members in which the objects of a bucket differ, of the types that we write."""
documents = st.fixed_dictionaries(
    {},
    optional={
        "last-modified": usual["last-modified"] | texts,
        "content-length": st.integers(-3, 2**63) | st.floats(0, 9) | texts,
        "content-md5": usual["content-md5"] | texts,
        "x-amz-storage-class": st.sampled_from(["STANDARD", "GLACIER"]) | texts,
        "owner-id": texts,
        "owner-display-name": texts,
        "versionId": usual["versionId"] | texts,
        "isNull": st.booleans(),
        "isDeleteMarker": st.booleans(),
        "isPHD": st.booleans(),
        "checksum": st.fixed_dictionaries(
            {}, optional={"checksumAlgorithm": texts, "checksumType": texts}
        ),
    },
)


@settings(max_examples=200)
@given(
    st.lists(documents, max_size=6),
    st.lists(st.fixed_dictionaries({}, optional=usual), min_size=1, max_size=4),
)
def test_any_objects_are_packed_as_they_are(
    found: list[dict[str, Any]], own: list[dict[str, Any]]
) -> None:
    # Many of them are alike but for their own members.
    alike = [{**document, **members} for document in found for members in own]
    engine = MemoryEngine()
    store(engine, {f"k{number:02}": document for number, document in enumerate([*found, *alike])})

    async def compare() -> None:
        plain, page = await listed(engine), await packed(engine, None)
        assert (unpacked(page["Contents"]) if plain["Contents"] else []) == told(plain["Contents"])

    asyncio.run(compare())


async def test_delete_markers_and_versions_are_not_objects(engine: Engine) -> None:
    store(engine, {"a": {}, "b": MARKER, "b\x001": MARKER, "b\x002": {}, "c": {}})
    assert names(await listed(engine)) == ["a", "c"]


async def test_pages_follow_each_other(engine: Engine) -> None:
    store(engine, {"a/1": {}, "a/2": {}, "b": {}, "c/1": {}, "d": {}})
    page = await listed(engine, delimiter="/", maxKeys=2)
    assert (page["CommonPrefixes"], names(page)) == (["a/"], ["b"])
    assert (page["IsTruncated"], page["NextMarker"]) == (True, "b")
    page = await listed(engine, delimiter="/", maxKeys=2, marker="b")
    assert (page["CommonPrefixes"], names(page), page["IsTruncated"]) == (["c/"], ["d"], False)
    assert "NextMarker" not in page


async def test_versions_are_listed_newest_first(engine: Engine) -> None:
    newest = {"versionId": "1", "content-length": 1}
    store(engine, {"a": newest, "a\x001": newest, "a\x002": {"versionId": "2"}, "b": {}})
    page = await listed(engine, type="DelimiterVersions", maxKeys=2)
    assert [version[:3] for version in page["Versions"]] == [["a", "1", True], ["a", "2", False]]
    assert page["Versions"][0][3][1] == 1
    assert (page["NextKeyMarker"], page["NextVersionIdMarker"]) == ("a", "2")
    page = await listed(
        engine, type="DelimiterVersions", maxKeys=2, keyMarker="a", versionIdMarker="2"
    )
    assert [version[:3] for version in page["Versions"]] == [["b", None, True]]
    assert not page["IsTruncated"]


async def test_a_common_prefix_has_no_version_to_go_on_behind(engine: Engine) -> None:
    store(engine, {"a/1": {}, "b": {}})
    page = await listed(engine, type="DelimiterVersions", delimiter="/", maxKeys=1)
    assert (page["CommonPrefixes"], page["NextKeyMarker"]) == (["a/"], "a/")
    assert "NextVersionIdMarker" not in page


async def test_any_sub_level_can_be_listed_with_its_records(engine: Engine) -> None:
    store(engine, {"x..1": {"a": 1}, "x..2": {}, "y": {}}, ["..other"])
    page = await listed(engine, ["..other"], type="Delimiter", prefix="x")
    assert page["Contents"] == [["x..1", '{"a": 1}'], ["x..2", "{}"]]


UPLOADS = ["mpuShadowBucketbucket"]


async def test_uploads_are_listed_by_key_and_age(engine: Engine) -> None:
    initiator = {"ID": "i", "DisplayName": "n"}
    overview = {"initiated": "2", "initiator": initiator, "checksumAlgorithm": "CRC32"}
    overview |= {"x-amz-storage-class": "STANDARD_IA", "owner-id": "o"}
    overview |= {"owner-display-name": "p"}
    store(
        engine,
        {
            "overview..|..a..|..1": overview,
            "overview..|..a..|..2": {"initiated": "1"},
            "overview..|..a!..|..3": ["no overview"],
            "overview..|..b/c..|..4": overview,
            "1..|..00001": {},
            "closing..|..5": {},
        },
        UPLOADS,
    )
    page = await listed(engine, UPLOADS, type="MPU", delimiter="/", maxKeys=2)
    older = ["1", *[None] * 7]
    newer = ["2", "i", "n", "CRC32", None, "STANDARD_IA", "o", "p"]
    assert page["Uploads"] == [["a", "2", older], ["a", "1", newer]]
    assert (page["NextKeyMarker"], page["NextUploadIdMarker"]) == ("a", "1")
    page = await listed(
        engine, UPLOADS, type="MPU", delimiter="/", keyMarker="a", uploadIdMarker="1"
    )
    assert page == {
        "Uploads": [["a!", "3", [None] * 8]],
        "CommonPrefixes": ["b/"],
        "IsTruncated": False,
        "NextKeyMarker": "b/",
        "NextUploadIdMarker": "",
    }


async def test_a_range_is_listed_as_it_is(engine: Engine) -> None:
    store(engine, {name: {} for name in "abcde"}, ["..other"])

    async def basic(**params: Any) -> Any:
        return await listed(engine, ["..other"], type="Basic", **params)

    assert await basic(gt="a", lt="c") == [{"key": "b", "value": "{}"}]
    assert await basic(gte="b", lte="c", values=False) == ["b", "c"]
    assert await basic(start="b", end="c", keys=False) == ["{}", "{}"]
    assert await basic(maxKeys=2, values=False) == ["a", "b"]
    assert await basic(gt="c", gte="a", values=False) == ["d", "e"]
    assert await basic(gt="d", lt="b") == []


async def test_a_range_can_be_filtered_by_attributes(engine: Engine) -> None:
    store(engine, {"a": {"customAttributes": {"x": 1}}, "b": {}, "c": {"customAttributes": {}}})
    assert await listed(engine, type="Basic", values=False, filterKey="x") == ["a"]
    assert await listed(engine, type="Basic", values=False, filterKeyStartsWith="") == ["a"]
    assert await listed(engine, type="Basic", filterKey="y") == []


async def test_no_more_than_ten_thousand_of_a_range(engine: Engine) -> None:
    store(engine, {f"{number:05}": {} for number in range(10_001)})
    assert len(await listed(engine, type="Basic", maxKeys=20_000)) == 10_000
    assert len(await listed(engine, type="Basic", values=False)) == 10_000


async def test_neighbouring_sub_levels_stay_out(engine: Engine) -> None:
    for name in ("bucke", "bucket", "bucket2"):
        store(engine, {f"of-{name}": {}}, [name])
    assert names(await listed(engine)) == ["of-bucket"]


async def test_no_more_than_a_thousand_entries(engine: Engine) -> None:
    store(engine, {f"{number:04}": {} for number in range(1001)})
    page = await listed(engine, maxKeys=5000)
    assert (len(page["Contents"]), page["NextMarker"]) == (1000, "0999")
    assert await listed(engine, maxKeys=0) == {
        "Contents": [],
        "CommonPrefixes": [],
        "IsTruncated": False,
    }


@pytest.mark.parametrize(
    "params",
    [
        {"type": None},
        {"type": "Unknown"},
        {"prefix": 1},
        {"delimiter": []},
        {"marker": "\ud800"},
        {"within": "yes"},
        {"maxKeys": "10"},
        {"maxKeys": True},
        {"type": "DelimiterVersions", "versionIdMarker": 1},
        {"type": "MPU", "uploadIdMarker": 1},
        {"type": "Basic", "gt": 1},
        {"type": "Basic", "filterKey": []},
        {"type": "Basic", "end": "\ud800"},
        {"type": "DelimiterCurrent", "beforeDate": "yesterday"},
        {"type": "DelimiterCurrent", "beforeDate": "2026-01-02"},
        {"type": "DelimiterNonCurrent", "beforeDate": 1},
        {"type": "DelimiterNonCurrent", "maxScannedLifecycleListingEntries": 0},
        {"type": "DelimiterCurrent", "maxScannedLifecycleListingEntries": "all"},
        {"type": "DelimiterCurrent", "excludedDataStoreName": []},
    ],
)
async def test_bad_parameters(engine: Engine, params: dict[str, Any]) -> None:
    assert await refusal(engine, **params) == "InvalidArgument"


def of_day(day: int, **members: Any) -> dict[str, Any]:
    return {"last-modified": f"2026-01-{day:02}T00:00:00.000Z", **members}


async def test_what_lifecycle_rules_ask_is_in_the_answer(engine: Engine) -> None:
    tagged = of_day(1, dataStoreName="here", tags={"k": "v"}, **{"content-length": 3})
    store(engine, {"a": tagged, "b": of_day(2), "c": ["no object"], "d": of_day(1, **MARKER)})
    page = await listed(engine, type="DelimiterCurrent", beforeDate="2026-01-02T00:00:00.000Z")
    row = [tagged["last-modified"], 3, *[None] * 5, False, False, False, None, None, "here"]
    assert page == {"Contents": [["a", [*row, {"k": "v"}]]], "IsTruncated": False}
    elsewhere = await listed(engine, type="DelimiterCurrent", excludedDataStoreName="here")
    assert names(elsewhere) == ["b"]
    orphans = await listed(engine, type="DelimiterOrphanDeleteMarker")
    assert names(orphans) == ["d"]


async def test_noncurrent_versions_come_with_their_stale_date(engine: Engine) -> None:
    newest = of_day(9, versionId="1")
    store(engine, {"a": newest, "a\x001": newest})
    store(engine, {"a\x002": of_day(5, versionId="2"), "a\x003": of_day(1, versionId="3")})
    asked: dict[str, Any] = {"type": "DelimiterNonCurrent", "maxKeys": 1}
    page = await listed(engine, **asked)
    assert [entry[:3] for entry in page["Contents"]] == [["a", "2", newest["last-modified"]]]
    asked |= {"keyMarker": page["NextKeyMarker"], "versionIdMarker": page["NextVersionIdMarker"]}
    page = await listed(engine, **asked)
    assert [entry[:3] for entry in page["Contents"]] == [["a", "3", "2026-01-05T00:00:00.000Z"]]
    assert page["IsTruncated"] is False


@pytest.mark.parametrize("listing", ["DelimiterCurrent", "DelimiterOrphanDeleteMarker"])
async def test_a_lifecycle_page_ends_when_it_has_looked_at_enough(
    engine: Engine, listing: str
) -> None:
    markers = listing == "DelimiterCurrent"  # neither lists the other's
    store(engine, {f"{number:05}": of_day(1, isDeleteMarker=markers) for number in range(10_001)})
    page = await listed(engine, type=listing)
    assert page == {"Contents": [], "IsTruncated": True, "NextMarker": "09999"}
    page = await listed(engine, type=listing, marker="09999")
    assert page == {"Contents": [], "IsTruncated": False}


# --- How it is read -------------------------------------------------------------------------------


class Watched:
    """An engine that counts what is read of it."""

    def __init__(self, inner: Engine) -> None:
        self._inner = inner
        self.key_bytes_max = inner.key_bytes_max
        self.read = 0
        self.seeks = 0
        self.snapshots = 0

    @contextmanager
    def snapshot(self) -> Iterator[Reader]:
        self.snapshots += 1
        with self._inner.snapshot() as reader:
            yield _WatchedReader(self, reader)

    def transaction(self) -> Any:
        return self._inner.transaction()

    def backup(self, directory: Path) -> None:
        self._inner.backup(directory)

    def close(self) -> None:
        self._inner.close()


class _WatchedReader:
    def __init__(self, watched: Watched, reader: Reader) -> None:
        self._watched = watched
        self.get = reader.get
        self.range = reader.range
        self._first = reader.first
        self._first_apart = reader.first_apart
        self.expect = reader.expect

    def first(self, lower: bytes, upper: bytes, count: int) -> list[tuple[bytes, bytes]]:
        self._watched.seeks += 1
        items = self._first(lower, upper, count)
        self._watched.read += len(items)
        return items

    def first_apart(
        self, lower: bytes, upper: bytes, count: int, behind: bytes
    ) -> list[tuple[bytes, bytes]]:
        items = self._first_apart(lower, upper, count, behind)
        self._watched.seeks += len(items)
        self._watched.read += len(items)
        return items


class OnDisk(Watched):
    """An engine that finds out at the second read that it has to wait for the disk."""

    def __init__(self, inner: Engine) -> None:
        super().__init__(inner)
        self.waited: list[int] = []
        self.known: list[bool] = []
        self._said = 0

    @contextmanager
    def snapshot(self) -> Iterator[Reader]:
        with super().snapshot() as reader:
            vars(reader)["expect"] = self._expect
            yield reader

    def _expect(self, _lower: bytes, _upper: bytes, count: int, *, on_disk: bool = False) -> Any:
        self.known.append(on_disk)
        self._said += 1
        if self._said != 2 and not on_disk:
            return None
        return lambda: self.waited.append(threading.get_ident())


async def test_others_go_on_while_the_disk_is_waited_for(engine: Engine) -> None:
    store(engine, {f"{number:04}": {} for number in range(1500)})
    cold = OnDisk(engine)
    assert await listed(cold) == await listed(engine)
    assert cold.waited
    assert threading.get_ident() not in cold.waited
    # One fetch has the whole page.
    assert True not in cold.known


async def test_hidden_keys_are_fetched_before_they_are_read(engine: Engine) -> None:
    store(engine, {f"{number:05}": MARKER for number in range(6000)})
    cold = OnDisk(engine)
    assert await listed(cold) == await listed(engine)
    assert cold.known.count(True) >= 3


async def test_a_common_prefix_is_passed_by_seeking(engine: Engine) -> None:
    store(engine, {f"a/{number:04}": {} for number in range(2000)} | {"b": {}})
    watched = Watched(engine)
    page = await listed(watched, delimiter="/")
    assert (page["CommonPrefixes"], names(page)) == (["a/"], ["b"])
    assert watched.seeks <= 3
    assert watched.read <= 40


async def test_the_versions_of_a_key_are_passed_by_seeking(engine: Engine) -> None:
    versions: dict[str, Any] = {
        f"{name}\0{number:03}": {} for name in "ab" for number in range(500)
    }
    store(engine, {"a": {}, "b": {}, **versions})
    watched = Watched(engine)
    assert names(await listed(watched)) == ["a", "b"]
    assert watched.seeks <= 3
    assert watched.read <= 40


async def test_many_keys_with_many_versions_take_a_seek_each(engine: Engine) -> None:
    versions: dict[str, Any] = {
        f"{number:03}\0{version:03}": {} for number in range(300) for version in range(50)
    }
    store(engine, {f"{number:03}": {} for number in range(300)} | versions)
    watched = Watched(engine)
    assert len(names(await listed(watched))) == 300
    assert watched.seeks <= 320
    assert watched.read <= 3 * 300


async def test_keys_are_read_together_again_behind_those_with_many_versions(
    engine: Engine,
) -> None:
    versions: dict[str, Any] = {f"a{number:03}": {} for number in range(100)}
    store(engine, {"a": {}, **{f"a\0{number:03}": {} for number in range(100)}})
    store(engine, {**versions, **{f"b{number:04}": {} for number in range(800)}})
    watched = Watched(engine)
    assert len(names(await listed(watched))) == 901
    assert watched.seeks <= 50


@pytest.mark.parametrize("listing", ["DelimiterVersions", "DelimiterNonCurrent"])
async def test_a_page_behind_many_versions_of_a_key_does_not_read_them(
    engine: Engine, listing: str
) -> None:
    store(engine, {f"a\0{number:05}": {"versionId": f"{number:05}"} for number in range(5000)})
    store(engine, {"a": {"versionId": "00000"}})
    watched = Watched(engine)
    page = await listed(watched, type=listing, keyMarker="a", versionIdMarker="04900")
    if listing == "DelimiterVersions":
        assert [version[1] for version in page["Versions"]] == [
            f"{number:05}" for number in range(4901, 5000)
        ]
    assert watched.read <= 400


async def test_orphans_are_looked_for_past_the_versions_of_keys(engine: Engine) -> None:
    versions: dict[str, Any] = {
        f"{number:03}\0{version:03}": {} for number in range(300) for version in range(50)
    }
    store(engine, {f"{number:03}": {} for number in range(300)} | versions)
    watched = Watched(engine)
    assert names(await listed(watched, type="DelimiterOrphanDeleteMarker")) == []
    assert watched.read <= 4 * 300


async def test_a_placeholder_among_keys_with_many_versions_is_replaced(engine: Engine) -> None:
    store(engine, {f"{number:03}": {} for number in range(300)})
    for number in range(300):
        store(engine, {f"{number:03}\0{version:03}": {} for version in range(50)})
    placeholder = {"isPHD": True, "versionId": "0"}
    store(engine, {f"{number:03}": placeholder for number in range(0, 300, 7)})
    store(engine, {"007\x00000": MARKER, "299": placeholder})
    wanted = [f"{number:03}" for number in range(300) if number != 7]
    assert names(await listed(engine)) == wanted
    assert names(await listed(engine, maxKeys=2, marker="006")) == ["008", "009"]


async def test_few_versions_are_read_past(engine: Engine) -> None:
    store(engine, {f"{name}{suffix}": {} for name in "abcdef" for suffix in ("", "\x001")})
    watched = Watched(engine)
    assert names(await listed(watched)) == list("abcdef")
    assert watched.seeks == 1


async def test_a_page_that_passes_many_delete_markers_ends(engine: Engine) -> None:
    # Some hundred keys are read at once.
    store(engine, {f"a/{number:05}": MARKER for number in range(limits.LIST_HIDDEN_MAX + 500)})
    store(engine, {"a/z": {}, "b": {}})
    page = await listed(engine, maxKeys=1)
    assert (names(page), page["IsTruncated"]) == ([], True)
    page = await listed(engine, marker=page["NextMarker"])
    assert (names(page), page["IsTruncated"]) == (["a/z", "b"], False)
    page = await listed(engine, delimiter="/", within=False)
    assert (page["CommonPrefixes"], page["IsTruncated"], page["Within"]) == ([], True, True)
    page = await listed(engine, delimiter="/", marker=page["NextMarker"], within=True)
    assert (page["CommonPrefixes"], names(page), "Within" in page) == (["a/"], ["b"], False)
    page = await listed(engine, delimiter="/")
    assert (page["CommonPrefixes"], names(page)) == (["a/"], ["b"])


async def test_others_have_a_turn_while_many_keys_are_passed(engine: Engine) -> None:
    store(engine, {f"{number:05}": MARKER for number in range(3500)} | {"z": {}})
    watched = Watched(engine)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(other())
    assert names(await listed(watched)) == ["z"]
    task.cancel()
    assert watched.snapshots >= 4
    assert turns >= 3
    assert watched.read <= 3501


@pytest.mark.parametrize("kept", [3, 20, -1])
async def test_damage_is_found(engine: Engine, kept: int) -> None:
    key = record_keys.physical(BUCKET, "a", engine.key_bytes_max)
    store(engine, {"a": {}})
    with engine.transaction() as transaction:
        value = transaction.get(key)
        assert value is not None
        transaction.put(key, value[:kept] + b"x")
    with pytest.raises(stored.CorruptRecordError):
        await listed(engine)
