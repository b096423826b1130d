"""Which location holds what: from location names to data stores."""

from __future__ import annotations

from collections.abc import Mapping

from s3front.locations.base import DataStore
from shared.config import Location


class LocationRegistry:
    """The configured locations and the stores behind them."""

    def __init__(self, locations: Mapping[str, Location], daemon: DataStore) -> None:
        self._locations = locations
        self._daemon = daemon

    def find(self, name: str) -> Location | None:
        """The location of this name."""
        return self._locations.get(name)

    def store(self, name: str) -> DataStore:
        """The store behind a location.

        Records outlive configuration: data of a location that is no longer configured is still
        looked for in the data daemon, where every location of this type keeps it.
        """
        del name
        return self._daemon
