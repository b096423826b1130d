"""What the answers of an S3 service mean."""

from __future__ import annotations

import pytest

from s3front.locations.remote_store import PlaceError, Trouble
from s3front.locations.s3_answers import S3AnswerError, document, error_document


def error_of(code: str, more: str = "") -> bytes:
    return f"<Error><Code>{code}</Code><Message>no</Message>{more}</Error>".encode()


@pytest.mark.parametrize(
    ("status", "body", "trouble"),
    [
        (503, error_of("SlowDown"), Trouble.BUSY),
        (503, b"", Trouble.BUSY),
        (500, error_of("InternalError"), Trouble.BUSY),
        (429, b"<html>", Trouble.BUSY),
        (409, error_of("OperationAborted"), Trouble.BUSY),
        (400, error_of("RequestTimeout"), Trouble.BUSY),
        (502, b"<html>", Trouble.SILENT),
        (504, b"", Trouble.SILENT),
        (403, error_of("AccessDenied"), Trouble.REFUSED),
        (403, b"", Trouble.REFUSED),
        (400, error_of("ExpiredToken"), Trouble.REFUSED),
        (404, error_of("NoSuchBucket"), Trouble.REFUSED),
        (301, error_of("PermanentRedirect"), Trouble.REFUSED),
        (507, b"", Trouble.REFUSED),
        (400, error_of("InvalidURI"), Trouble.UNFIT),
        (404, error_of("NoSuchKey"), Trouble.UNFIT),
        (412, b"", Trouble.UNFIT),
        (400, b"", Trouble.UNFIT),
        (400, b"<html>", Trouble.UNFIT),
        (414, b"<html>", Trouble.UNFIT),
        (405, b"<html>", Trouble.BROKEN),
        (501, error_of("NotImplemented"), Trouble.BROKEN),
    ],
)
def test_what_an_error_means(status: int, body: bytes, trouble: Trouble) -> None:
    error = S3AnswerError(status, error_document(body), "GET object")
    assert error.trouble is trouble
    assert error.reason.startswith(f"GET object: {status}")


def test_absence_is_that_of_an_object() -> None:
    assert S3AnswerError(404, error_document(b""), "").is_absence
    assert S3AnswerError(404, error_document(error_of("NoSuchVersion")), "").is_absence
    assert not S3AnswerError(404, error_document(error_of("NoSuchBucket")), "").is_absence


def test_an_error_in_a_good_answer() -> None:
    with pytest.raises(S3AnswerError) as caught:
        document(b" \n \n" + error_of("InternalError"), "PUT object")
    assert caught.value.trouble is Trouble.BUSY


@pytest.mark.parametrize(
    "body",
    [b"", b"   ", b"<CopyObjectResult><ETag>"],
)
def test_an_answer_that_is_none(body: bytes) -> None:
    with pytest.raises(PlaceError) as caught:
        document(body, "PUT object")
    assert caught.value.trouble is Trouble.SILENT


@pytest.mark.parametrize("body", [b"<x>&a;</x>", b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>"])
def test_an_answer_that_is_no_xml_is_nothing_to_others(body: bytes) -> None:
    with pytest.raises(PlaceError) as caught:
        document(body, "PUT object")
    assert caught.value.trouble is Trouble.UNFIT


def test_a_code_is_read_beside_a_key_that_xml_cannot_have() -> None:
    found = error_document(b"<Error><Code>AccessDenied</Code><Key>a&#x1;b</Key></Error>")
    assert found.code == "AccessDenied"


@pytest.mark.parametrize("more", [b"", b"<br>"])
def test_a_web_page_is_no_answer(more: bytes) -> None:
    with pytest.raises(PlaceError) as caught:
        document(b"<html><body>Log in" + more + b"</body></html>", "PUT object")
    assert caught.value.trouble is Trouble.BROKEN


@pytest.mark.parametrize("named", ["my diary/1", "my%20diary/1", "my%20diary%2F1"])
def test_a_message_that_names_the_object_is_not_repeated(named: str) -> None:
    """As Amazon's of a denied access, of which there is no more than a code then."""
    message = f"not authorized to perform: s3:PutObject on resource: arn:aws:s3:::bucket/{named}"
    body = f"<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>".encode()
    found = error_document(body, "my diary/1")
    assert (found.code, found.message) == ("AccessDenied", "")
    assert error_document(body, "another").message == message
    with pytest.raises(S3AnswerError) as caught:
        document(body, "POST object", "my diary/1")
    assert caught.value.reason == "POST object: 500 AccessDenied"
