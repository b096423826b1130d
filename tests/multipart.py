"""Multipart uploads as tests send them, request by request."""

from __future__ import annotations

from typing import Protocol

from s3front.bodies.checksums import Algorithm
from tests.api.support import checksum_of
from tests.etags import etag_of
from tests.raw_http import Response, call
from tests.servers import Front


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


def completion(parts: dict[int, bytes], algorithm: Algorithm | None = None) -> bytes:
    """The document that makes these parts the object, with their checksums of an algorithm."""
    rows = ""
    for number, body in sorted(parts.items()):
        rows += f"<Part><PartNumber>{number}</PartNumber><ETag>{etag_of(body)}</ETag>"
        if algorithm is not None:
            name = f"Checksum{algorithm}"
            rows += f"<{name}>{checksum_of(algorithm, body)}</{name}>"
        rows += "</Part>"
    return f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()


def upload_parts(
    front: Front, target: str, bodies: dict[int, bytes], algorithm: Algorithm | None = None
) -> str:
    """Upload an object by these parts, with checksums when there is an algorithm; its ETag."""

    def send(
        method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Response:
        return call(front, method, target, body, headers)

    chosen = {"x-amz-checksum-algorithm": algorithm.value} if algorithm else {}
    upload_id = begin_upload(send, target, chosen)
    for number, body in bodies.items():
        digest = {algorithm.header: checksum_of(algorithm, body)} if algorithm else {}
        headers = {"Content-Length": str(len(body)), **digest}
        assert send_part(send, target, upload_id, number, body, headers).status == 200
    response = send("POST", f"{target}?uploadId={upload_id}", completion(bodies, algorithm))
    etag = response.xml.findtext("ETag")
    assert etag, response.body
    return etag
