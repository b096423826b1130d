"""Whether what is asked for can be: names, paths, tags, and whether there is such a thing. Pure.

Messages are those of AWS.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence, Sized
from typing import Final, Literal

from s3front.iam import quotas
from s3front.iam.directory import Directory
from s3front.iam.iam_errors import IamError, no_such_entity
from s3front.iam.identity_ids import parsed_arn
from s3front.iam.records import Account, Group, Holder, ManagedPolicy, Role, User

HolderKind = Literal["user", "group", "role"]

_NAME: Final = re.compile(r"[\w+=,.@-]+\Z", re.ASCII)
_PATH: Final = re.compile(r"/(?:[!-~]+/)?\Z")
_TAG_PUNCTUATION: Final = frozenset("_.:/=+-@")
_TAG_CATEGORIES: Final = frozenset("LZN")


def check_name(name: str, kind: str, parameter: str) -> None:
    """``parameter`` is what IAM's calls name it by. Raises ValidationError."""
    check_length(name, parameter, 1, quotas.NAME_CHARACTERS_MAX[kind])
    if _NAME.match(name) is None:
        raise IamError(
            "ValidationError",
            f"The specified value for {parameter} is invalid. It must contain only alphanumeric "
            "characters and/or the following: +=,.@_-",
        )


def check_path(path: str) -> None:
    """Raises ValidationError."""
    check_length(path, "path", 1, quotas.PATH_CHARACTERS_MAX)
    if _PATH.match(path) is None:
        raise IamError(
            "ValidationError",
            "The specified value for path is invalid. It must begin and end with / and contain "
            "only alphanumeric characters and/or / characters.",
        )


def check_length(value: Sized, parameter: str, least: int, most: int) -> None:
    """Raises ValidationError."""
    if least <= len(value) <= most:
        return
    bound = f"greater than or equal to {least}"
    if len(value) > most:
        bound = f"less than or equal to {most}"
    raise invalid_value(parameter, f"Member must have length {bound}")


def invalid_value(parameter: str, constraint: str) -> IamError:
    """A parameter has a value that it cannot have."""
    return IamError(
        "ValidationError",
        f"1 validation error detected: Value at '{parameter}' failed to satisfy constraint: "
        f"{constraint}",
    )


def checked_tags(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Tags, as they were given. Raises IamError."""
    seen: set[str] = set()
    for key, value in pairs:
        check_length(key, "tags.member.key", 1, quotas.TAG_KEY_CHARACTERS_MAX)
        check_length(value, "tags.member.value", 0, quotas.TAG_VALUE_CHARACTERS_MAX)
        if key.lower() in seen:
            raise IamError(
                "InvalidInput",
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            )
        seen.add(key.lower())
        if key.lower().startswith("aws:") or not (_is_tag_text(key) and _is_tag_text(value)):
            raise IamError("InvalidInput", f"The tag {key} is not valid.")
    if len(pairs) > quotas.TAGS_MAX:
        raise IamError("LimitExceeded", f"Cannot exceed quota for TagsPerUser: {quotas.TAGS_MAX}")
    return dict(pairs)


def _is_tag_text(text: str) -> bool:
    return all(
        character in _TAG_PUNCTUATION or unicodedata.category(character)[0] in _TAG_CATEGORIES
        for character in text
    )


def merged_tags(before: Mapping[str, str], pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Tags with some more, each in the place of one whose key is the same without regard to case.
    Raises IamError."""
    given = checked_tags(pairs)
    return checked_tags([*remaining_tags(before, list(given)).items(), *given.items()])


def remaining_tags(before: Mapping[str, str], keys: Sequence[str]) -> dict[str, str]:
    """Tags without those of some keys, without regard to case."""
    gone = {key.lower() for key in keys}
    return {key: value for key, value in before.items() if key.lower() not in gone}


def check_quota(count: int, most: int, name: str) -> None:
    """Whether there may be one more. Raises LimitExceeded."""
    if count >= most:
        raise IamError("LimitExceeded", f"Cannot exceed quota for {name}: {most}")


def check_inline_size(kind: HolderKind, name: str, size: int) -> None:
    """Raises LimitExceeded."""
    most = quotas.INLINE_SIZE_MAX[kind]
    if size > most:
        raise IamError(
            "LimitExceeded", f"Maximum policy size of {most} bytes exceeded for {kind} {name}"
        )


def check_all_can_be_read(directory: Directory, account_id: str) -> None:
    """Whether it is known what the users, groups and roles of an account refer to. Raises
    DeleteConflict."""
    for key in directory.identities.unreadable_of(account_id):
        raise IamError(
            "DeleteConflict",
            f"Cannot delete entity, as {key} cannot be read, which may refer to it.",
        )


# --- What there is ---------------------------------------------------------------------------


def the_account(directory: Directory, account_id: str) -> Account:
    """Raises NoSuchEntity."""
    found = directory.account(account_id)
    if found is None:
        raise IamError("NoSuchEntity", f"The account {account_id} cannot be found.")
    return found


def the_user(directory: Directory, account_id: str, name: str) -> User:
    """Raises NoSuchEntity."""
    found = directory.user(account_id, name)
    if found is None:
        raise IamError("NoSuchEntity", f"The user with name {name} cannot be found.")
    return found


def the_group(directory: Directory, account_id: str, name: str) -> Group:
    """Raises NoSuchEntity."""
    found = directory.group(account_id, name)
    if found is None:
        raise IamError("NoSuchEntity", f"The group with name {name} cannot be found.")
    return found


def the_role(directory: Directory, account_id: str, name: str) -> Role:
    """Raises NoSuchEntity."""
    found = directory.role(account_id, name)
    if found is None:
        raise IamError("NoSuchEntity", f"The role with name {name} cannot be found.")
    return found


def the_holder(directory: Directory, kind: HolderKind, account_id: str, name: str) -> Holder:
    """The user, group or role of a name. Raises NoSuchEntity."""
    if kind == "user":
        return the_user(directory, account_id, name)
    if kind == "group":
        return the_group(directory, account_id, name)
    return the_role(directory, account_id, name)


def the_holder_of(directory: Directory, kind: HolderKind, arn: str) -> Holder:
    """The user, group or role of an ARN, path and all: what policies say of another path, they do
    not say of it. Raises InvalidInput, NoSuchEntity."""
    account_id, name = parsed_arn(arn, kind)
    holder = the_holder(directory, kind, account_id, name)
    if holder.arn != arn:
        raise no_such_entity(kind, name)
    return holder


def the_policy(directory: Directory, account_id: str, arn: str) -> ManagedPolicy:
    """A managed policy that an account can name: its own, or AWS's. Raises IamError."""
    found = directory.policy(arn)
    if found is None or found.account not in (account_id, "aws"):
        raise IamError("NoSuchEntity", f"Policy {arn} was not found.")
    return found


def attachable(directory: Directory, account_id: str, arn: str) -> ManagedPolicy:
    """The same, in the words that attaching has. Raises IamError."""
    try:
        return the_policy(directory, account_id, arn)
    except IamError as error:
        if error.code != "NoSuchEntity":
            raise
        raise IamError(
            "NoSuchEntity", f"Policy {arn} does not exist or is not attachable."
        ) from error
