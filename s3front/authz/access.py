"""What somebody wants to do, as a value that can be decided on. Pure.

A request asks for one access to begin with, and for more when it works on more than its target:
each key of DeleteObjects, the source of a copy or of a renaming, what bypasses a lock. What has
been read again is put into the same access, and decided again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from s3front.auth.identity import Principal
from s3front.authz.condition_keys import ConditionKeys
from s3front.objects.object_record import ObjectRecord
from shared.records.bucket import BucketRecord

BYPASS_GOVERNANCE: Final = "s3:BypassGovernanceRetention"
"""To lift, shorten or ignore a retention in governance mode; an action of its own, on the version
that it protects."""

EXPECTED_OWNER: Final = "x-amz-expected-bucket-owner"
"""The header by which any request says whom its bucket belongs to."""

_ARN: Final = "arn:aws:s3:::"
_EXISTING_TAG: Final = "s3:existingobjecttag/"


class Access(msgspec.Struct, frozen=True):
    """``actions`` are IAM's, and all of them are asked for; none: anybody may. ``resource`` is the
    ARN that they are about. ``bucket`` and ``object`` are the records as they were read, None for
    what is not there and for what no action is about. ``expected_owners`` are the account IDs that
    the request says the bucket belongs to. ``keys`` tell of the request, once they are asked."""

    principal: Principal
    actions: Sequence[str]
    resource: str
    keys: ConditionKeys
    bucket: BucketRecord | None = None
    object: ObjectRecord | None = None
    expected_owners: Sequence[str] = ()

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

    def condition(self, key: str) -> str | None:
        """The value of a condition key, in any case but for tags; None when there is none."""
        if key.lower().startswith(_EXISTING_TAG):
            tag = key[len(_EXISTING_TAG) :]
            return None if self.object is None else self.object.tags.get(tag)
        return self.keys.value(key)


def arn(bucket: str | None, key: str | None = None) -> str:
    """The ARN of an object, of a bucket, or of all buckets."""
    if bucket is None:
        return f"{_ARN}*"
    return f"{_ARN}{bucket}" if key is None else f"{_ARN}{bucket}/{key}"
