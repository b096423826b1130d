"""Text that becomes headers, on each of its ways in and out: header lines, presigned queries,
forms, copies, uploads, and records of other front-ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from s3front.auth.sigv4 import RequestHead, presign
from tests.api.support import keys_in
from tests.faults.stores import call_metadata, stored_records
from tests.forms import form_body, form_request, signed_v4
from tests.raw_http import OWNER, Response, anonymous, call, exchange, host_of
from tests.servers import Cluster, Front

pytestmark = pytest.mark.usefixtures("undisturbed")

WORD = "=?UTF-8?Q?gr=C3=BCn?="


def presigned(front: Front, method: str, path: str, **query: str) -> str:
    """The target of a presigned request whose query carries headers."""
    pairs = "&".join(
        f"{quote(name.replace('_', '-'), safe='')}={quote(value, safe='')}"
        for name, value in query.items()
    )
    head = RequestHead(method, path, pairs, {"host": host_of(front)})
    return f"{path}?{presign(head, OWNER, datetime.now(UTC), 60)}"


def put_presigned(front: Front, bucket: str, **query: str) -> Response:
    return anonymous(front, "PUT", presigned(front, "PUT", f"/{bucket}/key", **query), b"body")


# --- In a presigned query -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-meta-a", "b\r\nSet-Cookie: c"),
        ("x-amz-meta-a", "b\n"),
        ("x-amz-meta-a", "\0"),
        ("x-amz-meta-a: b\r\nSet-Cookie", "c"),
        ("x-amz-meta-a:b", "c"),
        ("x-amz-meta-a b", "c"),
        ("x-amz-meta-ü", "c"),
        ("x-amz-website-redirect-location", "/a\nb"),
        ("x-amz-storage-class", "STANDARD\n"),
        ("X-Amz-Tagging", "a=b\r"),
    ],
)
def test_what_no_header_could_be(front: Front, s3: Any, bucket: str, name: str, value: str) -> None:
    error = put_presigned(front, bucket, **{name: value}).error
    assert (error["status"], error["Code"]) == ("400", "InvalidArgument")
    assert keys_in(s3, bucket) == []


def test_text_of_a_presigned_query(front: Front, bucket: str) -> None:
    query = {
        "x-amz-meta-a": "grün",
        "x-amz-meta-b": WORD,
        "x-amz-website-redirect-location": "/é—x",
    }
    assert put_presigned(front, bucket, **query).status == 200
    headers = call(front, "GET", f"/{bucket}/key").headers
    assert (headers["x-amz-meta-a"], headers["x-amz-meta-b"]) == (WORD, WORD)
    assert headers["x-amz-website-redirect-location"] == "/\udce9 x"


# --- In a form ----------------------------------------------------------------------------------


def test_metadata_of_a_form_may_have_any_text(front: Front, bucket: str) -> None:
    """As with AWS, also where no header could have it; nothing is decoded."""
    fields = {
        "x-amz-meta-a": "grün",
        "x-amz-meta-b": "=?UTF-8?Q?plain?=",
        "x-amz-meta-c": "\x00\x01\x02\x03\x04",
        "x-amz-meta-d": "b\r\nSet-Cookie: c",
        "Cache-Control": "—é",
    }
    signed = signed_v4({"key": "a", **fields}, bucket)
    request = form_request(host_of(front), f"/{bucket}", form_body(signed, b"file"))
    assert exchange(front, request).status == 204
    headers = call(front, "HEAD", f"/{bucket}/a").headers
    assert headers["x-amz-meta-a"] == WORD
    assert headers["x-amz-meta-b"] == "=?UTF-8?Q?plain?="
    assert headers["x-amz-meta-c"] == "=?UTF-8?B?AAECAwQ=?="
    assert headers["x-amz-meta-d"] == "=?UTF-8?Q?b=0D=0ASet-Cookie:_c?="
    assert headers["Cache-Control"] == "\udce9"  # a blank before it
    assert "Set-Cookie" not in headers


# --- In records of others, copies and uploads ---------------------------------------------------


@pytest.fixture
def foreign(front: Front, shared_cluster: Cluster, bucket: str) -> str:
    """An object whose record another front-end stored, with what no header can have."""
    assert call(front, "PUT", f"/{bucket}/key", b"body").status == 200
    record = stored_records(shared_cluster, [bucket])[bucket]["key"]
    record |= {
        "x-amz-meta-a": "b\r\nSet-Cookie: c",
        "x-amz-meta-b:c": "1",
        "x-amz-meta-d e": "1",
        "x-amz-meta-f": "gr\xc3\xbcn",
        "x-amz-meta-g": "日本",
        "cache-control": "no-store\n",
        "content-type": "a\0b",
        "x-amz-website-redirect-location": "/\r",
    }
    call_metadata(shared_cluster, "put", ["key", json.dumps(record), {}], [bucket])
    return f"/{bucket}/key"


def shown(response: Response) -> dict[str, str]:
    names = ("cache-control", "content-type", "set-cookie", "x-amz-missing-meta")
    return {
        name.lower(): value
        for name, value in response.headers.items()
        if name.lower() in names or name.lower().startswith("x-amz-meta-")
    }


SHOWN = {
    "x-amz-meta-a": "=?UTF-8?Q?b=0D=0ASet-Cookie:_c?=",
    "x-amz-meta-f": WORD,
    "x-amz-meta-g": "=?UTF-8?B?5pel5pys?=",
    "cache-control": "no-store",
    "content-type": "a b",
}


def test_a_record_of_another_front_end_can_be_read(front: Front, foreign: str) -> None:
    for method in ("GET", "HEAD"):
        response = call(front, method, foreign)
        assert response.status == 200
        assert shown(response) == {**SHOWN, "x-amz-missing-meta": "2"}
        assert response.headers["x-amz-website-redirect-location"] == "/"


def test_its_copy_shows_the_same(
    front: Front, shared_cluster: Cluster, bucket: str, foreign: str
) -> None:
    assert call(front, "PUT", f"/{bucket}/c", headers={"x-amz-copy-source": foreign}).status == 200
    assert shown(call(front, "HEAD", f"/{bucket}/c")) == SHOWN
    record = json.dumps(stored_records(shared_cluster, [bucket])[bucket]["c"])
    assert not any(escape in record for escape in ("\\n", "\\r", "\\u0000"))


def test_metadata_of_an_upload_and_of_its_object(front: Front, bucket: str) -> None:
    headers = {"x-amz-meta-a": WORD, "Content-Disposition": "ü"}
    begun = call(front, "POST", f"/{bucket}/m?uploads", headers=headers).xml
    part = f"/{bucket}/m?uploadId={begun.findtext('UploadId')}"
    etag = call(front, "PUT", f"{part}&partNumber=1", b"part").headers["ETag"]
    document = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{document}</CompleteMultipartUpload>".encode()
    assert call(front, "POST", part, body).status == 200
    found = call(front, "HEAD", f"/{bucket}/m").headers
    assert (found["x-amz-meta-a"], found["Content-Disposition"]) == (WORD, "ü")


def test_headers_that_a_read_replaces(front: Front, bucket: str) -> None:
    call(front, "PUT", f"/{bucket}/key", b"body")
    refused = call(front, "GET", f"/{bucket}/key?response-cache-control=%E2%80%94").error
    assert (refused["status"], refused["ArgumentName"]) == ("400", "response-cache-control")
    found = call(front, "GET", f"/{bucket}/key?response-cache-control=%C3%A9&response-expires=")
    assert (found.headers["Cache-Control"], found.headers.get("Expires")) == ("\udce9", None)
