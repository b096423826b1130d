"""Master keys in SoftHSM."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from botocore.exceptions import ClientError

from s3front.encryption.sse import ARN_IN_CONTEXT
from s3front.keys import hsm
from s3front.keys.base import KeyTrouble
from s3front.keys.hsm import HsmKeys, make_hsm
from s3front.keys.resilient_keys import ResilientKeys
from s3front.keys.sealed_data_key import Mode
from shared.config.errors import ConfigError
from tests.api.encrypting import BY_KMS, BY_S3, told
from tests.backends.keys.describing import fails
from tests.backends.keys.softhsm import PIN, SoftHsm, softhsm
from tests.clients_boto3 import s3_client
from tests.servers import cluster
from tests.unit.dmd.metadata.support import RecordingLog

CONTEXT = {ARN_IN_CONTEXT: "arn:aws:s3:::bucket", "who": "Käthe"}


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHsm]:
    made = softhsm(tmp_path_factory.mktemp("softhsm"))
    os.environ.update(made.environ)  # the library is in this process
    yield made
    for name in made.environ:
        del os.environ[name]


@asynccontextmanager
async def keeper(at: SoftHsm, /, **settings: Any) -> AsyncIterator[HsmKeys]:
    keys = make_hsm(at.settings(**settings), "config.json")
    try:
        yield keys
    finally:
        await keys.close()


@pytest.fixture
async def key(token: SoftHsm, request: pytest.FixtureRequest) -> str:
    """The label of a new master key."""
    async with keeper(token, key=f"key of {request.node.name}"[:200]) as keys:
        return await keys.create("")


@pytest.mark.parametrize("mode", [Mode.GCM, Mode.CBC])
async def test_a_data_key_is_sealed_and_opened(token: SoftHsm, key: str, mode: Mode) -> None:
    async with keeper(token, key=key) as keys:
        await keys._run(keys._opened_session)
        assert keys._mode is Mode.GCM
        keys._mode = mode
        made = await keys.wrapping_key(None, CONTEXT)

        assert made.key_id == f"pkcs11:{key}"
        assert b64decode(made.wrapped)[:2] == bytes((1, mode))
        assert len(made.secret) == 32
        assert await keys.opened(key, made.wrapped, CONTEXT) == made.secret
        other = {**CONTEXT, "who": "Kathe"}
        if mode is Mode.GCM:
            failure = await fails(keys.opened(key, made.wrapped, other))
            assert failure.trouble is KeyTrouble.REFUSED
        else:
            assert await keys.opened(key, made.wrapped, other) != made.secret


async def test_every_changed_byte_of_a_wrapped_key_is_noticed(token: SoftHsm, key: str) -> None:
    async with keeper(token, key=key) as keys:
        made = await keys.wrapping_key(None, CONTEXT)
        packed = b64decode(made.wrapped)
        for place in range(len(packed)):
            changed = bytearray(packed)
            changed[place] ^= 1
            failure = await fails(keys.opened(key, b64encode(changed).decode(), CONTEXT))
            assert failure.trouble is KeyTrouble.REFUSED, place
        assert await keys.opened(key, made.wrapped, CONTEXT) == made.secret


@pytest.mark.parametrize("label", ["nobody", "", "x" * 500, "a\nb"])
async def test_a_key_that_there_is_not(token: SoftHsm, label: str) -> None:
    async with keeper(token) as keys:
        failure = await fails(keys.wrapping_key(label, CONTEXT))

    assert failure.code == "KMS.NotFoundException"


async def test_a_new_master_key_never_leaves_the_token(token: SoftHsm, key: str) -> None:
    async with keeper(token, key=key) as keys:
        second = await keys.create("")
        made = await keys._run(lambda: keys._key(second))

        assert second.startswith(f"{key}-20")
        with pytest.raises(pkcs11.exceptions.AttributeSensitive):
            made[pkcs11.Attribute.VALUE]


async def test_two_keys_of_one_label_are_the_operators_to_mend(token: SoftHsm, key: str) -> None:
    async with keeper(token, key=key) as keys:
        session = await keys._run(keys._opened_session)
        session.generate_key(pkcs11.KeyType.AES, 256, label=key, store=True)
        failure = await fails(keys.wrapping_key(None, CONTEXT))

    assert failure.trouble is KeyTrouble.AWAY
    assert "several keys" in failure.reason


async def test_by_the_number_of_its_slot_and_a_pin_in_a_file(
    token: SoftHsm, key: str, tmp_path: Path
) -> None:
    pin = tmp_path / "pin"
    pin.write_text(f"{PIN}\n")
    slot = next(s.slot_id for s in pkcs11.lib(token.document()["library"]).get_slots())
    async with keeper(token, key=key, slot=slot, pinFile=str(pin)) as keys:
        assert await keys.look() is None
    async with keeper(token, key=key, slot=9999) as keys:
        assert "there is no slot 9999" in (await fails(keys.look())).reason


async def test_a_wrong_pin_is_tried_once(token: SoftHsm, key: str, tmp_path: Path) -> None:
    pin = tmp_path / "pin"
    pin.write_text("wrong-pin")
    async with keeper(token, key=key, pinFile=str(pin)) as keys:
        first = await fails(keys.look())
        second = await fails(keys.look())
        pin.write_text(PIN)
        assert await keys.look() is None

    assert "PinIncorrect" in first.reason
    assert "has refused this PIN before" in second.reason
    assert "wrong-pin" not in first.reason + second.reason


async def test_a_token_that_is_not_there(token: SoftHsm) -> None:
    async with keeper(token, token="another") as keys:
        failure = await fails(keys.look())

    assert failure.code == "ServiceUnavailable"
    assert "NoSuchToken" in failure.reason


async def test_a_library_that_is_none(token: SoftHsm, tmp_path: Path) -> None:
    (tmp_path / "lib.so").write_text("no library")
    async with keeper(token, library=str(tmp_path / "lib.so")) as keys:
        failure = await fails(keys.look())

    assert failure.trouble is KeyTrouble.AWAY
    assert "lib.so" in failure.reason


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_session_that_has_ended_is_made_anew(token: SoftHsm, key: str) -> None:
    async with keeper(token, key=key) as keys:
        made = await keys.wrapping_key(None, CONTEXT)
        keys._session.close()
        failure = await fails(keys.opened(key, made.wrapped, CONTEXT))

        assert failure.trouble is KeyTrouble.AWAY
        assert await keys.opened(key, made.wrapped, CONTEXT) == made.secret


async def test_a_keeper_that_replaces_another_one(token: SoftHsm, key: str) -> None:
    """A process is logged in to a token as a whole: the end of one session logs out the other."""
    async with keeper(token, key=key) as keys:
        async with keeper(token, key=key) as before:
            assert await before.look() is None
            assert await keys.look() is None
        assert await keys.look() is None


async def test_a_token_that_hangs_holds_up_no_more_than_a_few(
    token: SoftHsm, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hsm, "_WAITING_MAX", 3)
    goes_on = threading.Event()
    async with keeper(token, key=key) as keys:
        hanging = [asyncio.create_task(keys._run(goes_on.wait)) for _ in range(3)]
        await asyncio.sleep(0)
        try:
            failure = await asyncio.wait_for(fails(keys.look()), 10)
        finally:
            for task in hanging:
                task.cancel()
            goes_on.set()
            await asyncio.gather(*hanging, return_exceptions=True)

    assert "busy" in failure.reason


def test_the_library_for_it_is_needed(token: SoftHsm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3front.keys.hsm.find_spec", lambda _name: None)
    with pytest.raises(ConfigError) as caught:
        make_hsm(token.settings(), "config.json")

    assert "pip install twofold[pkcs11]" in str(caught.value)


def test_objects_through_front_ends(tmp_path: Path) -> None:
    (tmp_path / "hsm").mkdir()
    made = softhsm(tmp_path / "hsm")
    encryption = {"current": "pkcs11", "pkcs11": made.document()}
    settings = {"encryption": encryption}
    with cluster(tmp_path / "c", fronts=2, settings=settings, environ=made.environ) as running:
        s3, other = (s3_client(front) for front in running.fronts)
        s3.create_bucket(Bucket="bucket")
        with pytest.raises(ClientError) as caught:
            s3.put_object(Bucket="bucket", Key="k", Body=b"hello", **BY_S3)
        assert caught.value.response["Error"]["Code"] == "ServiceUnavailable"
        assert "Key 'twofold' does not exist" in running.fronts[0].process.output

        _create(running.fronts[0].process.environ)
        body = os.urandom(200_000)
        s3.put_object(Bucket="bucket", Key="k", Body=body, **BY_KMS)
        got = other.get_object(Bucket="bucket", Key="k")
        assert got["Body"].read() == body
        assert told(got)["-aws-kms-key-id"] == "twofold"


def _create(environ: dict[str, str]) -> None:
    argv = [sys.executable, "-m", "s3front", "keys", "create"]
    done = subprocess.run(
        argv, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "made the master key twofold in the keeper pkcs11" in done.stdout


async def test_another_one_of_the_same_token_goes_on_when_one_is_closed(
    token: SoftHsm, key: str
) -> None:
    """As after a reload: a token logs out all sessions of a process at once."""
    async with keeper(token, key=key) as later:
        guarded = ResilientKeys(later, 5, RecordingLog())
        async with keeper(token, key=key) as before:
            made = await before.wrapping_key(None, CONTEXT)
            assert await guarded.opened(key, made.wrapped, CONTEXT) == made.secret
        assert await guarded.opened(key, made.wrapped, CONTEXT) == made.secret
        assert await guarded.wrapping_key(None, CONTEXT)
