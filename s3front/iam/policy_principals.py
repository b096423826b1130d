"""Whether the principals that a policy names are there, and who they are. Pure.

AWS refuses a policy of a bucket, or of a role's trust, that names an account, user or role that
there is not; of identity providers and services, it does not look (IAM user guide, "AWS JSON policy
elements: Principal"). It keeps the unique IDs of users and roles, and shows what these are called
by now.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from s3front.iam.directory import Directory
from s3front.iam.records import Role, User
from s3front.policies.grammar import principals_of
from s3front.policies.policy import Kind, Policy
from s3front.policies.statement_principals import in_partition

_PARTITION: Final = r"arn:aws[a-z-]*:"
_ACCOUNT: Final = re.compile(rf"(?:{_PARTITION}iam::)?([0-9]{{12}})(?::root)?\Z")
_IDENTITY: Final = re.compile(rf"{_PARTITION}iam::([0-9]{{12}}):(user|role)/(?:.*/)?([^/]+)\Z")
_SESSION: Final = re.compile(rf"{_PARTITION}sts::([0-9]{{12}}):assumed-role/([^/]+)/[^/]+\Z")
_OTHER_ARN: Final = re.compile(rf"{_PARTITION}(?:iam|sts)::([0-9]{{12}}):federated-user/.+\Z")
_UNIQUE_ID: Final = re.compile(r"A(?:IDA|ROA)[A-Z2-7]{12,28}\Z")
"""A user or role by its unique ID: what is shown of one that was deleted, and may be put again."""


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


def as_named_now(policy: Policy, directory: Directory) -> Mapping[str, Any]:
    """The document of a policy as it is shown: users and roles by the ARNs that they have now,
    those that are there no more by their unique IDs. What another server has put, which nobody has
    checked, is shown as it is written."""
    ids = policy.ids
    if not ids:
        return policy.document
    changed = {
        name: shown
        for kind, name in principals_of(policy)
        if kind == "AWS"
        and (shown := _named_now(name, ids.get(in_partition(name)), directory)) != name
    }
    if not changed:
        return policy.document
    written = policy.document["Statement"]
    statements = written if isinstance(written, list) else [written]
    renamed = [_renamed(statement, changed) for statement in statements]
    return {**policy.document, "Statement": renamed if isinstance(written, list) else renamed[0]}


def trust_as_named_now(role: Role, directory: Directory) -> str:
    """The trust policy of a role, likewise."""
    policy = directory.policy_of_text(role.trust, Kind.TRUST, role.trusted)
    shown = as_named_now(policy, directory)
    if shown is policy.document:
        return role.trust
    return json.dumps(shown, ensure_ascii=False)


def _renamed(statement: Mapping[str, Any], changed: Mapping[str, str]) -> Mapping[str, Any]:
    """A statement with other names in the place of these."""
    found = dict(statement)
    for element in ("Principal", "NotPrincipal"):
        named = found.get(element)
        if isinstance(named, Mapping) and "AWS" in named:
            written = named["AWS"]
            if isinstance(written, list):
                names: Any = [changed.get(name, name) for name in written]
            else:
                names = changed.get(written, written)
            found[element] = {**named, "AWS": names}
    return found


def _named_now(name: str, unique_id: str | None, directory: Directory) -> str:
    """What a name is shown as, of whom has this unique ID; None: no such one was meant by it."""
    if unique_id is None:
        if not _UNIQUE_ID.match(name):
            return name
        unique_id = name
    identity = directory.user_by_id(unique_id) or directory.role_by_id(unique_id)
    if identity is None:
        return unique_id
    if _SESSION.match(name) is not None or in_partition(name) == identity.arn:
        return name
    return identity.arn


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
