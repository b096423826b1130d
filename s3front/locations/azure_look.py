"""What there is to say of a container: whether it is there, lets us in, and what it allows."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs

import aiohttp
from azure.core import MatchConditions
from azure.core.exceptions import AzureError, HttpResponseError
from azure.storage.blob import BlobBlock

from s3front.locations.azure_client import AzureContainer, in_task
from s3front.locations.azure_details import AzureDetails
from s3front.locations.azure_errors import TAKEN_CODES, error_code, place_error
from s3front.locations.azure_names import MARK_NAME
from s3front.locations.remote_store import Finding, Trouble, new_mark

_PROBE: Final = "twofold-probe-"
_SOON: Final = timedelta(days=14)

_PERMISSIONS: Final = {
    "r": "read",
    "c": "create",
    "w": "write",
    "d": "delete",
}
"""What a signature has to allow (``sp``), and its name."""


async def look_at_container(container: AzureContainer, *, thorough: bool) -> Sequence[Finding]:
    """See ``RemoteStore.look``."""
    name = container.details.azure_container_name
    with container.answers("a look"):
        # Nobody has to be allowed more than blobs: a signature for a container alone does not
        # show the container's own properties.
        await container.look_up(f"{_PROBE}{secrets.token_hex(8)}")
    findings = [Finding("container", True, f"container {name!r} is there, and lets us in")]
    findings += _signature(container.details)
    if thorough:
        findings += await _tried(container)
    return findings


def _signature(details: AzureDetails, now: datetime | None = None) -> list[Finding]:
    """What a shared access signature says of itself."""
    if details.auth_method != "shared-access-signature" or details.sas_token is None:
        return []
    parts = parse_qs(details.sas_token.reveal())
    allowed = parts.get("sp", [""])[0]
    missing = [word for letter, word in _PERMISSIONS.items() if letter not in allowed]
    findings = [
        Finding("signature", False, f"sasToken does not allow: {', '.join(missing)}")
        if missing
        else Finding("signature", True, "sasToken allows what is needed")
    ]
    with contextlib.suppress(ValueError):
        end = datetime.fromisoformat(parts.get("se", [""])[0])
        end = end if end.tzinfo else end.replace(tzinfo=UTC)
        is_good = end - (now or datetime.now(UTC)) > _SOON
        findings.append(Finding("signature", is_good, f"sasToken ends on {end:%Y-%m-%d %H:%M} UTC"))
    return findings


async def _tried(container: AzureContainer) -> list[Finding]:
    """Try each thing that is done with blobs, with one that is removed again."""
    mark = new_mark()
    blob = container.blob(_PROBE + mark)
    metadata = {MARK_NAME: mark}
    trial = _Trial(container)
    made: dict[str, Any] | None = await trial.done(
        "create", lambda: blob.upload_blob(b"probe", overwrite=False, metadata=metadata)
    )
    if made is None:
        return trial.findings
    await trial.refused("create only", lambda: blob.upload_blob(b"other", overwrite=False))
    await trial.done("read", blob.download_blob)
    await trial.done("metadata", lambda: blob.set_blob_metadata(metadata))
    await trial.done("blocks", lambda: blob.stage_block("00000-00000-probe", b"probe"))
    await trial.done(
        "block list",
        lambda: blob.commit_block_list([BlobBlock("00000-00000-probe")], metadata=metadata),
    )
    await trial.refused(
        "ETags",
        lambda: blob.delete_blob(
            etag=str(made["etag"]), match_condition=MatchConditions.IfNotModified
        ),
    )
    await trial.done("delete", lambda: blob.delete_blob(delete_snapshots="include"))
    if made.get("version_id"):
        words = "the account keeps versions: what is deleted takes space until its rules end that"
        trial.findings.append(Finding("versions", None, words))
    return trial.findings


class _Trial:
    """What was tried, and what came of it."""

    def __init__(self, container: AzureContainer) -> None:
        self._container = container
        self.findings: list[Finding] = []

    async def done(self, what: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Something that is to succeed; its result, None when it has not."""
        try:
            result = await in_task(ask())
        except (AzureError, aiohttp.ClientError, OSError) as error:
            failure = place_error(error, what)
            if failure.trouble is not Trouble.REFUSED:
                raise failure from None
            self.findings.append(Finding(what, False, f"not allowed: {failure.reason}"))
            return None
        self.findings.append(Finding(what, True, "works"))
        return result

    async def refused(self, what: str, ask: Callable[[], Awaitable[Any]]) -> None:
        """Something that is to be refused because of its condition."""
        try:
            await in_task(ask())
        except HttpResponseError as error:
            if error.status_code in (409, 412) or error_code(error) in TAKEN_CODES:
                self.findings.append(Finding(what, True, "works"))
                return
            words = f"refused with {error.status_code} {error_code(error)}"
            self.findings.append(Finding(what, False, words))
        except (AzureError, aiohttp.ClientError, OSError) as error:
            raise place_error(error, what) from None
        else:
            words = "the service does not look at conditions: blobs would be overwritten"
            self.findings.append(Finding(what, False, words))
