"""The chunked transfer coding (RFC 9112 section 7.1). Pure."""

from __future__ import annotations

import re
from typing import Final

from shared.http1.head import MalformedRequestError
from shared.limits import CHUNK_HEADER_BYTES_MAX, TRAILER_BYTES_MAX

LAST_CHUNK: Final = b"0\r\n\r\n"

# A size, and extensions, which are ignored; no line break hides in them.
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER_LINE: Final = re.compile(rb"[!#-'*+\-.^-z|~0-9A-Z]+:[\t\x20-\x7e\x80-\xff]*")


def chunk(data: bytes | bytearray) -> bytes:
    """A chunk of a body; ``data`` is not empty, which would end the body."""
    assert data
    return b"".join((b"%x\r\n" % len(data), data, b"\r\n"))


class ChunkDecoder:
    """Takes the coding off a body, wherever its bytes are cut. Trailers are dropped."""

    def __init__(self) -> None:
        self.complete = False
        self._left = 0
        self._line = b""
        self._wanted = self._size_line
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The pieces of the body in ``data``, and what lies behind the body once it is complete.

        Raises MalformedRequestError.
        """
        pieces: list[bytes] = []
        position = 0
        while position < len(data) and not self.complete:
            if self._left:
                piece = data[position : position + self._left]
                pieces.append(piece)
                position += len(piece)
                self._left -= len(piece)
                continue
            end = data.find(b"\n", position) + 1
            self._line += data[position : end or len(data)]
            position = end or len(data)
            if len(self._line) > CHUNK_HEADER_BYTES_MAX:
                raise MalformedRequestError("a line of a chunked body is too long")
            if end:
                line, self._line = self._line, b""
                if not line.endswith(b"\r\n"):
                    raise MalformedRequestError("a line of a chunked body does not end in CRLF")
                self._wanted(line[:-2])
        return pieces, data[position:]

    def _size_line(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise MalformedRequestError("a malformed chunk size")
        self._left = int(match[1], 16)
        self._wanted = self._chunk_end if self._left else self._trailer_line

    def _chunk_end(self, line: bytes) -> None:
        if line:
            raise MalformedRequestError("a chunk is longer than its size")
        self._wanted = self._size_line

    def _trailer_line(self, line: bytes) -> None:
        if not line:
            self.complete = True
            return
        self._trailer_bytes += len(line)
        if self._trailer_bytes > TRAILER_BYTES_MAX or _TRAILER_LINE.fullmatch(line) is None:
            raise MalformedRequestError("a malformed trailer")
