"""The listings of multipart uploads and of plain ranges against ``sorted()``, with odd keys."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dmd.metadata.basic_listing import Basic, BasicQuery
from shared.listing.delimiter_uploads import Uploads, UploadsQuery
from shared.listing.page import Verdict
from shared.records.upload import ListedUpload, closing_key, overview_key, part_key
from tests.property.feeding import feed

EXAMPLES = 3_000 if os.environ.get("TWOFOLD_SOAK") == "1" else 150
LAST = "\U0010ffff"

# What sorts below and above the splitter, and parts of it, besides what hurts all listings.
ALPHABET = ["a", "b", "/", "!", "-", ".", "|", "..", "..|", "..|..", "\x01", "\ue000", LAST]
texts = st.lists(st.sampled_from(ALPHABET), max_size=5).map("".join)
names = texts.filter(bool) | st.sampled_from(["a" * 1024, "a!" * 512, LAST * 256, "a-b", "a"])
delimiters = st.sampled_from(["", "/", "//", "a", "ab", "..", ".", "|", "!", "\x01", LAST, "..|.."])
sizes = st.integers(0, 6)

Upload = tuple[str, str, str]
"""Key, time and ID."""

uploads = st.lists(
    st.tuples(names, st.sampled_from("123"), st.sampled_from("456789")),
    max_size=12,
    unique_by=lambda upload: (upload[0], upload[2]),
)


Row = tuple[str, ListedUpload]


def store(bucket: Sequence[Upload]) -> list[Row]:
    """What the sub-level of the uploads holds, in its order."""
    rows = {
        overview_key(key, upload_id): ListedUpload(initiated=time)
        for key, time, upload_id in bucket
    }
    rows[closing_key("4")] = rows[part_key("5", 1)] = rows[part_key("z", 1)] = ListedUpload()
    return sorted(rows.items(), key=lambda row: row[0])


def page_of(bucket: Sequence[Upload], query: UploadsQuery, at_once: int) -> Uploads:
    """A page that is given its rows one by one (0), or so many at once."""
    page = Uploads(query)
    feed(page, store(bucket), at_once=at_once)
    return page


Entry = tuple[str, str]
"""A key and an upload ID, or a common prefix and nothing."""


def entries_of(page: Uploads) -> list[Entry]:
    listed = [(key, upload_id) for key, upload_id, _ in page.uploads]
    # Stable: the uploads of a key stay in the order in which they were listed.
    return sorted([*listed, *((common, "") for common in page.common_prefixes)], key=lambda e: e[0])


def expected(bucket: Sequence[Upload], prefix: str, delimiter: str) -> list[Entry]:
    """All entries, by the definition."""
    entries: dict[Entry, None] = {}
    for key, _, upload_id in sorted(bucket):
        if key.startswith(prefix):
            index = key.find(delimiter, len(prefix)) if delimiter else -1
            common = key[: index + len(delimiter)]
            entries[(key, upload_id) if index < 0 else (common, "")] = None
    return sorted(entries, key=lambda entry: entry[0])


@settings(max_examples=EXAMPLES)
@given(uploads, texts, delimiters, st.integers(0, 9))
@example([("a", "1", "4"), ("a!", "1", "5"), ("a..|..b", "1", "6")], "", "", 0)
@example([("a", "1", "4"), ("a..|x", "1", "5"), ("a..|y", "1", "6")], "", "|", 0)
def test_paging_covers_each_upload_exactly_once_at_every_page_size(
    bucket: list[Upload], prefix: str, delimiter: str, at_once: int
) -> None:
    wanted = expected(bucket, prefix, delimiter)
    for size in range(1, len(wanted) + 2):
        seen: list[Entry] = []
        key_marker = id_marker = ""
        truncated = True
        while truncated:
            query = UploadsQuery(prefix, delimiter, key_marker, id_marker, size)
            page = page_of(bucket, query, at_once)
            found = entries_of(page)
            seen += found
            key_marker, id_marker = page.next_key_marker, page.next_upload_id_marker
            truncated = page.is_truncated
            assert len(found) == size if truncated else len(found) <= size
            assert not found or (key_marker, id_marker) == found[-1]
        assert seen == wanted


@settings(max_examples=EXAMPLES)
@given(uploads, texts, names, sizes)
def test_a_page_behind_any_key_has_what_follows_it(
    bucket: list[Upload], prefix: str, marker: str, size: int
) -> None:
    page = page_of(bucket, UploadsQuery(prefix, "", marker, "", size), 0)
    behind = [entry for entry in expected(bucket, prefix, "") if entry[0] > marker]
    assert entries_of(page) == behind[:size]
    assert page.is_truncated is (0 < size < len(behind))


@settings(max_examples=EXAMPLES)
@given(uploads)
def test_behind_an_upload_that_is_gone_comes_the_next_key(bucket: list[Upload]) -> None:
    page = page_of(bucket, UploadsQuery(key_marker="a", upload_id_marker="gone"), 0)
    assert entries_of(page) == [entry for entry in expected(bucket, "", "") if entry[0] > "a"]


def test_a_page_ends_without_reading_all_uploads() -> None:
    page = Uploads(UploadsQuery(uploads_max=3))
    read = 0
    for number in range(1000):
        read += 1
        key = overview_key(f"folder/{number:04}", "id")
        if page.offer(key, ListedUpload(initiated="1")) is Verdict.FINISHED:
            break
    assert (len(page.uploads), page.is_truncated) == (3, True)
    assert read <= 6


def test_a_page_passes_a_common_prefix_in_one_go() -> None:
    page = Uploads(UploadsQuery(delimiter="/"))
    page.offer(overview_key("a/b", "id"), ListedUpload())
    assert page.skip_to == "overview..|..a0"


records = st.sampled_from(
    ["", "{", "[]", "{}", '{"customAttributes":{}}', '{"customAttributes":{"a":1,"bc":null}}']
)


@settings(max_examples=EXAMPLES)
@given(
    st.dictionaries(names, records, max_size=12),
    texts,
    st.none() | texts,
    sizes,
    st.none() | st.sampled_from(["a", "b"]),
    st.none() | st.sampled_from(["", "b", "bc", "d"]),
)
def test_a_plain_range_has_what_is_in_it(
    stored: dict[str, str],
    first: str,
    end: str | None,
    size: int,
    attribute: str | None,
    prefix: str | None,
) -> None:
    def passes(record: str) -> bool:
        attributes = ["a", "bc"] if "bc" in record else []
        if attribute is None and prefix is None:
            return True
        named = attribute is not None and attribute in attributes
        return named or (prefix is not None and any(a.startswith(prefix) for a in attributes))

    page = Basic(BasicQuery(first, end, size, attribute, prefix))
    wanted = [
        row for row in sorted(stored.items()) if row[0] >= first and (end is None or row[0] < end)
    ]
    assert (page.first_key, page.end_key) == (first, end)
    for key, record in wanted:
        if page.offer(key, record) is Verdict.FINISHED:
            break
    assert page.entries == [row for row in wanted if passes(row[1])][:size]
