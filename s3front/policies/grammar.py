"""Policies as they are set: read, and refused in the words of AWS. Pure."""

from __future__ import annotations

from typing import Any, Final

from s3front.policies.policy import Kind, Policy
from s3front.policies.policy_json import JsonError, read_json

BUCKET_SIZE_MAX: Final = 20_480
"""Bytes of the policy of a bucket (Amazon S3 user guide, "Bucket policies")."""

IDENTITY_SIZE_MAX: Final = 131_072
"""Characters that IAM's calls take as a policy; what they keep is less."""


class PolicyError(ValueError):
    """A policy is not one. ``message`` is what AWS says of it."""

    def __init__(self, message: str, detail: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


def parse_policy(text: bytes | str, kind: Kind, *, bucket: str | None = None) -> Policy:
    """The policy of a text; of a bucket's, ``bucket`` is its name. Raises ``PolicyError``."""
    try:
        encoded = text.encode() if isinstance(text, str) else bytes(text)
    except UnicodeEncodeError as error:
        raise PolicyError(_NOT_JSON[kind]) from error
    if not encoded.startswith(b"{"):
        raise PolicyError(_NOT_JSON[kind])
    if len(encoded) > (BUCKET_SIZE_MAX if kind is Kind.BUCKET else IDENTITY_SIZE_MAX):
        raise PolicyError("Policy exceeds the maximum allowed document size.")
    try:
        document = read_json(encoded)
    except JsonError as error:
        raise PolicyError(_NOT_JSON[kind], str(error)) from error
    return Policy(document, kind)


def stored_policy(document: Any, kind: Kind = Kind.BUCKET) -> Policy:
    """A policy that has been stored, perhaps by another server: what cannot be understood gives
    nothing in an Allow, and in a Deny denies."""
    return Policy(document, kind)


_FIRST_BYTE: Final = "Policies must be valid JSON and the first byte must be '{'"
_SYNTAX: Final = "Syntax errors in policy."
_NOT_JSON: Final = {
    Kind.BUCKET: _FIRST_BYTE,
    Kind.IDENTITY: _SYNTAX,
    Kind.SESSION: _SYNTAX,
    Kind.TRUST: "This policy contains invalid Json",
}
