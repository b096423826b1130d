"""When the keys of identity providers are fetched, and how long they are good."""

from __future__ import annotations

import asyncio

import pytest

from s3front.iam.iam_errors import IamError
from s3front.iam.provider_documents import ProviderError
from s3front.iam.provider_keys import (
    AGAIN_SECONDS,
    AGAIN_SECONDS_MAX,
    FRESH_SECONDS,
    KEYS_CHARACTERS_MAX,
    PROVIDERS_MAX,
    STALE_SECONDS_MAX,
    ProviderKeys,
)
from s3front.iam.web_identity import KeySet, Trusted
from shared.process.logs import get_logger
from tests.unit.s3front.iam.web_tokens import KEYS, NOW, OTHER_KEY, PLACE, claims, public_rsa, token

PROVIDER = Trusted(PLACE, ("app",))


class Published:
    """A provider: what it publishes, and how often it was asked."""

    def __init__(self) -> None:
        self.keys: KeySet = dict(KEYS)
        self.asked = 0
        self.is_away = False
        self.go = asyncio.Event()
        self.go.set()
        self.now = 1000.0
        self.known = ProviderKeys(self.fetch, get_logger(), lambda: self.now)

    async def fetch(self, _place: str) -> KeySet:
        self.asked += 1
        await self.go.wait()
        if self.is_away:
            raise ProviderError("it is away")
        return dict(self.keys)

    async def is_good(self, text: str | None = None, provider: Trusted = PROVIDER) -> bool:
        found = await self.known.identity(text or token(), provider, NOW)
        return found.subject == "somebody"

    async def refused(self, code: str, text: str | None = None) -> None:
        with pytest.raises(IamError) as error:
            await self.is_good(text)
        assert error.value.code == code


async def test_keys_are_fetched_once() -> None:
    provider = Published()
    for _ in range(3):
        assert await provider.is_good()
        provider.now += FRESH_SECONDS / 4
    assert provider.asked == 1


async def test_keys_are_fetched_again_after_a_while() -> None:
    provider = Published()
    assert await provider.is_good()
    provider.keys = {}
    provider.now += FRESH_SECONDS
    await provider.refused("InvalidIdentityToken")
    assert provider.asked == 2


async def test_the_keys_of_all_providers_together_are_bounded() -> None:
    provider = Published()
    large = {f"k{n}": {**KEYS["rsa"], "kid": "k" * 1000} for n in range(200)}
    provider.keys = {**KEYS, **large}
    for number in range(PROVIDERS_MAX):
        with pytest.raises(IamError):  # they are not those of this provider
            await provider.known.identity(
                token(claims(iss=f"https://p{number}.example.com")),
                Trusted(f"p{number}.example.com", ("other",)),
                NOW,
            )
    assert provider.asked == PROVIDERS_MAX
    assert provider.known.size <= KEYS_CHARACTERS_MAX
    # The one that was used last is still known.
    last = f"p{PROVIDERS_MAX - 1}.example.com"
    text = token(claims(iss=f"https://{last}"))
    with pytest.raises(IamError):
        await provider.known.identity(text, Trusted(last, ("other",)), NOW)
    assert provider.asked == PROVIDERS_MAX


async def test_a_new_key_is_found_at_once() -> None:
    provider = Published()
    assert await provider.is_good()
    provider.now += AGAIN_SECONDS
    provider.keys = {"new": public_rsa(OTHER_KEY, "new")}
    assert await provider.is_good(token(key=OTHER_KEY, key_id="new"))
    await provider.refused("InvalidIdentityToken")
    assert provider.asked == 2


async def test_keys_that_there_are_not_have_nobody_flooded() -> None:
    provider = Published()
    assert await provider.is_good()
    for number in range(50):
        provider.now += 0.2
        await provider.refused("InvalidIdentityToken", token(key_id=f"made-up-{number}"))
    assert provider.asked <= 1 + 50 * 0.2 / AGAIN_SECONDS


async def test_nobody_is_asked_because_of_a_token_of_another_issuer() -> None:
    provider = Published()
    with pytest.raises(IamError, match="another issuer"):
        await provider.known.identity(token(), Trusted("other.example.com", ("app",)), NOW)
    with pytest.raises(IamError):
        await provider.known.identity("junk", PROVIDER, NOW)
    assert provider.asked == 0


async def test_many_who_need_the_keys_ask_once() -> None:
    provider = Published()
    provider.go.clear()
    asking = [asyncio.ensure_future(provider.is_good()) for _ in range(5)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking[0].cancel()
    provider.go.set()
    assert await asyncio.gather(*asking[1:]) == [True] * 4
    assert provider.asked == 1


async def test_a_provider_that_is_away() -> None:
    provider = Published()
    provider.is_away = True
    await provider.refused("IDPCommunicationError")
    await provider.refused("IDPCommunicationError")
    assert provider.asked == 1
    provider.is_away = False
    provider.now += AGAIN_SECONDS
    assert await provider.is_good()


async def test_a_provider_that_stays_away_is_asked_less_and_less() -> None:
    provider = Published()
    provider.is_away = True
    for _ in range(600):
        provider.now += 1
        await provider.refused("IDPCommunicationError")
    assert 600 / AGAIN_SECONDS_MAX <= provider.asked <= 600 / AGAIN_SECONDS_MAX + 5


async def test_while_a_provider_is_away_its_last_keys_are_good() -> None:
    provider = Published()
    assert await provider.is_good()
    provider.is_away = True
    provider.now += STALE_SECONDS_MAX - 1
    assert await provider.is_good()
    provider.now += 1
    await provider.refused("IDPCommunicationError")


async def test_how_many_providers_are_remembered() -> None:
    provider = Published()
    for number in range(PROVIDERS_MAX + 1):
        place = f"{number}.example.com"
        text = token({"iss": f"https://{place}", "sub": "somebody", "aud": "app"} | _dates())
        assert await provider.is_good(text, Trusted(place, ("app",)))
    assert provider.asked == PROVIDERS_MAX + 1
    assert len(provider.known._known) == PROVIDERS_MAX


async def test_nobody_is_asked_any_more_once_it_is_closed() -> None:
    provider = Published()
    provider.go.clear()
    asking = asyncio.ensure_future(provider.is_good())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    provider.known.close()
    with pytest.raises(asyncio.CancelledError):
        await asking


def _dates() -> dict[str, int]:
    return {"iat": int(NOW), "exp": int(NOW) + 60}
