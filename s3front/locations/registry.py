"""Which location holds what: from location names to data stores."""

from __future__ import annotations

from collections.abc import Mapping

from s3front.locations.base import DataStore
from s3front.s3_errors import S3Error
from shared.config import Location
from shared.records.data_location import DataLocation


class LocationRegistry:
    """The configured locations and the stores behind them."""

    def __init__(self, locations: Mapping[str, Location], daemon: DataStore) -> None:
        self._locations = locations
        self._daemon = daemon

    async def disk_usage(self) -> tuple[int, int]:
        """Bytes that are available on the data daemon's disk, and all its bytes. Raises
        S3Error."""
        return await self._daemon.disk_usage()

    def find(self, name: str) -> Location | None:
        """The location of this name."""
        return self._locations.get(name)

    def store(self, name: str) -> DataStore:
        """The store that new data of a location goes to; raises NotImplemented.

        What is not configured is the data daemon, where every location that this server supports
        keeps its data.
        """
        location = self._locations.get(name)
        if location is not None and not location.is_supported:
            raise _unsupported(name, location.type)
        return self._daemon

    def holder(self, location: DataLocation) -> DataStore:
        """The store that holds the data of a record; raises NotImplemented.

        Records outlive configuration, so that what they say of the type counts first.
        """
        kind, name = location.store_type, location.store_name
        if not kind:
            return self.store(name)
        if kind != self._daemon.type:
            raise _unsupported(name, kind)
        return self._daemon


def _unsupported(name: str, kind: str) -> S3Error:
    return S3Error(
        "NotImplemented",
        f"The data is in location '{name}', which is of a type that this server does not support: "
        f"{kind}.",
    )
