"""How an object is to be encrypted: what is said first, and what cannot be meant."""

from __future__ import annotations

import itertools
from base64 import b64encode
from collections.abc import Mapping
from hashlib import md5
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.encryption.choice import (
    BUCKET_KEY,
    CONTEXT,
    CUSTOMER_HEADERS,
    ENCRYPTION,
    KEY_ID,
    NO_ENCRYPTION,
    SOURCE_HEADERS,
    EncryptionSettings,
    chosen_protection,
    customer_key,
    source_key,
)
from s3front.encryption.sse import AES256, DSSE, KMS, Protection
from s3front.s3_errors import S3Error
from shared.records.bucket import BucketRecord

KEY = bytes(range(32))
OVER_HTTP = EncryptionSettings(customer_keys_over_http=True)
ALL = EncryptionSettings(encrypts_all=True)
PLAIN = Protection()

Members = Mapping[str, Any]


def bucket(**default: Any) -> BucketRecord:
    stored = {"cryptoScheme": 1, "mandatory": True, **default} if default else None
    return BucketRecord({"name": "bucket", "owner": "id", "serverSideEncryption": stored})


def said(headers: Mapping[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(headers))


def chosen(
    headers: Mapping[str, str],
    record: BucketRecord | None = None,
    settings: EncryptionSettings = NO_ENCRYPTION,
    *,
    secure: bool = True,
) -> Protection | None:
    return chosen_protection(said(headers), record or bucket(), settings, secure=secure)


def customer(key: bytes = KEY, prefix: str = ENCRYPTION) -> dict[str, str]:
    digest = md5(key, usedforsecurity=False).digest()
    return {
        f"{prefix}-customer-algorithm": "AES256",
        f"{prefix}-customer-key": b64encode(key).decode(),
        f"{prefix}-customer-key-MD5": b64encode(digest).decode(),
    }


def refusal(headers: Mapping[str, str], *arguments: Any, **named: Any) -> S3Error:
    with pytest.raises(S3Error) as caught:
        chosen(headers, *arguments, **named)
    return caught.value


BY_KMS = {ENCRYPTION: KMS}
OF_S3 = bucket(algorithm=AES256)
OF_KMS = bucket(algorithm=KMS, configuredMasterKeyId="a", bucketKeyEnabled=True)
OF_ORIGINAL = bucket(algorithm=KMS, masterKeyId="5e" * 32)
OFFERED = bucket(algorithm=AES256, mandatory=False)


@pytest.mark.parametrize(
    ("headers", "record", "settings", "expected"),
    [
        ({}, bucket(), NO_ENCRYPTION, None),
        ({"Content-Type": "a/b"}, OFFERED, NO_ENCRYPTION, None),
        ({}, bucket(), ALL, PLAIN),
        ({}, OFFERED, ALL, PLAIN),
        ({}, OF_S3, ALL, PLAIN),
        ({}, OF_S3, NO_ENCRYPTION, PLAIN),
        ({}, OF_KMS, ALL, Protection(algorithm=KMS, key_id="a", bucket_key=True)),
        ({}, OF_ORIGINAL, NO_ENCRYPTION, Protection(algorithm=KMS)),
        (
            {},
            bucket(algorithm=DSSE, bucketKeyEnabled=True),
            NO_ENCRYPTION,
            Protection(algorithm=DSSE),
        ),
        ({ENCRYPTION: AES256}, OF_KMS, ALL, PLAIN),
        (BY_KMS, bucket(), NO_ENCRYPTION, Protection(algorithm=KMS)),
        (BY_KMS, OF_KMS, ALL, Protection(algorithm=KMS, bucket_key=True)),
        ({**BY_KMS, BUCKET_KEY: "false"}, OF_KMS, ALL, Protection(algorithm=KMS)),
        ({**BY_KMS, BUCKET_KEY: "True"}, OF_S3, ALL, Protection(algorithm=KMS, bucket_key=True)),
        ({**BY_KMS, KEY_ID: "b"}, OF_S3, ALL, Protection(algorithm=KMS, key_id="b")),
        ({**BY_KMS, KEY_ID: ""}, OF_S3, ALL, Protection(algorithm=KMS)),
        (
            {ENCRYPTION: DSSE, KEY_ID: "b", BUCKET_KEY: "true"},
            OF_KMS,
            ALL,
            Protection(algorithm=DSSE, key_id="b"),
        ),
        (
            {**BY_KMS, CONTEXT: b64encode(b'{"a":"b"}').decode()},
            bucket(),
            NO_ENCRYPTION,
            Protection(algorithm=KMS, context={"a": "b"}),
        ),
        (customer(), OF_KMS, ALL, Protection(customer_key=KEY)),
        ({BUCKET_KEY: "true"}, OF_S3, NO_ENCRYPTION, PLAIN),
    ],
)
def test_who_says_it(
    headers: Mapping[str, str],
    record: BucketRecord,
    settings: EncryptionSettings,
    expected: Protection | None,
) -> None:
    assert chosen(headers, record, settings) == expected
    upper = {name.upper(): text for name, text in headers.items()}
    assert chosen(upper, record, settings) == expected


@pytest.mark.parametrize("algorithm", ["", "AES192", "aws:kms:other", None, 1])
def test_a_default_that_is_not_known_is_never_plain(algorithm: object) -> None:
    assert refusal({}, bucket(algorithm=algorithm)).code == "NotImplemented"


@pytest.mark.parametrize(
    "headers",
    [
        {ENCRYPTION: "aws:KMS"},
        {ENCRYPTION: ""},
        {KEY_ID: "a"},
        {ENCRYPTION: AES256, KEY_ID: "a"},
        {ENCRYPTION: AES256, CONTEXT: "e30="},
        {**BY_KMS, CONTEXT: "{}"},
        {**BY_KMS, CONTEXT: b64encode(b"[]").decode()},
        {**BY_KMS, CONTEXT: b64encode(b'{"a":1}').decode()},
        {**BY_KMS, CONTEXT: b64encode(b'{"a":"b"').decode()},
        {**BY_KMS, CONTEXT: b64encode(b'{"a":"' + b"b" * 9000 + b'"}').decode()},
        {**BY_KMS, BUCKET_KEY: "1"},
        {ENCRYPTION: AES256, **customer()},
        {ENCRYPTION: KMS, **customer()},
    ],
)
def test_what_cannot_be_meant(headers: Mapping[str, str]) -> None:
    """Whatever the bucket says."""
    for record in (bucket(), OF_S3, OF_KMS):
        assert refusal(headers, record, ALL).code == "InvalidArgument"


@pytest.mark.parametrize("key_id", ["\xe9", "a\x7f", "a" * 2049])
def test_a_key_that_no_keeper_has(key_id: str) -> None:
    assert refusal({**BY_KMS, KEY_ID: key_id}).code == "KMS.NotFoundException"


def test_a_clients_key_goes_over_tls_alone() -> None:
    error = refusal(customer(), secure=False)
    assert (error.code, error.status) == ("InvalidRequest", 400)
    assert "secure connection" in error.message
    assert chosen(customer(), settings=OVER_HTTP, secure=False) == Protection(customer_key=KEY)
    # Part of one is refused as well: somebody tries to.
    for name, text in customer().items():
        assert refusal({name: text}, secure=False).code == "InvalidRequest"


def test_a_bucket_that_lets_no_client_use_its_own_key() -> None:
    for blocked, refused in ((["SSE-C"], True), (["NONE"], False), ("SSE-C", False)):
        record = bucket(algorithm=AES256, blockedEncryptionTypes=blocked)
        assert chosen({}, record) == PLAIN
        if refused:
            assert refusal(customer(), record).code == "AccessDenied"
        else:
            assert chosen(customer(), record) == Protection(customer_key=KEY)


NAMES = sorted(CUSTOMER_HEADERS)


@pytest.mark.parametrize(
    "missing",
    [each for count in (1, 2) for each in itertools.combinations(NAMES, count)],
    ids=" ".join,
)
def test_all_of_a_clients_key_is_needed(missing: tuple[str, ...]) -> None:
    sent = {name: text for name, text in customer().items() if name.lower() not in missing}
    error = refusal(sent)
    assert (error.code, error.fields["ArgumentName"]) == ("InvalidArgument", ENCRYPTION)
    for read in (True, False):
        with pytest.raises(S3Error) as caught:
            customer_key(said(sent), NO_ENCRYPTION, secure=True, reads=read)
        assert caught.value.code == "InvalidArgument"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("algorithm", "AES128", "InvalidEncryptionAlgorithmError"),
        ("algorithm", "", "InvalidEncryptionAlgorithmError"),
        ("key", "", "InvalidArgument"),
        ("key", "not base64", "InvalidArgument"),
        ("key", b64encode(KEY[:31]).decode(), "InvalidArgument"),
        ("key", b64encode(KEY + b"a").decode(), "InvalidArgument"),
        ("key-MD5", "", "InvalidArgument"),
        ("key-MD5", "not base64", "InvalidArgument"),
        ("key-MD5", b64encode(bytes(16)).decode(), "InvalidArgument"),
    ],
)
def test_a_clients_key_that_is_none(name: str, value: str, code: str) -> None:
    sent = {**customer(), f"{ENCRYPTION}-customer-{name}": value}
    error = refusal(sent)
    assert error.code == code
    assert b64encode(KEY).decode() not in repr([error.message, error.fields])


def test_to_read_any_key_is_tried() -> None:
    """AWS was recorded to answer that it is not the right one, and not that it is too short."""
    for key in (KEY, KEY[:5], KEY * 2):
        assert customer_key(said(customer(key)), NO_ENCRYPTION, secure=True, reads=True) == key
        if key != KEY:
            assert refusal(customer(key)).code == "InvalidArgument"
    assert customer_key(said({"Range": "bytes=0-1"}), NO_ENCRYPTION, secure=True) is None


def test_the_key_of_a_source_is_another_one() -> None:
    source = customer(KEY[::-1], "x-amz-copy-source-server-side-encryption")
    assert {name.lower() for name in source} == set(SOURCE_HEADERS)
    both = said({**source, ENCRYPTION: AES256})
    assert source_key(both, NO_ENCRYPTION, secure=True) == KEY[::-1]
    assert chosen(dict(both)) == PLAIN
    with pytest.raises(S3Error, match="secure connection"):
        source_key(both, NO_ENCRYPTION, secure=False)


def test_no_protection_shows_its_key() -> None:
    assert repr(KEY) not in repr(chosen(customer()))
