"""Wrapping the keys of stored blobs anew, under the master key that has replaced theirs.

Of a record nothing changes but how the keys of its blobs are wrapped: no byte is stored again, and
nothing that clients see is another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from s3front.encryption.key_wrapping import (
    WRAPPED_MEMBER,
    BoundTo,
    WrappingKey,
    blob_number,
    unwrapped_blob_key,
    wrapped_members,
)
from s3front.encryption.sse import key_context
from s3front.keys.base import AwayError, KeeperError, KeyContext, MasterKeys
from shared.records.encrypted import TWOFOLD_SCHEME, protection_of, protections

_LISTS = ("location", "partLocations")


def names_one_of(record: Mapping[str, Any], key_ids: Collection[str]) -> bool:
    """Whether a key of a record is wrapped under one of these master keys."""
    return any(
        each is not None and each.scheme == TWOFOLD_SCHEME and each.key in key_ids
        for each in protections(record)
    )


async def rewrapped(
    record: Mapping[str, Any],
    governing: Mapping[str, Any],
    bound: BoundTo,
    keepers: Mapping[str, MasterKeys],
    key_ids: Collection[str],
) -> dict[str, Any]:
    """A record, an object's or a part's, whose keys are under none of these master keys any more.

    ``governing`` is the record that says how it is encrypted: of a part, that of its upload.
    Raises UnwrapError, S3Error.
    """
    changed = dict(record)
    for name in _LISTS:
        entries = record.get(name)
        if isinstance(entries, list):
            changed[name] = [
                await _rewrapped(entry, governing, bound, keepers, key_ids)
                if _is_under(entry, governing, key_ids)
                else entry
                for entry in entries
            ]
    return changed


def _is_under(entry: Any, governing: Mapping[str, Any], key_ids: Collection[str]) -> bool:
    found = protection_of(entry, governing) if isinstance(entry, dict) else None
    return found is not None and found.scheme == TWOFOLD_SCHEME and found.key in key_ids


async def _rewrapped(
    entry: Mapping[str, Any],
    governing: Mapping[str, Any],
    bound: BoundTo,
    keepers: Mapping[str, MasterKeys],
    retired: Collection[str],
) -> dict[str, Any]:
    key_id = str(entry["masterKeyId"])
    name, _, its_own = key_id.partition(":")
    keeper, context = keepers[name], key_context(governing, bound.bucket, bound.key)
    wrapped = str(entry.get(WRAPPED_MEMBER) or "")
    before = WrappingKey(key_id, await keeper.opened(its_own, wrapped, context), wrapped)
    blob_key = unwrapped_blob_key(entry, before, bound)
    after = await replacement(keeper, its_own, context, retired)
    kept = {member: value for member, value in entry.items() if member != WRAPPED_MEMBER}
    return {**kept, **wrapped_members(blob_key, after, bound, blob_number(entry))}


async def replacement(
    keeper: MasterKeys, key_id: str, context: KeyContext, retired: Collection[str]
) -> WrappingKey:
    """A wrapping key of what has replaced a key of a keeper, and is none of the ``retired``, whose
    names have the keeper's in front. Raises S3Error."""
    # The key file knows what has replaced a key, and a service the newest version of one.
    after = await keeper.wrapping_key(key_id, context)
    if after.key_id in retired:
        try:
            after = await keeper.wrapping_key(None, context)
        except KeeperError as error:
            # It is not the record's fault, and the same for all of them.
            raise AwayError(
                f"the master key that is configured: {error.reason or error}"
            ) from error
    if after.key_id in retired:
        raise AwayError(f"{after.key_id} is retired, and is the master key that is configured")
    return after
