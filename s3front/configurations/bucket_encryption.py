"""The default encryption of a bucket. Pure.

AWS encrypts every bucket since January 2023, and says so of one where nothing is configured. Here
that is so where the configuration says it (``globalEncryptionEnabled``); else it is answered what
AWS did before: that there is none. How it is put needs a master key
(``s3front.operations.encrypted_buckets``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from s3front.configurations.base import Configuration, not_found
from s3front.objects.default_encryption import (
    AES256,
    ALGORITHMS,
    KMS,
    MEMBER,
    NO_TYPE,
    SSE_C,
    DefaultEncryption,
    default_encryption,
    shown_key_id,
    without_default,
)
from s3front.port.reply import xml_reply
from s3front.port.request import Reply
from s3front.port.xml import element, parse, readable_element
from s3front.s3_errors import S3Error, not_implemented
from shared.records.bucket import BucketRecord

BY_DEFAULT: Final = DefaultEncryption(AES256)
"""Of a bucket of which nothing else is said, where all is encrypted."""

_ROOT: Final = "ServerSideEncryptionConfiguration"
_APPLIED: Final = "ApplyServerSideEncryptionByDefault"
_BLOCKED: Final = "BlockedEncryptionTypes"
_OF_RULE: Final = (_APPLIED, "BucketKeyEnabled", _BLOCKED)
_OF_OTHER_SERVICES: Final = ("aws:backup", "aws:fsx")
_FLAGS: Final = {"true": True, "false": False}
_KEY_ID_CHARACTERS_MAX: Final = 2048


@dataclass(frozen=True, slots=True)
class _Encryption(Configuration):
    def is_set(self, record: BucketRecord) -> bool:
        """CloudServer keeps a key of the account in records of buckets that are not encrypted."""
        return record.demands_encryption

    def without(self, record: BucketRecord) -> BucketRecord:
        """As the original has it, which keeps its key."""
        return without_default(record) if record.demands_encryption else record


def show_encryption(record: BucketRecord) -> Reply:
    """The one rule (Amazon S3 API reference, GetBucketEncryption). Raises NotImplemented."""
    stored = default_encryption(record)
    assert stored is not None
    if stored.algorithm not in ALGORITHMS:
        raise not_implemented("the stored default encryption of the bucket")
    return shown_default(stored)


def shown_default(stored: DefaultEncryption) -> Reply:
    """A default as the document of a reply."""
    chosen = readable_element("SSEAlgorithm", stored.algorithm) + readable_element(
        "KMSMasterKeyID", shown_key_id(stored.key_id)
    )
    rule = f"<{_APPLIED}>{chosen}</{_APPLIED}>"
    rule += element("BucketKeyEnabled", "true" if stored.bucket_key else "false")
    if stored.blocked:
        types = "".join(readable_element("EncryptionType", each) for each in stored.blocked)
        rule += f"<{_BLOCKED}>{types}</{_BLOCKED}>"
    return xml_reply(_ROOT, f"<Rule>{rule}</Rule>")


def parse_encryption(body: bytes) -> DefaultEncryption:
    """The default that a document sets; raises MalformedXML, InvalidArgument and NotImplemented."""
    rules = list(parse(body, _ROOT))
    if len(rules) != 1 or rules[0].tag != "Rule" or not len(rules[0]):
        raise S3Error("MalformedXML")
    (rule,) = rules
    names = [child.tag for child in rule]
    if len(set(names)) < len(names) or not set(names).issubset(_OF_RULE):
        raise S3Error("MalformedXML")
    algorithm, key_id = _applied(rule.find(_APPLIED))
    bucket_key = rule.findtext("BucketKeyEnabled", "false").strip()
    if bucket_key not in _FLAGS:
        raise S3Error("MalformedXML")
    return DefaultEncryption(algorithm, key_id, _FLAGS[bucket_key], _blocked(rule.find(_BLOCKED)))


def _applied(applied: Element | None) -> tuple[str, str | None]:
    """Algorithm and key."""
    if applied is None:
        return AES256, None
    if any(child.tag not in ("SSEAlgorithm", "KMSMasterKeyID") for child in applied):
        raise S3Error("MalformedXML")
    algorithm = applied.findtext("SSEAlgorithm", "")
    if algorithm in _OF_OTHER_SERVICES:
        raise not_implemented(f"SSEAlgorithm {algorithm}")
    if algorithm not in ALGORITHMS:
        raise S3Error("MalformedXML")
    return algorithm, _named_key(algorithm, applied.findtext("KMSMasterKeyID"))


def _named_key(algorithm: str, key_id: str | None) -> str | None:
    if key_id is None:
        return None
    if algorithm == AES256:
        # As AWS was recorded to answer (LocalStack's ``test_s3_api.snapshot.json``).
        raise S3Error(
            "InvalidArgument",
            f"a KMSMasterKeyID is not applicable if the default sse algorithm is not {KMS} or "
            f"{KMS}:dsse",
            {"ArgumentName": _APPLIED},
        )
    if not is_key_id(key_id):
        raise S3Error("MalformedXML")
    return key_id


def is_key_id(text: str) -> bool:
    """Whether a master key may be called so."""
    return 0 < len(text) <= _KEY_ID_CHARACTERS_MAX and text.isascii() and text.isprintable()


def _blocked(blocked: Element | None) -> list[str]:
    """Encryptions that no client may choose; none is a list of nothing."""
    if blocked is None:
        return []
    types = [(child.text or "").strip() for child in blocked]
    if any(child.tag != "EncryptionType" for child in blocked):
        raise S3Error("MalformedXML")
    if types not in ([NO_TYPE], [SSE_C]):
        raise S3Error("MalformedXML")
    return types


ENCRYPTION = _Encryption(
    "encryption",
    "GetBucketEncryption",
    "s3:GetEncryptionConfiguration",
    not_found("ServerSideEncryptionConfigurationNotFoundError"),
    delete="DeleteBucketEncryption",
    delete_action="s3:PutEncryptionConfiguration",
    member=MEMBER,
    show=show_encryption,
)
