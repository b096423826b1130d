"""``kill -9`` under load: nothing that was acknowledged is lost, and nothing is half there."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from tests.faults.processes import kill_at_once, start_again
from tests.faults.stores import assert_settled, expire_leases
from tests.load import Load
from tests.servers import TWO_HOPS, Cluster, Process, cluster

KILLS = 500 if os.environ.get("TWOFOLD_SOAK") else 10
_OFTEN = ("metadata", "data", "front-end", "background work", "both daemons")
VICTIMS = (*_OFTEN, *_OFTEN, "everything")
WRITES_BETWEEN_KILLS_MAX = 40


def victims(running: Cluster, name: str, chance: random.Random) -> list[Process]:
    daemons = [running.dmd_metadata, running.dmd_data]
    fronts = [front.process for front in running.fronts]
    return {
        "metadata": [running.dmd_metadata],
        "data": [running.dmd_data],
        "front-end": [chance.choice(fronts)],
        "background work": [running.work],
        "both daemons": daemons,
        "everything": [*daemons, *fronts, running.work],
    }[name]


WRITES_WITHOUT_KILLS = 300


def test_without_kills_nothing_is_left_behind(tmp_path: Path) -> None:
    """What the comparison of the stores allows for after kills is theirs alone."""
    with (
        cluster(tmp_path, fronts=2, settings={"deleteDelaySeconds": 0}) as running,
        Load("undisturbed", running.fronts) as load,
    ):
        load.wait_for_writes(WRITES_WITHOUT_KILLS)
        load.end()
        assert load.unavailable == 0
        assert_settled(running)


@pytest.mark.timeout(60 + 20 * KILLS)
@pytest.mark.parametrize("hops", [pytest.param({}, id="one hop"), pytest.param(TWO_HOPS, id="two")])
def test_acknowledged_objects_survive_kills(tmp_path: Path, hops: dict[str, Any]) -> None:
    chance = random.Random()
    # Data that is given up is deleted at once, so that deletions are killed half-way, too.
    settings = {"deleteDelaySeconds": 0, **hops}
    with (
        cluster(tmp_path, fronts=2, settings=settings) as running,
        Load("killed", running.fronts) as load,
    ):
        for number in range(KILLS):
            load.wait_for_writes(chance.randrange(WRITES_BETWEEN_KILLS_MAX))
            kill_at_once(victims(running, VICTIMS[number % len(VICTIMS)], chance))
            start_again(running)
            expire_leases(running)
            load.wait_for_recovery()
            load.check()
        load.end()
        # A request that is interrupted leaves one blob to nobody at most.
        assert_settled(running, unowned_max=KILLS * load.threads)
