"""``make interop`` with a stand-in for CloudServer: a folder whose scripts start our own halves."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.interop.original import Half
from tests.interop.with_original import (
    ALONE,
    OURS_ON_THEIRS,
    THEIRS_ON_OURS,
    Results,
    judge,
    read_report,
)
from tests.servers import REPOSITORY, free_port

OURS: dict[str, str] = {
    Half.METADATA: f"exec {sys.executable} -m dmd.metadata",
    Half.DATA: f"exec {sys.executable} -m dmd.data",
    Half.FRONT: f"exec {sys.executable} -m s3front start",
}
_PORT_OF_CONFIG = (
    f"{sys.executable} -c 'import json, os;"
    ' print(json.load(open(os.environ["S3_CONFIG_FILE"]))["port"])\''
)
NAME = "test_what_is_not_there_is_deleted_already"
ONE_TEST = ("--tests", "tests/api/test_versioned_deletes.py", "-k", NAME)


class Interop:
    """The command, and a stand-in for CloudServer that a test may spoil."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "original"
        self.path = os.environ["PATH"]
        (self.folder / "node_modules" / "arsenal").mkdir(parents=True)
        self.write("config.json", {})
        self.package()

    def write(self, name: str, document: Any) -> None:
        (self.folder / name).write_text(json.dumps(document))

    def package(self, scripts: Mapping[str, str] = OURS, **members: Any) -> None:
        known = {"name": "stand-in", "scripts": scripts, "dependencies": {"arsenal": "1"}}
        self.write("package.json", {**known, **members})

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tests.interop.with_original", str(self.folder), *options],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PATH": self.path},
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )

    def refusal(self, *options: str) -> str:
        """What a run says that cannot be."""
        finished = self.run(*options)
        assert finished.returncode == 2, finished
        assert "Traceback" not in finished.stderr
        assert "interop: " in finished.stderr
        return finished.stderr


@pytest.fixture
def interop(tmp_path: Path) -> Interop:
    return Interop(tmp_path)


def test_every_combination_is_tried_and_ended(interop: Interop) -> None:
    ports = [free_port() for _ in range(3)]
    finished = interop.run("--ports", ",".join(map(str, ports)), *ONE_TEST)
    assert finished.returncode == 0, finished
    told = [line for line in finished.stdout.splitlines() if line.endswith("0 failed")]
    assert told == [
        "CloudServer's front-end on CloudServer's dmd: 1 passed, 0 failed",
        "CloudServer's front-end on our dmd: 1 passed, 0 failed",
        "our front-end on CloudServer's dmd: 1 passed, 0 failed",
    ]
    for port in ports:
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_failures_of_a_combination_are_named(interop: Interop) -> None:
    """A front-end that is none: whatever is asked of it fails."""
    serve = f"exec {sys.executable} -m http.server --bind 127.0.0.1 $({_PORT_OF_CONFIG})"
    interop.package({**OURS, Half.FRONT: serve})
    finished = interop.run("--only", THEIRS_ON_OURS.name, *ONE_TEST)
    assert finished.returncode == 1, finished
    (name,) = [line.strip() for line in finished.stdout.splitlines() if line.startswith("    ")]
    assert name == f"tests.api.test_versioned_deletes::{NAME}"


# --- What it refuses -----------------------------------------------------------------------------


def test_no_such_folder(interop: Interop) -> None:
    interop.folder = interop.folder / "absent"
    assert f"{interop.folder}: no such folder" in interop.refusal()


def test_no_package(interop: Interop) -> None:
    (interop.folder / "package.json").unlink()
    assert "package.json is missing: is this the folder of a CloudServer?" in interop.refusal()


def test_a_package_that_is_no_json(interop: Interop) -> None:
    (interop.folder / "package.json").write_text("{")
    assert f"{interop.folder / 'package.json'}: Expecting" in interop.refusal()


def test_another_program(interop: Interop) -> None:
    interop.package({"start": "node index.js", Half.FRONT: "node index.js"}, name="blog")
    refusal = interop.refusal()
    assert "blog is no CloudServer" in refusal
    assert "no script start_mdserver, start_dataserver" in refusal


def test_no_configuration(interop: Interop) -> None:
    (interop.folder / "config.json").unlink()
    assert f"{interop.folder / 'config.json'} is missing" in interop.refusal()


def test_no_node(interop: Interop, tmp_path: Path) -> None:
    interop.path = str(tmp_path)
    assert "node is not on the PATH" in interop.refusal()


def test_modules_that_are_not_installed(interop: Interop) -> None:
    (interop.folder / "node_modules" / "arsenal").rmdir()
    assert "lacks arsenal: run `yarn install`" in interop.refusal()
    (interop.folder / "node_modules").rmdir()
    assert "node_modules is missing: run `yarn install`" in interop.refusal()


def test_a_port_that_is_taken(interop: Interop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refusal = interop.refusal("--ports", f"{free_port()},{port},{free_port()}")
    assert f"port {port} cannot be had" in refusal


@pytest.mark.parametrize("ports", ["8000", "1,2,x", "1,2,3,4"])
def test_ports_that_are_none(interop: Interop, ports: str) -> None:
    assert "three ports are needed, S3,METADATA,DATA" in interop.refusal("--ports", ports)


@pytest.mark.parametrize("half", Half)
def test_a_half_that_ends(interop: Interop, half: Half) -> None:
    interop.package({**OURS, half: "echo first; echo cannot open the store; exit 7"})
    refusal = interop.refusal("--only", ALONE.name)
    assert "ended with code 7" in refusal
    assert "    cannot open the store" in refusal


def test_a_half_that_does_not_come_up(interop: Interop) -> None:
    interop.package({**OURS, Half.METADATA: "echo still thinking; exec sleep 100"})
    refusal = interop.refusal("--only", OURS_ON_THEIRS.name, "--seconds", "1")
    assert "does not listen on port" in refusal
    assert "    still thinking" in refusal


def test_tests_that_cannot_run(interop: Interop) -> None:
    refusal = interop.refusal("--only", OURS_ON_THEIRS.name, "--no-such-option")
    assert "pytest could not run the tests: exit code 4" in refusal


# --- What is judged ------------------------------------------------------------------------------


def test_failures_of_cloudserver_alone_are_not_those_of_our_dmd() -> None:
    alone = Results(frozenset({"a"}), frozenset({"b"}))
    found = Results(frozenset(), frozenset({"a", "b"}))
    assert judge(THEIRS_ON_OURS, found, alone) == {"a"}
    assert judge(OURS_ON_THEIRS, found, alone) == {"a", "b"}
    assert judge(THEIRS_ON_OURS, found, None) == {"a", "b"}


def test_a_report_is_read(tmp_path: Path) -> None:
    cases = [
        '<testcase classname="m" name="good"/>',
        '<testcase classname="m" name="bad"><failure/></testcase>',
        '<testcase classname="m" name="torn down badly"/>',
        '<testcase classname="m" name="torn down badly"><error/></testcase>',
        '<testcase classname="m" name="left out"><skipped/></testcase>',
    ]
    (tmp_path / "report.xml").write_text(f"<testsuite>{''.join(cases)}</testsuite>")
    results = read_report(tmp_path / "report.xml")
    assert results.passed == {"m::good"}
    assert results.failed == {"m::bad", "m::torn down badly"}
    assert results.counts == "1 passed, 2 failed"
