"""How an object is to be encrypted: as its request says, or else its bucket, or else the
configuration; and which key of its own a client sends to have something read. Pure.

Headers are those of the Amazon S3 API reference (PutObject, GetObject, CopyObject). Codes and texts
of errors are those that AWS was recorded to answer (``test_s3.snapshot.json`` in LocalStack's
tests, ``TestS3SSECEncryption``), where it was.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec
import orjson

from s3front.encryption.sse import AES256, DSSE, KMS, Protection
from s3front.objects.default_encryption import ALGORITHMS, SSE_C, default_encryption
from s3front.port.request import Headers, names_of
from s3front.s3_errors import S3Error, not_implemented
from shared.records.bucket import BucketRecord
from shared.records.derived import remembered

ENCRYPTION: Final = "x-amz-server-side-encryption"
KEY_ID: Final = f"{ENCRYPTION}-aws-kms-key-id"
CONTEXT: Final = f"{ENCRYPTION}-context"
BUCKET_KEY: Final = f"{ENCRYPTION}-bucket-key-enabled"

_CUSTOMER: Final = f"{ENCRYPTION}-customer-"
_OF_SOURCE: Final = "x-amz-copy-source-server-side-encryption-customer-"
CUSTOMER_ALGORITHM: Final = f"{_CUSTOMER}algorithm"
_CUSTOMER_KEY: Final = f"{_CUSTOMER}key"
CUSTOMER_KEY_MD5: Final = f"{_CUSTOMER}key-md5"

CUSTOMER_HEADERS: Final = frozenset(_CUSTOMER + name for name in ("algorithm", "key", "key-md5"))
SOURCE_HEADERS: Final = frozenset(_OF_SOURCE + name for name in ("algorithm", "key", "key-md5"))
PROTECTION_HEADERS: Final = CUSTOMER_HEADERS | {ENCRYPTION, KEY_ID, CONTEXT, BUCKET_KEY}
"""In lower case: of a client's key, of its key for the source of a copy, and all that choose how a
new object is encrypted."""

_KEY_BYTES: Final = 32
_KEY_ID_CHARACTERS_MAX: Final = 2048
"""Of a key's ARN (AWS KMS API reference, GenerateDataKey)."""

_CONTEXT_CHARACTERS_MAX: Final = 8192


class EncryptionSettings(msgspec.Struct, frozen=True):
    """What the configuration says: whether all is to be encrypted for which neither its request nor
    its bucket says how (``globalEncryptionEnabled``), and whether clients may send keys over
    connections that others can read."""

    encrypts_all: bool = False
    customer_keys_over_http: bool = False


NO_ENCRYPTION: Final = EncryptionSettings()


def chosen_protection(
    headers: Headers, bucket: BucketRecord, settings: EncryptionSettings, *, secure: bool
) -> Protection | None:
    """How a new object of a bucket is to be encrypted; None: not at all. ``secure``: the request
    came over TLS.

    Raises InvalidArgument, InvalidEncryptionAlgorithmError, InvalidRequest for a client's key over
    a connection that is not secure, AccessDenied for one where the bucket lets none, and
    NotImplemented for a default of the bucket that is not known here.
    """
    if not _any_says(names_of(headers)):
        return default_of(bucket, settings)
    key = customer_key(headers, settings, secure=secure)
    if key is not None:
        _let_customer(bucket)
        return Protection(customer_key=key)
    return _by_server(headers, bucket) or default_of(bucket, settings)


def says_protection(headers: Headers) -> bool:
    """Whether a request says itself how its object is to be encrypted."""
    return ENCRYPTION in headers or CUSTOMER_ALGORITHM in headers


def default_of(bucket: BucketRecord, settings: EncryptionSettings) -> Protection | None:
    """How what a request says nothing of is encrypted. Raises NotImplemented."""
    if not bucket.demands_encryption:
        return _SSE_S3 if settings.encrypts_all else None
    return remembered(bucket, _default)


_SSE_S3: Final = Protection()


def _default(bucket: BucketRecord) -> Protection:
    """Of a bucket that demands encryption."""
    wanted = default_encryption(bucket)
    assert wanted is not None
    if wanted.algorithm == AES256:
        return _SSE_S3
    if wanted.algorithm not in ALGORITHMS:
        # To store it otherwise would not be what its owner wants.
        raise not_implemented(f"the default encryption of the bucket ({wanted.algorithm})")
    return Protection(
        algorithm=wanted.algorithm,
        key_id=wanted.key_id,
        bucket_key=wanted.bucket_key and wanted.algorithm == KMS,
    )


def _let_customer(bucket: BucketRecord) -> None:
    """Refuse a client's own key where its bucket lets none (Amazon S3 user guide, "Blocking or
    unblocking SSE-C")."""
    wanted = default_encryption(bucket)
    if wanted is not None and SSE_C in wanted.blocked:
        raise S3Error("AccessDenied", "This bucket lets no object be encrypted by SSE-C.")


# --- Keys of the server ---------------------------------------------------------------------------


def _by_server(headers: Headers, bucket: BucketRecord) -> Protection | None:
    algorithm = headers.get(ENCRYPTION)
    if algorithm is not None and algorithm not in ALGORITHMS:
        raise _invalid("The encryption method specified is not supported", algorithm)
    if algorithm not in (KMS, DSSE):
        if any(name in headers for name in (KEY_ID, CONTEXT)):
            raise _invalid(
                "Server Side Encryption with AWS KMS managed key requires HTTP header "
                f"{ENCRYPTION} : {KMS}",
                algorithm,
            )
        return None if algorithm is None else _SSE_S3
    by_default = remembered(bucket, _default) if bucket.demands_encryption else None
    bucket_key = _flag(headers)
    if bucket_key is None:
        # Amazon S3 user guide, "Reducing the cost of SSE-KMS with Amazon S3 Bucket Keys".
        bucket_key = by_default is not None and by_default.bucket_key
    return Protection(
        algorithm=algorithm,
        key_id=_key_id(headers),
        context=_context(headers),
        # There are none for DSSE-KMS (ibidem).
        bucket_key=bucket_key and algorithm == KMS,
    )


def _key_id(headers: Headers) -> str | None:
    given = headers.get(KEY_ID)
    if not given:
        return None
    if not given.isascii() or not given.isprintable() or len(given) > _KEY_ID_CHARACTERS_MAX:
        raise S3Error("KMS.NotFoundException", "Invalid keyId")
    return given


def _flag(headers: Headers) -> bool | None:
    given = headers.get(BUCKET_KEY)
    if given is None:
        return None
    if given.lower() not in ("true", "false"):
        fields = {"ArgumentName": BUCKET_KEY, "ArgumentValue": given}
        raise S3Error("InvalidArgument", f"Value for {BUCKET_KEY} header is invalid.", fields)
    return given.lower() == "true"


def _context(headers: Headers) -> Mapping[str, str]:
    given = headers.get(CONTEXT)
    if given is None:
        return {}
    try:
        if len(given) > _CONTEXT_CHARACTERS_MAX:
            raise ValueError
        found = orjson.loads(b64decode(given, validate=True))
    except ValueError:
        found = None
    if isinstance(found, dict) and all(isinstance(text, str) for text in found.values()):
        return found
    raise S3Error(
        "InvalidArgument",
        f"The header '{CONTEXT}' shall be Base64-encoded UTF-8 string holding JSON which "
        "represents a string-string map",
        {"ArgumentName": CONTEXT, "ArgumentValue": given},
    )


# --- Keys of clients ------------------------------------------------------------------------------


def customer_key(
    headers: Headers, settings: EncryptionSettings, *, secure: bool, reads: bool = False
) -> bytes | None:
    """The key that a client sends for the object of its request; None when it sends none.
    ``reads``: the object is there, and no key but its own will do, however long it is.

    Raises InvalidArgument, InvalidEncryptionAlgorithmError, and InvalidRequest over a connection
    that others can read. No error has a key in it.
    """
    if CUSTOMER_ALGORITHM in headers or _CUSTOMER_KEY in headers or CUSTOMER_KEY_MD5 in headers:
        return _customer_key(headers, _CUSTOMER, settings, secure=secure, reads=reads)
    return None


def source_key(headers: Headers, settings: EncryptionSettings, *, secure: bool) -> bytes | None:
    """The same for the source of a copy."""
    return _customer_key(headers, _OF_SOURCE, settings, secure=secure, reads=True)


@lru_cache(maxsize=64)
def _any_says(names: str) -> bool:
    """Whether one of these names, a line each, is a header of encryption. Clients send the same
    again and again."""
    return any(name.startswith(ENCRYPTION) for name in names.lower().split("\n"))


def _customer_key(
    headers: Headers, prefix: str, settings: EncryptionSettings, *, secure: bool, reads: bool
) -> bytes | None:
    algorithm, key, md5 = (headers.get(prefix + name) for name in ("algorithm", "key", "key-md5"))
    if algorithm is None and key is None and md5 is None:
        return None
    if not secure and not settings.customer_keys_over_http:
        raise S3Error(
            "InvalidRequest",
            "Requests specifying Server Side Encryption with Customer provided keys must be made "
            "over a secure connection.",
        )
    if prefix == _CUSTOMER and ENCRYPTION in headers:
        raise _invalid(
            "Server Side Encryption with Customer provided key is incompatible with the encryption "
            "method specified",
            headers[ENCRYPTION],
        )
    if algorithm is None:
        raise _invalid_customer("provide a valid encryption algorithm.")
    if key is None:
        raise _invalid_customer("provide an appropriate secret key.")
    if algorithm != AES256:
        fields = {"ArgumentName": ENCRYPTION, "ArgumentValue": algorithm}
        raise S3Error("InvalidEncryptionAlgorithmError", fields=fields)
    return _checked(key, md5, reads=reads)


def _checked(key: str, md5: str | None, *, reads: bool) -> bytes:
    try:
        secret = b64decode(key, validate=True)
    except ValueError:
        secret = b""
    if not secret or (len(secret) != _KEY_BYTES and not reads):
        raise _invalid("The secret key was invalid for the specified algorithm.", None)
    if md5 is None:
        raise _invalid_customer("provide the client calculated MD5 of the secret key.")
    try:
        given = b64decode(md5, validate=True)
    except ValueError:
        given = b""
    if not hmac.compare_digest(given, hashlib.md5(secret, usedforsecurity=False).digest()):
        raise _invalid(
            "The calculated MD5 hash of the key did not match the hash that was provided.", None
        )
    return secret


def _invalid_customer(missing: str) -> S3Error:
    return _invalid(
        f"Requests specifying Server Side Encryption with Customer provided keys must {missing}",
        None,
    )


def _invalid(message: str, value: str | None) -> S3Error:
    """InvalidArgument; AWS names this header, whichever it was."""
    fields = {"ArgumentName": ENCRYPTION, "ArgumentValue": "null" if value is None else value}
    return S3Error("InvalidArgument", message, fields)
