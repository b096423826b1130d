"""Whether the principals that a policy names are there. Pure.

AWS refuses a policy of a bucket, or of a role's trust, that names an account, user or role that
there is not; of identity providers and services, it does not look (IAM user guide, "AWS JSON policy
elements: Principal").
"""

from __future__ import annotations

import re
from typing import Final

from s3front.iam.directory import Directory
from s3front.iam.records import Role, User
from s3front.policies.grammar import principals_of
from s3front.policies.policy import Policy
from s3front.policies.statement_principals import in_partition

_PARTITION: Final = r"arn:aws[a-z-]*:"
_ACCOUNT: Final = re.compile(rf"(?:{_PARTITION}iam::)?([0-9]{{12}})(?::root)?\Z")
_IDENTITY: Final = re.compile(rf"{_PARTITION}iam::([0-9]{{12}}):(user|role)/(?:.*/)?([^/]+)\Z")
_SESSION: Final = re.compile(rf"{_PARTITION}sts::([0-9]{{12}}):assumed-role/([^/]+)/[^/]+\Z")
_OTHER_ARN: Final = re.compile(rf"{_PARTITION}(?:iam|sts)::([0-9]{{12}}):federated-user/.+\Z")
_UNIQUE_ID: Final = re.compile(r"A(?:IDA|ROA)[A-Z2-7]{12,28}\Z")
"""What is left in a policy of a user or role that was deleted: to be written back as it is."""


def unknown_principal(policy: Policy, directory: Directory) -> str | None:
    """What a policy that was checked names and there is not, as AWS writes it: ``"AWS" : "…"``;
    None where all of them are there."""
    for kind, name in principals_of(policy):
        if not _is_known(kind, name, directory):
            return f'"{kind}" : "{name}"'
    return None


def meant_by(policy: Policy, directory: Directory) -> dict[str, str]:
    """The unique IDs of the users and roles that a policy names at present, by the ARNs that it
    names them, or sessions of theirs, by (``Policy.ids``)."""
    ids = {}
    for kind, name in principals_of(policy):
        identity = _identity(name, directory) if kind == "AWS" else None
        if identity is not None:
            ids[in_partition(name)] = identity.id
    return ids


def _identity(name: str, directory: Directory) -> User | Role | None:
    if (found := _SESSION.match(name)) is not None:
        return directory.role(found[1], found[2])
    if (found := _IDENTITY.match(name)) is not None:
        if found[2] == "user":
            return directory.user(found[1], found[3])
        return directory.role(found[1], found[3])
    return None


def _is_known(kind: str, name: str, directory: Directory) -> bool:
    if kind == "CanonicalUser":
        return directory.account_by_canonical_id(name) is not None
    if kind != "AWS" or name == "*" or _UNIQUE_ID.match(name):
        return True
    if (found := _ACCOUNT.match(name) or _OTHER_ARN.match(name)) is not None:
        return directory.account(found[1]) is not None
    identity = _identity(name, directory)
    return identity is not None and (_SESSION.match(name) is not None or identity.arn == name)
