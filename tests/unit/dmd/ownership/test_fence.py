"""The command that fences off an owner: what it is told, and what its outcomes mean."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dmd.ownership.fence import fence
from dmd.ownership.lease import LeaseState
from shared import limits
from tests.servers import wait_for

OWNER = LeaseState("uuid-1", "boot-1", 10, 7, host="host-1", pid=42)


def test_the_command_is_told_who_the_owner_is(tmp_path: Path) -> None:
    script = "import json, os, sys; json.dump(dict(os.environ), open(sys.argv[1], 'w'))"
    file = tmp_path / "environment"
    assert fence([sys.executable, "-c", script, str(file)], tmp_path, OWNER) is None
    text = file.read_text()
    for name, value in (
        ("DIRECTORY", str(tmp_path)),
        ("HOST", "host-1"),
        ("PID", "42"),
        ("BOOT", "boot-1"),
        ("OWNER", "uuid-1"),
    ):
        assert f'"TWOFOLD_FENCE_{name}": "{value}"' in text


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (["sh", "-c", "exit 3"], "exit code 3"),
        (["sh", "-c", "kill -9 $$"], "exit code -9"),
        (["/missing/fence"], "cannot run /missing/fence: No such file or directory"),
        (["/etc/passwd"], "cannot run /etc/passwd: Permission denied"),
    ],
)
def test_an_owner_is_not_fenced_off_by_a_command_that_fails(
    tmp_path: Path, command: list[str], problem: str
) -> None:
    assert fence(command, tmp_path, OWNER) == problem


def test_a_command_that_hangs_is_ended_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FENCE_SECONDS_MAX", 0.5)
    file = tmp_path / "pid"
    command = ["sh", "-c", 'sleep 1000 & echo $! > "$0"; wait', str(file)]
    assert fence(command, tmp_path, OWNER) == "no result within 0.5 seconds"
    child = Path(f"/proc/{file.read_text().strip()}")

    def ended() -> bool:
        return not child.exists() or ") Z " in (child / "stat").read_text()

    wait_for(ended, "the end of what the command started")
