"""Policies as they are set: read, and refused in the words of AWS. Pure.

What is refused here is also what would mean nothing: a policy that passes is understood whole by
``s3front.policies.statements``. Whether the principals that it names exist is for the caller to
find out (``principals_of``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from s3front.policies.identity_grammar import SYNTAX, check_identity_policy
from s3front.policies.policy import Kind, Policy
from s3front.policies.policy_error import PolicyError
from s3front.policies.policy_json import JsonError, read_json
from s3front.policies.policy_memory import POLICY_MEMORY_MAX, policy_memory
from s3front.policies.resource_grammar import check_bucket_policy, check_trust_policy
from s3front.policies.statement_principals import NO_IDS

BUCKET_SIZE_MAX: Final = 20_480
"""Bytes of the policy of a bucket, without the blanks between its tokens (Amazon S3 user guide,
"Adding a bucket policy")."""

TEXT_SIZE_MAX: Final = 131_072
"""Bytes of the text that any policy is read from: what IAM's calls take."""

_INVALID_JSON: Final = "This policy contains invalid Json"


def parse_policy(text: bytes | str, kind: Kind, *, bucket: str = "") -> Policy:
    """The policy of a text; of a bucket's, ``bucket`` is its name. Raises ``PolicyError``."""
    document = _document(text, kind)
    if kind is Kind.BUCKET:
        if len(orjson.dumps(document)) > BUCKET_SIZE_MAX:
            raise _too_large()
        if policy_memory(document) > POLICY_MEMORY_MAX:
            raise PolicyError(
                "The policy has more values, conditions and wildcards than can be judged"
            )
        check_bucket_policy(document, bucket)
    elif kind is Kind.TRUST:
        check_trust_policy(document)
    else:
        check_identity_policy(document)
    return Policy(document, kind)


def stored_policy(
    document: Any, kind: Kind = Kind.BUCKET, ids: Mapping[str, str] = NO_IDS
) -> Policy:
    """A policy that has been stored, perhaps by another server: what cannot be understood gives
    nothing in an Allow, and in a Deny denies. ``ids`` as ``Policy`` has them."""
    return Policy(document, kind, ids)


def principals_of(policy: Policy) -> list[tuple[str, str]]:
    """The principals that a checked policy names, as it writes them: their kinds (``AWS``…) and
    names. Everybody is left out."""
    return list(_principals(policy.document))


def _principals(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    written = document["Statement"]
    for statement in written if isinstance(written, list) else [written]:
        for name in ("Principal", "NotPrincipal"):
            element = statement.get(name)
            for kind, values in element.items() if isinstance(element, Mapping) else ():
                for value in values if isinstance(values, list) else [values]:
                    if value != "*":
                        yield kind, value


def _document(text: bytes | str, kind: Kind) -> Any:
    identity = kind in (Kind.IDENTITY, Kind.SESSION)
    invalid = SYNTAX if identity else _INVALID_JSON
    try:
        encoded = text.encode() if isinstance(text, str) else text
    except UnicodeEncodeError as error:
        raise PolicyError(invalid) from error
    if kind is Kind.BUCKET and not encoded.startswith(b"{"):
        raise PolicyError("Policies must be valid JSON and the first byte must be '{'")
    if len(encoded) > TEXT_SIZE_MAX:
        raise _too_large()
    try:
        document = read_json(encoded)
    except JsonError as error:
        if error.twice is not None and not identity:
            raise PolicyError(f"Statement/policy already has instance of {error.twice}") from error
        raise PolicyError(invalid, str(error)) from error
    if not isinstance(document, dict):
        raise PolicyError(invalid)
    return document


def _too_large() -> PolicyError:
    return PolicyError(
        f"Normalized policy document exceeds the maximum allowed size of {BUCKET_SIZE_MAX} bytes"
    )
