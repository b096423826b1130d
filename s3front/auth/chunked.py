"""Decoding of aws-chunked bodies: a sans-I/O decoder that is fed bytes as they arrive.

Called by the front-end's body pipeline, before digests are computed: ``feed`` returns payload,
``finish`` is called at the end of the body and returns the trailers. It never reads, waits or
computes checksums.

Rules:

1. A body is chunks, ``SIZE[;chunk-signature=HEX]`` CRLF data CRLF with the size in hex, up to a
   chunk of size 0, whose line is followed by the trailer section and CRLF.
2. When chunks are signed, each signature covers the one before it, starting from that of the
   request. No byte of a chunk is returned before its signature was verified, so a chunk is held
   until it is whole; its size is limited. The last, empty chunk is signed as well.
3. Chunks but the last have 8,192 bytes at least, as at the service.
4. The sizes of the chunks add up to ``x-amz-decoded-content-length``.
5. The trailer section is ``name:value`` lines, kept whole until ``finish``, as its end is that of
   the body. Some clients end lines in LF and put an empty line before the signature of the trailer
   (minio-go): blank lines do not count, but the section ends in CRLF CRLF (or is CRLF alone).
6. Trailers must be those that ``x-amz-trailer`` announced, each once, no others; when signed, with
   ``x-amz-trailer-signature`` last, over ``name:value`` LF of each line before it.
7. The result does not depend on how the bytes were split into feeds. After an error the decoder
   is of no use.

Sources: Amazon S3 API reference, "Signature calculations: Transferring payload in multiple chunks"
and "... including trailing headers"; the errors are those that the service answers with.
"""

from __future__ import annotations

import hashlib
import re
from enum import Enum, auto
from typing import Final

import msgspec

from s3front.auth.signing import signatures_equal
from s3front.auth.sigv4 import EMPTY_SHA256, PayloadForm, StreamKey
from s3front.s3_errors import S3Error, incomplete_body
from shared.limits import CHUNK_BYTES_MAX, CHUNK_HEADER_BYTES_MAX, TRAILER_BYTES_MAX

CHUNK_BYTES_MIN: Final = 8192
"""Chunks but the last, as at the service."""

_DIGITS_MAX: Final = 18  # more would not fit 64 bits, signed
_SIGNED_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16});chunk-signature=([0-9a-f]{64})")
_UNSIGNED_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;.*)?")
_TRAILER_SIGNATURE: Final = "x-amz-trailer-signature"


class ChunkedBody(msgspec.Struct, frozen=True):
    """What the head of the request says about the body.

    ``form`` is one of the streaming forms; ``decoded_bytes`` comes from ``parse_decoded_length``;
    ``stream`` is what ``s3front.auth.sigv4.verify`` returned, needed when chunks are signed;
    ``trailers`` are the lower-case names that ``x-amz-trailer`` announced. ``chunk_bytes_min`` 0
    accepts small chunks anywhere.
    """

    form: PayloadForm
    decoded_bytes: int
    stream: StreamKey | None = None
    trailers: frozenset[str] = frozenset()
    chunk_bytes_min: int = CHUNK_BYTES_MIN

    def __post_init__(self) -> None:
        assert self.form.value.startswith("STREAMING-"), self.form
        assert self.stream is not None or self.form is PayloadForm.STREAMING_UNSIGNED_TRAILER


def parse_decoded_length(text: str | None) -> int:
    """The value of ``x-amz-decoded-content-length``, in bytes. Raises MissingContentLength."""
    if text is None or not re.fullmatch(rf"[0-9]{{1,{_DIGITS_MAX}}}", text, re.ASCII):
        raise S3Error("MissingContentLength")
    return int(text)


def parse_trailer_names(text: str | None) -> frozenset[str]:
    """The lower-case names of an ``x-amz-trailer`` header."""
    names = (name.strip().lower() for name in (text or "").split(","))
    return frozenset(name for name in names if name)


class _State(Enum):
    LINE = auto()  # the line that opens a chunk
    DATA = auto()
    DATA_END = auto()  # the CRLF that follows data
    TRAILER = auto()  # all that follows the empty chunk's line
    FAILED = auto()


class ChunkedDecoder:
    """Decodes one body."""

    def __init__(self, body: ChunkedBody) -> None:
        self._body = body
        # The stream key when chunks are signed, else None.
        self._key = None if body.form is PayloadForm.STREAMING_UNSIGNED_TRAILER else body.stream
        self._signature = body.stream.seed if body.stream is not None else ""
        self._state = _State.LINE
        self._held = bytearray()  # a line, a signed chunk or a trailer section that is not whole
        self._sha256 = hashlib.sha256()  # of the current chunk, when signed
        self._missing = 0  # bytes of the chunk that are still to come
        self._claimed = ""  # the signature that the chunk's line carries
        self._chunk_bytes = 0  # size of the current chunk
        self._chunks = 0
        self._decoded_bytes = 0  # sizes of all chunks so far

    @property
    def chunk_held(self) -> int:
        """The size of the chunk that is held until it is whole, 0 when there is none. In bytes."""
        return self._chunk_bytes if self._held and self._state is _State.DATA else 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the body; returns the payload that became available, in order.

        Raises IncompleteBody (not of this form, or more than was declared), SignatureDoesNotMatch,
        InvalidRequest (a chunk that is too large), InvalidChunkSizeError (one that is too small and
        not the last),
        MalformedTrailerError (a trailer section that is too large).
        """
        assert self._state is not _State.FAILED
        pieces: list[bytes] = []
        position = 0
        try:
            while position < len(data):
                position = self._take(data, position, pieces)
        except S3Error:
            self._state = _State.FAILED
            raise
        return pieces

    def _take(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        """Take what the state can use of ``data[position:]``; returns where the rest begins."""
        if self._state is _State.DATA:
            return self._take_data(data, position, pieces)
        if self._state is _State.LINE:
            return self._take_line(data, position)
        if self._state is _State.DATA_END:
            return self._take_data_end(data, position)
        return self._take_trailer(data, position)

    def finish(self) -> dict[str, str]:
        """The body has ended; returns the announced trailers, names in lower case.

        Raises IncompleteBody, SignatureDoesNotMatch, MalformedTrailerError.
        """
        if self._state is not _State.TRAILER:
            raise _unexpected_end()
        section = bytes(self._held)
        if section != b"\r\n" and not section.endswith(b"\r\n\r\n"):
            raise _unexpected_end()
        lines = [line.removesuffix(b"\r") for line in section.split(b"\n")]
        lines = [line for line in lines if line]
        if self._body.form is PayloadForm.STREAMING_SIGNED:
            # This form has no trailers; what stands here was not signed.
            if section != b"\r\n":
                raise _unexpected_end() if not lines else S3Error("MalformedTrailerError")
            return {}
        if self._key is not None and (lines or self._body.trailers):
            self._verify_trailer(lines, self._key)
            lines = lines[:-1]
        return self._parse_trailers(lines)

    def _take_line(self, data: bytes, position: int) -> int:
        end = data.find(b"\n", position)
        line_end = len(data) if end < 0 else end + 1
        if len(self._held) + line_end - position > CHUNK_HEADER_BYTES_MAX:
            raise _unexpected_end()
        self._held += data[position:line_end]
        if end >= 0:
            line = bytes(self._held)
            self._held.clear()
            if not line.endswith(b"\r\n"):
                raise _unexpected_end()
            self._open_chunk(line[:-2])
        return line_end

    def _open_chunk(self, line: bytes) -> None:
        pattern = _UNSIGNED_LINE if self._key is None else _SIGNED_LINE
        match = pattern.fullmatch(line)
        if match is None:
            raise _unexpected_end()
        size = int(match[1], 16)
        self._claimed = "" if self._key is None else match[2].decode("ascii")
        if size == 0:
            self._verify_chunk(EMPTY_SHA256)
            self._require_length(self._decoded_bytes)
            self._state = _State.TRAILER
            return
        self._chunks += 1
        if self._chunks > 1 and self._chunk_bytes < self._body.chunk_bytes_min:
            raise _invalid_chunk_size(self._chunks, self._chunk_bytes)
        self._decoded_bytes += size
        if self._decoded_bytes > self._body.decoded_bytes:
            self._require_length(self._decoded_bytes)
        if size > CHUNK_BYTES_MAX and self._key is not None:
            raise S3Error("InvalidRequest", "A chunk of the body is too large.")
        self._chunk_bytes = self._missing = size
        self._sha256 = hashlib.sha256()
        self._state = _State.DATA

    def _take_data(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        end = min(position + self._missing, len(data))
        piece = data[position:end]
        self._missing -= len(piece)
        if self._key is None:
            pieces.append(piece)
        else:
            self._sha256.update(piece)
            if self._missing:
                self._held += piece
            else:
                self._verify_chunk(self._sha256.hexdigest())
                if self._held:
                    self._held += piece
                    piece = bytes(self._held)
                    self._held.clear()
                pieces.append(piece)
        if not self._missing:
            self._state = _State.DATA_END
        return end

    def _take_data_end(self, data: bytes, position: int) -> int:
        end = min(position + 2 - len(self._held), len(data))
        self._held += data[position:end]
        if not b"\r\n".startswith(self._held):
            raise _unexpected_end()
        if len(self._held) == 2:
            self._held.clear()
            self._state = _State.LINE
        return end

    def _take_trailer(self, data: bytes, position: int) -> int:
        if len(self._held) + len(data) - position > TRAILER_BYTES_MAX:
            raise S3Error("MalformedTrailerError")
        self._held += data[position:]
        return len(data)

    # --- Signatures, lengths, trailers -----------------------------------------------------------

    def _verify_chunk(self, sha256_hex: str) -> None:
        if self._key is None:
            return
        ours = self._key.chunk_signature(self._signature, sha256_hex)
        if not signatures_equal(ours, self._claimed):
            text = self._key.chunk_string_to_sign(self._signature, sha256_hex)
            raise _mismatch(text, self._claimed)
        self._signature = ours

    def _verify_trailer(self, lines: list[bytes], key: StreamKey) -> None:
        """The last line signs those before it."""
        name, _, value = lines[-1].partition(b":") if lines else (b"", b"", b"")
        if name.strip().lower() != _TRAILER_SIGNATURE.encode():
            raise S3Error("MalformedTrailerError")
        sha256_hex = hashlib.sha256(b"".join([line + b"\n" for line in lines[:-1]])).hexdigest()
        claimed = value.strip().decode("utf-8", "surrogateescape")
        ours = key.trailer_signature(self._signature, sha256_hex)
        if not signatures_equal(ours, claimed):
            raise _mismatch(key.trailer_string_to_sign(self._signature, sha256_hex), claimed)

    def _parse_trailers(self, lines: list[bytes]) -> dict[str, str]:
        trailers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.decode("utf-8", "surrogateescape").partition(":")
            name = name.strip(" \t").lower()
            if not colon or name in trailers:
                raise S3Error("MalformedTrailerError")
            trailers[name] = value.strip(" \t")
        if trailers.keys() != self._body.trailers:
            raise S3Error("MalformedTrailerError")
        return trailers

    def _require_length(self, decoded_bytes: int) -> None:
        if decoded_bytes != self._body.decoded_bytes:
            raise incomplete_body(self._body.decoded_bytes, decoded_bytes)


def _unexpected_end() -> S3Error:
    # The service's text for any body that is not of the form that its head names.
    return S3Error("IncompleteBody", "The request body terminated unexpectedly")


def _invalid_chunk_size(chunk: int, bad_bytes: int) -> S3Error:
    return S3Error(
        "InvalidChunkSizeError", fields={"Chunk": str(chunk), "BadChunkSize": str(bad_bytes)}
    )


def _mismatch(string_to_sign: str, claimed: str) -> S3Error:
    return S3Error(
        "SignatureDoesNotMatch",
        fields={
            "StringToSign": string_to_sign,
            "SignatureProvided": claimed,
            "StringToSignBytes": string_to_sign.encode("utf-8", "surrogateescape").hex(" "),
        },
    )
