"""locationConfig.json: the places where object data can be kept, by name.

Follows ``reference/cloudserver-features.md``, section 5. Which types work, and what their details
are, ``registry.TYPES`` says. A location of another type stays in the table, with a warning, so that
a file of CloudServer's can be taken as it is: what needs such a location is refused then.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from s3front.locations.base import DaemonStore, DataStore
from s3front.locations.outbound import DIRECT, Outbound
from s3front.locations.place_limits import PlaceLimits
from s3front.locations.zenko_types import in_our_terms
from shared.config.documents import Document, display_name, find, read_document
from shared.config.errors import ConfigError, nearest
from shared.config.model import DEFAULT_LOCATION, Config, PrivateDaemon
from shared.config.validation import Section, parse
from shared.config.values import Rule, Text, read_flag

if TYPE_CHECKING:
    from shared.process.logs import EventLog  # commands read locations, and import little

_NAME: Final = "locationConfig.json"

_LOCATION_NAME: Final = re.compile(r"(?!\.\.)[ -.0-~]{1,255}")
"""Buckets name their locations in XML, objects in a header, and both in records, where what begins
with two full stops is our own."""

_NO_NAME: Final = (
    "is no name for a location: 1 to 255 characters of printable ASCII without '/', "
    "no blanks at its ends, and no '..' at its beginning"
)

OWN_TYPES: Final = ("file", "mem")
"""Types that are the names of locations as well. This installation keeps their data itself, so that
nothing has to be limited."""

_CLOUDSERVERS: Final = (
    "aws_s3",
    "azure",
    "azure_archive",
    "dmf",
    "file",
    "gcp",
    "mem",
    "mongodb",
    "pfs",
    "scality",
)


def _no_flag(value: object) -> bool:
    if value:
        raise ValueError("is not supported by this version: nothing is archived")
    return read_flag(value)


def _no_limit(value: object) -> None:
    """Zenko writes 0 where there is no limit."""
    if value:
        raise ValueError(
            "is not supported by this version, which would store more: take it out, and have the "
            "place itself limit what is stored there"
        )


class LocationEntry(Section, frozen=True, kw_only=True):
    """One location as the file describes it, of a type that works.

    What CloudServer promises for a cold or limited location is not kept by this version, so asking
    for it is an error. Of a transient one, data may be removed once it has been replicated: it may
    as well stay.
    """

    type: Text
    object_id: Text | None = None
    legacy_aws_behavior: bool = False
    details: Annotated[object, Rule(lambda value: value)] = msgspec.field(default_factory=dict)
    limits: PlaceLimits | None = None
    is_transient: bool = False
    is_cold: Annotated[bool, Rule(_no_flag)] = False
    size_limit_gb: Annotated[None, Rule(_no_limit)] = msgspec.field(
        default=None, name="sizeLimitGB"
    )


class Location(Section, frozen=True, kw_only=True):
    """A place where object data can be kept.

    ``legacy_aws_behavior``: creating a bucket again that the requester owns succeeds, as it does
    in Amazon's us-east-1. ``object_id`` names the location in CloudServer's records; files written
    for its older versions lack it, and it is the name then. ``details`` are what its type has made
    of them, ``limits`` those of a place that others run.
    """

    name: str
    type: str
    object_id: str | None = None
    legacy_aws_behavior: bool = False
    is_supported: bool = True
    """Whether data can be kept there."""
    is_transient: bool = False
    """Whether data is there to be replicated alone."""
    details: object = None
    limits: PlaceLimits = PlaceLimits()


class Written(NamedTuple):
    """Where the details of a ``location`` stand: under ``key`` in a ``file``. Variables of the
    environment may stand above them; paths among them begin at the installation's ``directory``."""

    file: str
    key: str
    location: str
    environ: Mapping[str, str]
    directory: Path


class Surroundings(NamedTuple):
    """What stores are made with: that of the data ``daemon``, where to say what is amiss, the
    daemon that keeps in memory what is to be there, if this process has one, how clouds are
    reached, and whether all locations are names of one place (S3DATA)."""

    daemon: DaemonStore
    log: EventLog
    private_daemon: PrivateDaemon | None = None
    outbound: Outbound = DIRECT
    is_one_place: bool = False


class LocationType(NamedTuple):
    """A type of locations that works.

    ``read_details(document, written)`` makes the ``details`` of a location of what stands in the
    file; raises ConfigError. Secrets among them are ``Secret``.
    ``make(location, surroundings)`` makes its store, in the event loop.
    """

    read_details: Callable[[object, Written], object]
    make: Callable[[Location, Surroundings], DataStore]


_BUILT_IN: Final[Document] = {
    DEFAULT_LOCATION: {
        "type": "file",
        "objectId": DEFAULT_LOCATION,
        "legacyAwsBehavior": True,
        "details": {},
    }
}


def load_locations(
    config: Config,
    types: Mapping[str, LocationType],
    environ: Mapping[str, str] = os.environ,
) -> Mapping[str, Location]:
    """The locations by name, from S3_LOCATION_FILE, else ``conf/locationConfig.json``, else
    ``locationConfig.json``, else the one built-in location.

    Raises ConfigError for the first thing wrong: in the file, ``us-east-1`` missing or of a type
    that is not supported, or an endpoint of ``config`` whose location does not exist. Call it again
    to read the file again.
    """
    path = config.location_file or find(config.directory, _NAME)
    file = _NAME if path is None else display_name(path, config.directory)
    document = _BUILT_IN if path is None else read_document(path, file)
    locations = {}
    for name, entry in document.items():
        if not (_LOCATION_NAME.fullmatch(name) and name == name.strip()):
            raise ConfigError(file, ascii(name), _NO_NAME)
        written = Written(file, f"{name}.details", name, environ, config.directory)
        locations[name] = _location(entry, written, types)
    _add_named_like_backends(locations, config, types)
    _require_unique_ids(locations, file)
    if DEFAULT_LOCATION not in locations:
        raise ConfigError(file, DEFAULT_LOCATION, "is missing: this location must exist")
    default = locations[DEFAULT_LOCATION]
    if not default.is_supported:
        # What is put into a bucket goes there unless somebody says otherwise.
        raise ConfigError(file, DEFAULT_LOCATION, _refusal(default.type, types))
    for host, name in config.rest_endpoints.items():
        if name not in locations:
            hint = nearest(name, locations)
            raise ConfigError(
                config.file, f"restEndpoints.{host}", f"location {name!r} is not in {file}{hint}"
            )
    return MappingProxyType(_all_of_one_type(locations, config))


def _add_named_like_backends(
    locations: dict[str, Location], config: Config, types: Mapping[str, LocationType]
) -> None:
    """The locations ``file`` and ``mem``, which CloudServer's stock file has, where an endpoint has
    one of them and the file does not."""
    for name in config.rest_endpoints.values():
        if name in OWN_TYPES and name in types and name not in locations:
            locations[name] = Location(name=name, type=name, object_id=name)


def _all_of_one_type(locations: dict[str, Location], config: Config) -> dict[str, Location]:
    """The locations as S3DATA has them: with ``file`` and ``mem`` they are names alone, and all of
    them lead to that one place."""
    one = config.backends.data
    if one == "multiple":
        return locations
    return {
        name: replace(location, type=one, details=None, is_supported=True)
        for name, location in locations.items()
    }


def _location(entry: object, written: Written, types: Mapping[str, LocationType]) -> Location:
    name, file = written.location, written.file
    if not isinstance(entry, dict):
        raise ConfigError(file, name, "must be an object")
    entry = in_our_terms(entry)
    given = entry.get("type")
    # Its other keys are not looked at: they may hold a cloud's credentials.
    if isinstance(given, str) and given and given not in types:
        object_id, legacy = entry.get("objectId"), entry.get("legacyAwsBehavior")
        return Location(
            name=name,
            type=given,
            object_id=object_id if isinstance(object_id, str) and object_id else name,
            legacy_aws_behavior=legacy is True,
            is_supported=False,
        )
    parsed = parse(LocationEntry, entry, file, prefix=name)
    if parsed.limits is not None and parsed.type in OWN_TYPES:
        reason = f"has no effect on a location of type {parsed.type}"
        raise ConfigError(file, f"{name}.limits", reason)
    return Location(
        name=name,
        type=parsed.type,
        object_id=parsed.object_id or name,
        legacy_aws_behavior=parsed.legacy_aws_behavior,
        details=types[parsed.type].read_details(parsed.details, written),
        limits=parsed.limits or PlaceLimits(),
        is_transient=parsed.is_transient,
    )


def location_warnings(
    locations: Mapping[str, Location], types: Mapping[str, LocationType]
) -> tuple[str, ...]:
    """One line for each location where no data can be kept, or not as it says."""
    refused = [
        f"location {location.name!r}: {_refusal(location.type, types)}; what needs it is refused"
        for location in locations.values()
        if not location.is_supported
    ]
    stays = [
        f"location {location.name!r}: isTransient has no effect, data stays there"
        for location in locations.values()
        if location.is_transient
    ]
    return (*refused, *stays)


def _refusal(given: str, types: Mapping[str, LocationType]) -> str:
    if given in _CLOUDSERVERS:
        return f"type {given!r} is not supported by this version"
    return f"type {given!r} is unknown{nearest(given, {*_CLOUDSERVERS, *types})}"


def _require_unique_ids(locations: Mapping[str, Location], file: str) -> None:
    owners: dict[str, str] = {}
    for location in locations.values():
        if location.object_id is None:
            continue
        owner = owners.setdefault(location.object_id, location.name)
        if owner != location.name:
            raise ConfigError(
                file, f"{location.name}.objectId", f"is already that of location {owner!r}"
            )
