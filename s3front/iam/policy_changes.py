"""Making, changing and removing managed policies, which have versions. Pure but for new IDs."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from s3front.iam import quotas
from s3front.iam.aws_policies import AWS_ACCOUNT
from s3front.iam.change import Change, put
from s3front.iam.directory import Directory
from s3front.iam.iam_errors import IamError
from s3front.iam.identity_checks import (
    check_all_can_be_read,
    check_length,
    check_name,
    check_path,
    check_quota,
    checked_tags,
    merged_tags,
    remaining_tags,
    the_account,
    the_policy,
)
from s3front.iam.identity_ids import POLICY_PREFIX, new_id
from s3front.iam.policy_texts import check_policy, kept_text, policy_size
from s3front.iam.records import ManagedPolicy, PolicyVersion, policy_key
from s3front.policies.policy import Kind
from shared.records.times import now, to_iso


def create_policy(
    directory: Directory,
    account_id: str,
    name: str,
    text: str,
    *,
    path: str = "/",
    description: str = "",
    tags: Sequence[tuple[str, str]] = (),
) -> Change[ManagedPolicy]:
    """A new policy, of one version."""
    check_name(name, "policy", "policyName")
    check_path(path)
    check_length(description, "description", 0, quotas.DESCRIPTION_CHARACTERS_MAX)
    the_account(directory, account_id)
    _check_text(text)
    if directory.identities.text(policy_key(account_id, name)) is not None:
        raise IamError(
            "EntityAlreadyExists",
            f"A policy called {name} already exists. Duplicate names are not allowed.",
        )
    policies = directory.identities.keys(f"policy/{account_id}")
    check_quota(len(policies), quotas.POLICIES_MAX, "PoliciesPerAccount")
    created = to_iso(now())
    policy = ManagedPolicy(
        account=account_id,
        name=name,
        id=new_id(POLICY_PREFIX),
        path=path,
        created=created,
        updated=created,
        description=description,
        tags=checked_tags(tags),
        versions=(PolicyVersion(id="v1", text=kept_text(text), created=created),),
    )
    return Change({policy.key: policy}, policy)


def create_policy_version(
    directory: Directory,
    account_id: str,
    arn: str,
    text: str,
    *,
    set_as_default: bool,
    instead_of: str | None = None,
) -> Change[PolicyVersion]:
    """One more version, at most five; ``instead_of`` is one that goes."""
    policy = _own(directory, account_id, arn)
    _check_text(text)
    kept = tuple(each for each in policy.versions if each.id != instead_of)
    policy = replace(policy, versions=kept)
    if len(policy.versions) >= quotas.POLICY_VERSIONS_MAX:
        raise IamError(
            "LimitExceeded",
            f"A managed policy can have up to {quotas.POLICY_VERSIONS_MAX} versions. Before you "
            "create a new version, you must delete an existing version.",
        )
    made, created = policy.made + 1, to_iso(now())
    version = PolicyVersion(id=f"v{made}", text=kept_text(text), created=created)
    policy = replace(policy, versions=(*policy.versions, version), made=made, updated=created)
    if set_as_default:
        policy = replace(policy, default=version.id)
    return Change({policy.key: policy}, version)


def set_default_version(
    directory: Directory, account_id: str, arn: str, version_id: str
) -> Change[None]:
    """Put a version into force."""
    policy = _own(directory, account_id, arn)
    the_version(policy, version_id)
    return put(replace(policy, default=version_id, updated=to_iso(now())))


def delete_policy_version(
    directory: Directory, account_id: str, arn: str, version_id: str
) -> Change[None]:
    """Remove a version that is not in force."""
    policy = _own(directory, account_id, arn)
    the_version(policy, version_id)
    if version_id == policy.default:
        raise IamError("DeleteConflict", "Cannot delete the default version of a policy.")
    kept = tuple(each for each in policy.versions if each.id != version_id)
    return put(replace(policy, versions=kept, updated=to_iso(now())))


def delete_policy(
    directory: Directory, account_id: str, arn: str, *, versions: bool = False
) -> Change[None]:
    """Remove a policy that nobody has, and that has no other versions any more; or with all of
    its ``versions``."""
    policy = _own(directory, account_id, arn)
    check_all_can_be_read(directory, account_id)
    if directory.identities.attached_to(arn) or directory.identities.bounded_by(arn):
        raise IamError("DeleteConflict", "Cannot delete a policy attached to entities.")
    if len(policy.versions) > 1 and not versions:
        raise IamError(
            "DeleteConflict",
            "This policy has more than one version. Before you delete a policy, you must delete "
            "the policy's versions. The default version is deleted with the policy.",
        )
    return Change({policy.key: None}, None)


def add_policy_tags(
    directory: Directory, account_id: str, arn: str, tags: Sequence[tuple[str, str]]
) -> Change[None]:
    """Give tags, each in the place of one of its key."""
    policy = _own(directory, account_id, arn)
    return put(replace(policy, tags=merged_tags(policy.tags, tags)))


def remove_policy_tags(
    directory: Directory, account_id: str, arn: str, keys: Sequence[str]
) -> Change[None]:
    """Take tags away, as far as they are there."""
    policy = _own(directory, account_id, arn)
    return put(replace(policy, tags=remaining_tags(policy.tags, keys)))


def the_version(policy: ManagedPolicy, version_id: str) -> PolicyVersion:
    """Raises NoSuchEntity."""
    found = policy.version(version_id)
    if found is None:
        raise IamError(
            "NoSuchEntity",
            f"Policy {policy.arn} version {version_id} does not exist or is not attachable.",
        )
    return found


def _own(directory: Directory, account_id: str, arn: str) -> ManagedPolicy:
    """A policy that the account can change. Raises IamError."""
    policy = the_policy(directory, account_id, arn)
    if policy.account == AWS_ACCOUNT:
        raise IamError("AccessDenied", f"The policy {arn} is AWS's, and cannot be changed.")
    return policy


def _check_text(text: str) -> None:
    check_policy(text, Kind.IDENTITY)
    if policy_size(text) > quotas.POLICY_SIZE_MAX:
        most = quotas.POLICY_SIZE_MAX
        raise IamError("LimitExceeded", f"Cannot exceed quota for PolicySize: {most}")
