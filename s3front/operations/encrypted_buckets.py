"""The default encryption of a bucket: reading and setting it. It is removed as any other document
(``configurations``).

It is set only where there is a master key: a bucket that demands what cannot be had would take
nothing. That a key which is named exists is seen when it is used, as with AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from s3front.bodies.request_document import interpreted, read_document
from s3front.configurations.bucket_encryption import (
    BY_DEFAULT,
    ENCRYPTION,
    is_key_id,
    parse_encryption,
    shown_default,
)
from s3front.context import Context
from s3front.encryption.key_wrapping import BoundTo
from s3front.encryption.sse import KEY_ID_MEMBER, Protection
from s3front.keys.original_objects import KEEPERS_OF_ORIGINAL
from s3front.keys.sealing import no_keys
from s3front.objects.default_encryption import (
    AES256,
    KMS,
    MEMBER,
    DefaultEncryption,
    default_members,
)
from s3front.operations.changes import change_bucket
from s3front.operations.honoured import DOCUMENT
from s3front.port.request import Headers, Reply, Request
from s3front.routes import Level, Operation
from s3front.s3_errors import S3Error
from shared import limits
from shared.records.bucket import BucketRecord

NEW_BUCKET: Final = "x-amz-scal-server-side-encryption"
NEW_BUCKET_KEY_ID: Final = f"{NEW_BUCKET}-aws-kms-key-id"
"""Headers of CreateBucket, CloudServer's: the default encryption of the bucket, and its master key
(reference/cloudserver-features.md, section 2)."""


async def get_bucket_encryption(context: Context, _request: Request) -> Reply:
    """GetBucketEncryption (Amazon S3 API reference)."""
    record = context.bucket.record
    if context.services.encryption_settings.encrypts_all and not ENCRYPTION.is_set(record):
        return shown_default(BY_DEFAULT)
    return ENCRYPTION.read(record)


async def put_bucket_encryption(context: Context, request: Request) -> Reply:
    """PutBucketEncryption (Amazon S3 API reference)."""
    body = await read_document(context, request, limits.XML_BODY_BYTES_MAX)
    wanted = await interpreted(body, parse_encryption)
    master_key_id = await _master_key_id(
        context, context.bucket.name, context.bucket.record.owner_id, wanted
    )

    def change(record: BucketRecord) -> BucketRecord:
        former = record.document.get(MEMBER)
        kept = former if isinstance(former, dict) else {}
        return record.changed(
            default_members(wanted, kept, master_key_id, shared=_are_shared(context))
        )

    await change_bucket(context, change)
    return Reply(200)


async def members_of_new_bucket(context: Context, name: str, headers: Headers) -> Mapping[str, Any]:
    """What the record of a new bucket says of its default encryption, as CreateBucket asks for it,
    or as the configuration wants it of all. Raises InvalidArgument, and S3Error where there is no
    master key."""
    wanted = wanted_of_new_bucket(headers)
    if wanted is None:
        if not context.services.encryption_settings.encrypts_all:
            return {}
        wanted = BY_DEFAULT
    master_key_id = await _master_key_id(context, name, context.principal.canonical_id, wanted)
    return default_members(wanted, {}, master_key_id, shared=_are_shared(context))


def wanted_of_new_bucket(headers: Headers) -> DefaultEncryption | None:
    """The default encryption that headers ask for; raises InvalidArgument."""
    algorithm, key_id = headers.get(NEW_BUCKET), headers.get(NEW_BUCKET_KEY_ID)
    if algorithm is None and key_id is None:
        return None
    if algorithm not in (AES256, KMS):
        fields = {"ArgumentName": NEW_BUCKET, "ArgumentValue": algorithm or "null"}
        message = "The encryption method specified is not supported"
        raise S3Error("InvalidArgument", message, fields)
    if key_id is not None and (algorithm != KMS or not is_key_id(key_id)):
        fields = {"ArgumentName": NEW_BUCKET_KEY_ID, "ArgumentValue": key_id}
        message = f"{NEW_BUCKET_KEY_ID} is the ID of a key, for {KMS} alone"
        raise S3Error("InvalidArgument", message, fields)
    return DefaultEncryption(algorithm, key_id)


def _are_shared(context: Context) -> bool:
    """Whether the original can have the master keys as well."""
    keeper = context.services.keys.current
    return keeper is not None and keeper.name in KEEPERS_OF_ORIGINAL


async def _master_key_id(
    context: Context, bucket: str, owner: str, wanted: DefaultEncryption
) -> str:
    """The ID of the master key that objects get which name none, as its keeper has it; "" where the
    bucket names another one. Raises S3Error where there is none."""
    keys = context.services.keys
    if wanted.key_id is not None:
        if keys.current is None:
            raise no_keys()
        return ""
    by_default = Protection(algorithm=KMS, bucket_key=True)
    sealing = await keys.sealing(by_default, BoundTo(bucket, ""), owner)
    return str(sealing.members[KEY_ID_MEMBER])


GET_BUCKET_ENCRYPTION = Operation(
    ENCRYPTION.get, Level.BUCKET, get_bucket_encryption, (ENCRYPTION.get_action,)
)
PUT_BUCKET_ENCRYPTION = Operation(
    "PutBucketEncryption",
    Level.BUCKET,
    put_bucket_encryption,
    (ENCRYPTION.delete_action,),
    headers=DOCUMENT,
)
