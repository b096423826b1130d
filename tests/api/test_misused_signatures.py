"""A signature is good for one request: whatever form the payload has, wherever it stands.

Every way to sign an upload meets every way to misuse it. Nothing misused is served; what is stored
stays as it was, and the request as it was signed is served after all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
import requests

from s3front.auth import sigv2
from s3front.auth.sigv4 import PayloadForm, RequestHead, presign
from tests.api.support import new_name
from tests.clients_boto3 import s3_client
from tests.raw_http import (
    FOREIGNER,
    OWNER,
    Wire,
    call,
    exchange,
    host_of,
    sign,
    sign_chunked,
    wire,
)
from tests.servers import Front

pytestmark = pytest.mark.usefixtures("undisturbed")

BODY = b"uploaded" * 10_000
STORED = b"what was there before"
Sign = Callable[[Front, str], Wire]


def _v4_header(form: PayloadForm) -> Sign:
    def signed(front: Front, path: str) -> Wire:
        if form is PayloadForm.HASHED:
            return sign(front, "PUT", path, BODY)
        if form is PayloadForm.UNSIGNED:
            return sign(front, "PUT", path, BODY, payload=form.value)
        return sign_chunked(front, path, BODY, form)

    return signed


def _v4_presigned(front: Front, path: str) -> Wire:
    head = RequestHead("PUT", path, "", {"host": host_of(front)})
    target = f"{path}?{presign(head, OWNER, datetime.now(UTC), 60)}"
    return wire("PUT", target, {"Host": host_of(front), "Content-Length": str(len(BODY))}, BODY)


def _v2_header(front: Front, path: str) -> Wire:
    sent = {
        "Host": host_of(front),
        "Date": format_datetime(datetime.now(UTC), usegmt=True),
        "Content-Length": str(len(BODY)),
    }
    head = sigv2.RequestHead("PUT", path, "", sigv2.trimmed_headers(sent.items()))
    sent["Authorization"] = sigv2.authorization(head, OWNER.access_key, OWNER.secret)
    return wire("PUT", path, sent, BODY)


def _v2_presigned(front: Front, path: str) -> Wire:
    _, bucket, key = path.split("/")
    asked = {"Bucket": bucket, "Key": key}
    url = s3_client(front, signature_version="s3").generate_presigned_url("put_object", asked, 60)
    target = requests.Request("PUT", url).prepare().path_url
    return wire("PUT", target, {"Host": host_of(front), "Content-Length": str(len(BODY))}, BODY)


WAYS: dict[str, Sign] = {
    **{f"v4-{form.name}": _v4_header(form) for form in PayloadForm},
    "v4-presigned": _v4_presigned,
    "v2-header": _v2_header,
    "v2-presigned": _v2_presigned,
}

# What is changed in the head of the request, once.
MISUSES: dict[str, tuple[str, str | Callable[[re.Match[str]], str]]] = {
    "another key": (r"/key", "/kez"),
    "another bucket": (r"/(test-\w+)", r"/\1-2"),
    "another method": (r"^PUT", "DELETE"),
    "a copy": (r"\r\n", r"\r\nx-amz-copy-source: /bucket/key\r\n"),
    "a sub-resource": (r"^(PUT [^? ]*)(\??)", r"\1?tagging&"),
    "metadata": (r"\r\n", r"\r\nx-amz-meta-a: b\r\n"),
    "another account": (OWNER.access_key, FOREIGNER.access_key),
    "another signature": (
        r"(Signature=|AWS \w+:)(.)",
        lambda match: match[1] + ("b" if match[2] == "a" else "a"),
    ),
    "no signature": (r"[Aa]uthorization: [^\r]*\r\n|[&?](X-Amz-)?Signature=[^& ]*", ""),
}


def misused(request: Wire, misuse: str) -> Wire:
    pattern, replacement = MISUSES[misuse]
    head = request.head.decode()
    head, count = re.subn(pattern, replacement, head, count=1)
    assert count == 1, head
    return Wire(head.partition(" ")[0], head.encode(), request.body)


@pytest.fixture(scope="module")
def buckets(front: Front) -> str:
    """A bucket, and another one of the same owner whose name ends in ``-2``."""
    name = new_name()
    for bucket in (name, f"{name}-2"):
        assert call(front, "PUT", f"/{bucket}").status == 200
        for key in ("key", "kez"):
            assert call(front, "PUT", f"/{bucket}/{key}", STORED).status == 200
    return name


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("misuse", MISUSES)
def test_a_signature_is_good_for_one_request(
    front: Front, buckets: str, way: str, misuse: str
) -> None:
    request = misused(WAYS[way](front, f"/{buckets}/key"), misuse)
    response = exchange(front, request)
    assert response.status in (400, 403), response.body
    for bucket in (buckets, f"{buckets}-2"):
        for key in ("key", "kez"):
            assert call(front, "GET", f"/{bucket}/{key}").body == STORED
        assert call(front, "GET", f"/{bucket}/key?tagging").xml.find("TagSet/Tag") is None


@pytest.mark.parametrize("way", WAYS)
def test_as_it_was_signed_it_is_served(front: Front, bucket: str, way: str) -> None:
    assert exchange(front, WAYS[way](front, f"/{bucket}/key")).status == 200
    assert call(front, "GET", f"/{bucket}/key").body == BODY


@pytest.mark.parametrize("way", WAYS)
def test_a_right_signature_does_not_open_the_bucket_of_another_account(
    front: Front, way: str
) -> None:
    """The signature is right; the bucket is somebody else's."""
    name = new_name()
    assert call(front, "PUT", f"/{name}", key=FOREIGNER).status == 200
    response = exchange(front, WAYS[way](front, f"/{name}/key"))
    assert response.error["Code"] == "AccessDenied"
    assert call(front, "HEAD", f"/{name}/key", key=FOREIGNER).status == 404
