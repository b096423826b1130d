"""A directory of files as a type of locations (``folder``): what its details say.

    {"path": "/srv/photos", "bucketMatch": true}

Nothing is written there unless ``readOnly`` is false. With ``bucketMatch`` the directory is one
bucket's, else each bucket has a directory in it. The original's ``pfs`` is the same behind a daemon
of its own, which is not supported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from msgspec.structs import replace

from s3front.locations.base import DataStore
from s3front.locations.location_config import Location, LocationType, Surroundings, Written
from shared.config.validation import Section, parse


class FolderDetails(Section, frozen=True):
    """``path`` is the directory; it need not be there yet."""

    path: Path
    read_only: bool = True
    bucket_match: bool = False


def _read_details(document: object, written: Written) -> FolderDetails:
    details = parse(FolderDetails, document, written.file, prefix=written.key)
    return replace(details, path=written.directory / details.path)


def _make(location: Location, _surroundings: Surroundings) -> DataStore:
    from s3front.locations.folder_store import FolderStore  # noqa: PLC0415  # on first use

    assert isinstance(location.details, FolderDetails)
    return FolderStore(location.details)


FOLDER: Final = LocationType(_read_details, _make)
