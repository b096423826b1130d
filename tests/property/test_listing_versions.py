"""The listing of versions against a definition that sorts them, in buckets of every history."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.listing.delimiter_versions import NULL, DelimiterVersions, ListedVersion, VersionsQuery
from shared.records.projection_fields import ListedObject
from tests.property.feeding import feed

EXAMPLES = 3_000 if os.environ.get("TWOFOLD_SOAK") == "1" else 150
LAST = "\U0010ffff"

texts = st.text(st.sampled_from(["a", "b", "/", "\x01", "é", "\ue000", LAST]), max_size=4)
names = texts.filter(bool)
delimiters = st.sampled_from(["", "/", "//", "a", "ab", "\x01", LAST, "-a-"])


@dataclass(frozen=True)
class Name:
    """The history of a name: IDs of its versions, newest first, which of them is the null version,
    and how it is stored. ``plain``: it was never versioned, and has one record without an ID."""

    ids: tuple[str, ...]
    null_index: int | None
    null_key: bool
    placeholder: bool
    plain: bool

    @property
    def null(self) -> int | None:
        """The index of the null version, if there is one."""
        if self.null_index is None or self.null_index >= len(self.ids):
            return None
        return self.null_index


histories = st.builds(
    Name,
    st.lists(st.sampled_from("123456789"), min_size=1, max_size=4, unique=True).map(
        lambda ids: tuple(sorted(ids))
    ),
    st.none() | st.integers(0, 3),
    st.booleans(),
    st.booleans(),
    st.just(False) | st.booleans(),
)
buckets = st.dictionaries(names, histories, max_size=6)
Bucket = dict[str, Name]
Item = tuple[str, ListedObject]


def items(bucket: Bucket) -> list[Item]:
    """What the store holds, in its order."""
    rows: dict[str, ListedObject] = {}
    for name, history in bucket.items():
        if history.plain:
            rows[name] = ListedObject()
            continue
        for index, version_id in enumerate(history.ids):
            value = ListedObject(version_id=version_id, is_null=index == history.null)
            if index == 0 and (not history.placeholder or len(history.ids) == 1):
                rows[name] = value
                if index == history.null:
                    continue  # the null version that is the master has no key of its own
            at = "" if history.null_key and index == history.null else version_id
            rows[f"{name}\0{at}"] = value
        if history.placeholder and len(history.ids) > 1:
            rows[name] = ListedObject(version_id="0", is_placeholder=True)
    return sorted(rows.items(), key=lambda row: row[0])


Entry = tuple[str, str | None]


def all_entries(bucket: Bucket, prefix: str, delimiter: str) -> list[Entry]:
    """Every entry: name and version as a marker, or a common prefix and None."""
    entries: list[Entry] = []
    for name in sorted(bucket):
        if not name.startswith(prefix):
            continue
        index = name.find(delimiter, len(prefix)) if delimiter else -1
        if index >= 0:
            common = (name[: index + len(delimiter)], None)
            if common not in entries:
                entries.append(common)
            continue
        history = bucket[name]
        if history.plain:
            entries.append((name, NULL))
            continue
        entries += [
            (name, NULL if index == history.null else version_id)
            for index, version_id in enumerate(history.ids)
        ]
    return entries


def page_of(
    bucket: Bucket | list[Item], query: VersionsQuery, *, jump: bool = False, at_once: int = 0
) -> DelimiterVersions:
    """A page that is given its rows one by one, or so many at once."""
    page = DelimiterVersions(query)
    rows = items(bucket) if isinstance(bucket, dict) else bucket
    feed(page, rows, jump=jump, at_once=at_once)
    return page


def entries_of(page: DelimiterVersions) -> list[Entry]:
    listed: list[Entry] = [(version.name, version.marker) for version in page.versions]
    prefixes: list[Entry] = [(common, None) for common in page.common_prefixes]
    # Stable: the versions of a name stay in the order in which they were listed.
    return sorted([*listed, *prefixes], key=lambda entry: entry[0])


@settings(max_examples=EXAMPLES)
@given(buckets, texts, delimiters)
def test_one_large_page_has_every_version(bucket: Bucket, prefix: str, delimiter: str) -> None:
    page = page_of(bucket, VersionsQuery(prefix, delimiter))
    assert entries_of(page) == all_entries(bucket, prefix, delimiter)
    assert not page.is_truncated


@settings(max_examples=EXAMPLES)
@given(buckets, texts, delimiters, st.booleans(), st.integers(0, 9))
def test_paging_covers_each_version_exactly_once_at_every_page_size(
    bucket: Bucket, prefix: str, delimiter: str, jump: bool, at_once: int
) -> None:
    wanted = all_entries(bucket, prefix, delimiter)
    latest = {name for name, _ in wanted}
    for keys_max in range(1, len(wanted) + 2):
        seen: list[Entry] = []
        marked: list[ListedVersion] = []
        query = VersionsQuery(prefix, delimiter, keys_max=keys_max)
        while True:
            page = page_of(bucket, query, jump=jump, at_once=at_once)
            assert len(page.versions) + len(page.common_prefixes) <= keys_max
            seen += entries_of(page)
            marked += [version for version in page.versions if version.is_latest]
            if not page.is_truncated:
                break
            query = VersionsQuery(
                prefix, delimiter, page.next_key_marker, page.next_version_id_marker, keys_max
            )
        assert seen == wanted
        # Of every name that is listed by itself exactly one version is the latest, the first.
        prefixes = {name for name, version in wanted if version is None}
        assert sorted(version.name for version in marked) == sorted(latest - prefixes)


@settings(max_examples=EXAMPLES)
@given(buckets, texts, delimiters, names)
def test_a_page_behind_a_key_has_none_of_its_versions(
    bucket: Bucket, prefix: str, delimiter: str, marker: str
) -> None:
    page = page_of(bucket, VersionsQuery(prefix, delimiter, marker))
    index = marker.find(delimiter, len(prefix)) if delimiter and marker.startswith(prefix) else -1
    printed = marker[: index + len(delimiter)] if index >= 0 else None
    assert entries_of(page) == [
        entry
        for entry in all_entries(bucket, prefix, delimiter)
        if entry[0] > marker and entry[0] != printed
    ]


@pytest.mark.parametrize(
    ("master", "null_key"),
    [
        (ListedObject(version_id="1", is_null=True), ListedObject(version_id="3", is_null=True)),
        (ListedObject(version_id="1"), ListedObject(version_id="3", is_placeholder=True)),
    ],
    ids=["behind a null master", "placeholder"],
)
@pytest.mark.parametrize("keys_max", [1, 2, 3, 10])
def test_a_null_key_that_is_not_listed_hides_no_version_of_its_id(
    master: ListedObject, null_key: ListedObject, keys_max: int
) -> None:
    """Such stores come from the raw calls of the wire, or from a daemon that was damaged."""
    rows = [
        ("key", master),
        ("key\0", null_key),
        ("key\x002", ListedObject(version_id="2")),
        ("key\x003", ListedObject(version_id="3")),
    ]
    listed: list[str | None] = []
    query = VersionsQuery(keys_max=keys_max)
    for _ in rows:
        page = page_of(rows, query)
        listed += [version.version_id for version in page.versions]
        if not page.is_truncated:
            break
        query = VersionsQuery(
            key_marker=page.next_key_marker,
            version_id_marker=page.next_version_id_marker,
            keys_max=keys_max,
        )
    assert listed == ["1", "2", "3"]
