from __future__ import annotations

import os
from base64 import b64decode, b64encode

import pytest
from msgspec.structs import replace

from s3front.encryption.key_wrapping import (
    FOR_BLOB,
    FOR_CHECK,
    FOR_TEXT,
    BoundTo,
    UnwrapError,
    WrappingKey,
    unwrap,
    unwrapped_blob_key,
    wrap,
    wrapped_members,
)

BY = WrappingKey("file:a", bytes(range(32)))
BOUND = BoundTo("bucket", "a/key")


def test_a_wrapped_key_is_opened_again() -> None:
    secret = os.urandom(32)
    wrapped = wrap(secret, BY, BOUND, FOR_BLOB)
    assert unwrap(wrapped, BY, BOUND, FOR_BLOB) == secret
    assert wrap(secret, BY, BOUND, FOR_BLOB) != wrapped


@pytest.mark.parametrize(
    ("by", "bound"),
    [
        (replace(BY, secret=bytes(32)), BOUND),
        (replace(BY, key_id="file:b"), BOUND),
        (BY, BoundTo("bucket", "a/other")),
        (BY, BoundTo("other", "a/key")),
        # The same text, cut elsewhere.
        (BY, BoundTo("bucketa", "/key")),
    ],
)
def test_another_key_or_object_opens_nothing(by: WrappingKey, bound: BoundTo) -> None:
    wrapped = wrap(os.urandom(32), BY, BOUND, FOR_BLOB)
    with pytest.raises(UnwrapError):
        unwrap(wrapped, by, bound, FOR_BLOB)


def test_an_altered_one_opens_nothing() -> None:
    packed = b64decode(wrap(os.urandom(32), BY, BOUND, FOR_BLOB))
    for at in range(len(packed)):
        altered = bytearray(packed)
        altered[at] ^= 1
        with pytest.raises(UnwrapError):
            unwrap(b64encode(altered).decode(), BY, BOUND, FOR_BLOB)
        with pytest.raises(UnwrapError):
            unwrap(b64encode(packed[:at]).decode(), BY, BOUND, FOR_BLOB)


@pytest.mark.parametrize("odd", [None, 7, "", "é", "!", "AQ==", ["AQ=="], "AQ", "A" * 100_000])
def test_what_is_no_wrapped_key_opens_nothing(odd: object) -> None:
    with pytest.raises(UnwrapError):
        unwrap(odd, BY, BOUND, FOR_BLOB)


def test_any_key_of_s3_can_be_bound_to() -> None:
    for key in ("ключ", "a\ud800", "\0", "x" * 1024):
        bound = BoundTo("bucket", key)
        assert unwrap(wrap(b"secret", BY, bound, FOR_TEXT), BY, bound, FOR_TEXT) == b"secret"


def test_a_record_says_who_wrapped() -> None:
    members = wrapped_members(bytes(32), BY, BOUND, 7)
    assert {**members, "cipheredDataKey": ""} == {
        "cryptoScheme": "twofold-1",
        "cipheredDataKey": "",
        "masterKeyId": "file:a",
        "blobNumber": 7,
    }
    remote = replace(BY, wrapped="Y2lwaGVy")
    assert wrapped_members(bytes(32), remote, BOUND, 7)["wrappedKey"] == "Y2lwaGVy"


def test_secrets_are_not_shown() -> None:
    assert BY.secret.hex() not in repr(BY)
    assert repr(BY.secret) not in repr(BY)


def test_a_wrapped_secret_is_taken_for_nothing_else() -> None:
    """What proves the key of a client, or a text, is no key of a blob, though both are wrapped by
    one key for one object."""
    for purpose in (FOR_CHECK, FOR_TEXT):
        for secret in (b"", bytes(32)):
            members = dict(wrapped_members(bytes(32), BY, BOUND, 0))
            members["cipheredDataKey"] = wrap(secret, BY, BOUND, purpose)
            with pytest.raises(UnwrapError):
                unwrapped_blob_key(members, BY, BOUND)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_of_another_length_is_none(size: int) -> None:
    members = wrapped_members(bytes(size), BY, BOUND, 0)
    with pytest.raises(UnwrapError):
        unwrapped_blob_key(members, BY, BOUND)


@pytest.mark.parametrize("number", [8, 0, -1, None, "7", 7.0, True, 1 << 63, 1 << 80])
def test_a_blob_of_another_number_opens_nothing(number: object) -> None:
    members = {**wrapped_members(bytes(32), BY, BOUND, 7), "blobNumber": number}
    with pytest.raises(UnwrapError):
        unwrapped_blob_key(members, BY, BOUND)
