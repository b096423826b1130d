"""What a worker is: one kind of background work (DESIGN, section 2).

The runner (``s3front.work.runner``) gives every worker a lease of its own and calls ``step`` again
and again while this process holds it. A worker is made anew whenever that begins, after it has
raised, and after a reload, so it remembers nothing that must not be forgotten: what it works on is
in the metadata.

Rules for workers:

1. A step is short, and bounded: a page of a queue, some buckets. It ends within the time that
   ``Registration.step_seconds_max`` says, or it is cancelled and the lease is given up.
2. All changes go through ``Tools.metadata``, which holds them to the lease. What is done outside of
   the metadata must be harmless when it is done twice.
3. What cannot be done is set aside (``s3front.work.dead_letters``) after bounded tries. S3Error and
   ChangedError may be raised: the daemon is away, or somebody was faster. Anything else is a
   defect, is logged, and makes the runner wait longer each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, Protocol

from s3front.keys.sealing import NO_KEYS, Keys
from s3front.locations.registry import LocationRegistry
from s3front.metadata.gateway import MetadataGateway
from shared import limits
from shared.process.logs import EventLog

STEP_SECONDS_MAX: Final = 300.0


class Pace(Enum):
    """What a step says of the next one."""

    BUSY = auto()
    """There may be more to do at once."""
    IDLE = auto()
    """There was nothing more to do: look again in a moment."""


@dataclass(frozen=True, slots=True)
class Throttled:
    """Nothing is to be done before ``until``, in seconds of ``Tools.clock``."""

    until: float


Step = Pace | Throttled


class Worker(Protocol):
    """See the module."""

    async def step(self) -> Step:
        """Do a part of the work. Raises S3Error, ChangedError, LeaseLostError."""

    def status(self) -> Mapping[str, Any]:
        """What it tells of itself, as members of a JSON document: since it was made. It says
        nothing that changes all the time without anything being done."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What workers work with.

    ``metadata`` requires the worker's lease in every commit. ``wall_clock`` is in seconds since the
    epoch, ``clock`` is monotonic. ``stray_seconds`` is how old a note of the journal of strays may
    become. ``keys`` are those that objects are encrypted by; ``encrypts_all``: all new ones
    are.
    """

    metadata: MetadataGateway
    locations: LocationRegistry
    delete_delay_seconds: float
    log: EventLog
    clock: Callable[[], float]
    wall_clock: Callable[[], float]
    stray_seconds: float = limits.GC_GRACE_SECONDS
    keys: Keys = NO_KEYS
    encrypts_all: bool = False


@dataclass(frozen=True, slots=True)
class Registration:
    """A row of the table of workers (``s3front.work.workers``).

    ``name`` is that of its lease, of its status and in the log.
    """

    name: str
    make: Callable[[Tools], Worker]
    step_seconds_max: float = STEP_SECONDS_MAX
