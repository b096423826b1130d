"""ListBuckets."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.support import CANONICAL_ID, code_of, error_of, new_name
from tests.clients_boto3 import s3_client
from tests.raw_http import anonymous, call
from tests.servers import Front

pytestmark = pytest.mark.usefixtures("undisturbed")


@pytest.fixture(scope="module")
def prefix(s3: Any) -> str:
    """What the names of five buckets begin with, and no others."""
    start = new_name()
    for end in ("-b", ".a", "-a", "x", "-b2"):
        s3.create_bucket(Bucket=start + end)
    return start


def names_of(response: Any) -> list[str]:
    return [entry["Name"] for entry in response["Buckets"]]


def test_buckets_come_in_the_order_of_their_names(s3: Any, prefix: str) -> None:
    wanted = [prefix + end for end in ("-a", "-b", "-b2", ".a", "x")]
    assert names_of(s3.list_buckets(Prefix=prefix)) == wanted
    everything = names_of(s3.list_buckets())
    assert everything == sorted(everything)
    assert set(wanted) <= set(everything)


def test_a_bucket_has_a_name_and_a_date(s3: Any, prefix: str) -> None:
    (entry,) = s3.list_buckets(Prefix=prefix + "x")["Buckets"]
    assert entry["Name"] == prefix + "x"
    assert timedelta(0) <= datetime.now(UTC) - entry["CreationDate"] < timedelta(minutes=5)


def test_the_owner(s3: Any) -> None:
    assert s3.list_buckets()["Owner"] == {"DisplayName": "Bart", "ID": CANONICAL_ID}


def test_others_see_their_own(s3: Any, other_s3: Any, prefix: str) -> None:
    theirs = f"{prefix}-theirs"
    other_s3.create_bucket(Bucket=theirs)
    assert names_of(other_s3.list_buckets(Prefix=prefix)) == [theirs]
    assert theirs not in names_of(s3.list_buckets())
    assert other_s3.list_buckets()["Owner"]["DisplayName"] == "Lisa"


def test_anonymous_sees_none(front: Front) -> None:
    error = anonymous(front, "GET", "/").error
    assert (error["status"], error["Code"]) == ("403", "AccessDenied")


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6])
def test_pages_add_up(s3: Any, prefix: str, size: int) -> None:
    paginator = s3.get_paginator("list_buckets")
    pages = paginator.paginate(Prefix=prefix, PaginationConfig={"PageSize": size})
    found = [names_of(page) for page in pages]
    assert [name for page in found for name in page] == names_of(s3.list_buckets(Prefix=prefix))
    assert all(len(page) == size for page in found[:-1])
    assert 0 < len(found[-1]) <= size


def test_a_prefix_is_echoed(s3: Any, prefix: str) -> None:
    assert s3.list_buckets(Prefix=prefix)["Prefix"] == prefix
    assert "Prefix" not in s3.list_buckets()


def test_a_prefix_that_nothing_has(s3: Any) -> None:
    assert names_of(s3.list_buckets(Prefix="no-such-")) == []


@pytest.mark.parametrize("value", ["0", "-1", "abc", "99999999999"])
def test_a_page_size_that_is_none(front: Front, value: str) -> None:
    error = call(front, "GET", f"/?max-buckets={value}").error
    assert (error["status"], error["Code"]) == ("400", "InvalidArgument")
    assert (error["ArgumentName"], error["ArgumentValue"]) == ("max-buckets", value)


@pytest.mark.parametrize("token", ["%21", "a", "%ff%fe", "gr%C3%BCn", "gIA="])
def test_a_token_that_is_none(front: Front, token: str) -> None:
    error = call(front, "GET", f"/?continuation-token={token}").error
    assert error["status"] == "400"
    assert error["Code"] in ("InvalidArgument", "InvalidURI")


def test_the_document(front: Front, prefix: str) -> None:
    response = call(front, "GET", f"/?prefix={prefix}x")
    assert response.headers["Content-Type"] == "application/xml"
    assert re.fullmatch(
        r'<\?xml version="1.0" encoding="UTF-8"\?>\n'
        r'<ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        rf"<Owner><ID>{CANONICAL_ID}</ID><DisplayName>Bart</DisplayName></Owner>"
        rf"<Buckets><Bucket><Name>{prefix}x</Name>"
        r"<CreationDate>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z</CreationDate></Bucket></Buckets>"
        rf"<Prefix>{prefix}x</Prefix></ListAllMyBucketsResult>",
        response.body.decode(),
    )


def test_a_deleted_bucket_is_not_listed(s3: Any, prefix: str) -> None:
    name = f"{prefix}-short-lived"
    s3.create_bucket(Bucket=name)
    s3.delete_bucket(Bucket=name)
    assert name not in names_of(s3.list_buckets())


def test_an_unknown_key_sees_nothing(front: Front) -> None:
    client = s3_client(front, "unknown", "secret")
    error = error_of(client.list_buckets)
    assert (error["status"], error["Code"]) == (403, "InvalidAccessKeyId")
    assert error["AWSAccessKeyId"] == "unknown"
    assert code_of(client.head_bucket, Bucket=new_name()) == (403, "403")
