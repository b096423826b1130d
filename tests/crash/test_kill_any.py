"""``kill -9`` of any process at any time, under load and beside garbage collection.

Supervisors, daemons, front-ends and processes of background work: whichever dies, nothing that
was acknowledged is lost or stale, and nothing is there that nobody wrote (``tests.load``). What a
supervisor is to start again, it does; what has no supervisor any more is started by the test.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from dmd.jobs.gc import given_owner
from s3front.rpc.rpc_client import RpcUnavailableError
from tests.crash.collecting import SETTINGS, Collector, data_of
from tests.faults.processes import start_again
from tests.faults.stores import assert_settled, expire_leases
from tests.load import Load
from tests.servers import Cluster, Process, process_tree, wait_for

KILLS = 1000 if os.environ.get("TWOFOLD_SOAK") else 5
WRITES_BETWEEN_KILLS_MAX = 40
SEVERAL = 0.2
"""How often more than one process is killed at once."""


def supervised(folder: Path) -> Cluster:
    """A cluster whose daemons are children of ``dmd start``, as an operator has them."""
    running = Cluster(folder, settings=SETTINGS, supervised=True)
    both = Process(
        "dmd",
        [sys.executable, "-m", "dmd", "start"],
        running.dmd_metadata.environ,
        folder / "dmd.log",
    )
    running.dmd_metadata = running.dmd_data = both
    return running


def processes(running: Cluster) -> list[Process]:
    return [running.dmd_metadata, *(front.process for front in running.fronts)]


def kill_some(running: Cluster, chance: random.Random) -> None:
    """Kill one process or a few, and wait until they are dead, with those that die with them."""
    trees = {process.pid: process_tree(process.pid) for process in processes(running)}
    candidates = [*trees, *(pid for tree in trees.values() for pid in tree)]
    count = chance.randrange(2, 4) if chance.random() < SEVERAL else 1
    victims = chance.sample(candidates, min(count, len(candidates)))
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    dying = [*victims, *(pid for victim in victims for pid in trees.get(victim, ()))]
    wait_for(lambda: not any(map(_lives, dying)), "processes to die")
    for process in processes(running):
        if process.pid in victims:
            process.kill()


def _lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def _lease_expired(running: Cluster) -> bool:
    """Tells a daemon that its supervisor may still be starting."""
    with contextlib.suppress(RpcUnavailableError):
        expire_leases(running)
        return True
    return False


@pytest.mark.timeout(120 + 20 * KILLS)
def test_whichever_process_is_killed_nothing_is_lost(tmp_path: Path) -> None:
    chance = random.Random()
    running = supervised(tmp_path)
    try:
        running.start(fronts=2)
        data_of(running).adopt(given_owner(tmp_path / "metadata"))
        collector = Collector(running)
        with Load("killed", running.fronts) as load, collector:
            for _ in range(KILLS):
                load.wait_for_writes(chance.randrange(WRITES_BETWEEN_KILLS_MAX))
                with collector.alone:
                    kill_some(running, chance)
                    start_again(running)
                wait_for(lambda: _lease_expired(running), "the metadata daemon")
                load.wait_for_recovery()
                load.check()
            load.end()
        assert collector.rounds > 0
        assert "in quarantine is needed" not in running.dmd_data.output
        assert_settled(running, unowned_max=KILLS * load.threads * 3)
    finally:
        running.stop()
