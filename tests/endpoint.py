"""The S3 server that tests are told to speak to, in place of one that they start themselves.

``make test-endpoint`` says which, in the environment. Tests that need more of a server than S3 (its
processes, its configuration, its directories) are deselected by the fixtures that they ask for.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError
from botocore.httpsession import where

from tests.servers import Front, Process, Tls

URL = os.environ.get("TWOFOLD_ENDPOINT", "")
HAS_SECOND_ACCOUNT = not URL or bool(os.environ.get("TWOFOLD_OTHER_ACCESS_KEY"))
BUCKET_PREFIX = f"test-{uuid.uuid4().hex[:8]}-" if URL else "test-"
"""Of every bucket that the tests make: at a foreign server, those of this run."""

SPEAKS_S3 = frozenset(("front", "s3", "other_s3"))
"""Fixtures that a test of S3 asks for one of."""

NEEDS_PROCESSES = frozenset(("shared_cluster", "tls_front", "tls", "tmp_path", "tmp_path_factory"))
"""Fixtures of which an endpoint has none."""


NEEDS_NO_TLS = "plain_front"
"""The fixture of a test that cannot be done over TLS."""


def can_run(fixtures: Iterable[str]) -> bool:
    """Whether a test that asks for these fixtures, directly or not, can run at an endpoint."""
    asked = frozenset(fixtures)
    if "other_s3" in asked and not HAS_SECOND_ACCOUNT:
        return False
    if NEEDS_NO_TLS in asked and URL.startswith("https:"):
        return False
    return bool(asked & SPEAKS_S3) and not asked & NEEDS_PROCESSES


def endpoint_front(url: str) -> Front:
    """The endpoint, as tests know front-ends; raises ValueError for what is no URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"TWOFOLD_ENDPOINT is no http or https URL: {url}")
    nothing = Path(os.devnull)
    secure = parts.scheme == "https"
    authority = Path(os.environ.get("TWOFOLD_ENDPOINT_CA") or where())
    return Front(
        Process("endpoint", [], {}, nothing),
        parts.port or (443 if secure else 80),
        Tls(nothing, nothing, authority) if secure else None,
        parts.hostname,
    )


def remove_buckets(s3: Any) -> None:
    """Remove what this run has made in an account; what cannot be removed stays."""
    for bucket in s3.list_buckets()["Buckets"]:
        name = bucket["Name"]
        if name.startswith(BUCKET_PREFIX):
            with suppress(ClientError):
                _empty(s3, name)
                s3.delete_bucket(Bucket=name)


def _empty(s3: Any, bucket: str) -> None:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for entry in page.get("Versions", []) + page.get("DeleteMarkers", []):
            s3.delete_object(Bucket=bucket, Key=entry["Key"], VersionId=entry["VersionId"])
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for upload in page.get("Uploads", ()):
            s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
