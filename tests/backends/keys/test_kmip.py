"""Master keys in PyKMIP's server."""

from __future__ import annotations

import asyncio
import os
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from s3front.encryption.sse import ARN_IN_CONTEXT
from s3front.keys import kmip_messages as messages
from s3front.keys.base import KeyTrouble
from s3front.keys.kmip import KmipKeys, make_kmip
from s3front.keys.kmip_messages import Operation, Tag, Version
from s3front.keys.sealed_data_key import Mode
from tests.backends.keys.describing import fails
from tests.backends.keys.pykmip_server import PyKmip, operate, pykmip, revoke, write_certificates
from tests.faults.proxy import TcpProxy
from tests.unit.s3front.locations.scripted_remote import KeptLog

CONTEXT = {ARN_IN_CONTEXT: "arn:aws:s3:::bucket", "who": "Käthe"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PyKmip]:
    with pykmip(tmp_path_factory.mktemp("pykmip")) as running:
        yield running


@asynccontextmanager
async def keeper(
    server: PyKmip, who: str = "s3front", log: KeptLog | None = None, **settings: Any
) -> AsyncIterator[KmipKeys]:
    keys = make_kmip(server.settings(who, **settings), "config.json", log or KeptLog())
    try:
        yield keys
    finally:
        await keys.close()


@pytest.fixture
async def key_id(server: PyKmip) -> str:
    """A new master key."""
    async with keeper(server) as keys:
        return await keys.create("of a test")


async def destroy(keys: KmipKeys, key_id: str) -> None:
    """Remove a key that is out of use."""
    await operate(keys, 0x14, messages.of_key(key_id))


@pytest.mark.parametrize("mode", [Mode.GCM, Mode.CBC])
async def test_a_data_key_is_sealed_and_opened(server: PyKmip, key_id: str, mode: Mode) -> None:
    async with keeper(server, keyId=key_id) as keys:
        keys._mode = mode
        made = await keys.wrapping_key(None, CONTEXT)

        assert made.key_id == f"kmip:{key_id}"
        assert b64decode(made.wrapped)[:2] == bytes((1, mode))
        assert await keys.opened(key_id, made.wrapped, CONTEXT) == made.secret
        assert len(made.secret) == 32


async def test_what_is_new_is_sealed_with_its_context(server: PyKmip, key_id: str) -> None:
    log = KeptLog()
    async with keeper(server, log=log, keyId=key_id) as keys:
        made = [await keys.wrapping_key(None, CONTEXT) for _ in range(3)]

        assert keys._version == (1, 4)
    assert log.lines == [("a key service seals data keys", {"keeper": "kmip", "mode": "GCM"})]
    assert len({key.secret for key in made}) == len({key.wrapped for key in made}) == 3


async def test_a_server_without_authenticated_encryption(
    server: PyKmip, key_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of KMIP 1.2 is asked for CBC alone."""
    monkeypatch.setattr(messages, "VERSIONS", (Version(1, 2),))
    async with keeper(server, keyId=key_id) as keys:
        made = await keys.wrapping_key(None, CONTEXT)

        assert keys._version == (1, 2)
        assert b64decode(made.wrapped)[1] == Mode.CBC
        assert await keys.opened(key_id, made.wrapped, CONTEXT) == made.secret


async def test_another_context_opens_nothing(server: PyKmip, key_id: str) -> None:
    async with keeper(server, keyId=key_id) as keys:
        made = await keys.wrapping_key(None, CONTEXT)
        failure = await fails(keys.opened(key_id, made.wrapped, {**CONTEXT, "who": "Kathe"}))
        keys._mode = Mode.CBC
        made = await keys.wrapping_key(None, CONTEXT)
        other = await keys.opened(key_id, made.wrapped, {**CONTEXT, "who": "Kathe"})

    assert failure.trouble is KeyTrouble.REFUSED
    assert other != made.secret


async def test_another_key_opens_nothing(server: PyKmip, key_id: str) -> None:
    async with keeper(server, keyId=key_id) as keys:
        made = await keys.wrapping_key(None, CONTEXT)
        other = await keys.create("of a test")

        assert (await fails(keys.opened(other, made.wrapped, CONTEXT))).trouble is (
            KeyTrouble.REFUSED
        )


@pytest.mark.parametrize(
    "wrapped", ["", "!", "AQ==", "AQk=", b64encode(bytes(80)).decode(), "AgEA"]
)
async def test_what_is_no_wrapped_key_opens_nothing(
    server: PyKmip, key_id: str, wrapped: str
) -> None:
    async with keeper(server) as keys:
        failure = await fails(keys.opened(key_id, wrapped, CONTEXT))

    assert failure.trouble is KeyTrouble.REFUSED


async def test_every_changed_byte_of_a_wrapped_key_is_noticed(server: PyKmip, key_id: str) -> None:
    async with keeper(server, keyId=key_id) as keys:
        made = await keys.wrapping_key(None, CONTEXT)
        packed = b64decode(made.wrapped)
        for place in range(0, len(packed), 3):
            changed = bytearray(packed)
            changed[place] ^= 1
            failure = await fails(keys.opened(key_id, b64encode(changed).decode(), CONTEXT))
            assert failure.trouble is KeyTrouble.REFUSED, place


@pytest.mark.parametrize("named", ["99999", "", "x" * 2000, "\ud800", "a\nb"])
async def test_a_key_that_there_is_not(server: PyKmip, named: str) -> None:
    async with keeper(server) as keys:
        failure = await fails(keys.wrapping_key(named, CONTEXT))

    assert (failure.code, failure.status) == ("KMS.NotFoundException", 400)


async def test_no_key_is_configured(server: PyKmip) -> None:
    async with keeper(server) as keys:
        failure = await fails(keys.wrapping_key(None, CONTEXT))

    assert failure.code == "ServiceUnavailable"
    assert "kmip.keyId is not set" in failure.reason


async def test_a_revoked_key_is_disabled_and_a_destroyed_one_is_not_there(
    server: PyKmip, key_id: str
) -> None:
    async with keeper(server, keyId=key_id) as keys:
        made = await keys.wrapping_key(None, CONTEXT)
        await revoke(keys, key_id)
        revoked = [
            await fails(keys.opened(key_id, made.wrapped, CONTEXT)),
            await fails(keys.wrapping_key(None, CONTEXT)),
        ]
        await destroy(keys, key_id)
        destroyed = await fails(keys.opened(key_id, made.wrapped, CONTEXT))

    assert {failure.code for failure in revoked} == {"KMS.DisabledException"}
    assert destroyed.trouble is KeyTrouble.NOT_FOUND


async def test_a_key_of_somebody_else_is_denied(server: PyKmip, key_id: str) -> None:
    async with keeper(server, "stranger") as keys:
        failure = await fails(keys.wrapping_key(key_id, CONTEXT))

    assert failure.trouble is KeyTrouble.DENIED
    assert failure.code == "AccessDenied"


async def test_a_server_that_knows_no_date_of_activation_says_so(server: PyKmip) -> None:
    async with keeper(server, client={"compoundCreateActivate": True}) as keys:
        failure = await fails(keys.create("of a test"))

    assert "Activation Date attribute is unsupported" in failure.reason


async def test_what_cloudserver_has_wrapped_is_opened(server: PyKmip, key_id: str) -> None:
    """By AES-CBC with an initialisation vector of zeros."""
    data_key = os.urandom(32)
    async with keeper(server) as keys:
        payload = messages.encrypt(key_id, Mode.CBC, bytes(16), data_key, b"")
        reply = await keys._ask(Operation.ENCRYPT, payload)
        assert reply.payload is not None
        ciphered = reply.payload.octets(Tag.DATA)
        assert ciphered is not None

        assert await keys.open_original(key_id, ciphered) == data_key
        assert (await fails(keys.open_original(key_id, ciphered[:-1]))).trouble is (
            KeyTrouble.REFUSED
        )


async def test_many_requests_at_once_on_a_few_connections(server: PyKmip, key_id: str) -> None:
    transport = {**server.document()["transport"], "pipelineDepth": 3}
    settings = server.settings(keyId=key_id)
    assert settings.transport[0].pipeline_depth == 8
    async with keeper(server, keyId=key_id, transport=transport) as keys:
        made = await asyncio.gather(*(keys.wrapping_key(None, CONTEXT) for _ in range(30)))
        opened = await asyncio.gather(
            *(keys.opened(key_id, each.wrapped, CONTEXT) for each in made)
        )

        assert len(keys._connections._open) <= 3
    assert opened == [each.secret for each in made]


async def test_a_server_that_was_restarted_is_asked_on_a_new_connection(tmp_path: Path) -> None:
    with pykmip(tmp_path) as own:
        async with keeper(own) as keys:
            key_id = await keys.create("of a test")
            made = await keys.wrapping_key(key_id, CONTEXT)
            own.restart()

            assert await keys.opened(key_id, made.wrapped, CONTEXT) == made.secret


async def test_a_kept_connection_that_was_cut_costs_nothing(server: PyKmip, key_id: str) -> None:
    with TcpProxy(server.own_port) as proxy:
        transport = server.document()["transport"]
        transport["tls"]["port"] = proxy.port
        async with keeper(server, keyId=key_id, transport=transport) as keys:
            for reset in (True, False, True):
                assert await keys.look() is None
                proxy.cut(reset=reset)
            assert await keys.look() is None


async def test_the_next_server_is_asked_when_one_is_not_there(server: PyKmip, key_id: str) -> None:
    good = server.document()["transport"]
    bad = {"tls": {**good["tls"], "port": 1}}
    async with keeper(server, keyId=key_id, transport=[bad, good]) as keys:
        assert await keys.look() is None
        assert keys._connections._servers[0].port == server.own_port


async def test_nobody_is_there(server: PyKmip, key_id: str) -> None:
    bad = {"tls": {**server.document()["transport"]["tls"], "port": 1}}
    async with keeper(server, keyId=key_id, transport=[bad, bad]) as keys:
        failure = await fails(keys.look())

    assert failure.trouble is KeyTrouble.AWAY
    assert failure.reason.count("127.0.0.1:1") == 2


async def test_a_server_of_another_authority_is_not_believed(
    server: PyKmip, key_id: str, tmp_path: Path
) -> None:
    write_certificates(tmp_path)
    tls = {**server.document()["transport"]["tls"], "ca": str(tmp_path / "ca.crt")}
    async with keeper(server, keyId=key_id, transport={"tls": tls}) as keys:
        failure = await fails(keys.look())

    assert failure.trouble is KeyTrouble.AWAY
    assert "certificate is refused" in failure.reason
