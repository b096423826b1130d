"""What somebody wants to do, as a value that can be decided on. Pure.

A request asks for one access to begin with, and for more when it works on more than its target:
each key of DeleteObjects, the source of a copy or of a renaming, what bypasses a lock. What has
been read again is put into the same access, and decided again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Protocol

import msgspec

from s3front.auth.identity import Principal
from s3front.authz.owners import NO_OWNERS, Owners
from s3front.objects.object_record import ObjectRecord
from s3front.policies.policy import Policy
from s3front.policies.question import CallerNames
from s3front.policies.s3_actions import knows
from s3front.policies.work import Work
from shared.records.bucket import BucketRecord

BYPASS_GOVERNANCE: Final = "s3:BypassGovernanceRetention"
"""To lift, shorten or ignore a retention in governance mode; an action of its own, on the version
that it protects."""

MAKES: Final = "s3:PutObject"
"""Makes an object. What is asked for after it is about the object that it makes, and not about one
in whose place that comes."""

PER_KEY: Final = "(per key)"
"""In place of an action, of a request that names keys in its body: each of them is an access of its
own, which is decided, and answered, by itself."""

EXPECTED_OWNER: Final = "x-amz-expected-bucket-owner"
"""The header by which any request says whom its bucket belongs to."""

_ARN: Final = "arn:aws:s3:::"
_OF_LISTINGS: Final = frozenset(("s3:delimiter", "s3:max-keys"))
_REQUEST_TAGS: Final = frozenset(("aws:requesttag", "aws:tagkeys"))
_TAGS_OF_REQUESTS: Final = "s3:requestobjecttagkeys"
_TAGS_BUCKETS: Final = "s3:putbuckettagging"
_PREFIX: Final = "s3:prefix"
_EXISTING_TAG: Final = "s3:existingobjecttag/"
_CREATES: Final = "s3:objectcreationoperation"
_REGION: Final = "aws:requestedregion"
_RESOURCE_ACCOUNTS: Final = frozenset(("aws:resourceaccount", "s3:resourceaccount"))


class Keys(Protocol):
    """What a request, real or simulated, tells to the conditions of policies."""

    @property
    def is_secure(self) -> bool:
        """Whether it came over TLS."""

    def of_version(self, version_id: str | None) -> Keys:
        """The same of another object, of which the request names this version, or none."""

    def values(self, key: str) -> Sequence[str] | None:
        """As ``policies.question.Question`` has it."""


class Access(msgspec.Struct, frozen=True):
    """``actions`` are IAM's, and all of them are asked for; none: anybody may. ``resource`` is the
    ARN that they are about. ``bucket`` and ``object`` are the records as they were read, None for
    what is not there and for what no action is about. ``expected_owners`` are the account IDs that
    the request says the bucket belongs to. ``keys`` tell of the request, once they are asked.

    ``owners`` knows whose buckets and objects are. ``trust`` is the policy of the role that is to
    be taken on, and ``role_owner`` the canonical ID of its account; ``public_reads`` are buckets
    whose objects everybody may read if their list is ``public-read``
    (``ALLOW_PUBLIC_READ_BUCKETS``). ``initiator`` is the canonical ID of who has begun the upload
    that it is about, once that was read."""

    principal: Principal
    actions: Sequence[str]
    resource: str
    keys: Keys
    bucket: BucketRecord | None = None
    object: ObjectRecord | None = None
    expected_owners: Sequence[str] = ()
    owners: Owners = NO_OWNERS
    trust: Policy | None = None
    role_owner: str = ""
    public_reads: Collection[str] = ()
    initiator: str | None = None

    def on(self, bucket: BucketRecord | None, object_: ObjectRecord | None) -> Access:
        """The same access to what has been read again."""
        return msgspec.structs.replace(self, bucket=bucket, object=object_)

    def to(self, *actions: str) -> Access:
        """What the same request asks for besides, of the same records."""
        return msgspec.structs.replace(self, actions=actions)

    @property
    def bucket_name(self) -> str:
        """The bucket that the resource is, or is in."""
        return self.resource.removeprefix(_ARN).partition("/")[0]

    @property
    def is_of_bucket(self) -> bool:
        """Whether it is about a bucket or what is in it."""
        return self.resource.startswith(_ARN)

    @property
    def is_of_object(self) -> bool:
        """Whether it is about a key."""
        return "/" in self.resource.removeprefix(_ARN)

    @property
    def owner_account(self) -> str | None:
        """The ID of the account that the bucket belongs to, as far as it is known."""
        if self.bucket is None:
            return None
        owner_id = self.bucket.owner_id
        if owner_id == self.principal.canonical_id:
            return self.principal.account_id
        owner = self.owners.owner(owner_id)
        return None if owner is None else owner.account_id

    def values(self, key: str) -> Sequence[str] | None:
        """The values of a condition key, in any case but for the names of tags; None when there is
        none."""
        lower = key.lower()
        if lower.startswith(_EXISTING_TAG):
            tag = None if self.object is None else self.object.tags.get(key[len(_EXISTING_TAG) :])
            return None if tag is None else (tag,)
        if lower in _RESOURCE_ACCOUNTS:
            account = self.owner_account
            return None if account is None else (account,)
        if lower == _CREATES and MAKES not in self.actions:
            return None
        found = self.keys.values(key)
        if found is None and lower == _REGION and self.bucket is not None:
            # Whoever wants something of a bucket has to ask where it is.
            return (self.bucket.location,)
        return found


class Asked(msgspec.Struct, frozen=True, dict=True):
    """One action of an access on one resource, as policies are asked. It has the condition keys
    that AWS documents for the action, whatever else the request says: a parameter that names a
    prefix says nothing of an object that is read. ``of_new``: it is about the object that is made,
    and so says nothing of one in whose place that comes, which may not even have been read.
    ``work`` is shared by all that one decision asks."""

    access: Access
    action: str
    resource: str
    of_new: bool = False
    work: Work = msgspec.field(default_factory=Work)

    @property
    def names(self) -> CallerNames:
        return self.access.principal.names

    def values(self, key: str) -> Sequence[str] | None:
        """What is known of a condition key; remembered, as statements ask for the same ones."""
        memory = self.__dict__  # in which nothing else is
        if key in memory:
            found: Sequence[str] | None = memory[key]
            return found
        known = memory[key] = self._known(key)
        return known

    def _known(self, key: str) -> Sequence[str] | None:
        action, asked = self.action.lower(), key
        if self.of_new and key.lower().startswith(_EXISTING_TAG):
            return None
        if key.lower().partition("/")[0] in _REQUEST_TAGS and self.access.is_of_bucket:
            # Those of all services mean of S3 what its own do, and the tags of buckets, of which
            # its own know nothing.
            asked = key if action == _TAGS_BUCKETS else _TAGS_OF_REQUESTS
        return self.access.values(key) if knows(action, asked) else None


class AskedToTell(Asked, frozen=True):
    """Whether the caller may be told that a key is not there, which is whether he may list it: so a
    policy that gives that by ``s3:prefix`` gives it of the keys that begin so."""

    def _known(self, key: str) -> Sequence[str] | None:
        if key.lower() == _PREFIX:
            _, _, name = self.access.resource.removeprefix(_ARN).partition("/")
            return (name,)
        return None if key.lower() in _OF_LISTINGS else super()._known(key)


def arn(bucket: str | None, key: str | None = None) -> str:
    """The ARN of an object, of a bucket, or of all buckets."""
    if bucket is None:
        return f"{_ARN}*"
    return f"{_ARN}{bucket}" if key is None else f"{_ARN}{bucket}/{key}"
