"""The limits of the service, each with a name.

Sizes are bytes, waits are seconds. Where Amazon S3 states a limit, ours is the same.
"""

from __future__ import annotations

from typing import Final

KEY_BYTES_MAX: Final = 1024
"""Object key, UTF-8 (Amazon S3 user guide, "Naming Amazon S3 objects")."""

USER_METADATA_BYTES_MAX: Final = 2048
"""Sum of user metadata names and values (Amazon S3 user guide, "Working with object metadata")."""

WEBSITE_REDIRECT_BYTES_MAX: Final = 2048
"""Where an object redirects to (Amazon S3 API reference, PutObject)."""

HEADER_SECTION_BYTES_MAX: Final = 32 * 1024
"""Whole request header section; larger ones are refused before anything is read."""

HEADER_BYTES_MAX: Final = 16 * 1024
"""One header line, and the request line (a key of 1,024 bytes, every byte escaped, and a
presigned query fit)."""

HEADERS_MAX: Final = 200
"""Header lines of one request."""

OBJECT_BYTES_MAX: Final = 5 * 1024**3
"""Body of one PutObject (Amazon S3 API reference)."""

FORM_FIELDS_BYTES_MAX: Final = 20 * 1024
"""Fields of a form upload before its file, with their names (Amazon S3 API reference, POST Object);
what may follow the file has the same limit."""

CALL_BYTES_MAX: Final = 1024 * 1024
"""The body of a call of IAM or STS: documents of policies, percent-encoded."""

CALL_PARAMETERS_MAX: Final = 10_000
"""Parameters of such a call."""

FORM_FIELDS_MAX: Final = 200
"""Parts of a form upload."""

FORM_STRETCH_BYTES: Final = 8 * 1024 * 1024
"""The file of a form is stored in blobs of about this size: how long it is shows at its end."""

PART_BYTES_MIN: Final = 5 * 1024**2
"""Every part of a completed upload but the last (Amazon S3 user guide, "Multipart upload limits").
"""

PARTS_MAX: Final = 10_000
"""Parts of an upload, and their numbers. With the size of a part this bounds an object, to
48.8 TiB, as AWS states it (Amazon S3 user guide, "Multipart upload limits")."""

UPLOAD_ID_CHARACTERS_MAX: Final = 128
"""Ours have 32. A key of the metadata store has room for these, in UTF-8, beside the object's."""

UPLOADS_LIST_MAX: Final = 1000
"""Uploads, and parts, of a page."""

COMPLETE_BODY_BYTES_MAX: Final = 4 * 1024 * 1024
"""Body of CompleteMultipartUpload: 10,000 parts, each with an ETag and a checksum."""

COMPLETE_ELEMENTS_MAX: Final = 60_000
"""Its elements: 10,000 parts, each with its number, its ETag and up to three checksums."""

TAGS_MAX: Final = 10
BUCKET_TAGS_MAX: Final = 50
TAG_KEY_UNITS_MAX: Final = 128
TAG_VALUE_UNITS_MAX: Final = 256
"""UTF-16 code units (Amazon S3 user guide, "Categorizing your storage using tags")."""

ACL_GRANTS_MAX: Final = 100
"""Grants of an access control list (Amazon S3 user guide, "ACL overview")."""

BUCKET_POLICY_BYTES_MAX: Final = 20 * 1024
"""The policy of a bucket (Amazon S3 user guide, "Bucket policies")."""

XML_BODY_BYTES_MAX: Final = 1024 * 1024
"""Body of a request that carries XML, other than DeleteObjects."""

DELETE_BODY_BYTES_MAX: Final = 2 * 1024 * 1024
"""Body of DeleteObjects: 1,000 keys of 1,024 bytes, escaped, and their mark-up."""

DELETE_ELEMENTS_MAX: Final = 8_000
"""Its elements: 1,000 objects with all of their members (Amazon S3 API reference)."""

XML_ELEMENTS_MAX: Final = 1_000
"""Elements of any other document."""

XML_DEPTH_MAX: Final = 8
"""How deep elements are within each other: no document has more."""

XML_INLINE_BYTES_MAX: Final = 32 * 1024
"""A larger document is read in a thread, so that the event loop goes on."""

DELETE_KEYS_MAX: Final = 1000
LIST_KEYS_MAX: Final = 1000
BASIC_LIST_KEYS_MAX: Final = 10_000
"""Keys that the listing algorithm ``Basic`` gives at once (reference/dmd-wire.md, section 8)."""

LIST_HIDDEN_MAX: Final = 50_000
"""Delete markers that a page of current objects passes before it is answered as it is: 0.2 s, and
some seconds where the disk has to read them."""

LIFECYCLE_SCANNED_MAX: Final = 10_000
"""Entries that a page of a lifecycle listing looks at, unless it is told otherwise (CloudServer's
``maxScannedLifecycleListingEntries``)."""

BUCKETS_MAX: Final = 10_000
"""Buckets of one account that ListBuckets may be asked to print on one page."""

CLOCK_SKEW_SECONDS_MAX: Final = 15 * 60
PRESIGN_SECONDS_MAX: Final = 7 * 24 * 3600

CHUNK_BYTES_MAX: Final = 16 * 1024 * 1024
"""One aws-chunked chunk: its signature can only be verified when all of it is there."""

CHUNK_HEADER_BYTES_MAX: Final = 1024
"""Line that opens an aws-chunked chunk."""

TRAILER_BYTES_MAX: Final = 8 * 1024
"""Trailer section of an aws-chunked body."""

RPC_MESSAGE_BYTES_MAX: Final = 100_000_000
"""One Socket.IO message, unless the daemon is told otherwise (reference/dmd-wire.md, section 1)."""

RPC_MESSAGE_BYTES_CEILING: Final = 1 << 30
"""What it may be told at most: a message is in memory several times."""

RPC_MESSAGES_BYTES: Final = 256 * 1024 * 1024
"""What all connections together may hold of messages that are not whole, or twice the largest one
if that is more. A connection that would hold more is ended, and its client tries again."""

RPC_MESSAGE_GRACE_SECONDS: Final = 60.0
"""How long a message of long-polling may take, besides what ``LEAST_RATE_BYTES`` allows."""

RPC_CALL_TIMEOUT_SECONDS: Final = 30.0
RPC_PING_INTERVAL_SECONDS: Final = 25.0
RPC_PING_TIMEOUT_SECONDS: Final = 20.0
"""A connection on which nothing was heard for so long after a ping is dead."""

RPC_REQUEST_SECONDS_MAX: Final = 20.0
"""How long the head of the request that opens a connection may take."""

RPC_JOIN_SECONDS_MAX: Final = 10.0
"""How long a connection may take to show the shared secret, when there is one."""

RPC_STRANGER_MESSAGE_BYTES_MAX: Final = 16 * 1024
"""One message of a connection that has not shown it yet."""

TLS_HANDSHAKE_SECONDS_MAX: Final = 10.0
"""How long a client of a port may take to begin to speak TLS."""

RPC_UNSENT_BYTES_MAX: Final = 1024 * 1024
"""Answers that a client does not take; beyond it, no more of its calls are read."""

RPC_CALLS_WAITING_MAX: Final = 4096
"""Calls of one connection that wait for a commit; beyond it, no more are read."""

RPC_SESSIONS_MAX: Final = 1024
"""Sessions of clients that begin with long-polling. One takes 13 KB, and goes 45 seconds after a
client that left it without a word."""

RPC_STREAMS_MAX: Final = 256
"""Streams of one connection at the same time. Each may hold a packet in memory."""

RPC_BATCH_CALLS_MAX: Final = 256
"""Calls that one batch event carries."""

RPC_BATCH_BYTES_MAX: Final = 8 * 1024 * 1024
"""A client begins another batch event when one would grow beyond this."""

RPC_ATTACHED_BYTES_MAX: Final = 4 * 1024 * 1024
"""What the answers to one event carry beside their JSON; what is more is read in another way."""

RPC_PACKETS_A_TURN_MAX: Final = 32
"""Packets of one connection that are handled before the others have their turn."""

STREAM_PENDING_ACKS_MAX: Final = 5
STREAM_ACK_TIMEOUT_SECONDS: Final = 5.0
STREAM_PACKET_ITEMS_MAX: Final = 200
STREAM_PACKET_BYTES_MAX: Final = 256 * 1024

BATCH_OPERATIONS_MAX: Final = 1024
"""Mutations, conditions or reads of one metadata batch."""

BATCH_REQUIREMENTS_MAX: Final = 10_100
"""Requirements of one batch: completing an upload of 10,000 parts names each of them."""

COMMIT_OPERATIONS_MAX: Final = 2000
"""Operations and requirements of the mutations that one commit gathers, for the same reason; a
larger mutation is committed alone."""

COMMIT_GROUP_MAX: Final = 256
"""Mutations that one commit gathers, so that it never holds the interpreter for long."""

MUTATIONS_WAITING_MAX: Final = 20_000
"""Mutations queued for the metadata writer; more are told to slow down."""

BODY_BYTES: Final = 64 * 1024
"""Bodies of up to this size come with their commit, unless configured otherwise: see
docs/performance.md."""

BODY_BYTES_AN_OPERATION: Final = 4096
"""So many bytes of bodies count as one operation of a commit: 8 MB of them at most are written
together."""

BODIES_WAITING_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bodies whose mutations wait for the metadata writer; more are told to slow down."""

OPERATION_KEPT_SECONDS: Final = 600.0
"""How long the answer of a mutation with an operation ID is kept at least."""

OPERATIONS_PRUNED_MIN: Final = 16
"""Old answers that a commit removes, besides two for each that it adds."""

RECORD_LOG_SECONDS: Final = 7 * 24 * 3600
"""How long records of the log of changes are kept, unless told otherwise."""

RECORD_LOG_BYTES: Final = 1024**3
"""How large the log of changes may become, unless told otherwise."""

RECORD_LOG_TRIM_FACTOR: Final = 4
"""Old records of the log that a commit removes, for each one that it adds: more than one, so that
the log shrinks, and not many, so that the commit stays short."""

PACKED_BLOB_BYTES: Final = 256 * 1024
"""Blobs of up to this size are packed, unless configured otherwise: see docs/performance.md."""

PACKED_BLOB_BYTES_MAX: Final = 1024 * 1024
"""A packed blob is read whole, and written in one piece."""

LEASE_SECONDS: Final = 10.0
"""The lease on a directory whose locks cannot be relied on, unless configured otherwise."""

METADATA_RESERVE_BYTES: Final = 32 * 1024 * 1024
"""What the metadata daemon keeps of its disk for deletions, unless configured otherwise."""

DISK_LOW_SHARE: Final = 0.05
DISK_LOW_BYTES: Final = 10 * 1024**3
"""A disk is nearly full when less than both is available."""


def is_low(available: int, total: int) -> bool:
    """Whether a disk with so many bytes is nearly full."""
    return available < min(total * DISK_LOW_SHARE, DISK_LOW_BYTES)


FENCE_SECONDS_MAX: Final = 120.0
"""How long the command may take that fences off the owner of a directory."""

GC_GRACE_SECONDS: Final = 24 * 3600
"""How old a blob is at least, unless configured otherwise, before garbage collection touches it. A
front-end commits none that is older than half of it."""

GC_QUARANTINE_SECONDS: Final = 24 * 3600
"""How long garbage stays in quarantine at least, unless configured otherwise."""

BODY_IDLE_SECONDS_MAX: Final = 60.0
"""How long a request body may pause before it is given up."""

LEAST_RATE_BYTES: Final = 1000
"""Bytes a second that a client must send of a body, or take of an answer, on average, once it has
been waited for ``BODY_GRACE_SECONDS`` or, of an answer, as long as it may take nothing."""

BODY_GRACE_SECONDS: Final = 60.0

BODY_GATHER_SECONDS_MAX: Final = 5.0
"""How long bytes of a slow body wait for others to be handed on with."""

BODY_MEMORY_BYTES: Final = 64 * 1024 * 1024
"""What a front-end holds of bodies that it cannot pass on yet (a signed chunk, a small object, a
document, a form's file) all together, unless configured otherwise."""

BODY_MEMORY_WAIT_SECONDS_MAX: Final = 10.0
"""How long a request waits for its share of that, before it is told to slow down."""

HTTP_CONNECTIONS_MAX: Final = 16_384
"""How many clients a process has on its HTTP port at most, unless configured otherwise or there are
too few descriptors. Others are told to slow down."""

TURNED_AWAY_MAX: Final = 256
"""How many of those others are told so at once; more are cut off."""

RECEIVE_BUFFERS_BYTES: Final = 16 * 1024 * 1024
"""What all connections of a port may take in that their handlers have not asked for: many get
smaller buffers each, of ``RECEIVE_BUFFER_BYTES_MIN`` at least."""

RECEIVE_BUFFER_BYTES_MIN: Final = 16 * 1024
