"""Random histories of versioned calls over LMDB, with restarts, against a model of plain dicts."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import orjson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dmd.metadata import record_log
from dmd.metadata.commit import CommitSettings
from dmd.metadata.engines.base import EngineFatalError
from dmd.metadata.engines.lmdb import LmdbEngine
from dmd.metadata.metadata_service import MetadataService
from dmd.metadata.pages import Stream
from dmd.metadata.record_log import RecordLogSettings
from dmd.metadata.record_log_service import LogStream, RecordLogService
from dmd.metadata.writer import Writer
from shared.errors import ServiceError
from shared.rpc.envelope import Call
from tests.property.version_model import INFINITE, Document, ObjectModel
from tests.unit.dmd.metadata.support import RecordingLog

SOAK = os.environ.get("TWOFOLD_SOAK") == "1"
STEPS = 100 if SOAK else 25
EXAMPLES = (50_000 if SOAK else 1_000) // STEPS
T = TypeVar("T")

BUCKET = "bucket"
LOG = RecordLogSettings("log")
PLAIN = ("put", "placeholder", "del")
KEYS = ["k", "k2"]
PAGES_MAX = 500
# Older and newer than what is made here, and one of another shape.
FOREIGN_IDS = ["00000000000000000001RG002  ", "99999999999999999990RG002  x", INFINITE]
FOLDER = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108

READ_LOG = Call("readRecords", [{}], [], None)

keys = st.sampled_from(KEYS)
nulls = st.sampled_from([None, True, False])
# A version that exists, by its number, or a foreign ID.
ids = st.sampled_from([0, 1, 2, 3, *FOREIGN_IDS])
operations = st.one_of(
    st.tuples(st.sampled_from(["put", "placeholder"]), keys),
    st.tuples(st.just("new"), keys, st.sampled_from([True, ""])),
    st.tuples(st.just("master"), keys, st.booleans(), st.booleans()),
    st.tuples(st.just("null"), keys),
    st.tuples(st.just("version"), keys, ids, nulls, st.booleans()),
    st.tuples(st.just("del"), keys, st.sampled_from([None, ""])),
    st.tuples(st.just("del null"), keys),
    st.tuples(st.just("del version"), keys, ids, st.booleans()),
)
several = st.lists(operations, min_size=3, max_size=8)
requirements = st.lists(
    st.tuples(st.sampled_from(["absent", "present", "revision"]), keys, ids, st.booleans()),
    max_size=2,
)


class VersionHistory(RuleBasedStateMachine):
    """One bucket and its model: rows of documents by key, and the data that was given up."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.objects = {key: ObjectModel() for key in KEYS}
        self.given_up: Counter[str] = Counter()
        self.last_made = "~"
        self.written = 0

    @initialize()
    def make(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="versions-", dir=FOLDER))
        self._open()

    def teardown(self) -> None:
        self._replay_the_log()
        self._close()
        self.runner.close()
        shutil.rmtree(self.folder)

    @rule()
    def restart(self) -> None:
        self._close()
        self._open()

    def _open(self) -> None:
        self.engine = LmdbEngine(self.folder)
        with self.engine.transaction() as transaction:
            record_log.settle(transaction, LOG.name)
        self.writer = self._run(self._make_writer())
        self.service = MetadataService(self.engine, self.writer, "uuid", self.folder)

    async def _make_writer(self) -> Writer:
        return Writer(self.engine, RecordingLog(), _unexpected, CommitSettings(record_log=LOG))

    def _close(self) -> None:
        self._run(self.writer.close())
        self.engine.close()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    def _call(self, name: str, *arguments: Any) -> Any:
        """The result of a call, or the name of its error."""
        call = Call(name, list(arguments), [BUCKET], None)
        try:
            return self._run(self.service.call(call))
        except ServiceError as error:
            return error.code

    # -- calls ----------------------------------------------------------------------------------

    @rule(calls=several)
    def calls(self, calls: list[tuple[Any, ...]]) -> None:
        for operation in calls:
            wire = self._wire(operation)
            value = [wire["value"]] if "value" in wire else []
            answer = self._call(wire["type"], wire["key"], *value, wire["options"])
            made = None if answer is None else json.loads(answer)["versionId"]
            self._expect(operation, wire, made, release=False)

    @rule(batch=several, demands=requirements, release=st.booleans())
    def batch(
        self, batch: list[tuple[Any, ...]], demands: list[tuple[Any, ...]], release: bool
    ) -> None:
        requires, hold = self._requirements(demands)
        wires = []
        for operation in batch:
            wire = self._wire(operation)
            # Plain operations give up what they replace, whoever else names it.
            released = release and operation[0] not in PLAIN
            wires.append({**wire, "subLevel": [BUCKET], "release": released})
        result = self._call("batch", wires, {"requires": requires})
        if not hold:
            assert result == "PreconditionFailed"
            return
        made = result.get("versionIds", [None] * len(batch))
        for operation, wire, version_id in zip(batch, wires, made, strict=True):
            self._expect(operation, wire, version_id, release=wire["release"])

    @rule(key=keys, version_id=st.sampled_from(["", "", "null", 0, 1, *FOREIGN_IDS]))
    def get(self, key: str, version_id: int | str) -> None:
        model = self.objects[key]
        if version_id == "":
            model.repair()
            expected = model.rows.get("")
        else:
            version_id = self._id(key, version_id)
            expected = model.rows.get("\0" if version_id == "null" else f"\0{version_id}")
        found = self._call("get", key, {"versionId": version_id})
        assert found == "ObjNotFound" if expected is None else json.loads(found) == expected

    @rule(wanted=st.lists(keys, max_size=3))
    def get_many(self, wanted: list[str]) -> None:
        found = self._call("getMany", [{"subLevel": [BUCKET], "key": key} for key in wanted])
        for key in wanted:
            self.objects[key].repair()
        assert [entry and json.loads(entry["value"]) for entry in found] == [
            self.objects[key].rows.get("") for key in wanted
        ]

    @rule(maximum=st.integers(1, 4))
    def list_objects(self, maximum: int) -> None:
        """Page by page: every master, and in the place of a placeholder the newest version."""
        found: list[str] = []
        after = ""
        for _ in range(PAGES_MAX):
            page = self._list(type="DelimiterMaster", marker=after, maxKeys=maximum)
            found += [name for name, _ in page["Contents"]]
            if not page["IsTruncated"]:
                break
            after = page["NextMarker"]
        else:
            raise AssertionError("the pages do not end")
        assert found == [key for key in KEYS if self._has_current(key)]

    def _has_current(self, key: str) -> bool:
        rows = self.objects[key].rows
        if not _is_placeholder(rows.get("")):
            return "" in rows
        return any(place and not _is_placeholder(row) for place, row in rows.items())

    @rule(maximum=st.integers(1, 4))
    def list_versions(self, maximum: int) -> None:
        """Page by page: every version once, whether it has one record or two."""
        found: Counter[tuple[str, str | None]] = Counter()
        latest: Counter[str] = Counter()
        markers: dict[str, str] = {}
        for _ in range(PAGES_MAX):
            page = self._list(type="DelimiterVersions", maxKeys=maximum, **markers)
            found.update((name, version_id) for name, version_id, _, _ in page["Versions"])
            latest.update(name for name, _, is_latest, _ in page["Versions"] if is_latest)
            if not page["IsTruncated"]:
                break
            markers = {"keyMarker": page["NextKeyMarker"]}
            markers["versionIdMarker"] = page["NextVersionIdMarker"]
        else:
            raise AssertionError("the pages do not end")
        for key in KEYS:
            expected = self._versions(key)
            assert {entry: n for entry, n in found.items() if entry[0] == key} == expected
            assert latest[key] == (1 if expected else 0)

    def _versions(self, key: str) -> Counter[tuple[str, str | None]]:
        rows = self.objects[key].rows
        master = rows.get("")
        known = None if master is None or _is_placeholder(master) else master.get("versionId")
        is_null = known is None or bool(master and master.get("isNull"))
        is_null = is_null and not _is_placeholder(master)
        versions: Counter[tuple[str, str | None]] = Counter()
        for place, row in rows.items():
            if _is_placeholder(row):
                continue
            version_id = place[1:] if len(place) > 1 else row.get("versionId")
            if place == "\0" and master is not None and is_null:
                continue  # there is one null version at most
            if not place or version_id is None or version_id != known:
                versions[key, version_id] = 1
        return versions

    def _list(self, **params: Any) -> Any:
        return orjson.loads(orjson.dumps(self._call("list", params)))

    # -- the model --------------------------------------------------------------------------------

    def _document(self) -> Document:
        """A document that names data of its own."""
        self.written += 1
        return {"n": self.written, "location": [{"key": f"data-{self.written}", "size": 1}]}

    def _id(self, key: str, chosen: int | str) -> str:
        """A foreign ID, or one of those that the object has."""
        if isinstance(chosen, str):
            return chosen
        known = {row["versionId"] for row in self.objects[key].rows.values() if "versionId" in row}
        known |= {place[1:] for place in self.objects[key].rows if len(place) > 1}
        return sorted(known)[chosen % len(known)] if known else FOREIGN_IDS[chosen % 2]

    def _wire(self, operation: tuple[Any, ...]) -> dict[str, Any]:
        """The operation as a batch has it; ``document`` is its value, parsed."""
        kind, key, *details = operation
        options: dict[str, Any] = {}
        document = self._document()
        match kind, details:
            case "placeholder", _:
                # What CloudServer's daemon stores when it deletes a latest version.
                document = {"isPHD": True, "versionId": FOREIGN_IDS[0]}
            case "new", [flag]:
                options = {"versioning": flag}
            case "master", [drop, null]:
                options = {"versionId": "", "deleteNullKey": drop}
                document |= {"isNull": True} if null else {}
            case (("null" | "del null"), _):
                options = {"versionId": "null"}
            case "version", [chosen, is_null, change]:
                version_id = self._id(key, chosen)
                options = {"versionId": version_id, "versioning": True}
                options |= {} if is_null is None else {"isNull": is_null}
                document = self._version(key, version_id, document, change)
                document |= {"isNull": True, "isNull2": True} if is_null else {}
            case "del", [flag]:
                options = {} if flag is None else {"versionId": flag}
            case "del version", [chosen, is_null]:
                options = {"versionId": self._id(key, chosen), "isNull": is_null}
        if kind.startswith("del"):
            return {"type": "del", "key": key, "options": options}
        value = json.dumps(document, separators=(",", ":"))
        return {"type": "put", "key": key, "value": value, "options": options}

    def _version(self, key: str, version_id: str, document: Document, change: bool) -> Document:
        """A value for a version: a new one, or the stored one with a change. Values of versions
        carry their IDs."""
        stored = self.objects[key].rows.get(f"\0{version_id}")
        if change and stored is not None:
            return {**stored, "changed": self.written}
        return {**document, "versionId": version_id}

    def _expect(
        self, operation: tuple[Any, ...], wire: dict[str, Any], answered: Any, *, release: bool
    ) -> None:
        """Let the model follow an operation that was answered with a version ID, or none."""
        kind, key, *_ = operation
        row = self.objects[key]
        before = row.data
        options = wire["options"]
        version_id = options.get("versionId")
        document = json.loads(wire["value"]) if "value" in wire else {}
        if kind in ("new", "master"):
            assert answered < self.last_made
            self.last_made = answered
        elif kind in PLAIN:
            assert answered is None
        else:
            assert answered == version_id
        match kind:
            case "put" | "placeholder":
                row.rows[""] = document
            case "new":
                row.put_new(document, answered)
            case "master":
                row.put_master(document, answered, options["deleteNullKey"])
            case "null":
                row.put_null_key(document)
            case "version":
                row.put_version(version_id, document, options.get("isNull"))
            case "del":
                row.delete_master()
            case "del null":
                row.delete_null_key()
            case "del version":
                row.delete_version(version_id, options["isNull"])
        if release:
            self.given_up.update(before - row.data)

    def _requirements(self, demands: list[tuple[Any, ...]]) -> tuple[list[dict[str, Any]], bool]:
        """Requirements on versions, on the wire, and whether all of them hold."""
        requires: list[dict[str, Any]] = []
        hold = True
        for form, key, chosen, truth in demands:
            place = "" if chosen == 0 else f"\0{self._id(key, chosen)}"
            exists = place in self.objects[key].rows
            entry: dict[str, Any] = {"subLevel": [BUCKET], "key": key + place}
            if form == "revision":
                if not place:
                    self.objects[key].repair()
                    exists = place in self.objects[key].rows
                (found,) = self._call("getMany", [entry])
                assert (found is not None) is exists
                entry["revision"] = (found["revision"] if found else 1) + (0 if truth else 1)
                hold = hold and exists and truth
            else:
                entry[form] = True
                hold = hold and exists is (form == "present")
            requires.append(entry)
        return requires, hold

    # -- the whole store --------------------------------------------------------------------------

    def _items(self, sub_level: str) -> list[Any]:
        stream = self._run(self.service.call(Call("createReadStream", [{}], [sub_level], None)))
        assert isinstance(stream, Stream)
        return [item for page in stream.pages for item in page]

    def _replay_the_log(self) -> None:
        """Whoever does what the log of changes says has what the store has."""
        stream = self._run(RecordLogService(self.engine, LOG).call(READ_LOG))
        assert isinstance(stream, LogStream)
        replica: dict[str, str] = {}
        for entry in (entry for page in stream.pages for entry in page):
            assert entry["db"] == BUCKET
            (change,) = entry["entries"]
            if change["type"] == "put":
                replica[change["key"]] = change["value"]
            else:
                replica.pop(change["key"], None)
        assert replica == {item["key"]: item["value"] for item in self._items(BUCKET)}

    @invariant()
    def the_store_has_the_rows_of_the_model_and_no_others(self) -> None:
        expected = {
            key + place: row
            for key, model in self.objects.items()
            for place, row in model.rows.items()
        }
        found = {item["key"]: json.loads(item["value"]) for item in self._items(BUCKET)}
        assert found == expected

    @invariant()
    def data_is_given_up_when_no_version_names_it_any_more(self) -> None:
        entries = [json.loads(item["value"]) for item in self._items("..deletions")]
        queued = Counter(stretch["key"] for entry in entries for stretch in entry["location"])
        assert queued == self.given_up


def _is_placeholder(row: Document | None) -> bool:
    return row is not None and bool(row.get("isPHD"))


def _unexpected(error: EngineFatalError) -> None:
    raise AssertionError(error)


TestVersionHistory = VersionHistory.TestCase
TestVersionHistory.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None
)
