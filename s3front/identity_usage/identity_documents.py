"""What the commands show of identities: the documents of ``--json``."""

from __future__ import annotations

from typing import Any

from s3front.iam.directory import Directory
from s3front.iam.last_used import LastUse
from s3front.iam.policy_principals import trust_as_named_now
from s3front.iam.records import AccessKey, Account, Group, Holder, ManagedPolicy, Role, User


def account_document(account: Account) -> dict[str, Any]:
    return {
        "name": account.name,
        "id": account.id,
        "canonicalId": account.canonical_id,
        "email": account.email,
        "status": account.status,
        "alias": account.alias,
        "service": account.service,
        "publicAccessBlock": account.public_access_block,
        "accessKeys": list(account.access_keys),
        "created": account.created,
        "fromConfiguration": account.from_file,
    }


def user_document(directory: Directory, user: User) -> dict[str, Any]:
    groups = [directory.group_by_id(group_id) for group_id in user.groups]
    return {
        **_holder_document(user),
        "tags": dict(user.tags),
        "boundary": user.boundary,
        "groups": [group.name for group in groups if group is not None],
        "accessKeys": list(user.access_keys),
    }


def group_document(directory: Directory, group: Group) -> dict[str, Any]:
    members = [
        directory.identities.get(User, key) for key in directory.identities.members(group.id)
    ]
    return {
        **_holder_document(group),
        "members": [user.name for user in members if user is not None],
    }


def role_document(directory: Directory, role: Role) -> dict[str, Any]:
    return {
        **_holder_document(role),
        "tags": dict(role.tags),
        "boundary": role.boundary,
        "description": role.description,
        "maxSessionSeconds": role.max_session_seconds,
        "sessionsRevokedBefore": role.revoked_before,
        "trustPolicy": trust_as_named_now(role, directory),
    }


def policy_document(directory: Directory, policy: ManagedPolicy) -> dict[str, Any]:
    attached = directory.identities.attached_to(policy.arn)
    return {
        "name": policy.name,
        "arn": policy.arn,
        "id": policy.id,
        "description": policy.description,
        "defaultVersion": policy.default,
        "versions": [version.id for version in policy.versions],
        "attachedTo": ["/".join(key.split("/")[::2]) for key in attached],
        "tags": dict(policy.tags),
        "created": policy.created,
        "updated": policy.updated,
    }


def access_key_document(
    directory: Directory, record: AccessKey, last_use: LastUse | None = None
) -> dict[str, Any]:
    user = None if record.user_id is None else directory.user_by_id(record.user_id)
    account = directory.account(record.account)
    return {
        "accessKeyId": record.id,
        "account": record.account if account is None else account.name,
        "user": None if user is None else user.name,
        "status": record.status,
        "description": record.description,
        "created": record.created,
        "expires": record.expires,
        "lastUsed": None if last_use is None else last_use.at,
    }


def _holder_document(holder: Holder) -> dict[str, Any]:
    return {
        "name": holder.name,
        "arn": holder.arn,
        "id": holder.id,
        "path": holder.path,
        "created": holder.created,
        "attachedPolicies": list(holder.attached),
        "inlinePolicies": list(holder.inline),
    }
