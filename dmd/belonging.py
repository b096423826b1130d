"""Which metadata and which blobs belong together.

A metadata directory has a UUID. A data directory names the metadata stores whose records name its
blobs: those that were adopted for garbage collection, and the one that was last served beside it on
one machine. Metadata that is lost is thus noticed: where the blobs name a store and there is none,
none is made unless the operator asks for a new one.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Final

from dmd.checked_json import decode
from dmd.errors import StartupError
from dmd.process_options import NEW_METADATA_OPTION

UUID_NAME: Final = "uuid"
ABOUT_NAME: Final = "about.json"
FORMAT_OF_BODIES: Final = 4
"""The first format of a data directory that may have segments of bodies."""


def read_uuid(path: Path) -> str | None:
    """The UUID of a metadata directory, None when it has none yet; raises StartupError."""
    file = path / UUID_NAME
    try:
        return str(uuid.UUID(file.read_text("ascii").strip())) if file.exists() else None
    except (OSError, ValueError) as error:
        raise StartupError(f"{file}: {error}") from error


def named_metadata(data: Path) -> frozenset[str]:
    """The UUIDs that a data directory names; none when it is not there, or on another machine.
    Raises StartupError."""
    path = data / ABOUT_NAME
    try:
        about = json.loads(decode(path.read_bytes()))
        return frozenset(map(str, (*about.get("owners", ()), *_beside(about))))
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise StartupError(f"{path}: it cannot be read: {error}") from error


def may_have_bodies(data: Path) -> bool:
    """Whether a data directory may have segments of bodies: whether a data daemon that knows of
    them has made it its own. Not so a directory that nobody has, such as one on which no disk is
    mounted. One whose description is damaged may: no daemon starts on it. Raises OSError."""
    try:
        version = json.loads(decode((data / ABOUT_NAME).read_bytes()))["formatVersion"]
    except FileNotFoundError:
        return False
    except (ValueError, TypeError, KeyError):
        return True
    return not isinstance(version, int) or version >= FORMAT_OF_BODIES


def _beside(about: dict[str, object]) -> tuple[object, ...]:
    metadata = about.get("metadata")
    return () if metadata is None else (metadata,)


def check_new_store(metadata: Path, data: Path) -> None:
    """Refuse to make a metadata store where there ought to be one. Raises StartupError."""
    named = named_metadata(data)
    if named:
        raise StartupError(
            f"{metadata}: there is no metadata store here, and the objects in {data} are those of "
            f"metadata {', '.join(sorted(named))}. Name its directory in S3METADATAPATH, or bring "
            f"it back (`dmd restore`, or `dmd load --keep-uuid`). With {NEW_METADATA_OPTION} a "
            "new, empty one is made, and those objects are nobody's"
        )
