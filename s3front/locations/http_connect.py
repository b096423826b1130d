"""How a connection to a server is made: through a Unix socket, or TCP, with TLS or without.

A name may have several addresses, some of which nobody answers at: then the next one is tried soon,
beside it (RFC 8305). Used by ``http_client`` alone, which limits the time.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final, TypeVar

from s3front.locations.origin import Origin

_NEXT_ADDRESS_SECONDS: Final = 0.25
"""When the next address is tried beside one that has not answered (RFC 8305, section 5)."""

_ProtocolT = TypeVar("_ProtocolT", bound=asyncio.Protocol)


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
    host, port, tls = origin.host, origin.port, origin.tls
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    server_name = host if tls is not None else None
    if len(addresses) == 1:
        address = str(addresses[0][4][0])
        _, protocol = await loop.create_connection(
            make_protocol, address, port, ssl=tls, server_hostname=server_name
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
