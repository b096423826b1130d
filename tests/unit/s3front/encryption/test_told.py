"""What replies say of encryption, and what a record passes on to another one."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from s3front.encryption.choice import BUCKET_KEY, CONTEXT, ENCRYPTION, KEY_ID
from s3front.encryption.sse import KMS, Protection, protection_members
from s3front.encryption.told import (
    customer_headers,
    kept_members,
    kept_protection,
    made_headers,
    server_headers,
)

KEY = bytes(range(32))
MASTER_KEY = "5e" * 32
CUSTOMER = {
    f"{ENCRYPTION}-customer-algorithm": "AES256",
    f"{ENCRYPTION}-customer-key-md5": "tP/LI3N87DFaSk0aoqYgzg==",
}
BY_KMS = {ENCRYPTION: KMS, KEY_ID: "a", BUCKET_KEY: True, "encryptionContext": {"b": "c"}}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, {}),
        ({ENCRYPTION: ""}, {}),
        ({ENCRYPTION: 1}, {}),
        ({ENCRYPTION: "AES256"}, {ENCRYPTION: "AES256"}),
        # The original has the ID of its key beside any algorithm.
        ({ENCRYPTION: "AES256", KEY_ID: "a"}, {ENCRYPTION: "AES256"}),
        ({ENCRYPTION: KMS, KEY_ID: "a"}, {ENCRYPTION: KMS, KEY_ID: "a"}),
        ({ENCRYPTION: KMS, KEY_ID: MASTER_KEY}, {ENCRYPTION: KMS}),
        (
            {ENCRYPTION: KMS, KEY_ID: f"arn:scality:kms:external:file_kms:1:key/{MASTER_KEY}"},
            {ENCRYPTION: KMS},
        ),
        ({ENCRYPTION: KMS, KEY_ID: ["a"]}, {ENCRYPTION: KMS}),
        (BY_KMS, {ENCRYPTION: KMS, KEY_ID: "a", BUCKET_KEY: "true"}),
    ],
)
def test_a_key_of_the_server(document: dict[str, Any], expected: dict[str, str]) -> None:
    assert server_headers(document) == expected


def test_a_key_of_the_client() -> None:
    assert customer_headers(None) == {}
    assert customer_headers(KEY) == CUSTOMER


def test_who_has_made_it_is_told_the_context() -> None:
    context = b64encode(b'{"b":"c"}').decode()
    expected = {ENCRYPTION: KMS, KEY_ID: "a", BUCKET_KEY: "true", CONTEXT: context}
    assert made_headers(BY_KMS, None) == expected
    assert made_headers({}, None) == {}
    assert made_headers({ENCRYPTION: ""}, Protection(customer_key=KEY)) == CUSTOMER


@pytest.mark.parametrize(
    "protection",
    [
        Protection(),
        Protection(algorithm=KMS),
        Protection(algorithm=KMS, key_id="a", context={"b": "c"}, bucket_key=True),
        Protection(customer_key=KEY),
    ],
)
def test_a_record_says_it_again(protection: Protection) -> None:
    members = protection_members(protection)
    assert kept_members({**members, "key": "a"}) == members
    assert kept_protection(members, protection.customer_key) == protection


def test_a_record_that_says_nothing() -> None:
    document = dict.fromkeys((ENCRYPTION, KEY_ID, f"{ENCRYPTION}-customer-algorithm"), "")
    assert kept_members(document) == {}
    assert kept_protection(document, None) is None
    with pytest.raises(AssertionError):
        kept_protection({f"{ENCRYPTION}-customer-algorithm": "AES256"}, None)


def test_a_master_key_of_the_original_names_none_of_ours() -> None:
    document = {ENCRYPTION: KMS, KEY_ID: MASTER_KEY}
    assert kept_protection(document, None) == Protection(algorithm=KMS)
