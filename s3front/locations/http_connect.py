"""How a connection to a server is made: through a Unix socket, or TCP, with TLS or without.

A name may have several addresses, some of which nobody answers at: then the next one is tried soon,
beside it (RFC 8305). A proxy is asked for a tunnel to a server that speaks TLS (RFC 9110, section
9.3.6), and is itself the server of all that is asked of others. Used by ``http_client`` alone,
which limits the time.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final, TypeVar

from s3front.locations.origin import Addresses, Origin, Proxy
from shared.http1.encoding import encode_request

_NEXT_ADDRESS_SECONDS: Final = 0.25
"""When the next address is tried beside one that has not answered (RFC 8305, section 5)."""

_TUNNEL_ANSWER_BYTES_MAX: Final = 16 * 1024

_ProtocolT = TypeVar("_ProtocolT", bound=asyncio.BaseProtocol)


async def connect(
    loop: asyncio.AbstractEventLoop,
    make_protocol: Callable[[], _ProtocolT],
    origin: Origin,
) -> _ProtocolT:
    """A protocol whose connection is made. Raises OSError."""
    if origin.socket_path is not None:
        try:
            _, protocol = await loop.create_unix_connection(make_protocol, str(origin.socket_path))
        except (OSError, ValueError):
            pass  # the server is on another host, or does not listen there
        else:
            return protocol
    proxy = origin.proxy
    if proxy is None:
        addresses = origin.addresses or await _looked_up(loop, origin.host, origin.port)
        return await _reach(loop, make_protocol, origin.host, origin.tls, addresses)
    if origin.tls is None:
        addresses = await _looked_up(loop, proxy.host, proxy.port)
        return await _reach(loop, make_protocol, proxy.host, proxy.tls, addresses)
    return await _through(loop, make_protocol, origin, origin.tls, proxy)


async def _looked_up(loop: asyncio.AbstractEventLoop, host: str, port: int) -> Addresses:
    return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)


async def _reach(
    loop: asyncio.AbstractEventLoop,
    make_protocol: Callable[[], _ProtocolT],
    host: str,
    tls: ssl.SSLContext | None,
    addresses: Addresses,
) -> _ProtocolT:
    server_name = host if tls is not None else None
    if len(addresses) == 1:
        address, port = addresses[0][4][:2]
        _, protocol = await loop.create_connection(
            make_protocol, str(address), port, ssl=tls, server_hostname=server_name
        )
        return protocol
    from aiohappyeyeballs import start_connection  # noqa: PLC0415  # on first use

    connected = await start_connection(
        addresses, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, loop=loop
    )
    try:
        _, protocol = await loop.create_connection(
            make_protocol, sock=connected, ssl=tls, server_hostname=server_name
        )
    except BaseException:
        connected.close()
        raise
    return protocol


async def _through(
    loop: asyncio.AbstractEventLoop,
    make_protocol: Callable[[], _ProtocolT],
    origin: Origin,
    tls: ssl.SSLContext,
    proxy: Proxy,
) -> _ProtocolT:
    """Through a tunnel of a proxy."""
    addresses = await _looked_up(loop, proxy.host, proxy.port)
    tunnel = await _reach(loop, lambda: _Tunnel(loop), proxy.host, proxy.tls, addresses)
    transport = tunnel.transport
    assert transport is not None
    try:
        headers = {"Host": origin.authority, **proxy.headers}
        transport.write(encode_request("CONNECT", origin.authority, headers))
        await tunnel.answered
        protocol = make_protocol()
        encrypted = await loop.start_tls(transport, protocol, tls, server_hostname=origin.host)
    except BaseException:
        transport.abort()
        raise
    if encrypted is None:
        raise ConnectionResetError("the proxy ended the connection")
    protocol.connection_made(encrypted)
    return protocol


class _Tunnel(asyncio.Protocol):
    """A connection to a proxy that was asked for a tunnel. ``answered`` raises OSError when there
    is none."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.transport: asyncio.Transport | None = None
        self.answered: asyncio.Future[None] = loop.create_future()
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's are no subclasses

    def data_received(self, data: bytes) -> None:
        self._received += data
        if b"\r\n\r\n" not in self._received and (len(self._received) <= _TUNNEL_ANSWER_BYTES_MAX):
            return
        words = self._received.split(b"\r\n", 1)[0].split(b" ", 2)
        if len(words) > 1 and words[0].startswith(b"HTTP/1.") and words[1] == b"200":
            self._end(None)
        else:
            status = words[1][:3].decode("ascii", "replace") if len(words) > 1 else "no HTTP"
            self._end(ConnectionRefusedError(f"the proxy opens no tunnel: {status}"))

    def connection_lost(self, error: Exception | None) -> None:
        self._end(ConnectionResetError("the proxy ended the connection"))

    def _end(self, failure: OSError | None) -> None:
        if self.answered.done():
            return
        if failure is None:
            self.answered.set_result(None)
        else:
            self.answered.set_exception(failure)


def probe(transport: asyncio.BaseTransport, seconds: int) -> None:
    """Let the kernel try whether the other side lives, after so long a silence (tcp(7))."""
    connected = transport.get_extra_info("socket")
    if connected.family in (socket.AF_INET, socket.AF_INET6):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
