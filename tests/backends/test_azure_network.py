"""The way to Azure: TLS, proxies, tokens, and what goes wrong on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from s3front.locations.azure import AzureStore
from s3front.locations.azure_client import AzureContainer
from s3front.locations.azure_details import AzureDetails, read_azure_details
from s3front.locations.location_config import Written
from s3front.locations.origin import Proxy
from s3front.locations.outbound import Outbound
from s3front.locations.remote_store import LostConnectionError, PlaceError, Trouble, new_mark
from s3front.s3_errors import S3Error
from tests.backends.azurites import ACCOUNT, CONTAINER, Azurite, azurite
from tests.backends.connect_proxy import connect_proxy
from tests.backends.test_azure_store import INFO, LARGE, pieces_of, read, recorded
from tests.backends.token_authority import CLIENT, SECRET, TENANT, token_authority
from tests.faults.proxy import TcpProxy
from tests.servers import Tls

STALL_SECONDS = 1.0


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with azurite(tmp_path_factory.mktemp("azurite")) as running:
        running.container()
        yield running


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, tls: Tls) -> Iterator[Azurite]:
    with azurite(tmp_path_factory.mktemp("secured"), tls=tls) as running:
        running.container()
        yield running


def details_of(document: dict[str, Any]) -> AzureDetails:
    return read_azure_details(document, Written("file", "here.details", "here", {}, Path()))


async def round_trip(store: AzureStore) -> None:
    """Store, read, tag, copy and delete."""
    for size in (1000, 2_000_000):
        blob = recorded(await store.put(size, pieces_of(LARGE[:size]), INFO, new_mark()))
        assert await read(store, blob) == LARGE[:size]
        await store.put_tags(blob, {"a": "b"})
        assert await read(store, blob, 5, 10) == LARGE[5:11]
        await store.delete(blob)


@pytest.fixture
def trusted(tls: Tls, monkeypatch: pytest.MonkeyPatch) -> Tls:
    """The authority of the tests' certificates is one of the system's."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.authority))
    return tls


@pytest.mark.usefixtures("trusted")
async def test_a_proxy_is_used_for_other_machines(secured: Azurite) -> None:
    with connect_proxy(secured.port) as proxy:
        there = Proxy("127.0.0.1", proxy.port, None, "Basic dXNlcjpzZWNyZXQ=")
        outbound = Outbound(secure=there)
        details = secured.details()
        here = AzureStore(AzureContainer(details_of(details), outbound))
        await round_trip(here)
        assert proxy.asked == []
        await here.close()
        # A certificate that is not for it: the host was reached, and by its name.
        details["azureStorageEndpoint"] = f"https://elsewhere.test/{ACCOUNT}"
        away = AzureStore(AzureContainer(details_of(details), outbound))
        with pytest.raises(PlaceError, match="ServiceUnavailable") as caught:
            await away.look(thorough=False)
        assert "certificate" in caught.value.reason
        assert set(proxy.asked) == {"elsewhere.test:443"}
        assert proxy.shown == {"Basic dXNlcjpzZWNyZXQ="}
        await away.close()


async def test_no_proxy_is_there(secured: Azurite) -> None:
    outbound = Outbound(secure=Proxy("127.0.0.1", 9, None, None))
    details = secured.details(azureStorageEndpoint=f"https://elsewhere.test/{ACCOUNT}")
    store = AzureStore(AzureContainer(details_of(details), outbound))
    with pytest.raises(PlaceError) as caught:
        await store.look(thorough=False)
    assert caught.value.trouble is Trouble.UNREACHED
    await store.close()


async def test_a_certificate_that_nobody_trusts(secured: Azurite) -> None:
    store = AzureStore(AzureContainer(details_of(secured.details())))
    with pytest.raises(PlaceError) as caught:
        await store.look(thorough=False)
    assert caught.value.trouble is Trouble.REFUSED
    assert "the certificate is not one that is trusted" in caught.value.reason
    await store.close()


class TestTokens:
    """authMethod client-secret."""

    def document(self, secured: Azurite, secret: str = SECRET) -> dict[str, Any]:
        return {
            "azureStorageEndpoint": secured.endpoint,
            "azureContainerName": CONTAINER,
            "bucketMatch": True,
            "tenantId": TENANT,
            "clientId": CLIENT,
            "clientKey": secret,
        }

    async def test_an_application_is_let_in(
        self, secured: Azurite, trusted: Tls, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with token_authority(trusted) as address:
            monkeypatch.setenv("AZURE_AUTHORITY_HOST", address)
            details = details_of(self.document(secured))
            assert details.auth_method == "client-secret"
            store = AzureStore(AzureContainer(details))
            try:
                await round_trip(store)
            finally:
                await store.close()

    async def test_one_with_a_wrong_secret_is_not(
        self, secured: Azurite, trusted: Tls, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with token_authority(trusted) as address:
            monkeypatch.setenv("AZURE_AUTHORITY_HOST", address)
            details = details_of(self.document(secured, "wrong"))
            store = AzureStore(AzureContainer(details))
            with pytest.raises(PlaceError) as caught:
                await store.put(4, b"body", INFO, new_mark())
            assert caught.value.trouble is Trouble.REFUSED
            assert caught.value.reason.endswith("no token: AADSTS7000215")
            await store.close()

    async def test_nobody_gives_tokens(
        self, secured: Azurite, trusted: Tls, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://localhost:9")
        details = details_of(self.document(secured))
        store = AzureStore(AzureContainer(details))
        with pytest.raises(PlaceError) as caught:
            await store.put(4, b"body", INFO, new_mark())
        assert caught.value.trouble is Trouble.UNREACHED
        await store.close()


async def put_too_little(store: AzureStore) -> None:
    """Asked again when its connection was gone, as ``ResilientStore`` does."""
    with suppress(LostConnectionError):
        await store.put(2_000_000, pieces_of(b"short"), INFO, new_mark())
    await store.put(2_000_000, pieces_of(b"short"), INFO, new_mark())


class TestFaults:
    @pytest.fixture
    def faulty(self, plain: Azurite) -> Iterator[TcpProxy]:
        with TcpProxy(plain.port) as proxy:
            yield proxy

    def store(self, plain: Azurite, faulty: TcpProxy) -> AzureStore:
        endpoint = f"http://127.0.0.1:{faulty.port}/{ACCOUNT}"
        details = details_of(plain.details(azureStorageEndpoint=endpoint))
        return AzureStore(AzureContainer(details, stall_seconds=STALL_SECONDS))

    async def test_azure_says_nothing(self, plain: Azurite, faulty: TcpProxy) -> None:
        store = self.store(plain, faulty)
        blob = recorded(await store.put(4, b"body", INFO, new_mark()))
        faulty.stall()
        for ask in (
            lambda: store.put(4, b"body", INFO, new_mark()),
            lambda: store.put(2_000_000, pieces_of(LARGE[:2_000_000]), INFO, new_mark()),
            lambda: store.open(blob, 0, 3),
            lambda: store.delete(blob),
            lambda: store.look(thorough=False),
        ):
            begun = time.monotonic()
            with pytest.raises(PlaceError) as caught:
                await ask()
            assert caught.value.trouble is Trouble.SILENT
            assert time.monotonic() - begun < 4 * STALL_SECONDS
        faulty.heal()
        # What was asked comes to Azure now, and may be done: it is not known to have failed.
        await store.delete(blob)
        await store.close()

    async def test_azure_stops_taking_a_body(self, plain: Azurite, faulty: TcpProxy) -> None:
        """A body larger than what is on its way at any time."""
        store = self.store(plain, faulty)
        taken = 0

        async def body() -> Any:
            nonlocal taken
            for block in range(400):
                if block == 10:
                    faulty.stall()
                taken += 1
                yield LARGE[:262_144]

        begun = time.monotonic()
        with pytest.raises(PlaceError) as caught:
            await store.put(400 * 262_144, body(), INFO, new_mark())
        assert caught.value.trouble is Trouble.SILENT
        assert taken < 400
        # The placeholder is not removed by then, either.
        assert time.monotonic() - begun < 6 * STALL_SECONDS
        faulty.heal()
        await store.close()

    @pytest.mark.parametrize("bytes_sent", [0, 200, 300_000])
    async def test_a_body_is_cut(self, plain: Azurite, faulty: TcpProxy, bytes_sent: int) -> None:
        store = self.store(plain, faulty)
        warm = recorded(await store.put(4, b"body", INFO, new_mark()))
        faulty.cut_after(to_server=bytes_sent)
        with pytest.raises(PlaceError) as caught:
            await store.put(len(LARGE), pieces_of(LARGE), INFO, new_mark())
        assert caught.value.trouble in (Trouble.SILENT, Trouble.UNREACHED)
        faulty.heal()
        assert await read(store, warm) == b"body"
        await store.delete(warm)
        await store.close()

    async def test_an_answer_is_cut(self, plain: Azurite, faulty: TcpProxy) -> None:
        store = self.store(plain, faulty)
        blob = recorded(await store.put(len(LARGE), pieces_of(LARGE), INFO, new_mark()))
        for bytes_come in (0, 100, 400_000, len(LARGE) - 10):
            faulty.cut_after(to_client=bytes_come, reset=False)
            with pytest.raises(PlaceError) as caught:
                await read(store, blob)
            assert caught.value.trouble is Trouble.SILENT
            faulty.heal()
        assert await read(store, blob) == LARGE
        await store.delete(blob)
        await store.close()

    async def test_an_answer_stalls(self, plain: Azurite, faulty: TcpProxy) -> None:
        store = self.store(plain, faulty)
        direct = AzureStore(AzureContainer(details_of(plain.details())))
        blob = recorded(await direct.put(20 * len(LARGE), body_of(20), INFO, new_mark()))
        reader = await store.open(blob, 0, blob.size - 1)
        blocks = reader.blocks()
        await anext(blocks)
        faulty.stall()
        with pytest.raises(PlaceError) as caught:
            async for _ in blocks:
                pass
        assert caught.value.trouble is Trouble.SILENT
        reader.close()
        faulty.heal()
        await direct.delete(blob)
        await direct.close()
        await store.close()

    async def test_what_azure_may_have_done_is_not_sent_again(self, plain: Azurite) -> None:
        """By the library that carries it, as that has no other mark for it."""
        sent = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError):
                sent.append((await reader.readuntil(b"\r\n\r\n")).split()[0])
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/{ACCOUNT}"
        store = AzureStore(AzureContainer(details_of(plain.details(azureStorageEndpoint=endpoint))))
        with pytest.raises(LostConnectionError):
            await store.put(4, b"body", INFO, new_mark())
        with pytest.raises(LostConnectionError):
            await store.begin_upload(INFO, new_mark())
        assert sent == [b"PUT"] * 2
        await store.close()
        server.close()

    async def test_a_kept_connection_is_gone(self, plain: Azurite, faulty: TcpProxy) -> None:
        """As after a while in which nothing was asked."""
        store = self.store(plain, faulty)
        for _ in range(3):
            blob = recorded(await store.put(4, b"body", INFO, new_mark()))
            faulty.cut(reset=False)
            assert await read(store, blob) == b"body"
            faulty.cut(reset=True)
            with pytest.raises(S3Error, match="IncompleteBody"):
                await put_too_little(store)
            faulty.cut(reset=False)
            await store.delete(blob)
        await store.close()


async def body_of(times: int) -> Any:
    for _ in range(times):
        yield LARGE
