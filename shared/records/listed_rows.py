"""The packed rows of a page of objects (docs/metadata-protocol.md, "Extensions"). Pure.

Most objects of a page differ in three members alone, so they come in runs: what a run has in common
once, and what differs as one list, of which every third entry is a column. Who writes such a row
copies bytes of its projection, and who prints it reads no more than that.

The bytes are msgpack: an array of runs, each ``[common, keys, members]``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final, cast

import msgspec

from shared.records.projection_fields import ListedObject

Member = str | int | float | None
Columns = tuple[list[str | None], list[Member], list[str | None]]

OWN_MEMBERS: Final = 3
"""How many members of a ``ListedObject``, the first ones, each row has of its own."""

_encode = msgspec.msgpack.Encoder().encode


class Common(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What the rows of a run have in common, as in ``ListedObject``."""

    storage_class: str | None
    owner_id: str | None
    owner_name: str | None
    checksum_algorithm: str | None
    checksum_kind: str | None


class Run(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Objects that follow each other in a page."""

    common: Common
    keys: list[str]
    members: list[Member]
    """The last-modified, length and entity tag of each (``ListedObject``)."""

    @property
    def columns(self) -> Columns:
        """Times, lengths and entity tags."""
        members = self.members
        columns = members[0::OWN_MEMBERS], members[1::OWN_MEMBERS], members[2::OWN_MEMBERS]
        return cast("Columns", columns)


_decode = msgspec.msgpack.Decoder(list[Run]).decode


def encode_run(common: bytes, keys: Sequence[str], members: Sequence[bytes]) -> bytes:
    """A run, of a ``Common`` and of what each row has of its own, all of it msgpack already."""
    count = OWN_MEMBERS * len(keys)
    head = b"\xdd" + count.to_bytes(4, "big")
    return b"\x93" + common + _encode(keys) + head + b"".join(members)


def encode_page(runs: Sequence[bytes]) -> bytes:
    """The rows of a page, whose runs are encoded."""
    return b"\xdd" + len(runs).to_bytes(4, "big") + b"".join(runs)


def decode_page(data: bytes) -> list[Run]:
    """The rows of a page; raises msgspec.DecodeError."""
    runs = _decode(data)
    for run in runs:
        if len(run.members) != OWN_MEMBERS * len(run.keys):
            raise msgspec.DecodeError("a run has not as many members as keys")
    return runs


def common_of(listed: ListedObject) -> Common:
    """What an object may have in common with others."""
    return Common(
        listed.storage_class,
        listed.owner_id,
        listed.owner_name,
        listed.checksum_algorithm,
        listed.checksum_kind,
    )


def runs_of(contents: Iterable[tuple[str, ListedObject]]) -> list[Run]:
    """Rows that came one by one, from who packs none."""
    runs: list[Run] = []
    for common, rows in groupby(contents, key=lambda row: common_of(row[1])):
        keys: list[str] = []
        members: list[Member] = []
        for key, listed in rows:
            keys.append(key)
            members += (listed.last_modified, listed.content_length, listed.etag)
        runs.append(Run(common, keys, members))
    return runs
