"""``kill -9`` under load: nothing that was acknowledged is lost, and nothing is half there."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from pathlib import Path

import pytest

from tests.load import Load
from tests.servers import Cluster, Process, cluster, process_tree

KILLS = 100 if os.environ.get("TWOFOLD_SOAK") else 10
VICTIMS = ("metadata", "data", "front-end", "both daemons", "everything")


def victims(running: Cluster, name: str, chance: random.Random) -> list[Process]:
    daemons = [running.dmd_metadata, running.dmd_data]
    fronts = [front.process for front in running.fronts]
    return {
        "metadata": [running.dmd_metadata],
        "data": [running.dmd_data],
        "front-end": [chance.choice(fronts)],
        "both daemons": daemons,
        "everything": daemons + fronts,
    }[name]


def kill_at_once(processes: list[Process]) -> None:
    """SIGKILL for the processes and their children, known before the first of them dies."""
    pids = [pid for process in processes for pid in (process.pid, *process_tree(process.pid))]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for process in processes:
        process.kill()


def start_again(running: Cluster) -> None:
    for process in (running.dmd_metadata, running.dmd_data):
        if process.handle is None:
            process.start()
    for front in running.fronts:
        if front.process.handle is None:
            front.process.start()


@pytest.mark.timeout(60 + 20 * KILLS)
def test_acknowledged_objects_survive_kills(tmp_path: Path) -> None:
    chance = random.Random()
    # Data that is given up is deleted at once, so that deletions are killed half-way, too.
    settings = {"deleteDelaySeconds": 0}
    with (
        cluster(tmp_path, fronts=2, settings=settings) as running,
        Load("killed", running.fronts) as load,
    ):
        for number in range(KILLS):
            load.wait_for_writes(chance.randrange(20, 200))
            kill_at_once(victims(running, VICTIMS[number % len(VICTIMS)], chance))
            start_again(running)
            load.wait_for_recovery()
            load.check()
