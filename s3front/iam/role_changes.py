"""Making, changing and removing roles. Pure but for new IDs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from s3front.iam import quotas
from s3front.iam.change import Change, put
from s3front.iam.directory import Directory
from s3front.iam.holder_changes import check_can_be_deleted
from s3front.iam.iam_errors import IamError
from s3front.iam.identity_checks import (
    attachable,
    check_length,
    check_name,
    check_path,
    check_quota,
    checked_tags,
    invalid_value,
    the_account,
    the_role,
)
from s3front.iam.identity_ids import ROLE_PREFIX, new_id
from s3front.iam.policy_principals import meant_by, unknown_principal
from s3front.iam.policy_texts import check_policy, kept_text, policy_size
from s3front.iam.records import ISSUE_TIME_FORMAT, Role, role_key
from s3front.policies.policy import Kind
from shared.records.times import now, to_iso


def create_role(  # noqa: PLR0913  # what CreateRole has
    directory: Directory,
    account_id: str,
    name: str,
    trust: str,
    *,
    path: str = "/",
    description: str = "",
    max_session_seconds: int = quotas.SESSION_SECONDS_MIN,
    tags: Sequence[tuple[str, str]] = (),
    boundary: str | None = None,
) -> Change[Role]:
    """A new role; ``trust`` is the policy that says who may take it on."""
    check_name(name, "role", "roleName")
    check_path(path)
    the_account(directory, account_id)
    if directory.identities.text(role_key(account_id, name)) is not None:
        raise IamError("EntityAlreadyExists", f"Role with name {name} already exists.")
    roles = directory.identities.keys(f"role/{account_id}")
    check_quota(len(roles), quotas.ROLES_MAX, "RolesPerAccount")
    trusted = _trusted(directory, trust)
    _check_settings(description, max_session_seconds)
    if boundary is not None:
        attachable(directory, account_id, boundary)
    role = Role(
        account=account_id,
        name=name,
        id=new_id(ROLE_PREFIX),
        path=path,
        created=to_iso(now()),
        trust=kept_text(trust),
        trusted=trusted,
        description=description,
        max_session_seconds=max_session_seconds,
        tags=checked_tags(tags),
        boundary=boundary,
    )
    return Change({role.key: role}, role)


def update_role(
    directory: Directory,
    account_id: str,
    name: str,
    *,
    description: str | None = None,
    max_session_seconds: int | None = None,
) -> Change[Role]:
    """Another description, or longest session."""
    role = the_role(directory, account_id, name)
    if description is not None:
        role = replace(role, description=description)
    if max_session_seconds is not None:
        role = replace(role, max_session_seconds=max_session_seconds)
    _check_settings(role.description, role.max_session_seconds)
    return Change({role.key: role}, role)


def update_trust(directory: Directory, account_id: str, name: str, trust: str) -> Change[None]:
    """Let others take a role on: those who have these names at present."""
    role = the_role(directory, account_id, name)
    trusted = _trusted(directory, trust)
    return put(replace(role, trust=kept_text(trust), trusted=trusted))


def revoke_sessions(
    directory: Directory, account_id: str, name: str, before: datetime
) -> Change[Role]:
    """End all sessions of a role that began before a time, and in the second that it is in. AWS's
    way, a policy with a condition on ``aws:TokenIssueTime``, leaves them what others give to
    them."""
    role = the_role(directory, account_id, name)
    whole = before.astimezone(UTC).replace(microsecond=0)
    if whole < before:
        whole += timedelta(seconds=1)
    role = replace(role, revoked_before=whole.strftime(ISSUE_TIME_FORMAT))
    return Change({role.key: role}, role)


def delete_role(directory: Directory, account_id: str, name: str) -> Change[None]:
    """Remove a role that has no policies any more. Its sessions end with it."""
    role = the_role(directory, account_id, name)
    check_can_be_deleted(role)
    return Change({role.key: None}, None)


def _trusted(directory: Directory, trust: str) -> dict[str, str]:
    """The unique IDs of those whom a trust policy names. Raises MalformedPolicyDocument, also where
    one of them is not there, and LimitExceeded."""
    policy = check_policy(trust, Kind.TRUST)
    unknown = unknown_principal(policy, directory)
    if unknown is not None:
        raise IamError("MalformedPolicyDocument", f"Invalid principal in policy: {unknown}")
    if policy_size(trust) > quotas.TRUST_SIZE_MAX:
        most = quotas.TRUST_SIZE_MAX
        raise IamError("LimitExceeded", f"Cannot exceed quota for ACLSizePerRole: {most}")
    return meant_by(policy, directory)


def _check_settings(description: str, max_session_seconds: int) -> None:
    check_length(description, "description", 0, quotas.DESCRIPTION_CHARACTERS_MAX)
    least, most = quotas.SESSION_SECONDS_MIN, quotas.SESSION_SECONDS_MAX
    if not least <= max_session_seconds <= most:
        bound = f"greater than or equal to {least}"
        if max_session_seconds > most:
            bound = f"less than or equal to {most}"
        raise invalid_value("maxSessionDuration", f"Member must have value {bound}")
