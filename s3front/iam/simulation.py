"""What would be decided: the same decision as a request's, on a request that nobody sent. Pure.

Without the record of a bucket, one is made up: it belongs to the account that is said, else to the
caller's, has the policy that is given, and lets objects have no grants (IAM's calls
SimulatePrincipalPolicy and SimulateCustomPolicy).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from s3front.auth.identity import Principal
from s3front.authz.access import Access
from s3front.authz.decide import decide
from s3front.authz.owners import NO_OWNERS, Owners
from s3front.authz.ownership import ENFORCED, OWNERSHIP_MEMBER
from s3front.authz.principal_keys import of_principal
from s3front.authz.reasons import Decision
from s3front.objects.object_record import ObjectRecord
from shared.records.bucket import BucketRecord

_LONG_AGO: Final = datetime(2006, 3, 14, tzinfo=UTC)


class StatedKeys(msgspec.Struct, frozen=True):
    """The condition keys of a request that nobody sent: those that are stated, by their names in
    lower case, and those of who would send it."""

    principal: Principal
    stated: Mapping[str, Sequence[str]]

    @property
    def is_secure(self) -> bool:
        """Whether it would come over TLS."""
        return tuple(self.stated.get("aws:securetransport", ())) == ("true",)

    def of_version(self, version_id: str | None) -> StatedKeys:
        """The same of another object."""
        others = {key: value for key, value in self.stated.items() if key != "s3:versionid"}
        if version_id is not None:
            others["s3:versionid"] = (version_id,)
        return StatedKeys(self.principal, others)

    def values(self, key: str) -> Sequence[str] | None:
        """What is stated of a key, else what the caller has of it."""
        found = self.stated.get(key.lower())
        return of_principal(self.principal, key) if found is None else found


class Simulated(msgspec.Struct, frozen=True):
    """A request that nobody sent. ``keys`` are its condition keys. ``bucket`` and ``object`` are
    records as they are; without them ``policy`` is the bucket's, and ``owner_id`` the canonical ID
    of the account that it belongs to."""

    principal: Principal
    action: str
    resource: str
    keys: Mapping[str, Sequence[str]]
    owners: Owners = NO_OWNERS
    bucket: BucketRecord | None = None
    object: ObjectRecord | None = None
    policy: Mapping[str, Any] | None = None
    owner_id: str | None = None

    def decision(self) -> Decision:
        """What would be decided. Of a bucket that is made up, every key is there."""
        stated = {key.lower(): values for key, values in self.keys.items()}
        access = Access(
            self.principal,
            (self.action,),
            self.resource,
            StatedKeys(self.principal, stated),
            owners=self.owners,
        )
        bucket, object_ = self.bucket, self.object
        if bucket is None and access.is_of_bucket:
            owner_id = self.owner_id or self.principal.canonical_id
            bucket = BucketRecord.create(access.bucket_name, owner_id, "", _LONG_AGO, "").changed(
                {OWNERSHIP_MEMBER: ENFORCED, "bucketPolicy": self.policy}
            )
            object_ = ObjectRecord({"owner-id": owner_id})
        return decide(access.on(bucket, object_))
