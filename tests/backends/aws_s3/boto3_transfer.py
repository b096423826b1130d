"""``python -m tests.backends.aws_s3.boto3_transfer URL BUCKET KEY MIB [CA]``: boto3's own transfer
of an object, to and fro; prints the seconds of CPU that each took, as two numbers."""

from __future__ import annotations

import io
import resource
import sys

import boto3
from botocore.config import Config

from tests.servers import ACCESS_KEY, REGION, SECRET_KEY


class _Zeros(io.RawIOBase):
    """So many bytes, which cost nothing to make."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        left = self._size - self._at
        count = left if size < 0 else min(size, left)
        self._at += count
        return bytes(count)

    def readall(self) -> bytes:
        return self.read()


class _Nowhere(io.RawIOBase):
    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        return memoryview(data).nbytes  # type: ignore[arg-type]  # bytes of boto3's


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(url: str, bucket: str, key: str, mib: str, ca: str = "") -> None:
    s3 = boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name=REGION,
        verify=ca or None,
        config=Config(s3={"addressing_style": "path"}),
    )
    s3.head_bucket(Bucket=bucket)
    began = _cpu_seconds()
    s3.upload_fileobj(_Zeros(int(mib) * 1024 * 1024), bucket, key)
    written = _cpu_seconds()
    s3.download_fileobj(bucket, key, _Nowhere())
    print(written - began, _cpu_seconds() - written)


if __name__ == "__main__":
    main(*sys.argv[1:])
