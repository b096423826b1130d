"""What calls of STS say of the sessions that they ask for: how long, with which policies and tags,
and what policies may compare of it.

Messages are STS's (STS API reference; IAM user guide, "Passing session tags in AWS STS").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from s3front.authz.condition_keys import ConditionKeys
from s3front.iam.directory import Directory
from s3front.iam.iam_errors import IamError
from s3front.iam.identity_checks import checked_tags
from s3front.iam.policy_texts import check_policy, policy_size
from s3front.iam.sessions import Passed, pack, packed_percent
from s3front.policies.policy import Kind
from s3front.query_api.call_parameters import Parameters, Rule
from s3front.query_api.errors import QueryError

SECONDS_MIN: Final = 900
ROLE_SECONDS_MAX: Final = 43_200
CHAINED_SECONDS_MAX: Final = 3_600
OWN_SECONDS_MAX: Final = 129_600
ROOT_SECONDS_MAX: Final = 3_600
"""What the sessions of an account itself may last."""

POLICY_CHARACTERS_MAX: Final = 2_048
"""Of an inline session policy, and of the ARNs of managed ones, together."""

POLICY_ARNS_MAX: Final = 10
TAGS_MAX: Final = 50

_WORD: Final = re.compile(r"[\w+=,.@-]*", re.ASCII)
ARN: Final = Rule(20, 2048, re.compile(r"[\t\n\r\u0020-\u007e\u0085\u00a0-\uffff]+"))
SESSION_NAME: Final = Rule(2, 64, _WORD)
FEDERATED_NAME: Final = Rule(2, 32, _WORD)
SOURCE_IDENTITY: Final = Rule(2, 64, _WORD)
EXTERNAL_ID: Final = Rule(2, 1224, re.compile(r"[\w+=,.@:/-]*", re.ASCII))
_POLICY: Final = Rule(1, POLICY_CHARACTERS_MAX)
_TAG_KEY: Final = Rule(1, 128)
_TAG_VALUE: Final = Rule(0, 256)

_REQUEST_TAG: Final = "aws:requesttag/"
_RESOURCE_TAGS: Final = ("aws:resourcetag/", "iam:resourcetag/")


class SessionKeys(msgspec.Struct, frozen=True):
    """What a call of STS tells to the conditions of policies. ``said`` are keys in lower case,
    the ``tags`` those of the session, ``role_tags`` those of the role; their names have no case."""

    request: ConditionKeys
    said: Mapping[str, Sequence[str]]
    tags: Mapping[str, str]
    role_tags: Mapping[str, str]

    @property
    def is_secure(self) -> bool:
        return self.request.is_secure

    def of_version(self, version_id: str | None) -> SessionKeys:
        return msgspec.structs.replace(self, request=self.request.of_version(version_id))

    def values(self, key: str) -> Sequence[str] | None:
        lower = key.lower()
        found = self.said.get(lower)
        if found is not None:
            return found
        for prefix, tags in (
            (_REQUEST_TAG, self.tags),
            *((prefix, self.role_tags) for prefix in _RESOURCE_TAGS),
        ):
            if lower.startswith(prefix):
                wanted = lower[len(prefix) :]
                tagged = (value for name, value in tags.items() if name.lower() == wanted)
                tag = next(tagged, None)
                return None if tag is None else (tag,)
        return self.request.values(key)


def passed_tags(parameters: Parameters) -> dict[str, str]:
    """The tags of a session. Raises ValidationError, InvalidInput."""
    structures = parameters.structures("Tags")
    if len(structures) > TAGS_MAX:
        raise _too_many("tags", TAGS_MAX)
    return checked_tags(
        [
            (each.required("Key", _TAG_KEY), each.required("Value", _TAG_VALUE))
            for each in structures
        ]
    )


def transitive_keys(parameters: Parameters, tags: Mapping[str, str]) -> tuple[str, ...]:
    """Which of them sessions that begin from this one will have. Raises ValidationError."""
    keys = tuple(parameters.texts("TransitiveTagKeys", _TAG_KEY))
    if any(key not in tags for key in keys):
        raise QueryError(
            "ValidationError",
            "The specified transitive tag key must be included in the requested tags.",
        )
    return keys


def with_inherited(
    tags: Mapping[str, str], transitive: Sequence[str], inherited: Mapping[str, str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The tags of a session that begins from another, which hands some on: these cannot be
    replaced. Raises ValidationError."""
    names = {key.lower() for key in inherited}
    if any(key.lower() in names for key in tags):
        raise QueryError(
            "ValidationError",
            "One of the specified transitive tag keys can't be set because it conflicts with a "
            "transitive tag key from the calling session.",
        )
    return {**inherited, **tags}, (*inherited, *transitive)


def session_limits(
    parameters: Parameters, directory: Directory, account_id: str
) -> tuple[str, tuple[str, ...]]:
    """The session policies: the text of an inline one, and the ARNs of managed ones of the account
    or of AWS. Raises ValidationError, MalformedPolicyDocument, PackedPolicyTooLarge."""
    policy = parameters.text("Policy", _POLICY) or ""
    if policy:
        check_policy(policy, Kind.SESSION)
    arns = tuple(each.required("arn", ARN) for each in parameters.structures("PolicyArns"))
    if len(arns) > POLICY_ARNS_MAX:
        raise _too_many("policyArns", POLICY_ARNS_MAX)
    for arn in arns:
        _check_managed(directory, account_id, arn)
    if policy_size(policy) + sum(map(len, arns)) > POLICY_CHARACTERS_MAX:
        raise IamError(
            "PackedPolicyTooLarge",
            f"The session policies have more than {POLICY_CHARACTERS_MAX} characters in all.",
        )
    return policy, arns


def packed(passed: Passed) -> tuple[bytes, int | None]:
    """What goes into the token, and how much of its limit it uses, in percent; None for nothing.
    Raises PackedPolicyTooLarge."""
    content = pack(passed)
    percent = packed_percent(content)
    if percent > 100:
        raise IamError(
            "PackedPolicyTooLarge",
            f"Packed size of policies and session tags consumes {percent}% of allotted space.",
        )
    return content, percent if content else None


def duration(parameters: Parameters, default: int, most: int) -> int:
    """For how long, in seconds. Raises ValidationError."""
    asked = parameters.integer("DurationSeconds", SECONDS_MIN, most)
    return default if asked is None else asked


def _check_managed(directory: Directory, account_id: str, arn: str) -> None:
    try:
        found = directory.policy(arn)
    except IamError:
        found = None
    if found is None or found.account not in (account_id, "aws"):
        raise QueryError(
            "ValidationError", f"Policy {arn} does not exist or is not a policy of the account."
        )


def _too_many(name: str, most: int) -> QueryError:
    return QueryError(
        "ValidationError",
        f"1 validation error detected: Value at '{name}' failed to satisfy constraint: Member must "
        f"have length less than or equal to {most}",
    )
