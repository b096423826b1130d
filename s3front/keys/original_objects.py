"""Objects that CloudServer has encrypted: whose keys open them.

A location has the data key of its blob, wrapped, and the record the ID of the master key. Which KMS
that is of is not said: the ``file`` KMS has the master key itself for its ID, newer releases name
the KMS in an ARN, and any other ID is of the ``aws`` or the ``kmip`` KMS, whichever is set up.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Final

from s3front.encryption.key_wrapping import KEY_BYTES
from s3front.encryption.original import (
    ORIGINAL_SCHEMES,
    CounterTransform,
    is_master_key,
    unwrapped_by_file_kms,
)
from s3front.encryption.sse import KEY_ID_MEMBER
from s3front.encryption.transform import Transform
from s3front.keys.base import MasterKeys
from s3front.s3_errors import S3Error
from shared.records.data_location import DataLocation
from shared.records.encrypted import DATA_KEYS, MASTER_KEYS, SCHEMES, first_of

KEEPERS_OF_ORIGINAL: Final = ("aws", "kmip")
"""Those whose keys the original knows by the same IDs."""

_ARN: Final = re.compile("arn:scality:kms:[^:]*:([a-z]+)_kms:[^:]*:key/(.+)")


async def opening_of_original(
    keepers: Mapping[str, MasterKeys], document: Mapping[str, Any], location: DataLocation
) -> Transform:
    """The transform of a blob of CloudServer's. ``document`` is the record that names its location.
    Raises S3Error: NotImplemented for what nobody here can open."""
    members = location.members or {}
    scheme, wrapped = first_of(members, SCHEMES), first_of(members, DATA_KEYS)
    key_id = first_of(members, MASTER_KEYS) or document.get(KEY_ID_MEMBER)
    if scheme not in ORIGINAL_SCHEMES or not isinstance(key_id, str) or not key_id:
        raise cannot_open()
    return CounterTransform(await _data_key(keepers, key_id, _decoded(wrapped)))


async def _data_key(keepers: Mapping[str, MasterKeys], key_id: str, wrapped: bytes) -> bytes:
    match = _ARN.fullmatch(key_id)
    names, its_own = (KEEPERS_OF_ORIGINAL, key_id) if match is None else ((match[1],), match[2])
    # What the ``file`` KMS wraps stays as long as it is. Others add to it; and there are KMIP
    # servers whose IDs look like its keys.
    is_of_file = match is None or match[1] == "file"
    if is_of_file and is_master_key(its_own) and len(wrapped) == KEY_BYTES:
        return unwrapped_by_file_kms(its_own, wrapped)
    for name in names:
        if name in keepers:
            return await keepers[name].open_original(its_own, wrapped)
    raise cannot_open()


def _decoded(wrapped: object) -> bytes:
    try:
        found = b64decode(wrapped, validate=True) if isinstance(wrapped, str) else b""
    except ValueError as error:
        raise cannot_open() from error
    if not found:
        raise cannot_open()
    return found


def cannot_open() -> S3Error:
    """Never the ciphertext, with a status that says that all is well."""
    return S3Error(
        "NotImplemented",
        "The data of this object is stored encrypted, by a key that this server does not have.",
    )
