"""Replies of the forms that operations give, and the one place that renders errors."""

from __future__ import annotations

import random
import secrets
from base64 import b64encode
from collections.abc import Mapping
from http import HTTPStatus

from s3front.port.request import Reply
from s3front.port.xml import DECLARATION, document, element, element_with_quotes, escape, readable
from s3front.s3_errors import S3Error

HOST_ID = b64encode(secrets.token_bytes(32)).decode()
"""Identifies this process in replies, as ``x-amz-id-2`` and HostId."""

XML_TYPE = "application/xml"

REGION_HEADER = "x-amz-bucket-region"
"""Where a bucket is: what a client learns to sign for."""


def new_request_id() -> str:
    """An ID for a request: what the client and the log call it by."""
    # It need not be a secret, so the system is not asked for it; a process that forks gets others.
    return random.getrandbits(64).to_bytes(8).hex().upper()


def with_common_headers(request_id: str, headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a reply with those that every reply has, before its own."""
    return {
        "x-amz-request-id": request_id,
        "x-amz-id-2": HOST_ID,
        "Server": "Twofold",
        **headers,
    }


def xml_reply(root: str, content: str, status: int = 200) -> Reply:
    """A document in S3's namespace."""
    return Reply(status, {"Content-Type": XML_TYPE}, document(root, content))


def error_page(error: S3Error, request_id: str) -> Reply:
    """An error as a page for people (Amazon S3 user guide, "Website endpoints"); programs find
    its code in a header."""
    title = f"{error.status} {HTTPStatus(error.status).phrase}"
    told = {"Code": error.code, "Message": error.message, **error.fields, "RequestId": request_id}
    rows = "".join(f"<li>{name}: {escape(readable(text))}</li>" for name, text in told.items())
    head = f"<head><title>{title}</title></head>"
    body = f"<!DOCTYPE html><html>{head}<body><h1>{title}</h1><ul>{rows}</ul></body></html>"
    headers = {
        **error.headers,
        "Content-Type": "text/html; charset=utf-8",
        "x-amz-error-code": error.code,
    }
    return Reply(error.status, headers, body.encode())


def error_reply(error: S3Error, resource: str, request_id: str, host_id: str) -> Reply:
    """S3's error document (Amazon S3 API reference, "REST error responses").

    ``resource`` is the path that was asked for; a HEAD reply loses its body in the server. What a
    client sent comes back in many errors, so its text is made readable: an error that no client
    can parse would hide itself.
    """
    content = "".join(
        (
            element("Code", error.code),
            element_with_quotes("Message", readable(error.message)),
            *(element(name, readable(value)) for name, value in error.fields.items()),
            element("Resource", readable(resource)),
            element("RequestId", request_id),
            element("HostId", host_id),
        )
    )
    body = f"{DECLARATION}<Error>{content}</Error>".encode()
    headers = {"Content-Type": XML_TYPE, **error.headers}
    if error.code == "InvalidRange":
        headers["Content-Range"] = f"bytes */{error.fields['ActualObjectSize']}"
    if error.status == 503:
        headers["Retry-After"] = "1"
    return Reply(error.status, headers, body)
