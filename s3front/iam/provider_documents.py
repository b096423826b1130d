"""What OpenID Connect providers publish, fetched from them: the keys by which they sign.

A provider says in its discovery document where its keys are (OpenID Connect Discovery 1.0, section
4). Both are fetched over TLS alone, redirects are not followed, and sizes and times have limits.
Nothing of what comes is shown to clients. Their hosts are looked up once, and reached at addresses
that are allowed (``provider_addresses``); through a proxy, names are for the proxy to look up.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Sequence
from typing import Any, Final

import orjson

from s3front.iam.provider_addresses import is_allowed
from s3front.iam.web_identity import KeySet, key_set, place_of
from s3front.locations.http_client import HttpClient
from s3front.locations.origin import Addresses, Origin, Proxy
from s3front.locations.outbound import Outbound
from shared.config.values import Network, parse_port, split_port
from shared.tls import trusting_context

FETCH_SECONDS_MAX: Final = 5.0
"""For both documents together."""

DOCUMENT_BYTES_MAX: Final = 256 * 1024

_CONNECT_SECONDS_MAX: Final = 3.0
_HTTPS: Final = "https://"
_URL: Final = re.compile(r"[!-~]{1,2048}", re.ASCII)
_WELL_KNOWN: Final = "/.well-known/openid-configuration"


class ProviderError(Exception):
    """A provider is not there, or answers something else; the message says why, for the log."""


class ProviderDocuments:
    """See the module. ``tls`` trusts the authorities that may vouch for providers; None: those of
    the system, which are loaded when the first provider is asked. They may be in ``networks`` that
    are not public."""

    def __init__(
        self, tls: ssl.SSLContext | None, outbound: Outbound, networks: Sequence[Network] = ()
    ) -> None:
        self._outbound = outbound
        self.use(tls, networks)

    def use(self, tls: ssl.SSLContext | None, networks: Sequence[Network]) -> None:
        """Take these from the next document on."""
        self._tls = tls
        self._networks = networks

    async def keys(self, place: str) -> KeySet:
        """The keys of a provider, which is named by its URL without the scheme. Raises
        ProviderError."""
        try:
            async with asyncio.timeout(FETCH_SECONDS_MAX):
                return await self._keys(place)
        except TimeoutError as error:
            raise ProviderError(f"it takes more than {FETCH_SECONDS_MAX:g} s") from error

    async def _keys(self, place: str) -> KeySet:
        """Raises ProviderError."""
        described = await self._document(f"{_HTTPS}{place.rstrip('/')}{_WELL_KNOWN}")
        issuer, address = described.get("issuer"), described.get("jwks_uri")
        if not isinstance(issuer, str) or place_of(issuer) != place:
            raise ProviderError("its discovery document is that of another issuer")
        if not isinstance(address, str):
            raise ProviderError("its discovery document does not say where its keys are")
        keys = key_set(await self._document(address))
        if keys is None:
            raise ProviderError("what it publishes is no set of keys, or has too many")
        return keys

    async def _document(self, url: str) -> dict[str, Any]:
        """A JSON object from a URL. Raises ProviderError."""
        host, port, target = _parts(url)
        proxy = self._outbound.proxy(host, port, tls=True)
        if self._tls is None:
            self._tls = await asyncio.to_thread(trusting_context, None, "", "")
        addresses = await self._addresses(host, port, proxy)
        client = HttpClient(
            Origin(host, port, tls=self._tls, proxy=proxy, addresses=addresses),
            stall_seconds=FETCH_SECONDS_MAX,
            connect_seconds=_CONNECT_SECONDS_MAX,
        )
        shown = f"[{host}]" if ":" in host else host
        authority = shown if port == 443 else f"{shown}:{port}"
        try:
            headers = {"Host": authority, "Accept": "application/json"}
            response = await client.request("GET", target, headers)
            if response.status != 200:
                response.close()
                raise ProviderError(f"{url} answers {response.status}")
            length = response.length
            body = await response.read_all(DOCUMENT_BYTES_MAX + 1)
        except OSError as error:
            raise ProviderError(f"{url}: {str(error) or 'it was silent for too long'}") from error
        finally:
            await client.close()
        if len(body) > DOCUMENT_BYTES_MAX:
            raise ProviderError(f"{url} is larger than {DOCUMENT_BYTES_MAX} bytes")
        if length is not None and len(body) != length:
            raise ProviderError(f"{url}: half an answer")
        try:
            document = orjson.loads(body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise ProviderError(f"{url} is no JSON object")
        return document

    async def _addresses(self, host: str, port: int, proxy: Proxy | None) -> Addresses | None:
        """Those of a host that are allowed; None of a name that a proxy looks up. Raises
        ProviderError when there is none."""
        loop = asyncio.get_running_loop()
        flags = 0 if proxy is None else socket.AI_NUMERICHOST
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
        except OSError as error:
            if proxy is not None:
                return None
            raise ProviderError(f"{host} is no name that is known: {error}") from error
        allowed = [each for each in found if is_allowed(str(each[4][0]), self._networks)]
        if not allowed:
            raise ProviderError(
                f"{host} is at no public address, nor in openIdConnect.allowedNetworks"
            )
        return allowed


def _parts(url: str) -> tuple[str, int, str]:
    """Host, port, and what is asked for there. Raises ProviderError."""
    if not url.startswith(_HTTPS) or not _URL.fullmatch(url):
        raise ProviderError("an address of it is no https:// URL")
    place, _, _ = url.removeprefix(_HTTPS).partition("#")
    cut = re.search(r"[/?]", place)
    authority, target = (place, "") if cut is None else (place[: cut.start()], place[cut.start() :])
    try:
        host, port = split_port(authority)
        number = 443 if port is None else parse_port(port)
    except ValueError as error:
        raise ProviderError(f"{url}: {error}") from error
    return host, number, target if target.startswith("/") else f"/{target}"
