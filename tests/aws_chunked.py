"""Bodies in aws-chunked encoding, of every form, and the signed heads that go with them.

For tests of the decoder and of whole uploads. ``encode`` makes the bytes; ``sign`` makes the
request's headers as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from s3front.auth.sigv4 import AccessKey, PayloadForm, RequestHead, StreamKey, sign_request

STREAMING_FORMS = (
    PayloadForm.STREAMING_SIGNED,
    PayloadForm.STREAMING_SIGNED_TRAILER,
    PayloadForm.STREAMING_UNSIGNED_TRAILER,
)


@dataclass(frozen=True)
class Style:
    """How a client writes a body: its chunk size, and the ends of lines in the trailer.

    The AWS SDKs end trailer lines in CRLF; minio-go ends them in LF and adds an empty line.
    """

    chunk_bytes: int = 65536
    minio: bool = False
    upper_case: bool = False


@dataclass(frozen=True)
class ChunkedUpload:
    """Headers to send (authorization and content-length included), and the encoded body."""

    headers: Mapping[str, str]
    body: bytes


def encode(
    payload: bytes,
    form: PayloadForm,
    stream: StreamKey | None = None,
    trailers: Mapping[str, str] | None = None,
    style: Style = Style(),
) -> bytes:
    """The body on the wire. ``stream`` is needed for the signed forms."""
    signed = form is not PayloadForm.STREAMING_UNSIGNED_TRAILER
    assert (stream is not None) or not signed
    signature = stream.seed if stream else ""
    wire = bytearray()
    starts = range(0, len(payload), style.chunk_bytes)
    for chunk in [*(payload[start : start + style.chunk_bytes] for start in starts), b""]:
        wire += (f"{len(chunk):X}" if style.upper_case else f"{len(chunk):x}").encode()
        if signed and stream:
            signature = stream.chunk_signature(signature, hashlib.sha256(chunk).hexdigest())
            wire += b";chunk-signature=" + signature.encode()
        wire += b"\r\n" + chunk + (b"\r\n" if chunk else b"")
    lines = [f"{name}:{value}\n".encode() for name, value in (trailers or {}).items()]
    wire += b"".join(lines if style.minio else [line[:-1] + b"\r\n" for line in lines])
    if style.minio and lines:
        wire += b"\r\n"
    if form is PayloadForm.STREAMING_SIGNED_TRAILER and stream:
        digest = hashlib.sha256(b"".join(lines)).hexdigest()
        signature = stream.trailer_signature(signature, digest)
        wire += b"x-amz-trailer-signature:" + signature.encode() + b"\r\n"
    return bytes(wire + b"\r\n")


def sign(
    head: RequestHead,
    key: AccessKey,
    now: datetime,
    payload: bytes,
    form: PayloadForm,
    trailers: Mapping[str, str] | None = None,
    style: Style = Style(),
) -> ChunkedUpload:
    """A whole upload; ``head.headers`` holds ``host``."""
    added = {
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": str(len(payload)),
    }
    if trailers:
        added["x-amz-trailer"] = ",".join(trailers)
    headers = {**head.headers, **added}
    signed = sign_request(
        RequestHead(head.method, head.raw_path, head.raw_query, headers), key, now, form.value
    )
    body = encode(payload, form, signed.stream, trailers, style)
    return ChunkedUpload({**headers, **signed.headers, "content-length": str(len(body))}, body)
