"""What the bytes of a whole object are held against on their way into a reply. Pure.

The data daemon sees to its own bytes. What comes from a place that others run has been through
machines and networks that nobody here knows; so it is held against the checksum of the object, if
that is quickly computed (0.02 to 0.13 ms for a MiB), and of few bytes also against any other one,
or the MD5 that is the ETag.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

from s3front.bodies.checksums import FULL_OBJECT, Algorithm, BytesLike, encode_digest, new_checksum
from s3front.objects.object_record import ObjectRecord

_QUICK: Final = frozenset((
    Algorithm.CRC32,
    Algorithm.CRC32C,
    Algorithm.CRC64NVME,
    Algorithm.XXHASH3,
    Algorithm.XXHASH64,
    Algorithm.XXHASH128,
))  # fmt: skip
_NAMES: Final = {algorithm.value: algorithm for algorithm in Algorithm}
_MD5: Final = re.compile("[0-9a-f]{32}")


class ObjectCheck:
    """A running checksum, and what it has to be (base64)."""

    def __init__(self, algorithm: Algorithm, value: str) -> None:
        self._running = new_checksum(algorithm)
        self._value = value

    def add(self, data: BytesLike) -> None:
        """The next bytes."""
        self._running.update(data)

    @property
    def right(self) -> bool:
        """Whether these were the bytes of the object."""
        return encode_digest(self._running.digest()) == self._value


def object_check(record: ObjectRecord, *, few: bool) -> ObjectCheck | None:
    """What all bytes of an object are held against, of which there are ``few``, or many; None for
    nothing."""
    checksum = record.checksum
    if checksum is not None and checksum.kind == FULL_OBJECT:
        algorithm = _NAMES.get(checksum.algorithm)
        if algorithm is not None and (few or algorithm in _QUICK):
            return ObjectCheck(algorithm, checksum.value)
    if few and _MD5.fullmatch(record.etag):
        return ObjectCheck(Algorithm.MD5, encode_digest(binascii.unhexlify(record.etag)))
    return None
