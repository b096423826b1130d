"""``kill -9`` of the metadata process under a load of conditional batches.

Each worker owns a head record. A batch puts two records of its own and the head, and requires the
head to be what the worker last saw; now and then it states what is not so, and must be refused.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from s3front.rpc.rpc_client import RpcClient, RpcOutcomeUnknownError, RpcUnavailableError
from shared.rpc.envelope import METADATA_NAMESPACE, RemoteError
from tests.interop.daemons import MetadataProcess
from tests.unit.dmd.metadata.support import RecordingLog, until

SOAK = os.environ.get("TWOFOLD_SOAK") == "1"
ROUNDS = 200 if SOAK else 5
WORKERS = 24
BATCHES_BEFORE_KILL_MAX = 300
REFUSED_EVERY = 5
SUB_LEVEL = ["..crash"]


@dataclass
class Worker:
    """What one worker knows of its records."""

    name: str
    batches: int = 0
    head: str | None = None
    head_revision: int = 0
    acknowledged: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    unknown: str | None = None
    stopping: bool = False

    @property
    def head_key(self) -> str:
        return f"{self.name}/head"

    def records_of(self, batch: str) -> list[str]:
        return [f"{self.name}/{batch}/{part}" for part in "ab"]

    async def run(self, client: RpcClient) -> None:
        """Commit batches until the daemon is gone, or until it is to stop."""
        with suppress(RpcUnavailableError):
            while self.unknown is None and not self.stopping:
                self.batches += 1
                batch = f"{self.batches:06}"
                if self.batches % REFUSED_EVERY == 0:
                    await self._be_refused(client, batch)
                else:
                    await self._commit(client, batch)

    async def _commit(self, client: RpcClient, batch: str) -> None:
        keys = [*self.records_of(batch), self.head_key]
        requirement: dict[str, Any] = {"subLevel": SUB_LEVEL, "key": self.head_key}
        if self.head is None:
            requirement["absent"] = True
        else:
            requirement["revision"] = self.head_revision
        try:
            result = await client.call("batch", _arguments(keys, batch, requirement))
        except RpcOutcomeUnknownError:
            self.unknown = batch
            return
        self.acknowledged.update(zip(keys, result["revisions"], strict=True))
        self.head, self.head_revision = batch, result["revisions"][-1]

    async def _be_refused(self, client: RpcClient, batch: str) -> None:
        self.refused.append(batch)
        wrong = {"subLevel": SUB_LEVEL, "key": self.head_key, "revision": self.head_revision + 1}
        keys = [*self.records_of(batch), self.head_key]
        with suppress(RpcOutcomeUnknownError):
            with pytest.raises(RemoteError, match="PreconditionFailed"):
                await client.call("batch", _arguments(keys, batch, wrong))
            return
        self.unknown = ""  # whatever became of it, it must have written nothing

    def settle(self, stored: dict[str, tuple[str, int]]) -> None:
        """Compare what is stored with what was answered; the batch of unknown outcome counts as
        committed when it is there."""
        if self.unknown:
            there = [key in stored for key in self.records_of(self.unknown)]
            assert all(there) or not any(there), f"half of batch {self.unknown} of {self.name}"
            if all(there):
                self.head = self.unknown
                keys = [*self.records_of(self.unknown), self.head_key]
                self.acknowledged.update({key: stored[key][1] for key in keys})
                self.head_revision = stored[self.head_key][1]
        self.unknown = None
        for key, revision in self.acknowledged.items():
            assert stored[key][1] == revision, key
        for batch in self.refused:
            assert not any(key in stored for key in self.records_of(batch))
        if self.head is not None:
            assert stored[self.head_key][0] == self.head
        expected = {key for key in stored if key.startswith(f"{self.name}/")}
        assert expected == set(self.acknowledged)


def _arguments(keys: list[str], value: str, requirement: dict[str, Any]) -> list[Any]:
    operations = [
        {"type": "put", "subLevel": SUB_LEVEL, "key": key, "value": value} for key in keys
    ]
    return [operations, {"requires": [requirement]}]


@asynccontextmanager
async def connected(daemon: MetadataProcess) -> AsyncIterator[RpcClient]:
    """A client of the daemon, until the end of the block."""
    client = RpcClient(daemon.url, METADATA_NAMESPACE, RecordingLog(), connect_wait_seconds=5)
    client.start()
    try:
        yield client
    finally:
        await client.close()


async def read_store(client: RpcClient) -> dict[str, tuple[str, int]]:
    """Value and revision of every record."""
    keys: list[str] = []
    stream = client.pages("createReadStream", [{"values": False}], SUB_LEVEL)
    async with aclosing(stream) as pages:
        async for page in pages:
            keys += page
    stored: dict[str, tuple[str, int]] = {}
    for start in range(0, len(keys), 1000):
        some = keys[start : start + 1000]
        reads = [{"subLevel": SUB_LEVEL, "key": key} for key in some]
        found = await client.call("getMany", [reads])
        stored.update({k: (f["value"], f["revision"]) for k, f in zip(some, found, strict=True)})
    return stored


async def load_until_killed(
    daemon: MetadataProcess, client: RpcClient, workers: list[Worker], batches: int
) -> None:
    """Run the workers, and kill the daemon when so many batches were answered."""
    running = [asyncio.create_task(worker.run(client)) for worker in workers]
    start = sum(worker.batches for worker in workers)
    await until(lambda: sum(worker.batches for worker in workers) >= start + batches)
    await asyncio.to_thread(daemon.process.kill)
    await client.close()
    await asyncio.gather(*running)


@pytest.mark.timeout(7200 if SOAK else 120)
async def test_no_answer_is_taken_back_by_a_kill(tmp_path: Path) -> None:
    chance = random.Random(20)
    daemon = MetadataProcess(tmp_path)
    workers = [Worker(f"w{number:02}") for number in range(WORKERS)]
    try:
        for _ in range(ROUNDS):
            await asyncio.to_thread(daemon.start)
            async with connected(daemon) as client:
                await verify(client, workers)
                batches = chance.randint(WORKERS, BATCHES_BEFORE_KILL_MAX)
                await load_until_killed(daemon, client, workers, batches)
        await asyncio.to_thread(daemon.start)
        async with connected(daemon) as client:
            await verify(client, workers)
    finally:
        daemon.process.kill()
    assert all(worker.acknowledged and worker.refused for worker in workers)


async def verify(client: RpcClient, workers: list[Worker]) -> None:
    """Compare the store with what every worker knows, and see that revisions go on."""
    stored = await read_store(client)
    for worker in workers:
        worker.settle(stored)
    operation = {"type": "put", "subLevel": ["..after"], "key": "k", "value": ""}
    result = await client.call("batch", [[operation]])
    assert all(revision < result["revisions"][0] for _, revision in stored.values())
