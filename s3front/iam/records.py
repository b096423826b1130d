"""The records of identities: what stands in the sub-level ``..iam``, one record each. Pure.

A record is JSON. Its key (``key`` of each class) has the name in lower case, as no two names may
differ in case alone; the record has it as it was written. Times are ISO 8601, in UTC. Policies are
kept as the texts that they were given as.

What refers to another record names it: users the unique IDs of their groups, users, groups and
roles the ARNs of attached policies and of their boundary, users and accounts their access keys. The
other direction is an index of ``s3front.iam.identities``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeVar

import msgspec

from s3front.iam.identity_ids import account_arn, identity_arn
from shared.records.names import SERVICE_ID_PREFIX

VERSION_KEY: Final = "version"
"""The key of the record that counts changes; no identity has it."""

SESSIONS_KEY: Final = "sessions"
"""The key of the record that seals session tokens."""

ISSUE_TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"
"""How the times are written when sessions begin, and when those before are over: texts of this form
are in the order of the times."""

ACTIVE: Final = "Active"
INACTIVE: Final = "Inactive"
KeyStatus = Literal["Active", "Inactive"]
AccountStatus = Literal["active", "suspended"]


def account_key(account_id: str) -> str:
    return f"account/{account_id}"


def user_key(account_id: str, name: str) -> str:
    return f"user/{account_id}/{name.lower()}"


def group_key(account_id: str, name: str) -> str:
    return f"group/{account_id}/{name.lower()}"


def role_key(account_id: str, name: str) -> str:
    return f"role/{account_id}/{name.lower()}"


def policy_key(account_id: str, name: str) -> str:
    return f"policy/{account_id}/{name.lower()}"


def access_key_key(access_key_id: str) -> str:
    return f"key/{access_key_id}"


def provider_key(account_id: str, url: str) -> str:
    """``url`` is that of an OIDC provider without its scheme."""
    return f"oidc/{account_id}/{url.lower()}"


class _Record(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What they have in common."""

    def stored(self) -> str:
        """The text that is stored."""
        return msgspec.json.encode(self).decode()


class Account(_Record, frozen=True):
    """An account. One of the configuration (``from_file``) has a record of its own only once it has
    an alias or blocks public access; its name, address and IDs are always those of the file.

    ``canonical_id`` has 64 hex digits, or is the URL of a service account. ``access_keys`` are
    those of the account itself. ``public_access_block`` has the settings that hold in all of its
    buckets (``s3front.authz.public_block``).
    """

    id: str
    name: str
    email: str
    canonical_id: str
    created: str = ""
    status: AccountStatus = "active"
    alias: str | None = None
    public_access_block: Mapping[str, bool] | None = None
    access_keys: tuple[str, ...] = ()
    from_file: bool = False

    @property
    def key(self) -> str:
        return account_key(self.id)

    @property
    def arn(self) -> str:
        return account_arn(self.id)

    @property
    def is_suspended(self) -> bool:
        return self.status != "active"

    @property
    def service(self) -> str | None:
        """The service whose account it is, as the original names it; None: it is nobody's."""
        name = self.canonical_id.removeprefix(SERVICE_ID_PREFIX)
        return None if name == self.canonical_id else name


class _Named(_Record, frozen=True):
    """``account`` is an account ID; ``path`` begins and ends with a slash; ``id`` is the unique ID,
    which another one of this name will not have."""

    account: str
    name: str
    id: str
    path: str = "/"
    created: str = ""


class _Holder(_Named, frozen=True):
    """Who has policies: ``inline`` are texts by their names, ``attached`` ARNs of managed ones, in
    the order in which they came."""

    inline: Mapping[str, str] = msgspec.field(default_factory=dict)
    attached: tuple[str, ...] = ()


class User(_Holder, frozen=True):
    """``boundary`` is the ARN of the policy that limits what the user's own give; ``groups`` are
    the unique IDs of groups, ``access_keys`` the IDs of at most two keys."""

    tags: Mapping[str, str] = msgspec.field(default_factory=dict)
    boundary: str | None = None
    groups: tuple[str, ...] = ()
    access_keys: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return user_key(self.account, self.name)

    @property
    def arn(self) -> str:
        return identity_arn(self.account, "user", self.path, self.name)


class Group(_Holder, frozen=True):
    """Its members say that they are."""

    @property
    def key(self) -> str:
        return group_key(self.account, self.name)

    @property
    def arn(self) -> str:
        return identity_arn(self.account, "group", self.path, self.name)


class Role(_Holder, frozen=True, kw_only=True):
    """``trust`` is the text of the policy that says who may take it on, ``trusted`` the unique IDs
    of those whom it names (``s3front.policies.policy.Policy.ids``); ``last_used`` is kept nowhere,
    as sessions are. Sessions that began before ``revoked_before`` are over."""

    trust: str
    trusted: Mapping[str, str] = msgspec.field(default_factory=dict)
    description: str = ""
    max_session_seconds: int = 3600
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)
    boundary: str | None = None
    revoked_before: str | None = None

    @property
    def key(self) -> str:
        return role_key(self.account, self.name)

    @property
    def arn(self) -> str:
        return identity_arn(self.account, "role", self.path, self.name)

    def session_arn(self, session: str) -> str:
        """The ARN of a session of it, by its name."""
        return f"arn:aws:sts::{self.account}:assumed-role/{self.name}/{session}"


class PolicyVersion(_Record, frozen=True):
    """``id`` is ``v1``, ``v2``…"""

    id: str
    text: str
    created: str = ""


class ManagedPolicy(_Named, frozen=True, kw_only=True):
    """A customer managed policy, or one of AWS's own, whose account is ``aws``. ``versions`` are in
    the order in which they were made, at most five; ``made`` is how many ever were."""

    versions: tuple[PolicyVersion, ...]
    default: str = "v1"
    made: int = 1
    updated: str = ""
    description: str = ""
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)

    @property
    def key(self) -> str:
        return policy_key(self.account, self.name)

    @property
    def arn(self) -> str:
        return identity_arn(self.account, "policy", self.path, self.name)

    def version(self, version_id: str) -> PolicyVersion | None:
        return next((each for each in self.versions if each.id == version_id), None)

    @property
    def text(self) -> str:
        """That of the version in force."""
        found = self.version(self.default)
        assert found is not None
        return found.text


class AccessKey(_Record, frozen=True):
    """An access key of a user, or of an account itself. ``user_id`` is the user's unique ID, as
    names change, and may come to be others'; None: it is the account's.

    ``secret`` is the sealed secret (``s3front.keys.sealed_text``); ``expires`` is the time from
    which on the key is good no more, None: never.
    """

    id: str
    account: str
    secret: Mapping[str, str]
    user_id: str | None = None
    status: KeyStatus = ACTIVE
    created: str = ""
    expires: str | None = None
    description: str = ""

    @property
    def key(self) -> str:
        return access_key_key(self.id)


class Provider(_Record, frozen=True):
    """An OpenID Connect provider; ``url`` is without its scheme, which is always ``https``."""

    account: str
    url: str
    created: str = ""
    client_ids: tuple[str, ...] = ()
    thumbprints: tuple[str, ...] = ()
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)

    @property
    def key(self) -> str:
        return provider_key(self.account, self.url)

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account}:oidc-provider/{self.url}"


class SealedKey(_Record, frozen=True):
    """A key that seals session tokens: 32 bytes in hex, sealed themselves
    (``s3front.keys.sealed_text``)."""

    id: str
    secret: Mapping[str, str]
    created: str = ""


class SealingKeys(_Record, frozen=True):
    """All keys that session tokens are sealed by, the one for new tokens first. There is one such
    record."""

    keys: tuple[SealedKey, ...]

    @property
    def key(self) -> str:
        return SESSIONS_KEY


Record = Account | User | Group | Role | ManagedPolicy | AccessKey | Provider | SealingKeys
Holder = User | Group | Role
"""Who can have policies."""

AnyRecord = TypeVar(
    "AnyRecord", Account, User, Group, Role, ManagedPolicy, AccessKey, Provider, SealingKeys
)


def secret_name(access_key_id: str) -> str:
    """What the sealed secret of an access key is bound to."""
    return f"access-key/{access_key_id}"


def sealing_key_name(key_id: str) -> str:
    """What the sealed secret of a key is bound to that seals session tokens."""
    return f"sessions/{key_id}"
