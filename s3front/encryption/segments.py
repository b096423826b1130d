"""The form of what is stored of an encrypted blob: a header, then segments. Pure.

Each segment is up to 64 KiB of plain bytes and a tag of 16 bytes, by AES-256-GCM under a key that
is derived from the blob's own. Its nonce is its number and whether it is the last, and the header
is authenticated with it: a segment that was altered, moved, repeated or taken from another blob,
and a blob that was cut off or added to, is refused before a byte of it is given out. A range costs
the segments that it touches. docs/encryption.md has the bytes, and what others need to read them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from s3front.encryption.key_wrapping import (
    KEY_BYTES,
    SCHEME,
    SCHEME_MEMBER,
    UnwrapError,
    blob_number,
    derived_key,
)
from s3front.s3_errors import S3Error
from shared.records.data_location import DataLocation

SEGMENT_BYTES: Final = 64 * 1024
"""Of plain bytes."""

TAG_BYTES: Final = 16
HEADER_BYTES: Final = 32

_STORED_BYTES: Final = SEGMENT_BYTES + TAG_BYTES
_MAGIC: Final = b"\x89TWOFOLD"
_VERSION_AND_SIZE: Final = bytes((1, 16))
"""Version 1, and segments of two to this power."""
_ID_BYTES: Final = 16
_INDEX_BYTES: Final = 11


def new_blob_key() -> bytes:
    """The key of one new blob."""
    return os.urandom(KEY_BYTES)


def stored_size(size: int) -> int:
    """How many bytes are stored of ``size`` plain ones."""
    return HEADER_BYTES + size + TAG_BYTES * -(-size // SEGMENT_BYTES)


class SegmentedTransform:
    """The transform of one blob (``transform.Transform``). ``made_members`` is what its data
    location says of it."""

    def __init__(self, blob_key: bytes, made_members: Mapping[str, Any]) -> None:
        self._cipher = AESGCM(derived_key(blob_key, b"twofold segments 1"))
        self._header = _header(blob_key)
        self._members = made_members

    def members(self) -> Mapping[str, Any]:
        return self._members

    def stored_size(self, size: int) -> int:
        return stored_size(size)

    def encoder(self) -> Encoder:
        return Encoder(self._cipher, self._header)

    def encoded(self, data: bytes) -> bytes:
        """What is stored of a blob that is all here."""
        if len(data) > SEGMENT_BYTES:
            encoder = self.encoder()
            return encoder.update(data) + encoder.finish()
        if not data:
            return self._header
        return self._header + self._cipher.encrypt(_nonce(0, last=True), data, self._header)

    def stored_range(self, start: int, end: int, size: int) -> tuple[int, int]:
        first, last = start // SEGMENT_BYTES, end // SEGMENT_BYTES
        begins = HEADER_BYTES + first * _STORED_BYTES if first else 0
        ends = HEADER_BYTES + (last + 1) * _STORED_BYTES
        return begins, min(ends, self.stored_size(size)) - 1

    def decoder(self, start: int, end: int, size: int) -> Decoder:
        return Decoder(self._cipher, self._header, start, end, size)


class Encoder:
    """Makes what is stored, of all plain bytes in order (``transform.Coder``)."""

    def __init__(self, cipher: AESGCM, header: bytes) -> None:
        self._cipher = cipher
        self._header = header
        self._made = header
        """What is due before the next segment."""
        self._held: bytes | bytearray = b""
        self._index = 0

    def update(self, data: bytes | bytearray) -> bytes:
        held = self._held + data if self._held else data
        # The last segment is known by the end alone, so one is held back.
        count = max(len(held) - 1, 0) // SEGMENT_BYTES
        view = memoryview(held)
        made = [self._made]
        for number in range(count):
            plain = view[number * SEGMENT_BYTES : (number + 1) * SEGMENT_BYTES]
            made.append(self._sealed(plain, last=False))
        self._made = b""
        self._held = held[count * SEGMENT_BYTES :]
        return b"".join(made)

    def finish(self) -> bytes:
        if not self._held:
            return self._made
        return self._made + self._sealed(self._held, last=True)

    def _sealed(self, plain: bytes | bytearray | memoryview, *, last: bool) -> bytes:
        sealed = self._cipher.encrypt(_nonce(self._index, last=last), plain, self._header)
        self._index += 1
        return sealed


class Decoder:
    """Makes the plain bytes from ``start`` to ``end``, of ``size`` in all, of what
    ``SegmentedTransform.stored_range`` says (``transform.Coder``)."""

    def __init__(self, cipher: AESGCM, header: bytes, start: int, end: int, size: int) -> None:
        self._cipher = cipher
        self._header = header
        self._index = start // SEGMENT_BYTES
        self._header_left = header if self._index == 0 else b""
        self._skip = start - self._index * SEGMENT_BYTES
        self._wanted = end - start + 1
        self._last = (size - 1) // SEGMENT_BYTES
        self._last_bytes = size - self._last * SEGMENT_BYTES + TAG_BYTES
        self._held = bytearray()
        """The beginning of the header, or of the next segment."""

    def update(self, data: bytes | bytearray) -> bytes | bytearray:
        segments = self._whole_segments(data)
        made = self._opened(segments[0]) if len(segments) == 1 else self._all_opened(segments)
        if self._skip or len(made) > self._wanted:
            made = made[self._skip : self._skip + self._wanted]
        if segments:
            self._skip = 0
        self._wanted -= len(made)
        return made

    def finish(self) -> bytes:
        if self._wanted or self._held:
            raise refused()
        return b""

    def _whole_segments(self, data: bytes | bytearray) -> Sequence[memoryview]:
        """The segments that are complete with these bytes; what is after them is held."""
        view, found, index = memoryview(data), [], self._index
        while view:
            if index > self._last:
                raise refused()
            length = self._last_bytes if index == self._last else _STORED_BYTES
            missing = (HEADER_BYTES if self._header_left else length) - len(self._held)
            piece, view = view[:missing], view[missing:]
            if self._held or len(piece) < missing:
                self._held += piece
                if len(piece) < missing:
                    break
                piece, self._held = memoryview(self._held), bytearray()
            if self._header_left:
                if piece != self._header_left:
                    raise refused()
                self._header_left = b""
            else:
                found.append(piece)
                index += 1
        return found

    def _opened(self, segment: memoryview) -> bytes:
        try:
            plain = self._cipher.decrypt(self._next_nonce(), segment, self._header)
        except (InvalidTag, ValueError) as error:
            raise refused() from error
        return plain

    def _all_opened(self, segments: Sequence[memoryview]) -> bytearray:
        """The plain bytes of several, without another copy to join them."""
        made = bytearray(sum(map(len, segments)) - TAG_BYTES * len(segments))
        left = memoryview(made)
        try:
            for segment in segments:
                plain, left = left[: len(segment) - TAG_BYTES], left[len(segment) - TAG_BYTES :]
                self._cipher.decrypt_into(self._next_nonce(), segment, self._header, plain)
        except (InvalidTag, ValueError) as error:
            raise refused() from error
        return made

    def _next_nonce(self) -> bytes:
        index = self._index
        self._index += 1
        return _nonce(index, last=index == self._last)


def refused() -> S3Error:
    """What is stored is not what was: a server's fault, and never a client's."""
    error = S3Error("InternalError")
    error.__cause__ = ValueError("the stored bytes of an encrypted object are not what was stored")
    return error


def require_in_order(locations: Sequence[DataLocation]) -> None:
    """Let an object be read whose blobs are there once each, in their order; raises InternalError.
    Which number a blob has is authenticated when its key is opened."""
    before = -1
    for location in locations:
        members = location.members or {}
        if members.get(SCHEME_MEMBER) != SCHEME:
            continue
        try:
            number = blob_number(members)
        except UnwrapError as error:
            raise refused() from error
        if number <= before:
            raise refused()
        before = number


def _header(blob_key: bytes) -> bytes:
    """The first bytes of a blob; they name its key, without telling it."""
    key_id = derived_key(blob_key, b"twofold key id 1")[:_ID_BYTES]
    return _MAGIC + _VERSION_AND_SIZE + bytes(6) + key_id


def _nonce(index: int, *, last: bool) -> bytes:
    return index.to_bytes(_INDEX_BYTES, "big") + (b"\x01" if last else b"\x00")
