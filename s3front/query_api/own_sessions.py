"""Calls of STS by which a user or an account gets temporary credentials of its own, or for somebody
whom it vouches for (STS API reference: GetSessionToken, GetFederationToken).

The credentials are as good as whoever asked for them is at the time of a request, within their
session policies.
"""

from __future__ import annotations

from typing import Final

from s3front.auth.identity import Principal
from s3front.authz.access import Access
from s3front.authz.condition_keys import keys_of_call
from s3front.authz.decide import authorize, decide
from s3front.authz.reasons import Why
from s3front.authz.refusals import refusal
from s3front.iam.session_principals import federated_user_arn
from s3front.iam.session_service import Issued
from s3front.iam.sessions import Kind, Passed, Session
from s3front.query_api.call import Call, CallContext, Result, table
from s3front.query_api.call_parameters import Parameters
from s3front.query_api.sts_common import (
    credentials_of,
    refuse_devices,
    refuse_sessions,
    session_actions,
    session_service,
)
from s3front.query_api.sts_parameters import (
    FEDERATED_NAME,
    OWN_SECONDS_MAX,
    ROOT_SECONDS_MAX,
    SessionKeys,
    duration,
    packed,
    passed_tags,
    session_limits,
)

_DEFAULT_SECONDS: Final = 43_200


async def get_session_token(context: CallContext, parameters: Parameters) -> Result:
    """GetSessionToken. It needs no permission, as with AWS; a policy may deny it."""
    caller = context.principal
    refuse_devices(parameters)
    refuse_sessions(caller, "GetSessionToken")
    access = context.access(("sts:GetSessionToken",), "*")
    decision = decide(access)
    if not decision.allowed and decision.reason.why in (Why.POLICY_DENIES, Why.SUSPENDED):
        raise refusal(access, decision.reason)
    seconds = _own_duration(parameters, caller)
    return {"Credentials": credentials_of(await _own(context, Kind.SELF, seconds))}


async def get_federation_token(context: CallContext, parameters: Parameters) -> Result:
    """GetFederationToken."""
    caller = context.principal
    refuse_sessions(caller, "GetFederationToken")
    name = parameters.required("Name", FEDERATED_NAME)
    tags = passed_tags(parameters)
    arn = federated_user_arn(context.account_id, name)
    said = {"aws:tagkeys": tuple(tags)} if tags else {}
    keys = SessionKeys(keys_of_call(context.request, context.query, caller), said, tags, {})
    actions = session_actions("GetFederationToken", tags)
    authorize(Access(caller, actions, arn, keys))
    seconds = _own_duration(parameters, caller)
    service = session_service(context)
    policy, arns = session_limits(parameters, service.directory, context.account_id)
    content, percent = packed(Passed(policy, arns, tags))
    issued = await _own(context, Kind.FEDERATED, seconds, name, content)
    return {
        "Credentials": credentials_of(issued),
        "FederatedUser": {"FederatedUserId": f"{context.account_id}:{name}", "Arn": arn},
        "PackedPolicySize": percent,
    }


def _own_duration(parameters: Parameters, caller: Principal) -> int:
    """Those of an account itself are shorter; a longer one that is asked for is cut, as AWS
    does."""
    seconds = duration(parameters, _DEFAULT_SECONDS, OWN_SECONDS_MAX)
    return min(seconds, ROOT_SECONDS_MAX) if caller.rights is None else seconds


async def _own(
    context: CallContext, kind: Kind, seconds: int, name: str = "", content: bytes = b""
) -> Issued:
    service, caller = session_service(context), context.principal
    user_id = caller.user_id if caller.user_name else ""
    return await service.issue(
        Session(
            kind,
            "",
            context.account_id,
            caller.user_name or "",
            user_id,
            service.now,
            service.now + seconds,
            name,
            content,
        )
    )


CALLS: Final = table(
    Call("GetFederationToken", get_federation_token),
    Call("GetSessionToken", get_session_token),
)
