"""What an operation works with besides its request. Values only: stages return new ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import msgspec

from s3front.auth.credential_sources import Credentials
from s3front.auth.identity import Identity, Principal
from s3front.authz.access import Access
from s3front.authz.new_buckets import NEW_BUCKETS, NewBuckets
from s3front.authz.refusals import AccessDeniedError
from s3front.encryption.choice import NO_ENCRYPTION, EncryptionSettings
from s3front.iam.directory import Directory
from s3front.iam.session_service import SessionService
from s3front.iam.store import IdentityStore
from s3front.keys.sealing import NO_KEYS, Keys
from s3front.locations.one_hop import OneHop
from s3front.locations.registry import LocationRegistry
from s3front.metadata.bucket_store import BucketStore
from s3front.metadata.gateway import MetadataGateway
from s3front.metadata.kept_buckets import StoredBucket
from s3front.metadata.listing_store import ListingStore
from s3front.metadata.object_store import ObjectStore, StoredObject
from s3front.metadata.refusal_store import Refusal, RefusalStore
from s3front.metadata.upload_store import UploadStore
from s3front.objects.versioning import LATEST, Version
from s3front.port.forwarded import NO_PROXIES, Proxies
from s3front.port.target import Target
from shared import limits
from shared.records.times import now, to_iso


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of a front-end process that requests share.

    ``metadata`` is the connection that the stores below it speak through.
    ``endpoints`` maps each configured host to its default location; ``websites`` are the hosts
    below which buckets are websites; ``health_networks`` may ask
    for the process's health; ``part_bytes_min`` is what every part but the last must have;
    ``commit_seconds_max`` is how old stored bytes may be when their record is committed;
    ``keys`` seal what is to be stored encrypted, and open it; ``encryption_settings`` say what is,
    where nobody else does; ``one_hop`` says which bytes may come with their commit, None: none do;
    ``directory`` knows who there is, and ``identities`` changes it; ``refusals`` takes down why
    requests were refused, None: nobody does; ``public_read_buckets`` are those whose objects
    everybody may read (``Access.public_reads``); ``new_buckets`` is how buckets begin; ``sessions``
    gives out temporary credentials.
    """

    metadata: MetadataGateway
    buckets: BucketStore
    objects: ObjectStore
    listings: ListingStore
    uploads: UploadStore
    locations: LocationRegistry
    credentials: Credentials
    endpoints: Mapping[str, str]
    health_networks: Sequence[IPv4Network | IPv6Network]
    log: Any
    proxies: Proxies = NO_PROXIES
    websites: Collection[str] = ()
    part_bytes_min: int = limits.PART_BYTES_MIN
    commit_seconds_max: float = limits.GC_GRACE_SECONDS / 2
    keys: Keys = NO_KEYS
    encryption_settings: EncryptionSettings = NO_ENCRYPTION
    one_hop: OneHop | None = None
    public_read_buckets: Collection[str] = ()
    directory: Directory = field(default_factory=Directory)
    identities: IdentityStore | None = None
    refusals: RefusalStore | None = None
    new_buckets: NewBuckets = NEW_BUCKETS
    sessions: SessionService | None = None

    def take_down(
        self, error: AccessDeniedError, request_id: str, operation: str, peer: str
    ) -> None:
        """Have it written why a request of an address was refused, for whoever runs the server."""
        if self.refusals is None:
            return
        reason = error.reason
        self.refusals.note(
            Refusal(
                request_id,
                to_iso(now()),
                operation,
                error.caller,
                peer,
                reason.action,
                error.resource,
                reason.why,
                reason.text,
                reason.layer,
                reason.policy,
                reason.statement,
            )
        )


class Context(msgspec.Struct, frozen=True):
    """One request's surroundings. ``access`` is what it was allowed. ``stored_bucket`` and
    ``current`` are as read before that was decided; ``current`` is ``version`` of the object at the
    target's key, for most requests the latest. ``unread``: nothing was read, the bucket is as it
    was told before, and of the object nothing is known (``routes.Operation.unread``).
    ``undecided``: whether it is allowed depends on the body (``routes.Operation.body_keys``)."""

    services: Services
    request_id: str
    target: Target
    identity: Identity
    access: Access
    stored_bucket: StoredBucket | None
    current: StoredObject | None
    version: Version = LATEST
    unread: bool = False
    undecided: bool = False

    @property
    def log(self) -> Any:
        """A logger whose lines name the request; made when somebody asks for it."""
        return self.services.log.bind(request_id=self.request_id)

    @property
    def principal(self) -> Principal:
        """Who asks. What that means for what they may is decided elsewhere."""
        return self.identity.principal

    @property
    def is_secure(self) -> bool:
        """Whether the request came over TLS, all the way from its client as far as is known."""
        return self.access.keys.is_secure

    @property
    def bucket(self) -> StoredBucket:
        """The bucket, for operations that are only authorised when it exists."""
        assert self.stored_bucket is not None
        return self.stored_bucket

    @property
    def key(self) -> str:
        """The object key, for operations on objects."""
        assert self.target.key is not None
        return self.target.key
