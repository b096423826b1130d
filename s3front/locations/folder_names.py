"""Where in a folder the blob of an object may be: paths below it, as bytes. Pure.

An object has its natural name if that can be a path, and is free. What cannot be one (``a//b``,
``../x``, names longer than file systems have them) is kept under ``.twofold``. Besides there is a
name that no other blob has: the mark behind the natural one, or, under ``.twofold``, the mark.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from s3front.locations.base import ObjectInfo
from s3front.locations.remote_store import natural_name, own_name

HIDDEN: Final = b".twofold"
"""The directory of what has no natural name."""

COMPONENT_BYTES_MAX: Final = 255
PATH_BYTES_MAX: Final = 3072
"""Of the 4,096 that Linux has for a path from the working directory on."""

_MARK: Final = re.compile("[0-9a-f]{40}")
_DRAFT: Final = re.compile(rb"\.[0-9a-f]{40}\.draft")


class Names(msgspec.Struct, frozen=True, gc=False):
    """The names of a new blob: ``natural``, None where it can have none, ``own``, and ``draft``
    until it is whole. All three are in ``directory`` (empty for the folder itself)."""

    directory: bytes
    natural: bytes | None
    own: bytes
    draft: bytes

    def path(self, name: bytes) -> bytes:
        """One of them from the folder on."""
        return b"/".join((self.directory, name)) if self.directory else name


def names_of(info: ObjectInfo, mark: str, *, bucket_match: bool) -> Names:
    """Those of the blob with this mark, beside the natural name if that can be a path."""
    path = encoded(natural_name(info, bucket_match=bucket_match))
    if not is_path(path):
        return hidden_names(mark)
    directory, _, name = path.rpartition(b"/")
    own = own_name(name.decode("utf-8", "surrogatepass"), mark, COMPONENT_BYTES_MAX)
    return Names(directory, name, encoded(own), _draft(mark))


def hidden_names(mark: str) -> Names:
    """Those that a blob can have whatever its object is called."""
    assert _MARK.fullmatch(mark), mark
    return Names(HIDDEN, None, mark.encode(), _draft(mark))


def encoded(path: str) -> bytes:
    """A path as file systems have it."""
    return path.encode("utf-8", "surrogatepass")


def decoded(path: bytes) -> str:
    """A path as records have it."""
    return path.decode("utf-8", "surrogatepass")


def is_path(path: bytes) -> bool:
    """Whether an object's name can be the path of its blob."""
    components = path.split(b"/")
    return (
        len(path) <= PATH_BYTES_MAX
        and b"\0" not in path
        and components[0] != HIDDEN
        and not _DRAFT.fullmatch(components[-1])
        and all(
            component not in (b"", b".", b"..") and len(component) <= COMPONENT_BYTES_MAX
            for component in components
        )
    )


def _draft(mark: str) -> bytes:
    return f".{mark}.draft".encode()
