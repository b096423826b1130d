"""The walks that docs/architecture.md draws are those that requests take.

Each sequence diagram there names modules and the functions by which one enters the next. They are
to be short, and are held against the calls that the running processes make.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers import REPOSITORY
from tests.walks.requests_walked import REQUESTS, prepare
from tests.walks.traced_servers import Call, TracedServers, traced_servers

ROOMS_MAX = 12
RETURNS_MAX = 4
READ = ("s3front.metadata.bucket_store", "read_with_known")

_DIAGRAM = re.compile(r"^### (\w+)\n.*?^```mermaid\nsequenceDiagram\n(.*?)^```$", re.M | re.S)
_ROOM = re.compile(r"^ *participant (\w+) as ([\w.]+)$")
_STEP = re.compile(r"^ *(\w+)->>(\w+): (\w+)\b.*$")


@dataclass(frozen=True)
class Step:
    """One module's call of another one's function."""

    caller: str
    module: str
    function: str

    def is_seen_in(self, call: Call) -> bool:
        """The halves speak to each other over the wire, where nobody is seen to call."""
        if (self.module, self.function) != (call.module, call.function):
            return False
        return self.caller == call.caller or self.caller.split(".")[0] != self.module.split(".")[0]


@dataclass(frozen=True)
class Walk:
    """A diagram."""

    rooms: dict[str, str]
    steps: list[Step]


def drawn() -> dict[str, Walk]:
    """The diagrams of the document, by the name of the operation."""
    text = (REPOSITORY / "docs" / "architecture.md").read_text()
    return {name: _walk(lines.splitlines()) for name, lines in _DIAGRAM.findall(text)}


def _walk(lines: list[str]) -> Walk:
    rooms: dict[str, str] = {}
    steps: list[Step] = []
    for line in lines:
        if room := _ROOM.match(line):
            rooms[room[1]] = room[2]
        else:
            step = _STEP.match(line)
            assert step, f"neither a room nor a step: {line}"
            steps.append(Step(rooms[step[1]], rooms[step[2]], step[3]))
    return Walk(rooms, steps)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TracedServers]:
    folder: Path = tmp_path_factory.mktemp("walks")
    with traced_servers(folder) as running:
        prepare(running.s3)
        yield running


def test_each_of_the_requests_is_drawn() -> None:
    assert drawn().keys() == REQUESTS.keys()


@pytest.mark.parametrize("name", REQUESTS)
def test_walk_is_short(name: str) -> None:
    """A return is a step into a room that one has been in before."""
    walk = drawn()[name]
    entered = [walk.steps[0].caller]
    returns: list[str] = []
    for step in walk.steps:
        (returns if step.module in entered else entered).append(step.module)
    assert len(walk.rooms) <= ROOMS_MAX
    assert len(returns) <= RETURNS_MAX
    assert set(entered) == set(walk.rooms.values())


@pytest.mark.parametrize("name", REQUESTS)
def test_walk_is_true(name: str, servers: TracedServers) -> None:
    walk = drawn()[name]
    request = REQUESTS[name]
    calls = servers.walk(lambda: request(servers.s3))
    position = 0
    for step in walk.steps:
        while position < len(calls) and not step.is_seen_in(calls[position]):
            position += 1
        assert position < len(calls), f"not seen, or not there: {step}"


def test_plain_puts_and_deletions_read_nothing(servers: TracedServers) -> None:
    s3 = servers.s3
    bucket = "plain"
    s3.create_bucket(Bucket=bucket)
    for state in (None, "Enabled"):
        if state is not None:
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": state})
        for key, reads in ((f"first {state}", True), ("new", False), ("new", False)):
            calls = servers.walk(lambda key=key: s3.put_object(Bucket=bucket, Key=key))  # type: ignore[misc]
            assert (READ in {(call.module, call.function) for call in calls}) is reads
        calls = servers.walk(lambda: s3.delete_object(Bucket=bucket, Key="new"))
        assert READ not in {(call.module, call.function) for call in calls}
    # The first one is a null version, so that this and all that follow are read.
    for key in ("first None", "new"):
        calls = servers.walk(lambda key=key: s3.put_object(Bucket=bucket, Key=key))  # type: ignore[misc]
        assert READ in {(call.module, call.function) for call in calls}
