"""Multipart uploads as tests send them, request by request."""

from __future__ import annotations

from typing import Protocol

from tests.etags import etag_of
from tests.raw_http import Response


class Send(Protocol):
    """Sends a signed request, on a connection of its choice."""

    def __call__(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> Response: ...


def begin_upload(send: Send, target: str, headers: dict[str, str] | None = None) -> str:
    """Begin an upload of an object; returns its ID."""
    response = send("POST", f"{target}?uploads", b"", headers)
    assert response.status == 200, response.body
    return response.xml.findtext("UploadId", "")


def send_part(
    send: Send,
    target: str,
    upload_id: str,
    number: int,
    body: bytes,
    headers: dict[str, str] | None = None,
) -> Response:
    """Send a part, or copy one when the headers say so."""
    return send("PUT", f"{target}?partNumber={number}&uploadId={upload_id}", body, headers)


def completion(parts: dict[int, bytes]) -> bytes:
    """The document that makes these parts the object."""
    rows = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag_of(body)}</ETag></Part>"
        for number, body in sorted(parts.items())
    )
    return f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()
