"""Connections between the halves that break, stall or are refused: 503 at worst, and it passes."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.faults.proxy import ProxiedFront, TcpProxy, front_behind_proxies
from tests.faults.stores import assert_settled
from tests.load import Load
from tests.multipart import begin_upload, completion, send_part
from tests.raw_http import Connection, call, sign
from tests.servers import TWO_HOPS, cluster, wait_for

ROUNDS = 500 if os.environ.get("TWOFOLD_SOAK") else 12
WRITES_BETWEEN_CUTS_MAX = 30

Fault = Callable[[TcpProxy, Load, random.Random], None]


def cut(proxy: TcpProxy, _load: Load, chance: random.Random) -> None:
    proxy.cut(reset=chance.random() < 0.5)


def cut_and_refuse(proxy: TcpProxy, load: Load, chance: random.Random) -> None:
    proxy.refuse()
    proxy.cut(reset=chance.random() < 0.5)
    load.wait_for_unavailable()


def cut_on_the_way_there(proxy: TcpProxy, load: Load, chance: random.Random) -> None:
    proxy.cut_after(to_server=some_bytes(chance), reset=chance.random() < 0.5)
    load.wait_for_unavailable()


def cut_on_the_way_back(proxy: TcpProxy, load: Load, chance: random.Random) -> None:
    proxy.cut_after(to_client=some_bytes(chance), reset=chance.random() < 0.5)
    load.wait_for_unavailable()


def stall(proxy: TcpProxy, _load: Load, _chance: random.Random) -> None:
    """What is held back arrives when the round ends."""
    proxy.stall()
    wait_for(lambda: proxy.held_bytes > 0, "something to be held back")


def stall_and_cut(proxy: TcpProxy, load: Load, chance: random.Random) -> None:
    """What was held back never arrives."""
    stall(proxy, load, chance)
    cut(proxy, load, chance)


FAULTS: tuple[Fault, ...] = (
    cut,
    cut_and_refuse,
    cut_on_the_way_there,
    cut_on_the_way_back,
    stall,
    stall_and_cut,
)


def some_bytes(chance: random.Random) -> int:
    """From none to a large object and more, few as often as many."""
    return int(2 ** chance.uniform(0, 20)) - 1


def test_a_write_that_was_held_up_does_not_happen_after_its_time(tmp_path: Path) -> None:
    """What was answered with 503 never undoes what was acknowledged afterwards."""
    with (
        cluster(tmp_path, settings=TWO_HOPS) as running,
        front_behind_proxies(running, call_timeout_ms=1000) as held_up,
    ):
        other = running.fronts[0]
        assert call(other, "PUT", "/bucket").status == 200
        assert call(held_up.front, "HEAD", "/bucket").status == 200
        for number in range(5):
            target = f"/bucket/{number}"
            with Connection(held_up.front) as connection:
                # The front-end reads the bucket first: let that through, and hold up the commit.
                held_up.data.stall()
                connection.send(sign(held_up.front, "PUT", target, b"older"))
                wait_for(lambda: held_up.data.held_bytes > 0, "the data to be on its way")
                held_up.metadata.stall()
                held_up.data.heal()
                response = connection.receive()
            assert (response.status, response.error["Code"]) == (503, "ServiceUnavailable")
            assert held_up.metadata.held_bytes > 0
            assert call(other, "PUT", target, b"newer").status == 200
            held_up.metadata.heal()
            wait_for(lambda: call(held_up.front, "GET", "/").status == 200, "the connection")
            assert call(held_up.front, "GET", target).body == b"newer"


@pytest.mark.timeout(60 + 20 * ROUNDS)
def test_acknowledged_objects_survive_cut_connections(tmp_path: Path) -> None:
    chance = random.Random()
    settings = {"deleteDelaySeconds": 0}
    with (
        cluster(tmp_path, fronts=0, settings=settings) as running,
        front_behind_proxies(running) as first,
        front_behind_proxies(running) as second,
        Load("cut", running.fronts) as load,
    ):
        for number in range(ROUNDS):
            load.wait_for_writes(chance.randrange(WRITES_BETWEEN_CUTS_MAX))
            front = chance.choice((first, second))
            proxy = chance.choice((front.metadata, front.data))
            FAULTS[number % len(FAULTS)](proxy, load, chance)
            front.heal()
            load.wait_for_recovery()
            load.check()
        load.end()
        # A request that is interrupted leaves one blob to nobody at most. All of a front-end's
        # requests share one connection to the metadata.
        fronts = (first, second)
        interrupted = sum(front.data.broken for front in fronts)
        interrupted += sum(front.metadata.broken for front in fronts) * load.threads
        assert_settled(running, unowned_max=interrupted)


# --- In the middle of a reply --------------------------------------------------------------------

PART = bytes(range(256)) * (20 << 10)
"""5 MiB: more than all buffers on the way hold."""

OBJECTS = {"whole": [PART * 2], "parts": [PART, PART[::-1]]}


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxiedFront]:
    """A front-end behind proxies, and an object of 10 MiB of each kind."""
    with (
        cluster(tmp_path_factory.mktemp("cut-replies"), fronts=0) as running,
        front_behind_proxies(running) as proxied,
    ):
        send = partial(call, proxied.front)
        assert send("PUT", "/bucket").status == 200
        assert send("PUT", "/bucket/whole", OBJECTS["whole"][0]).status == 200
        upload_id = begin_upload(send, "/bucket/parts")
        parts = dict(enumerate(OBJECTS["parts"], start=1))
        for number, part in parts.items():
            assert send_part(send, "/bucket/parts", upload_id, number, part).status == 200
        place = f"/bucket/parts?uploadId={upload_id}"
        assert send("POST", place, completion(parts)).status == 200
        yield proxied


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
@pytest.mark.parametrize("after", [1000, len(PART), len(PART) + 1000, len(PART) * 3 // 2])
@pytest.mark.parametrize("kind", OBJECTS)
def test_a_reply_whose_data_is_cut_off_is_short(
    proxied: ProxiedFront, kind: str, after: int, reset: bool
) -> None:
    """A client must never take what it got for the object."""
    expected = b"".join(OBJECTS[kind])
    proxied.data.cut()  # no connection is left that could lose its bytes before this request
    proxied.data.cut_after(to_client=after, reset=reset)
    with Connection(proxied.front) as connection:
        connection.send(sign(proxied.front, "GET", f"/bucket/{kind}"))
        head, _, body = connection.rest().partition(b"\r\n\r\n")
    proxied.heal()
    assert head.startswith(b"HTTP/1.1 200 ")
    assert f"Content-Length: {len(expected)}\r\n".encode() in head + b"\r\n"
    assert len(body) < len(expected)
    assert expected.startswith(body)
    assert call(proxied.front, "GET", f"/bucket/{kind}").body == expected


def test_a_reply_whose_data_never_begins_is_an_error(proxied: ProxiedFront) -> None:
    proxied.data.cut()
    proxied.data.cut_after(to_client=0)
    response = call(proxied.front, "GET", "/bucket/whole")
    assert (response.status, response.error["Code"]) == (503, "ServiceUnavailable")
    proxied.heal()
    assert call(proxied.front, "GET", "/bucket/whole").status == 200


def test_a_reply_whose_data_stalls_goes_on(proxied: ProxiedFront) -> None:
    with Connection(proxied.front) as connection:
        proxied.data.stall()
        connection.send(sign(proxied.front, "GET", "/bucket/whole"))
        wait_for(lambda: proxied.data.held_bytes > 0, "the request to be held back")
        proxied.heal()
        assert connection.receive("GET").body == b"".join(OBJECTS["whole"])
