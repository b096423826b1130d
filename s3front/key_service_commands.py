"""What ``s3front keys`` does where the master keys are kept by a service.

The service keeps the keys, and the metadata which of them are retired; each returns what to print.
They raise S3Error, and RefusedError with words for the operator.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from s3front.keys.account_keys import account_keys, forget_account_key
from s3front.keys.base import KeeperError, MasterKeys, NoCurrentKeyError
from s3front.keys.data_key_cache import CachedKeys
from s3front.keys.removal import named_by, too_early
from s3front.keys.retired_keys import RetiredKeys
from s3front.keys.sealing import Keys
from s3front.keys.used_keys import UsedKeys
from s3front.metadata.gateway import MetadataGateway
from s3front.metadata.key_usage import KeyUsage

_CONTEXT: Final = {"twofold": "keys"}
_HERE: Final = ("file", "mem")


class RefusedError(Exception):
    """It is not done; its text says why."""


async def current_key(keeper: MasterKeys) -> str | None:
    """The master key that new objects get theirs from, as records name it; None where there is
    none yet. Raises S3Error: who is away may have one."""
    try:
        return (await keeper.wrapping_key(None, _CONTEXT)).key_id
    except NoCurrentKeyError:
        return None


async def create(keys: Keys, description: str) -> str:
    """Have the service make a master key: the current one where there is none yet."""
    keeper = _current(keys)
    if await current_key(keeper) is None:
        return await keeper.rotate(description)
    return await keeper.create(description)


async def rotate(keys: Keys, metadata: MetadataGateway) -> str:
    """Have the service make a new master key; where that is the current one then, retire the one
    before."""
    keeper = _current(keys)
    old = await current_key(keeper)
    made = f"{keeper.name}:{await keeper.rotate('Twofold')}"
    try:
        new = await current_key(keeper)
    except KeeperError as error:
        then = "" if old is None else f". If it is, then: s3front keys retire {old}"
        raise RefusedError(
            f"made the master key {made}; whether it is current now cannot be found out "
            f"({error.reason or error.message}){then}"
        ) from error
    if new == old:
        then = "" if old is None else f", have them read it, then: s3front keys retire {old}"
        return (
            f"made the master key {made}, which nothing uses yet: write its ID into the "
            f"configuration of all hosts{then}"
        )
    if old is None:
        return f"the current master key is {new}"
    await RetiredKeys(metadata).add(old)
    return f"the current master key is {new}; {old} is retired"


async def retire(keys: Keys, metadata: MetadataGateway, key_id: str) -> str:
    """Have what is under a key of a service wrapped anew."""
    keeper = _keeper(keys, key_id)
    used = {*await UsedKeys(metadata).every(), *await account_keys(metadata)}
    if key_id not in used:
        raise RefusedError(f"no record was ever under {key_id}")
    if key_id == await current_key(keeper):
        raise RefusedError(f"{key_id} is the current key")
    await RetiredKeys(metadata).add(key_id)
    return f"{key_id} is retired"


async def forget(
    keys: Keys,
    metadata: MetadataGateway,
    key_id: str,
    count: Callable[[MetadataGateway], Awaitable[KeyUsage]],
    wait_seconds: float,
) -> str:
    """Take a key of a service for one that is not needed any more: it was retired so long ago, all
    records are read, and none may name it."""
    keeper = _keeper(keys, key_id)
    if key_id == await current_key(keeper):
        raise RefusedError(f"{key_id} is the current key")
    since = await RetiredKeys(metadata).since(key_id)
    if since is None:
        raise RefusedError(f"{key_id} is not retired: s3front keys retire {key_id}")
    if too_early(since, wait_seconds):
        raise RefusedError(
            f"{key_id} was retired less than {wait_seconds:g} s ago (gcGraceSeconds and "
            "cacheSeconds): a request that began before may still name it"
        )
    if reason := named_by(await count(metadata), key_id):
        raise RefusedError(reason)
    await forget_account_key(metadata, key_id)
    await UsedKeys(metadata).forget(key_id)
    await RetiredKeys(metadata).remove(key_id)
    return f"no record names {key_id}: it may be disabled in the service"


def _current(keys: Keys) -> CachedKeys:
    assert isinstance(keys.current, CachedKeys), "it asks a service, and nothing is noted here"
    return keys.current


def _keeper(keys: Keys, key_id: str) -> MasterKeys:
    name, _, its_own = key_id.partition(":")
    keeper = keys.keepers.get(name)
    if keeper is None or name in _HERE or not its_own:
        raise RefusedError(f"{key_id} is no key of a service that is configured")
    return keeper
