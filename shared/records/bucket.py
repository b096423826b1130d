"""The bucket record: the ``BucketInfo`` document (reference/dmd-wire.md, section 5).

A record keeps the whole document, so that members which this release does not know survive when
it is written again.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
import orjson

from shared.records.derived import derived
from shared.records.members import UnreadableRecordError, moment, parse_document, text
from shared.records.times import to_iso

MODEL_VERSION = 16
DEFAULT_LOCATION = "us-east-1"

POLICY_MEMBER = "bucketPolicy"
"""The policy, as a JSON object."""

PRIVATE_BUCKET_ACL: Mapping[str, Any] = {
    "Canned": "private",
    "FULL_CONTROL": [],
    "WRITE": [],
    "WRITE_ACP": [],
    "READ": [],
    "READ_ACP": [],
}


class Versioning(StrEnum):
    """The state of a bucket in which versioning was ever configured."""

    ENABLED = "Enabled"
    SUSPENDED = "Suspended"


class BucketRecord(msgspec.Struct, frozen=True, dict=True):
    """A bucket's attributes. The document, and what is derived from it, is shared: never change
    it."""

    document: Mapping[str, Any]

    @classmethod
    def create(
        cls,
        name: str,
        owner_id: str,
        owner_name: str,
        created: datetime,
        location: str,
    ) -> BucketRecord:
        """The record of a new private bucket."""
        unset = (
            "serverSideEncryption",
            "versioningConfiguration",
            "readLocationConstraint",
            "websiteConfiguration",
            "cors",
            "replicationConfiguration",
            "lifecycleConfiguration",
            "bucketPolicy",
            "isNFS",
            "ingestion",
            "objectLockConfiguration",
            "notificationConfiguration",
        )
        return cls(
            {
                "acl": PRIVATE_BUCKET_ACL,
                "name": name,
                "owner": owner_id,
                "ownerDisplayName": owner_name,
                "creationDate": to_iso(created),
                "mdBucketModelVersion": MODEL_VERSION,
                "transient": False,
                "deleted": False,
                "locationConstraint": location,
                "uid": str(uuid.uuid4()),
                "objectLockEnabled": False,
                "tags": [],
                **dict.fromkeys(unset),
            }
        )

    @classmethod
    def parse(cls, stored: str) -> BucketRecord:
        """The record of a stored document; raises UnreadableRecordError. Without an
        owner it is nobody's, so nobody could do anything with it."""
        document = parse_document(stored)
        if not isinstance(document.get("owner"), str):
            raise UnreadableRecordError("a bucket has no owner")
        return cls(document)

    def serialise(self) -> str:
        return orjson.dumps(self.document).decode()

    @derived
    def name(self) -> str:
        return text(self.document, "name")

    @property
    def owner_id(self) -> str:
        return str(self.document["owner"])

    @property
    def created(self) -> datetime:
        return moment(self.document, "creationDate")

    @property
    def location(self) -> str:
        """Where the bucket is, as clients see it."""
        return self.location_constraint or DEFAULT_LOCATION

    @property
    def location_constraint(self) -> str | None:
        """Where data goes unless a request says otherwise; None of a bucket that was made before
        there were locations."""
        found = text(self.document, "locationConstraint")
        return found if found.isascii() and found.isprintable() and found else None

    @derived
    def versioning(self) -> Versioning | None:
        """None when it was never configured. Object lock implies that it is enabled, whatever
        another writer has configured: nothing may be put in the place of a locked version.
        Raises UnreadableRecordError."""
        if self.document.get("objectLockEnabled"):
            return Versioning.ENABLED
        configuration = self.document.get("versioningConfiguration") or {}
        status = configuration.get("Status") if isinstance(configuration, dict) else configuration
        try:
            return None if status is None else Versioning(status)
        except ValueError as error:
            # To take it for none would let writes destroy versions.
            raise UnreadableRecordError("the state of versioning is not known") from error

    @derived
    def has_versions(self) -> bool:
        """Whether versioning was ever configured, whatever to."""
        try:
            return self.versioning is not None
        except UnreadableRecordError:
            return True

    @derived
    def demands_encryption(self) -> bool:
        """Whether all that is put into it is to be stored encrypted. So it is where what is said of
        that cannot be read: to take it for nothing would let plain text in."""
        encryption = self.document.get("serverSideEncryption")
        if isinstance(encryption, dict):
            return bool(encryption.get("mandatory"))
        return encryption is not None

    def changed(self, members: Mapping[str, Any]) -> BucketRecord:
        """The record with some members replaced."""
        return BucketRecord({**self.document, **members})

    @property
    def deleted(self) -> bool:
        """Set by the original while it removes a bucket in two steps."""
        return bool(self.document.get("deleted"))
