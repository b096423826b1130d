"""Which location holds what: from location names to data stores, and the table of their types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from s3front.locations.azure_details import AZURE
from s3front.locations.base import DataStore
from s3front.locations.folder import FOLDER
from s3front.locations.location_config import (
    OWN_TYPES,
    Location,
    LocationType,
    Surroundings,
    Written,
)
from s3front.locations.place_counters import PlaceReport
from s3front.locations.remote_store import RemoteStore
from s3front.locations.ring import RING
from s3front.locations.s3_details import AWS_S3, GCP
from s3front.s3_errors import S3Error
from shared.config.errors import ConfigError
from shared.config.model import DEFAULT_LOCATION
from shared.records.data_location import DataLocation


def _no_details(document: object, written: Written) -> None:
    # Zenko says of its own places that they keep versions, which bytes in them do not need.
    if document not in ({}, {"supportsVersioning": True}, {"supportsVersioning": False}):
        raise ConfigError(
            written.file, written.key, "must be an empty object for a location of type file or mem"
        )


def _in_memory(location: Location, surroundings: Surroundings) -> DataStore:
    from s3front.locations.mem import memory_store  # noqa: PLC0415  # on first use

    return memory_store(location, surroundings)


TYPES: Final[Mapping[str, LocationType]] = {
    # The data daemon, whatever the location is called: config.json says where it is.
    "file": LocationType(_no_details, lambda _location, surroundings: surroundings.daemon),
    # Memory that the processes of one `s3front start` share.
    "mem": LocationType(_no_details, _in_memory),
    "scality": RING,
    "aws_s3": AWS_S3,
    "gcp": GCP,
    "azure": AZURE,
    "folder": FOLDER,
}
"""The types of locations that work, as files and records name them."""


_NAMES_WARNED_MAX: Final = 100
"""Of how many locations that are not configured the log speaks: records may name any number."""


_DAEMONS: Final = ("", "file")
"""Names that are the data daemon's without being configured: what has no location, as in the first
records of CloudServer, and the one of its stock locations that is its data daemon."""


class NotConfiguredError(S3Error):
    """Something needs a location that is not configured. It may be again."""

    def __init__(self, name: str) -> None:
        super().__init__("NotImplemented", f"The location '{name}' is not configured.")


class LocationRegistry:
    """The configured locations and the stores behind them. Make it inside the event loop.

    Nothing goes to another location than the one that a bucket, an upload or a record names.
    """

    def __init__(
        self,
        locations: Mapping[str, Location],
        surroundings: Surroundings,
        types: Mapping[str, LocationType] = TYPES,
    ) -> None:
        self._locations = locations
        self._surroundings = surroundings
        self._daemon = surroundings.daemon
        self._types = types
        self._warned: set[str] = set()
        self._stores = {
            name: self._make(location)
            for name, location in locations.items()
            if location.is_supported
        }
        self._made = [*self._stores.values()]

    def renewed(self, locations: Mapping[str, Location]) -> LocationRegistry:
        """The same for other locations; those that have not changed keep their stores, and nothing
        is closed that a request may be using."""
        new = LocationRegistry({}, self._surroundings, self._types)
        new._locations = locations
        new._made = self._made
        for name, location in locations.items():
            if not location.is_supported:
                continue
            if location == self._locations.get(name):
                new._stores[name] = self._stores[name]
            else:
                new._stores[name] = self._make(location)
                new._made.append(new._stores[name])
        return new

    def _make(self, location: Location) -> DataStore:
        store = self._types[location.type].make(location, self._surroundings)
        if location.type in OWN_TYPES or not isinstance(store, RemoteStore):
            return store
        from s3front.locations.resilience import ResilientStore  # noqa: PLC0415  # on first use

        return ResilientStore(store, location.name, location.limits, self._surroundings.log)

    def remotes(self) -> Mapping[str, RemoteStore]:
        """The stores of the places that others run, by location."""
        return {
            name: store for name, store in self._stores.items() if isinstance(store, RemoteStore)
        }

    def reports(self) -> Mapping[str, PlaceReport]:
        """What this process knows of the places that others run, by location."""
        remotes = self.remotes()
        if not remotes:
            return {}
        from s3front.locations.resilience import ResilientStore  # noqa: PLC0415  # on first use

        return {
            name: store.report()
            for name, store in remotes.items()
            if isinstance(store, ResilientStore)
        }

    async def close(self) -> None:
        """Close the stores of all locations that there have been, but for the daemon's."""
        for store in self._made:
            if store is not self._daemon:
                await store.close()

    async def disk_usage(self) -> tuple[int, int]:
        """Bytes that are available on the data daemon's disk, and all its bytes. Raises
        S3Error."""
        return await self._daemon.disk_usage()

    def find(self, name: str) -> Location | None:
        """The location of this name."""
        return self._locations.get(name)

    def store(self, name: str) -> DataStore:
        """The store that new data of a location goes to; raises NotImplemented."""
        store = self._found(name)
        if store is not None:
            return store
        location = self._locations.get(name)
        if location is not None:
            raise _unsupported(name, location.type)
        if name in _DAEMONS:
            return self._daemon
        raise self._not_configured(name)

    def _found(self, name: str) -> DataStore | None:
        """The store of this name, which is that of all locations where S3DATA says so."""
        store = self._stores.get(name)
        if store is None and name and self._surroundings.is_one_place:
            return self._stores[DEFAULT_LOCATION]
        return store

    def remote(self, name: str) -> RemoteStore:
        """The store of a location that others run; raises NotImplemented for any other name."""
        store = self._stores.get(name)
        if isinstance(store, RemoteStore):
            return store
        location = self._locations.get(name)
        if location is None:
            raise self._not_configured(name)
        if location.is_supported:
            raise S3Error(
                "NotImplemented",
                f"The location '{name}' is of another type now: {location.type}.",
            )
        raise _unsupported(name, location.type)

    def _not_configured(self, name: str) -> NotConfiguredError:
        if name not in self._warned and len(self._warned) < _NAMES_WARNED_MAX:
            self._warned.add(name)
            self._surroundings.log.warning(
                "a location is not configured: what needs it is refused", location=name
            )
        return NotConfiguredError(name)

    def keeps_tags(self, location: DataLocation) -> bool:
        """Whether the place of a record's data keeps its tags as well."""
        try:
            return self.holder(location).capabilities.tags
        except S3Error:
            return False

    def holder(self, location: DataLocation) -> DataStore:
        """The store that holds the data of a record; raises NotImplemented.

        Records outlive configuration, so that what they say of the type counts first: the daemon's
        data is found whatever its location is called now, other data only in a location that still
        has its name and its type.
        """
        kind, name = location.store_type, location.store_name
        if not kind:
            return self.store(name)  # CloudServer's, from before locations had types
        if kind == self._daemon.type:
            return self._daemon
        store = self._found(name)
        if store is not None and store.type == kind:
            return store
        if kind not in self._types or not name:
            raise _unsupported(name, kind)
        configured = self._locations.get(name)
        if configured is None:
            raise self._not_configured(name)
        raise S3Error(
            "NotImplemented",
            f"The data is in location '{name}' of type {kind}, which is of another type now: "
            f"{configured.type}.",
        )


def _unsupported(name: str, kind: str) -> S3Error:
    return S3Error(
        "NotImplemented",
        f"The data is in location '{name}', which is of a type that this server does not support: "
        f"{kind}.",
    )
