"""The debugging interface: the RPC's calls as plain HTTP requests (reference/dmd-wire.md, 10).

``POST`` to a namespace (``/MDFile/metadata``) with ``{"call": name, "args": {rpcArgs, subLevel}}``
answers ``{"result": ...}`` and a line feed; streams are JSON arrays in it. An error answers with
its status and ``{"error": name, "message": text}``; a stream that fails breaks the connection off.
A shared secret is asked for as on the data port (``shared.daemon_secret``).
For tools and people, not for load.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from dmd.metadata.pages import Page
from dmd.metadata.record_log_service import LogPages
from dmd.rpc.dispatch import Service
from shared import limits
from shared.daemon_secret import REFUSAL, Gate
from shared.errors import ServiceError
from shared.process.logs import EventLog
from shared.rpc import codec
from shared.rpc.envelope import parse_call

_CLOSE_SECONDS = 0.5
_END = b"}\n"


def _as_it_is(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return arguments


class RestService(msgspec.Struct, frozen=True):
    """A service, and how the arguments of its calls become those of ``parse_call``."""

    service: Service
    adapt: Callable[[tuple[Any, ...]], tuple[Any, ...]] = _as_it_is


class RestInterface:
    """Serves some services by the names of their namespaces, once it listens."""

    def __init__(
        self,
        services: Mapping[str, RestService],
        log: EventLog,
        message_bytes_max: int = limits.RPC_MESSAGE_BYTES_MAX,
        gate: Gate | None = None,
    ) -> None:
        self._services = services
        self._message_bytes_max = message_bytes_max
        self._gate = gate or Gate()
        self._log = log
        self._runner = web.ServerRunner(
            web.Server(self._handle, access_log=None), shutdown_timeout=_CLOSE_SECONDS
        )

    @property
    def port(self) -> int | None:
        """The port that is served, None while there is none."""
        addresses = self._runner.addresses
        return addresses[0][1] if addresses else None

    async def listen(
        self, listeners: Sequence[socket.socket], tls: ssl.SSLContext | None = None
    ) -> None:
        await self._runner.setup()
        for listener in listeners:
            await web.SockSite(self._runner, listener, ssl_context=tls).start()

    async def close(self) -> None:
        """Stop listening, and end what is under way."""
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            result = await self._result(request)
        except ServiceError as error:
            body = {"error": error.code, "message": error.message, **error.fields}
            return web.Response(status=error.status, text=codec.dumps(body) + "\n")
        except Exception as error:
            self._log.error("a call of the debugging interface failed", exc_info=error)
            return web.Response(status=500, text=codec.dumps({"error": "InternalError"}) + "\n")
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            for chunk in _rendered(result):
                await response.write(chunk)
        except ServiceError as error:
            self._log.error("a stream of the debugging interface failed", reason=str(error))
            assert request.transport is not None
            request.transport.abort()
            return response
        await response.write_eof()
        return response

    async def _result(self, request: web.BaseRequest) -> Any:
        if not self._gate.secret.admits_authorization(request.headers.get("Authorization")):
            raise ServiceError("AccessDenied", REFUSAL)
        if request.method != "POST":
            raise ServiceError("MethodNotAllowed", "only POST requests are supported for RPC calls")
        found = self._services.get(request.path)
        if found is None:
            raise ServiceError("InvalidArgument", f"unknown service in URL {request.path}")
        document = await _document(request, self._message_bytes_max)
        name = document.get("call")
        if not name:
            raise ServiceError("InvalidArgument", 'missing "call" JSON attribute')
        call = parse_call(found.adapt((name, document.get("args") or {})))
        return await found.service.call(call)


async def _document(request: web.BaseRequest, bytes_max: int) -> dict[str, Any]:
    """The JSON object of a request's body."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > bytes_max:
            raise ServiceError("MaxMessageLengthExceeded")
    if not body:
        raise ServiceError("MissingRequestBodyError")
    try:
        document = codec.loads(bytes(body))
    except ValueError as error:
        raise ServiceError("InvalidArgument", "the request body is not JSON") from error
    if not isinstance(document, dict):
        raise ServiceError("InvalidArgument", "the request body is not a JSON object")
    return document


def _rendered(result: Any) -> Iterator[bytes]:
    """The text of an answer, a packet at a time."""
    pages = getattr(result, "pages", None)
    if pages is None:
        yield b'{"result":' + codec.dumps(result).encode() + _END
        return
    end = _END
    if isinstance(pages, LogPages):
        yield b'{"result":{"info":' + codec.dumps(pages.info).encode() + b',"log":'
        end = b"}" + _END
    else:
        yield b'{"result":'
    yield from _array(pages)
    yield end


def _array(pages: Iterator[Page]) -> Iterator[bytes]:
    before = b"["
    for page in pages:
        yield before + codec.dumps(page).encode()[1:-1]
        before = b","
    yield b"[]" if before == b"[" else b"]"
