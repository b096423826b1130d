"""The default encryption of a bucket, as its record has it. Pure.

    serverSideEncryption: {cryptoScheme: 1, algorithm: "aws:kms", mandatory: true,
                           masterKeyId, configuredMasterKeyId,            (the original's)
                           masterKeyName, bucketKeyEnabled, blockedEncryptionTypes,   (ours)
                           formerMasterKeys}

It counts where ``mandatory`` is true; the original has it without, too, when it has made a master
key for the bucket, whose ID is ``masterKeyId``: with its ``file`` KMS, that is the key itself. A
key that somebody has named is ``configuredMasterKeyId`` (reference/dmd-wire.md, section 5).

Both stand there only if the original can have the key as well, from a KMS that it knows: its
``file`` KMS takes any other ID for the digits of a key, and encrypts by an empty one (seen with
8.8.35). Without them it does nothing with the bucket, whose objects it could not read either. A key
of any other keeper that was named is ``masterKeyName``.

``formerMasterKeys`` are keys of its ``file`` KMS that stood in the place of others before: there
may be parts of uploads whose key stands nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from shared.records.bucket import BucketRecord

AES256: Final = "AES256"
KMS: Final = "aws:kms"
DSSE: Final = "aws:kms:dsse"
"""The server-side encryptions of S3. Of the last the two layers are one, by the same key."""

ALGORITHMS: Final = (AES256, KMS, DSSE)

SSE_C: Final = "SSE-C"
NO_TYPE: Final = "NONE"
"""Of ``blocked``: encryption by keys of clients, and nothing."""

MEMBER: Final = "serverSideEncryption"

_NAMED_KEY: Final = "configuredMasterKeyId"
_OUR_KEY: Final = "masterKeyName"
_FORMER: Final = "formerMasterKeys"

_SCHEME: Final = 1
"""The original asks for a number, and takes it for that of its own format."""


_MASTER_KEY: Final = re.compile("[0-9a-fA-F]{64}")


def shown_key_id(key_id: object) -> str | None:
    """The ID of a master key, for a client; None for what is none, and for one that is that key
    itself, or has it in it, as the ``file`` KMS of the original does."""
    if not isinstance(key_id, str) or not key_id or _MASTER_KEY.search(key_id) is not None:
        return None
    return key_id


class DefaultEncryption(msgspec.Struct, frozen=True):
    """``algorithm`` is what the record says, known or not. ``key_id`` is the master key that was
    named; ``bucket_key``: SSE-KMS makes its data keys for the bucket; ``blocked`` are encryptions
    that no client may choose."""

    algorithm: str
    key_id: str | None = None
    bucket_key: bool = False
    blocked: Sequence[str] = ()


def default_encryption(bucket: BucketRecord) -> DefaultEncryption | None:
    """How the bucket wants its new objects encrypted; None: not at all. What has another form than
    that says an algorithm which nobody knows."""
    if not bucket.demands_encryption:
        return None
    stored = _stored(bucket)
    key_id = stored.get(_OUR_KEY) or stored.get(_NAMED_KEY)
    blocked = stored.get("blockedEncryptionTypes")
    return DefaultEncryption(
        str(stored.get("algorithm")),
        key_id if isinstance(key_id, str) and key_id else None,
        stored.get("bucketKeyEnabled") is True,
        [str(each) for each in blocked] if isinstance(blocked, list) else (),
    )


def default_members(
    wanted: DefaultEncryption,
    former: Mapping[str, Any],
    master_key_id: str | None,
    *,
    shared: bool,
) -> Mapping[str, Any]:
    """The member of a bucket's record, given what it was before. ``shared``: the original can have
    the master keys as well. ``master_key_id`` is the current one, for the original: it needs one
    where none was named. One that it has made itself stays, as it keeps it."""
    stored: dict[str, Any] = {
        "cryptoScheme": _SCHEME,
        "algorithm": wanted.algorithm,
        "mandatory": True,
    }
    its_own = original_keys(former)
    made = former.get("masterKeyId") or next(iter(its_own), None)
    if isinstance(made, str) and made:
        stored["masterKeyId"] = made
    elif wanted.key_id is None and shared:
        stored["masterKeyId"] = master_key_id
    if former.get("isAccountEncryptionEnabled"):
        stored["isAccountEncryptionEnabled"] = True
    if wanted.key_id is not None:
        stored[_NAMED_KEY if shared else _OUR_KEY] = wanted.key_id
    if wanted.bucket_key:
        stored["bucketKeyEnabled"] = True
    if wanted.blocked:
        stored["blockedEncryptionTypes"] = list(wanted.blocked)
    if others := [key for key in its_own if key != made]:
        stored[_FORMER] = others
    return {MEMBER: stored}


def original_keys(stored: Mapping[str, Any]) -> list[str]:
    """The keys of the original's ``file`` KMS that the member of a bucket's record has, the newest
    first."""
    former = stored.get(_FORMER)
    found = [stored.get(_NAMED_KEY), stored.get("masterKeyId")]
    found += former if isinstance(former, list) else []
    keys = [key for key in found if isinstance(key, str) and _MASTER_KEY.search(key)]
    return list(dict.fromkeys(keys))


def without_default(bucket: BucketRecord) -> BucketRecord:
    """The record without its default: it demands nothing any more, and keeps the master key that
    the original has made for it, as the original does. Without any, which it does not read, nothing
    is left."""
    stored = _stored(bucket)
    if not stored.get("masterKeyId") and not stored.get(_NAMED_KEY):
        return bucket.changed({MEMBER: None})
    names = ("cryptoScheme", "algorithm", "masterKeyId", _NAMED_KEY, _FORMER)
    kept = {name: stored[name] for name in (*names, "isAccountEncryptionEnabled") if name in stored}
    return bucket.changed({MEMBER: {**kept, "mandatory": False}})


def _stored(bucket: BucketRecord) -> Mapping[str, Any]:
    stored = bucket.document[MEMBER]
    return stored if isinstance(stored, dict) else {}
