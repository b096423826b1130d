"""The lifecycle listings against a definition that sorts them, in buckets of every history."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.listing.delimiter import Query
from shared.listing.delimiter_lifecycle import (
    Criteria,
    DelimiterCurrent,
    DelimiterNonCurrent,
    DelimiterOrphanDeleteMarker,
)
from shared.listing.delimiter_versions import VersionsQuery
from shared.listing.page import Page
from shared.records.lifecycle import LifecycleObject
from tests.property import test_listing_versions as versions
from tests.property.feeding import feed

EXAMPLES = 2_000 if os.environ.get("TWOFOLD_SOAK") == "1" else 100
EVERYTHING = 10_000

facts = st.builds(
    LifecycleObject,
    last_modified=st.sampled_from([*"1234", "5", None]),
    is_delete_marker=st.booleans(),
    data_store=st.sampled_from(["here", "there"]),
)


@dataclass(frozen=True)
class Bucket:
    """Names with their histories, and what their versions are. ``hidden``: beside a master that is
    the null version there is a null key, too, which counts for nothing."""

    histories: dict[str, versions.Name]
    facts: list[LifecycleObject]
    hidden: bool

    def fact(self, name: str, version_id: str | None) -> LifecycleObject:
        """What a version is."""
        fact = self.facts[(sum(map(ord, name)) + int(version_id or 0)) % len(self.facts)]
        return msgspec.structs.replace(fact, version_id=version_id)

    def versions_of(self, name: str) -> list[LifecycleObject]:
        """All versions of a name, the newest first."""
        history = self.histories[name]
        ids: list[str | None] = [None] if history.plain else [*history.ids]
        return [self.fact(name, version_id) for version_id in ids]

    @property
    def rows(self) -> list[tuple[str, LifecycleObject]]:
        """What the store holds, in its order."""
        rows = {}
        for key, listed in versions.items(self.histories):
            name = key.partition("\0")[0]
            rows[key] = msgspec.structs.replace(
                self.fact(name, listed.version_id),
                is_null=listed.is_null,
                is_placeholder=listed.is_placeholder,
            )
            if self.hidden and key == name and listed.is_null:
                rows[f"{name}\0"] = msgspec.structs.replace(rows[key], version_id="5")
        return sorted(rows.items())

    def names(self, prefix: str) -> list[str]:
        return sorted(name for name in self.histories if name.startswith(prefix))


buckets = st.builds(
    Bucket,
    st.dictionaries(versions.names, versions.histories, max_size=6),
    st.lists(facts, min_size=7, max_size=7),
    st.booleans(),
)
criteria = st.builds(
    Criteria,
    st.sampled_from([None, "1", "3", "4", "9"]),
    st.sampled_from([None, "here"]),
    st.sampled_from([1, 2, 3, 5, EVERYTHING]),
)


def is_old(date: str | None, asked: Criteria) -> bool:
    return date is not None and (asked.before is None or date < asked.before)


def is_wanted_here(value: LifecycleObject, asked: Criteria) -> bool:
    return asked.excluded_data_store in (None, "there") or value.data_store == "there"


Entry = tuple[Any, ...]


def current(bucket: Bucket, prefix: str, asked: Criteria) -> Iterator[Entry]:
    for name in bucket.names(prefix):
        latest = bucket.versions_of(name)[0]
        is_object = not latest.is_delete_marker and is_wanted_here(latest, asked)
        if is_object and is_old(latest.last_modified, asked):
            yield name, latest.version_id


def non_current(bucket: Bucket, prefix: str, asked: Criteria) -> Iterator[Entry]:
    for name in bucket.names(prefix):
        found = bucket.versions_of(name)
        for newer, version in pairwise(found):
            if is_old(newer.last_modified, asked) and is_wanted_here(version, asked):
                yield name, version.version_id, newer.last_modified


def orphans(bucket: Bucket, prefix: str, asked: Criteria) -> Iterator[Entry]:
    for name in bucket.names(prefix):
        latest, *others = bucket.versions_of(name)
        if latest.is_delete_marker and not others and is_old(latest.last_modified, asked):
            yield name, latest.version_id


@dataclass(frozen=True)
class Listing:
    """One of the three: its definition, and how a page of it begins behind the one before."""

    defined: Callable[[Bucket, str, Criteria], Iterator[Entry]]
    begin: Callable[[str, int, Criteria, Any], Page]

    def entries(self, page: Any) -> list[Entry]:
        """The entries of a page, as they are defined."""
        return [
            (row[0], row[-1].version_id, *row[2:-1])  # a stale date
            for row in page.result()["Contents"]
        ]


def marker_of(before: Any) -> str:
    return "" if before is None else before.result()["NextMarker"]


def begin_current(prefix: str, keys_max: int, asked: Criteria, before: Any) -> Page:
    return DelimiterCurrent(Query(prefix, "", marker_of(before), keys_max), asked)


def begin_non_current(prefix: str, keys_max: int, asked: Criteria, before: Any) -> Page:
    said = {} if before is None else before.result()
    markers = said.get("NextKeyMarker", ""), said.get("NextVersionIdMarker")
    return DelimiterNonCurrent(VersionsQuery(prefix, "", *markers, keys_max), asked)


def begin_orphans(prefix: str, keys_max: int, asked: Criteria, before: Any) -> Page:
    return DelimiterOrphanDeleteMarker(Query(prefix, "", marker_of(before), keys_max), asked)


LISTINGS = {
    "current": Listing(current, begin_current),
    "non-current": Listing(non_current, begin_non_current),
    "orphans": Listing(orphans, begin_orphans),
}
each_listing = pytest.mark.parametrize("listing", LISTINGS.values(), ids=LISTINGS.keys())


@each_listing
@settings(max_examples=EXAMPLES)
@given(buckets, versions.texts, criteria, st.booleans(), st.integers(0, 9))
def test_pages_of_every_size_add_up_to_what_is_defined(
    listing: Listing, bucket: Bucket, prefix: str, asked: Criteria, jump: bool, at_once: int
) -> None:
    rows = bucket.rows
    wanted = [*listing.defined(bucket, prefix, asked)]
    for keys_max in range(1, len(wanted) + 2):
        seen: list[Entry] = []
        pages = 0
        page: Any = None
        while page is None or page.is_truncated:
            page = listing.begin(prefix, keys_max, asked, page)
            feed(page, rows, jump=jump, at_once=at_once)
            found = listing.entries(page)
            assert len(found) <= keys_max
            seen += found
            pages += 1
            # Every page looks at something, so there is an end.
            assert pages <= 2 * len(rows) + 1
        assert seen == wanted
        if asked.scanned_max == EVERYTHING:
            assert pages == max(1, -(-len(wanted) // keys_max))


@each_listing
@settings(max_examples=EXAMPLES)
@given(buckets, versions.texts, criteria)
def test_a_page_of_nothing_is_not_truncated(
    listing: Listing, bucket: Bucket, prefix: str, asked: Criteria
) -> None:
    page: Any = listing.begin(prefix, 0, asked, None)
    feed(page, bucket.rows)
    assert page.result() == {"Contents": [], "IsTruncated": False}


@each_listing
@settings(max_examples=EXAMPLES)
@given(buckets, versions.texts, st.integers(1, 4))
def test_no_more_is_looked_at_than_was_allowed(
    listing: Listing, bucket: Bucket, prefix: str, scanned_max: int
) -> None:
    """A page that lists all that it looks at has no more entries than that."""
    page: Any = listing.begin(prefix, 1000, Criteria(scanned_max=scanned_max), None)
    feed(page, bucket.rows)
    assert len(listing.entries(page)) <= scanned_max
    if page.is_truncated:
        said = page.result()
        marker = said.get("NextMarker") or said["NextKeyMarker"]
        looked_at = [name for name in bucket.names(prefix) if name <= marker]
        assert 0 < len(looked_at) <= scanned_max


def rows_of(*version_ids: str) -> list[tuple[str, LifecycleObject]]:
    """A key with versions that were modified on days that count down."""
    found = [(f"key\0{name}", LifecycleObject(name, version_id=name)) for name in version_ids]
    return [("key", found[0][1]), *found]


def test_the_first_version_behind_a_marker_that_is_gone_is_not_listed() -> None:
    """When it became noncurrent is not known, and it must not be deleted too early."""
    rows = rows_of("1", "2", "3", "4", "5")
    query = VersionsQuery(key_marker="key", version_id_marker="3")
    for gone, listed in ((None, ["4", "5"]), ("key\x003", ["5"])):
        page = DelimiterNonCurrent(query, Criteria())
        feed(page, [row for row in rows if row[0] != gone])
        assert [version_id for _, version_id, _, _ in page.contents] == listed


def test_the_next_version_behind_a_null_marker() -> None:
    """The marker ``null`` is that of a version without an ID."""
    rows = [
        ("key", LifecycleObject("5")),
        ("key\x002", LifecycleObject("4", version_id="2")),
        ("key\x003", LifecycleObject("3", version_id="3")),
    ]
    page = DelimiterNonCurrent(VersionsQuery("", "", "key", "null"), Criteria())
    feed(page, rows)
    listed = [(version_id, stale_date) for _, version_id, stale_date, _ in page.contents]
    assert listed == [("2", "5"), ("3", "4")]


@pytest.mark.parametrize("at_once", range(6))
def test_a_delete_marker_over_a_null_key_is_no_orphan(at_once: int) -> None:
    marker = LifecycleObject("5", version_id="1", is_delete_marker=True)
    rows = [
        ("a", marker),
        ("a\0", LifecycleObject("1", version_id="2", is_null=True)),
        ("b", marker),
        ("b\x001", marker),
    ]
    page = DelimiterOrphanDeleteMarker(Query(), Criteria())
    feed(page, rows, at_once=at_once)
    assert [name for name, _ in page.contents] == ["b"]
