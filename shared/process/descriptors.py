"""How many files and sockets this process may have open, and what that leaves for connections."""

from __future__ import annotations

import resource
from typing import Final

_WANTED: Final = 1 << 20
"""More than anybody needs; Linux allows no more by itself (fs.nr_open). Some systems say
"unlimited", which is refused."""


def raise_descriptor_limit() -> None:
    """Let this process have as many as it may: the limit that most are started with, 1,024, is for
    programs that use ``select``."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _WANTED if hard == resource.RLIM_INFINITY else min(hard, _WANTED)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def connections_within_limit(wanted: int) -> int:
    """How many connections a port may have: what is wanted, or what descriptors there are for."""
    return affordable(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def affordable(wanted: int, descriptors: int) -> int:
    """What a port may have of so many descriptors. A quarter is left for what requests need
    besides: files, connections to other services, pipes."""
    if descriptors == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, descriptors - descriptors // 4))
