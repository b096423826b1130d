"""Google Cloud Storage as a location: its XML API, asked as an S3 service with an HMAC key.

What is different there, and where it is minded (``S3Details.is_google``):

* A version is a generation. Each object has one, also in a bucket that keeps no versions, and is
  read and deleted by it (``s3_google``, and ``s3_bucket``, which does not learn from it).
* ``If-None-Match: *`` is not looked at, as a try shows: without versions, names are our own.
* There are no tags. Those of a new object are metadata, ``aws-tag-`` before their names, as
  CloudServer has it; later ones are in our records alone.
* A copy names no generation of its source; it is bound to the source's ETag instead.
* Objects in gzip are decompressed for whoever does not accept it.
* Bytes are held against the CRC-32C in ``x-goog-hash``.

Sources: Cloud Storage, "XML API reference", "Interoperability with other storage providers";
``reference/cloudserver-features.md``, section 5.
"""

from __future__ import annotations

from s3front.locations.aws_s3 import AwsS3Store
from s3front.locations.location_config import Location, Surroundings
from s3front.locations.s3_details import S3Details


class GcpStore(AwsS3Store):
    """See the module."""

    @property
    def type(self) -> str:
        return "gcp"


def make_store(location: Location, surroundings: Surroundings) -> GcpStore:
    """See ``LocationType.make``."""
    assert isinstance(location.details, S3Details)
    return GcpStore(location.name, location.details, surroundings.log, surroundings.outbound)
