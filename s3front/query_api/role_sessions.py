"""Calls of STS by which roles are taken on (STS API reference: AssumeRole,
AssumeRoleWithWebIdentity).

Nothing is stored: the credentials carry who they are of (``s3front.iam.sessions``). Taking on a
role is asked of its trust policy, and of the caller's own policies where that leaves it to them
(``s3front.authz.decide``). A role that there is not is answered as one that may not be taken on.

Unlike with AWS an account itself may take on roles, as there are installations that have no users.
Multi-factor authentication is not known here: who names a device is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import msgspec

from s3front.auth.identity import Principal
from s3front.authz.access import Access
from s3front.authz.condition_keys import ConditionKeys, keys_of_call
from s3front.authz.decide import decide
from s3front.authz.reasons import Layer, Reason, Why
from s3front.authz.refusals import AccessDeniedError
from s3front.iam.directory import Directory
from s3front.iam.iam_errors import IamError
from s3front.iam.identity_ids import parsed_arn
from s3front.iam.records import Account, Role
from s3front.iam.sessions import Kind, Passed, Session
from s3front.iam.web_identity import Trusted, WebIdentity, claimed, place_of
from s3front.policies.policy import Kind as PolicyKind
from s3front.query_api.call import Call, CallContext, Result, table
from s3front.query_api.call_parameters import Parameters, Rule
from s3front.query_api.errors import QueryError
from s3front.query_api.sts_common import (
    credentials_of,
    refuse_devices,
    session_actions,
    session_service,
    with_sessions,
)
from s3front.query_api.sts_parameters import (
    ARN,
    CHAINED_SECONDS_MAX,
    EXTERNAL_ID,
    ROLE_SECONDS_MAX,
    SESSION_NAME,
    SOURCE_IDENTITY,
    SessionKeys,
    duration,
    packed,
    passed_tags,
    session_limits,
    transitive_keys,
    with_inherited,
)

_DEFAULT_SECONDS: Final = 3_600
_TOKEN: Final = Rule(4, 20_000)
_ACCOUNT_OF_ARN: Final = re.compile(r"arn:aws:iam::([0-9]{12}):role/")


# --- Roles ----------------------------------------------------------------------------------------


async def assume_role(context: CallContext, parameters: Parameters) -> Result:
    """AssumeRole."""
    # A provider is trusted when it comes with its token: here it is who the caller is now.
    caller = msgspec.structs.replace(context.principal, federated=None)
    refuse_devices(parameters)
    if caller.kind == "FederatedUser":
        raise with_sessions("AssumeRole")
    arn = parameters.required("RoleArn", ARN)
    name = parameters.required("RoleSessionName", SESSION_NAME)
    seconds = duration(parameters, _DEFAULT_SECONDS, ROLE_SECONDS_MAX)
    tags = passed_tags(parameters)
    transitive = transitive_keys(parameters, tags)
    tags, transitive = with_inherited(tags, transitive, _inherited(caller))
    source_identity = parameters.text("SourceIdentity", SOURCE_IDENTITY)
    source_identity = _source_identity(caller, source_identity)
    said = {
        "sts:externalid": parameters.text("ExternalId", EXTERNAL_ID),
        "sts:rolesessionname": name,
        "sts:sourceidentity": source_identity or None,
        "sts:durationseconds": parameters.text("DurationSeconds"),
    }
    wanted = _Wanted(name, seconds, tags, transitive, source_identity)
    actions = session_actions("AssumeRole", tags, source_identity)
    account, role = await _role(context, caller, arn, actions[0])
    keys = _keys(context, caller, said, wanted, role)
    _authorize(context, caller, actions, account, role, keys)
    _check_duration(parameters, role, seconds, chained=caller.kind == "AssumedRole")
    return await _begun(context, parameters, role, wanted)


async def assume_role_with_web_identity(context: CallContext, parameters: Parameters) -> Result:
    """AssumeRoleWithWebIdentity. It is not signed: the token says who it is."""
    arn = parameters.required("RoleArn", ARN)
    name = parameters.required("RoleSessionName", SESSION_NAME)
    token = parameters.required("WebIdentityToken", _TOKEN)
    seconds = duration(parameters, _DEFAULT_SECONDS, ROLE_SECONDS_MAX)
    if parameters.text("ProviderId") is not None:
        raise QueryError(
            "ValidationError", "ProviderId is for access tokens of OAuth 2.0, which are not known."
        )
    identity, provider_arn = await _verified(context, arn, token)
    tags, transitive = _tags_of(identity)
    wanted = _Wanted(name, seconds, tags, transitive, identity.source_identity)
    caller = Principal(
        "", "", None, f"{provider_arn}:{identity.subject}", federated=provider_arn, kind="Anonymous"
    )
    actions = session_actions("AssumeRoleWithWebIdentity", tags, identity.source_identity)
    account, role = await _role(context, caller, arn, actions[0])
    said = {
        "sts:rolesessionname": name,
        "sts:sourceidentity": identity.source_identity or None,
        "sts:durationseconds": parameters.text("DurationSeconds"),
    }
    keys = _keys(context, caller, said, wanted, role, identity.keys)
    _authorize(context, caller, actions, account, role, keys)
    _check_duration(parameters, role, seconds, chained=False)
    begun = await _begun(context, parameters, role, wanted, identity)
    return {
        **begun,
        "SubjectFromWebIdentityToken": identity.subject,
        "Audience": identity.audience,
        "Provider": identity.issuer,
    }


class _Wanted(msgspec.Struct, frozen=True):
    """A session of a role that is asked for."""

    name: str
    seconds: int
    tags: Mapping[str, str]
    transitive: tuple[str, ...]
    source_identity: str


def _inherited(caller: Principal) -> dict[str, str]:
    """The tags that the caller's session hands on."""
    return {key: caller.tags[key] for key in caller.transitive_tags if key in caller.tags}


def _source_identity(caller: Principal, asked: str | None) -> str:
    """That of the caller's session, which stays; else the one that is asked for. Raises
    AccessDenied."""
    (own,) = caller.keys.get("aws:sourceidentity", ("",))
    if own and asked and own != asked:
        raise QueryError("AccessDenied", "The source identity of a session cannot be changed.")
    return own or asked or ""


async def _role(
    context: CallContext, caller: Principal, arn: str, action: str
) -> tuple[Account, Role]:
    """The role of an ARN and its account. Raises AccessDenied where there is none."""
    directory = context.services.directory
    found = _found_role(directory, arn)
    if found is None:
        await directory.refresh()
        found = _found_role(directory, arn)
    if found is None:
        _refuse(Access(caller, (action,), arn, _no_keys(context, caller)))
    return found


def _found_role(directory: Directory, arn: str) -> tuple[Account, Role] | None:
    try:
        account_id, name = parsed_arn(arn, "role")
    except IamError:
        return None
    account, role = directory.account(account_id), directory.role(account_id, name)
    if account is None or role is None or role.arn != arn:
        return None
    return account, role


def _no_keys(context: CallContext, caller: Principal) -> ConditionKeys:
    return keys_of_call(context.request, context.query, caller)


def _keys(
    context: CallContext,
    caller: Principal,
    said: Mapping[str, str | None],
    wanted: _Wanted,
    role: Role,
    claims: Mapping[str, Sequence[str]] | None = None,
) -> SessionKeys:
    """What the call tells to conditions."""
    known: dict[str, Sequence[str]] = dict(claims or {})
    known.update({key: (value,) for key, value in said.items() if value is not None})
    known["aws:resourceaccount"] = (role.account,)
    if wanted.tags:
        known["aws:tagkeys"] = tuple(wanted.tags)
    if wanted.transitive:
        known["sts:transitivetagkeys"] = wanted.transitive
    return SessionKeys(_no_keys(context, caller), known, wanted.tags, role.tags)


def _authorize(
    context: CallContext,
    caller: Principal,
    actions: Sequence[str],
    account: Account,
    role: Role,
    keys: SessionKeys,
) -> None:
    """Raises AccessDenied."""
    directory = context.services.directory
    trust = directory.policy_of_text(role.trust, PolicyKind.TRUST, role.trusted)
    access = Access(caller, actions, role.arn, keys, trust=trust, role_owner=account.canonical_id)
    if account.is_suspended:
        _refuse(access, Reason(Why.SUSPENDED, action=actions[0]))
    decision = decide(access)
    if not decision.allowed:
        _refuse(access, decision.reason)


def _refuse(access: Access, reason: Reason | None = None) -> NoReturn:
    """Every refusal reads the same, so that it says nothing of which roles there are."""
    action = access.actions[0]
    if reason is None:
        reason = Reason(Why.NOTHING_ALLOWS, Layer.RESOURCE, action=action)
    error = AccessDeniedError(access, reason)
    if access.principal.is_anonymous:
        error.message = f"Not authorized to perform {action}"
    else:
        error.message = (
            f"User: {access.principal.arn} is not authorized to perform: {action} on resource: "
            f"{access.resource}"
        )
    raise error


def _check_duration(parameters: Parameters, role: Role, seconds: int, *, chained: bool) -> None:
    """Raises ValidationError."""
    if parameters.text("DurationSeconds") is None:
        return
    if chained and seconds > CHAINED_SECONDS_MAX:
        raise QueryError(
            "ValidationError",
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by "
            "role chaining.",
        )
    if seconds > role.max_session_seconds:
        raise QueryError(
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        )


async def _begun(
    context: CallContext,
    parameters: Parameters,
    role: Role,
    wanted: _Wanted,
    identity: WebIdentity | None = None,
) -> dict[str, Any]:
    """A session of a role, as the answer has it."""
    service = session_service(context)
    policy, arns = session_limits(parameters, service.directory, role.account)
    content, percent = packed(Passed(policy, arns, wanted.tags, wanted.transitive))
    issued = await service.issue(
        Session(
            Kind.ROLE,
            "",
            role.account,
            role.name,
            role.id,
            service.now,
            service.now + wanted.seconds,
            wanted.name,
            content,
            wanted.source_identity,
            "" if identity is None else place_of(identity.issuer),
            {} if identity is None else identity.keys,
        )
    )
    return {
        "Credentials": credentials_of(issued),
        "AssumedRoleUser": {
            "AssumedRoleId": f"{role.id}:{wanted.name}",
            "Arn": role.session_arn(wanted.name),
        },
        "PackedPolicySize": percent,
        "SourceIdentity": wanted.source_identity or None,
    }


# --- Identity providers ---------------------------------------------------------------------------


async def _verified(context: CallContext, arn: str, token: str) -> tuple[WebIdentity, str]:
    """What the provider says, and its ARN in the account of the role. Raises IamError."""
    service = session_service(context)
    account = _ACCOUNT_OF_ARN.match(arn)
    if account is None:
        raise QueryError("ValidationError", f"{arn} is invalid")
    place = place_of(claimed(token).issuer)
    provider = service.directory.provider(account[1], place)
    if provider is None:
        await service.directory.refresh()
        provider = service.directory.provider(account[1], place)
    if provider is None:
        raise IamError(
            "InvalidIdentityToken",
            f"No OpenIDConnect provider found in your account for https://{place}",
        )
    trusted = Trusted(provider.url, provider.client_ids)
    identity = await service.providers.identity(token, trusted, context.now.timestamp())
    return identity, provider.arn


def _tags_of(identity: WebIdentity) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """The tags that the provider passes. Raises as those of a parameter do."""
    values: dict[str, str] = {}
    for number, (key, value) in enumerate(identity.tags.items(), 1):
        values[f"Tags.member.{number}.Key"] = key
        values[f"Tags.member.{number}.Value"] = value
    for number, key in enumerate(identity.transitive, 1):
        values[f"TransitiveTagKeys.member.{number}"] = key
    parameters = Parameters(values)
    tags = passed_tags(parameters)
    return tags, transitive_keys(parameters, tags)


CALLS: Final = table(
    Call("AssumeRole", assume_role),
    Call("AssumeRoleWithWebIdentity", assume_role_with_web_identity, anonymous=True),
)
