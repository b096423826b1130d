"""The arguments of a call, checked. Every function raises InvalidArgument. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import ValidationError, convert

from dmd.metadata import record_keys
from shared.errors import ServiceError
from shared.rpc.envelope import IF_REVISION_NOT, Call, is_sub_level


class _Read(msgspec.Struct, frozen=True, gc=False):
    """An entry of an array of reads, if it is a usual one."""

    key: str
    sub_level: list[str] = msgspec.field(name="subLevel")
    known: int | None = msgspec.field(default=None, name=IF_REVISION_NOT)


class _Reads(msgspec.Struct, frozen=True, gc=False):
    reads: list[_Read]


def strings(call: Call, *names: str) -> tuple[str, ...]:
    """The leading arguments, each of which must be a string."""
    values = []
    for index, name in enumerate(names):
        value = _argument(call, index)
        if not isinstance(value, str):
            raise ServiceError("InvalidArgument", f"{call.name}: {name} must be a string")
        values.append(value)
    return tuple(values)


def options(call: Call, index: int) -> Mapping[str, Any]:
    """The options argument; missing and null mean none."""
    return checked_options(_argument(call, index), call.name)


def checked_options(value: Any, what: str) -> Mapping[str, Any]:
    """Options as an object; None means none."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ServiceError("InvalidArgument", f"{what}: options must be an object")
    return value


def array(call: Call, index: int, name: str, length_max: int) -> list[Any]:
    """An argument that is an array of at most so many entries."""
    value = _argument(call, index)
    if not isinstance(value, list) or len(value) > length_max:
        raise ServiceError(
            "InvalidArgument", f"{call.name}: {name} must be an array of at most {length_max}"
        )
    return value


def known_revision(entry: Mapping[str, Any]) -> int | None:
    """The revision of a record that the caller of a read has, if it names one."""
    value = entry.get(IF_REVISION_NOT)
    if value is not None and type(value) is not int:
        raise ServiceError("InvalidArgument", f"{IF_REVISION_NOT} must be a number")
    return value


def wanted(entries: Sequence[Any], key_bytes_max: int) -> list[tuple[bytes, int | None]]:
    """What entries of an array of reads name: physical keys, and the revisions that are known."""
    try:
        # All are looked at in one step, which says less of what is wrong with them.
        reads = convert({"reads": entries}, _Reads).reads
    except (ValidationError, UnicodeEncodeError):
        return [wanted_by(entry, key_bytes_max) for entry in entries]
    physical = record_keys.physical
    return [(physical(read.sub_level, read.key, key_bytes_max), read.known) for read in reads]


def wanted_by(entry: Any, key_bytes_max: int) -> tuple[bytes, int | None]:
    """The same of one entry, of any kind."""
    physical = record_keys.physical(*addressed(entry, "a read"), key_bytes_max)
    return physical, known_revision(entry) if IF_REVISION_NOT in entry else None


def addressed(entry: Any, what: str) -> tuple[list[str], str]:
    """The sub-level and key that an entry of an array names."""
    if isinstance(entry, dict):
        sub_level, key = entry.get("subLevel"), entry.get("key")
        if isinstance(key, str) and is_sub_level(sub_level):
            return sub_level, key
    raise ServiceError("InvalidArgument", f"{what} needs a subLevel and a key")


def _argument(call: Call, index: int) -> Any:
    return call.arguments[index] if index < len(call.arguments) else None
