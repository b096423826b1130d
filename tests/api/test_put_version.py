"""``x-scal-s3-version-id``, which CloudServer takes while an archived version is restored."""

from __future__ import annotations

from typing import Any

import pytest

from tests.multipart import begin_upload, completion, send_part
from tests.raw_http import Response, call
from tests.servers import Front

pytestmark = pytest.mark.usefixtures("undisturbed")

HEADER = "x-scal-s3-version-id"


@pytest.fixture
def versions(s3: Any, bucket: str) -> dict[str, str]:
    """Values of the header, by what they name."""
    enabled = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=enabled)
    address = {"Bucket": bucket, "Key": "key"}
    gone = s3.put_object(**address, Body=b"gone")["VersionId"]
    s3.delete_object(**address, VersionId=gone)
    marker = s3.delete_object(**address)["VersionId"]
    kept = s3.put_object(**address, Body=b"kept")["VersionId"]
    return {"a version": kept, "the latest": "", "gone": gone, "a marker": marker, "none": "x"}


@pytest.mark.parametrize(
    ("what", "status", "code"),
    [
        ("a version", 403, "InvalidObjectState"),
        ("the latest", 403, "InvalidObjectState"),
        ("gone", 404, "NoSuchVersion"),
        ("a marker", 405, "MethodNotAllowed"),
        ("none", 400, "InvalidArgument"),
    ],
)
def test_it_is_refused(
    front: Front, s3: Any, bucket: str, versions: dict[str, str], what: str, status: int, code: str
) -> None:
    headers, target = {HEADER: versions[what]}, f"/{bucket}/key"

    def send(
        method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Response:
        return call(front, method, target, body, headers)

    answer = send("PUT", target, b"body", headers)
    assert (answer.status, answer.error["Code"]) == (status, code)
    upload_id = begin_upload(send, target)
    assert send_part(send, target, upload_id, 1, b"part").status == 200
    place = f"{target}?uploadId={upload_id}"
    answer = send("POST", place, completion({1: b"part"}), headers)
    assert (answer.status, answer.error["Code"]) == (status, code)
    assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == 1


def test_an_object_that_is_not_there(front: Front, bucket: str) -> None:
    answer = call(front, "PUT", f"/{bucket}/key", b"body", {HEADER: ""})
    assert (answer.status, answer.error["Code"]) == (404, "NoSuchKey")


def test_other_calls_do_not_know_it(front: Front, bucket: str) -> None:
    answer = call(front, "POST", f"/{bucket}/key?uploads", b"", {HEADER: "null"})
    assert (answer.status, answer.error["Code"]) == (501, "NotImplemented")
    assert HEADER in answer.error["Message"]
