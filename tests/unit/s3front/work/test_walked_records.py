"""A walk over all records: each comes once, wherever it was begun again."""

from __future__ import annotations

import msgspec
import pytest

from s3front.work.walked_records import PAGE_PARTS, PAGE_RECORDS, PAGE_UPLOADS, Position, RecordWalk
from shared.records.names import METASTORE, UPLOADS_PREFIX, USERS_BUCKET
from shared.records.upload import (
    closing_key,
    overview_key,
    parse_part_upload,
    part_key,
    uploads_level,
)
from tests.unit.s3front.metadata_twin import MetadataTwin

BUCKETS = [f"bucket-{number:03}" for number in range(120)]
LARGE = 3, 4
"""Uploads of many parts."""
Seen = list[tuple[str, str]]


@pytest.fixture
def metadata() -> MetadataTwin:
    """Many buckets, among them one with much in it; and what the original keeps beside them."""
    twin = MetadataTwin()
    for number, bucket in enumerate(BUCKETS):
        twin.records[METASTORE, bucket] = "{}", number
        twin.records[METASTORE, UPLOADS_PREFIX + bucket] = "{}", number
        twin.records[bucket, "only"] = bucket, number
    twin.records[METASTORE, USERS_BUCKET] = "{}", 1
    full = BUCKETS[60]
    for number in range(2 * PAGE_RECORDS + 5):
        twin.records[full, f"key-{number:04}"] = "{}", number
        twin.records[full, f"key-{number:04}\0version"] = "{}", number
    level = uploads_level(full)
    for number in range(2 * PAGE_UPLOADS + 3):
        upload = f"{number:032x}"
        twin.records[level, overview_key(f"a..|..{number}", upload)] = "overview", number
        for part in (1, 2, 10_000):
            twin.records[level, part_key(upload, part)] = f"part of {number}", part
    for number in LARGE:
        upload = f"{number:032x}"
        for part in range(1, PAGE_PARTS + 2):
            twin.records[level, part_key(upload, part)] = f"part of {number}", part
    twin.records[level, part_key("f" * 32, 1)] = "of an ended upload", 1
    twin.records[level, closing_key("f" * 32)] = "{}", 1
    return twin


async def walked(metadata: MetadataTwin, at: Position | None = None, pages: int = 10_000) -> Seen:
    seen: Seen = []
    walk, position = RecordWalk(metadata), at or Position()
    for _ in range(pages):
        page = await walk.page(position)
        assert page is not None
        assert sum(map(len, page.parts.values())) <= PAGE_PARTS
        # An upload comes again with the rest of its parts.
        again = 1 if position.part else 0
        seen += [(page.level, key) for key, _ in page.records[again:]]
        for key, parts in page.parts.items():
            number = key.split("..|..")[2]
            assert {text for _, text in parts} <= {f"part of {number}"}
            seen += [(page.level, part) for part, _ in parts]
        if page.next is None:
            break
        position = page.next
    return seen


def expected(metadata: MetadataTwin) -> set[tuple[str, str]]:
    ended = {part_key("f" * 32, 1), closing_key("f" * 32)}
    return {
        (level, key) for level, key in metadata.records if level != METASTORE and key not in ended
    }


async def test_each_record_of_an_object_and_of_an_upload_comes_once(
    metadata: MetadataTwin,
) -> None:
    seen = await walked(metadata)
    assert len(seen) == len(set(seen))
    assert set(seen) == expected(metadata)


async def test_it_goes_on_from_every_position(metadata: MetadataTwin) -> None:
    whole = await walked(metadata)
    walk, position, before = RecordWalk(metadata), Position(), 0
    while True:
        assert await walked(metadata, position) == whole[before:]
        page = await walk.page(position)
        assert page is not None
        if page.next is None:
            return
        before += len(page.records) + sum(map(len, page.parts.values())) - bool(position.part)
        position = page.next


async def test_an_upload_that_ended_within_its_parts_hides_none_of_the_next(
    metadata: MetadataTwin,
) -> None:
    walk, position = RecordWalk(metadata), Position(BUCKETS[60], uploads=True)
    while not position.part:
        page = await walk.page(position)
        assert page is not None
        assert page.next is not None
        position = page.next
    ended = parse_part_upload(position.part)
    for address in [each for each in metadata.records if ended in each[1]]:
        del metadata.records[address]
    # The overview of the next one is taken for one that comes again.
    _, *rest = await walked(metadata, msgspec.structs.replace(position, part=""))
    assert await walked(metadata, position) == rest


async def test_of_one_bucket_alone(metadata: MetadataTwin) -> None:
    page = await RecordWalk(metadata, BUCKETS[3]).page(Position(BUCKETS[3]))
    assert page is not None
    assert [key for key, _ in page.records] == ["only"]
    assert page.next is None


async def test_of_nothing() -> None:
    assert await RecordWalk(MetadataTwin()).page(Position()) is None
