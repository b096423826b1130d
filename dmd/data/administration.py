"""The administrative calls of the data port, which the jobs use (docs/data-protocol.md).

They are extensions of ``/DataFile``, told by their method and their query, so that every request of
the original means what it always did. ``dmd.data.data_service`` asks ``parse_command`` about each
request, and ``administer`` for the answer to those that are commands; it turns exceptions into
error answers. A job that owns the directory calls ``administer`` itself. No HTTP library is known
here.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from dmd.data.base import BlobStore
from dmd.data.blob_keys import SERVICE_PATH, now_ms
from dmd.data.errors import DataError
from shared.blob_files import is_blob_key

INVENTORY_BLOBS_MAX: Final = 10_000
_INVENTORY_BLOBS: Final = 1000


@dataclass(frozen=True, slots=True)
class Command:
    """A call. ``key`` is the blob's, empty for a call on the whole store; ``value`` stands behind
    the call's name in the query, ``parameters`` behind it."""

    method: str
    name: str
    key: str = ""
    value: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


class Reply(msgspec.Struct, frozen=True):
    """Status and JSON document of an answer; no document: an empty body."""

    status: int
    document: Any = None


def parse_command(method: str, raw_target: str) -> Command | None:
    """The call that a request line makes; None for a request that is none of ours."""
    path, mark, query = raw_target.partition("?")
    if not mark:
        return None
    service, _, key = path.rpartition("/")
    if path == SERVICE_PATH:
        service, key = path, ""
    if service != SERVICE_PATH or (key and not is_blob_key(key)):
        return None
    (name, value), *others = parse_qsl(query, keep_blank_values=True) or [("", "")]
    if (method, name, bool(key)) not in _CALLS:
        return None
    return Command(method, name, key, value, dict(others))


async def administer(store: BlobStore, command: Command) -> Reply:
    """Do what a command says.

    Raises DataError InvalidInput for a bad argument, BlobNotFoundError and StoreError.
    """
    call = _CALLS[command.method, command.name, bool(command.key)]
    document = await call(store, command)
    return Reply(204) if document is None else Reply(200, document)


async def _inventory(store: BlobStore, command: Command) -> Any:
    """``now`` is read first: what is made later than that need not be listed."""
    now = now_ms()
    count = command.parameters.get("count", str(_INVENTORY_BLOBS))
    if not (count.isascii() and count.isdigit() and 1 <= int(count) <= INVENTORY_BLOBS_MAX):
        raise DataError("InvalidInput", f"count must be a number from 1 to {INVENTORY_BLOBS_MAX}")
    try:
        page = await store.inventory(command.parameters.get("cursor"), int(count))
    except ValueError:
        raise DataError("InvalidInput", "no such cursor") from None
    blobs = [[blob.key, blob.size, blob.created_ms, blob.quarantined] for blob in page.blobs]
    return {"now": now, "blobs": blobs, "cursor": page.cursor}


async def _owners(store: BlobStore, _command: Command) -> Any:
    return {"owners": list(await store.owners())}


async def _packed(store: BlobStore, _command: Command) -> Any:
    place = await store.packed_place()
    if place is None:
        return {"directory": None, "sizeMaxBytes": 0}
    return {"directory": place.directory, "sizeMaxBytes": place.bytes_max}


async def _files(store: BlobStore, _command: Command) -> Any:
    place = await store.files_place()
    if place is None:
        return {"directory": None}
    return {"directory": place.directory, "writtenBytesMin": place.written_bytes_min}


async def _adopt(store: BlobStore, command: Command) -> None:
    await store.adopt(_owner(command))


async def _disown(store: BlobStore, command: Command) -> None:
    await store.disown(_owner(command))


def _owner(command: Command) -> str:
    try:
        return str(uuid.UUID(command.value))
    except ValueError:
        raise DataError("InvalidInput", f"{command.name} needs a UUID") from None


async def _reclaim(store: BlobStore, _command: Command) -> None:
    await store.reclaim()


async def _quarantine(store: BlobStore, command: Command) -> None:
    await store.quarantine(command.key)


async def _restore(store: BlobStore, command: Command) -> None:
    await store.restore(command.key)


async def _purge(store: BlobStore, command: Command) -> None:
    await store.purge(command.key)


_CALLS: Final[dict[tuple[str, str, bool], Callable[[BlobStore, Command], Awaitable[Any]]]] = {
    # method, name, whether it is about a blob
    ("GET", "inventory", False): _inventory,
    ("GET", "owners", False): _owners,
    ("GET", "packed", False): _packed,
    ("GET", "files", False): _files,
    ("POST", "adopt", False): _adopt,
    ("POST", "disown", False): _disown,
    ("POST", "reclaim", False): _reclaim,
    ("POST", "quarantine", True): _quarantine,
    ("POST", "restore", True): _restore,
    ("POST", "purge", True): _purge,
}
