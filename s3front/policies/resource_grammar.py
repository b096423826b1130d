"""Policies of buckets, and of roles those that say who may take them on: what AWS refuses of them,
and in which words. Pure.

Sources: IAM user guide, "Grammar of the IAM JSON policy language", "IAM JSON policy elements
reference"; Amazon S3 user guide, "Policies and permissions"; the messages are those that the
services answer with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from s3front.policies.condition_grammar import Condition, ConditionsError, conditions_of
from s3front.policies.policy_error import PolicyError
from s3front.policies.s3_actions import ACTIONS, About, actions_of, is_s3_key
from s3front.policies.statement_principals import KINDS, is_principal
from s3front.policies.statements import ELEMENTS, WITH_VARIABLES
from s3front.policies.wildcards import Patterns, tokens_of
from s3front.policies.work import Work

_VERSIONS: Final = (WITH_VARIABLES, "2008-10-17")
_DOCUMENT: Final = frozenset(("Version", "Id", "Statement"))
_SYNTAX: Final = "Invalid policy syntax."
_S3_ARN: Final = re.compile(r"arn:aws(?:-[a-z0-9-]{1,32})?:s3:::([^/]+)(/?)")
_VENDORS: Final = frozenset(("aws", "ec2", "iam", "saml", "sts"))
"""Of condition keys that are none of S3's: those that all services have, and those of sessions.
Those of identity providers begin with the names of hosts."""


def check_bucket_policy(document: Mapping[str, Any], bucket: str) -> None:
    """Let the policy of a bucket pass. Raises ``PolicyError``."""
    for statement in _statements(document):
        _check_effect(statement)
        _check_principal(statement)
        patterns = dict[str, frozenset[str]]()
        for pattern in _texts(statement, "Action"):
            if pattern not in patterns:
                patterns[pattern] = actions = _actions(pattern)
                if not actions:
                    raise PolicyError("Policy has invalid action", pattern)
        kinds = {
            kind
            for resource in _texts(statement, "Resource")
            for kind in _resource_kinds(resource, bucket)
        }
        # What is negated is about whatever is left, which nobody wants to be told of.
        applied = "Action" in statement and "Resource" in statement
        # The actions of each pattern that are about a resource which the statement has.
        about = {
            frozenset(action for action in actions if ACTIONS[action] in kinds)
            for actions in set(patterns.values())
        }
        seen: set[frozenset[str] | None] = set()
        for condition in _conditions(statement, _has_variables(document), _SYNTAX):
            _check_key(condition.key)
            knowing = actions_of(condition.key)
            if applied and knowing not in seen:
                seen.add(knowing)
                if not all(actions if knowing is None else actions & knowing for actions in about):
                    raise PolicyError(
                        "Conditions do not apply to combination of actions and resources in "
                        "statement"
                    )
        if applied and not all(about):
            raise PolicyError("Action does not apply to any resource(s) in statement")


def check_trust_policy(document: Mapping[str, Any]) -> None:
    """Let the policy of a role that says who may take it on pass. Raises ``PolicyError``."""
    seen: set[str] = set()
    for statement in _statements(document):
        _check_effect(statement)
        if isinstance(statement.get("Principal"), str):
            raise PolicyError("Principal must be a JSON object.")
        if "NotPrincipal" in statement and statement["Effect"] == "Deny":
            raise PolicyError("AssumeRole policy must not contain NotPrincipal field.")
        _check_principal(statement)
        if not all(action.lower().startswith("sts:") for action in _texts(statement, "Action")):
            raise PolicyError("AssumeRole policy may only specify STS AssumeRole actions.")
        if "Resource" in statement:
            raise PolicyError("Has prohibited field Resource")
        if "NotResource" in statement:
            raise PolicyError("AssumeRole policy must not contain resources.")
        for condition in _conditions(statement, _has_variables(document)):
            assert condition
        sid = statement.get("Sid")
        if sid in seen:
            raise PolicyError("The Statement Ids in the policy are not unique")
        if sid:
            seen.add(sid)


def _has_variables(document: Mapping[str, Any]) -> bool:
    return document.get("Version") == WITH_VARIABLES


def _statements(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    for name in document:
        if name not in _DOCUMENT:
            raise PolicyError(f"Unknown field {name}")
    if "Version" in document and document["Version"] not in _VERSIONS:
        raise PolicyError("The policy must contain a valid version string")
    if not isinstance(document.get("Id", ""), str):
        raise PolicyError(_SYNTAX)
    if "Statement" not in document:
        raise PolicyError("Missing required field Statement")
    written = document["Statement"]
    statements = written if isinstance(written, list) else [written]
    if not statements:
        raise PolicyError("Could not parse the policy: Statement is empty!")
    for statement in statements:
        _check_elements(statement)
    return statements


def _check_elements(statement: Any) -> None:
    if not isinstance(statement, Mapping):
        raise PolicyError(_SYNTAX)
    for name in statement:
        if name not in ELEMENTS:
            raise PolicyError(f"Unknown field {name}")
    for name in ("Principal", "Action", "Resource"):
        if name in statement and f"Not{name}" in statement:
            raise PolicyError(f"Statement/policy already has instance of {name}")
    if not isinstance(statement.get("Sid", ""), str):
        raise PolicyError(_SYNTAX)


def _check_effect(statement: Mapping[str, Any]) -> None:
    if "Effect" not in statement:
        raise PolicyError("Missing required field Effect")
    effect = statement["Effect"]
    if not isinstance(effect, str):
        raise PolicyError(_SYNTAX)
    if effect not in ("Allow", "Deny"):
        raise PolicyError(f"Invalid effect: {effect}")


def _check_principal(statement: Mapping[str, Any]) -> None:
    but = "NotPrincipal" in statement
    if not but and "Principal" not in statement:
        raise PolicyError("Missing required field Principal")
    if but and statement["Effect"] == "Allow":
        raise PolicyError("Allow with NotPrincipal is not allowed.")
    element = statement["NotPrincipal" if but else "Principal"]
    if element == "*":
        return
    if not isinstance(element, Mapping):
        raise PolicyError(_SYNTAX)
    if not element:
        raise PolicyError("Missing required field Principal cannot be empty!")
    for kind, values in element.items():
        entries = values if isinstance(values, list) else [values]
        if not entries or kind not in KINDS:
            raise PolicyError("Invalid principal in policy", f'"{kind}"')
        for entry in entries:
            if not isinstance(entry, str):
                raise PolicyError(_SYNTAX)
            if not (kind == "AWS" and entry == "*") and not is_principal(kind, entry):
                raise PolicyError("Invalid principal in policy", f'"{kind}" : "{entry}"')


def _texts(statement: Mapping[str, Any], name: str) -> list[str]:
    """The actions or resources of a statement, or those that it is about all others of."""
    values = statement.get(name, statement.get(f"Not{name}", _MISSING))
    if values is _MISSING:
        raise PolicyError(f"Missing required field {name}")
    texts = values if isinstance(values, list) else [values]
    if not texts:
        raise PolicyError(f"Missing required field {name} cannot be empty!")
    if not all(isinstance(text, str) for text in texts):
        raise PolicyError(_SYNTAX)
    return texts


_MISSING: Final = object()


def _actions(pattern: str) -> frozenset[str]:
    """The actions that a pattern is about."""
    folded = pattern.lower()
    if folded == "*":
        return frozenset(ACTIONS)
    if not folded.startswith(("s3:", "scality:")):
        return frozenset()
    wanted = Patterns.of([tokens_of(folded)])
    if wanted.exact:
        return frozenset(wanted.exact & ACTIONS.keys())
    return frozenset(action for action in ACTIONS if wanted.matched_by(action, Work()))


def _resource_kinds(resource: str, bucket: str) -> Iterator[About]:
    """What a resource may be: the bucket, or objects in it."""
    arn = _S3_ARN.match(resource)
    if arn is None or ("${" not in arn[1] and not _is_bucket(arn[1], bucket)):
        raise PolicyError("Policy has invalid resource", resource)
    if not arn[2]:
        yield About.BUCKET
    if arn[2] or "*" in arn[1] or "${" in arn[1]:
        yield About.OBJECT


def _is_bucket(pattern: str, bucket: str) -> bool:
    return Patterns.of([tokens_of(pattern)]).matched_by(bucket, Work())


def _conditions(
    statement: Mapping[str, Any], variables: bool, syntax: str = "Syntax error in policy."
) -> Iterator[Condition]:
    try:
        for condition in conditions_of(statement.get("Condition", {})):
            if not condition.understood(variables=variables):
                if condition.base in ("IpAddress", "NotIpAddress"):
                    raise PolicyError("Invalid IP address in Conditions")
                raise PolicyError(syntax, condition.key)
            yield condition
    except ConditionsError as error:
        if error.operator is not None and syntax == _SYNTAX:
            raise PolicyError(f"Invalid Condition type : {error.operator}") from error
        raise PolicyError(syntax) from error


def _check_key(key: str) -> None:
    vendor, colon, name = key.partition(":")
    is_other = vendor.lower() in _VENDORS or "." in vendor
    if not is_s3_key(key) and not (colon and name and is_other):
        raise PolicyError("Policy has an invalid condition key", key)
