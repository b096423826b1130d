"""Hosts of ``websiteEndpoints``: no bucket is a website yet, and browsers are told so in pages.

Which hosts these are, tests/unit/s3front/port/test_target.py says.
"""

from __future__ import annotations

import json
from pathlib import Path

from shared.records.names import METASTORE
from tests.faults.stores import call_metadata, stored_records
from tests.raw_http import Response, anonymous, call
from tests.servers import Cluster, Front, cluster

SITES = "s3-website.test"


def page(front: Front, method: str, host: str, path: str = "/") -> tuple[int, str]:
    """The status and the code of a page of an error."""
    response = anonymous(front, method, path, headers={"Host": host})
    assert response.headers["Content-Type"].startswith("text/html")
    code = response.headers["x-amz-error-code"]
    if method != "HEAD":
        text = response.body.decode()
        assert text.startswith("<!DOCTYPE html>")
        assert f"<li>Code: {code}</li>" in text
    return response.status, code


def make_website(running: Cluster, bucket: str) -> None:
    """As CloudServer stores it."""
    record = stored_records(running, [METASTORE])[METASTORE][bucket]
    site = {"indexDocument": "index.html"}
    changed = json.dumps(record | {"websiteConfiguration": site})
    call_metadata(running, "put", [bucket, changed, {}], [METASTORE])


def test_a_host_of_websites(tmp_path: Path) -> None:
    settings = {"websiteEndpoints": [SITES]}
    with cluster(tmp_path, memory=True, settings=settings) as running:
        (front,) = running.fronts
        for bucket in ("plain", "site"):
            assert call(front, "PUT", f"/{bucket}").status == 200
            assert call(front, "PUT", f"/{bucket}/index.html", b"<html>").status == 200
        make_website(running, "site")
        for path in ("/", "/index.html", "/<b>?acl&uploadId=a"):
            for method in ("GET", "HEAD"):
                plain = page(front, method, f"plain.{SITES}", path)
                assert plain == (404, "NoSuchWebsiteConfiguration")
                assert page(front, method, f"site.{SITES}", path) == (501, "NotImplemented")
        assert page(front, "GET", f"none.{SITES}") == (404, "NoSuchBucket")
        assert page(front, "HEAD", SITES, "/plain/index.html") == (404, "NoSuchBucket")
        for method in ("PUT", "POST", "DELETE"):
            assert page(front, method, f"plain.{SITES}", "/k") == (405, "MethodNotAllowed")
        preflight = {"Origin": "https://a.com", "Host": f"plain.{SITES}"}
        response: Response = anonymous(front, "OPTIONS", "/k", headers=preflight)
        assert response.status == 403
        # By its other name the bucket is what it was.
        assert call(front, "GET", "/plain/index.html").body == b"<html>"
