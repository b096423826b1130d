"""The listening side of the data port.

``serve`` is called by the command, and by tests on port 0. Connections, limits and the clean stop
are ``shared.http1``'s; this module joins them to the service.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from dmd.data.data_service import UPLOAD_IDLE_SECONDS_MAX, DataService, error_answer
from dmd.data.errors import DataError
from dmd.errors import StartupError
from dmd.listening import PrivateSocket, bind_all
from shared import limits
from shared.http1.exchange import Answer
from shared.http1.head import MalformedRequestError
from shared.http1.server import HttpServer, HttpSettings, TooManyConnectionsError
from shared.process.problems import cannot_listen

KEEP_ALIVE_SECONDS: Final = 60.0
RECEIVE_BUFFER_BYTES: Final = 256 * 1024
"""What a connection takes in before it waits for the store; twice this, and one read, at most. More
than uvloop reads at a time, or every read would pause the connection."""

CLEAN_UP_SECONDS_MAX: Final = 5.0
"""How long requests may take to remove what they wrote, once their connections are cut."""


class DataServer:
    """A data service that listens on ``port`` until ``close``."""

    def __init__(
        self, service: DataService, server: HttpServer, private: PrivateSocket | None
    ) -> None:
        self._service = service
        self._server = server
        self._private = private

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return self._server.connections

    async def close(self, deadline_seconds: float) -> None:
        """Stop accepting, let requests under way finish until the deadline, drop what remains.

        A dropped upload leaves nothing behind. The store stays open: whoever opened it closes it.
        """
        if self._private is not None:
            self._private.remove()
        await self._server.close(deadline_seconds)
        await self._service.wait_idle(CLEAN_UP_SECONDS_MAX)


async def serve(
    service: DataService,
    host: str,
    port: int,
    tls: ssl.SSLContext | None = None,
    socket_path: Path | None = None,
    connections_max: int = limits.HTTP_CONNECTIONS_MAX,
) -> DataServer:
    """Listen on ``host`` and ``port`` (0: any free one, see ``DataServer.port``).

    ``socket_path``: on a Unix socket as well, without TLS. ``connections_max``: how many clients
    there may be; others are refused. Raises StartupError when an address
    cannot be had.
    """
    private = None if socket_path is None else PrivateSocket(socket_path)
    settings = HttpSettings(
        KEEP_ALIVE_SECONDS, RECEIVE_BUFFER_BYTES, UPLOAD_IDLE_SECONDS_MAX, connections_max
    )
    server = HttpServer(service.handle, _render_error, service.log, settings)
    try:
        for listener in bind_all(host, port):
            await server.listen(listener, tls)
        if private is not None:
            await server.listen(private.listener)
    except OSError as error:
        setting = "--data-port or DATA_PORT"
        raise StartupError(cannot_listen(host, port, error, setting)) from error
    return DataServer(service, server, private)


def _render_error(_target: str, error: Exception) -> Answer:
    if isinstance(error, TooManyConnectionsError):
        return error_answer(DataError("ServiceUnavailable", "There are too many connections."))
    if not isinstance(error, MalformedRequestError):
        return error_answer(DataError("InternalError"))
    if "content-length" in str(error).lower():
        return error_answer(DataError("InvalidInput", "bad Content-Length"))
    return error_answer(DataError("BadRequest"))
