"""The URL of an object, as answers tell it."""

from __future__ import annotations

from s3front.context import Context
from s3front.port.request import Request


def object_url(context: Context, request: Request, *, encoded_key: str) -> str:
    """The URL of an object under the host that the request was sent to."""
    path = encoded_key
    if not context.target.virtual_host:
        path = f"{context.bucket.name}/{path}"
    scheme = "https" if request.secure else "http"
    return f"{scheme}://{request.host}/{path}"
