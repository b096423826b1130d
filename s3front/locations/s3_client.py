"""Signed requests to one bucket of an S3 service, and what comes of them.

What it gives out as done was answered as S3 answers it: with its very status, and nothing where S3
has nothing to say. Captive portals, and whatever else is in front of a service, answer 200 as well.

It finds out itself, from what the service answers, which region the bucket is in, how far its clock
is from ours, and that keys have been replaced; a request that failed for one of these is sent once
more, if nothing of its body is gone. Beyond that nothing is repeated here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

import msgspec

from s3front.auth.sigv4 import EMPTY_SHA256
from s3front.locations.aws_credentials import KeySource, key_source
from s3front.locations.http_call import SourceError
from s3front.locations.http_client import (
    HttpClient,
    NotConnectedError,
    Response,
    StaleConnectionError,
)
from s3front.locations.origin import Origin, Pool
from s3front.locations.outbound import Outbound
from s3front.locations.remote_store import LostConnectionError, PlaceError, Trouble
from s3front.locations.s3_answers import S3AnswerError, document, error_document
from s3front.locations.s3_details import DEFAULT_REGION, REGION, S3Details
from s3front.locations.s3_google import amazon_headers, google_parameters
from s3front.locations.s3_signing import (
    UNSIGNED_PAYLOAD,
    Keys,
    Signer,
    encoded_path,
    encoded_query,
    new_skew,
)
from shared.limits import XML_INLINE_BYTES_MAX
from shared.tls import trusting_context

CONNECT_SECONDS_MAX: Final = 5.0
STALL_SECONDS_MAX: Final = 30.0
"""How long the service may say nothing, or take nothing."""

IDLE_SECONDS_MAX: Final = 15.0
"""Less than most services keep a connection on which nothing comes."""

DOCUMENT_BYTES_MAX: Final = 8 * 1024 * 1024
ERROR_BYTES_MAX: Final = 64 * 1024


_DONE: Final[Mapping[str, frozenset[int]]] = {
    "DELETE": frozenset({200, 204}),  # the first by some other services
    "GET": frozenset({200, 206}),
    "HEAD": frozenset({200}),
    "POST": frozenset({200}),
    "PUT": frozenset({200}),
}
"""The statuses of what was done: Amazon S3 API reference, the responses of the operations."""

Body = bytes | AsyncGenerator[bytes, None]
Parameters = Sequence[tuple[str, str]]


class S3Call(msgspec.Struct, frozen=True):
    """A request about the bucket, or, with a ``key``, about an object of it.

    ``size`` is that of a ``body`` which is not bytes. ``stall_seconds``: how long the service may
    be silent, where it takes long to do what is asked. ``makes``: it makes something new each time
    it is done, and so is not sent again when it may have been done.
    """

    method: str
    key: str | None = None
    query: Parameters = ()
    headers: Mapping[str, str] = {}
    body: Body = b""
    size: int = 0
    stall_seconds: float = STALL_SECONDS_MAX
    makes: bool = False

    @property
    def what(self) -> str:
        """What it is, for the log: keys are not named there."""
        names = "&".join(name for name, _ in self.query)
        target = "bucket" if self.key is None else "object"
        return f"{self.method} {target}{f'?{names}' if names else ''}"


class S3Client:
    """See the module. Make it inside the event loop; ``close`` it."""

    def __init__(self, details: S3Details, outbound: Outbound, pool: Pool) -> None:
        self._details = details
        self._outbound = outbound
        self._pool = pool
        self._source: KeySource = key_source(details)
        self._region = details.region or DEFAULT_REGION
        self._skew_seconds = 0.0
        self._tls = None
        if details.secure:
            self._tls = _tls(details.ca_bundle)
        self._clients: dict[str, HttpClient] = {}

    @property
    def is_google(self) -> bool:
        """Whether the service has Google's ways (``gcp``)."""
        return self._details.is_google

    @property
    def region(self) -> str:
        """The bucket's region, as far as it is known."""
        return self._region

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.close()

    async def ask(self, call: S3Call) -> Response:
        """The response to a request, whose status says that it was done. Raises PlaceError,
        S3AnswerError if the service refused, and what the source of the body raised."""
        keys = await self._source.keys()
        response = await self._sent(call, keys)
        if response.status < 300:
            return _as_done(call, response)
        refusal = await self._refusal(call, response)
        newer = await self._adjusted(response, refusal, keys)
        if newer is None or not isinstance(call.body, bytes):
            raise refusal
        response = await self._sent(call, newer)
        if response.status < 300:
            return _as_done(call, response)
        raise await self._refusal(call, response)

    async def done(self, call: S3Call) -> Mapping[str, str]:
        """The headers of the response to a request whose answer has nothing else to say."""
        response = await self.ask(call)
        body = await _whole(response, call, ERROR_BYTES_MAX)
        if call.method in ("PUT", "DELETE") and body.strip():
            code = error_document(body).code or "something"
            raise PlaceError(Trouble.BROKEN, f"{call.what}: the answer says {code}, not nothing")
        return self.headers_of(response)

    def headers_of(self, response: Response) -> Mapping[str, str]:
        """The headers of a response, as S3 calls them."""
        return amazon_headers(response.headers) if self.is_google else response.headers

    async def read(self, call: S3Call) -> tuple[Mapping[str, str], Element]:
        """The headers and the document that a request is answered with; raises as ``ask``."""
        response = await self.ask(call)
        body = await _whole(response, call, DOCUMENT_BYTES_MAX)
        headers = self.headers_of(response)
        if len(body) <= XML_INLINE_BYTES_MAX:
            return headers, document(body, call.what, call.key)
        return headers, await asyncio.to_thread(document, body, call.what, call.key)

    async def _sent(self, call: S3Call, keys: Keys) -> Response:
        body, details = call.body, self._details
        if isinstance(body, bytes):
            size, payload = len(body), UNSIGNED_PAYLOAD if body else EMPTY_SHA256
        else:
            size, payload = call.size, UNSIGNED_PAYLOAD
        host, names = self._place(call)
        client = self._client(host)
        parameters = google_parameters(call.query) if self.is_google else call.query
        path, query = encoded_path(*names), encoded_query(parameters)
        headers = {"Host": self._authority(host), **call.headers}
        signer = Signer(keys, self._region, self._skew_seconds)
        signed = signer.sign(call.method, path, query, headers, payload)
        if size or call.method in ("PUT", "POST"):
            signed["Content-Length"] = str(size)
        target = f"{path}?{query}" if query else path
        expects = not isinstance(body, bytes)
        try:
            return await client.request(
                call.method,
                target,
                signed,
                body,
                stall_seconds=call.stall_seconds,
                expects=expects,
                once=call.makes,
            )
        except SourceError as error:
            failure = error.error
        except NotConnectedError as error:
            reason = f"no connection to {details.host}: {error}"
            raise PlaceError(Trouble.UNREACHED, reason) from None
        except StaleConnectionError as error:
            raise LostConnectionError(f"{call.what}: {error}") from None
        except OSError as error:
            reason = str(error) or "it was silent for too long"
            raise PlaceError(Trouble.SILENT, f"{call.what}: {reason}") from None
        try:
            # Not where the other error is handled: each would name the other.
            raise failure
        finally:
            del failure

    def _place(self, call: S3Call) -> tuple[str, tuple[str, ...]]:
        """The host that a request goes to, and the names that its path is made of."""
        details = self._details
        host = details.host
        if details.is_amazon and host.startswith("s3.amazonaws."):
            host = host.replace("s3.", f"s3.{self._region}.", 1)
        key = "" if call.key is None else call.key
        if details.path_style:
            return host, (details.bucket, key) if key else (details.bucket,)
        return f"{details.bucket}.{host}", (key,)

    def _authority(self, host: str) -> str:
        details = self._details
        shown = f"[{host}]" if ":" in host else host
        default = 443 if details.secure else 80
        return shown if details.port == default else f"{shown}:{details.port}"

    def _client(self, host: str) -> HttpClient:
        client = self._clients.get(host)
        if client is None:
            port, tls = self._details.port, self._details.secure
            proxy = self._outbound.proxy(host, port, tls=tls)
            client = self._clients[host] = HttpClient(
                Origin(host, port, tls=self._tls, proxy=proxy),
                stall_seconds=STALL_SECONDS_MAX,
                idle_seconds=IDLE_SECONDS_MAX,
                connect_seconds=CONNECT_SECONDS_MAX,
                pool=self._pool,
            )
        return client

    async def _refusal(self, call: S3Call, response: Response) -> S3AnswerError:
        try:
            body = await response.read_all(ERROR_BYTES_MAX)
        except OSError:
            body = b""
        return S3AnswerError(response.status, error_document(body, call.key), call.what)

    async def _adjusted(
        self, response: Response, refusal: S3AnswerError, keys: Keys
    ) -> Keys | None:
        """The keys to send a refused request again with, when it may be accepted then."""
        if refusal.place_code == "RequestTimeTooSkewed":
            return keys if self._set_clock(response) else None
        if refusal.wants_other_keys:
            newer = await self._source.keys(refused=keys)
            return newer if newer != keys else None
        region = response.headers.get("x-amz-bucket-region") or refusal.region or ""
        is_other = REGION.fullmatch(region) is not None and region != self._region
        if is_other and response.status in (301, 307, 400, 403):
            self._region = region
            return keys
        return None

    def _set_clock(self, response: Response) -> bool:
        """Follow the service's clock; False when that is not what is wrong."""
        skew = new_skew(response.headers.get("Date"), self._skew_seconds)
        if skew is None:
            return False
        self._skew_seconds = skew
        return True


def _tls(ca_bundle: Path | None) -> ssl.SSLContext:
    """One for all locations that trust whom the system trusts: each takes 30 ms and a MiB."""
    if ca_bundle is None:
        return _systems_tls()
    return trusting_context(ca_bundle, "locationConfig.json", "caBundle")


@cache
def _systems_tls() -> ssl.SSLContext:
    return trusting_context(None, "", "")


def _as_done(call: S3Call, response: Response) -> Response:
    """The response, if its status is the one that says that the call was done. Raises
    PlaceError."""
    if response.status in _DONE[call.method]:
        return response
    response.close()
    reason = f"{call.what}: the answer is {response.status}, which is none of S3's to it"
    raise PlaceError(Trouble.BROKEN, reason)


async def _whole(response: Response, call: S3Call, size_max: int) -> bytes:
    """The body of a good answer, all of it. Raises PlaceError."""
    try:
        body = await response.read_all(size_max + 1)
    except OSError as error:
        reason = f"{call.what}: half an answer: {error}"
        raise PlaceError(Trouble.SILENT, reason) from None
    if len(body) > size_max:
        raise PlaceError(Trouble.BROKEN, f"{call.what}: the answer is too large")
    return body
