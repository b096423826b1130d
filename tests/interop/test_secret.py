"""The shared secret and TLS on the metadata port: every transport and namespace, who is let in and
who is not, and what a log shows of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests

from dmd.metadata.daemon import RECORD_LOG_NAMESPACE, MetadataDaemon, MetadataSettings
from shared import limits
from shared.credentials import Credentials
from shared.daemon_secret import REFUSAL, DaemonSecret, Gate
from shared.rpc import websocket
from shared.rpc.streams import StreamSettings
from tests.interop.daemons import MetadataProcess, metadata_process
from tests.interop.raw_client import NAMESPACE, RawClient, raw_client
from tests.interop.stock_clients import KINDS, TRANSPORTS, RefusedError, connect
from tests.interop.test_rpc_client import client_of
from tests.servers import Tls, free_port, wait_for
from tests.unit.dmd.metadata.support import RecordingLog, until

SECRET, OTHER = "secret-of-the-daemons", "another-secret-of-theirs"
AUTH = {"secret": SECRET}
WRONG: list[dict[str, Any] | None] = [None, {"secret": OTHER}, {"secret": ""}, {"token": SECRET}]
STRANGER_SECONDS = 0.3


class Guarded:
    """A daemon with a secret that logs all that it can."""

    def __init__(self, folder: Path) -> None:
        self.secret_file = folder / "secret"
        self.secret_file.write_text(SECRET)
        self.rest_port = free_port()
        environ = {"DAEMON_SECRET_FILE": str(self.secret_file), "LOG_LEVEL": "trace"}
        self.daemon = MetadataProcess(
            folder,
            {"enabled": True},
            "socket.io*",
            environ,
            restEnabled=True,
            restPort=self.rest_port,
        )

    def ask_rest(self, **headers: str) -> requests.Response:
        return requests.post(
            f"http://127.0.0.1:{self.rest_port}{NAMESPACE}",
            data=json.dumps({"call": "getUUID", "args": {"rpcArgs": [], "subLevel": []}}),
            headers=headers,
            timeout=20,
        )


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    running = Guarded(tmp_path_factory.mktemp("guarded"))
    try:
        running.daemon.start()
        yield running
    finally:
        running.daemon.process.kill()


@pytest.fixture
def give_away_nothing(guarded: Guarded) -> Iterator[None]:
    """Nothing that the daemon writes during the test has a secret or a traceback in it."""
    before = len(guarded.daemon.process.output)
    yield
    written = guarded.daemon.process.output[before:]
    for text in (SECRET, OTHER, "Traceback"):
        assert text not in written


# -- Clients of others ----------------------------------------------------------------------------


@pytest.mark.usefixtures("give_away_nothing")
@pytest.mark.parametrize("namespace", [NAMESPACE, RECORD_LOG_NAMESPACE])
@pytest.mark.parametrize(("kind", "way"), KINDS)
async def test_a_client_of_others_is_let_in_with_the_secret(
    guarded: Guarded, kind: str, way: str, namespace: str
) -> None:
    async with connect(kind, guarded.daemon, TRANSPORTS[way], namespace, AUTH) as client:
        manifest = await client.result("getManifest", [], [])
        assert manifest["api"]


@pytest.mark.usefixtures("give_away_nothing")
@pytest.mark.parametrize("namespace", [NAMESPACE, RECORD_LOG_NAMESPACE])
@pytest.mark.parametrize("auth", WRONG)
@pytest.mark.parametrize(("kind", "way"), KINDS)
async def test_a_client_of_others_is_refused_without_it(
    guarded: Guarded, kind: str, way: str, auth: dict[str, Any] | None, namespace: str
) -> None:
    with pytest.raises(RefusedError, match="daemonSecret"):
        async with connect(kind, guarded.daemon, TRANSPORTS[way], namespace, auth):
            pass


@pytest.mark.parametrize("way", TRANSPORTS)
async def test_what_authenticates_is_not_shown_where_frames_are(guarded: Guarded, way: str) -> None:
    before = len(guarded.daemon.process.output)
    async with connect("python", guarded.daemon, TRANSPORTS[way], auth=AUTH) as client:
        await client.result("getUUID", [], [])
    written = guarded.daemon.process.output[before:]
    assert f"socket.io-parser decoded 0{NAMESPACE},{{…}}\n" in written
    # Only python-socketio serves clients that begin with long-polling, and has a log of its own.
    assert (f"data 0{NAMESPACE},{{…}}" in written) is (way == "from-polling")


# -- Frames ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("give_away_nothing")
@pytest.mark.parametrize(
    "payload",
    ["", "{}", f'{{"secret":"{OTHER}"}}', '{"secret":null}', '{"secret":["x"]}',
     '{"secret":"\\ud800"}'],
)  # fmt: skip
async def test_calls_of_a_stranger_are_not_answered(guarded: Guarded, payload: str) -> None:
    async with raw_client(guarded.daemon.port, join=False) as raw:
        assert (await raw.next()).startswith("0{")
        await raw.send(f"40{NAMESPACE},{payload}")
        await raw.call(1, "getUUID", [], [])
        refused = json.loads((await raw.next()).removeprefix(f"44{NAMESPACE},"))
        assert refused == {"message": REFUSAL}
        # The connection may try again; had the call been answered, that would come first.
        await raw.send(f"40{NAMESPACE},{json.dumps(AUTH)}")
        assert (await raw.next()).startswith(f'40{NAMESPACE},{{"sid":')
        assert await raw.result(2, "getUUID", [], [])


async def test_the_name_of_an_unknown_namespace_is_not_told_to_strangers(guarded: Guarded) -> None:
    async with raw_client(guarded.daemon.port, join=False) as raw:
        await raw.next()
        for payload, answer in (("", REFUSAL), (json.dumps(AUTH), "Invalid namespace")):
            await raw.send(f"40/unknown,{payload}")
            assert json.loads((await raw.next()).partition(",")[2]) == {"message": answer}


async def test_a_stranger_may_send_small_messages_only(guarded: Guarded) -> None:
    large = "x" * limits.RPC_STRANGER_MESSAGE_BYTES_MAX
    async with raw_client(guarded.daemon.port, join=False) as raw:
        with contextlib.suppress(ConnectionError):
            await raw.send(f'40{NAMESPACE},{{"secret":"{large}"}}')
        assert await raw.until_closed() == websocket.TOO_BIG
    async with raw_client(guarded.daemon.port, join=False) as raw:
        await raw.next()
        await raw.send(f"40{NAMESPACE},{json.dumps(AUTH)}")
        await raw.next()
        assert await raw.result(1, "put", ["k", large * 4, {}], ["large"]) is None


async def test_so_may_one_that_polls(guarded: Guarded) -> None:
    url = f"{guarded.daemon.url}/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as response:
            url += "&sid=" + json.loads((await response.text())[1:])["sid"]
        large = "4" + "x" * limits.RPC_STRANGER_MESSAGE_BYTES_MAX
        async with session.post(url, data=large) as response:
            assert response.status == 413
        async with session.post(url, data=f"40{NAMESPACE},{json.dumps(AUTH)}") as response:
            assert response.status == 200
        async with session.get(url) as response:
            assert (await response.text()).startswith(f"40{NAMESPACE},")
        async with session.post(url, data=large) as response:
            assert response.status != 413


# -- Time -----------------------------------------------------------------------------------------


@pytest.fixture
async def impatient_port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """The port of a daemon inside this process that does not wait long for the secret."""
    monkeypatch.setattr(limits, "RPC_JOIN_SECONDS_MAX", STRANGER_SECONDS)
    settings = MetadataSettings(
        None, "127.0.0.1", 0, StreamSettings(), gate=Gate(DaemonSecret((SECRET,)))
    )
    daemon = await MetadataDaemon.start(settings, RecordingLog(), lambda e: pytest.fail(str(e)))
    try:
        yield daemon.port
    finally:
        await daemon.close()


async def test_a_websocket_that_does_not_show_the_secret_is_closed(impatient_port: int) -> None:
    async with (
        raw_client(impatient_port, join=False) as silent,
        raw_client(impatient_port, join=False) as known,
    ):
        await known.next()
        await known.send(f"40{NAMESPACE},{json.dumps(AUTH)}")
        await known.next()
        await silent.send(f'40{NAMESPACE},{{"secret":"{OTHER}"}}')
        assert await silent.until_closed() == websocket.POLICY_VIOLATION
        assert await known.result(1, "getUUID", [], [])


@pytest.mark.parametrize("upgraded", [False, True])
async def test_so_is_a_connection_that_polls_or_did(impatient_port: int, upgraded: bool) -> None:
    base = f"http://127.0.0.1:{impatient_port}/socket.io/?EIO=4&transport="
    async with aiohttp.ClientSession() as session:
        async with session.get(base + "polling") as response:
            sid = json.loads((await response.text())[1:])["sid"]
        if upgraded:
            async with session.ws_connect(f"{base}websocket&sid={sid}") as socket:
                await socket.send_str("2probe")
                assert await socket.receive_str(timeout=20) == "3probe"
                await socket.send_str("5")
                raw = RawClient(socket)
                await raw.until_closed()
                await raw.close()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            async with session.get(f"{base}polling&sid={sid}") as response:
                if response.status == 400:
                    return
        pytest.fail("the session is still there")


async def test_one_that_has_shown_it_stays(impatient_port: int) -> None:
    base = f"http://127.0.0.1:{impatient_port}/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession() as session:
        async with session.get(base) as response:
            url = f"{base}&sid=" + json.loads((await response.text())[1:])["sid"]
        async with session.post(url, data=f"40{NAMESPACE},{json.dumps(AUTH)}"):
            pass
        async with session.get(url) as response:
            assert (await response.text()).startswith(f"40{NAMESPACE},")
        await asyncio.sleep(STRANGER_SECONDS * 2)  # the time in which it would have been closed
        async with session.post(url, data=f"41{NAMESPACE},") as response:
            assert response.status == 200


# -- Our client -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("give_away_nothing")
async def test_our_client_shows_the_first_of_its_secrets(guarded: Guarded) -> None:
    credentials = Credentials(DaemonSecret((SECRET, OTHER)))
    async with client_of(
        guarded.daemon.url, connect_wait_seconds=10, credentials=credentials
    ) as client:
        assert await client.call("getUUID", [])
        assert client.problem is None


@pytest.mark.usefixtures("give_away_nothing")
@pytest.mark.parametrize("values", [(), (OTHER, SECRET)])
async def test_our_client_says_why_it_is_refused(guarded: Guarded, values: tuple[str, ...]) -> None:
    credentials = Credentials(DaemonSecret(values))
    async with client_of(guarded.daemon.url, credentials=credentials) as client:
        await until(lambda: client.problem is not None)
        assert client.problem == (f"{guarded.daemon.url}: the namespace is refused: {REFUSAL}")
        client.credentials = Credentials(DaemonSecret((SECRET,)))
        await until(lambda: client.connected)


async def test_a_daemon_without_a_secret_serves_clients_that_have_one(
    daemon: MetadataProcess,
) -> None:
    credentials = Credentials(DaemonSecret((SECRET,)))
    async with client_of(daemon.url, connect_wait_seconds=10, credentials=credentials) as client:
        assert await client.call("getUUID", [])


# -- The debugging interface, reload --------------------------------------------------------------


@pytest.mark.usefixtures("give_away_nothing")
def test_the_debugging_interface_asks_for_the_secret(guarded: Guarded) -> None:
    assert guarded.ask_rest(Authorization=f"Bearer {SECRET}").status_code == 200
    for headers in ({}, {"Authorization": SECRET}, {"Authorization": f"Bearer {OTHER}"}):
        response = guarded.ask_rest(**headers)
        assert (response.status_code, response.json()["error"]) == (403, "AccessDenied")


def test_a_secret_is_replaced_while_the_daemon_runs(tmp_path: Path) -> None:
    guarded = Guarded(tmp_path)
    process = guarded.daemon.process
    guarded.daemon.start()
    wait_for(lambda: "serving metadata" in process.output, "the daemon")

    def statuses_with(content: str, event: str) -> list[int]:
        """What the old and the new secret are answered, after a reload of this file."""
        guarded.secret_file.write_text(content)
        before = process.output.count(event)
        os.kill(process.pid, signal.SIGHUP)
        wait_for(lambda: process.output.count(event) > before, event)
        secrets = (SECRET, OTHER)
        return [guarded.ask_rest(Authorization=f"Bearer {text}").status_code for text in secrets]

    try:
        reloaded, refused = "secrets and certificates reloaded", "reload refused"
        assert statuses_with(f"{SECRET}\n{OTHER}\n", reloaded) == [200, 200]
        assert statuses_with(OTHER, reloaded) == [403, 200]
        assert statuses_with("short", refused) == [403, 200]
        assert SECRET not in process.output
        assert OTHER not in process.output
    finally:
        process.kill()


async def test_every_way_in_can_speak_tls(tmp_path: Path, tls: Tls) -> None:
    paths = {"key": str(tls.key), "cert": str(tls.certificate)}
    rest_port = free_port()
    context = ssl.create_default_context(cafile=tls.authority)
    with metadata_process(
        tmp_path, certFilePaths=paths, restEnabled=True, restPort=rest_port
    ) as daemon:
        url = f"https://127.0.0.1:{daemon.port}"
        async with client_of(
            url, connect_wait_seconds=10, credentials=Credentials(tls=context)
        ) as client:
            uuid = await client.call("getUUID", [])
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            base = f"{url}/socket.io/?EIO=4&transport="
            async with session.get(f"{base}polling") as response:
                sid = json.loads((await response.text())[1:])["sid"]
            async with session.ws_connect(f"{base}websocket&sid={sid}") as socket:
                await socket.send_str("2probe")
                assert await socket.receive_str(timeout=20) == "3probe"
            body = {"call": "getUUID", "args": {"rpcArgs": [], "subLevel": []}}
            rest = f"https://127.0.0.1:{rest_port}{NAMESPACE}"
            async with session.post(rest, json=body) as response:
                assert await response.json(content_type=None) == {"result": uuid}


def test_a_daemon_without_a_secret_warns_when_it_is_not_on_loopback(tmp_path: Path) -> None:
    warning = "ANYBODY WHO REACHES THIS PORT"
    for secret in ("", SECRET):
        folder = tmp_path / (secret or "none")
        environ = {"DAEMON_SECRET": secret}
        with metadata_process(folder, environ=environ, bindAddress="0.0.0.0") as daemon:  # noqa: S104
            wait_for(lambda: "serving metadata" in daemon.process.output, "the start")
            assert (warning in daemon.process.output) is not bool(secret)
