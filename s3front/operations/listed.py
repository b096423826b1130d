"""What the rows of listings have in common. Most rows of a page have the same of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from s3front.port.xml import escape_all, readable_element, url_encode_all


def printed_keys(keys: Sequence[str], *, url_encoded: bool) -> Sequence[str]:
    """Keys, or parts of them, as a listing prints them: with ``encoding-type=url``, or escaped."""
    return url_encode_all(keys) if url_encoded else escape_all(keys)


@lru_cache(maxsize=64)
def owner_element(owner_id: str | None, name: str | None) -> str:
    """``Owner``, with nothing for what is not known."""
    return (
        f"<Owner>{readable_element('ID', owner_id)}{readable_element('DisplayName', name)}</Owner>"
    )


@lru_cache(maxsize=64)
def checksum_elements(algorithm: str | None, kind: str | None) -> str:
    """``ChecksumAlgorithm`` and ``ChecksumType``; nothing when the object has no checksum."""
    if not algorithm:
        return ""
    return readable_element("ChecksumAlgorithm", algorithm) + readable_element("ChecksumType", kind)


@lru_cache(maxsize=64)
def storage_class_element(name: str | None) -> str:
    """``StorageClass``: what an object was written without is STANDARD."""
    return readable_element("StorageClass", name or "STANDARD")
