"""What replies say of how an object, an upload or a part is encrypted. Pure.

Headers are those of the Amazon S3 API reference (PutObject, GetObject, CreateMultipartUpload).
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

import orjson

from s3front.encryption.choice import (
    BUCKET_KEY,
    CONTEXT,
    CUSTOMER_ALGORITHM,
    CUSTOMER_KEY_MD5,
    ENCRYPTION,
    KEY_ID,
)
from s3front.encryption.sse import (
    AES256,
    ALGORITHM_MEMBER,
    BUCKET_KEY_MEMBER,
    CONTEXT_MEMBER,
    CUSTOMER_CHECK_MEMBER,
    CUSTOMER_MEMBER,
    DSSE,
    KEY_ID_MEMBER,
    KMS,
    Protection,
)
from s3front.objects.default_encryption import shown_key_id

_MEMBERS: Final = (
    ALGORITHM_MEMBER,
    KEY_ID_MEMBER,
    CUSTOMER_MEMBER,
    BUCKET_KEY_MEMBER,
    CONTEXT_MEMBER,
    CUSTOMER_CHECK_MEMBER,
)


def server_headers(document: Mapping[str, Any]) -> dict[str, str]:
    """What a reply says of a record whose object is encrypted by a key of the server."""
    algorithm = document.get(ALGORITHM_MEMBER)
    if not isinstance(algorithm, str) or not algorithm:
        return {}
    headers = {ENCRYPTION: algorithm}
    if algorithm in (KMS, DSSE):
        key_id = shown_key_id(document.get(KEY_ID_MEMBER))
        if key_id is not None:
            headers[KEY_ID] = key_id
        if document.get(BUCKET_KEY_MEMBER) is True:
            headers[BUCKET_KEY] = "true"
    return headers


def customer_headers(key: bytes | None) -> dict[str, str]:
    """What a reply says of a client's own key that was used."""
    if key is None:
        return {}
    md5 = hashlib.md5(key, usedforsecurity=False).digest()
    return {CUSTOMER_ALGORITHM: AES256, CUSTOMER_KEY_MD5: b64encode(md5).decode()}


def made_headers(document: Mapping[str, Any], protection: Protection | None) -> dict[str, str]:
    """What the reply says to a request that made this record, and wanted it encrypted so."""
    if protection is not None and protection.customer_key is not None:
        return customer_headers(protection.customer_key)
    headers = server_headers(document)
    if headers and (context := document.get(CONTEXT_MEMBER)):
        headers[CONTEXT] = b64encode(orjson.dumps(context)).decode()
    return headers


def kept_members(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a record says of how it is encrypted, for the record that is made of it."""
    return {name: document[name] for name in _MEMBERS if document.get(name)}


def kept_protection(document: Mapping[str, Any], customer_key: bytes | None) -> Protection | None:
    """How an upload said that its parts are encrypted, to do it with one of them, or how an object
    was, to do it again; None: not at all. ``customer_key`` is the client's, which was checked."""
    if document.get(CUSTOMER_MEMBER):
        assert customer_key is not None
        return Protection(customer_key=customer_key)
    algorithm = document.get(ALGORITHM_MEMBER)
    if not algorithm:
        return None
    if algorithm not in (KMS, DSSE):
        return Protection()
    context = document.get(CONTEXT_MEMBER)
    return Protection(
        algorithm=algorithm,
        key_id=shown_key_id(document.get(KEY_ID_MEMBER)),
        context=context if isinstance(context, dict) else {},
        bucket_key=document.get(BUCKET_KEY_MEMBER) is True,
    )
