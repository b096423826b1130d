"""Sessions that clients of long-polling leave without a word take memory for a while."""

from __future__ import annotations

import json

from aiohttp.test_utils import TestClient, TestServer

from dmd.rpc.stock_server import create_application, create_server

OPEN = "/socket.io/?EIO=4&transport=polling"


async def test_there_are_so_many_sessions_and_no_more() -> None:
    server = create_server()
    server.sessions_max = 3
    async with TestClient(TestServer(create_application(server))) as client:
        opened = [await client.get(OPEN) for _ in range(3)]
        assert [response.status for response in opened] == [200, 200, 200]
        assert (await client.get(OPEN)).status == 503
        # Those that are there go on, and when one ends another one may begin.
        sid = json.loads((await opened[0].text())[1:])["sid"]
        assert (await client.post(f"{OPEN}&sid={sid}", data="1")).status == 200
        assert (await client.get(OPEN)).status == 200
        await server.shutdown()
