"""The source of a copy: which object, may it be read, and its bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from msgspec.structs import replace
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.authz.access import arn
from s3front.authz.decide import authorize
from s3front.bodies.object_reader import ObjectData, log_missing
from s3front.context import Context
from s3front.encryption.choice import source_key
from s3front.locations.base import DataNotFoundError
from s3front.objects.object_record import ObjectRecord
from s3front.objects.preconditions import is_modified
from s3front.objects.ranges import ByteRange
from s3front.objects.versioning import Version, version_headers
from s3front.operations.get_object import GET_OBJECT, existing_record
from s3front.operations.object_encryption import let_read
from s3front.port.request import Headers
from s3front.port.target import check_key, decode, is_bucket_name
from s3front.s3_errors import S3Error
from shared.records.times import now

_T = TypeVar("_T")
_Used = TypeVar("_Used")

_ATTEMPTS_MAX: Final = 5
"""How often a source is read, each time because it was replaced."""

RENAME_SOURCE = "x-amz-rename-source"
_HEADER = "x-amz-copy-source"
_CONDITIONS = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")
_EXPECTED_OWNER = "x-amz-source-expected-bucket-owner"
_VERSION = "?versionId="
_TITLES = {_HEADER: "Copy Source", RENAME_SOURCE: "Rename Source"}
VERSION_HEADER = "x-amz-copy-source-version-id"
"""Says which version was copied; in a request, as CloudServer knows it, which is to be."""


@dataclass(frozen=True, slots=True)
class CopySource:
    """An object that may be read, as it was when the copy began."""

    bucket: str
    key: str
    record: ObjectRecord
    context: Context
    """The surroundings of a read of it."""
    customer_key: bytes | None = field(default=None, repr=False)
    """The client's own key that it is encrypted by."""

    @property
    def version_headers(self) -> dict[str, str]:
        """What a reply says of the version that was copied."""
        versioned = self.context.bucket.record.has_versions
        return version_headers(self.record, VERSION_HEADER, versioned=versioned)


async def opened_source(
    context: Context, headers: Headers, decide: Callable[[CopySource], tuple[ByteRange, _T]]
) -> tuple[CopySource, ObjectData, _T]:
    """Find the source, authorise its reading, and open the bytes of it that ``decide`` wants; what
    that decided besides.

    Raises what ``used_source`` does.
    """

    async def opened(source: CopySource, wanted: tuple[ByteRange, _T]) -> ObjectData:
        key = source.customer_key
        return await ObjectData.open(source.context, source.record, wanted[0], key)

    source, data, (_, decided) = await used_source(context, headers, decide, opened)
    return source, data, decided


async def used_source(
    context: Context,
    headers: Headers,
    decide: Callable[[CopySource], _T],
    use: Callable[[CopySource, _T], Awaitable[_Used]],
) -> tuple[CopySource, _Used, _T]:
    """Find the source, authorise its reading, and ``use`` its bytes as ``decide`` wants it. When
    they are gone, the source was replaced or deleted between the two: what holds now is read and
    decided on.

    Raises what ``read_source`` and ``decide`` do, and InternalError for bytes that are lost.
    """
    missing: int | None = None
    for _ in range(_ATTEMPTS_MAX):
        source = await read_source(context, headers)
        decided = decide(source)
        try:
            return source, await use(source, decided), decided
        except DataNotFoundError as error:
            assert source.context.current is not None
            revision = source.context.current.revision
            if revision == missing:
                log_missing(context, source.record, error)
                raise S3Error("InternalError") from error
            missing = revision
    raise S3Error("ServiceUnavailable")


async def read_source(context: Context, headers: Headers) -> CopySource:
    """Find the source, authorise its reading, and check the conditions on it.

    Raises InvalidArgument, InvalidRequest, NoSuchBucket, NoSuchKey, NoSuchVersion, AccessDenied
    and PreconditionFailed.
    """
    bucket_name, key, version_id = parse_source(_HEADER, headers[_HEADER])
    if version_id is None:
        version_id = headers.get(VERSION_HEADER)
    version = Version.parse(version_id)
    bucket, current = await context.services.objects.read(
        bucket_name, key, context.request_id, version
    )
    access = replace(
        context.access,
        actions=GET_OBJECT.actions_for(version, {}),
        resource=arn(bucket_name, key),
        keys=context.access.keys.of_version(version_id),
        bucket=None if bucket is None else bucket.record,
        object=None if current is None else current.record,
        expected_owners=[headers[name] for name in (_EXPECTED_OWNER,) if name in headers],
    )
    authorize(access)
    source = replace(
        context,
        target=replace(context.target, bucket=bucket_name, key=key, query={}),
        access=access,
        stored_bucket=bucket,
        current=current,
        version=version,
    )
    if version.is_specific and current is not None and current.record.is_delete_marker:
        raise S3Error(
            "InvalidRequest",
            "The source of a copy request may not specifically refer to a delete marker by "
            "version id.",
        )
    record = existing_record(source, current)
    settings = context.services.encryption_settings
    customer_key = source_key(headers, settings, secure=context.is_secure)
    let_read(source, record, customer_key)
    check_conditions(headers, f"{_HEADER}-", record)
    return CopySource(bucket_name, key, record, source, customer_key)


def parse_source(header: str, text: str) -> tuple[str, str, str | None]:
    """Bucket, key and version ID of what a header names: ``[/]bucket/key[?versionId=…]``,
    URL-encoded.

    Some clients encode the slash behind the bucket as well. A ``+`` is a space, as in queries and
    with AWS, whose clients must send a plus sign as ``%2B``. s5cmd encodes spaces so.
    """
    title = _TITLES[header]
    path, separator, version = text.partition(_VERSION)
    try:
        decoded, version = decode(path.replace("+", " ")), decode(version)
    except S3Error as error:
        raise _no_source(header, text, f"Invalid {title.lower()} encoding") from error
    bucket, slash, key = decoded.removeprefix("/").partition("/")
    if not slash or not key:
        form = "must mention the source bucket and key: sourcebucket/sourcekey"
        raise _no_source(header, text, f"{title} {form}")
    if not is_bucket_name(bucket):
        raise _no_source(header, text, f"Invalid {title.lower()} bucket name")
    check_key(key)
    return bucket, key, version if separator else None


def _no_source(header: str, text: str, message: str) -> S3Error:
    fields = {"ArgumentName": header, "ArgumentValue": text}
    return S3Error("InvalidArgument", message, fields)


def check_conditions(headers: Headers, prefix: str, record: ObjectRecord) -> None:
    """The conditions of a read, by names with a prefix; what a read answers with 304 fails here as
    well."""
    found = {plain: headers[prefix + plain] for plain in _CONDITIONS if prefix + plain in headers}
    if not found:
        return
    try:
        plain = CIMultiDictProxy(CIMultiDict(found))
        if is_modified(plain, record.etag, record.modified, now):
            return
        failed = "If-None-Match" if "If-None-Match" in found else "If-Modified-Since"
    except S3Error as error:
        failed = error.fields["Condition"]
    raise S3Error("PreconditionFailed", fields={"Condition": prefix + failed})
