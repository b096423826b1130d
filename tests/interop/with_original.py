"""``make interop``: the S3 tests of ``tests/api`` with one half of ours and one of CloudServer's.

    python -m tests.interop.with_original FOLDER [--ports S3,METADATA,DATA] [--seconds N]
                                          [--only NAME] [--tests PATH] [PYTEST OPTION...]

They run against its front-end on our dmd, and against our front-end on its dmd. What its front-end
answers is its own affair, so they run against CloudServer alone first: a test that fails there, as
well, says nothing of our dmd. Exit code 0: no others failed; 1: some did; 2: it could not run.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from defusedxml.ElementTree import parse

from tests.interop.original import (
    Half,
    InteropError,
    Original,
    find_original,
    last_lines,
    wait_until_up,
)
from tests.servers import (
    ACCESS_KEY,
    OTHER_ACCESS_KEY,
    OTHER_SECRET_KEY,
    REPOSITORY,
    SECRET_KEY,
    Cluster,
    Process,
    free_port,
)

_ADDRESS = "127.0.0.1"
_TEST_SECONDS = 900
_TESTS_FAILED = 1
"""pytest's exit code when it ran, and some tests failed."""


@dataclass(frozen=True)
class Combination:
    """Whose front-end works on whose daemons."""

    name: str
    our_front: bool
    our_daemons: bool

    @property
    def title(self) -> str:
        front, daemons = (
            "our" if ours else "CloudServer's" for ours in (self.our_front, self.our_daemons)
        )
        return f"{front} front-end on {daemons} dmd"


ALONE = Combination("alone", our_front=False, our_daemons=False)
THEIRS_ON_OURS = Combination("theirs-on-ours", our_front=False, our_daemons=True)
OURS_ON_THEIRS = Combination("ours-on-theirs", our_front=True, our_daemons=False)
COMBINATIONS = {made.name: made for made in (ALONE, THEIRS_ON_OURS, OURS_ON_THEIRS)}


@dataclass(frozen=True)
class Ports:
    s3: int
    metadata: int
    data: int

    def __str__(self) -> str:
        return f"{self.s3}, {self.metadata} and {self.data}"

    @classmethod
    def parse(cls, text: str) -> Ports:
        """``S3,METADATA,DATA``, or free ones for no text; raises InteropError when one is taken."""
        if not text:
            return cls(free_port(), free_port(), free_port())
        numbers = text.split(",")
        if len(numbers) != 3 or not all(number.isdecimal() for number in numbers):
            raise InteropError(f"PORTS={text}: three ports are needed, S3,METADATA,DATA")
        ports = cls(*map(int, numbers))
        for port in (ports.s3, ports.metadata, ports.data):
            _assert_free(port)
        return ports


def _assert_free(port: int) -> None:
    with socket.socket() as probe:
        # As servers do: what lingers of connections of the last run is in nobody's way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_ADDRESS, port))
        except (OSError, OverflowError) as error:
            raise InteropError(f"port {port} cannot be had: {error}") from None


@contextmanager
def running(
    original: Original, combination: Combination, folder: Path, ports: Ports, seconds: float
) -> Iterator[str]:
    """Both halves of a combination, until the end of the block; the URL of the front-end."""
    cluster = Cluster(folder, metadata_port=ports.metadata, data_port=ports.data)
    theirs: list[Process] = []

    def start(half: Half, name: str, port: int) -> None:
        process = original.process(half, name, folder, _addresses(ports))
        theirs.append(process)
        process.start()
        wait_until_up(process, port, seconds)

    try:
        if combination.our_daemons:
            cluster.start_daemons()
        else:
            start(Half.METADATA, "their-metadata", ports.metadata)
            start(Half.DATA, "their-data", ports.data)
        if combination.our_front:
            cluster.add_front(port=ports.s3)
        else:
            start(Half.FRONT, "their-front", ports.s3)
        yield f"http://localhost:{ports.s3}"
        ours = (
            cluster.dmd_metadata,
            cluster.dmd_data,
            *(front.process for front in cluster.fronts),
        )
        for process in (*theirs, *ours):
            if process.handle is not None and process.handle.poll() is not None:
                raise InteropError(f"{process.name} ended during the tests\n{last_lines(process)}")
    except AssertionError as error:
        # What our own halves say when they do not come up.
        raise InteropError(str(error)) from None
    finally:
        for process in theirs:
            process.kill()
        cluster.stop()


def _addresses(ports: Ports) -> dict[str, object]:
    metrics = free_port()
    return {
        "port": ports.s3,
        "listenOn": [f"{_ADDRESS}:{ports.s3}"],
        "metricsPort": metrics,
        "metricsListenOn": [f"{_ADDRESS}:{metrics}"],
        "metadataClient": {"host": _ADDRESS, "port": ports.metadata},
        "metadataDaemon": {"bindAddress": _ADDRESS, "port": ports.metadata},
        "dataClient": {"host": _ADDRESS, "port": ports.data},
        "dataDaemon": {"bindAddress": _ADDRESS, "port": ports.data},
    }


# --- The tests -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Results:
    """The tests that passed and those that failed, by name."""

    passed: frozenset[str]
    failed: frozenset[str]

    @property
    def counts(self) -> str:
        return f"{len(self.passed)} passed, {len(self.failed)} failed"


def run_tests(url: str, folder: Path, tests: str, options: Sequence[str]) -> Results:
    """The tests that speak S3 alone, against a URL; raises InteropError when they cannot run."""
    report = folder / "report.xml"
    environ = {
        **os.environ,
        "TWOFOLD_ENDPOINT": url,
        "TWOFOLD_ACCESS_KEY": ACCESS_KEY,
        "TWOFOLD_SECRET_KEY": SECRET_KEY,
        "TWOFOLD_OTHER_ACCESS_KEY": OTHER_ACCESS_KEY,
        "TWOFOLD_OTHER_SECRET_KEY": OTHER_SECRET_KEY,
    }
    command = [tests, "-q", "--no-header", "--tb=line", "-r", "", "-p", "no:cacheprovider"]
    # At the end, the buckets of all tests are removed, which counts as the last one's time.
    command.append(f"--timeout={_TEST_SECONDS}")
    code = subprocess.run(
        [sys.executable, "-m", "pytest", *command, f"--junitxml={report}", *options],
        cwd=REPOSITORY,
        env=environ,
        check=False,
    ).returncode
    if code not in (0, _TESTS_FAILED):
        raise InteropError(f"pytest could not run the tests: exit code {code}")
    return read_report(report)


def read_report(report: Path) -> Results:
    """What a JUnit report of pytest says; a test that was skipped counts as neither."""
    passed, failed = set(), set()
    for case in parse(report).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            failed.add(name)
        elif case.find("skipped") is None:
            passed.add(name)
    return Results(frozenset(passed - failed), frozenset(failed))


def judge(combination: Combination, results: Results, alone: Results | None) -> frozenset[str]:
    """The failures that are the combination's own: not those of CloudServer's front-end."""
    if combination.our_front or alone is None:
        return results.failed
    return results.failed - alone.failed


# --- The command ---------------------------------------------------------------------------------


def _arguments(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(prog="make interop", allow_abbrev=False)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ports", default="")
    parser.add_argument("--tests", default="tests/api")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", choices=COMBINATIONS, action="append")
    return parser.parse_known_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run everything; the exit code."""
    arguments, options = _arguments(argv)
    wanted = [COMBINATIONS[name] for name in arguments.only or COMBINATIONS]
    results: dict[str, Results] = {}
    try:
        original = find_original(arguments.folder.resolve())
        for combination in wanted:
            ports = Ports.parse(arguments.ports)
            print(
                f"{combination.title}: ports {ports.s3}, {ports.metadata}, {ports.data}", flush=True
            )
            with (
                tempfile.TemporaryDirectory(prefix="interop-") as made,
                running(original, combination, Path(made), ports, arguments.seconds) as url,
            ):
                results[combination.name] = run_tests(url, Path(made), arguments.tests, options)
    except InteropError as error:
        _report(results)
        print(f"interop: {error}", file=sys.stderr)
        return 2
    return _report(results)


def _report(results: dict[str, Results]) -> int:
    """Print what became of the combinations that were tried; the exit code."""
    alone = results.get(ALONE.name)
    code = 0
    for name, found in results.items():
        combination = COMBINATIONS[name]
        print(f"{combination.title}: {found.counts}")
        if combination is ALONE:
            continue
        own = judge(combination, found, alone)
        for test in sorted(own):
            print(f"    {test}")
        code = max(code, bool(own))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
