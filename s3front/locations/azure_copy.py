"""Copies of blobs that Azure makes itself, from one container of an account to another.

Copy Blob From URL reads the source as somebody without credentials would: so its address bears a
signature for this one blob, made of the account's key or the location's own, or a token goes with
the request. (https://learn.microsoft.com/rest/api/storageservices/copy-blob-from-url)
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import aiohttp
from azure.core import MatchConditions
from azure.core.exceptions import AzureError, HttpResponseError
from azure.storage.blob import BlobSasPermissions, generate_blob_sas
from azure.storage.blob.aio import BlobClient

from s3front.locations.azure_client import AzureContainer, content_settings, in_task
from s3front.locations.azure_errors import TAKEN_CODES, error_code, place_error, status_of
from s3front.locations.azure_names import blob_metadata, blob_names
from s3front.locations.azure_recognition import Seen, said_etag
from s3front.locations.base import ObjectInfo
from s3front.locations.remote_store import PlaceError, Trouble

COPY_BYTES_MAX: Final = 256 * 1024 * 1024
"""The largest blob that Copy Blob From URL copies."""

_SIGNATURE_LIFE: Final = timedelta(minutes=15)


class Copied(NamedTuple):
    """Where a copy is, and its ETag."""

    name: str
    etag: str


class Original(NamedTuple):
    """A blob that is to be copied, as it was seen."""

    container: AzureContainer
    name: str
    seen: Seen


async def copy_blob(
    original: Original, target: AzureContainer, info: ObjectInfo, mark: str
) -> Copied | None:
    """Copy a blob to a new one of ``target``; None where Azure does not do it. Raises what the
    client library does."""
    source, seen = original.container, original.seen
    if _account(source) != _account(target) or not 0 < seen.size <= COPY_BYTES_MAX:
        return None
    options: dict[str, Any] = {
        "metadata": blob_metadata(info, mark),
        "requires_sync": True,
        "source_etag": seen.etag,
        "source_match_condition": MatchConditions.IfNotModified,
        "match_condition": MatchConditions.IfMissing,
    }
    if (token := await source.token()) is not None:
        options["source_authorization"] = f"Bearer {token}"
    address = _signed_address(source, original.name)
    for free in blob_names(info, mark, bucket_match=target.details.bucket_match):
        blob = target.blob(free)
        try:
            answer = await in_task(blob.start_copy_from_url(address, **options))
        except HttpResponseError as error:
            if error_code(error) in TAKEN_CODES | {"TargetConditionNotMet"}:
                continue
            if 400 <= (status_of(error) or 0) < 500:
                return None  # its bytes come through this process then, or say what is wrong
            raise
        etag = said_etag(answer.get("etag"))
        headers = content_settings(info)
        if seen.md5 is not None:
            headers.content_md5 = bytearray.fromhex(seen.md5)
        # Azure has copied those of the source.
        try:
            changed = await in_task(
                blob.set_http_headers(
                    headers, etag=etag, match_condition=MatchConditions.IfNotModified
                )
            )
        except (AzureError, aiohttp.ClientError, OSError):
            await _take_back(blob, etag)
            raise
        return Copied(free, said_etag(changed.get("etag")))
    return None


async def _take_back(blob: BlobClient, etag: str) -> None:
    """Remove a copy that is not finished. Raises PlaceError, SILENT, where it is left."""
    try:
        await in_task(blob.delete_blob(etag=etag, match_condition=MatchConditions.IfNotModified))
    except (AzureError, aiohttp.ClientError, OSError) as error:
        failure = place_error(error, "a copy is left")
        raise PlaceError(Trouble.SILENT, failure.reason) from None


def _account(container: AzureContainer) -> tuple[str, str]:
    details = container.details
    return details.azure_storage_endpoint, details.account


def _signed_address(source: AzureContainer, name: str) -> str:
    details = source.details
    address = source.url(name)
    if details.auth_method == "shared-access-signature" and details.sas_token is not None:
        return f"{address}?{details.sas_token.reveal()}"
    if details.auth_method != "shared-key" or details.azure_storage_access_key is None:
        return address
    signature = generate_blob_sas(
        details.account,
        details.azure_container_name,
        name,
        account_key=details.azure_storage_access_key.reveal(),
        permission=BlobSasPermissions(read=True),
        expiry=datetime.now(UTC) + _SIGNATURE_LIFE,
    )
    return f"{address}?{signature}"
