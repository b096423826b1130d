"""Replies of the forms that operations give, and the one place that renders errors."""

from __future__ import annotations

from s3front.request import Reply
from s3front.xml import DECLARATION, document, element, readable
from shared.errors import ServiceError

XML_TYPE = "application/xml"


def xml_reply(root: str, content: str, status: int = 200) -> Reply:
    """A document in S3's namespace."""
    return Reply(status, {"Content-Type": XML_TYPE}, document(root, content))


def error_reply(error: ServiceError, resource: str, request_id: str, host_id: str) -> Reply:
    """S3's error document (Amazon S3 API reference, "REST error responses").

    ``resource`` is the path that was asked for; a HEAD reply loses its body in the server. What a
    client sent comes back in many errors, so its text is made readable: an error that no client
    can parse would hide itself.
    """
    content = "".join(
        (
            element("Code", error.code),
            element("Message", readable(error.message)),
            *(element(name, readable(value)) for name, value in error.fields.items()),
            element("Resource", readable(resource)),
            element("RequestId", request_id),
            element("HostId", host_id),
        )
    )
    body = f"{DECLARATION}<Error>{content}</Error>".encode()
    headers = {"Content-Type": XML_TYPE}
    if error.code == "InvalidRange":
        headers["Content-Range"] = f"bytes */{error.fields['ActualObjectSize']}"
    if error.status == 503:
        headers["Retry-After"] = "1"
    return Reply(error.status, headers, body)
