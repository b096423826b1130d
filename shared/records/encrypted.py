"""What records say of the encryption of bytes: in which form they are stored, and which master key
protects theirs. Pure; of keys it knows the names alone.

Read by whoever counts or replaces keys: ``dmd check --encryption``, ``s3front keys``, and the
workers of rotation.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

TWOFOLD_SCHEME: Final = "twofold-1"
CLOUDSERVER: Final = "cloudserver"
"""Stands for the schemes of the original, which are numbers."""

CUSTOMER_KEY: Final = "customer"
"""Stands for the master key of what a customer's own key protects."""

SEALED: Final = "secret"
"""Stands for the scheme of secrets that the metadata keep."""

UNKNOWN: Final = "unknown"

SCHEMES: Final = ("cryptoScheme", "sseCryptoScheme")
MASTER_KEYS: Final = ("masterKeyId", "sseMasterKeyId")
DATA_KEYS: Final = ("cipheredDataKey", "sseCipheredDataKey")
"""Members of a data location that say how its blob is encrypted; the second one of each is that of
parts, which the original renames when it completes the upload."""

_KEY_OF_RECORD: Final = "x-amz-server-side-encryption-aws-kms-key-id"
_SECRET: Final = re.compile("[0-9a-fA-F]{64}")
_SHOWN_DIGITS: Final = 16


class Protected(msgspec.Struct, frozen=True, gc=False):
    """How one stretch of bytes is protected: ``scheme`` is TWOFOLD_SCHEME, CLOUDSERVER, SEALED
    or UNKNOWN, ``key`` the name of the master key, with its keeper in front where that is said."""

    scheme: str
    key: str


def data_members(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The documents of the data locations of an object or part record, as far as they are some."""
    entries = record.get("location")
    if entries is None:
        entries = record.get("partLocations")
    if not isinstance(entries, list):
        entries = [entries]
    return [entry for entry in entries if isinstance(entry, dict)]


def protections(record: Mapping[str, Any]) -> Iterator[Protected | None]:
    """How each stretch of a record's bytes is protected; None for one that is stored as it is."""
    for members in data_members(record):
        yield protection_of(members, record)


def protection_of(members: Mapping[str, Any], record: Mapping[str, Any]) -> Protected | None:
    """The same of one data location of a record."""
    scheme = first_of(members, SCHEMES)
    if scheme is None and first_of(members, DATA_KEYS) is None:
        return None
    key = first_of(members, MASTER_KEYS) or record.get(_KEY_OF_RECORD)
    if scheme == TWOFOLD_SCHEME:
        return Protected(TWOFOLD_SCHEME, key if isinstance(key, str) and key else UNKNOWN)
    if isinstance(scheme, int):
        return Protected(CLOUDSERVER, shown_key(key))
    return Protected(UNKNOWN, shown_key(key))


def sealed_secrets(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The documents of the secrets that a record of identities has sealed: that of an access key,
    or those that seal session tokens."""
    entries = record.get("keys")
    for holder in (record, *(entries if isinstance(entries, list) else ())):
        secret = holder.get("secret") if isinstance(holder, dict) else None
        if isinstance(secret, dict):
            yield secret


def secret_protections(record: Mapping[str, Any]) -> Iterator[Protected]:
    """How each of them is protected."""
    for secret in sealed_secrets(record):
        key = secret.get(MASTER_KEYS[0])
        yield Protected(SEALED, key if isinstance(key, str) and key else UNKNOWN)


def shown_key(key: object) -> str:
    """The name of a master key, as it may be shown: that of CloudServer's ``file`` KMS is the key
    itself, so what is shown of it tells it from others, and no more."""
    if not isinstance(key, str) or not key:
        return UNKNOWN
    found = _SECRET.search(key)
    if found is None:
        return key
    digest = hashlib.sha256(bytes.fromhex(found[0])).hexdigest()[:_SHOWN_DIGITS]
    return f"{CLOUDSERVER}:file:{digest}"


def first_of(members: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The first of some members that says something; None where none does."""
    return next((members[name] for name in names if members.get(name) is not None), None)
