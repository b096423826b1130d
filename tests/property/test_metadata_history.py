"""Random histories of the metadata service over LMDB, with restarts, against a plain dict."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dmd.metadata.engines.base import EngineFatalError
from dmd.metadata.engines.lmdb import LmdbEngine
from dmd.metadata.metadata_service import MetadataService
from dmd.metadata.pages import Stream
from dmd.metadata.writer import Writer
from shared.errors import ServiceError
from shared.rpc.envelope import Call
from tests.unit.dmd.metadata.support import RecordingLog

SOAK = os.environ.get("TWOFOLD_SOAK") == "1"
T = TypeVar("T")

EMOJI = "\U0001f600"
SUB_LEVELS: list[tuple[str, ...]] = [("b1",), ("b10",), ("b1", "deep"), (), ("__metastore",)]
KEYS = ["", "\0", "a", "a\0", "a\0v", "a\x01", "aa", "b", "é", "\uffff", EMOJI, "\U0010ffff" * 9]
BOUNDS = ["gt", "gte", "lt", "lte", "start", "end"]
# In memory, where an fsync costs nothing: what survives a crash is tested elsewhere.
FOLDER = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108

sub_levels = st.sampled_from(SUB_LEVELS)
keys = st.one_of(st.sampled_from(KEYS), st.text(st.sampled_from("a\0" + EMOJI), max_size=3))
values = st.one_of(
    st.sampled_from(["", "{}", '{"content-length":1}', "\0", EMOJI]),
    st.integers(0, 2000).map(lambda size: '{"x":"' + "y" * size + '"}'),
)
addresses = st.tuples(sub_levels, keys)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("put"), addresses, values),
        st.tuples(st.just("del"), addresses, st.none()),
    ),
    max_size=5,
)
bounds = st.dictionaries(st.sampled_from(BOUNDS), keys, max_size=3)
# The last member chooses between the true revision, when there is one, and a wrong one.
requirements = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["absent", "present", "revision"]), addresses, st.booleans()),
        st.tuples(st.just("empty"), sub_levels, bounds),
    ),
    max_size=3,
)
batches = st.tuples(operations, requirements)


def in_range(key: str, options: dict[str, Any]) -> bool:
    """Whether a range has a key, compared as UTF-8 bytes."""
    first, last = ("end", "start") if options.get("reverse") else ("start", "end")
    data = key.encode()
    limits: dict[str, bytes] = {
        name: value.encode() for name, value in options.items() if name in BOUNDS
    }
    if "gt" in limits:
        above = data > limits["gt"]
    else:
        above = data >= limits.get("gte", limits.get(first, b""))
    if "lt" in limits:
        return above and data < limits["lt"]
    return above and data <= limits.get("lte", limits.get(last, b"\xff"))


class MetadataHistory(RuleBasedStateMachine):
    """One store and its model: value and revision by sub-level and key."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.model: dict[tuple[tuple[str, ...], str], tuple[str, int]] = {}
        self.last_revision = 0

    @initialize()
    def make(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="history-", dir=FOLDER))
        self._open()

    def teardown(self) -> None:
        self._close()
        self.runner.close()
        shutil.rmtree(self.folder)

    @rule()
    def restart(self) -> None:
        self._close()
        self._open()

    def _open(self) -> None:
        self.engine = LmdbEngine(self.folder)
        self.writer = self._run(self._make_writer())
        self.service = MetadataService(self.engine, self.writer, "uuid", self.folder)

    async def _make_writer(self) -> Writer:
        return Writer(self.engine, RecordingLog(), _unexpected)

    def _close(self) -> None:
        self._run(self.writer.close())
        self.engine.close()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    async def _call(self, name: str, arguments: list[Any], sub_level: tuple[str, ...]) -> Any:
        """The result of a call, or the name and members of its error."""
        try:
            return await self.service.call(Call(name, arguments, list(sub_level), None))
        except ServiceError as error:
            return error.code, error.fields

    # -- one record -----------------------------------------------------------------------------

    @rule(address=addresses, value=values)
    def put(self, address: tuple[tuple[str, ...], str], value: str) -> None:
        sub_level, key = address
        assert self._run(self._call("put", [key, value, {}], sub_level)) is None
        (found,) = self._read([address])
        assert found is not None
        assert found["value"] == value
        self._store(address, value, found["revision"])

    @rule(address=addresses)
    def delete(self, address: tuple[tuple[str, ...], str]) -> None:
        sub_level, key = address
        assert self._run(self._call("del", [key], sub_level)) is None
        self.model.pop(address, None)

    @rule(address=addresses)
    def get(self, address: tuple[tuple[str, ...], str]) -> None:
        sub_level, key = address
        found = self._run(self._call("get", [key, {}], sub_level))
        expected = self.model.get(address)
        assert found == (("ObjNotFound", {}) if expected is None else expected[0])

    @rule(wanted=st.lists(addresses, max_size=6))
    def get_many(self, wanted: list[tuple[tuple[str, ...], str]]) -> None:
        assert self._read(wanted) == [
            None
            if address not in self.model
            else dict(zip(("value", "revision"), self.model[address], strict=True))
            for address in wanted
        ]

    def _read(self, wanted: list[tuple[tuple[str, ...], str]]) -> list[dict[str, Any] | None]:
        reads = [{"subLevel": list(sub_level), "key": key} for sub_level, key in wanted]
        found: list[dict[str, Any] | None] = self._run(self._call("getMany", [reads], ()))
        return found

    def _store(self, address: tuple[tuple[str, ...], str], value: str, revision: int) -> None:
        assert revision > self.last_revision
        self.last_revision = revision
        self.model[address] = (value, revision)

    # -- batches --------------------------------------------------------------------------------

    @rule(batch=batches)
    def batch(self, batch: tuple[list[Any], list[Any]]) -> None:
        arguments = self._batch_arguments(*batch)
        self._apply(arguments, self._run(self._call("batch", arguments, ())))

    @rule(several=st.lists(batches, min_size=2, max_size=6))
    def concurrent_batches(self, several: list[tuple[list[Any], list[Any]]]) -> None:
        all_arguments = [self._batch_arguments(*batch) for batch in several]
        for arguments, result in zip(
            all_arguments, self._run(self._call_all(all_arguments)), strict=True
        ):
            self._apply(arguments, result)

    async def _call_all(self, all_arguments: list[list[Any]]) -> list[Any]:
        return await asyncio.gather(
            *(self._call("batch", arguments, ()) for arguments in all_arguments)
        )

    def _batch_arguments(self, changes: list[Any], demands: list[Any]) -> list[Any]:
        wire = [
            {"type": kind, "subLevel": list(sub_level), "key": key}
            | ({} if value is None else {"value": value})
            for kind, (sub_level, key), value in changes
        ]
        requires = [self._requirement(*demand) for demand in demands]
        return [wire, {"requires": requires, "returnPrevious": True}]

    def _requirement(self, form: str, subject: Any, detail: Any) -> dict[str, Any]:
        if form == "empty":
            return {"subLevel": list(subject), "empty": detail}
        sub_level, key = subject
        stated: Any = True
        if form == "revision":
            stated = self.model.get(subject, ("", 999))[1] + (0 if detail else 1)
        return {"subLevel": list(sub_level), "key": key, form: stated}

    def _holds(self, requirement: dict[str, Any]) -> bool:
        sub_level = tuple(requirement["subLevel"])
        if "empty" in requirement:
            return not any(
                path == sub_level and in_range(key, requirement["empty"])
                for path, key in self.model
            )
        found = self.model.get((sub_level, requirement["key"]))
        if "revision" in requirement:
            return found is not None and found[1] == requirement["revision"]
        return (found is None) is ("absent" in requirement)

    def _apply(self, arguments: list[Any], result: Any) -> None:
        """Compare the result of a batch with what the model makes of it."""
        changes, options = arguments
        for index, requirement in enumerate(options["requires"]):
            if not self._holds(requirement):
                assert result == ("PreconditionFailed", {"requirement": str(index)})
                return
        for change, revision, previous in zip(
            changes, result["revisions"], result["previous"], strict=True
        ):
            address = tuple(change["subLevel"]), change["key"]
            before = self.model.get(address)
            assert previous == (
                None if before is None else {"value": before[0], "revision": before[1]}
            )
            if change["type"] == "put":
                self._store(address, change["value"], revision)
            else:
                assert revision is None
                self.model.pop(address, None)

    # -- ranges ---------------------------------------------------------------------------------

    @rule(
        sub_level=sub_levels,
        options=bounds,
        reverse=st.booleans(),
        limit=st.sampled_from([None, -1, 0, 1, 2, 5]),
        shape=st.sampled_from([{}, {"values": False}, {"keys": False}]),
    )
    def stream(
        self,
        sub_level: tuple[str, ...],
        options: dict[str, Any],
        reverse: bool,
        limit: int | None,
        shape: dict[str, bool],
    ) -> None:
        asked = {**options, **shape, "reverse": reverse, "limit": limit}
        found = self._items("createReadStream", asked, sub_level)
        expected = [
            (key, value)
            for (path, key), (value, _) in sorted(
                self.model.items(), key=lambda row: row[0][1].encode(), reverse=reverse
            )
            if path == sub_level and in_range(key, asked)
        ]
        if limit is not None and limit >= 0:
            expected = expected[:limit]
        if "values" in shape:
            assert found == [key for key, _ in expected]
        elif "keys" in shape:
            assert found == [value for _, value in expected]
        else:
            assert found == [{"key": key, "value": value} for key, value in expected]

    def _items(self, name: str, options: dict[str, Any], sub_level: tuple[str, ...]) -> list[Any]:
        stream = self._run(self._call(name, [options], sub_level))
        assert isinstance(stream, Stream)
        return [item for page in stream.pages for item in page]

    @invariant()
    def the_store_has_the_keys_of_the_model_and_no_others(self) -> None:
        physical = [f"!{'#'.join(path)}!{key}" for path, key in self.model]
        assert self._items("rawListKeys", {}, ()) == sorted(physical, key=str.encode)


def _unexpected(error: EngineFatalError) -> None:
    raise AssertionError(error)


TestMetadataHistory = MetadataHistory.TestCase
TestMetadataHistory.settings = settings(
    max_examples=1_000 if SOAK else 50,
    stateful_step_count=60 if SOAK else 15,
    deadline=None,
)
