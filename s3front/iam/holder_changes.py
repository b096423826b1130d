"""Giving policies, tags and boundaries to users, groups and roles, and taking them away. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from s3front.iam import quotas
from s3front.iam.change import Change, put
from s3front.iam.directory import Directory
from s3front.iam.iam_errors import IamError
from s3front.iam.identity_checks import (
    HolderKind,
    attachable,
    check_inline_size,
    check_name,
    check_quota,
    merged_tags,
    remaining_tags,
    the_holder,
    the_policy,
    the_role,
    the_user,
)
from s3front.iam.policy_texts import check_policy, kept_text, policy_size
from s3front.iam.records import Holder, Role, User
from s3front.policies.policy import Kind


def attach(
    directory: Directory, kind: HolderKind, account_id: str, name: str, arn: str
) -> Change[None]:
    """Attach a managed policy; one that is attached, stays it."""
    holder = the_holder(directory, kind, account_id, name)
    attachable(directory, account_id, arn)
    if arn in holder.attached:
        return Change({}, None)
    check_quota(len(holder.attached), quotas.ATTACHED_MAX, f"PoliciesPer{kind.capitalize()}")
    return put(replace(holder, attached=(*holder.attached, arn)))


def detach(
    directory: Directory, kind: HolderKind, account_id: str, name: str, arn: str
) -> Change[None]:
    holder = the_holder(directory, kind, account_id, name)
    if arn not in holder.attached:
        the_policy(directory, account_id, arn)
        raise IamError("NoSuchEntity", f"Policy {arn} was not found.")
    return put(replace(holder, attached=tuple(each for each in holder.attached if each != arn)))


def put_inline(
    directory: Directory, kind: HolderKind, account_id: str, name: str, policy: tuple[str, str]
) -> Change[None]:
    """Give a policy of its own, ``policy`` is its name and its text, in the place of one of this
    name."""
    holder = the_holder(directory, kind, account_id, name)
    policy_name, text = policy
    check_name(policy_name, "policy", "policyName")
    check_policy(text, Kind.IDENTITY)
    inline = {**holder.inline, policy_name: kept_text(text)}
    check_inline_size(kind, holder.name, sum(map(policy_size, inline.values())))
    return put(replace(holder, inline=inline))


def delete_inline(
    directory: Directory, kind: HolderKind, account_id: str, name: str, policy_name: str
) -> Change[None]:
    holder = the_holder(directory, kind, account_id, name)
    inline_policy(kind, holder, policy_name)
    inline = {each: text for each, text in holder.inline.items() if each != policy_name}
    return put(replace(holder, inline=inline))


def inline_policy(kind: HolderKind, holder: Holder, policy_name: str) -> str:
    """The text of an inline policy. Raises NoSuchEntity."""
    text = holder.inline.get(policy_name)
    if text is None:
        raise IamError(
            "NoSuchEntity", f"The {kind} policy with name {policy_name} cannot be found."
        )
    return text


def check_can_be_deleted(holder: Holder) -> None:
    """Whether it has no policies any more. Raises DeleteConflict."""
    if holder.attached:
        raise IamError("DeleteConflict", "Cannot delete entity, must detach all policies first.")
    if holder.inline:
        raise IamError("DeleteConflict", "Cannot delete entity, must delete policies first.")


# --- Of users and roles --------------------------------------------------------------------------


def set_boundary(
    directory: Directory, kind: HolderKind, account_id: str, name: str, arn: str | None
) -> Change[None]:
    """Let a managed policy limit what the own ones give; None: nothing does."""
    holder = _user_or_role(directory, kind, account_id, name)
    if arn is None and holder.boundary is None:
        raise IamError("NoSuchEntity", f"{kind.capitalize()} {name} has no permissions boundary.")
    if arn is not None:
        attachable(directory, account_id, arn)
    return put(replace(holder, boundary=arn))


def add_tags(
    directory: Directory,
    kind: HolderKind,
    account_id: str,
    name: str,
    tags: Sequence[tuple[str, str]],
) -> Change[None]:
    """Give tags, each in the place of one of its key."""
    holder = _user_or_role(directory, kind, account_id, name)
    return put(replace(holder, tags=merged_tags(holder.tags, tags)))


def remove_tags(
    directory: Directory, kind: HolderKind, account_id: str, name: str, keys: Sequence[str]
) -> Change[None]:
    """Take tags away, as far as they are there."""
    holder = _user_or_role(directory, kind, account_id, name)
    return put(replace(holder, tags=remaining_tags(holder.tags, keys)))


def _user_or_role(
    directory: Directory, kind: HolderKind, account_id: str, name: str
) -> User | Role:
    find = the_user if kind == "user" else the_role
    return find(directory, account_id, name)
