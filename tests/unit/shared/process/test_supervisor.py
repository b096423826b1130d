"""The supervisor, with real processes: every child below is a small Python program."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from shared.process.supervisor import (
    EX_CONFIG,
    EX_DATAERR,
    EX_SOFTWARE,
    FAULTS_MAX,
    READY_FD,
    SUPERVISOR_PID,
    Child,
    notify_systemd,
    report_ready,
)

ROOT = Path(__file__).parents[4]
DEADLINE_SECONDS = 30

PRELUDE = """
import json, os, signal, sys, threading
from shared.process.supervisor import die_with_parent, report_ready

die_with_parent()

def say(event, **fields):
    line = {"child": NAME, "event": event, "pid": os.getpid(), **fields}
    os.write(1, json.dumps(line).encode() + b"\\n")

def on(number, event, exits=None):
    def handle(*_):
        say(event)
        if exits is not None:
            os._exit(exits)
    signal.signal(number, handle)

def wait_for(path):
    open(path).read()  # a named pipe: waits until the test has written

def serve():
    on(signal.SIGTERM, "terminating", exits=0)
    on(signal.SIGHUP, "reloaded")
    report_ready()
    say("serving")
    while True:
        signal.pause()

"""

RUNNER = """
import json, sys
from shared.process.supervisor import Child, supervise
children, timeout = json.loads(sys.argv[1])
sys.exit(supervise([Child(*child) for child in children], stop_timeout_seconds=timeout))
"""

Line = dict[str, Any]


def child(
    name: str,
    program: str = "serve()",
    pass_fds: Sequence[int] = (),
    *,
    is_essential: bool = True,
) -> tuple[Any, ...]:
    """A child that runs ``program`` after the helpers above."""
    argv = [sys.executable, "-c", f"NAME = {name!r}\n{PRELUDE}{program}"]
    return (name, argv, list(pass_fds), is_essential)


class Supervised:
    """A supervisor in a process of its own, and the lines that it and its children print."""

    def __init__(
        self,
        children: Sequence[tuple[Any, ...]],
        timeout: float,
        environ: Mapping[str, str],
        pass_fds: Sequence[int],
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, json.dumps([children, timeout])],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **environ},
            pass_fds=pass_fds,
        )
        self.lines: list[Line] = []
        self._changed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            with self._changed:
                self.lines.append(json.loads(text))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, event: str, count: int = 1, **fields: Any) -> list[Line]:
        """The first ``count`` lines of this event with these fields, as soon as they are there."""

        def found() -> list[Line]:
            wanted = {"event": event, **fields}
            return [line for line in self.lines if wanted.items() <= line.items()]

        with self._changed:
            arrived = self._changed.wait_for(lambda: len(found()) >= count, DEADLINE_SECONDS)
            assert arrived, f"no {count} times {event} {fields} among {self.lines}"
            return found()[:count]

    def events(self, child: str) -> list[str]:
        return [line["event"] for line in self.lines if line["child"] == child]

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def exit_code(self) -> int:
        """Waits until the supervisor has ended."""
        return self.process.wait(DEADLINE_SECONDS)

    def wait_until_all_have_ended(self) -> None:
        """Every process that was started holds the pipe: it ends with the last of them."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._ended, DEADLINE_SECONDS)

    def close(self) -> None:
        """Ends the supervisor, and with it the children: all of them call die_with_parent."""
        self.process.kill()
        self.process.wait()
        self._reader.join(DEADLINE_SECONDS)
        assert not self._reader.is_alive(), "a child outlived its supervisor"
        assert self.process.stdout is not None
        self.process.stdout.close()


Start = Callable[..., Supervised]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[Supervised] = []

    def start_one(
        *children: tuple[Any, ...],
        timeout: float = DEADLINE_SECONDS,
        environ: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> Supervised:
        supervised = Supervised(children, timeout, environ or {}, pass_fds)
        started.append(supervised)
        return supervised

    yield start_one
    for supervised in started:
        supervised.close()


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A named pipe for ``wait_for``: a child passes once the test has written to it."""
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of a service manager, at the path ``notify`` of the test's directory."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(DEADLINE_SECONDS)
        yield listener


class TestStopping:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_children_stop_gracefully_and_the_exit_code_is_0(
        self, start: Start, number: int
    ) -> None:
        supervised = start(child("a"), child("b"))
        for name in ("a", "b"):
            supervised.wait_for("serving", child=name)
        supervised.send(number)
        assert supervised.exit_code() == 0
        supervised.wait_until_all_have_ended()
        for name in ("a", "b"):
            assert supervised.events(name)[-2:] == ["terminating", "child stopped"]

    def test_child_that_is_still_starting_stops_cleanly_too(self, start: Start, gate: Path) -> None:
        supervised = start(child("a", f"say('starting'); wait_for({str(gate)!r})"))
        supervised.wait_for("starting")
        supervised.send(signal.SIGTERM)
        assert supervised.exit_code() == 0

    def test_child_that_does_not_stop_in_time_is_killed(self, start: Start) -> None:
        deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN); say('deaf')\nwhile 1: signal.pause()"
        supervised = start(child("a", deaf), child("b"), timeout=0.2)
        supervised.wait_for("deaf")
        supervised.wait_for("serving", child="b")
        supervised.send(signal.SIGTERM)
        assert supervised.exit_code() == 1
        (stopped,) = supervised.wait_for("child stopped", child="a")
        assert stopped["exit_code"] == -signal.SIGKILL
        (stopped,) = supervised.wait_for("child stopped", child="b")
        assert stopped["exit_code"] == 0

    def test_child_that_fails_to_stop_cleanly_makes_the_exit_code_1(self, start: Start) -> None:
        failing = "on(signal.SIGTERM, 'failing', exits=3); say('up')\nwhile 1: signal.pause()"
        supervised = start(child("a", failing))
        supervised.wait_for("up")
        supervised.send(signal.SIGTERM)
        assert supervised.exit_code() == 1

    def test_signals_of_a_terminal_reach_the_supervisor_alone(self, start: Start) -> None:
        supervised = start(child("a", "say('group', group=os.getpgrp()); serve()"))
        (line,) = supervised.wait_for("group")
        assert line["group"] == line["pid"] != os.getpgid(supervised.process.pid)


class TestRestarting:
    def test_child_that_dies_is_started_again(self, start: Start) -> None:
        supervised = start(child("a"), child("b"))
        (serving,) = supervised.wait_for("serving", child="a")
        supervised.wait_for("serving", child="b")
        os.kill(serving["pid"], signal.SIGKILL)
        first, second = supervised.wait_for("child started", count=2, child="a")
        assert first["child_pid"] == serving["pid"] != second["child_pid"]
        (restarts,) = supervised.wait_for("child restarts", child="a")
        assert restarts["exit_code"] == -signal.SIGKILL
        assert supervised.events("b") == ["child started", "serving"]

    def test_delay_doubles_while_the_child_keeps_dying(self, start: Start) -> None:
        supervised = start(child("a", "sys.exit(1)"))
        restarts = supervised.wait_for("child restarts", count=4)
        assert [line["delay_seconds"] for line in restarts] == [0.1, 0.2, 0.4, 0.8]

    def test_stop_does_not_wait_for_a_restart_that_is_due_later(self, start: Start) -> None:
        supervised = start(child("a", "sys.exit(1)"))
        supervised.wait_for("child restarts", count=3)
        supervised.send(signal.SIGTERM)
        assert supervised.exit_code() == 0


class TestChildThatCannotStart:
    def test_bad_configuration_stops_everything(self, start: Start, gate: Path) -> None:
        supervised = start(
            child("a"), child("b", f"wait_for({str(gate)!r}); sys.exit({EX_CONFIG})")
        )
        supervised.wait_for("serving", child="a")
        gate.write_text("go")
        assert supervised.exit_code() == EX_CONFIG
        assert supervised.events("a")[-2:] == ["terminating", "child stopped"]
        assert supervised.events("b") == ["child started", "child cannot start"]

    def test_program_that_does_not_exist_stops_everything(self, start: Start) -> None:
        supervised = start(child("a"), ("b", ["/no/such/program"], []))
        assert supervised.exit_code() == EX_CONFIG
        (line,) = supervised.wait_for("child cannot start", child="b")
        assert "No such file" in line["reason"]
        supervised.wait_for("child stopped", child="a")

    def test_damaged_data_stops_everything_even_later(self, start: Start) -> None:
        supervised = start(child("a"), child("b", f"report_ready(); sys.exit({EX_DATAERR})"))
        supervised.wait_for("child cannot start", child="b", exit_code=EX_DATAERR)
        supervised.wait_for("child stopped", child="a")
        assert supervised.exit_code() == EX_DATAERR

    def test_child_that_keeps_crashing_is_not_started_for_ever(self, start: Start) -> None:
        supervised = start(child("a"), child("b", "report_ready(); os.abort()"))
        restarts = supervised.wait_for("child restarts", FAULTS_MAX - 1, child="b")
        assert {line["signal"] for line in restarts} == {"SIGABRT"}
        supervised.wait_for("child keeps crashing, and is not started again", child="b")
        supervised.wait_for("child stopped", child="a")
        assert supervised.exit_code() == EX_SOFTWARE

    def test_child_that_was_ready_before_is_started_again_instead(self, start: Start) -> None:
        supervised = start(child("a", f"report_ready(); sys.exit({EX_CONFIG})"))
        assert len(supervised.wait_for("child started", count=3)) == 3
        assert supervised.process.poll() is None

    @pytest.mark.parametrize("end", ["os.abort()", f"sys.exit({EX_CONFIG})", "sys.exit(65)"])
    def test_child_that_is_not_essential_ends_nothing(
        self, start: Start, systemd: socket.socket, end: str
    ) -> None:
        odd = child("odd", end, is_essential=False)
        supervised = start(child("a"), odd, environ={"NOTIFY_SOCKET": systemd.getsockname()})
        assert systemd.recv(100) == b"READY=1"
        supervised.wait_for("child restarts", FAULTS_MAX + 1, child="odd")
        assert supervised.process.poll() is None
        supervised.send(signal.SIGTERM)
        supervised.wait_for("child stopped", child="a", exit_code=0)
        assert supervised.exit_code() == 0


class TestReloading:
    def test_every_child_is_told(self, start: Start) -> None:
        supervised = start(child("a"), child("b"))
        supervised.wait_for("serving", child="a")
        supervised.wait_for("serving", child="b")
        supervised.send(signal.SIGHUP)
        supervised.wait_for("reloaded", child="a")
        supervised.wait_for("reloaded", child="b")

    def test_child_that_is_still_starting_is_told_when_it_is_ready(
        self, start: Start, gate: Path
    ) -> None:
        supervised = start(child("a", f"wait_for({str(gate)!r}); serve()"), child("b"))
        supervised.wait_for("serving", child="b")
        supervised.send(signal.SIGHUP)
        supervised.wait_for("reloaded", child="b")
        gate.write_text("go")
        supervised.wait_for("reloaded", child="a")
        assert supervised.events("a").count("child started") == 1


class TestDyingWithTheParent:
    def test_children_end_when_the_supervisor_is_killed(self, start: Start) -> None:
        supervised = start(child("a"))
        supervised.wait_for("serving")
        supervised.process.kill()
        supervised.wait_for("terminating")
        supervised.wait_until_all_have_ended()

    def test_child_whose_supervisor_is_already_gone_ends_at_once(self) -> None:
        program = (
            "from shared.process.supervisor import die_with_parent; "
            "die_with_parent(); print('alive')"
        )
        orphan = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, SUPERVISOR_PID: "1"},
            cwd=ROOT,
            capture_output=True,
            check=False,
            timeout=DEADLINE_SECONDS,
        )
        assert (orphan.returncode, orphan.stdout) == (-signal.SIGTERM, b"")

    def test_process_without_a_supervisor_is_left_alone(self) -> None:
        program = (
            "from shared.process.supervisor import die_with_parent, report_ready\n"
            "die_with_parent(); report_ready(); print('alive')"
        )
        alone = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            capture_output=True,
            check=True,
            timeout=DEADLINE_SECONDS,
        )
        assert alone.stdout == b"alive\n"


class TestReadiness:
    def test_systemd_is_told_when_every_child_is_ready(
        self, start: Start, gate: Path, systemd: socket.socket
    ) -> None:
        environ = {"NOTIFY_SOCKET": systemd.getsockname()}
        slow = child("b", f"wait_for({str(gate)!r}); serve()")
        supervised = start(child("a"), slow, environ=environ)
        supervised.wait_for("serving", child="a")
        # Only a child that the supervisor knows to be ready is told to reload.
        supervised.send(signal.SIGHUP)
        supervised.wait_for("reloaded", child="a")
        systemd.setblocking(False)
        with pytest.raises(BlockingIOError):
            systemd.recv(100)
        systemd.settimeout(DEADLINE_SECONDS)
        gate.write_text("go")
        assert systemd.recv(100) == b"READY=1"
        supervised.send(signal.SIGTERM)
        assert systemd.recv(100) == b"STOPPING=1"

    def test_children_cannot_speak_to_systemd_themselves(
        self, start: Start, systemd: socket.socket
    ) -> None:
        environ = {"NOTIFY_SOCKET": systemd.getsockname()}
        program = "say('seen', notify=os.environ.get('NOTIFY_SOCKET')); serve()"
        supervised = start(child("a", program), environ=environ)
        (line,) = supervised.wait_for("seen")
        assert line["notify"] is None

    def test_a_child_gets_no_variable_that_it_is_to_be_without(self, start: Start) -> None:
        program = "say('seen', secret=os.environ.get('A_SECRET')); serve()"
        with_it = child("a", program)
        without = Child(*child("b", program))._replace(without=["A_SECRET"])
        supervised = start(with_it, without, environ={"A_SECRET": "secret"})
        seen = supervised.wait_for("seen", 2)
        assert {line["child"]: line["secret"] for line in seen} == {"a": "secret", "b": None}

    def test_supervisor_under_a_supervisor_reports_that_it_is_ready(self, start: Start) -> None:
        read_fd, write_fd = os.pipe()
        with open(read_fd, "rb") as ready, open(write_fd, "wb") as reported:
            supervised = start(child("a"), environ={READY_FD: str(write_fd)}, pass_fds=[write_fd])
            reported.close()
            supervised.wait_for("serving")
            assert ready.read() == b"\n"

    def test_reporting_twice_says_it_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        read_fd, write_fd = os.pipe()
        monkeypatch.setenv(READY_FD, str(write_fd))
        report_ready()
        report_ready()
        with open(read_fd, "rb") as ready:
            assert ready.read() == b"\n"


class TestNotifyingSystemd:
    def test_socket_with_a_path(
        self, systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NOTIFY_SOCKET", systemd.getsockname())
        assert notify_systemd("READY=1")
        assert systemd.recv(100) == b"READY=1"

    def test_abstract_socket(self, monkeypatch: pytest.MonkeyPatch) -> None:
        name = f"twofold-test-{os.getpid()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind("\0" + name)
            listener.settimeout(DEADLINE_SECONDS)
            monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
            assert notify_systemd("STOPPING=1")
            assert listener.recv(100) == b"STOPPING=1"

    def test_no_service_manager(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
        assert not notify_systemd("READY=1")
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
        assert not notify_systemd("READY=1")


def test_descriptors_are_passed_under_their_numbers(start: Start) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        fd = listener.fileno()
        program = f"import socket; say('port', port=socket.socket(fileno={fd}).getsockname()[1])"
        supervised = start(child("a", program, pass_fds=[fd]), pass_fds=[fd])
        (line,) = supervised.wait_for("port")
        assert line["port"] == listener.getsockname()[1]


def test_a_stopping_supervisor_holds_no_port(start: Start, gate: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd, address = listener.fileno(), listener.getsockname()
        program = f"""
def stop(*_):
    os.close({fd})
    say("closed")
    wait_for({str(gate)!r})  # requests under way
    os._exit(0)

signal.signal(signal.SIGTERM, stop)
report_ready()
say("serving")
while True:
    signal.pause()
"""
        supervised = start(child("a", program, pass_fds=[fd]), pass_fds=[fd])
        supervised.wait_for("serving")
    supervised.process.terminate()
    supervised.wait_for("closed")
    with socket.socket() as probe:
        assert probe.connect_ex(address) == errno.ECONNREFUSED
    gate.write_text("done")
    assert supervised.process.wait(DEADLINE_SECONDS) == 0


def test_log_lines_have_the_fields_of_all_others(start: Start) -> None:
    supervised = start(child("a"))
    (line,) = supervised.wait_for("child started")
    assert list(line)[:5] == ["time", "level", "name", "pid", "event"]
    assert (line["level"], line["name"]) == ("info", "supervisor")
    assert line["pid"] == supervised.process.pid
    assert line["time"].endswith("Z")
    assert len(line["time"]) == len("2020-01-01T00:00:00.000Z")


def test_supervisor_imports_nothing_heavy() -> None:
    program = "import sys, shared.process.supervisor; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True, text=True
    )
    heavy = {"asyncio", "pydantic", "structlog", "typer", "ctypes", "aiohttp", "orjson"}
    assert not heavy & set(run.stdout.split())
