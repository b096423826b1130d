"""Whether a request is a call of IAM or STS, and none of S3's. Pure.

SDKs post a form to the path ``/``, which no operation of S3 does; presigned calls, and those of
people with a command line, have their action in the query. The rest is imported when the first of
them comes.
"""

from __future__ import annotations

from typing import Final

from s3front.port.request import Request
from s3front.port.target import Kind, Target, Undecided

FORM_TYPE: Final = "application/x-www-form-urlencoded"
"""What the body of a call is."""

ACTION: Final = "Action"
VERSION: Final = "Version"
"""The parameters that name a call."""


def is_call(request: Request, target: Target | Undecided) -> bool:
    """Whether it is. A host that may name a bucket is not asked: only a page of HTML would post
    such a form there, and S3 answers that with an error."""
    if target.raw_path not in ("/", ""):
        return False
    if isinstance(target, Target) and (target.bucket is not None or target.kind is Kind.WEBSITE):
        return False
    if request.method == "POST":
        kind = request.headers.get("Content-Type", "").partition(";")[0]
        return kind.strip().lower() == FORM_TYPE or ACTION in target.query
    return request.method == "GET" and ACTION in target.query and VERSION in target.query
