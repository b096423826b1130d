"""What keepers of master keys are made with, and from which files: a new one is made when those
have changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from s3front.locations.outbound import DIRECT, Outbound
from shared.config.encryption import Keepers
from shared.config.validation import Section
from shared.process.logs import EventLog


class Making(NamedTuple):
    """What is described, where to say what is amiss, and how clouds are reached."""

    described: Keepers
    log: EventLog
    outbound: Outbound = DIRECT


def file_stamps(section: object) -> tuple[tuple[str, int, int] | None, ...]:
    """What tells a certificate or a secret from the one that was in its file before, for all files
    that a section names."""
    if not isinstance(section, Section):
        return ()
    return tuple(_stamp(path) for path in _paths(section))


def _paths(value: object) -> Iterator[Path]:
    if isinstance(value, Path):
        yield value
    elif isinstance(value, Section):
        for field in msgspec.structs.fields(type(value)):
            yield from _paths(getattr(value, field.name))
    elif isinstance(value, tuple):
        for each in value:
            yield from _paths(each)


def _stamp(path: Path) -> tuple[str, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return str(path), found.st_mtime_ns, found.st_ino
