"""A key service that speaks JSON over HTTP: Vault, and the API of AWS KMS.

It is asked once; what the statuses mean is for the keepers. Requests may be repeated on a new
connection where a kept one has ended, but for those that make something. Answers are read to
``ANSWER_BYTES_MAX``, and nothing of them is logged here.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import orjson

from s3front.keys.base import AwayError
from s3front.locations.http_client import HttpClient, NotConnectedError, Response
from s3front.locations.origin import Origin, Pool
from s3front.locations.outbound import Outbound
from shared.config.values import parse_port, split_port

CONNECT_SECONDS_MAX: Final = 2.0
STALL_SECONDS_MAX: Final = 10.0
"""More than a keeper is waited for."""

IDLE_SECONDS_MAX: Final = 15.0
ANSWER_BYTES_MAX: Final = 64 * 1024

_POOL: Final = Pool(idle_max=8, connections_max=32)


class Answer(msgspec.Struct, frozen=True):
    """``document`` is {} where the body is no JSON object."""

    status: int
    headers: Mapping[str, str]
    document: Mapping[str, Any]
    is_json: bool


class KeyServer:
    """See the module. ``address`` is ``http(s)://host[:port]``, perhaps with a path that all
    targets begin with; ``tls`` is for https. Make it inside the event loop."""

    def __init__(self, address: str, tls: ssl.SSLContext | None, outbound: Outbound) -> None:
        scheme, _, rest = address.partition("://")
        place, slash, path = rest.partition("/")
        self.path = (slash + path).rstrip("/")
        host, given_port = split_port(place)
        secure = scheme == "https"
        default = 443 if secure else 80
        port = default if given_port is None else parse_port(given_port)
        shown = f"[{host}]" if ":" in host else host
        self.authority = shown if port == default else f"{shown}:{port}"
        self.address = f"{scheme}://{self.authority}"
        proxy = outbound.proxy(host, port, tls=secure)
        self._client = HttpClient(
            Origin(host, port, tls=tls if secure else None, proxy=proxy),
            stall_seconds=STALL_SECONDS_MAX,
            idle_seconds=IDLE_SECONDS_MAX,
            connect_seconds=CONNECT_SECONDS_MAX,
            pool=_POOL,
        )

    async def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        once: bool = False,
    ) -> Answer:
        """Send a request; ``target`` begins with a slash. Raises AwayError where there is no whole
        answer."""
        sent = {"Host": self.authority, **headers}
        if body or method in ("POST", "PUT"):
            sent["Content-Length"] = str(len(body))
        try:
            response = await self._client.request(method, self.path + target, sent, body, once=once)
            return await _answer(response)
        except NotConnectedError as error:
            reason = f"no connection to {self.address}: {error}"
        except OSError as error:
            reason = f"no answer of {self.address}: {str(error) or 'it was silent for too long'}"
        raise AwayError(reason)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


async def _answer(response: Response) -> Answer:
    """Raises OSError, AwayError."""
    length = response.length
    body = await response.read_all(ANSWER_BYTES_MAX + 1)
    if len(body) > ANSWER_BYTES_MAX:
        raise AwayError("the answer is too large for that of a key service")
    if length is not None and len(body) != length:
        raise AwayError("half an answer")
    try:
        document: Any = orjson.loads(body) if body else {}
    except ValueError:
        document = None
    if isinstance(document, dict):
        return Answer(response.status, response.headers, document, is_json=True)
    return Answer(response.status, response.headers, {}, is_json=False)
