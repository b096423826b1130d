"""Headers and query parameters that several operations honour, as they declare them. Pure.

Names are in lower case; one that ends with ``*`` stands for all that begin so.
"""

from __future__ import annotations

from typing import Final

from s3front.bodies.checksums import Algorithm
from s3front.configurations.acl_headers import ACL_HEADERS
from s3front.encryption.choice import (
    CUSTOMER_HEADERS,
    ENCRYPTION,
    KEY_ID,
    PROTECTION_HEADERS,
    SOURCE_HEADERS,
)
from s3front.objects.object_lock import LOCK_HEADERS

CHECKSUMS: Final = frozenset(algorithm.header for algorithm in Algorithm)

BODY: Final = CHECKSUMS | {"content-length", "content-md5", "x-amz-sdk-checksum-algorithm"}
"""Of a request with an object or a part: what its bytes are."""

DOCUMENT: Final = frozenset(("content-md5", "x-amz-sdk-checksum-algorithm"))
"""The same of a request with a document, as far as S3's model has them."""

DESCRIPTION: Final = (ACL_HEADERS | LOCK_HEADERS) | {
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    "x-amz-meta-*",
    "x-amz-storage-class",
    "x-amz-tagging",
    "x-amz-website-redirect-location",
}
"""What a new object is to be like."""

PROTECTION: Final = PROTECTION_HEADERS
"""How a new object is to be encrypted."""

CUSTOMER_KEY: Final = CUSTOMER_HEADERS
"""The client's own key of an object, or of an upload, that is there."""

PART_ENCRYPTION: Final = CUSTOMER_HEADERS | {ENCRYPTION, KEY_ID}
"""Of a request for an upload that is there. How its object is encrypted was said when it began:
clients say it again, and AWS would not let them."""

WRITE_CONDITIONS: Final = frozenset(("if-match", "if-none-match"))
READ_CONDITIONS: Final = WRITE_CONDITIONS | {"if-modified-since", "if-unmodified-since"}

COPY: Final = SOURCE_HEADERS | frozenset(
    (
        "x-amz-copy-source",
        "x-amz-source-expected-bucket-owner",
        *(f"x-amz-copy-source-{name}" for name in READ_CONDITIONS),
    )
)
"""Which object is copied, and under which conditions."""

LISTING: Final = frozenset(("delimiter", "encoding-type", "prefix"))
"""Parameters of every listing of a bucket."""
