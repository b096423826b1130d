"""The condition keys that are about who asks. Pure.

Source: IAM user guide, "AWS global condition context keys", "Properties of the principal".
"""

from __future__ import annotations

from typing import Final

from s3front.auth.identity import Principal

_TAG: Final = "aws:principaltag/"


def of_principal(principal: Principal, key: str) -> tuple[str, ...] | None:
    """The values of a key, in any case; None when it is not about who asks, or there is no such
    thing of him. Names of tags of identities are the same in any case (IAM user guide, "Rules for
    tagging in IAM")."""
    lower = key.lower()
    if lower.startswith(_TAG):
        wanted = lower[len(_TAG) :]
        return _one(
            next((held for name, held in principal.tags.items() if name.lower() == wanted), None)
        )
    match lower:
        case "aws:principaltype":
            return (principal.kind,)
        case "aws:principalaccount":
            return _one(principal.account_id)
        case "aws:principalarn":
            # Of a session it is that of the role.
            return None if principal.is_anonymous else (principal.role_arn or principal.arn,)
        case "aws:userid":
            return _one(principal.user_id or None)
        case "aws:username":
            return _one(principal.user_name)
        case "aws:federatedprovider":
            return _one(principal.federated)
        case "aws:principalisawsservice" | "aws:viaawsservice":
            return ("false",)
    settled = principal.keys.get(lower)
    return None if settled is None else tuple(settled)


def _one(value: str | None) -> tuple[str, ...] | None:
    return None if value is None else (value,)
