"""The lease on a directory: renewals, expiry, and the timer that ends a silent owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import orjson
import pytest

from dmd.errors import StartupError
from dmd.ownership import lease
from dmd.ownership.lease import (
    FILE_NAME,
    DamagedLeaseError,
    LeaseState,
    read_state,
    wait_for_expiry,
)
from dmd.ownership.owned_directory import OwnedDirectory, Ownership
from shared.boot_clock import boot_seconds
from tests.servers import REPOSITORY, wait_for
from tests.unit.dmd.metadata.support import HarmlessTimer

OWNED_SECONDS = 3
"""Long enough for a busy machine to renew it in time."""

ELSEWHERE = LeaseState("somebody", "another-boot", 0.4, 7)

OWNER = """
import sys
from pathlib import Path
from dmd.ownership.owned_directory import OwnedDirectory, Ownership
directory = OwnedDirectory(Path(sys.argv[1]), Ownership(float(sys.argv[2])))
print("owned", flush=True)
sys.stdin.read()
directory.release()
"""


def write(directory: Path, state: LeaseState) -> None:
    unfinished = directory / "unfinished"
    unfinished.write_bytes(orjson.dumps(asdict(state)))
    unfinished.rename(directory / FILE_NAME)


def waited(directory: Path) -> float:
    """How many seconds a new owner waits for the lease before."""
    begun = boot_seconds()
    wait_for_expiry(directory, lambda _state: None)
    return boot_seconds() - begun


def owner(directory: Path, seconds: float) -> subprocess.Popen[bytes]:
    """A process that owns a directory until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(directory), str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"owned\n"
    return process


def test_a_directory_without_a_lease_is_free(tmp_path: Path) -> None:
    assert waited(tmp_path) < 30


def test_a_released_lease_is_free(tmp_path: Path) -> None:
    write(tmp_path, replace(ELSEWHERE, seconds=60, released=True))
    assert waited(tmp_path) < 30


def test_an_owner_of_this_machine_is_known_by_its_lock(tmp_path: Path) -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    write(tmp_path, replace(ELSEWHERE, boot=boot, seconds=60))
    assert waited(tmp_path) < 30


def test_an_owner_elsewhere_is_given_its_lease_and_a_margin(tmp_path: Path) -> None:
    write(tmp_path, ELSEWHERE)
    assert waited(tmp_path) >= ELSEWHERE.seconds * 1.5


def test_a_renewal_begins_the_wait_anew(tmp_path: Path) -> None:
    write(tmp_path, ELSEWHERE)
    renewed = threading.Timer(
        ELSEWHERE.seconds, lambda: write(tmp_path, replace(ELSEWHERE, count=8))
    )
    renewed.start()
    assert waited(tmp_path) >= ELSEWHERE.seconds * 2.5


def test_a_release_ends_the_wait(tmp_path: Path) -> None:
    write(tmp_path, replace(ELSEWHERE, seconds=60))
    released = threading.Timer(
        0.1, lambda: write(tmp_path, replace(ELSEWHERE, seconds=60, released=True))
    )
    released.start()
    assert waited(tmp_path) < 30


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"owner": 1}'])
def test_a_damaged_lease_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(StartupError, match="cannot be read as a lease"):
        OwnedDirectory(tmp_path)


def test_a_lease_is_renewed_and_released(tmp_path: Path) -> None:
    process = owner(tmp_path, OWNED_SECONDS)
    first = read_state(tmp_path)
    assert first is not None

    def renewed() -> bool:
        state = read_state(tmp_path)
        return state is not None and state.count > first.count + 2

    wait_for(renewed, "renewals")
    assert process.poll() is None
    process.communicate()
    assert process.returncode == 0
    state = read_state(tmp_path)
    assert state is not None
    assert state.released


def test_without_a_lease_the_old_one_is_removed(tmp_path: Path) -> None:
    write(tmp_path, replace(ELSEWHERE, seconds=60, released=True))
    OwnedDirectory(tmp_path).release()
    assert read_state(tmp_path) is None


def test_a_stopped_owner_dies_before_a_stand_by_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "KillTimer", HarmlessTimer)
    process = owner(tmp_path, OWNED_SECONDS)
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(StartupError, match="another daemon owns"):
        OwnedDirectory(tmp_path)
    successor = OwnedDirectory(tmp_path, Ownership(1, standby=True))
    # The lock was free, so its holder is gone: nothing of it can write any more.
    assert process.wait(5) == -signal.SIGKILL
    successor.release()


def test_a_lease_that_is_damaged_under_its_owner_is_written_anew(tmp_path: Path) -> None:
    process = owner(tmp_path, 4)
    first = read_state(tmp_path)
    assert first is not None
    (tmp_path / FILE_NAME).write_bytes(b"\0" * 100)

    def whole_again() -> bool:
        with suppress(StartupError):
            state = read_state(tmp_path)
            return state is not None and state.count > first.count + 1
        return False

    wait_for(whole_again, "the lease to be written anew")
    process.communicate()
    assert process.returncode == 0


def test_every_flipped_bit_of_a_lease_is_noticed_or_harmless(tmp_path: Path) -> None:
    process = owner(tmp_path, 30)
    process.communicate()
    state = read_state(tmp_path)
    content = (tmp_path / FILE_NAME).read_bytes()
    for bit in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        (tmp_path / FILE_NAME).write_bytes(damaged)
        with suppress(DamagedLeaseError):
            assert read_state(tmp_path) == state


def test_an_owner_that_cannot_renew_dies(tmp_path: Path) -> None:
    process = owner(tmp_path, 1)
    write(tmp_path, ELSEWHERE)  # somebody else has taken it
    assert process.wait(10) == -signal.SIGKILL


def test_an_owner_whose_directory_is_gone_dies(tmp_path: Path) -> None:
    directory = tmp_path / "directory"
    directory.mkdir()
    process = owner(directory, 1)
    directory.rename(tmp_path / "moved")
    assert process.wait(10) == -signal.SIGKILL
