"""What is stored in place of an object's bytes: a stage of both pipelines, for encryption. Pure.

A transform is of one blob. It says what is stored of a stretch of plain bytes, and which stored
bytes have to be read for a range of plain ones; a range costs what it touches and not the blob. A
blob without one has no such stage, and nothing of this is called.

The writer has a new one for each blob, of what its destination says (``s3front.keys.sealing``), and
puts ``members`` into the data location; the reader finds it again by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

_Made_co = TypeVar("_Made_co", bytes, bytes | bytearray, covariant=True)


class Coder(Protocol[_Made_co]):
    """One pass over bytes that come in order. Called by one task, perhaps in a thread."""

    def update(self, data: bytes | bytearray) -> _Made_co:
        """Take the next bytes; returns those that they complete. Raises S3Error."""

    def finish(self) -> bytes:
        """There are no more; returns the last. Raises S3Error for what cannot be the end."""


class Transform(Protocol):
    """See the module. Sizes and offsets are bytes; ends of ranges are included."""

    def members(self) -> Mapping[str, Any]:
        """What the data location says of it."""

    def stored_size(self, size: int) -> int:
        """How many bytes are stored of ``size`` plain ones."""

    def encoder(self) -> Coder[bytes]:
        """Makes what is stored, of all plain bytes. Once."""

    def stored_range(self, start: int, end: int, size: int) -> tuple[int, int]:
        """Which stored bytes have to be read for the plain ones from ``start`` to ``end``, of
        ``size`` in all."""

    def decoder(self, start: int, end: int, size: int) -> Coder[bytes | bytearray]:
        """Makes exactly those plain bytes, of what ``stored_range`` says."""
