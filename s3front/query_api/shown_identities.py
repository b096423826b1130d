"""Identities as IAM's answers show them, by AWS's names. Pure.

Policies are percent-encoded, as AWS has them there (RFC 3986); SDKs decode them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from s3front.iam.directory import Directory
from s3front.iam.policy_principals import trust_as_named_now
from s3front.iam.records import (
    AccessKey,
    Account,
    Group,
    Holder,
    ManagedPolicy,
    PolicyVersion,
    Provider,
    Role,
    User,
)

Shown = dict[str, Any]


def shown_iso(text: str) -> str | None:
    """A stored time, in seconds; None where none is known."""
    return f"{text[:19]}Z" if text else None


def shown_tags(tags: Mapping[str, str]) -> list[Shown]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def shown_document(text: str) -> str:
    """A policy, encoded."""
    return quote(text, safe="")


def shown_user(user: User, *, whole: bool = False) -> Shown:
    """``whole``: with what only a call about one user shows."""
    shown: Shown = {
        "Path": user.path,
        "UserName": user.name,
        "UserId": user.id,
        "Arn": user.arn,
        "CreateDate": shown_iso(user.created),
    }
    if whole:
        shown |= _boundary_and_tags(user)
    return shown


def shown_root(account: Account) -> Shown:
    """An account itself, where its user is asked for."""
    return {
        "UserId": account.id,
        "Arn": account.arn,
        "CreateDate": shown_iso(account.created) or "1970-01-01T00:00:00Z",
    }


def shown_group(group: Group) -> Shown:
    return {
        "Path": group.path,
        "GroupName": group.name,
        "GroupId": group.id,
        "Arn": group.arn,
        "CreateDate": shown_iso(group.created),
    }


def shown_role(role: Role, directory: Directory, *, whole: bool = False) -> Shown:
    """``whole``: with what only a call about one role shows."""
    shown: Shown = {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": role.arn,
        "CreateDate": shown_iso(role.created),
        "AssumeRolePolicyDocument": shown_document(trust_as_named_now(role, directory)),
        "Description": role.description or None,
        "MaxSessionDuration": role.max_session_seconds,
    }
    if whole:
        shown |= _boundary_and_tags(role)
        shown["RoleLastUsed"] = {}
    return shown


def _boundary_and_tags(holder: User | Role) -> Shown:
    return {
        "PermissionsBoundary": shown_boundary(holder.boundary),
        "Tags": shown_tags(holder.tags) if holder.tags else None,
    }


def shown_boundary(arn: str | None) -> Shown | None:
    if arn is None:
        return None
    return {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}


def shown_policy(policy: ManagedPolicy, directory: Directory, *, whole: bool = False) -> Shown:
    """A managed policy, and how many have it; ``whole``: with what only a call about one shows."""
    identities = directory.identities
    shown: Shown = {
        "PolicyName": policy.name,
        "PolicyId": policy.id,
        "Arn": policy.arn,
        "Path": policy.path,
        "DefaultVersionId": policy.default,
        "AttachmentCount": len(identities.attached_to(policy.arn)),
        "PermissionsBoundaryUsageCount": len(identities.bounded_by(policy.arn)),
        "IsAttachable": True,
        "CreateDate": shown_iso(policy.created),
        "UpdateDate": shown_iso(policy.updated or policy.created),
    }
    if whole:
        shown["Description"] = policy.description or None
        shown["Tags"] = shown_tags(policy.tags)
    return shown


def shown_version(version: PolicyVersion, policy: ManagedPolicy, *, whole: bool = False) -> Shown:
    """``whole``: with its document."""
    return {
        "Document": shown_document(version.text) if whole else None,
        "VersionId": version.id,
        "IsDefaultVersion": version.id == policy.default,
        "CreateDate": shown_iso(version.created),
    }


def shown_key(key: AccessKey, user_name: str | None) -> Shown:
    """An access key without its secret."""
    return {
        "UserName": user_name,
        "AccessKeyId": key.id,
        "Status": key.status,
        "CreateDate": shown_iso(key.created),
    }


def shown_attached(arns: list[str]) -> list[Shown]:
    """Managed policies that are attached, by their ARNs."""
    return [{"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn} for arn in arns]


def shown_inline(holder: Holder) -> list[Shown]:
    """Inline policies, whole."""
    return [
        {"PolicyName": name, "PolicyDocument": shown_document(text)}
        for name, text in sorted(holder.inline.items())
    ]


def shown_provider(provider: Provider) -> Shown:
    return {
        "Url": provider.url,
        "ClientIDList": list(provider.client_ids),
        "ThumbprintList": list(provider.thumbprints),
        "CreateDate": shown_iso(provider.created),
        "Tags": shown_tags(provider.tags),
    }
