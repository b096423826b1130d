"""The listing of current objects against ``sorted()``, with keys chosen to hurt."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from shared.listing.delimiter import Delimiter, DelimiterMaster, Query
from shared.listing.page import Verdict, successor
from shared.records.projection_fields import ListedObject

LAST = "\U0010ffff"
# Characters at the edges of what successor and the separators of versions must get right.
ALPHABET = [
    "a",
    "b",
    "/",
    "-",
    "\x01",
    "\x7f",
    "é",
    "\ud7ff",
    "\ue000",
    "\uffff",
    "\U00010000",
    LAST,
]
DELIMITERS = ["", "/", "//", "a", "ab", "b/", "\x01", "\ud7ff", "\U00010000", LAST, LAST * 2, "-a-"]
LONGEST_KEYS = ["a" * 1024, "a/" * 512, LAST * 256, "/" * 1023 + "\x01"]

EXAMPLES = 3_000 if os.environ.get("TWOFOLD_SOAK") == "1" else 150

texts = st.text(st.sampled_from(ALPHABET), max_size=5)
names = st.one_of(
    texts.filter(bool),
    st.sampled_from(LONGEST_KEYS),
    st.tuples(st.sampled_from(["a/", "a", LAST, "/"]), texts).map("".join),
)
delimiters = st.sampled_from(DELIMITERS)


SHOWN = ListedObject()
MARKER = ListedObject(is_delete_marker=True)
PLACEHOLDER = ListedObject(is_placeholder=True)
values = st.sampled_from([SHOWN, SHOWN, SHOWN, MARKER, PLACEHOLDER])
Item = tuple[str, ListedObject]


@dataclass(frozen=True)
class Bucket:
    """Objects by name, and two versions of some names."""

    objects: dict[str, ListedObject]
    versions: dict[str, tuple[ListedObject, ListedObject]]

    @property
    def items(self) -> list[Item]:
        """What the store holds, in its order."""
        rows = dict(self.objects)
        for name, (newer, older) in self.versions.items():
            rows[f"{name}\x001"], rows[f"{name}\x002"] = newer, older
        return sorted(rows.items(), key=lambda row: row[0])

    @property
    def shown(self) -> list[str]:
        """The names of the objects that a listing shows."""
        return [
            name
            for name, value in self.objects.items()
            if value is SHOWN
            or (value is PLACEHOLDER and name in self.versions and self.versions[name][0] is SHOWN)
        ]


buckets = st.builds(
    Bucket,
    st.dictionaries(names, values, max_size=12),
    st.dictionaries(names, st.tuples(values, values), max_size=4),
)


def expected(bucket: Bucket, prefix: str, delimiter: str, after: str = "") -> list[str]:
    """All entries, names and common prefixes, that follow ``after``."""

    def entry(name: str) -> str:
        index = name.find(delimiter, len(prefix)) if delimiter else -1
        return name if index < 0 else name[: index + len(delimiter)]

    listed = {entry(name) for name in bucket.shown if name.startswith(prefix)}
    begun = entry(after) if after.startswith(prefix) else after
    return sorted(e for e in listed if e > after and e != begun)


Read = Callable[[DelimiterMaster, list[Item]], None]


def read_all(page: DelimiterMaster, items: list[Item]) -> None:
    """Give a page every item of its range."""
    for key, value in _range_of(page, items):
        if page.offer(key, value) is Verdict.FINISHED:
            return


def read_with_jumps(page: DelimiterMaster, items: list[Item]) -> None:
    """Give a page its items, but go on at ``skip_to`` whenever it names a key."""
    rows = _range_of(page, items)
    keys = [key for key, _ in rows]
    index = 0
    while index < len(rows):
        if page.offer(*rows[index]) is Verdict.FINISHED:
            return
        index += 1
        if page.skip_to is not None:
            index = max(index, bisect_left(keys, page.skip_to))


def in_pieces(size: int) -> Read:
    """Reading that gives a page so many items at once, and goes on where it says."""

    def read(page: DelimiterMaster, items: list[Item]) -> None:
        rows = _range_of(page, items)
        keys = [key for key, _ in rows]
        index = 0
        while index < len(rows):
            piece = rows[index : index + size]

            def values(indexes: Sequence[int], piece: list[Item] = piece) -> list[ListedObject]:
                return [piece[index][1] for index in indexes]

            if page.offer_many([key for key, _ in piece], values) is Verdict.FINISHED:
                return
            assert page.resume_key > piece[-1][0]
            index = bisect_left(keys, page.resume_key)

    return read


reads = st.one_of(st.just(read_with_jumps), st.integers(1, 20).map(in_pieces))


def _range_of(page: DelimiterMaster, items: list[Item]) -> list[Item]:
    end = page.end_key
    return [row for row in items if row[0] >= page.first_key and (end is None or row[0] < end)]


def page_of(bucket: Bucket, query: Query, read: Read = read_all) -> DelimiterMaster:
    page = DelimiterMaster(query)
    read(page, bucket.items)
    page.finish()
    return page


def entries(page: DelimiterMaster) -> list[str]:
    return sorted([*(key for key, _ in page.contents), *page.common_prefixes])


@settings(max_examples=EXAMPLES)
@given(buckets, texts, delimiters)
def test_one_large_page_has_every_entry(bucket: Bucket, prefix: str, delimiter: str) -> None:
    page = page_of(bucket, Query(prefix, delimiter))
    assert entries(page) == expected(bucket, prefix, delimiter)
    assert not page.is_truncated


@settings(max_examples=EXAMPLES)
@given(st.frozensets(names, max_size=12), texts, delimiters, st.one_of(st.just(""), names))
def test_names_are_listed_as_they_are(
    stored: frozenset[str], prefix: str, delimiter: str, after: str
) -> None:
    bucket = Bucket(dict.fromkeys(stored, SHOWN), {})
    page = Delimiter(Query(prefix, delimiter, after))
    for name in sorted(stored):
        in_range = name >= page.first_key and (page.end_key is None or name < page.end_key)
        if in_range and page.offer(name, None) is Verdict.FINISHED:
            break
    listed = sorted([*(name for name, _ in page.contents), *page.common_prefixes])
    assert listed == expected(bucket, prefix, delimiter, after)


@settings(max_examples=EXAMPLES)
@given(buckets, texts, delimiters)
def test_contents_and_common_prefixes_are_told_apart(
    bucket: Bucket, prefix: str, delimiter: str
) -> None:
    page = page_of(bucket, Query(prefix, delimiter))
    for key, _ in page.contents:
        assert key in bucket.shown
        assert not delimiter or delimiter not in key[len(prefix) :]
    for common in page.common_prefixes:
        assert common.endswith(delimiter)
        assert common.find(delimiter, len(prefix)) == len(common) - len(delimiter)


@settings(max_examples=EXAMPLES)
@given(buckets, texts, delimiters)
def test_paging_covers_each_entry_exactly_once_at_every_page_size(
    bucket: Bucket, prefix: str, delimiter: str
) -> None:
    wanted = expected(bucket, prefix, delimiter)
    for keys_max in range(1, len(wanted) + 2):
        seen: list[str] = []
        after, truncated = "", True
        while truncated:
            page = page_of(bucket, Query(prefix, delimiter, after, keys_max))
            found = entries(page)
            assert len(found) <= keys_max
            assert not found or page.last_entry == found[-1]
            seen += found
            after, truncated = page.last_entry, page.is_truncated
            assert not truncated or len(found) == keys_max
        assert seen == wanted


@settings(max_examples=EXAMPLES)
@given(buckets, texts, delimiters, st.integers(1, 3), st.integers(1, 3), st.booleans(), reads)
@example(Bucket({"a/1": MARKER, "a/2": SHOWN, "b": SHOWN}, {}), "", "/", 1, 1, True, read_all)
def test_pages_that_pass_many_delete_markers_add_up(
    bucket: Bucket,
    prefix: str,
    delimiter: str,
    keys_max: int,
    hidden_max: int,
    may_end_within: bool,
    read: Read,
) -> None:
    seen: list[str] = []
    within = False if may_end_within else None
    query = Query(prefix, delimiter, "", keys_max, within, hidden_max)
    for _ in range(2 * len(bucket.items) + 1):  # where it ends, and a common prefix, for each
        page = page_of(bucket, query, read)
        found = entries(page)
        assert len(found) <= keys_max
        assert may_end_within or not page.ends_within
        seen += found
        if not page.is_truncated:
            break
        within = page.ends_within if may_end_within else None
        query = Query(prefix, delimiter, page.last_entry, keys_max, within, hidden_max)
    assert not page.is_truncated
    assert seen == expected(bucket, prefix, delimiter)


@pytest.mark.parametrize("delimiter", ["", "/"])
@pytest.mark.parametrize("read", [read_all, in_pieces(1), in_pieces(7)])
def test_a_page_passes_so_many_delete_markers(read: Read, delimiter: str) -> None:
    marked = {f"a/{number:02}": MARKER for number in range(60)}
    bucket = Bucket({**marked, "b": SHOWN}, {})
    page = page_of(bucket, Query("", delimiter, within=False, hidden_max=20), read)
    assert (page.contents, page.is_truncated, page.ends_within) == ([], True, delimiter == "/")
    # It may have been given more of them at once.
    assert page.last_entry >= "a/19"
    page = page_of(bucket, Query("", delimiter, page.last_entry, 1, True, 100), read)
    assert (entries(page), page.is_truncated) == (["b"], False)


@settings(max_examples=EXAMPLES)
@given(buckets, texts, delimiters, names)
@example(Bucket({LAST + "a": SHOWN, LAST * 2: SHOWN}, {}), "", LAST, LAST)
@example(Bucket({LAST * 3: SHOWN}, {}), LAST, LAST, LAST * 2)
def test_a_page_after_any_key_has_what_follows_it(
    bucket: Bucket, prefix: str, delimiter: str, after: str
) -> None:
    page = page_of(bucket, Query(prefix, delimiter, after))
    assert entries(page) == expected(bucket, prefix, delimiter, after)


@settings(max_examples=EXAMPLES)
@given(
    buckets,
    texts,
    delimiters,
    st.one_of(st.just(""), names),
    st.integers(0, 6),
    reads,
)
def test_all_ways_of_reading_give_the_same_page(
    bucket: Bucket, prefix: str, delimiter: str, after: str, keys_max: int, read: Read
) -> None:
    query = Query(prefix, delimiter, after, keys_max)
    plain, other = page_of(bucket, query), page_of(bucket, query, read)
    for name in ("contents", "common_prefixes", "is_truncated", "last_entry"):
        assert getattr(other, name) == getattr(plain, name)


@settings(max_examples=EXAMPLES)
@given(buckets, st.integers(1, 20))
def test_the_values_of_hidden_versions_are_not_read(bucket: Bucket, size: int) -> None:
    assume(PLACEHOLDER not in bucket.objects.values())
    page = DelimiterMaster(Query())
    keys = [key for key, _ in bucket.items]

    def values(indexes: Sequence[int]) -> list[ListedObject]:
        assert not [index for index in indexes if "\0" in keys[index]]
        return [bucket.items[index][1] for index in indexes]

    page.offer_many(keys, values)
    assert entries(page) == expected(bucket, "", "")


@settings(max_examples=EXAMPLES)
@given(buckets, delimiters)
def test_skip_to_is_ahead_of_the_key_it_follows(bucket: Bucket, delimiter: str) -> None:
    page = DelimiterMaster(Query(delimiter=delimiter))
    for key, value in bucket.items:
        if page.offer(key, value) is Verdict.FINISHED:
            break
        assert page.skip_to is None or page.skip_to > key


@settings(max_examples=EXAMPLES)
@given(buckets, texts)
def test_the_range_of_a_page_has_every_key_of_the_prefix(bucket: Bucket, prefix: str) -> None:
    page = DelimiterMaster(Query(prefix))
    wanted = [row for row in bucket.items if row[0].startswith(prefix)]
    assert _range_of(page, bucket.items) == wanted


@settings(max_examples=EXAMPLES)
@given(texts, texts)
@example(LAST, "")
@example("a" + LAST, LAST)
@example("\ud7ff", "")
def test_the_successor_is_the_least_string_above_all_that_begin_so(prefix: str, tail: str) -> None:
    above = successor(prefix)
    if above is None:
        assert prefix.strip(LAST) == ""
        return
    assert prefix + tail < above
    above.encode()
    # Nothing lies between: what is smaller than the successor begins with the prefix or is less.
    assert above[:-1] == prefix[: len(above) - 1]
    last = prefix[len(above) - 1]
    assert ord(above[-1]) == (0xE000 if last == "\ud7ff" else ord(last) + 1)
    assert prefix[len(above) :].strip(LAST) == ""


@settings(max_examples=EXAMPLES)
@given(texts, texts)
def test_the_order_of_strings_is_that_of_their_bytes(one: str, other: str) -> None:
    assert (one < other) is (one.encode() < other.encode())


@settings(max_examples=EXAMPLES)
@given(buckets, delimiters)
def test_a_page_of_one_entry_more_than_there_are_is_not_truncated(
    bucket: Bucket, delimiter: str
) -> None:
    wanted = expected(bucket, "", delimiter)
    assume(wanted)
    assert page_of(bucket, Query("", delimiter, "", len(wanted))).is_truncated is False
    assert page_of(bucket, Query("", delimiter, "", len(wanted) + 1)).is_truncated is False


@pytest.mark.parametrize("size", [0, 1, 2, 5])
@pytest.mark.parametrize(
    ("null", "others", "listed"),
    [
        ("2", ["1", "3"], "1"),
        ("2", ["3"], "2"),
        ("2", [], "2"),
        (None, ["1"], None),
    ],
)
def test_behind_a_placeholder_the_null_key_is_where_its_id_belongs(
    null: str | None, others: list[str], listed: str | None, size: int
) -> None:
    rows = {"a": PLACEHOLDER, "a\0": ListedObject(version_id=null), "b/1": SHOWN}
    rows |= {f"a\0{version_id}": ListedObject(version_id=version_id) for version_id in others}
    bucket = Bucket(rows, {})
    page = page_of(bucket, Query(delimiter="/"), in_pieces(size) if size else read_all)
    assert [(name, value.version_id) for name, value in page.contents] == [("a", listed)]
    assert page.common_prefixes == ["b/"]
    page = page_of(bucket, Query(keys_max=1))
    assert ([name for name, _ in page.contents], page.is_truncated) == (["a"], True)


@pytest.mark.parametrize("delimiter", ["", "/"])
def test_trailing_delete_markers_do_not_truncate(delimiter: str) -> None:
    bucket = Bucket({"a": SHOWN, "b": MARKER, "c/d": MARKER}, {})
    page = page_of(bucket, Query("", delimiter, "", 1))
    assert (entries(page), page.is_truncated) == (["a"], False)
