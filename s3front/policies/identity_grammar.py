"""Policies of users, groups, roles and sessions: what IAM refuses of them, in which words.
Pure.

Sources: IAM user guide, "Grammar of the IAM JSON policy language"; the messages, and the order in
which they come, are those that IAM answers with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from s3front.policies.condition_grammar import ConditionsError, base_operator, conditions_of
from s3front.policies.policy_error import PolicyError
from s3front.policies.statements import ELEMENTS, WITH_VARIABLES

SYNTAX: Final = "Syntax errors in policy."
_LEGACY: Final = "The policy failed legacy parsing"
_DOCUMENT: Final = frozenset(("Version", "Id", "Statement"))
_VERSIONS: Final = (WITH_VARIABLES, "2008-10-17")
_PARTITION: Final = re.compile(r"(?:\*|aws(?:-cn|-us-gov|-iso(?:-[a-z])?|-eusc)?)\Z")
_VENDOR: Final = re.compile(r"(?:\*|[a-zA-Z0-9.-]+)\Z")
_SID: Final = re.compile(r"[0-9A-Za-z]*\Z")
_IAM_PATHS: Final = (
    "user/",
    "federated-user/",
    "role/",
    "group/",
    "instance-profile/",
    "mfa/",
    "server-certificate/",
    "policy/",
    "sms-mfa/",
    "saml-provider/",
    "oidc-provider/",
    "report/",
    "access-report/",
)


def check_identity_policy(document: Mapping[str, Any]) -> None:
    """Let a policy pass. Raises ``PolicyError``."""
    statements = _statements(document)
    if document.get("Version") != WITH_VARIABLES:
        raise PolicyError("Policy document must be version 2012-10-17 or greater.")
    for statement in statements:
        if "Principal" in statement or "NotPrincipal" in statement:
            raise PolicyError("Policy document should not specify a principal.")
    faults = [fault for statement in statements for fault in _faults(statement)]
    _check_sids(statements)
    if not all(list(_texts(statement, "Action")) for statement in statements):
        raise PolicyError("Policy statement must contain actions.")
    if faults:
        raise PolicyError(faults[0])
    if not all(list(_texts(statement, "Resource")) for statement in statements):
        raise PolicyError("Policy statement must contain resources.")
    for statement in statements:
        for action in _texts(statement, "Action"):
            _check_action(action)


def _faults(statement: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the resources of a statement. Raises ``PolicyError`` for what IAM says
    before that."""
    if statement["Effect"] not in ("Allow", "Deny"):
        raise PolicyError(_LEGACY)
    for condition in conditions_of(_without_empty(statement.get("Condition", {}))):
        if not condition.understood(variables=True):
            raise PolicyError(_LEGACY, condition.key)
    for resource in _texts(statement, "Resource"):
        fault = _resource_fault(resource)
        if fault is not None:
            yield fault


def _statements(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    written = document.get("Statement")
    statements: list[Any] = written if isinstance(written, list) else [written]
    sound = (
        not document.keys() - _DOCUMENT
        and document.get("Version", WITH_VARIABLES) in _VERSIONS
        and isinstance(document.get("Id", ""), str)
        and statements
        and all(map(_is_statement, statements))
    )
    if not sound:
        raise PolicyError(SYNTAX)
    return statements


def _is_statement(statement: Any) -> bool:
    """Whether a statement has the form of one: what its elements say is looked at afterwards."""
    if not isinstance(statement, Mapping) or statement.keys() - ELEMENTS:
        return False
    for name in ("Action", "Resource"):
        if name in statement and f"Not{name}" in statement:
            return False
        values = statement.get(name, statement.get(f"Not{name}", []))
        texts = values if isinstance(values, list) else [values]
        if not all(isinstance(text, str) for text in texts):
            return False
    effect = statement.get("Effect")
    if not isinstance(effect, str) or effect.lower() not in ("allow", "deny"):
        return False
    return isinstance(statement.get("Sid", ""), str) and _are_conditions(
        statement.get("Condition", {})
    )


def _are_conditions(element: Any) -> bool:
    try:
        for condition in conditions_of(_without_empty(element)):
            assert condition
    except ConditionsError:
        return False
    return True


def _without_empty(element: Any) -> Any:
    """Conditions without operators that IAM does not know and that have no keys, which it takes."""
    if not isinstance(element, Mapping):
        return element
    return {name: keys for name, keys in element.items() if keys != {} or base_operator(name)}


def _texts(statement: Mapping[str, Any], name: str) -> Iterator[str]:
    values = statement.get(name, statement.get(f"Not{name}", []))
    yield from values if isinstance(values, list) else [values]


def _check_sids(statements: list[Mapping[str, Any]]) -> None:
    sids = [statement["Sid"] for statement in statements if statement.get("Sid")]
    if len(set(sids)) < len(sids):
        raise PolicyError("Statement IDs (SID) in a single policy must be unique.")
    for sid in sids:
        if _SID.match(sid) is None:
            raise PolicyError(
                "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the "
                "regular expression [0-9A-Za-z]*"
            )


def _resource_fault(resource: str) -> str | None:
    """What is wrong with a resource; None: nothing. Raises ``PolicyError`` for what IAM does not
    even look at."""
    if resource == "*":
        return None
    parts = resource.split(":", 5)
    if len(parts) == 1:
        return f'Resource {resource} must be in ARN format or "*".'
    if _PARTITION.match(parts[1]) is None:
        rest = [part or "*" if len(parts) == 3 else part for part in parts[2:]]
        whole = ":".join(["arn", parts[1], *rest, *["*"] * (4 - len(rest))])
        return f'Partition "{parts[1]}" is not valid for resource "{whole}".'
    if len(parts) == 2:
        return "Resource vendor must be fully qualified and cannot contain regexes."
    if not parts[2] or ("::" in resource and len(parts) < 6):
        raise PolicyError(_LEGACY, resource)
    service, region, path = parts[2], "".join(parts[3:4]), "".join(parts[5:6])
    if region not in ("", "*"):
        if service == "s3" and not path.startswith("accesspoint/"):
            return f"Resource {resource} can not contain region information."
        if service == "iam":
            return f"IAM resource {resource} cannot contain region information."
    if service == "iam" and len(parts) == 6 and path != "*" and not path.startswith(_IAM_PATHS):
        return f'IAM resource path must either be "*" or start with {", ".join(_IAM_PATHS)}.'
    return None


def _check_action(action: str) -> None:
    vendor, colon, name = action.partition(":")
    if not colon and action != "*":
        raise PolicyError(
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
        )
    if ":" in name:
        raise PolicyError("Actions/Condition can contain only one colon.")
    if _VENDOR.match(vendor) is None:
        raise PolicyError(f"Vendor {vendor} is not valid")
