"""Answers and errors of calls, as XML."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from s3front.query_api.errors import QueryError, call_error_reply
from s3front.query_api.rendering import Entries, call_reply
from s3front.s3_errors import S3Error

SPACE = "https://iam.amazonaws.com/doc/2010-05-08/"


def test_every_kind_of_value() -> None:
    result = {
        "Text": "a<b",
        "None": None,
        "Yes": True,
        "Number": 3,
        "Time": datetime(2026, 1, 2, 3, 4, 5, 999, UTC),
        "One": {"Inner": "x"},
        "List": ["a", "b"],
        "Structures": [{"Key": "k"}],
        "Map": Entries(b=2, a=1),
    }
    reply = call_reply("GetThing", result, SPACE, "ID")
    assert reply.status == 200
    assert isinstance(reply.body, bytes)
    assert reply.body.decode() == (
        f'<GetThingResponse xmlns="{SPACE}"><GetThingResult><Text>a&lt;b</Text><Yes>true</Yes>'
        "<Number>3</Number><Time>2026-01-02T03:04:05Z</Time><One><Inner>x</Inner></One>"
        "<List><member>a</member><member>b</member></List>"
        "<Structures><member><Key>k</Key></member></Structures>"
        "<Map><entry><key>a</key><value>1</value></entry><entry><key>b</key><value>2</value>"
        "</entry></Map></GetThingResult><ResponseMetadata><RequestId>ID</RequestId>"
        "</ResponseMetadata></GetThingResponse>\n"
    )


def test_no_result_has_its_request_id_alone() -> None:
    reply = call_reply("DeleteUser", None, SPACE, "ID")
    assert (
        reply.body
        == (
            f'<DeleteUserResponse xmlns="{SPACE}"><ResponseMetadata><RequestId>ID</RequestId>'
            "</ResponseMetadata></DeleteUserResponse>\n"
        ).encode()
    )
    assert reply.headers["x-amzn-RequestId"] == "ID"


@pytest.mark.parametrize(
    ("error", "status", "code", "kind"),
    [
        (QueryError("NoSuchEntity", "none"), 404, "NoSuchEntity", "Sender"),
        (QueryError("Unheard", "of"), 400, "Unheard", "Sender"),
        (S3Error("InvalidAccessKeyId"), 403, "InvalidClientTokenId", "Sender"),
        (S3Error("InvalidToken"), 403, "InvalidClientTokenId", "Sender"),
        (S3Error("ExpiredToken"), 403, "ExpiredToken", "Sender"),
        (S3Error("SlowDown"), 503, "ServiceUnavailable", "Receiver"),
        (S3Error("InternalError"), 500, "InternalFailure", "Receiver"),
        (S3Error("RequestTimeout"), 400, "RequestTimeout", "Sender"),
    ],
)
def test_errors(error: S3Error, status: int, code: str, kind: str) -> None:
    reply = call_error_reply(error, SPACE, "ID")
    assert reply.status == status
    assert isinstance(reply.body, bytes)
    text = reply.body.decode()
    assert text.startswith(f'<ErrorResponse xmlns="{SPACE}"><Error><Type>{kind}</Type>')
    assert f"<Code>{code}</Code>" in text
    assert text.endswith("</Error><RequestId>ID</RequestId></ErrorResponse>\n")
