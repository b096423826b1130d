"""What the start of a process does not import: it costs CPU at each start, and memory for ever.

Each of these is imported on first use by the function that needs it (CONTRIBUTING.md).
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.servers import REPOSITORY

LATER = {"aiohttp", "engineio", "rich", "socketio", "typer"}


@pytest.mark.parametrize(
    "module",
    [
        "dmd.metadata.__main__",
        "dmd.data.__main__",
        "s3front.process.serve",
        "s3front.work.__main__",
    ],
)
def test_a_service_imports_nothing_that_it_may_never_need(module: str) -> None:
    assert not LATER & imported_by(module)


def test_serving_and_background_work_know_nothing_of_each_other() -> None:
    assert not [name for name in imported_by("s3front.process.serve") if "s3front.work" in name]
    served = ("s3front.app", "s3front.auth", "s3front.operations", "s3front.port.http_server")
    working = imported_by("s3front.work.__main__")
    assert not [name for name in working if name.startswith(served)]


@pytest.mark.parametrize("module", ["dmd.cli", "s3front.cli"])
def test_a_command_that_becomes_another_program_imports_little(module: str) -> None:
    assert not (LATER | {"asyncio", "logging", "ssl", "uvloop"}) & imported_by(module)


def imported_by(module: str) -> set[str]:
    program = f"import sys, {module}; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, check=True, text=True
    )
    return set(run.stdout.split())
