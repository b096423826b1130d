"""IAM's calls that say what would be decided: the decision is the one that requests get
(``s3front.iam.simulation``), on what the call says of them.

SimulatePrincipalPolicy asks for an identity that there is, SimulateCustomPolicy for policies alone.
Each action is decided for each resource, those of the page that is shown (IAM API reference).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from s3front.auth.identity import Principal, Rights
from s3front.authz.reasons import Decision, Layer, Why
from s3front.iam.callers import SIMULATED
from s3front.iam.iam_errors import IamError, no_such_entity
from s3front.iam.identity_checks import HolderKind, the_account, the_holder_of
from s3front.iam.identity_ids import account_arn, parsed_arn
from s3front.iam.records import Group, Holder, Role, User
from s3front.iam.simulation import Simulated
from s3front.policies.grammar import parse_policy
from s3front.policies.policy import Kind, NamedPolicy, Policy
from s3front.policies.policy_error import PolicyError
from s3front.policies.policy_json import JsonError, read_json
from s3front.query_api.answer_pages import marked, page_of
from s3front.query_api.call import EVERYTHING, CallContext, Result, table
from s3front.query_api.call_parameters import Parameters, Rule
from s3front.query_api.context_keys import context_keys, statements_of
from s3front.query_api.errors import QueryError
from s3front.query_api.iam_rules import ARN, DOCUMENT
from s3front.query_api.iam_subjects import Record, iam_call, nothing
from s3front.query_api.simulation_thread import OneThread

_ACTION: Final = Rule(3, 128)
_RESOURCE: Final = Rule(1, 2048)
_KEY_NAME: Final = Rule(5, 256)
_ASKED_MAX: Final = 1_000_000
_STATEMENTS_MAX: Final = 200_000
"""So many are looked at for a page, or those of one decision."""
PAGE_SECONDS: Final = 0.25
"""A page ends when its decisions have taken so long, of the time of the thread."""

_THREAD: Final = OneThread("simulations")

_KINDS: Final[Mapping[str, HolderKind]] = {"user": "user", "group": "group", "role": "role"}


class _Question(msgspec.Struct, frozen=True):
    """What is the same of all that a call asks. ``names`` are the condition keys that policies ask
    about, by their names in lower case; ``statements`` is how many there are to be looked at for
    each decision."""

    principal: Principal
    keys: Mapping[str, Sequence[str]]
    names: Mapping[str, str]
    policy: Mapping[str, Any] | None
    owner_id: str | None
    statements: int

    def simulated(self, action: str, resource: str) -> Simulated:
        return Simulated(
            self.principal,
            action,
            resource,
            self.keys,
            policy=self.policy,
            owner_id=self.owner_id,
        )


async def simulate_principal_policy(context: CallContext, parameters: Parameters) -> Result:
    """What the policies of a user, group or role give, and some more beside them."""
    holder = _source(context, parameters)
    rights = _rights_of(context, holder)
    return await _answered(context, parameters, _principal_of(context, holder), rights)


async def simulate_custom_policy(context: CallContext, parameters: Parameters) -> Result:
    """What policies give, to a caller who may be named."""
    parameters.required("PolicyInputList.member.1", DOCUMENT)
    account = the_account(context.directory, context.account_id)
    principal = context.directory.principal_of_account(account)
    return await _answered(context, parameters, principal, Rights())


async def get_context_keys_for_custom_policy(
    context: CallContext, parameters: Parameters
) -> Result:
    """The keys that policies ask about."""
    parameters.required("PolicyInputList.member.1", DOCUMENT)
    return await _THREAD.run(context.account_id, partial(_told_keys, parameters, Rights()))


async def get_context_keys_for_principal_policy(
    context: CallContext, parameters: Parameters
) -> Result:
    """The keys that the policies of a user, group or role ask about."""
    rights = _rights_of(context, _source(context, parameters))
    return await _THREAD.run(context.account_id, partial(_told_keys, parameters, rights))


def _told_keys(parameters: Parameters, rights: Rights) -> Result:
    more = _inputs(parameters, "PolicyInputList")
    return {"ContextKeyNames": _key_names([*rights.policies, *more])}


# --- What is asked --------------------------------------------------------------------------------


async def _answered(
    context: CallContext, parameters: Parameters, principal: Principal, rights: Rights
) -> Result:
    """A page of decisions. There may be a thousand on policies of a megabyte, so that they are made
    in a thread of their own; of many statements, and when it takes long, the page is shorter."""
    caller = parameters.text("CallerArn", _RESOURCE)
    if caller is not None:
        principal = _principal_of(context, _holder(context, caller))
    owner = parameters.text("ResourceOwner", _RESOURCE)
    owner_id = None if owner is None else _canonical_id(context, owner)
    principal = msgspec.structs.replace(principal, rights=rights)
    return await _THREAD.run(context.account_id, partial(_page, parameters, principal, owner_id))


def _page(parameters: Parameters, principal: Principal, owner_id: str | None) -> Result:
    actions = parameters.texts("ActionNames", _ACTION)
    if not actions:
        parameters.required("ActionNames")
    resources = parameters.texts("ResourceArns", _RESOURCE) or [EVERYTHING]
    if len(actions) * len(resources) > _ASKED_MAX:
        raise QueryError("InvalidInput", "There are too many actions and resources.")
    question = _question(parameters, principal, owner_id)
    after = marked(parameters)
    begin = int(after) if after.isascii() and after.isdecimal() and len(after) < 8 else 0

    def asked() -> Iterator[tuple[int, str, str]]:
        for number in range(begin, len(actions) * len(resources)):
            action, resource = divmod(number, len(resources))
            yield number, actions[action], resources[resource]

    until = time.thread_time() + PAGE_SECONDS
    return page_of(
        parameters,
        "EvaluationResults",
        asked(),
        lambda each: str(each[0] + 1),
        lambda each: _result(question, each[1], each[2]),
        items_max=max(1, _STATEMENTS_MAX // max(1, question.statements)),
        enough=lambda: time.thread_time() >= until,
    )


def _question(parameters: Parameters, principal: Principal, owner_id: str | None) -> _Question:
    rights = principal.rights
    assert rights is not None
    policies = [*rights.policies, *_inputs(parameters, "PolicyInputList")]
    boundary = rights.boundary
    for given in _inputs(parameters, "PermissionsBoundaryPolicyInputList"):
        boundary = given
    text = parameters.text("ResourcePolicy", DOCUMENT)
    policy = None if text is None else _document(text)
    keys = {
        entry.required("ContextKeyName", _KEY_NAME): entry.texts("ContextKeyValues")
        for entry in parameters.structures("ContextEntries")
    }
    named = [*policies, *(() if boundary is None else (boundary,))]
    statements = sum(_count(each.policy.document) for each in named)
    if policy is not None:
        named.append(NamedPolicy("ResourcePolicy", Policy(policy)))
        # It is compiled for each decision.
        statements += 20 * _count(policy)
    return _Question(
        msgspec.structs.replace(principal, rights=Rights(policies, boundary)),
        keys,
        {name.lower(): name for name in _key_names(named)},
        policy,
        owner_id,
        statements,
    )


def _count(document: Mapping[str, Any]) -> int:
    return len(statements_of(document) or ())


def _inputs(parameters: Parameters, name: str) -> list[NamedPolicy]:
    """Policies that are given as texts. Raises InvalidInput."""
    found = []
    for number, text in enumerate(parameters.texts(name, DOCUMENT), 1):
        try:
            found.append(NamedPolicy(f"{name}.{number}", parse_policy(text, Kind.IDENTITY)))
        except PolicyError as error:
            raise QueryError("InvalidInput", f"Invalid policy: {error.message}") from error
    return found


def _document(text: str) -> Mapping[str, Any]:
    """The policy of a resource. Raises InvalidInput."""
    try:
        document = read_json(text.encode())
    except JsonError as error:
        raise QueryError("InvalidInput", f"Invalid resource policy: {error}") from error
    if not isinstance(document, dict):
        raise QueryError("InvalidInput", "Invalid resource policy: it is no object.")
    if statements_of(document) is None:
        raise QueryError("InvalidInput", "Invalid resource policy: it has no statements.")
    return document


def _canonical_id(context: CallContext, arn: str) -> str | None:
    """That of the account which an ARN or ID names."""
    account_id = arn.removeprefix("arn:aws:iam::").partition(":")[0]
    account = context.directory.account(account_id)
    if account is None or arn not in (account_id, account_arn(account_id)):
        raise QueryError("InvalidInput", f"Invalid resource owner: {arn}")
    return account.canonical_id


# --- Who it is ------------------------------------------------------------------------------------


def _its_source(context: CallContext, parameters: Parameters) -> tuple[str, Record | None]:
    """The identity whose policies are asked for."""
    arn = parameters.required("PolicySourceArn", ARN)
    try:
        return arn, _source(context, parameters)
    except IamError:
        # Whoever may not ask is not told that there is nobody.
        return arn, None


def _source(context: CallContext, parameters: Parameters) -> Holder:
    return _holder(context, parameters.required("PolicySourceArn", ARN))


def _holder(context: CallContext, arn: str) -> Holder:
    """The user, group or role of an ARN. Raises InvalidInput and NoSuchEntity."""
    kind = _KINDS.get(arn.partition("/")[0].rpartition(":")[2])
    if kind is None:
        raise QueryError(
            "InvalidInput", f"Invalid Entity Arn: {arn} does not clearly define entity"
        )
    account_id, name = parsed_arn(arn, kind)
    if account_id != context.account_id:
        raise no_such_entity(kind, name)
    return the_holder_of(context.directory, kind, arn)


def _rights_of(context: CallContext, holder: Holder) -> Rights:
    directory = context.directory
    if isinstance(holder, User):
        return directory.rights_of_user(holder)
    if isinstance(holder, Role):
        return directory.rights_of_role(holder)
    return directory.rights_of_group(holder)


def _principal_of(context: CallContext, holder: Holder) -> Principal:
    """As who it would ask, a role as a session of it; a group asks for nothing, and is taken for a
    member without a name."""
    directory = context.directory
    if isinstance(holder, Group):
        account = the_account(directory, context.account_id)
        principal = directory.principal_of_account(account)
        return msgspec.structs.replace(principal, arn=holder.arn, user_id=holder.id)
    found = (
        directory.principal_of_role(holder, SIMULATED)
        if isinstance(holder, Role)
        else directory.principal_of_user(holder)
    )
    assert found is not None, "the caller's account is there"
    return found


# --- What is answered -----------------------------------------------------------------------------


def _result(question: _Question, action: str, resource: str) -> dict[str, Any]:
    decision = question.simulated(action, resource).decision()
    given = {name.lower() for name in question.keys}
    principal = question.principal
    missing = [
        name
        for lower, name in question.names.items()
        if lower not in given and not lower.startswith(("aws:principal", "aws:user"))
    ]
    shown: dict[str, Any] = {
        "EvalActionName": action,
        "EvalResourceName": resource,
        "EvalDecision": _word(decision),
        "MatchedStatements": _matched(decision),
        "MissingContextValues": missing,
    }
    assert principal.rights is not None
    if principal.rights.boundary is not None:
        shown["PermissionsBoundaryDecisionDetail"] = {
            "AllowedByPermissionsBoundary": _is_within(question, action, resource)
        }
    return shown


def _is_within(question: _Question, action: str, resource: str) -> bool:
    """Whether the boundary alone would give it."""
    rights = question.principal.rights
    assert rights is not None
    assert rights.boundary is not None
    bounded = msgspec.structs.replace(question.principal, rights=Rights([rights.boundary]))
    alone = msgspec.structs.replace(question, principal=bounded, policy=None, owner_id=None)
    return alone.simulated(action, resource).decision().allowed


def _word(decision: Decision) -> str:
    if decision.allowed:
        return "allowed"
    return "explicitDeny" if decision.reason.why is Why.POLICY_DENIES else "implicitDeny"


def _matched(decision: Decision) -> list[dict[str, str]]:
    """The statement that decided, by its policy."""
    reason = decision.reason
    if reason.why not in (Why.POLICY_ALLOWS, Why.POLICY_DENIES):
        return []
    name = reason.policy
    if reason.layer is Layer.RESOURCE:
        return [{"SourcePolicyId": "ResourcePolicy", "SourcePolicyType": "resource"}]
    if name.startswith("arn:"):
        kind = "aws-managed" if name.startswith("arn:aws:iam::aws:") else "user-managed"
        return [{"SourcePolicyId": name.rpartition("/")[2], "SourcePolicyType": kind}]
    kind = name.partition("/")[0]
    return [
        {
            "SourcePolicyId": name.replace("/", "_"),
            "SourcePolicyType": kind if kind in _KINDS else "none",
        }
    ]


def _key_names(policies: Sequence[NamedPolicy]) -> list[str]:
    """The keys that policies ask about, each once, as the first of them writes it."""
    found: dict[str, str] = {}
    for named in policies:
        for key in context_keys(named.policy.document):
            found.setdefault(key.lower(), key)
    return sorted(found.values())


CALLS: Final = table(
    iam_call("SimulatePrincipalPolicy", simulate_principal_policy, _its_source),
    iam_call("SimulateCustomPolicy", simulate_custom_policy, nothing),
    iam_call(
        "GetContextKeysForPrincipalPolicy", get_context_keys_for_principal_policy, _its_source
    ),
    iam_call("GetContextKeysForCustomPolicy", get_context_keys_for_custom_policy, nothing),
)
