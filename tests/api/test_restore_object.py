"""RestoreObject, refused as AWS refuses it; S3 Select and torrents, which are not here."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.support import NO_VERSION, code_of, error_of
from tests.raw_http import call
from tests.servers import Front


@pytest.fixture
def filled(s3: Any, bucket: str) -> str:
    s3.put_object(Bucket=bucket, Key="key", Body=b"body")
    return bucket


RESTORE = "<RestoreRequest><Days>{days}</Days></RestoreRequest>"
TIER = "<GlacierJobParameters><Tier>{tier}</Tier></GlacierJobParameters>"


@pytest.mark.parametrize(
    "body",
    [
        "",
        RESTORE.format(days=1),
        f"<RestoreRequest><Days>7</Days>{TIER.format(tier='Bulk')}</RestoreRequest>",
        "<RestoreRequest><Type>SELECT</Type><Tier>Standard</Tier></RestoreRequest>",
    ],
)
def test_an_object_that_is_not_archived(front: Front, filled: str, body: str) -> None:
    response = call(front, "POST", f"/{filled}/key?restore", body.encode())
    assert response.error | {"RequestId": "", "HostId": ""} == {
        "status": "403",
        "Code": "InvalidObjectState",
        "Message": "Restore is not allowed for the object's current storage class",
        "StorageClass": "STANDARD",
        "Resource": f"/{filled}/key",
        "RequestId": "",
        "HostId": "",
    }


def test_botocore_knows_the_error(s3: Any, filled: str) -> None:
    with pytest.raises(s3.exceptions.InvalidObjectState) as caught:
        s3.restore_object(Bucket=filled, Key="key", RestoreRequest={"Days": 1})
    assert caught.value.response["StorageClass"] == "STANDARD"


@pytest.mark.parametrize(
    "body",
    [
        "no document",
        "<RestoreRequest>",
        "<Other><Days>1</Days></Other>",
        "<RestoreRequest/>",
        "<RestoreRequest><Days>1</Days><Unknown/></RestoreRequest>",
        "<RestoreRequest><Type>OTHER</Type></RestoreRequest>",
        "<RestoreRequest><Days>1</Days><GlacierJobParameters/></RestoreRequest>",
        f"<RestoreRequest><Days>1</Days>{TIER.format(tier='Slow')}</RestoreRequest>",
        RESTORE.format(days="one"),
        RESTORE.format(days="-1"),
        RESTORE.format(days=""),
    ],
)
def test_a_document_that_is_none(front: Front, filled: str, body: str) -> None:
    response = call(front, "POST", f"/{filled}/key?restore", body.encode())
    assert (response.status, response.error["Code"]) == (400, "MalformedXML")


def test_no_days(s3: Any, filled: str) -> None:
    error = error_of(s3.restore_object, Bucket=filled, Key="key", RestoreRequest={"Days": 0})
    assert (error["status"], error["Code"]) == (400, "InvalidArgument")


def test_a_body_that_was_changed_on_its_way(front: Front, filled: str) -> None:
    headers = {"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}
    body = RESTORE.format(days=1).encode()
    response = call(front, "POST", f"/{filled}/key?restore", body, headers)
    assert response.error["Code"] == "BadDigest"


def test_what_is_not_there(s3: Any, other_s3: Any, filled: str) -> None:
    arguments = {"Key": "key", "RestoreRequest": {"Days": 1}}
    absent = code_of(s3.restore_object, Bucket=filled, **{**arguments, "Key": "gone"})
    assert absent == (404, "NoSuchKey")
    other = code_of(s3.restore_object, Bucket=filled, VersionId=NO_VERSION, **arguments)
    assert other == (404, "NoSuchVersion")
    latest = code_of(s3.restore_object, Bucket=filled, VersionId="null", **arguments)
    assert latest == (403, "InvalidObjectState")
    assert code_of(other_s3.restore_object, Bucket=filled, **arguments) == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("method", "query"), [("POST", "select&select-type=2"), ("GET", "torrent")]
)
def test_what_is_given_up(front: Front, filled: str, method: str, query: str) -> None:
    """One rule for all that is not here."""
    response = call(front, method, f"/{filled}/key?{query}")
    assert (response.status, response.error["Code"]) == (501, "NotImplemented")
    assert f"{method} ?{query.partition('&')[0]}" in response.error["Message"]


def test_a_post_to_an_object(front: Front, filled: str) -> None:
    response = call(front, "POST", f"/{filled}/key")
    assert (response.status, response.error["Code"]) == (405, "MethodNotAllowed")
    assert response.error["Method"] == "POST"


def test_botocore_is_told_so(s3: Any, filled: str) -> None:
    refused = (501, "NotImplemented")
    assert code_of(s3.get_object_torrent, Bucket=filled, Key="key") == refused
    select = {
        "Expression": "SELECT * FROM S3Object",
        "ExpressionType": "SQL",
        "InputSerialization": {"CSV": {}},
        "OutputSerialization": {"CSV": {}},
    }
    assert code_of(s3.select_object_content, Bucket=filled, Key="key", **select) == refused
