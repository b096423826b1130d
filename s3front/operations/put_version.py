"""``x-scal-s3-version-id``: CloudServer's header of a write into a version that there is.

It takes one only of an archived object that is being restored, and here no object ever is. Such a
write is refused as CloudServer does: ignoring the header would make a version that nobody wanted.
"""

from __future__ import annotations

from msgspec.structs import replace

from s3front.context import Context
from s3front.objects.versioning import LATEST, Version
from s3front.operations.decide_again import read_again
from s3front.operations.get_object import existing_record
from s3front.port.request import Headers
from s3front.s3_errors import S3Error

PUT_VERSION = "x-scal-s3-version-id"


async def refuse_put_version(context: Context, headers: Headers) -> None:
    """Refuse a write that has the header.

    Raises InvalidArgument, NoSuchKey, NoSuchVersion, MethodNotAllowed for a delete marker, and
    InvalidObjectState for any other version; it never returns. An empty header names the latest.
    """
    text = headers[PUT_VERSION]
    version = Version.parse(text, PUT_VERSION) if text else LATEST
    named = replace(context, version=version)
    _, current = await read_again(named, context.bucket)
    record = existing_record(named, current, changes=True)
    raise S3Error("InvalidObjectState", fields={"StorageClass": record.storage_class})
