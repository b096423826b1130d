"""Keys that do not stand in locationConfig.json: botocore finds them, and they are renewed."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from s3front.locations import aws_credentials
from s3front.locations.aws_credentials import key_source
from s3front.locations.remote_store import PlaceError, Trouble
from s3front.locations.s3_signing import Keys
from shared.config.values import Secret
from tests.backends.scripted_s3 import Asked, answer, error, scripted


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No keys of whoever runs the tests, and no instance's."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def in_an_hour() -> str:
    return (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "A")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "B")
    async with scripted(lambda _asked: b"") as service:
        source = key_source(service.details(credentials=None))
        assert await source.keys() == Keys("A", Secret("B"))
        assert service.asked == []


async def test_there_are_none() -> None:
    async with scripted(lambda _asked: b"") as service:
        with pytest.raises(PlaceError) as caught:
            await key_source(service.details(credentials=None)).keys()
    assert caught.value.trouble is Trouble.REFUSED
    assert caught.value.reason == "there are no credentials"


async def test_the_role_of_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked once for all requests that come together, and again once its keys were refused."""
    given = 0

    def say(asked: Asked) -> bytes:
        nonlocal given
        given += 1
        assert asked.headers["authorization"] == "pod-token"
        document = {
            "AccessKeyId": f"A{given}",
            "SecretAccessKey": "B",
            "Token": "C",
            "Expiration": in_an_hour(),
        }
        return answer(200, {}, json.dumps(document).encode())

    async with scripted(say) as service:
        url = f"http://127.0.0.1:{service.port}/role"
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod-token")
        source = key_source(service.details(credentials=None))
        keys = await asyncio.gather(*(source.keys() for _ in range(20)))
        assert set(keys) == {Keys("A1", Secret("B"), Secret("C"))}
        assert given == 1
        newer = await source.keys(refused=keys[0])
        assert newer.access_key == "A2"
        assert await source.keys() == newer


async def test_web_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("signed-by-the-cluster")

    def say(asked: Asked) -> bytes:
        assert b"Action=AssumeRoleWithWebIdentity" in asked.body
        assert b"WebIdentityToken=signed-by-the-cluster" in asked.body
        parts = {
            "AccessKeyId": "A", "SecretAccessKey": "B", "SessionToken": "C",
            "Expiration": in_an_hour(),
        }  # fmt: skip
        inner = "".join(f"<{name}>{value}</{name}>" for name, value in parts.items())
        action = "AssumeRoleWithWebIdentity"
        body = (
            f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>'
            f"<Credentials>{inner}</Credentials></{action}Result></{action}Response>"
        )
        return answer(200, {"Content-Type": "text/xml"}, body.encode())

    async with scripted(say) as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{service.port}")
        monkeypatch.setenv("AWS_REGION", "eu-west-3")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/twofold")
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        source = key_source(service.details(credentials=None))
        assert await source.keys() == Keys("A", Secret("B"), Secret("C"))


async def test_a_role_that_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(lambda _asked: error(403, "AccessDenied")) as service:
        url = f"http://127.0.0.1:{service.port}/role"
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        with pytest.raises(PlaceError) as caught:
            await key_source(service.details(credentials=None)).keys()
    assert caught.value.trouble is Trouble.REFUSED
    assert "no credentials" in caught.value.reason


async def test_servers_of_keys_that_hang_take_no_threads_from_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hung, goes_on = 0, threading.Event()

    def hang(*_arguments: object) -> None:
        nonlocal hung
        hung += 1
        goes_on.wait(10)

    monkeypatch.setattr(aws_credentials, "_ASK_SECONDS_MAX", 0.05)
    monkeypatch.setattr("botocore.session.Session.get_credentials", hang)
    async with scripted(lambda _asked: b"") as service:
        source = key_source(service.details(credentials=None))
        try:
            for _ in range(5):
                with pytest.raises(PlaceError) as caught:
                    await source.keys()
                assert caught.value.trouble is Trouble.UNREACHED
            assert hung == 1
        finally:
            goes_on.set()
