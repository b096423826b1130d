"""ListObjects and ListObjectsV2, against a listing computed from the definition."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any
from urllib.parse import quote

import pytest

from s3front.port.xml import is_representable
from tests.api.support import (
    CANONICAL_ID,
    ODD_KEYS,
    OTHER_ACCOUNT_ID,
    code_of,
    md5_hex,
    new_name,
    put_all,
)
from tests.raw_http import FOREIGNER, OWNER, Connection, Response, anonymous, call, sign
from tests.servers import Front

pytestmark = pytest.mark.usefixtures("undisturbed")

TREE = (
    "a",
    "a/",
    "a/b",
    "a/b/c",
    "a/b/d",
    "a/c",
    "a//",
    "a//b",
    "a0",
    "ab",
    "b-b",
    "b/b",
    "b|b",
    "ba",
    "c/%/d",
    "c/ /d",
    "c/ü/1",
    "c/ü/2",
    "c/\U0001f600/1",
    "c/\uffff/1",
    "\x01/a",
    "\x01/b",
    "z",
    "\u07ff/1",
    "\ud7ff",
    "\ue000",
    "\U0010ffff",
    "\U0010ffff/a",
)


@dataclass(frozen=True)
class Entry:
    """A line of a listing."""

    name: str
    common: bool = False


def listing(keys: Sequence[str], prefix: str = "", delimiter: str = "") -> list[Entry]:
    """What S3 lists, by its definition (Amazon S3 user guide, "Organizing objects using prefixes"):
    in the order of UTF-8 bytes, keys that share what stands up to the delimiter being one line."""
    entries: dict[Entry, None] = {}
    for key in sorted(keys, key=str.encode):
        if key.startswith(prefix):
            head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            entries[Entry(prefix + head + found, True) if found else Entry(key)] = None
    return [*entries]


@pytest.fixture(scope="module")
def tree(s3: Any) -> str:
    """A bucket with the keys of TREE."""
    name = new_name()
    s3.create_bucket(Bucket=name)
    put_all(s3, name, TREE)
    return name


@pytest.fixture(scope="module")
def odd(s3: Any) -> str:
    """A bucket with the keys of ODD_KEYS."""
    name = new_name()
    s3.create_bucket(Bucket=name)
    put_all(s3, name, ODD_KEYS)
    return name


@pytest.fixture(scope="module")
def many(front: Front) -> str:
    """A bucket with 1,050 keys, ``0000`` to ``1049``."""
    name = new_name()
    assert call(front, "PUT", f"/{name}").status == 200
    empty = {"Content-Length": "0"}
    with Connection(front) as connection:
        for start in range(0, 1050, 50):
            requests = [
                sign(front, "PUT", f"/{name}/{number:04}", headers=empty)
                for number in range(start, start + 50)
            ]
            connection.send(b"".join(map(bytes, requests)))
            assert [connection.receive("PUT").status for _ in requests] == [200] * 50
    return name


def entries_of(page: dict[str, Any]) -> list[Entry]:
    """The lines of a page, keys and common prefixes together in their order."""
    keys = [Entry(entry["Key"]) for entry in page.get("Contents", [])]
    prefixes = [Entry(entry["Prefix"], True) for entry in page.get("CommonPrefixes", [])]
    return sorted(keys + prefixes, key=lambda entry: entry.name.encode())


def pages_v1(s3: Any, **asked: Any) -> Iterator[dict[str, Any]]:
    """Every page, going on as the API reference says: at NextMarker, else at the last key."""
    page = s3.list_objects(**asked)
    yield page
    while page["IsTruncated"]:
        marker = page.get("NextMarker") or page["Contents"][-1]["Key"]
        page = s3.list_objects(**{**asked, "Marker": marker})
        yield page


def pages_v2(s3: Any, **asked: Any) -> Iterator[dict[str, Any]]:
    page = s3.list_objects_v2(**asked)
    yield page
    while page["IsTruncated"]:
        token = page["NextContinuationToken"]
        page = s3.list_objects_v2(**{**asked, "ContinuationToken": token})
        assert page["ContinuationToken"] == token
        yield page


VERSIONS = pytest.mark.parametrize("pages", [pages_v1, pages_v2], ids=["v1", "v2"])


# --- Against the definition ---------------------------------------------------------------------


@VERSIONS
@pytest.mark.parametrize(
    ("prefix", "delimiter"),
    [
        *product(("", "a", "a/", "a/b", "b", "c/", "z/", "\x01", "\U0010ffff"), ("", "/")),
        ("", "b"),
        ("", "//"),
        ("a/b", "/b"),
        ("c/", "ü"),
        ("", "\U0001f600"),
        ("", "\U0010ffff"),
        ("", "absent"),
        ("a/b/c", "/"),
        ("/", "/"),
    ],
)
def test_a_listing_is_as_defined(
    s3: Any, tree: str, pages: Any, prefix: str, delimiter: str
) -> None:
    wanted = listing(TREE, prefix, delimiter)
    for size in (1000, 1, 2, 5):
        asked = {"Bucket": tree, "Prefix": prefix, "Delimiter": delimiter, "MaxKeys": size}
        found = [entries_of(page) for page in pages(s3, **asked)]
        assert [entry for page in found for entry in page] == wanted
        assert all(len(page) == size for page in found[:-1])
        assert 0 < len(found[-1]) <= size or not wanted


@VERSIONS
@pytest.mark.parametrize("size", [1, 2, 3, 7, len(ODD_KEYS) - 1, len(ODD_KEYS)])
def test_pages_of_odd_keys_add_up(s3: Any, odd: str, pages: Any, size: int) -> None:
    found = [entries_of(page) for page in pages(s3, Bucket=odd, MaxKeys=size)]
    assert [entry for page in found for entry in page] == listing(ODD_KEYS)
    assert len(found) == -(-len(ODD_KEYS) // size)


@VERSIONS
@pytest.mark.parametrize(
    "position", ["a", "a/", "a/b/", "a/zzz", "b", "zz", "\U0010ffff", "é", "\0z"]
)
def test_a_listing_goes_on_behind_any_text(s3: Any, tree: str, pages: Any, position: str) -> None:
    """Whether it is a key or not."""
    name = "Marker" if pages is pages_v1 else "StartAfter"
    (page,) = pages(s3, Bucket=tree, **{name: position})
    assert page[name] == position
    later = [key for key in TREE if key.encode() > position.encode()]
    assert entries_of(page) == listing(later)


@VERSIONS
@pytest.mark.parametrize(
    ("position", "delimiter", "first"),
    [
        # A common prefix, and what lies in it, come before what follows the prefix.
        ("a/", "/", "a0"),
        ("a/b/", "/", "a0"),
        ("a/b", "/", "a0"),
        ("a", "/", "a/"),
        # Neither a key nor a common prefix, and not within one.
        ("a.", "/", "a/"),
        ("a//", "//", "a/b"),
        ("a/b/c", "/c", "a/b/d"),
        ("c/ü", "ü", "c/\uffff/1"),
        ("\U0010ffff", "/", "\U0010ffff/"),
        ("\U0010ffff/", "/", None),
        ("\U0010ffff/a", "", None),
    ],
)
def test_a_listing_goes_on_behind_a_common_prefix(
    s3: Any, tree: str, pages: Any, position: str, delimiter: str, first: str | None
) -> None:
    name = "Marker" if pages is pages_v1 else "StartAfter"
    asked = {"Bucket": tree, "Delimiter": delimiter, name: position}
    (page,) = pages(s3, **asked)
    wanted = listing(TREE, "", delimiter)
    names = [entry.name for entry in wanted]
    assert entries_of(page) == ([] if first is None else wanted[names.index(first) :])
    assert page["IsTruncated"] is False
    one_by_one = [entries_of(each) for each in pages(s3, **asked, MaxKeys=1)]
    assert [entry for found in one_by_one for entry in found] == entries_of(page)


@VERSIONS
@pytest.mark.parametrize("position", ["a/", "a/a", "a/b", "a/b/", "a/b/z", "a/z", "b"])
def test_positions_within_a_prefix(s3: Any, tree: str, pages: Any, position: str) -> None:
    """The prefix itself ends with the delimiter."""
    name = "Marker" if pages is pages_v1 else "StartAfter"
    asked = {"Bucket": tree, "Prefix": "a/", "Delimiter": "/", name: position}
    found = [entry for page in pages(s3, **asked, MaxKeys=1) for entry in entries_of(page)]
    assert found == [entry for entry in listing(TREE, "a/", "/") if entry.name > position]


def test_a_token_counts_and_start_after_does_not(s3: Any, tree: str) -> None:
    first = s3.list_objects_v2(Bucket=tree, MaxKeys=1)
    token = first["NextContinuationToken"]
    page = s3.list_objects_v2(Bucket=tree, ContinuationToken=token, StartAfter="z")
    assert entries_of(page) == listing(TREE)[1:]


def test_an_empty_bucket(s3: Any, bucket: str) -> None:
    page = s3.list_objects_v2(Bucket=bucket)
    assert (page["KeyCount"], page["IsTruncated"], page["MaxKeys"]) == (0, False, 1000)
    assert "Contents" not in page
    assert "NextContinuationToken" not in page


# --- How many -----------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["", "list-type=2"])
@pytest.mark.parametrize(
    ("asked", "said", "found"),
    [
        ("", 1000, 1000),
        ("0", 0, 0),
        ("1", 1, 1),
        ("1000", 1000, 1000),
        ("1001", 1000, 1000),
        ("2147483647", 1000, 1000),
        ("007", 7, 7),
    ],
)
def test_max_keys(front: Front, many: str, query: str, asked: str, said: int, found: int) -> None:
    page = listed(call(front, "GET", f"/{many}?{query}&max-keys={asked}"), query)
    assert page["MaxKeys"] == said
    assert [entry["Key"] for entry in page.get("Contents", [])] == [
        f"{number:04}" for number in range(found)
    ]
    assert page["IsTruncated"] == (said > 0)
    if query:
        assert page["KeyCount"] == found


def listed(response: Response, query: str) -> dict[str, Any]:
    """What botocore reads in a listing."""
    assert response.status == 200, response
    return response.parsed("ListObjectsV2" if "list-type" in query else "ListObjects")


@pytest.mark.parametrize("query", ["", "list-type=2"])
@pytest.mark.parametrize("value", ["-1", "abc", "1.5", "1e3", "2147483648", "%201", "9" * 30])
def test_a_max_keys_that_is_none(front: Front, tree: str, query: str, value: str) -> None:
    error = call(front, "GET", f"/{tree}?{query}&max-keys={value}").error
    assert (error["status"], error["Code"]) == ("400", "InvalidArgument")
    assert error["ArgumentName"] == ("maxKeys" if value == "-1" else "max-keys")  # as AWS has it
    assert error["ArgumentValue"] == value.replace("%20", " ")


@VERSIONS
def test_more_than_a_thousand_keys(s3: Any, many: str, pages: Any) -> None:
    first, second = pages(s3, Bucket=many)
    assert (len(entries_of(first)), len(entries_of(second))) == (1000, 50)


# --- What a line says ---------------------------------------------------------------------------


def test_an_entry(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"bytes")
    (entry,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    head = s3.head_object(Bucket=bucket, Key="a")
    assert entry["ETag"] == f'"{md5_hex(b"bytes")}"' == head["ETag"]
    assert entry["Size"] == 5
    assert entry["StorageClass"] == "STANDARD"
    assert entry["LastModified"].replace(microsecond=0) == head["LastModified"]


def test_the_owner_is_said_when_it_is_wanted(s3: Any, tree: str) -> None:
    owner = {"ID": CANONICAL_ID, "DisplayName": "Bart"}
    assert s3.list_objects(Bucket=tree)["Contents"][0]["Owner"] == owner
    assert "Owner" not in s3.list_objects_v2(Bucket=tree)["Contents"][0]
    wanted = s3.list_objects_v2(Bucket=tree, FetchOwner=True)
    assert wanted["Contents"][0]["Owner"] == owner


@pytest.mark.parametrize(
    ("value", "said"), [("true", True), ("True", True), ("false", False), ("", False), ("1", False)]
)
def test_only_true_asks_for_the_owner(front: Front, many: str, value: str, said: bool) -> None:
    xml = call(front, "GET", f"/{many}?list-type=2&max-keys=1&fetch-owner={value}").xml
    assert (xml.find("Contents/Owner") is not None) is said


def test_the_document_of_v1(front: Front, bucket: str) -> None:
    assert call(front, "PUT", f"/{bucket}/a%26b", b"bytes").status == 200
    body = call(front, "GET", f"/{bucket}?delimiter=/&max-keys=5").body.decode()
    row = (
        r"<Contents><Key>a&amp;b</Key>"
        r"<LastModified>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z</LastModified>"
        rf"<ETag>&quot;{md5_hex(b'bytes')}&quot;</ETag>"
        r"<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>"
        r"<Size>5</Size>"
        rf"<Owner><ID>{CANONICAL_ID}</ID><DisplayName>Bart</DisplayName></Owner>"
        r"<StorageClass>STANDARD</StorageClass></Contents>"
    )
    assert re.fullmatch(
        r'<\?xml version="1.0" encoding="UTF-8"\?>\n'
        r'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        rf"<Name>{bucket}</Name><Prefix></Prefix><Marker></Marker><MaxKeys>5</MaxKeys>"
        rf"<Delimiter>/</Delimiter><IsTruncated>false</IsTruncated>{row}</ListBucketResult>",
        body,
    ), body


def test_the_document_of_v2(front: Front, bucket: str) -> None:
    for key in ("a/1", "a/2", "b"):
        assert call(front, "PUT", f"/{bucket}/{key}", headers={"Content-Length": "0"}).status == 200
    query = "list-type=2&delimiter=/&max-keys=1&start-after=Z"
    body = call(front, "GET", f"/{bucket}?{query}").body.decode()
    assert re.fullmatch(
        r'<\?xml version="1.0" encoding="UTF-8"\?>\n'
        r'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        rf"<Name>{bucket}</Name><Prefix></Prefix><StartAfter>Z</StartAfter>"
        r"<NextContinuationToken>[^<]+</NextContinuationToken><KeyCount>1</KeyCount>"
        r"<MaxKeys>1</MaxKeys><Delimiter>/</Delimiter><IsTruncated>true</IsTruncated>"
        r"<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes></ListBucketResult>",
        body,
    ), body


def test_next_marker_comes_with_a_delimiter_only(s3: Any, tree: str) -> None:
    assert "NextMarker" not in s3.list_objects(Bucket=tree, MaxKeys=1)
    assert s3.list_objects(Bucket=tree, MaxKeys=1, Delimiter="/")["NextMarker"] == "\x01/"
    assert "NextMarker" not in s3.list_objects(Bucket=tree, Delimiter="/")


LISTINGS = pytest.mark.parametrize("query", ["", "list-type=2", "versions"])
OPTIONAL = "x-amz-optional-object-attributes"


@LISTINGS
@pytest.mark.parametrize("value", ["RestoreStatus", "", "RestoreStatus, RestoreStatus"])
def test_attributes_that_may_be_asked_for(front: Front, many: str, query: str, value: str) -> None:
    """No object was ever archived, so none has a status of its restoration."""
    response = call(front, "GET", f"/{many}?{query}", headers={OPTIONAL: value})
    assert (response.status, response.xml.find(".//RestoreStatus")) == (200, None)


@LISTINGS
@pytest.mark.parametrize("value", ["ETag", "restorestatus", "RestoreStatus, Owner"])
def test_attributes_that_there_are_not(front: Front, many: str, query: str, value: str) -> None:
    error = call(front, "GET", f"/{many}?{query}", headers={OPTIONAL: value}).error
    assert (error["status"], error["Code"]) == ("400", "InvalidArgument")
    assert (error["ArgumentName"], error["ArgumentValue"]) == (
        OPTIONAL,
        value.rsplit(maxsplit=1)[-1],
    )
    assert error["Message"] == "Invalid attribute name specified."


# --- Encoding -----------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["", "list-type=2&"])
def test_keys_as_they_are(front: Front, odd: str, query: str) -> None:
    """Without encoding, only what XML can carry is readable; all of it is escaped."""
    body = call(front, "GET", f"/{odd}?{query}").body.decode()
    assert "<Key>&lt;a&gt;&amp;&quot;b'&lt;/a&gt;</Key>" in body
    assert "carriage&#xd;return" in body
    assert "control&#x1;&#x1f;&#x7f;" in body
    readable = re.sub(r"&#x(?:1|1f|ffff);", "?", body)
    page = Response(200, call(front, "GET", "/").headers, readable.encode()).parsed("ListObjectsV2")
    found = {entry["Key"] for entry in page["Contents"]}
    assert {key for key in ODD_KEYS if is_representable(key)} <= found


@pytest.mark.parametrize("query", ["", "list-type=2&"])
def test_keys_encoded(front: Front, odd: str, query: str) -> None:
    tree = call(front, "GET", f"/{odd}?{query}encoding-type=url").xml
    assert tree.findtext("EncodingType") == "url"
    found = [node.text for node in tree.iterfind("Contents/Key")]
    assert found == [quote(entry.name, safe="/*") for entry in listing(ODD_KEYS)]


@pytest.mark.parametrize(
    ("version", "member"),
    [
        ("", "Marker"),
        ("", "Delimiter"),
        ("list-type=2&", "Prefix"),
        ("list-type=2&", "StartAfter"),
        ("list-type=2&", "Delimiter"),
    ],
)
def test_what_was_asked_comes_back_encoded(
    front: Front, tree: str, version: str, member: str
) -> None:
    parameter = {"StartAfter": "start-after"}.get(member, member.lower())
    query = f"{version}encoding-type=url&{parameter}=%01%20%C3%BC%2F%2B"
    xml = call(front, "GET", f"/{tree}?{query}").xml
    assert xml.findtext(member) == "%01%20%C3%BC/%2B"


def test_prefixes_and_markers_come_encoded(front: Front, tree: str) -> None:
    query = "encoding-type=url&delimiter=/&prefix=c/&max-keys=1"
    xml = call(front, "GET", f"/{tree}?{query}").xml
    assert xml.findtext("CommonPrefixes/Prefix") == "c/%20/"
    assert xml.findtext("NextMarker") == "c/%20/"


def test_a_plus_in_the_query_is_a_space(front: Front, tree: str) -> None:
    xml = call(front, "GET", f"/{tree}?prefix=c/+/").xml
    assert xml.findtext("Contents/Key") == "c/ /d"
    assert xml.findtext("Prefix") == "c/ /"


@pytest.mark.parametrize(
    ("query", "name", "value"),
    [
        ("encoding-type=base64", "encoding-type", "base64"),
        ("list-type=2&encoding-type=URL", "encoding-type", "URL"),
        ("list-type=1", "list-type", "1"),
        ("list-type=", "list-type", ""),
        ("list-type=3", "list-type", "3"),
    ],
)
def test_a_parameter_that_is_refused(
    front: Front, tree: str, query: str, name: str, value: str
) -> None:
    error = call(front, "GET", f"/{tree}?{query}").error
    assert (error["status"], error["Code"]) == ("400", "InvalidArgument")
    assert (error["ArgumentName"], error["ArgumentValue"]) == (name, value)


@pytest.mark.parametrize("token", ["!", "abc", "%80", "gIA="])
def test_a_token_that_is_none(front: Front, tree: str, token: str) -> None:
    response = call(front, "GET", f"/{tree}?list-type=2&continuation-token={token}")
    assert response.status == 400
    assert response.error["Code"] in ("InvalidArgument", "InvalidURI")


def test_an_empty_token_is_the_first_page(front: Front, many: str) -> None:
    page = listed(call(front, "GET", f"/{many}?list-type=2&continuation-token="), "list-type")
    assert (page["ContinuationToken"], page["Contents"][0]["Key"]) == ("", "0000")


# --- Who, and where -----------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["", "?list-type=2"])
def test_others_see_nothing(front: Front, tree: str, query: str) -> None:
    wrong_owner = {"x-amz-expected-bucket-owner": OTHER_ACCOUNT_ID}
    for response in (
        call(front, "GET", f"/{tree}{query}", key=FOREIGNER),
        anonymous(front, "GET", f"/{tree}{query}"),
        call(front, "GET", f"/{tree}{query}", headers=wrong_owner, key=OWNER),
    ):
        assert (response.status, response.error["Code"]) == (403, "AccessDenied")


def test_a_bucket_that_does_not_exist(s3: Any) -> None:
    assert code_of(s3.list_objects, Bucket=new_name()) == (404, "NoSuchBucket")
    assert code_of(s3.list_objects_v2, Bucket=new_name()) == (404, "NoSuchBucket")


def test_what_was_written_is_listed_at_once(s3: Any, bucket: str) -> None:
    for number in range(20):
        s3.put_object(Bucket=bucket, Key=f"{number:02}")
        page = s3.list_objects_v2(Bucket=bucket)
        assert page["KeyCount"] == number + 1
    assert isinstance(page["Contents"][0]["LastModified"], datetime)


def test_buckets_do_not_mix(s3: Any, bucket: str) -> None:
    """Not even when the name of one begins with that of the other."""
    longer = f"{bucket}-more"
    s3.create_bucket(Bucket=longer)
    put_all(s3, longer, ["theirs"])
    put_all(s3, bucket, ["ours"])
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["ours"]
