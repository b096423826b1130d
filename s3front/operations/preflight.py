"""The preflight of a browser: may a page of another origin send a request?

The CORS configuration of the bucket says so; CloudServer may have stored one. AWS answers to
anybody, and looks at no object. Texts and fields are those that LocalStack's tests have recorded of
it (``tests/aws/services/s3/test_s3_cors.snapshot.json`` of its repository).
"""

from __future__ import annotations

from s3front.configurations.cors import CORS, allowed, answer_headers
from s3front.context import Context
from s3front.port.request import Reply, Request
from s3front.routes import Level, Operation
from s3front.s3_errors import S3Error

_NOT_ALLOWED = (
    "CORSResponse: This CORS request is not allowed. This is usually because the evalution of "
    "Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are "
    "not whitelisted by the resource's CORS spec."
)
"""As AWS spells it: programs look for it."""


async def preflight(context: Context, request: Request) -> Reply:
    """OPTIONS of a bucket or of an object (Amazon S3 API reference, "OPTIONS object")."""
    if "Origin" not in request.headers:
        raise S3Error("BadRequest", "Insufficient information. Origin request header needed.")
    bucket = context.stored_bucket
    fields = {
        "Method": request.headers.get("Access-Control-Request-Method", request.method),
        "ResourceType": "BUCKET",
    }
    if bucket is None:
        raise S3Error("AccessForbidden", "CORSResponse: Bucket not found", fields)
    if not CORS.is_set(bucket.record):
        raise S3Error("AccessForbidden", fields=fields)
    rule = allowed(bucket.record, request)
    if rule is None:
        if context.target.key is not None:
            fields["ResourceType"] = "OBJECT"
        raise S3Error("AccessForbidden", _NOT_ALLOWED, fields)
    return Reply(200, answer_headers(rule, request))


PREFLIGHT = Operation("CorsPreflight", Level.BUCKET, preflight, ())
SERVICE_PREFLIGHT = Operation("CorsPreflight", Level.SERVICE, preflight, ())
