"""Sealing secrets anew whose master key was retired: those of access keys, and those that seal
session tokens. It is the last part of a pass of ``s3front.work.key_rotation``, whose rules hold.

A slice is one commit, and a change as any other of identities (``s3front.iam.change_log``), so that
every front-end reads the records again.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

import orjson
from msgspec import DecodeError

from s3front.iam.change_log import change_operations, still, version_of
from s3front.iam.records import SESSIONS_KEY, VERSION_KEY, sealing_key_name, secret_name
from s3front.keys.base import MasterKeys
from s3front.keys.sealed_text import resealed
from s3front.metadata import gateway
from s3front.metadata.gateway import ChangedError, Found, MetadataGateway
from s3front.s3_errors import S3Error
from shared.records.encrypted import sealed_secrets, secret_protections
from shared.records.names import IAM

FIRST_KEY: Final = "key/"
"""Where it begins: the records before have no secrets."""

SLICE_RECORDS: Final = 50
_BEHIND_KEYS: Final = "key0"
_AWAY: Final = 503
_REQUEST_ID: Final = "key-rotation"

GiveUp = Callable[[str, str], Awaitable[None]]
"""Sets a record aside, by its key, with the reason."""


class SecretRotation:
    """See the module. ``note`` is told of each master key that is used, before it is."""

    def __init__(
        self, metadata: MetadataGateway, note: Callable[[str], Awaitable[None]], give_up: GiveUp
    ) -> None:
        self._metadata = metadata
        self._note = note
        self._give_up = give_up

    async def step(
        self, after: str, retired: Collection[str], keepers: Mapping[str, MasterKeys]
    ) -> tuple[str | None, int, int, int]:
        """Do a slice: the records behind this key. Where the next one begins, None: all is done;
        and how many records were written, left to the next pass, and failed. Raises S3Error."""
        keys = await self._next_keys(after)
        behind = keys[-1] if len(keys) == SLICE_RECORDS else None
        if behind is None:
            keys.append(SESSIONS_KEY)
        wanted = [(IAM, key) for key in (VERSION_KEY, *keys)]
        version, *found = await self._metadata.get_each(wanted, _REQUEST_ID)
        changed: dict[str, str | None] = {}
        requires = []
        failed = 0
        for key, entry in zip(keys, found, strict=True):
            document = {} if entry is None else entry.document
            if entry is None or entry.revision is None or not _is_under(document, retired):
                continue
            try:
                text = await self._anew(document, retired, keepers)
            except S3Error as error:
                if error.status == _AWAY:
                    raise
                failed += 1
                await self._give_up(key, str(error.__cause__ or error))
                continue
            changed[key] = text
            requires.append(gateway.has_revision(IAM, key, entry.revision))
        written = await self._commit(changed, version, requires)
        return behind, written, len(changed) - written, failed

    async def _next_keys(self, after: str) -> list[str]:
        bounds = {"gt": after, "lt": _BEHIND_KEYS, "limit": SLICE_RECORDS}
        keys: list[str] = []
        async with aclosing(self._metadata.pages(IAM, bounds, _REQUEST_ID)) as pages:
            async for page in pages:
                keys += [key for key, _ in page]
        return keys

    async def _anew(
        self,
        document: dict[str, Any],
        retired: Collection[str],
        keepers: Mapping[str, MasterKeys],
    ) -> str:
        """The record with its secrets sealed anew."""
        is_sessions = "keys" in document
        holders = document["keys"] if is_sessions else [document]
        for holder in holders:
            name = (sealing_key_name if is_sessions else secret_name)(str(holder.get("id")))
            for secret in sealed_secrets(holder):
                if secret.get("masterKeyId") in retired:
                    holder["secret"] = await resealed(keepers, secret, name, retired)
                    await self._note(holder["secret"]["masterKeyId"])
        return orjson.dumps(document).decode()

    async def _commit(
        self,
        changed: Mapping[str, str | None],
        version: Found | None,
        requires: Sequence[gateway.Requirement],
    ) -> int:
        if not changed:
            return 0
        revision = None if version is None else version.revision
        try:
            before = version_of(None if version is None else version.text)
        except DecodeError as error:
            raise S3Error("InternalError") from error
        operations = change_operations(changed, before, secrets.token_hex(8))
        try:
            await self._metadata.commit(operations, [still(revision), *requires], _REQUEST_ID)
        except ChangedError:
            return 0
        return len(changed)


def _is_under(document: Mapping[str, Any], retired: Collection[str]) -> bool:
    return any(each.key in retired for each in secret_protections(document))
