"""What IAM's calls are about: the identity that their parameters name, its ARN, and what policies
may ask of it.

Calls are always about the account of their caller; no name leads out of it.
Source: service authorization reference, "Actions, resources, and condition keys for AWS Identity
and Access Management".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from s3front.iam.identity_ids import identity_arn
from s3front.iam.provider_changes import provider_url
from s3front.iam.records import Account, Group, ManagedPolicy, Provider, Role, User
from s3front.query_api.call import (
    EVERYTHING,
    Call,
    CallContext,
    Handler,
)
from s3front.query_api.call_parameters import Parameters
from s3front.query_api.errors import QueryError
from s3front.query_api.iam_rules import (
    ARN,
    GROUP_NAME,
    POLICY_NAME,
    ROLE_NAME,
    TAG_KEY,
    URL,
    USER_NAME,
)

Record = Account | Group | ManagedPolicy | Provider | Role | User
Subject = Callable[[CallContext, Parameters], tuple[str, Record | None]]
"""The ARN that a call is about, and the record of what is there."""
Becomes = Callable[[Record | None, Parameters], str | None]
"""The ARN that a record will have; None: there is none."""

_MAKES: Final = "Create"
_TAGGED: Final = (User, Role, ManagedPolicy, Provider)


def iam_call(
    name: str,
    handler: Handler,
    subject: Subject,
    action: str | None = None,
    becomes: Becomes | None = None,
) -> Call:
    """A call of IAM, whose action has its name if no other is given. What the subject ``becomes``
    is asked for as well, and has its tags."""

    def resources(context: CallContext, parameters: Parameters) -> Sequence[str]:
        arn, record = subject(context, parameters)
        return (arn,) if becomes is None else (arn, becomes(record, parameters) or arn)

    def keys(context: CallContext, parameters: Parameters) -> Mapping[str, Sequence[str]]:
        return _keys(name, subject(context, parameters)[1], parameters)

    def besides(parameters: Parameters) -> Sequence[str]:
        """Who makes something with tags has to be allowed to tag it."""
        tags = name in GIVE_TAGS and name.startswith(_MAKES) and parameters.structures("Tags")
        return (f"iam:Tag{name.removeprefix(_MAKES)}",) if tags else ()

    asked = (f"iam:{action or name}",)
    return Call(name, handler, asked, resources, keys, besides=besides)


def user_name(context: CallContext, parameters: Parameters) -> str | None:
    """The user that a call names, or that makes it; None: the account itself does.

    Raises ValidationError, also where a session names nobody."""
    name = parameters.text("UserName", USER_NAME)
    principal = context.principal
    if name is None and principal.rights is not None:
        if principal.user_name is None:
            raise QueryError(
                "ValidationError", "Must specify userName when calling with non-User credentials"
            )
        return principal.user_name
    return name


# --- Subjects -------------------------------------------------------------------------------------


def nothing(_context: CallContext, _parameters: Parameters) -> tuple[str, Record | None]:
    """Of what is about no single identity."""
    return EVERYTHING, None


def a_user(context: CallContext, parameters: Parameters) -> tuple[str, Record | None]:
    """The user that a call names, or that makes it."""
    name = user_name(context, parameters)
    if name is None:
        return context.principal.arn, None
    return _user(context, name)


def a_new_user(context: CallContext, parameters: Parameters) -> tuple[str, Record | None]:
    return _new(context, parameters, "user", parameters.required("UserName")), None


def users(context: CallContext, parameters: Parameters) -> tuple[str, Record | None]:
    """All of a path."""
    return _all_of(context, parameters, "user"), None


def a_group(context: CallContext, parameters: Parameters) -> tuple[str, Record | None]:
    name = parameters.required("GroupName", GROUP_NAME)
    group = context.directory.group(context.account_id, name)
    if group is None:
        return identity_arn(context.account_id, "group", "/", name), None
    return group.arn, group


def a_new_group(context: CallContext, parameters: Parameters) -> tuple[str, Record | None]:
    return _new(context, parameters, "group", parameters.required("GroupName")), None


def groups(context: CallContext, parameters: Parameters) -> tuple[str, Record | None]:
    return _all_of(context, parameters, "group"), None


def a_role(context: CallContext, parameters: Parameters) -> tuple[str, Record | None]:
    name = parameters.required("RoleName", ROLE_NAME)
    role = context.directory.role(context.account_id, name)
    if role is None:
        return identity_arn(context.account_id, "role", "/", name), None
    return role.arn, role


def a_new_role(context: CallContext, parameters: Parameters) -> tuple[str, Record | None]:
    return _new(context, parameters, "role", parameters.required("RoleName")), None


def roles(context: CallContext, parameters: Parameters) -> tuple[str, Record | None]:
    return _all_of(context, parameters, "role"), None


def a_policy(context: CallContext, parameters: Parameters) -> tuple[str, Record | None]:
    arn = parameters.required("PolicyArn", ARN)
    policy = context.directory.policy(arn)
    if policy is not None and policy.account not in (context.account_id, "aws"):
        policy = None
    return arn, policy


def a_new_policy(context: CallContext, parameters: Parameters) -> tuple[str, Record | None]:
    name = parameters.required("PolicyName", POLICY_NAME)
    return _new(context, parameters, "policy", name), None


def policies(context: CallContext, parameters: Parameters) -> tuple[str, Record | None]:
    return _all_of(context, parameters, "policy"), None


def a_provider(context: CallContext, parameters: Parameters) -> tuple[str, Record | None]:
    arn = parameters.required("OpenIDConnectProviderArn", ARN)
    account_id, _, url = arn.removeprefix("arn:aws:iam::").partition(":oidc-provider/")
    if account_id != context.account_id:
        return arn, None
    provider = context.directory.provider(account_id, url)
    # It is found in any case; policies name it as it was made.
    return (arn, None) if provider is None else (provider.arn, provider)


def a_new_provider(context: CallContext, parameters: Parameters) -> tuple[str, Record | None]:
    url = provider_url(parameters.required("Url", URL))
    return f"arn:aws:iam::{context.account_id}:oidc-provider/{url}", None


def providers(context: CallContext, _parameters: Parameters) -> tuple[str, Record | None]:
    return f"arn:aws:iam::{context.account_id}:oidc-provider/*", None


def what_is_renamed(record: Record | None, parameters: Parameters) -> str | None:
    """A user or group as it will be: who renames has to be allowed to on both (IAM API reference,
    UpdateUser and UpdateGroup)."""
    if not isinstance(record, User | Group):
        return None
    kind = type(record).__name__
    name = parameters.text(f"New{kind}Name") or record.name
    path = parameters.text("NewPath") or record.path
    return replace(record, name=name, path=path).arn


SUBJECTS: Final[Mapping[str, Subject]] = {"user": a_user, "group": a_group, "role": a_role}
"""Those that have policies."""


def _user(context: CallContext, name: str) -> tuple[str, Record | None]:
    user = context.directory.user(context.account_id, name)
    if user is None:
        return identity_arn(context.account_id, "user", "/", name), None
    return user.arn, user


def _new(context: CallContext, parameters: Parameters, kind: str, name: str) -> str:
    return identity_arn(context.account_id, kind, parameters.text("Path") or "/", name)


def _all_of(context: CallContext, parameters: Parameters, kind: str) -> str:
    prefix = parameters.text("PathPrefix") or "/"
    return f"arn:aws:iam::{context.account_id}:{kind}{prefix}*"


# --- Condition keys -------------------------------------------------------------------------------


GIVE_BOUNDARIES: Final = frozenset(
    ("CreateRole", "CreateUser", "PutRolePermissionsBoundary", "PutUserPermissionsBoundary")
)
_GIVE_POLICIES: Final = frozenset(
    f"{verb}{kind}Policy" for verb in ("Attach", "Detach") for kind in ("User", "Group", "Role")
)
GIVE_TAGS: Final = frozenset(
    f"{verb}{kind}"
    for verb in ("Create", "Tag")
    for kind in ("User", "Role", "Policy", "OpenIDConnectProvider")
)
TAKE_TAGS: Final = frozenset(
    f"Untag{kind}" for kind in ("User", "Role", "Policy", "OpenIDConnectProvider")
)
"""The calls whose parameters say so. What any other call is sent besides is no parameter of it, and
must tell conditions nothing: it would make them true of whatever it does."""


def _keys(call: str, record: Record | None, parameters: Parameters) -> dict[str, Sequence[str]]:
    """What the parameters of a call and the identity that they name tell to the conditions of
    policies."""
    keys: dict[str, Sequence[str]] = {}
    if isinstance(record, _TAGGED):
        for key, held in record.tags.items():
            name = key.lower()
            keys[f"iam:resourcetag/{name}"] = keys[f"aws:resourcetag/{name}"] = (held,)
    given = parameters.structures("Tags") if call in GIVE_TAGS else ()
    tags = [(tag.text("Key"), tag.text("Value")) for tag in given]
    names = [key for key, _ in tags if key is not None]
    for given_key, value in tags:
        if given_key is not None:
            keys[f"aws:requesttag/{given_key.lower()}"] = (value or "",)
    if call in TAKE_TAGS:
        names += parameters.texts("TagKeys", TAG_KEY)
    if names:
        keys["aws:tagkeys"] = tuple(names)
    arn = parameters.text("PolicyArn") if call in _GIVE_POLICIES else None
    if arn is not None:
        keys["iam:policyarn"] = (arn,)
    boundary = None
    if call in GIVE_BOUNDARIES:
        boundary = parameters.text("PermissionsBoundary")
    elif isinstance(record, User | Role):
        boundary = record.boundary
    if boundary is not None:
        keys["iam:permissionsboundary"] = (boundary,)
    return keys
