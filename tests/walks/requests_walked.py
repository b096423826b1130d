"""The requests whose walks docs/architecture.md draws."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any, Final

_BUCKET: Final = "walked"
_KEY: Final = "key"


def prepare(s3: Any) -> None:
    """Make what the requests need."""
    s3.create_bucket(Bucket=_BUCKET)
    s3.put_object(Bucket=_BUCKET, Key=_KEY, Body=b"x" * 1024)


def _complete(s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket=_BUCKET, Key="parts")["UploadId"]
    part = s3.upload_part(
        Bucket=_BUCKET, Key="parts", UploadId=upload, PartNumber=1, Body=io.BytesIO(b"x" * 1024)
    )
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    s3.complete_multipart_upload(
        Bucket=_BUCKET, Key="parts", UploadId=upload, MultipartUpload={"Parts": parts}
    )


def _delete(s3: Any) -> None:
    s3.put_object(Bucket=_BUCKET, Key="gone", Body=b"x")
    s3.delete_objects(Bucket=_BUCKET, Delete={"Objects": [{"Key": "gone"}]})


REQUESTS: Final[Mapping[str, Callable[[Any], object]]] = {
    "PutObject": lambda s3: s3.put_object(Bucket=_BUCKET, Key=_KEY, Body=b"x" * 1024),
    "GetObject": lambda s3: s3.get_object(Bucket=_BUCKET, Key=_KEY)["Body"].read(),
    "ListObjectsV2": lambda s3: s3.list_objects_v2(Bucket=_BUCKET),
    "CompleteMultipartUpload": _complete,
    "DeleteObjects": _delete,
}
"""By the name of the operation. What the last two do before it is in their walks as well."""
