"""A container of Azure's, by its client library ``azure-storage-blob``.

What the library does itself is switched off where somebody else does it: retries (``resilience``
does them) and logs. Its calls are made in tasks of their own, since aiohttp beneath it needs one
and what calls here may be in none (``shared.loop.eager``).

A blob is read by ``_client.blob.download``, and put by ``_client.block_blob.upload``, which the
library keeps to itself: what it offers everybody (``download_blob``, ``upload_blob``) has the whole
of a piece in memory before it passes on a byte of it.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Mapping
from types import TracebackType
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote, urlsplit

import aiohttp
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.blob import ContentSettings
from azure.storage.blob.aio import BlobClient, ContainerClient

from s3front.locations.azure_details import AzureDetails
from s3front.locations.azure_errors import MISSING_CODES, error_code, place_error
from s3front.locations.azure_recognition import Seen, said_etag
from s3front.locations.base import ObjectInfo
from s3front.locations.origin import Proxy
from s3front.locations.outbound import DIRECT, Outbound

CONNECT_SECONDS_MAX: Final = 5.0
STALL_SECONDS_MAX: Final = 30.0
"""How long Azure may say nothing, or take nothing."""

READ_BYTES: Final = 128 * 1024
"""How much is read at a time; twice as much waits for a reader that is slow."""

SINGLE_PUT_BYTES_MAX: Final = 4000 * 1024 * 1024
"""What one Put Blob, or one Put Block, may bring."""

_IDLE_SECONDS_MAX: Final = 55.0

_METADATA_HEADER: Final = "x-ms-meta-"
_TOKEN_SCOPE: Final = "https://storage.azure.com/.default"  # noqa: S105  # an address
_AUTHORITY: Final = "https://login.microsoftonline.com"

_T = TypeVar("_T")

# They may say what was signed, and with what.
for _name in ("azure", "msal"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


class AzureContainer:
    """The container of a location. Make it inside the event loop; ``close`` it."""

    def __init__(
        self,
        details: AzureDetails,
        outbound: Outbound = DIRECT,
        stall_seconds: float = STALL_SECONDS_MAX,
    ) -> None:
        self.details = details
        self.stall_seconds = stall_seconds
        self._transport = _transport(details.azure_storage_endpoint, outbound, stall_seconds)
        options: dict[str, Any] = {
            "transport": self._transport,
            "connection_data_block_size": READ_BYTES,
            "max_single_put_size": SINGLE_PUT_BYTES_MAX,
            "retry_total": 0,
            "retry_connect": 0,
            "retry_read": 0,
            "retry_status": 0,
            "logging_enable": False,
        }
        self._credential = _credential(details, outbound)
        self._client = ContainerClient(
            details.azure_storage_endpoint,
            details.azure_container_name,
            credential=self._credential,
            **options,
        )

    @property
    def client(self) -> ContainerClient:
        return self._client

    def blob(self, name: str) -> BlobClient:
        return self._client.get_blob_client(name)

    def url(self, name: str) -> str:
        """The address of a blob, without what lets one in."""
        details = self.details
        path = f"{details.azure_container_name}/{quote(name, safe='~/')}"
        return f"{details.azure_storage_endpoint}/{path}"

    async def token(self) -> str | None:
        """A token that lets Azure itself read for us; None where tokens are not used."""
        credential = self._credential
        if not isinstance(credential, AsyncTokenCredential):
            return None
        found = await in_task(credential.get_token(_TOKEN_SCOPE))
        return found.token

    async def download(self, name: str, wanted: str | None) -> Download:
        """Begin to read a blob, or a range of it (``bytes=0-99``). Raises what the library does."""
        asked = self.blob(name)._client.blob.download(
            range=wanted, decompress=False, cls=lambda answer, stream, _: (answer, stream)
        )
        answer, stream = cast("tuple[Any, Any]", await in_task(asked))
        return Download(answer.http_response, stream)

    async def upload(
        self, name: str, body: AsyncIterator[bytes], size: int, headers: Mapping[str, str]
    ) -> Mapping[str, Any]:
        """Put a blob whose bytes are on their way; what Azure says of it. Raises what the library
        does."""
        asked = self.blob(name)._client.block_blob.upload(
            size,
            cast("Any", body),
            headers=dict(headers),
            cls=lambda _answer, _nothing, said: said,
        )
        return cast("Mapping[str, Any]", await asked)

    async def look_up(self, name: str) -> Seen | None:
        """What there is of a blob; None when there is none. Raises what the library does."""
        try:
            found = await in_task(self.blob(name).get_blob_properties())
        except ResourceNotFoundError as error:
            # The answer to HEAD has no body, and from some no code either.
            if error_code(error) in MISSING_CODES | {""}:
                return None
            raise
        md5 = found.content_settings.content_md5
        return Seen(
            said_etag(found.etag),
            found.size,
            found.metadata or {},
            None if not md5 else bytes(md5).hex(),
        )

    def answers(self, what: str) -> Answers:
        """A block in which whatever the library raises becomes a PlaceError that says ``what`` was
        to be done."""
        return Answers(f"container {self.details.azure_container_name!r}: {what}")

    async def close(self) -> None:
        await self._client.close()
        await self._transport.close()
        if isinstance(self._credential, AsyncTokenCredential):
            await self._credential.close()


class Download:
    """A blob whose headers have come, and whose bytes are on their way."""

    def __init__(self, response: Any, stream: AsyncIterator[bytes]) -> None:
        self._response = response
        self._stream = stream
        self.headers: Mapping[str, str] = response.headers

    @property
    def seen(self) -> Seen:
        """What the headers say of the whole blob."""
        headers = self.headers
        in_range = "Content-Range" in headers
        size = headers.get("Content-Range" if in_range else "Content-Length") or ""
        total = size.rpartition("/")[2]
        md5 = headers.get("x-ms-blob-content-md5" if in_range else "Content-MD5")
        metadata = {
            name[len(_METADATA_HEADER) :]: value
            for name, value in headers.items()
            if name.lower().startswith(_METADATA_HEADER)
        }
        return Seen(
            headers.get("ETag") or "",
            int(total) if total.isdecimal() else -1,
            metadata,
            None if md5 is None else base64.b64decode(md5).hex(),
        )

    def blocks(self) -> AsyncIterator[bytes]:
        """The bytes as they come. Raises what the library does."""
        return self._stream

    def close(self) -> None:
        """Give up the rest, and the connection with it if there is one."""
        self._response.internal_response.close()


class Answers:
    """See ``AzureContainer.answers``."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, AzureError | aiohttp.ClientError | OSError):
            raise place_error(error, self._what) from None


async def in_task(asked: Awaitable[_T]) -> _T:
    """What a call of the library returns, which is made in a task of its own and ends with its
    caller."""
    task = asyncio.get_running_loop().create_task(_awaited(asked))
    try:
        return await task
    except BaseException:
        task.cancel()
        raise


async def _awaited(asked: Awaitable[_T]) -> _T:
    return await asked


class _Transport(AioHttpTransport):  # type: ignore[misc]  # it has no types
    """The library's own, through a proxy if there is one."""

    proxy: Proxy | None = None
    once: _Transport | None = None
    """What carries a PUT in its place."""

    async def send(self, request: Any, **options: Any) -> Any:
        if self.once is not None and request.method == "PUT":
            return await self.once.send(request, **options)
        proxy = self.proxy
        if proxy is not None:
            host = f"[{proxy.host}]" if ":" in proxy.host else proxy.host
            scheme = "http" if proxy.tls is None else "https"
            options["proxy"] = f"{scheme}://{host}:{proxy.port}"
            if proxy.authorization is not None:
                options["proxy_headers"] = proxy.headers
        return await super().send(request, **options)

    async def close(self) -> None:
        if self.once is not None:
            await self.once.close()
        await super().close()


def _transport(url: str, outbound: Outbound, stall_seconds: float) -> AioHttpTransport:
    """What carries requests to the server of a URL."""
    parts = urlsplit(url)
    is_secure = parts.scheme == "https"
    proxy = outbound.proxy(
        parts.hostname or "", parts.port or (443 if is_secure else 80), tls=is_secure
    )
    tls = ssl.create_default_context()
    if proxy is not None and proxy.tls is not None:
        # aiohttp has one context for a proxy and the server behind it.
        tls = proxy.tls
        tls.load_default_certs()
    transport = _made(proxy, tls, stall_seconds)
    transport.once = _made(proxy, tls, stall_seconds)
    # aiohttp would send a PUT again on another connection, when the first may have stored its blob;
    # that would be in its own way then.
    transport.once.session._retry_connection = False
    return transport


def _made(proxy: Proxy | None, tls: ssl.SSLContext, stall_seconds: float) -> _Transport:
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0,  # how many there are at once is limited above
            keepalive_timeout=_IDLE_SECONDS_MAX,
            ssl=tls,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        # It would take a password out of ~/.netrc.
        trust_env=False,
        read_bufsize=READ_BYTES,
    )
    transport = _Transport(
        session=session,
        connection_timeout=CONNECT_SECONDS_MAX,
        read_timeout=stall_seconds,
        connection_data_block_size=READ_BYTES,
        use_env_settings=False,
    )
    transport.proxy = proxy
    return transport


def _credential(
    details: AzureDetails, outbound: Outbound
) -> AzureNamedKeyCredential | AzureSasCredential | AsyncTokenCredential:
    key, sas, secret = details.azure_storage_access_key, details.sas_token, details.client_key
    if details.auth_method == "shared-key":
        assert key is not None
        return AzureNamedKeyCredential(details.account, key.reveal())
    if details.auth_method == "shared-access-signature":
        assert sas is not None
        return AzureSasCredential(sas.reveal())
    from azure.identity.aio import ClientSecretCredential  # noqa: PLC0415  # on first use

    assert secret is not None
    authority = os.environ.get("AZURE_AUTHORITY_HOST") or _AUTHORITY
    address = authority if "://" in authority else f"https://{authority}"
    return ClientSecretCredential(
        details.tenant_id or "",
        details.client_id or "",
        secret.reveal(),
        transport=_transport(address, outbound, CONNECT_SECONDS_MAX),
        retry_total=0,
        # An authority that is said to be another one is not asked for at Microsoft's.
        disable_instance_discovery=authority != _AUTHORITY,
    )


def upload_headers(
    info: ObjectInfo, metadata: Mapping[str, str], etag: str | None
) -> dict[str, str]:
    """What goes with a blob that takes the place of the one with this ETag."""
    settings = content_settings(info)
    said = {
        "x-ms-blob-content-type": settings.content_type,
        "x-ms-blob-content-encoding": settings.content_encoding,
        "x-ms-blob-content-language": settings.content_language,
        "x-ms-blob-content-disposition": settings.content_disposition,
        "x-ms-blob-cache-control": settings.cache_control,
        "If-Match": etag,
    }
    kept = {f"{_METADATA_HEADER}{name}": value for name, value in metadata.items()}
    return kept | {name: value for name, value in said.items() if value is not None}


def content_settings(info: ObjectInfo) -> ContentSettings:
    """What Azure is to answer with a blob; it has no place for Expires, nor for text that a header
    of HTTP cannot have as it is. The record has all of it."""

    def kept(text: str | None) -> str | None:
        return text if text and text.isascii() and text.isprintable() else None

    headers = info.headers
    return ContentSettings(
        content_type=kept(info.content_type),
        content_encoding=kept(headers.get("content-encoding")),
        content_language=kept(headers.get("content-language")),
        content_disposition=kept(headers.get("content-disposition")),
        cache_control=kept(headers.get("cache-control")),
    )
