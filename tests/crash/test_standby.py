"""Two metadata daemons on one directory: the owner is stopped while it writes, and the stand-by
takes over. The owner is dead by then, and goes on with nothing when it is to continue."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dmd.jobs.record_walk import end_of, raw_records
from dmd.metadata import stored
from dmd.metadata.metadata_directory import open_engine
from dmd.metadata.record_keys import prefix, split
from dmd.process_options import STANDBY_OPTION
from s3front.rpc.rpc_client import RpcClient, RpcOutcomeUnknownError, RpcUnavailableError
from shared.records.names import METASTORE, RECORD_LOGS, USERS_BUCKET, owner_entry_key
from tests.crash.test_metadata_kill import connected
from tests.faults.processes import stands_still
from tests.faults.stores import assert_metadata_is_well
from tests.interop.daemons import MetadataProcess
from tests.servers import accepts_connections, wait_for
from tests.unit.dmd.metadata.support import until

SOAK = os.environ.get("TWOFOLD_SOAK") == "1"
ROUNDS = 20 if SOAK else 3
LEASE_SECONDS = 1
WRITERS = 8
WRITES_MAX = 400
BUCKET = "bucket"
LOG = "log"


@dataclass
class Written:
    """What was put through one daemon in one round, by its revision as far as it was answered."""

    term: str
    acknowledged: dict[str, int] = field(default_factory=dict)

    async def run(self, client: RpcClient, writer: int) -> None:
        """Put records until the daemon is gone."""
        number = 0
        with suppress(RpcOutcomeUnknownError, RpcUnavailableError):
            while True:
                number += 1
                key = f"{self.term}/{writer}/{number:06}"
                value = json.dumps({"term": self.term})
                operation = {"type": "put", "subLevel": [BUCKET], "key": key, "value": value}
                result = await client.call("batch", [[operation]])
                self.acknowledged[key] = result["revisions"][0]


def daemon_on(directory: Path, folder: Path, **settings: Any) -> MetadataProcess:
    """A daemon with a port of its own on a directory that it shares."""
    daemon = MetadataProcess(
        folder, {"enabled": True, "recordLogName": LOG}, leaseSeconds=LEASE_SECONDS, **settings
    )
    daemon.directory = directory
    daemon.process.environ["S3METADATAPATH"] = str(directory)
    return daemon


def stand_by(daemon: MetadataProcess) -> None:
    process = daemon.process
    process.argv = [*process.argv, STANDBY_OPTION]
    process.start()
    process.argv = process.argv[:-1]
    wait_for(lambda: "standing by" in process.output_of_this_run, "a daemon to stand by")


async def make_bucket(client: RpcClient) -> None:
    owner = {"owner": "owner"}
    await client.call("put", [BUCKET, json.dumps(owner), {}], [METASTORE])
    await client.call("put", [owner_entry_key("owner", BUCKET), "{}", {}], [USERS_BUCKET])


async def write_until_stopped(owner: MetadataProcess, written: Written, writes: int) -> None:
    """Stop the owner in the middle of writing, when so many writes were answered."""
    async with connected(owner) as client:
        tasks = [asyncio.create_task(written.run(client, writer)) for writer in range(WRITERS)]
        await until(lambda: len(written.acknowledged) >= writes)
        os.kill(owner.process.pid, signal.SIGSTOP)
        await until(lambda: stands_still(owner.process))  # what reads the store finds one commit
        await client.close()
        await asyncio.gather(*tasks)


def stored_in(directory: Path) -> dict[str, tuple[int, Any]]:
    """Revision and record of everything in the bucket."""
    engine = open_engine(directory, read_only=True)
    try:
        raw = list(raw_records(engine, prefix([BUCKET]), end_of([BUCKET])))
    finally:
        engine.close()
    entries = {split(key)[1]: stored.unpack(key, value) for key, value in raw}
    return {key: (entry.revision, json.loads(entry.record)) for key, entry in entries.items()}


def logged_in(directory: Path) -> list[str]:
    """The terms of the puts of the record log, in their order."""
    log = [RECORD_LOGS, LOG]
    engine = open_engine(directory, read_only=True)
    try:
        raw = list(raw_records(engine, prefix(log), end_of(log)))
    finally:
        engine.close()
    changes = [json.loads(stored.unpack(key, value).record) for key, value in raw]
    return [json.loads(c["value"])["term"] for c in changes if c["db"] == BUCKET]


def assert_in_order(directory: Path, terms: list[Written]) -> None:
    """All that was acknowledged is there, and every term ends before the next begins."""
    found = stored_in(directory)
    last = 0
    for written in terms:
        for key, revision in written.acknowledged.items():
            assert found[key] == (revision, {"term": written.term})
        revisions = [number for number, record in found.values() if record["term"] == written.term]
        assert min(revisions) > last
        last = max(revisions)
    logged = logged_in(directory)
    assert len(logged) == len(found)
    assert logged == sorted(logged)
    assert_metadata_is_well(directory)


@pytest.mark.timeout(60 + 20 * ROUNDS)
@pytest.mark.parametrize(
    ("rounds", "settings"),
    [
        pytest.param(ROUNDS, {}, id="locks"),
        # The lease alone decides; nobody is fenced off on the same machine.
        pytest.param(
            ROUNDS // 3,
            {"directoryLocks": "unreliable", "fenceCommand": "false"},
            id="no locks",
        ),
    ],
)
async def test_a_stopped_owner_never_writes_after_the_stand_by_began(
    tmp_path: Path, rounds: int, settings: dict[str, Any]
) -> None:
    chance = random.Random()
    directory = tmp_path / "shared"
    directory.mkdir()
    owner, standby = (daemon_on(directory, tmp_path / name, **settings) for name in ("1", "2"))
    terms: list[Written] = []
    try:
        await asyncio.to_thread(owner.start)
        async with connected(owner) as client:
            await make_bucket(client)
        for number in range(rounds):
            await asyncio.to_thread(stand_by, standby)
            terms.append(Written(f"{number:03}"))
            await write_until_stopped(owner, terms[-1], chance.randrange(1, WRITES_MAX))
            await until(lambda port=standby.port: accepts_connections(port))  # type: ignore[misc]
            assert owner.process.handle is not None
            os.kill(owner.process.pid, signal.SIGCONT)
            assert owner.process.handle.wait(10) == -signal.SIGKILL
            owner.process.handle = None
            owner, standby = standby, owner
        terms.append(Written("last"))
        await write_until_stopped(owner, terms[-1], WRITERS)
        assert_in_order(directory, terms)
    finally:
        for daemon in (owner, standby):
            daemon.process.kill()
