"""Who the sender of a request with temporary credentials is, and what they may at present. Pure.

A token says who a session is of, and what was passed when it began. What that may is looked up each
time: a policy that is changed counts at once for sessions that there are, and the sessions of a
role or user that is removed are over, even if another one gets its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec.structs import replace

from s3front.auth.identity import ISSUED_KEY, Principal, Rights
from s3front.iam.bounded_rights import bounded
from s3front.iam.directory import Directory
from s3front.iam.identity_checks import remaining_tags
from s3front.iam.records import ISSUE_TIME_FORMAT, Account, Role, User
from s3front.iam.sessions import Kind, Passed, Session
from s3front.policies.policy import Kind as PolicyKind
from s3front.policies.policy import NamedPolicy

INLINE_NAME: Final = "session policy"
"""What refusals call an inline session policy."""

_EVERYTHING: Final = "arn:aws:iam::aws:policy/AdministratorAccess"
"""What an account itself may, as a policy."""


def session_principal(directory: Directory, session: Session) -> Principal | None:
    """Who a session is; None when it is over, or what it was of is gone."""
    account = directory.account(session.account_id)
    if account is None:
        return None
    passed = session.passed
    if session.kind is Kind.ROLE:
        role = directory.role(account.id, session.entity)
        if role is None or role.id != session.entity_id or _is_revoked(role, session):
            return None
        return _of_role(directory, role, session, passed)
    whose = _whose(directory, account, session)
    if whose is None:
        return None
    if session.kind is Kind.SELF:
        return replace(whose, keys=_keys(session))
    return _federated(directory, account, whose, session, passed)


def federated_user_arn(account_id: str, name: str) -> str:
    """The ARN of somebody whom a user or account vouches for."""
    return f"arn:aws:sts::{account_id}:federated-user/{name}"


def issue_time(seconds: int) -> str:
    """A time as policies compare it."""
    return datetime.fromtimestamp(seconds, UTC).strftime(ISSUE_TIME_FORMAT)


def _is_revoked(role: Role, session: Session) -> bool:
    return role.revoked_before is not None and issue_time(session.issued) < role.revoked_before


def _of_role(
    directory: Directory, role: Role, session: Session, passed: Passed
) -> Principal | None:
    principal = directory.principal_of_role(role, session.name)
    if principal is None:
        return None
    rights = principal.rights
    assert rights is not None, "no role may everything"
    if passed.limits:
        rights = bounded(replace(rights, session=_session_policies(directory, passed)))
    provider = session.provider
    return replace(
        principal,
        rights=rights,
        federated=f"arn:aws:iam::{role.account}:oidc-provider/{provider}" if provider else None,
        keys=_keys(session),
        tags=_with(role.tags, passed.tags),
        transitive_tags=passed.transitive,
    )


def _whose(directory: Directory, account: Account, session: Session) -> Principal | None:
    """The user or account that has asked for a session."""
    if not session.entity:
        return directory.principal_of_account(account)
    user: User | None = directory.user(account.id, session.entity)
    if user is None or user.id != session.entity_id:
        return None
    return directory.principal_of_user(user)


def _federated(
    directory: Directory, account: Account, whose: Principal, session: Session, passed: Passed
) -> Principal:
    """Without a session policy it may only what others give to its ARN (STS API reference,
    GetFederationToken). What names its user names it as well."""
    rights = whose.rights
    if rights is None:
        rights = Rights(_managed(directory, (_EVERYTHING,)))
    rights = bounded(replace(rights, session=_session_policies(directory, passed)))
    return Principal(
        account.canonical_id,
        account.name,
        account.id,
        federated_user_arn(account.id, session.name),
        rights,
        user_id=f"{account.id}:{session.name}",
        kind="FederatedUser",
        keys=_keys(session),
        tags=_with(whose.tags, passed.tags),
        suspended=account.is_suspended,
        whose=None if whose.rights is None else whose.names,
    )


def _session_policies(directory: Directory, passed: Passed) -> Sequence[NamedPolicy]:
    policies = _managed(directory, passed.policy_arns)
    if passed.policy:
        policy = directory.policy_of_text(passed.policy, PolicyKind.SESSION)
        policies.append(NamedPolicy(INLINE_NAME, policy))
    return policies


def _managed(directory: Directory, arns: Sequence[str]) -> list[NamedPolicy]:
    """Those that are there no more deny everything."""
    return [directory.named_policy(arn) for arn in arns]


def _with(tags: Mapping[str, str], passed: Mapping[str, str]) -> Mapping[str, str]:
    """Tags, and those of a session in the place of such of the same names, which have no case."""
    return {**remaining_tags(tags, list(passed)), **passed}


def _keys(session: Session) -> Mapping[str, Sequence[str]]:
    """Condition keys that were settled when the session began."""
    keys: dict[str, Sequence[str]] = {
        **session.claims,
        ISSUED_KEY: (issue_time(session.issued),),
        "aws:multifactorauthpresent": ("false",),
    }
    if session.source_identity:
        keys["aws:sourceidentity"] = (session.source_identity,)
    return keys
