"""PutBucketEncryption's document."""

from __future__ import annotations

import pytest

from s3front.configurations.bucket_encryption import parse_encryption, shown_default
from s3front.objects.default_encryption import DefaultEncryption
from s3front.s3_errors import S3Error

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def document(content: str) -> bytes:
    root = "ServerSideEncryptionConfiguration"
    return f"<{root} {NAMESPACE}>{content}</{root}>".encode()


def rule(algorithm: str = "AES256", key: str = "", more: str = "") -> str:
    applied = f"<SSEAlgorithm>{algorithm}</SSEAlgorithm>{key}"
    name = "ApplyServerSideEncryptionByDefault"
    return f"<Rule><{name}>{applied}</{name}>{more}</Rule>"


def key(key_id: str) -> str:
    return f"<KMSMasterKeyID>{key_id}</KMSMasterKeyID>"


def flag(value: str) -> str:
    return f"<BucketKeyEnabled>{value}</BucketKeyEnabled>"


def blocked(*types: str) -> str:
    each = "".join(f"<EncryptionType>{name}</EncryptionType>" for name in types)
    return f"<BlockedEncryptionTypes>{each}</BlockedEncryptionTypes>"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (rule(), DefaultEncryption("AES256")),
        (rule(more=flag("false")), DefaultEncryption("AES256")),
        (rule("aws:kms"), DefaultEncryption("aws:kms")),
        (rule("aws:kms", key("a"), flag("true")), DefaultEncryption("aws:kms", "a", True)),
        (rule("aws:kms:dsse", key("a")), DefaultEncryption("aws:kms:dsse", "a")),
        (rule(more=blocked("SSE-C")), DefaultEncryption("AES256", blocked=["SSE-C"])),
        (f"<Rule>{blocked('NONE')}</Rule>", DefaultEncryption("AES256", blocked=["NONE"])),
    ],
)
def test_a_default(content: str, expected: DefaultEncryption) -> None:
    found = parse_encryption(document(content))
    assert (found.algorithm, found.key_id, found.bucket_key, list(found.blocked)) == (
        expected.algorithm,
        expected.key_id,
        expected.bucket_key,
        list(expected.blocked),
    )
    body = shown_default(found).body
    assert isinstance(body, bytes)
    assert parse_encryption(body) == found


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "MalformedXML"),
        ("<Rule/>", "MalformedXML"),
        ("<Rules/>", "MalformedXML"),
        (rule() * 2, "MalformedXML"),
        (rule(more="<Other/>"), "MalformedXML"),
        (rule(more=flag("true") * 2), "MalformedXML"),
        (rule(more=flag("yes")), "MalformedXML"),
        (rule(more=flag("")), "MalformedXML"),
        (rule(""), "MalformedXML"),
        (rule("aes256"), "MalformedXML"),
        (rule("aws:kms", "<Other/>"), "MalformedXML"),
        (rule("aws:kms", key("")), "MalformedXML"),
        (rule("aws:kms", key("\xfc")), "MalformedXML"),
        (rule("aws:kms", key("a" * 2049)), "MalformedXML"),
        (rule(more=blocked()), "MalformedXML"),
        (rule(more=blocked("SSE-C", "NONE")), "MalformedXML"),
        (rule(more=blocked("SSE-KMS")), "MalformedXML"),
        (
            rule(more="<BlockedEncryptionTypes><a>SSE-C</a></BlockedEncryptionTypes>"),
            "MalformedXML",
        ),
        (rule("AES256", key("a")), "InvalidArgument"),
        (rule("aws:backup"), "NotImplemented"),
        (rule("aws:fsx"), "NotImplemented"),
    ],
)
def test_what_is_no_default(content: str, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        parse_encryption(document(content))
    assert caught.value.code == code


def test_a_master_key_is_not_shown() -> None:
    shown = shown_default(DefaultEncryption("aws:kms", "5e" * 32)).body
    assert isinstance(shown, bytes)
    assert b"5e5e" not in shown
