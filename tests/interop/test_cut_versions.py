"""Versions over connections that are cut at random bytes: every put and deletion takes effect once
or not at all, and its caller is told which, with the version ID that is stored."""

from __future__ import annotations

import asyncio
import copy
import json
import random
import uuid
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from s3front.rpc.rpc_client import RpcClient, RpcOutcomeUnknownError, RpcUnavailableError
from shared.rpc.envelope import RemoteError
from tests.interop.cutting_proxy import cutting_proxy
from tests.interop.daemons import MetadataProcess, metadata_process
from tests.interop.proxy import proxy_of
from tests.interop.raw_client import NAMESPACE, RawClient, raw_client
from tests.interop.test_cut_connections import (
    ROUNDS,
    SOAK,
    WORKERS,
    cut_before_the_answer,
    is_acknowledgement,
)
from tests.interop.test_rpc_client import client_of
from tests.property.version_model import Document, ObjectModel

PATIENT_SECONDS = 30.0
IMPATIENT_SECONDS = 0.02
"""Connections take longer to come back, and some answers to arrive."""

BYTES_MAX = 2500
"""What a connection carries before it is cut, at most."""

Rows = dict[str, Document]
Change = Callable[[ObjectModel, str], None]
"""What a call does to the model, given the version ID that it is answered with."""


@dataclass(frozen=True)
class Step:
    """A call on one object: its method, its arguments behind the key, and what it does."""

    method: str
    arguments: list[Any]
    change: Change


@dataclass
class History:
    """One object that nobody else writes, and what it must look like."""

    name: str
    sub: list[str]
    chance: random.Random
    model: ObjectModel = field(default_factory=ObjectModel)
    made: list[str] = field(default_factory=list)
    steps: int = 0
    unknown: int = 0

    def step(self) -> Step:
        """A call of some kind; each put has a value of its own."""
        self.steps += 1
        value: Document = {"value": self.steps}
        text = json.dumps(value)
        null = {**value, "isNull": True}
        kind = self.chance.choice(("new", "new", "master", "null", "again", "del", "del null"))
        if kind == "master":
            options = {"versionId": ""}
            return Step(
                "put",
                [json.dumps(null), options],
                lambda model, made: model.put_master(null, made, drop_null_key=False),
            )
        if kind == "null":
            return Step(
                "put",
                [text, {"versionId": "null"}],
                lambda model, _made: model.put_null_key(value),
            )
        if kind == "del null":
            return Step(
                "del", [{"versionId": "null"}], lambda model, _made: model.delete_null_key()
            )
        if kind in ("again", "del") and self.made:
            known = self.chance.choice(self.made[-5:])
            if kind == "del":
                return Step(
                    "del",
                    [{"versionId": known}],
                    lambda model, _made: model.delete_version(known, is_null=False),
                )
            stated = {**value, "versionId": known}
            return Step(
                "put",
                [json.dumps(stated), {"versionId": known, "isNull": False}],
                lambda model, _made: model.put_version(known, stated, is_null=False),
            )
        return Step(
            "put", [text, {"versioning": True}], lambda model, made: model.put_new(value, made)
        )

    async def run(self, client: RpcClient, direct: RpcClient, rounds: int) -> None:
        for _ in range(rounds):
            step = self.step()
            try:
                answered = await self.call(client, step)
            except RpcOutcomeUnknownError:
                self.unknown += 1
                await self.find_out(direct, step)
                continue
            self.took_effect(step, answered)

    async def call(self, client: RpcClient, step: Step) -> str:
        """The version ID that a call is answered with."""
        while True:
            try:
                answer = await client.call(step.method, [self.name, *step.arguments], self.sub)
            except RpcUnavailableError:
                continue  # it was not sent: this says nothing, and harms nothing
            except RemoteError as error:
                if error.code != 503:
                    raise
                continue  # it came when its time was over, and was not begun
            version_id: str = json.loads(answer)["versionId"]
            return version_id

    def took_effect(self, step: Step, version_id: str) -> None:
        step.change(self.model, version_id)
        if version_id != "null" and version_id not in self.made:
            self.made.append(version_id)

    async def find_out(self, direct: RpcClient, step: Step) -> None:
        """See what became of a call whose outcome is unknown: all of it, or nothing."""
        # What it waits for comes behind the call, if that has begun; later it does not begin.
        await direct.call("put", ["barrier", "", {}], [*self.sub, self.name])
        rows = await rows_of(direct, self.sub, self.name)
        if rows == self.model.rows:
            return
        ids = {row.get("versionId", "null") for row in rows.values()}
        for version_id in ("null", *(ids - set(self.made))):
            expected = copy.deepcopy(self.model)
            step.change(expected, version_id)
            if rows == expected.rows:
                self.took_effect(step, version_id)
                return
        raise AssertionError(f"{step} on {self.model.rows} left {rows}")


async def rows_of(client: RpcClient, sub: list[str], name: str) -> Rows:
    """Every record of an object, by what follows its name in the key."""
    rows: Rows = {}
    options = {"gte": name, "lt": f"{name}\x01"}
    async with aclosing(client.pages("createReadStream", [options], sub)) as pages:
        async for page in pages:
            rows.update({item["key"][len(name) :]: json.loads(item["value"]) for item in page})
    return rows


@pytest.mark.timeout(7200 if SOAK else 120)
@pytest.mark.parametrize("timeout_seconds", [PATIENT_SECONDS, IMPATIENT_SECONDS])
async def test_versions_over_connections_that_are_cut(
    daemon: MetadataProcess, sub: list[str], timeout_seconds: float
) -> None:
    chance = random.Random(7)
    histories = [History(f"object-{number}", sub, chance) for number in range(WORKERS)]
    options = {"connect_wait_seconds": 10, "call_timeout_seconds": timeout_seconds}
    async with (
        cutting_proxy(daemon.port, chance, BYTES_MAX) as proxy,
        client_of(proxy.url, **options) as client,
        client_of(daemon.url, connect_wait_seconds=10) as direct,
    ):
        rounds = ROUNDS // 2 // WORKERS
        await asyncio.gather(*(history.run(client, direct, rounds) for history in histories))
        assert proxy.cuts > ROUNDS / 80
        for history in histories:
            assert await rows_of(direct, sub, history.name) == history.model.rows
            assert len(set(history.made)) == len(history.made)
    # Who waits until there is a connection again is told what happened.
    unknown = sum(history.unknown for history in histories)
    assert (unknown == 0) == (timeout_seconds == PATIENT_SECONDS)


# -- The same call again ------------------------------------------------------------------------


def put_frame(number: int, sub: list[str], operation_id: str) -> str:
    arguments = ["k", "{}", {"versioning": True}]
    params = json.dumps({"rpcArgs": arguments, "subLevel": sub, "operationId": operation_id})
    return f'42{NAMESPACE},{number}["call","put",{params}]'


async def answer_of(raw: RawClient, number: int, sub: list[str], operation_id: str) -> Any:
    await raw.send(put_frame(number, sub, operation_id))
    reply = await raw.next()
    assert reply.startswith(f"43{NAMESPACE},{number}[null,"), reply
    return json.loads(reply.partition(f",{number}")[2])[1]


async def test_a_put_whose_answer_was_lost_is_answered_with_its_version_id(
    daemon: MetadataProcess, sub: list[str]
) -> None:
    async with (
        proxy_of(daemon) as proxy,
        client_of(proxy.url, connect_wait_seconds=10, call_timeout_seconds=10) as client,
    ):
        await client.call("getUUID", [])
        proxy.held = is_acknowledgement
        call = asyncio.create_task(client.call("put", ["k", "{}", {"versioning": True}], sub))
        await cut_before_the_answer(client, proxy, call)
        version_id = json.loads(await call)["versionId"]
        document = {"versionId": version_id}
        assert await rows_of(client, sub, "k") == {"": document, f"\0{version_id}": document}


async def test_a_repeated_id_gets_the_same_version_id_before_and_after_a_restart(
    tmp_path: Path, sub: list[str]
) -> None:
    operation_id = uuid.uuid4().hex
    with metadata_process(tmp_path) as daemon:
        async with raw_client(daemon.port) as raw:
            first = await answer_of(raw, 1, sub, operation_id)
            assert await answer_of(raw, 2, sub, operation_id) == first
        await asyncio.to_thread(daemon.process.kill)
        await asyncio.to_thread(daemon.start)
        async with raw_client(daemon.port) as raw:
            assert await answer_of(raw, 1, sub, operation_id) == first
            assert await answer_of(raw, 2, sub, uuid.uuid4().hex) != first
        async with client_of(daemon.url, connect_wait_seconds=10) as client:
            assert len(await rows_of(client, sub, "k")) == 3
