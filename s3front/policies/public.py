"""Whether a policy is public, as AWS means it. Pure.

Amazon S3 user guide, "The meaning of 'public'".
"""

from __future__ import annotations

from s3front.policies.policy import Policy


def is_public(policy: Policy) -> bool:
    """Whether a statement allows something to everybody, whatever its conditions."""
    statements = policy.document.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list):
        return False
    return any(
        isinstance(each, dict) and each.get("Effect") == "Allow" and _for_everybody(each)
        for each in statements
    )


def _for_everybody(statement: dict[str, object]) -> bool:
    if "NotPrincipal" in statement:
        return True
    named = statement.get("Principal")
    listed = named.values() if isinstance(named, dict) else (named,)
    return any("*" in each if isinstance(each, list) else each == "*" for each in listed)
