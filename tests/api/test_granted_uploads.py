"""Uploads in a bucket that everybody may write to: each is for whoever began it, and for the owner
of the bucket."""

from __future__ import annotations

import pytest

from s3front.auth.sigv4 import AccessKey
from tests.api.support import new_name
from tests.multipart import begin_upload, send_part
from tests.raw_http import FOREIGNER, OWNER, Response, anonymous, call
from tests.servers import Front


@pytest.fixture
def open_bucket(front: Front) -> str:
    name = new_name()
    headers = {"x-amz-object-ownership": "ObjectWriter", "x-amz-acl": "public-read-write"}
    assert call(front, "PUT", f"/{name}", b"", headers).status == 200
    return name


def begun(front: Front, bucket: str, key: AccessKey | None) -> str:
    """The ID of an upload with one part; without ``key`` nobody has signed it."""

    def send(
        method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Response:
        if key is None:
            return anonymous(front, method, target, body, headers)
        return call(front, method, target, body, headers, key=key)

    upload_id = begin_upload(send, f"/{bucket}/key")
    assert send_part(send, f"/{bucket}/key", upload_id, 1, b"part").status == 200
    return upload_id


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_others_neither_see_its_parts_nor_end_it(
    front: Front, open_bucket: str, method: str
) -> None:
    target = f"/{open_bucket}/key?uploadId={begun(front, open_bucket, OWNER)}"
    assert call(front, method, target, key=FOREIGNER).status == 403
    assert anonymous(front, method, target).status == 403
    assert call(front, method, target).status in (200, 204)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("who", ["who began it", "the owner of the bucket"])
def test_who_began_it_and_the_owner_of_the_bucket_do(
    front: Front, open_bucket: str, method: str, who: str
) -> None:
    target = f"/{open_bucket}/key?uploadId={begun(front, open_bucket, FOREIGNER)}"
    signer = FOREIGNER if who == "who began it" else OWNER
    assert call(front, method, target, key=signer).status in (200, 204)


def test_what_nobody_has_signed_is_nobodys(front: Front, open_bucket: str) -> None:
    target = f"/{open_bucket}/key?uploadId={begun(front, open_bucket, None)}"
    assert anonymous(front, "DELETE", target).status == 403
    assert call(front, "DELETE", target).status == 204
