"""IAM's calls about managed policies (IAM API reference; each function is the call of its name).

Those of AWS's own that have a meaning here are there for every account, to be read and attached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from s3front.iam.aws_policies import AWS_POLICIES
from s3front.iam.identities import Identities
from s3front.iam.identity_checks import the_policy
from s3front.iam.policy_changes import (
    add_policy_tags,
    remove_policy_tags,
    set_default_version,
    the_version,
)
from s3front.iam.policy_changes import create_policy as created_policy
from s3front.iam.policy_changes import create_policy_version as created_version
from s3front.iam.policy_changes import delete_policy as deleted_policy
from s3front.iam.policy_changes import delete_policy_version as deleted_version
from s3front.iam.records import Group, Holder, ManagedPolicy, Role, User, policy_key
from s3front.query_api.answer_pages import marked, page_of, page_of_map
from s3front.query_api.call import CallContext, Result, table
from s3front.query_api.call_parameters import Parameters
from s3front.query_api.iam_rules import (
    ARN,
    DESCRIPTION,
    DOCUMENT,
    ENTITY,
    PATH_PREFIX,
    SCOPE,
    USAGE,
    VERSION_ID,
)
from s3front.query_api.iam_subjects import a_new_policy, a_policy, iam_call, policies
from s3front.query_api.shown_identities import shown_policy, shown_version
from s3front.query_api.tag_parameters import tag_keys_of, tags_of


def _policy(context: CallContext, parameters: Parameters) -> ManagedPolicy:
    """The one that is named. Raises NoSuchEntity."""
    arn = parameters.required("PolicyArn", ARN)
    return the_policy(context.directory, context.account_id, arn)


async def create_policy(context: CallContext, parameters: Parameters) -> Result:
    name = parameters.required("PolicyName")
    text = parameters.required("PolicyDocument", DOCUMENT)
    path, tags = parameters.text("Path") or "/", tags_of(parameters)
    description = parameters.text("Description", DESCRIPTION) or ""
    policy = await context.change(
        lambda directory: created_policy(
            directory,
            context.account_id,
            name,
            text,
            path=path,
            description=description,
            tags=tags,
        )
    )
    return {"Policy": shown_policy(policy, context.directory, whole=True)}


async def get_policy(context: CallContext, parameters: Parameters) -> Result:
    policy = _policy(context, parameters)
    return {"Policy": shown_policy(policy, context.directory, whole=True)}


async def list_policies(context: CallContext, parameters: Parameters) -> Result:
    """The account's, then AWS's own."""
    scope = parameters.text("Scope", SCOPE) or "All"
    prefix = parameters.text("PathPrefix", PATH_PREFIX) or "/"
    usage = parameters.text("PolicyUsageFilter", USAGE)
    only_attached = parameters.boolean("OnlyAttached") or usage is not None
    identities = context.directory.identities

    def wanted(policy: ManagedPolicy) -> bool:
        if not policy.path.startswith(prefix):
            return False
        if not only_attached:
            return True
        attached = usage != "PermissionsBoundary" and identities.attached_to(policy.arn)
        bounds = usage != "PermissionsPolicy" and identities.bounded_by(policy.arn)
        return bool(attached or bounds)

    found = (policy for policy in _every(context, scope, marked(parameters)) if wanted(policy))
    return page_of(
        parameters,
        "Policies",
        found,
        lambda policy: policy.key,
        lambda policy: shown_policy(policy, context.directory),
    )


def _every(context: CallContext, scope: str, after: str) -> Iterator[ManagedPolicy]:
    room = f"policy/{context.account_id}"
    if scope != "AWS" and not after.startswith("policy/aws/"):
        yield from context.directory.every(ManagedPolicy, room, after)
    if scope != "Local":
        named = sorted(AWS_POLICIES, key=lambda policy: policy.key)
        yield from (policy for policy in named if not after or _is_behind(policy, after))


def _is_behind(policy: ManagedPolicy, after: str) -> bool:
    return not after.startswith(policy_key(policy.account, "")) or policy.key > after


async def delete_policy(context: CallContext, parameters: Parameters) -> Result:
    arn = parameters.required("PolicyArn", ARN)
    await context.change(lambda directory: deleted_policy(directory, context.account_id, arn))
    return None


# --- Versions -------------------------------------------------------------------------------------


async def create_policy_version(context: CallContext, parameters: Parameters) -> Result:
    arn = parameters.required("PolicyArn", ARN)
    text = parameters.required("PolicyDocument", DOCUMENT)
    default = parameters.boolean("SetAsDefault") or False
    version = await context.change(
        lambda directory: created_version(
            directory, context.account_id, arn, text, set_as_default=default
        )
    )
    policy = the_policy(context.directory, context.account_id, arn)
    return {"PolicyVersion": shown_version(version, policy)}


async def get_policy_version(context: CallContext, parameters: Parameters) -> Result:
    policy = _policy(context, parameters)
    version = the_version(policy, parameters.required("VersionId", VERSION_ID))
    return {"PolicyVersion": shown_version(version, policy, whole=True)}


async def list_policy_versions(context: CallContext, parameters: Parameters) -> Result:
    """The last one first."""
    policy = _policy(context, parameters)
    versions, after = list(reversed(policy.versions)), marked(parameters)
    if after:
        versions = [each for each in versions if _number(each.id) < _number(after)]
    return page_of(
        parameters,
        "Versions",
        versions,
        lambda version: version.id,
        lambda version: shown_version(version, policy),
    )


def _number(version_id: str) -> int:
    """That of a version; 0 of what a marker has that was never given out."""
    digits = version_id[1:]
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 19 else 0


async def delete_policy_version(context: CallContext, parameters: Parameters) -> Result:
    arn = parameters.required("PolicyArn", ARN)
    version_id = parameters.required("VersionId", VERSION_ID)
    await context.change(
        lambda directory: deleted_version(directory, context.account_id, arn, version_id)
    )
    return None


async def set_default_policy_version(context: CallContext, parameters: Parameters) -> Result:
    arn = parameters.required("PolicyArn", ARN)
    version_id = parameters.required("VersionId", VERSION_ID)
    await context.change(
        lambda directory: set_default_version(directory, context.account_id, arn, version_id)
    )
    return None


# --- Who has it, and tags -------------------------------------------------------------------------


_READ: Final[Mapping[str, Callable[[Identities, str], Holder | None]]] = {
    "user": lambda identities, key: identities.get(User, key),
    "group": lambda identities, key: identities.get(Group, key),
    "role": lambda identities, key: identities.get(Role, key),
}


async def list_entities_for_policy(context: CallContext, parameters: Parameters) -> Result:
    policy, identities = _policy(context, parameters), context.directory.identities
    kind = (parameters.text("EntityFilter", ENTITY) or "").lower()
    usage = parameters.text("PolicyUsageFilter", USAGE)
    prefix = parameters.text("PathPrefix", PATH_PREFIX) or "/"
    keys: set[str] = set()
    if usage != "PermissionsBoundary":
        keys.update(identities.attached_to(policy.arn))
    if usage != "PermissionsPolicy":
        keys.update(identities.bounded_by(policy.arn))
    found, after = [], marked(parameters)
    for key in sorted(key for key in keys if key > after):
        room, account_id, _ = key.split("/", 2)
        holder: Holder | None = _READ[room](identities, key)
        # AWS's policies may be attached in any account.
        if holder is None or account_id != context.account_id or (kind and kind != room):
            continue
        if holder.path.startswith(prefix):
            found.append(holder)
    page = page_of(parameters, "All", found, lambda holder: holder.key, lambda holder: holder)
    shown: dict[str, list[dict[str, Any]]] = {
        "PolicyGroups": [],
        "PolicyUsers": [],
        "PolicyRoles": [],
    }
    for holder in page.pop("All"):
        word = type(holder).__name__
        shown[f"Policy{word}s"].append({f"{word}Name": holder.name, f"{word}Id": holder.id})
    return {**shown, **page}


async def tag_policy(context: CallContext, parameters: Parameters) -> Result:
    arn, tags = parameters.required("PolicyArn", ARN), tags_of(parameters)
    await context.change(
        lambda directory: add_policy_tags(directory, context.account_id, arn, tags)
    )
    return None


async def untag_policy(context: CallContext, parameters: Parameters) -> Result:
    arn, keys = parameters.required("PolicyArn", ARN), tag_keys_of(parameters)
    await context.change(
        lambda directory: remove_policy_tags(directory, context.account_id, arn, keys)
    )
    return None


async def list_policy_tags(context: CallContext, parameters: Parameters) -> Result:
    tags = _policy(context, parameters).tags
    return page_of_map(parameters, "Tags", tags, lambda key: {"Key": key, "Value": tags[key]})


CALLS: Final = table(
    iam_call("CreatePolicy", create_policy, a_new_policy),
    iam_call("GetPolicy", get_policy, a_policy),
    iam_call("ListPolicies", list_policies, policies),
    iam_call("DeletePolicy", delete_policy, a_policy),
    iam_call("CreatePolicyVersion", create_policy_version, a_policy),
    iam_call("GetPolicyVersion", get_policy_version, a_policy),
    iam_call("ListPolicyVersions", list_policy_versions, a_policy),
    iam_call("DeletePolicyVersion", delete_policy_version, a_policy),
    iam_call("SetDefaultPolicyVersion", set_default_policy_version, a_policy),
    iam_call("ListEntitiesForPolicy", list_entities_for_policy, a_policy),
    iam_call("TagPolicy", tag_policy, a_policy),
    iam_call("UntagPolicy", untag_policy, a_policy),
    iam_call("ListPolicyTags", list_policy_tags, a_policy),
)
