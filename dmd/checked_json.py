"""Small JSON files that say when they are damaged: the last member is a checksum of the others.

Pure. People can read and, with the last member removed, change them. A file without it, of an older
release or changed so, is taken as it is.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson
from isal.isal_zlib import crc32

_CHECKSUM: Final = re.compile(rb',"crc32":"([0-9a-f]{8})"}\s*\Z')


def encode(document: Any) -> bytes:
    """A JSON object; ``document`` is a dictionary or a dataclass, with at least one member."""
    text = orjson.dumps(document)
    return text[:-1] + b',"crc32":"%08x"}\n' % crc32(text)


def decode(text: bytes) -> bytes:
    """The JSON text that was encoded. Raises ValueError when it is not what was written."""
    match = _CHECKSUM.search(text)
    if match is None:
        return text
    text = text[: match.start()] + b"}"
    if crc32(text) != int(match[1], 16):
        raise ValueError("its checksum is wrong")
    return text
