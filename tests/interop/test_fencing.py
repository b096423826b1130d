"""Daemons on a directory whose locks cannot be relied on, with an owner on another machine.

The owner is a lease file here: its boot is none of this machine's, and the test renews it.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dmd.ownership.lease import LeaseState, read_state
from dmd.process_options import STANDBY_OPTION
from shared.process.supervisor import EX_CONFIG
from tests.interop.daemons import MetadataProcess
from tests.servers import accepts_connections, wait_for
from tests.unit.dmd.ownership.test_lease import write

ELSEWHERE = LeaseState("owner", "another-boot", 0.4, 1, host="other-host", pid=42)
UNRELIABLE = {"directoryLocks": "unreliable", "leaseSeconds": 1}

Make = Callable[..., MetadataProcess]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Daemons on one directory, not started yet."""
    made: list[MetadataProcess] = []

    def on_shared(*options: str, **settings: Any) -> MetadataProcess:
        daemon = MetadataProcess(tmp_path / str(len(made)), **settings)
        daemon.directory = tmp_path
        daemon.process.environ["S3METADATAPATH"] = str(tmp_path)
        daemon.process.argv += options
        made.append(daemon)
        return daemon

    yield on_shared
    for daemon in made:
        daemon.process.kill()


def says(daemon: MetadataProcess, text: str) -> None:
    wait_for(lambda: text in daemon.process.output, lambda: f"{text!r}:\n{daemon.process.output}")


def serves(daemon: MetadataProcess) -> bool:
    return accepts_connections(daemon.port)


def refusal(daemon: MetadataProcess) -> str:
    """The one line with which a daemon ends that does not start."""
    daemon.process.start()
    assert daemon.process.handle is not None
    assert daemon.process.handle.wait(20) == EX_CONFIG
    lines = [line for line in daemon.process.output.splitlines() if not line.startswith("{")]
    assert len(lines) == 1
    return lines[0]


def test_a_stand_by_takes_over_when_the_command_says_so_and_not_before(
    make: Make, tmp_path: Path
) -> None:
    write(tmp_path, ELSEWHERE)
    fenced, asked = tmp_path / "fenced", tmp_path / "asked"
    script = 'echo "$TWOFOLD_FENCE_HOST $TWOFOLD_FENCE_PID" >> "$0"; test -e "$1"'
    standby = make(
        STANDBY_OPTION, **UNRELIABLE, fenceCommand=["sh", "-c", script, str(asked), str(fenced)]
    )
    standby.process.start()
    says(standby, "the owner on other-host is not fenced off, and may be writing: exit code 1")
    wait_for(lambda: asked.read_text().count("\n") > 1, "the command to be run again")
    assert read_state(tmp_path) == ELSEWHERE
    assert not serves(standby)
    fenced.touch()
    wait_for(lambda: serves(standby), "the stand-by to serve")
    assert set(asked.read_text().splitlines()) == {"other-host 42"}
    state = read_state(tmp_path)
    assert state is not None
    assert state.of_this_machine


def test_an_owner_that_renews_its_lease_is_left_alone(make: Make, tmp_path: Path) -> None:
    write(tmp_path, ELSEWHERE)
    asked = tmp_path / "asked"
    standby = make(STANDBY_OPTION, **UNRELIABLE, fenceCommand=f"touch {asked}")
    second = make(**UNRELIABLE, fenceCommand=f"touch {asked}")
    count = 1

    def renew() -> None:
        nonlocal count
        count += 1
        write(tmp_path, replace(ELSEWHERE, seconds=10, count=count))

    renew()
    standby.process.start()
    second.process.start()
    says(standby, "waiting for a lease to end")
    says(second, "waiting for a lease to end")
    renew()
    says(second, "another daemon owns this directory")
    assert second.process.handle is not None
    assert second.process.handle.wait(10) == EX_CONFIG
    assert not asked.exists()
    assert not serves(standby)
    write(tmp_path, replace(ELSEWHERE, released=True))
    wait_for(lambda: serves(standby), "the stand-by to serve")
    assert not asked.exists()


def test_a_plain_start_on_the_directory_of_a_silent_owner_says_why_it_fails(
    make: Make, tmp_path: Path
) -> None:
    write(tmp_path, ELSEWHERE)
    line = refusal(make(**UNRELIABLE, fenceCommand="false"))
    assert "the owner on other-host is not fenced off" in line
    assert read_state(tmp_path) == ELSEWHERE


def test_of_several_stand_bys_one_takes_over(make: Make, tmp_path: Path) -> None:
    write(tmp_path, ELSEWHERE)
    standbys = [make(STANDBY_OPTION, **UNRELIABLE, fenceCommand="true") for _ in range(3)]
    for standby in standbys:
        standby.process.start()
    wait_for(lambda: any(map(serves, standbys)), "a stand-by to serve")
    (owner,) = filter(serves, standbys)
    state = read_state(tmp_path)
    assert state is not None
    assert state.pid == owner.process.pid
    owner.process.kill()
    standbys.remove(owner)
    wait_for(lambda: any(map(serves, standbys)), "the next one to serve")
    assert len([*filter(serves, standbys)]) == 1


def test_an_owner_without_a_lease_is_known_by_its_lock(make: Make, tmp_path: Path) -> None:
    fenced = {**UNRELIABLE, "fenceCommand": "true"}
    with (tmp_path / "lock").open("w") as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        assert "another daemon owns this directory" in refusal(make(**fenced))
        standby = make(STANDBY_OPTION, **fenced)
        standby.process.start()
        says(standby, "standing by")
        assert not serves(standby)
    wait_for(lambda: serves(standby), "the stand-by to serve")


def test_without_a_command_there_is_no_stand_by(make: Make) -> None:
    line = refusal(make(STANDBY_OPTION, **UNRELIABLE))
    assert "config.json: metadataDaemon.fenceCommand: a stand-by for" in line
    assert "locks there cannot be relied on" in line


def test_a_plain_start_needs_no_command_and_has_a_lease(make: Make, tmp_path: Path) -> None:
    daemon = make(**UNRELIABLE)
    daemon.start()
    assert "another daemon owns this directory" in refusal(make(**UNRELIABLE))
    state = read_state(tmp_path)
    assert state is not None
    assert state.pid == daemon.process.pid


def test_a_plain_start_after_a_silent_owner_says_what_is_not_known(
    make: Make, tmp_path: Path
) -> None:
    write(tmp_path, ELSEWHERE)
    daemon = make(**UNRELIABLE)
    daemon.start()
    says(daemon, "the owner before has fallen silent")
