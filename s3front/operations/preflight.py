"""The preflight of a browser: may a page of another origin send a request?

No CORS configuration is applied yet, so none may. The texts are those of AWS for a bucket without
one, as recorded in the tests of LocalStack; AWS answers them to anybody.
"""

from __future__ import annotations

from s3front.configurations.cors import CORS
from s3front.context import Context
from s3front.port.request import Reply, Request
from s3front.routes import Level, Operation
from s3front.s3_errors import S3Error, not_implemented


async def preflight(context: Context, request: Request) -> Reply:
    """OPTIONS of a bucket or of an object (Amazon S3 API reference, "OPTIONS object")."""
    if "Origin" not in request.headers:
        raise S3Error("BadRequest", "Insufficient information. Origin request header needed.")
    bucket = context.stored_bucket
    if bucket is not None and CORS.is_set(bucket.record):
        raise not_implemented("OPTIONS by the CORS configuration that this bucket has")
    method = request.headers.get("Access-Control-Request-Method", request.method)
    raise S3Error(
        "AccessForbidden",
        "CORSResponse: Bucket not found" if bucket is None else None,
        {"Method": method, "ResourceType": "BUCKET"},
    )


PREFLIGHT = Operation("CorsPreflight", Level.BUCKET, preflight, ())
SERVICE_PREFLIGHT = Operation("CorsPreflight", Level.SERVICE, preflight, ())
