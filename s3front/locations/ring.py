"""A RING as a type of locations (``scality``): what its details say, and what serves it.

    {"connector": {"sproxyd": {"bootstrap": ["10.0.0.1:81", "10.0.0.2:81"], "chordCos": 3}}}

Follows reference/cloudserver-features.md, section 5. ``chordCos`` 0 is as if it were not there: so
the original has it.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from s3front.locations.base import DataStore
from s3front.locations.location_config import Location, LocationType, Surroundings, Written
from shared.config.validation import Section, parse
from shared.config.values import (
    Address,
    MemberError,
    Rule,
    parse_port,
    read_text,
    split_port,
    without_user,
)

_ARC_PATH: Final = "/proxy/arc/"
_CHORD_PATH: Final = "/proxy/chord/"
_ARC_CLASS: Final = 2
_CLASS_MAX: Final = 6
_PATH: Final = re.compile(r"/(?:[A-Za-z0-9._~-]+/)*[A-Za-z0-9._~-]*")


def _read_bootstrap(value: object) -> tuple[Address, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError("must be a list of host:port, and name one at least")
    hosts = tuple(_read_host(entry) for entry in value)
    for index, (host, port) in enumerate(hosts):
        if (host, port) in hosts[:index]:
            raise ValueError(f"{host}:{port} is there twice")
    return hosts


def _read_host(value: object) -> Address:
    host, port = split_port(without_user(read_text(value)))
    if port is None:
        raise ValueError(f"{value!r} is not of the form host:port (for instance 10.0.0.1:81)")
    return host, parse_port(port)


def _read_class(value: object) -> int:
    if value is None:  # as Zenko writes it
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _CLASS_MAX:
        raise ValueError(f"must be a whole number from 0 to {_CLASS_MAX}")
    return value


def _read_path(value: object) -> str:
    path = read_text(value)
    if not _PATH.fullmatch(path):
        raise ValueError("must be a path of letters, digits, '.', '_', '~' and '-', after a '/'")
    return path if path.endswith("/") else path + "/"


def _no_hyperdrive(_value: object) -> None:
    raise ValueError("is not supported by this version: a RING is reached through sproxyd")


Bootstrap = Annotated[tuple[Address, ...], Rule(_read_bootstrap)]


class SproxydDetails(Section, frozen=True):
    """``bootstrap`` are the hosts that run sproxyd; ``chord_cos`` is the class of service of the
    chord driver; ``path`` is where the driver is, if not where it usually is."""

    bootstrap: Bootstrap = (("localhost", 81),)
    chord_cos: Annotated[int, Rule(_read_class)] = 0
    path: Annotated[str, Rule(_read_path)] | None = None

    @property
    def class_of_service(self) -> int:
        return self.chord_cos or _ARC_CLASS

    @property
    def base_path(self) -> str:
        return self.path or (_CHORD_PATH if self.chord_cos else _ARC_PATH)


class _Connector(Section, frozen=True):
    sproxyd: SproxydDetails | None = None
    hdclient: Annotated[None, Rule(_no_hyperdrive)] = None

    def check(self) -> None:
        if self.sproxyd is None:
            raise MemberError("sproxyd", "is missing")


class _RingDetails(Section, frozen=True):
    connector: _Connector
    supports_versioning: bool = True
    """As Zenko writes it; versions of objects are blobs of their own."""


def _read_details(document: object, written: Written) -> SproxydDetails:
    sproxyd = parse(_RingDetails, document, written.file, prefix=written.key).connector.sproxyd
    assert sproxyd is not None, "see check"
    return sproxyd


def _make(location: Location, _surroundings: Surroundings) -> DataStore:
    from s3front.locations.sproxyd import SproxydStore  # noqa: PLC0415  # on first use

    assert isinstance(location.details, SproxydDetails)
    return SproxydStore(location.details)


RING: Final = LocationType(_read_details, _make)
