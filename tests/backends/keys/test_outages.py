"""Key services that are away, hang, break off or fail: what requests wait for, and what they learn.

Each service is asked as a front-end asks it: with deadlines, tries, the circuit and the cache.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Final

import pytest

from s3front.encryption.sse import ARN_IN_CONTEXT
from s3front.keys.base import KeeperError, KeyTrouble
from s3front.keys.data_key_cache import CachedKeys
from s3front.keys.resilient_keys import ResilientKeys
from s3front.locations.circuit_breaker import CircuitState
from tests.backends.keys.describing import TIMEOUT_MS, fails
from tests.backends.keys.services import KINDS, Faults, Service, hang, refuse
from tests.faults.http_faults import Act, HttpFaults, Misbehaviour, Stage
from tests.faults.proxy import TcpProxy
from tests.unit.s3front.locations.scripted_remote import KeptLog

CONTEXT: Final = {ARN_IN_CONTEXT: "arn:aws:s3:::bucket"}
SOON_SECONDS: Final = 0.2
"""How long a request may take that asks nobody; the machine may be busy."""


@pytest.fixture(scope="module", params=list(KINDS))
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    with ExitStack() as stack:
        yield KINDS[request.param](tmp_path_factory.mktemp("service"), stack)


def be_deaf(faults: Faults) -> None:
    """Not even connections are accepted, or made to anybody who answers."""
    if isinstance(faults, TcpProxy):
        faults.stall()
        faults.cut()
    else:
        faults.be_deaf()


def answer_half(faults: Faults) -> None:
    if isinstance(faults, TcpProxy):
        faults.cut_after(to_client=20)
    else:
        faults.misbehave(Misbehaviour(Stage.ANSWER, Act.CUT, at=40))


def cut_in_body(faults: Faults) -> None:
    if isinstance(faults, TcpProxy):
        faults.cut_after(to_client=5, reset=False)
    else:
        faults.misbehave(Misbehaviour(Stage.BODY, Act.CUT, at=10))


def fail_inside(faults: Faults) -> None:
    if isinstance(faults, TcpProxy):
        faults.cut_after(to_server=1)
    else:
        faults.misbehave(Misbehaviour(status=500, code="InternalFailure"))


TROUBLES: Final = [refuse, hang, be_deaf, answer_half, cut_in_body, fail_inside]


def circuit(keys: CachedKeys) -> CircuitState:
    assert isinstance(keys.inner, ResilientKeys)
    return keys.inner.state


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_service_in_trouble(service: Service, trouble: Callable[[Faults], None]) -> None:
    log = KeptLog()
    async with service.keeper(log) as keys:
        made = await keys.wrapping_key(None, CONTEXT)
        its_own = made.key_id.partition(":")[2]
        trouble(service.faults)

        # Each request learns it in time, with the reason in the log and not for the client.
        while circuit(keys) is not CircuitState.OPEN:
            began = time.monotonic()
            failure = await fails(keys.wrapping_key(None, {"a": "b"}))
            assert time.monotonic() - began < TIMEOUT_MS / 1000 + 1
            assert (failure.code, failure.status) == ("ServiceUnavailable", 503)
            assert failure.trouble is KeyTrouble.AWAY
            assert failure.reason
            assert "not available at the moment" in failure.message

        # Then at once.
        began = time.monotonic()
        failures = [await fails(keys.wrapping_key(None, {"a": "b"})) for _ in range(20)]
        assert (time.monotonic() - began) / 20 < SOON_SECONDS
        assert all("is not asked for a while" in each.reason for each in failures[:1])
        assert log.events.count("a key service is away") == 1

        # What is known goes on.
        assert await keys.opened(its_own, made.wrapped, CONTEXT) == made.secret
        assert (await keys.wrapping_key(None, CONTEXT)).secret == made.secret

        # And it comes back by itself.
        service.faults.heal()
        deadline = time.monotonic() + 30
        while True:
            try:
                again = await keys.wrapping_key(None, {"a": "b"})
            except KeeperError:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
            else:
                break
        assert await keys.opened(again.key_id.partition(":")[2], again.wrapped, {"a": "b"})
        assert log.events[-1] == "a key service is there again"


async def test_a_service_that_is_slow_is_waited_for(service: Service) -> None:
    if isinstance(service.faults, HttpFaults):
        service.faults.pause_seconds = 0.1
    try:
        async with service.keeper() as keys:
            made = await keys.wrapping_key(None, {"a": "slow"})
            assert len(made.secret) == 32
    finally:
        if isinstance(service.faults, HttpFaults):
            service.faults.pause_seconds = 0.0


async def test_it_is_away_from_the_beginning(service: Service) -> None:
    async with service.keeper() as keys:
        refuse(service.faults)
        reason = await keys.look()
        failure = await fails(keys.wrapping_key(None, CONTEXT))

    assert reason
    assert "127.0.0.1" in reason
    assert failure.code == "ServiceUnavailable"


async def test_a_hundred_requests_at_once_wait_together(service: Service) -> None:
    async with service.keeper() as keys:
        hang(service.faults)
        began = time.monotonic()
        asking = [keys.wrapping_key(None, {"a": str(number % 5)}) for number in range(100)]
        failures = await asyncio.gather(*asking, return_exceptions=True)

        assert time.monotonic() - began < TIMEOUT_MS / 1000 + 2
    assert {getattr(each, "code", each) for each in failures} == {"ServiceUnavailable"}
