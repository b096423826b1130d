"""The mask of websocket frames (RFC 6455, section 5.3), by the ``websockets`` library's function.

It is compiled and takes a word or more at a time: a frame of 1.5 KiB costs an eighth of what whole
numbers of Python's do. The file that has it is loaded without its package, which would import
``importlib.metadata`` and with it all of ``email`` and ``zipfile``: 25 ms and 2.4 MB of each
process. Where the library has no compiled function, whole numbers do it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import ExtensionFileLoader, PathFinder
from typing import Final

Masking = Callable[[bytes, bytes], bytes]
"""Data with a mask of four bytes applied, or taken away."""


def _compiled() -> Masking | None:
    package = PathFinder.find_spec("websockets")
    found = package and PathFinder.find_spec("speedups", package.submodule_search_locations)
    if found is None or not isinstance(found.loader, ExtensionFileLoader):
        return None
    module = found.loader.create_module(found)
    found.loader.exec_module(module)
    masking: Masking = module.apply_mask
    return masking


def _portable(data: bytes, mask: bytes) -> bytes:
    """As whole numbers, which is the fastest way that Python itself has."""
    length = len(data)
    key = int.from_bytes((mask * (length // 4 + 1))[:length], "little")
    return (int.from_bytes(data, "little") ^ key).to_bytes(length, "little")


apply_mask: Final[Masking] = _compiled() or _portable
