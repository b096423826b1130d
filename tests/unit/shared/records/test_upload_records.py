"""Upload IDs, and what overviews say."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from shared.records.times import now, to_iso
from shared.records.upload import (
    UploadRecord,
    began_at,
    new_upload_id,
    parse_tags_text,
    tags_text,
)

MOMENT = datetime(2026, 1, 31, 12, 0, 0, 123_000, tzinfo=UTC)
OF_K = "019c13ec9e7b8e92a2cce109d9650c44"
"""An ID of an upload of the key ``k``, begun at that moment."""


@pytest.mark.parametrize("key", ["k", "a/b", "\u00e9", "\U0001f600", "..|..", "k" * 1024])
def test_an_id_tells_when_the_upload_began(key: str) -> None:
    upload_id = new_upload_id(key, MOMENT)
    assert uuid.UUID(upload_id).version == 8
    assert uuid.UUID(upload_id).variant == uuid.RFC_4122
    assert began_at(upload_id, key) == "2026-01-31T12:00:00.123Z"
    moment = now()
    assert began_at(new_upload_id(key, moment), key) == to_iso(moment)


def test_ids_are_unique_and_in_order() -> None:
    moments = [MOMENT + timedelta(milliseconds=number) for number in range(1000)]
    assert len({new_upload_id("k", MOMENT) for _ in range(1000)}) == 1000
    ids = [new_upload_id("k", moment) for moment in moments]
    assert ids == sorted(ids)


@pytest.mark.parametrize(
    "upload_id",
    [
        "",
        "nosuchupload",
        "5f0c4ad1c3e24f0b9a3be9d6a1c7e842",
        "f" * 12 + OF_K[12:],  # no year has five digits
        OF_K.upper(),
        OF_K + "0",
    ],
)
def test_other_ids_tell_nothing(upload_id: str) -> None:
    assert began_at(upload_id, "k") is None


def test_an_id_of_a_former_process_is_known() -> None:
    assert began_at(OF_K, "k") == to_iso(MOMENT)


def test_an_id_belongs_to_its_key() -> None:
    """Of 16,384 keys, about one passes for another."""
    upload_id = new_upload_id("k", MOMENT)
    known = [number for number in range(1000) if began_at(upload_id, f"k{number}") is not None]
    assert len(known) <= 3


@pytest.mark.parametrize(
    "tags", [{}, {"a": "b"}, {"a b": "1+2", "c&d=": "\u00e9%", "/": "", ":": "@"}]
)
def test_tags_are_read_as_they_were_written(tags: dict[str, str]) -> None:
    assert parse_tags_text(tags_text(tags)) == tags
    assert "+" not in tags_text(tags)  # which one reads as a space and another one does not


def test_tags_as_the_original_stores_them() -> None:
    assert parse_tags_text("&&a=b&c=d=e&f&=g&h+i=j%20k") == {
        "a": "b",
        "c": "d=e",
        "f": "",
        "h+i": "j k",
    }


def test_an_overview_that_says_little() -> None:
    record = UploadRecord({"initiated": "2026-01-31T12:00:00.000Z"})
    assert (record.location, record.storage_class) == ("us-east-1", "STANDARD")
    assert (record.owner, record.initiator, record.tags, record.acl) == (
        ("", ""),
        ("", ""),
        {},
        None,
    )
    assert not record.is_completing
