"""Pages of other origins, and a bucket with the CORS rules that CloudServer has stored.

Which requests are allowed, tests/unit/s3front/configurations/test_cors.py says.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.records.names import METASTORE
from tests.api.support import new_name
from tests.faults.stores import call_metadata, stored_records
from tests.raw_http import Response, anonymous, call
from tests.servers import Cluster, Front

PAGE = {"Origin": "https://www.example.com"}
RULES = [
    {
        "allowedMethods": ["GET", "HEAD"],
        "allowedOrigins": ["https://*.example.com"],
        "exposeHeaders": ["ETag"],
    }
]
NAMES = (
    "Access-Control-Allow-Origin",
    "Access-Control-Allow-Methods",
    "Access-Control-Expose-Headers",
    "Access-Control-Allow-Credentials",
    "Vary",
)


@pytest.fixture
def ruled(shared_cluster: Cluster, front: Front) -> str:
    """A bucket with the rules, and an object in it."""
    bucket = new_name()
    assert call(front, "PUT", f"/{bucket}").status == 200
    assert call(front, "PUT", f"/{bucket}/key", b"body").status == 200
    record: dict[str, Any] = stored_records(shared_cluster, [METASTORE])[METASTORE][bucket]
    changed = json.dumps(record | {"cors": RULES})
    call_metadata(shared_cluster, "put", [bucket, changed, {}], [METASTORE])
    return bucket


def said(response: Response) -> list[str]:
    """Which headers of CORS a reply has."""
    return [name for name in NAMES if name in response.headers]


@pytest.mark.usefixtures("undisturbed")
def test_replies_that_a_page_may_read(front: Front, ruled: str) -> None:
    read = call(front, "GET", f"/{ruled}/key", headers=PAGE)
    assert (read.status, read.body, said(read)) == (200, b"body", list(NAMES))
    assert read.headers["Access-Control-Allow-Origin"] == PAGE["Origin"]
    assert read.headers["Access-Control-Expose-Headers"] == "ETag"
    # What is refused as well: by the operation, by access, and before anybody is known.
    for refused, status in (
        (call(front, "GET", f"/{ruled}/gone", headers=PAGE), 404),
        (anonymous(front, "GET", f"/{ruled}/key", headers=PAGE), 403),
        (call(front, "GET", f"/{ruled}/key", headers=PAGE | {"Range": "bytes=9-"}), 416),
        (call(front, "GET", f"/{ruled}/key?X-Amz-Signature=a", headers=PAGE), 400),
        (call(front, "GET", f"/{ruled}/key?torrent", headers=PAGE), 501),
    ):
        assert (refused.status, said(refused)) == (status, list(NAMES))


@pytest.mark.usefixtures("undisturbed")
def test_replies_that_none_may_read(front: Front, ruled: str) -> None:
    other = {"Origin": "https://example.org"}
    for response in (
        call(front, "GET", f"/{ruled}/key"),
        call(front, "GET", f"/{ruled}/key", headers=other),
        call(front, "PUT", f"/{ruled}/new", b"body", PAGE),
    ):
        assert (response.status, said(response)) == (200, [])


@pytest.mark.usefixtures("undisturbed")
def test_preflights(front: Front, ruled: str) -> None:
    wanted = PAGE | {"Access-Control-Request-Method": "GET"}
    for target in (f"/{ruled}", f"/{ruled}/key", f"/{ruled}/gone"):
        response = anonymous(front, "OPTIONS", target, headers=wanted)
        assert (response.status, response.body, said(response)) == (200, b"", list(NAMES))
    for target, kind in ((f"/{ruled}", "BUCKET"), (f"/{ruled}/key", "OBJECT")):
        headers = PAGE | {"Access-Control-Request-Method": "DELETE"}
        response = anonymous(front, "OPTIONS", target, headers=headers)
        error = response.error
        assert (error["status"], error["Code"], error["Method"]) == (
            "403",
            "AccessForbidden",
            "DELETE",
        )
        assert (error["ResourceType"], said(response)) == (kind, [])
        assert error["Message"].startswith("CORSResponse: This CORS request is not allowed.")
