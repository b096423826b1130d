"""What providers publish, as they do it right and wrong: nothing of it holds anybody up."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from s3front.iam import provider_documents
from s3front.iam.iam_errors import IamError
from s3front.iam.provider_documents import DOCUMENT_BYTES_MAX, ProviderDocuments, ProviderError
from s3front.iam.provider_keys import AGAIN_SECONDS, ProviderKeys
from s3front.iam.web_identity import KEYS_MAX, Trusted
from s3front.locations.origin import Proxy
from s3front.locations.outbound import DIRECT, Outbound
from shared.process.logs import get_logger
from shared.tls import trusting_context
from tests.backends.connect_proxy import connect_proxy
from tests.backends.oidc.oidc_provider import HERE, ec_key, oidc_provider
from tests.servers import Tls
from tests.unit.s3front.iam.web_tokens import KEYS

ON_LOOPBACK = tuple(map(ip_network, HERE))

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def documents(tls: Tls) -> ProviderDocuments:
    return ProviderDocuments(trusting_context(tls.authority, "", ""), DIRECT, ON_LOOPBACK)


@asynccontextmanager
async def publishing(tls: Tls, handler: Handler) -> AsyncIterator[str]:
    """Where a provider is whose every answer is made by ``handler``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)
    server = web.Server(handler)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield f"localhost:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def answering(keys: Any, **described: Any) -> Handler:
    """A provider that publishes ``keys``; ``described`` is in its discovery document besides."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        place = request.headers["Host"]
        if request.path == "/.well-known/openid-configuration":
            usual = {"issuer": f"https://{place}", "jwks_uri": f"https://{place}/keys?a=b"}
            return web.json_response({**usual, **described})
        assert request.path_qs == "/keys?a=b"
        return keys if isinstance(keys, web.Response) else web.json_response(keys)

    return answer


async def refused(tls: Tls, handler: Handler, reason: str) -> None:
    async with publishing(tls, handler) as place:
        with pytest.raises(ProviderError, match=reason):
            await documents(tls).keys(place)


async def test_what_is_published(tls: Tls) -> None:
    async with publishing(tls, answering({"keys": list(KEYS.values())})) as place:
        assert await documents(tls).keys(place) == KEYS


async def test_a_key_set_elsewhere(tls: Tls) -> None:
    async with publishing(tls, answering({"keys": [KEYS["rsa"]]})) as elsewhere:
        address = f"https://{elsewhere}/keys?a=b"
        async with publishing(tls, answering({}, jwks_uri=address)) as place:
            assert set(await documents(tls).keys(place)) == {"rsa"}


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"keys": [KEYS["rsa"]] * (KEYS_MAX + 1)}, "too many"),
        ({"keys": "none"}, "no set of keys"),
        ([], "no JSON object"),
        (web.Response(body=b"{"), "no JSON object"),
        (web.Response(body=b"[" * 100_000), "no JSON object"),
        (web.Response(body=b""), "no JSON object"),
        (web.Response(body=b"x" * (DOCUMENT_BYTES_MAX + 1)), "larger than"),
        (web.Response(body=b"x" * 50_000_000), "larger than"),
        (web.Response(status=404), "answers 404"),
        (web.Response(status=500), "answers 500"),
        (web.Response(status=302, headers={"Location": "https://localhost/"}), "answers 302"),
    ],
)
async def test_keys_that_are_none(tls: Tls, keys: Any, reason: str) -> None:
    if isinstance(keys, web.Response):
        keys = web.Response(status=keys.status, headers=keys.headers, body=keys.body)
    await refused(tls, answering(keys), reason)


@pytest.mark.parametrize(
    ("described", "reason"),
    [
        ({"issuer": "https://other.example.com"}, "another issuer"),
        ({"issuer": None}, "another issuer"),
        ({"jwks_uri": None}, "where its keys are"),
        ({"jwks_uri": "http://localhost/keys"}, "https"),
        ({"jwks_uri": "file:///etc/passwd"}, "https"),
        ({"jwks_uri": "https://localhost/\r\nX-Other: 1"}, "https"),
        ({"jwks_uri": "https://a@localhost/"}, "not a host name"),
        ({"jwks_uri": "https://localhost:99999/"}, "port"),
        ({"jwks_uri": "https:///keys"}, "form"),
        ({"jwks_uri": "https://" + "a" * 3000}, "https"),
    ],
)
async def test_descriptions_that_are_none(tls: Tls, described: dict[str, Any], reason: str) -> None:
    await refused(tls, answering({"keys": []}, **described), reason)


async def test_a_provider_that_never_answers(tls: Tls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_documents, "FETCH_SECONDS_MAX", 0.5)

    async def hang(_request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(60)
        raise AssertionError

    began = time.monotonic()
    await refused(tls, hang, r"more than|silent")
    assert time.monotonic() - began < 5


async def test_a_provider_that_answers_a_byte_at_a_time(
    tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_documents, "FETCH_SECONDS_MAX", 0.5)

    async def drip(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)

    began = time.monotonic()
    await refused(tls, drip, "more than")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "[::1]"])
@pytest.mark.parametrize("proxied", [False, True])
async def test_nobody_is_asked_who_is_not_public(tls: Tls, host: str, proxied: bool) -> None:
    asked = 0

    async def count(_request: web.BaseRequest) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return web.Response()

    outbound = Outbound(secure=Proxy("127.0.0.1", 1)) if proxied else DIRECT
    own = ProviderDocuments(trusting_context(tls.authority, "", ""), outbound)
    async with publishing(tls, count) as place:
        with pytest.raises(ProviderError, match="allowedNetworks"):
            await own.keys(place.replace("localhost", host))
    assert asked == 0


async def test_keys_that_are_where_nobody_may_be(tls: Tls) -> None:
    await refused(tls, answering({}, jwks_uri="https://10.0.0.1/keys"), "allowedNetworks")
    await refused(tls, answering({}, jwks_uri="https://169.254.169.254/"), "allowedNetworks")


async def test_a_name_is_looked_up_once(tls: Tls, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says the next time was checked by nobody."""
    loop = asyncio.get_running_loop()
    look_up, looked_up = loop.getaddrinfo, 0

    async def changing(host: str, port: int, **more: Any) -> Any:
        nonlocal looked_up
        looked_up += 1
        return await look_up("127.0.0.1" if looked_up <= 2 else "127.0.0.2", port, **more)

    async with publishing(tls, answering({"keys": [KEYS["rsa"]]})) as place:
        own = ProviderDocuments(
            trusting_context(tls.authority, "", ""), DIRECT, [ip_network("127.0.0.1")]
        )
        monkeypatch.setattr(loop, "getaddrinfo", changing)
        assert set(await own.keys(place)) == {"rsa"}
        assert looked_up == 2  # one for each document
        with pytest.raises(ProviderError, match="allowedNetworks"):
            await own.keys(place)
        own.use(trusting_context(tls.authority, "", ""), ON_LOOPBACK)
        with pytest.raises(ProviderError, match=r"\["):  # nobody listens there
            await own.keys(place)


async def test_a_provider_that_is_not_there(tls: Tls) -> None:
    async with publishing(tls, answering({})) as place:
        pass
    with pytest.raises(ProviderError):
        await documents(tls).keys(place)


async def test_a_certificate_that_nobody_vouches_for(tls: Tls) -> None:
    async with publishing(tls, answering({"keys": []})) as place:
        of_system = ProviderDocuments(None, DIRECT, ON_LOOPBACK)
        with pytest.raises(ProviderError, match="certificate"):
            await of_system.keys(place)
        with pytest.raises(ProviderError, match="certificate"):
            await documents(tls).keys(place.replace("localhost", "[::ffff:127.0.0.1]"))


async def test_a_provider_behind_a_proxy(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("id.example.com")
    tls = Tls(tmp_path / "key", tmp_path / "certificate", tmp_path / "authority")
    issued.private_key_pem.write_to_path(str(tls.key))
    issued.cert_chain_pems[0].write_to_path(str(tls.certificate))
    authority.cert_pem.write_to_path(str(tls.authority))
    async with publishing(tls, answering({"keys": [KEYS["rsa"]]})) as place:
        with connect_proxy(int(place.rpartition(":")[2])) as proxy:
            through = Outbound(secure=Proxy("127.0.0.1", proxy.port))
            own = ProviderDocuments(trusting_context(tls.authority, "", ""), through)
            assert set(await own.keys("id.example.com")) == {"rsa"}
        assert proxy.asked == ["id.example.com:443"] * 2


@pytest.mark.parametrize("path", ["", "/realms/test"])
async def test_a_certified_provider(tmp_path: Path, tls: Tls, path: str) -> None:
    with oidc_provider(tmp_path, tls, path) as provider:
        now = [0.0]
        keys = ProviderKeys(documents(tls).keys, get_logger(), lambda: now[0])
        trusted = Trusted(provider.place, ("app",))

        async def subject(token: str) -> str:
            return (await keys.identity(token, trusted, time.time())).subject

        first = provider.token(sub="anna")
        assert await subject(first) == "anna"
        with pytest.raises(IamError, match="audience"):
            await subject(provider.token("other-app"))
        # A key that is new is found, and one that is published no more is good no more.
        provider.rotate(ec_key("second"))
        now[0] += AGAIN_SECONDS
        assert await subject(provider.token(sub="bert")) == "bert"
        with pytest.raises(IamError, match="verification key"):
            await subject(first)
