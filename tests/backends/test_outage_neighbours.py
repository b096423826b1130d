"""A place that others run and that fails is not noticed by those who use other places.

Clients of the data daemon and of memory put and get objects at a steady rate, while others use a
place that is well and goes wrong in turns, in several ways. In a long run the 99th percentile of
how long requests take is held against that of the time in which the place was well; in a short one
each of them is answered, and none waits for long.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.backends.outage_stage import OutageStage, outage_stage
from tests.faults.http_faults import Act, HttpFaults, Misbehaviour, Stage
from tests.load_requests import ObjectClient
from tests.servers import Front

SOAK = bool(os.environ.get("TWOFOLD_SOAK"))
CLIENTS = 32
NEIGHBOURS = 12
PERIOD_SECONDS = 0.2
"""Between two requests of one client."""

TURN_SECONDS = 10.0 if SOAK else 2.0
ROUNDS = 3 if SOAK else 1
RATIO_MAX = 1.5
WAIT_SECONDS_MAX = 5.0
DATA = os.urandom(10_000)
PLACES = ("here", "memory")

WRONG: tuple[Callable[[HttpFaults], None], ...] = (
    lambda faults: faults.misbehave(Misbehaviour(Stage.HEAD, Act.HANG)),
    lambda faults: faults.misbehave(Misbehaviour(Stage.BODY, Act.HANG, 1000)),
    lambda faults: faults.misbehave(Misbehaviour(status=503, code="SlowDown")),
    lambda faults: faults.refuse(),
    lambda faults: faults.be_deaf(),
)


@dataclass
class Steady:
    """Clients that ask at a steady rate, and how long each of their requests took."""

    front: Front
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self, number: int, place: str) -> None:
        client, asked = ObjectClient(self.front), 0
        next_at = time.monotonic() + PERIOD_SECONDS * number / CLIENTS
        target = f"/{place}/{number}"
        while not self.ended.wait(max(0.0, next_at - time.monotonic())):
            next_at = max(next_at + PERIOD_SECONDS, time.monotonic())
            method = "GET" if asked % 2 else "PUT"
            began = time.monotonic()
            try:
                response = client.request(method, target, b"" if asked % 2 else DATA)
            except OSError as error:
                self.failures.append(f"{method} {target}: {error!r}")
                continue
            self.seconds.append(time.monotonic() - began)
            right = response.status == 200 and (method == "PUT" or response.body == DATA)
            if not right:
                self.failures.append(f"{method} {target}: {response.status} {response.body!r}")
            asked += 1
        client.close()

    def take(self) -> list[float]:
        """What was measured since the last time."""
        taken, self.seconds = self.seconds, []
        return taken


@contextmanager
def steady(front: Front) -> Iterator[Steady]:
    load = Steady(front)
    threads = [
        threading.Thread(target=load.run, args=(number, PLACES[number % len(PLACES)]))
        for number in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.ended.set()
        for thread in threads:
            thread.join()


@contextmanager
def neighbours(stage: OutageStage) -> Iterator[None]:
    """Clients of the place, as steady; whatever they are told."""
    ended = threading.Event()

    def use(number: int) -> None:
        client = ObjectClient(stage.front)
        while not ended.wait(PERIOD_SECONDS):
            with suppress(OSError):
                client.request("PUT", f"/there/{number}", DATA)
                client.request("GET", f"/there/{number}")
        client.close()

    threads = [threading.Thread(target=use, args=(number,)) for number in range(NEIGHBOURS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutageStage]:
    folder: Path = tmp_path_factory.mktemp("neighbours")
    with outage_stage(folder, supervised=True, grace_seconds=3600) as running:
        yield running


@pytest.mark.timeout(1800 if SOAK else 180)
def test_others_do_not_notice(stage: OutageStage) -> None:
    well: list[float] = []
    wrong: list[float] = []
    with neighbours(stage), steady(stage.front) as load:
        time.sleep(1.0)  # everything is in use before anything is measured
        load.take()
        for begin in WRONG * ROUNDS:
            time.sleep(TURN_SECONDS)
            well += load.take()
            begin(stage.faults)
            time.sleep(TURN_SECONDS)
            wrong += load.take()
            stage.faults.heal()
    print(f"p99: {p99(well) * 1000:.1f} ms, {p99(wrong) * 1000:.1f} ms while a place goes wrong")
    assert load.failures == []
    assert max(*well, *wrong) < WAIT_SECONDS_MAX
    if SOAK:
        assert p99(wrong) < p99(well) * RATIO_MAX, (p99(wrong), p99(well))
