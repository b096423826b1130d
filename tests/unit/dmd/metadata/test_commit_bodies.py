"""Bodies that come with commits: what becomes of them, and what is refused."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from dmd.data.data_directory import DataDirectory
from dmd.data.disk import DiskOptions
from dmd.metadata.commit_bodies import BodySettings, CommitBodies
from dmd.metadata.metadata_service import MetadataService
from dmd.metadata.mutations import Body, Mutation, Put
from dmd.metadata.writer import Writer
from shared import limits
from shared.errors import ServiceError
from shared.rpc.attachments import Attachments, placeholder
from shared.rpc.envelope import BODIES_EXTENSION, Call
from shared.segment_records import HEADER_BYTES
from tests.faults.disk import FailingDisk, failing_disk
from tests.unit.dmd.data.harness import keys_in
from tests.unit.dmd.data.packed.test_packed_store import flip
from tests.unit.dmd.metadata.support import RecordingLog, ScriptedEngine, until

BYTES_MAX = 1000


class Daemon:
    """A service with a data directory beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = RecordingLog()
        self.engine = ScriptedEngine()
        self.bodies = CommitBodies(BodySettings(path, BYTES_MAX, DiskOptions()))
        self.disk: FailingDisk = failing_disk()
        self.bodies.segments._disk = self.disk
        self.writer = Writer(
            self.engine,
            self.log,
            lambda error: pytest.fail(str(error)),
            bodies=self.bodies.segments,
        )
        self.service = MetadataService(self.engine, self.writer, "uuid", None, bodies=self.bodies)
        DataDirectory(path).release()

    async def call(
        self, name: str, *arguments: Any, attached: tuple[bytes, ...] = (), operation: str = ""
    ) -> tuple[Any, list[bytes]]:
        """The result of a call, and what is attached to it."""
        attachments = Attachments(attached)
        call = Call(name, list(arguments), [], None, operation or None, attachments=attachments)
        return await self.service.call(call), attachments.to_send

    async def put(
        self, key: str, content: bytes, *, requires: Any = (), operation: str = "", **more: Any
    ) -> Any:
        name = secrets.token_hex(20)
        entry = {**put_of(key, name, len(content)), **more}
        options = {"requires": list(requires), "bodies": self.bodies.identity}
        return (
            await self.call("batch", [entry], options, attached=(content,), operation=operation)
        )[0]

    async def get(self, key: str, **more: Any) -> tuple[dict[str, Any], bytes | None]:
        """The record at a key, and its body if that was told."""
        (found,), attached = await self.call(
            "getMany", [{"subLevel": ["b"], "key": key, "body": True, **more}]
        )
        assert found.get("body") in (None, placeholder(0))
        return json.loads(found["value"]), attached[0] if "body" in found else None

    async def held(self, asked: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A call whose commit waits for ``engine.gate``, as does what is asked meanwhile."""
        self.engine.gate.clear()
        call = asyncio.create_task(asked)
        await until(self.engine.held.is_set)
        return call


def put_of(key: str, name: str, size: int) -> dict[str, Any]:
    """A put of a record whose blob has this name until it has a key."""
    location = [{"key": name, "size": size, "start": 0}]
    return {
        **{"type": "put", "subLevel": ["b"], "key": key, "body": placeholder(0), "bodyKey": name},
        "value": json.dumps({"key": key, "location": location}),
    }


def remove(path: Path) -> None:
    path.rename(path.with_name(f"{path.name}-moved"))


def put_back(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    path.with_name(f"{path.name}-moved").rename(path)


def segments_below(path: Path) -> list[Path]:
    return list(path.rglob("*.segment"))


def replace_directory(path: Path) -> None:
    remove(path)
    path.mkdir()


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    made = Daemon(tmp_path)
    yield made
    made.engine.gate.set()
    await made.writer.close()
    made.bodies.close()


async def refusal(asked: Any) -> str:
    with pytest.raises(ServiceError) as caught:
        await asked
    return caught.value.code


async def test_a_body_becomes_the_blob_that_the_record_names(daemon: Daemon) -> None:
    await daemon.put("k", b"body")
    record, body = await daemon.get("k")
    assert body == b"body"
    assert keys_in(daemon.path) == {record["location"][0]["key"]}


async def test_versions_have_bodies_too(daemon: Daemon) -> None:
    result = await daemon.put("k", b"body", options={"versioning": True})
    version = result["versionIds"][0]
    for key in ("k", f"k\0{version}"):
        record, body = await daemon.get(key)
        assert (body, record["versionId"]) == (b"body", version)
    assert len(keys_in(daemon.path)) == 1


async def test_bodies_of_a_group_are_written_together_and_before_the_commit(
    daemon: Daemon,
) -> None:
    await daemon.put("first", b"makes the segment")
    held = await daemon.held(daemon.put("held", b"held"))
    assert len(keys_in(daemon.path)) == 2
    puts = [asyncio.create_task(daemon.put(f"k{number}", b"%d" % number)) for number in range(9)]
    await asyncio.sleep(0)
    daemon.engine.gate.set()
    await asyncio.gather(held, *puts)
    assert [(await daemon.get(f"k{number}"))[1] for number in range(9)] == [
        b"%d" % number for number in range(9)
    ]


async def test_what_is_refused_writes_no_body(daemon: Daemon) -> None:
    requires = [{"subLevel": ["b"], "key": "other", "present": True}]
    assert await refusal(daemon.put("k", b"body", requires=requires)) == "PreconditionFailed"
    assert keys_in(daemon.path) == set()


async def test_a_repeated_call_writes_no_second_body(daemon: Daemon) -> None:
    name = secrets.token_hex(20)
    for _ in range(3):
        await daemon.call(
            "batch",
            [put_of("k", name, 4)],
            {"bodies": daemon.bodies.identity},
            attached=(b"body",),
            operation="one",
        )
    assert len(keys_in(daemon.path)) == 1
    assert (await daemon.get("k"))[1] == b"body"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"body": placeholder(1)}, "InvalidArgument"),
        ({"body": "text"}, "InvalidArgument"),
        ({"bodyKey": "x"}, "InvalidArgument"),
        ({"bodyKey": None}, "InvalidArgument"),
        ({"bodyKey": "0" * 40}, "InvalidArgument"),
        ({"bodyKey": "key"}, "InvalidArgument"),
        ({"type": "del"}, "InvalidArgument"),
    ],
    ids=str,
)
async def test_a_body_that_has_no_place_is_refused(
    change: dict[str, Any], code: str, daemon: Daemon
) -> None:
    assert await refusal(daemon.put("k", b"body", **change)) == code
    assert keys_in(daemon.path) == set()


async def test_a_large_body_is_refused(daemon: Daemon) -> None:
    assert await refusal(daemon.put("k", bytes(BYTES_MAX + 1))) == "InvalidArgument"
    await daemon.put("k", bytes(BYTES_MAX))


async def test_a_name_that_the_record_has_twice_is_refused(daemon: Daemon) -> None:
    name = secrets.token_hex(20)
    entry = {**put_of("k", name, 4), "value": json.dumps({"a": name, "b": name})}
    asked = daemon.call("batch", [entry], {"bodies": daemon.bodies.identity}, attached=(b"body",))
    assert await refusal(asked) == "InvalidArgument"


async def test_a_body_for_another_directory_is_refused(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as that of the daemon which was connected when the front-end asked."""
    monkeypatch.setattr("dmd.metadata.commit_bodies.LOOK_SECONDS", 0.0)
    unnamed: list[dict[str, Any]] = [{}, *({"bodies": name} for name in (None, "elsewhere", 1))]
    for options in unnamed:
        asked = daemon.call("batch", [put_of("k", "1" * 40, 4)], options, attached=(b"body",))
        assert await refusal(asked) == "ServiceUnavailable"
    identity = daemon.bodies.identity
    replace_directory(tmp_path)
    assert daemon.bodies.identity != identity
    asked = daemon.call(
        "batch", [put_of("k", "1" * 40, 4)], {"bodies": identity}, attached=(b"body",)
    )
    assert await refusal(asked) == "ServiceUnavailable"


async def test_bodies_are_kept_in_the_directory_that_is_there(
    daemon: Daemon, tmp_path: Path
) -> None:
    """Its segments may be gone while the process still has the one open that grows."""
    await daemon.put("k", b"before")
    shutil.rmtree(tmp_path / "packed")
    await daemon.put("k", b"after")
    record, body = await daemon.get("k")
    assert body == b"after"
    assert keys_in(tmp_path) == {record["location"][0]["key"]}


async def test_a_directory_that_is_gone_is_offered_to_nobody(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However soon after it was missed somebody asks."""
    offered = [daemon.bodies.identity]
    shutil.rmtree(tmp_path)
    with monkeypatch.context() as later:
        later.setattr("dmd.metadata.commit_bodies.LOOK_SECONDS", 0.0)
        offered.append(daemon.bodies.identity)
    offered.append(daemon.bodies.identity)
    assert offered[0] is not None
    assert offered[1:] == [None, None]


def unmount(path: Path) -> None:
    """Nothing but an empty directory is left."""
    replace_directory(path)


def bring_back_an_old_one(path: Path) -> None:
    """A data service that is older than bodies may be about to start on it."""
    replace_directory(path)
    (path / "packed").mkdir()
    (path / "about.json").write_text('{"formatVersion": 3, "owners": []}')


@pytest.mark.parametrize("change", [unmount, bring_back_an_old_one, remove])
async def test_no_body_is_kept_where_no_data_service_that_knows_of_bodies_is(
    daemon: Daemon, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    await daemon.put("k", b"before")
    change(tmp_path)
    assert await refusal(daemon.put("k", b"refused")) == "ServiceUnavailable"
    assert segments_below(tmp_path) == []
    put_back(tmp_path)
    await daemon.put("k", b"after")
    assert (await daemon.get("k"))[1] == b"after"
    (tmp_path / "about.json").write_bytes(b"damaged")
    daemon.bodies.segments.close()
    await daemon.put("k", b"to a directory whose daemon runs, and does not start again")


async def test_a_store_without_a_directory_offers_nothing(daemon: Daemon) -> None:
    manifest, _ = await daemon.call("getManifest")
    assert BODIES_EXTENSION in manifest["extensions"]
    assert manifest["bodies"] == {
        "directory": daemon.bodies.identity,
        "sizeMaxBytes": BYTES_MAX,
    }
    over_long_polling = await daemon.service.call(Call("getManifest", [], [], None))
    alone = MetadataService(daemon.engine, daemon.writer, "uuid", None)
    without = await alone.call(Call("getManifest", [], [], None, attachments=Attachments()))
    for told in (over_long_polling, without):
        assert BODIES_EXTENSION not in told["extensions"]
        assert "bodies" not in told


async def test_what_a_failing_disk_refuses_is_not_committed(daemon: Daemon) -> None:
    await daemon.put("k", b"before")
    for code, told in ((errno.ENOSPC, "InsufficientStorage"), (errno.EIO, "InternalError")):
        daemon.disk.fail("write", code)
        assert await refusal(daemon.put("k", b"refused")) == told
    daemon.disk.fail("sync", errno.EIO)
    assert await refusal(daemon.put("k", b"refused")) == "InternalError"
    assert (await daemon.get("k"))[1] == b"before"
    daemon.disk.repair()
    await daemon.put("k", b"after")
    assert (await daemon.get("k"))[1] == b"after"
    assert len(keys_in(daemon.path)) == 2


async def test_others_of_a_group_are_done_although_a_body_cannot_be_stored(daemon: Daemon) -> None:
    await daemon.put("k", b"before")
    daemon.disk.fail("write", errno.ENOSPC)
    held = await daemon.held(daemon.call("put", "held", "{}", {}))
    refused = asyncio.create_task(daemon.put("k", b"refused"))
    done = asyncio.create_task(daemon.call("put", "done", "{}", {}))
    await asyncio.sleep(0)
    daemon.engine.gate.set()
    await held
    assert await refusal(refused) == "InsufficientStorage"
    await done


async def test_bodies_that_wait_have_a_limit(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BODIES_WAITING_BYTES_MAX", 25)
    held = await daemon.held(daemon.put("1", b"0123456789"))
    waiting = asyncio.create_task(daemon.put("2", b"0123456789"))
    await asyncio.sleep(0)
    assert await refusal(daemon.put("3", b"0123456789")) == "SlowDown"
    daemon.engine.gate.set()
    await asyncio.gather(held, waiting)
    await daemon.put("3", b"0123456789")


async def test_a_group_has_so_many_bytes_of_bodies_at_most(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BODY_BYTES_AN_OPERATION", 1)
    first = await daemon.held(daemon.put("first", b"x"))
    content = bytes(BYTES_MAX)
    operations = [
        Mutation((Put(b"%d" % number, b"1" * 40, 0, b"", body=Body(0, content)),))
        for number in range(5)
    ]
    puts = [daemon.writer.submit(mutation) for mutation in operations]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    daemon.engine.gate.set()
    await asyncio.gather(first, *puts)
    per_group = limits.COMMIT_OPERATIONS_MAX // (BYTES_MAX + 1)
    assert len(daemon.engine.commits) == 1 + -(-5 // per_group)


# -- Reading ------------------------------------------------------------------------------------


async def test_only_who_asks_is_told_the_body(daemon: Daemon) -> None:
    await daemon.put("k", b"body")
    (found,), attached = await daemon.call("getMany", [{"subLevel": ["b"], "key": "k"}])
    assert "body" not in found
    assert attached == []
    read = [{"subLevel": ["b"], "key": "k", "body": True}]
    (found,) = await daemon.service.call(Call("getMany", [read], [], None))
    assert "body" not in found


@pytest.mark.parametrize(
    ("stored_size", "told"), [(6, b"sealed"), (5, None), (7, None), (BYTES_MAX + 1, None)]
)
async def test_what_is_stored_may_be_more_than_the_object(
    stored_size: int, told: bytes | None, daemon: Daemon
) -> None:
    """As that of an encrypted one is."""
    await daemon.put("k", b"sealed")
    record, body = await daemon.get("k")
    assert body == b"sealed"
    (location,) = record["location"]
    record["location"] = [{**location, "size": 3, "storedSize": stored_size}]
    await daemon.service.call(Call("put", ["k", json.dumps(record), {}], ["b"], None))
    assert (await daemon.get("k"))[1] == told


@pytest.mark.parametrize(
    "record",
    [
        *("", "[]", "{}", '{"location":null}', '{"location":[]}', '{"location":"1"}'),
        *('{"location":[{"key":"1"}]}', '{"location":[{"key":1,"size":1}]}'),
        json.dumps({"location": [{"key": digit * 40, "size": 4} for digit in "12"]}),
        json.dumps({"location": [{"key": "1" * 40, "size": "4"}]}),
        json.dumps({"location": [{"key": "1" * 40, "size": 4}]}),
        "[" * 5000,
    ],
    ids=lambda text: text[:40],
)
async def test_a_record_of_another_kind_comes_alone(record: str, daemon: Daemon) -> None:
    await daemon.service.call(Call("put", ["k", record, {}], ["b"], None))
    read = [{"subLevel": ["b"], "key": "k", "body": True}]
    (found,), attached = await daemon.call("getMany", read)
    assert found["value"] == record
    assert attached == []


async def test_a_damaged_body_is_left_to_the_data_service(daemon: Daemon) -> None:
    await daemon.put("k", b"body")
    record, _ = await daemon.get("k")
    flip(daemon.path / "packed", record["location"][0]["key"], HEADER_BYTES)
    assert await daemon.get("k") == (record, None)


async def test_what_comes_with_one_event_has_a_limit(daemon: Daemon) -> None:
    keys = [f"k{number}" for number in range(5)]
    for key in keys:
        await daemon.put(key, os.urandom(BYTES_MAX))
    attachments = Attachments(bytes_max=3 * BYTES_MAX)
    reads = [{"subLevel": ["b"], "key": key, "body": True} for key in keys]
    found = await daemon.service.call(Call("getMany", [reads], [], None, attachments=attachments))
    assert ["body" in entry for entry in found] == [True] * 3 + [False] * 2
    assert len(attachments.to_send) == 3
