from __future__ import annotations

import os
from base64 import b64decode, b64encode

import pytest
from msgspec.structs import replace

from s3front.encryption.key_wrapping import (
    BoundTo,
    UnwrapError,
    WrappingKey,
    unwrap,
    wrap,
    wrapped_members,
)

BY = WrappingKey("file:a", bytes(range(32)))
BOUND = BoundTo("bucket", "a/key")


def test_a_wrapped_key_is_opened_again() -> None:
    secret = os.urandom(32)
    wrapped = wrap(secret, BY, BOUND)
    assert unwrap(wrapped, BY, BOUND) == secret
    assert wrap(secret, BY, BOUND) != wrapped


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
    wrapped = wrap(os.urandom(32), BY, BOUND)
    with pytest.raises(UnwrapError):
        unwrap(wrapped, by, bound)


def test_an_altered_one_opens_nothing() -> None:
    packed = b64decode(wrap(os.urandom(32), BY, BOUND))
    for at in range(len(packed)):
        altered = bytearray(packed)
        altered[at] ^= 1
        with pytest.raises(UnwrapError):
            unwrap(b64encode(altered).decode(), BY, BOUND)
        with pytest.raises(UnwrapError):
            unwrap(b64encode(packed[:at]).decode(), BY, BOUND)


@pytest.mark.parametrize("odd", [None, 7, "", "é", "!", "AQ==", ["AQ=="], "AQ", "A" * 100_000])
def test_what_is_no_wrapped_key_opens_nothing(odd: object) -> None:
    with pytest.raises(UnwrapError):
        unwrap(odd, BY, BOUND)


def test_any_key_of_s3_can_be_bound_to() -> None:
    for key in ("ключ", "a\ud800", "\0", "x" * 1024):
        bound = BoundTo("bucket", key)
        assert unwrap(wrap(b"secret", BY, bound), BY, bound) == b"secret"


def test_a_record_says_who_wrapped() -> None:
    members = wrapped_members(bytes(32), BY, BOUND)
    assert {**members, "cipheredDataKey": ""} == {
        "cryptoScheme": "twofold-1",
        "cipheredDataKey": "",
        "masterKeyId": "file:a",
    }
    remote = replace(BY, wrapped="Y2lwaGVy")
    assert wrapped_members(bytes(32), remote, BOUND)["wrappedKey"] == "Y2lwaGVy"


def test_secrets_are_not_shown() -> None:
    assert BY.secret.hex() not in repr(BY)
    assert repr(BY.secret) not in repr(BY)
