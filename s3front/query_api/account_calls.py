"""IAM's calls about an account as a whole (IAM API reference; each function is the call of its
name)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from s3front.iam import quotas
from s3front.iam.account_changes import create_alias, delete_alias
from s3front.iam.aws_policies import AWS_POLICIES
from s3front.iam.directory import Directory
from s3front.iam.identity_checks import the_account
from s3front.iam.records import Group, ManagedPolicy, Role, User
from s3front.query_api.answer_pages import marked, page_of
from s3front.query_api.call import CallContext, Result, table
from s3front.query_api.call_parameters import Parameters
from s3front.query_api.iam_rules import ALIAS, ENTITY
from s3front.query_api.iam_subjects import iam_call, nothing
from s3front.query_api.rendering import Entries
from s3front.query_api.shown_identities import (
    Shown,
    shown_attached,
    shown_boundary,
    shown_group,
    shown_inline,
    shown_policy,
    shown_role,
    shown_tags,
    shown_user,
    shown_version,
)


async def get_account_summary(context: CallContext, _parameters: Parameters) -> Result:
    directory, account_id = context.directory, context.account_id
    keys = directory.identities.keys
    own_keys = the_account(directory, account_id).access_keys
    versions = sum(
        len(policy.versions) for policy in directory.every(ManagedPolicy, f"policy/{account_id}")
    )
    counts = {
        "AccessKeysPerUserQuota": quotas.ACCESS_KEYS_MAX,
        "AccountAccessKeysPresent": int(bool(own_keys)),
        "AccountMFAEnabled": 0,
        "AccountPasswordPresent": 0,
        "AccountSigningCertificatesPresent": 0,
        "AssumeRolePolicySizeQuota": quotas.TRUST_SIZE_MAX,
        "AttachedPoliciesPerGroupQuota": quotas.ATTACHED_MAX,
        "AttachedPoliciesPerRoleQuota": quotas.ATTACHED_MAX,
        "AttachedPoliciesPerUserQuota": quotas.ATTACHED_MAX,
        "GlobalEndpointTokenVersion": 2,
        "GroupPolicySizeQuota": quotas.INLINE_SIZE_MAX["group"],
        "Groups": len(keys(f"group/{account_id}")),
        "GroupsPerUserQuota": quotas.GROUPS_OF_USER_MAX,
        "GroupsQuota": quotas.GROUPS_MAX,
        "InstanceProfiles": 0,
        "InstanceProfilesQuota": 0,
        "MFADevices": 0,
        "MFADevicesInUse": 0,
        "Policies": len(keys(f"policy/{account_id}")),
        "PoliciesQuota": quotas.POLICIES_MAX,
        "PolicySizeQuota": quotas.POLICY_SIZE_MAX,
        "PolicyVersionsInUse": versions,
        "PolicyVersionsInUseQuota": quotas.POLICIES_MAX * quotas.POLICY_VERSIONS_MAX,
        "Providers": len(keys(f"oidc/{account_id}")),
        "RolePolicySizeQuota": quotas.INLINE_SIZE_MAX["role"],
        "Roles": len(keys(f"role/{account_id}")),
        "RolesQuota": quotas.ROLES_MAX,
        "ServerCertificates": 0,
        "ServerCertificatesQuota": 0,
        "SigningCertificatesPerUserQuota": 0,
        "UserPolicySizeQuota": quotas.INLINE_SIZE_MAX["user"],
        "Users": len(keys(f"user/{account_id}")),
        "UsersQuota": quotas.USERS_MAX,
        "VersionsPerPolicyQuota": quotas.POLICY_VERSIONS_MAX,
    }
    return {"SummaryMap": Entries(counts)}


# --- Aliases --------------------------------------------------------------------------------------


async def list_account_aliases(context: CallContext, _parameters: Parameters) -> Result:
    """One at most."""
    alias = the_account(context.directory, context.account_id).alias
    return {"AccountAliases": [] if alias is None else [alias], "IsTruncated": False}


async def create_account_alias(context: CallContext, parameters: Parameters) -> Result:
    alias = parameters.required("AccountAlias", ALIAS)
    await context.change(lambda directory: create_alias(directory, context.account_id, alias))
    return None


async def delete_account_alias(context: CallContext, parameters: Parameters) -> Result:
    alias = parameters.required("AccountAlias", ALIAS)
    await context.change(lambda directory: delete_alias(directory, context.account_id, alias))
    return None


# --- All there is ---------------------------------------------------------------------------------


_DETAILS_MAX: Final = 100
"""Of a page: each has whole policies, and others wait meanwhile."""


async def get_account_authorization_details(context: CallContext, parameters: Parameters) -> Result:
    """Users, groups, roles and policies with all that they may, in pages over all of them."""
    kinds = set(parameters.texts("Filter", ENTITY))
    lists: dict[str, list[Any]] = {
        "UserDetailList": [],
        "GroupDetailList": [],
        "RoleDetailList": [],
        "Policies": [],
    }
    after = marked(parameters)
    page = page_of(
        parameters,
        "All",
        _every(context, kinds, after),
        lambda found: found[0],
        lambda found: found[1:],
        _DETAILS_MAX,
    )
    for name, show in page.pop("All"):
        lists[name].append(show())
    return {**lists, **page}


_Found = tuple[str, str, Callable[[], Shown]]


def _every(context: CallContext, kinds: set[str], after: str) -> Iterator[_Found]:
    """The place of each identity, the list that it is in, and what is shown of it. Places are in
    the order in which they come."""
    directory, account_id = context.directory, context.account_id

    def behind(number: int, kind: str) -> str | None:
        """Where a kind begins; None where all of it was before."""
        begin = f"{number}/"
        if after[:2] > begin or (kinds and kind not in kinds):
            return None
        return after[2:] if after.startswith(begin) else ""

    def shown(
        number: int, name: str, record: Any, show: Callable[[Any, Directory], Shown]
    ) -> _Found:
        return f"{number}/{record.key}", name, lambda: show(record, directory)

    if (begin := behind(1, "User")) is not None:
        for user in directory.every(User, f"user/{account_id}", begin):
            yield shown(1, "UserDetailList", user, _whole_user)
    if (begin := behind(2, "Group")) is not None:
        for group in directory.every(Group, f"group/{account_id}", begin):
            yield shown(2, "GroupDetailList", group, _whole_group)
    if (begin := behind(3, "Role")) is not None:
        for role in directory.every(Role, f"role/{account_id}", begin):
            yield shown(3, "RoleDetailList", role, _whole_role)
    if (begin := behind(4, "LocalManagedPolicy")) is not None:
        for policy in directory.every(ManagedPolicy, f"policy/{account_id}", begin):
            yield shown(4, "Policies", policy, _whole_policy)
    if (begin := behind(5, "AWSManagedPolicy")) is not None:
        for policy in sorted(AWS_POLICIES, key=lambda each: each.key):
            used = directory.identities.attached_to(policy.arn)
            if policy.key > begin and (used or kinds):
                yield shown(5, "Policies", policy, _whole_policy)


def _whole_user(user: User, directory: Directory) -> Shown:
    groups = (directory.group_by_id(group_id) for group_id in user.groups)
    return {
        **shown_user(user),
        "UserPolicyList": shown_inline(user),
        "GroupList": [group.name for group in groups if group is not None],
        "AttachedManagedPolicies": shown_attached(list(user.attached)),
        "PermissionsBoundary": shown_boundary(user.boundary),
        "Tags": shown_tags(user.tags),
    }


def _whole_group(group: Group, _directory: Directory) -> Shown:
    return {
        **shown_group(group),
        "GroupPolicyList": shown_inline(group),
        "AttachedManagedPolicies": shown_attached(list(group.attached)),
    }


def _whole_role(role: Role, directory: Directory) -> Shown:
    shown = shown_role(role, directory)
    del shown["Description"], shown["MaxSessionDuration"]
    return {
        **shown,
        "InstanceProfileList": [],
        "RolePolicyList": shown_inline(role),
        "AttachedManagedPolicies": shown_attached(list(role.attached)),
        "PermissionsBoundary": shown_boundary(role.boundary),
        "Tags": shown_tags(role.tags),
        "RoleLastUsed": {},
    }


def _whole_policy(policy: ManagedPolicy, directory: Directory) -> Shown:
    return {
        **shown_policy(policy, directory),
        "Description": policy.description or None,
        "PolicyVersionList": [
            shown_version(version, policy, whole=True) for version in reversed(policy.versions)
        ],
    }


CALLS: Final = table(
    iam_call("GetAccountSummary", get_account_summary, nothing),
    iam_call("ListAccountAliases", list_account_aliases, nothing),
    iam_call("CreateAccountAlias", create_account_alias, nothing),
    iam_call("DeleteAccountAlias", delete_account_alias, nothing),
    iam_call("GetAccountAuthorizationDetails", get_account_authorization_details, nothing),
)
