"""Where the secrets of access keys come from."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from s3front.auth.credential_sources import CachedCredentials, FileCredentials, Signer
from s3front.auth.identity import Principal
from s3front.s3_errors import S3Error
from shared.config import Account, Accounts
from shared.config.accounts import Credential

ACCOUNT = Account("Name", "a@b", "arn:aws:iam::123456789012:root", "canonical", "123456789012")
SIGNER = Signer(
    Principal(
        "canonical",
        "Name",
        "123456789012",
        "arn:aws:iam::123456789012:root",
        user_id="123456789012",
    ),
    "secret",
)


class Slow:
    """A source that has to ask elsewhere: it answers when it is let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, Signer] = {"key": SIGNER}
        self.go = asyncio.Event()
        self.error: S3Error | None = None

    async def find(self, access_key: str, _session_token: str | None = None) -> Signer | None:
        self.asked.append(access_key)
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return self.answers.get(access_key)


def test_the_file_answers_without_waiting() -> None:
    accounts = Accounts([ACCOUNT], [Credential(ACCOUNT, "key", "secret")])
    source = FileCredentials(accounts)
    assert at_once(source.find("key")) == SIGNER
    assert at_once(source.find("other")) is None
    source.use(Accounts([ACCOUNT], [Credential(ACCOUNT, "other", "new")]))
    assert at_once(source.find("key")) is None
    assert at_once(source.find("other")) == Signer(SIGNER.principal, "new")


def test_the_keys_of_accounts_have_no_tokens() -> None:
    source = FileCredentials(Accounts([ACCOUNT], [Credential(ACCOUNT, "key", "secret")]))
    with pytest.raises(S3Error, match="InvalidToken") as refused:
        at_once(source.find("key", "token"))
    assert refused.value.fields == {"Token-0": "token"}


async def test_what_came_with_a_token_is_not_remembered() -> None:
    source = Slow()
    source.go.set()
    cached = CachedCredentials(source)
    for _ in range(2):
        await cached.find("key", "token")
    assert source.asked == ["key", "key"]


def at_once(asked: Coroutine[Any, Any, Signer | None]) -> Signer | None:
    """What a coroutine returns that must not wait for anything."""
    with pytest.raises(StopIteration) as stopped:
        asked.send(None)
    found: Signer | None = stopped.value.value
    return found


def test_a_secret_is_shown_to_nobody() -> None:
    assert "secret" not in f"{SIGNER!r} {SIGNER}"


async def test_many_who_ask_at_once_ask_once() -> None:
    source = Slow()
    cached = CachedCredentials(source)
    asking = [asyncio.ensure_future(cached.find("key")) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    source.go.set()
    assert await asyncio.gather(*asking[1:]) == [SIGNER] * 4
    assert await cached.find("key") == SIGNER
    assert source.asked == ["key"]


async def test_what_is_cached_is_asked_for_again_after_a_while() -> None:
    source, time = Slow(), [0.0]
    source.go.set()
    cached = CachedCredentials(source, seconds_max=10, clock=lambda: time[0])
    assert await cached.find("key") == SIGNER
    assert await cached.find("new") is None
    source.answers = {"new": SIGNER}
    time[0] = 9.9
    assert await cached.find("key") == SIGNER
    assert await cached.find("new") is None
    time[0] = 10.0
    assert await cached.find("key") is None
    assert await cached.find("new") == SIGNER
    assert source.asked == ["key", "new", "key", "new"]


async def test_a_failure_is_not_remembered() -> None:
    source = Slow()
    source.go.set()
    source.error = S3Error("ServiceUnavailable")
    cached = CachedCredentials(source)
    for _ in range(2):
        with pytest.raises(S3Error, match="ServiceUnavailable"):
            await cached.find("key")
    source.error = None
    assert await cached.find("key") == SIGNER


async def test_keys_that_are_guessed_take_no_memory() -> None:
    source = Slow()
    source.go.set()
    cached = CachedCredentials(source, keys_max=3)
    for key in ("a", "b", "key", "c", "key", "d", "b", "key"):
        await cached.find(key)
    # The oldest answer goes first; asking for one that is there keeps nothing out.
    assert source.asked == ["a", "b", "key", "c", "d", "b", "key"]
