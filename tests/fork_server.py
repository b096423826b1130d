"""Starts Python programs as forks of one process that has their modules already.

Most of what a daemon or a job of ours costs a test is its imports. ``start`` asks a server, one for
each process of tests, to fork; the child takes its environment, directory, descriptors and
arguments as a new process has them, runs the module as ``python -m`` does, and ends as any other.
It is a process of its own in a session of its own: it can be killed, stopped and limited, and
nothing of it comes back but its exit code.

What an interpreter is told by its environment when it starts (PYTHON…) is that of the server, so
the tests of commands, and of what a process takes in memory, start real ones.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent
_MESSAGE_BYTES_MAX = 1 << 17
_RUN = (
    "dmd.data.__main__",
    "dmd.metadata.__main__",
    "s3front.process.serve",
    "s3front.work.__main__",
)
_COMMANDS = ("dmd.cli", "dmd.daemon_usage", "dmd.jobs.commands", "dmd.jobs.data_commands")
_LATE = ("pydantic.type_adapter",)  # typer has it parse arguments
_IMPORTED = (*_RUN, *_COMMANDS, *_LATE)
"""What the children have already. What they run is imported for its imports, and then forgotten:
it is to run under the name ``__main__``."""

_STARTING = threading.Lock()


class Forked:
    """A child of the server, with the members of ``subprocess.Popen`` that tests use. As with that,
    one that has ended keeps its number until somebody has asked for its exit code."""

    def __init__(self, server: _Server, pid: int) -> None:
        self.pid = pid
        self.returncode: int | Any = None
        self._server = server
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it lives."""
        with self._lock:
            if self.returncode is None:
                self.returncode = self._server.ask({"ended": self.pid})
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code; raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            time.sleep(0.005)  # between two looks
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing to one that has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(
    module: str,
    arguments: Sequence[str],
    environ: Mapping[str, str],
    output: tuple[int, int],
    *,
    directory: Path = _ROOT,
    inherited: tuple[str, Sequence[int]] = ("", ()),
) -> Forked:
    """Run ``python -m module`` with descriptors for standard output and standard error.

    ``inherited`` is a variable that names further descriptors, separated by commas.
    """
    request = {
        "module": module,
        "arguments": list(arguments),
        "environ": dict(environ),
        "directory": str(directory),
        "inherited": inherited[0],
    }
    server = _server()
    pid = server.ask({"fork": request}, [*output, *inherited[1]])
    assert pid is not None
    return Forked(server, pid)


def run(
    module: str, arguments: Sequence[str], environ: Mapping[str, str], timeout_seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; raises subprocess.TimeoutExpired."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        child = start(module, arguments, environ, (output.fileno(), errors.fileno()))
        try:
            code = child.wait(timeout_seconds)
        finally:
            child.kill()
        for each in (output, errors):
            each.seek(0)
        words = ["python", "-m", module, *arguments]
        return subprocess.CompletedProcess(words, code, output.read(), errors.read())


def _server() -> _Server:
    with _STARTING:
        return _started()


@cache
def _started() -> _Server:
    return _Server()


class _Server:
    """The side of the tests. Threads may share it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fork_server", str(theirs.fileno())],
                cwd=_ROOT,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        atexit.register(self._close)

    def ask(self, question: dict[str, Any], descriptors: Sequence[int] = ()) -> int | None:
        """What the server answers: the number of the child that was forked, or an exit code."""
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(question).encode()], list(descriptors))
            data = self._socket.recv(_MESSAGE_BYTES_MAX)
        if not data:
            raise RuntimeError("the fork server has ended")
        answer: int | None = json.loads(data)
        return answer

    def _close(self) -> None:
        self._socket.close()
        self._process.wait()


# --- The server's side ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Job:
    """What a child is to run."""

    request: dict[str, Any]
    descriptors: list[int]


def _serve(descriptor: int) -> _Job:
    """Answer until the tests end; returns in the children alone, with what each is to do."""
    tests = socket.socket(fileno=descriptor)
    while True:
        data, descriptors, _, _ = socket.recv_fds(tests, _MESSAGE_BYTES_MAX, 16)
        if not data:
            sys.exit()
        question = json.loads(data)
        if "fork" in question:
            answer: int | None = os.fork()
            if answer == 0:
                tests.close()
                return _Job(question["fork"], descriptors)
            for each in descriptors:
                os.close(each)
        else:
            pid, status = os.waitpid(question["ended"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        tests.send(json.dumps(answer).encode())


def _become(job: _Job) -> None:
    """Turn a fresh child into the process that was asked for."""
    os.setsid()
    request = job.request
    output, errors, *inherited = job.descriptors
    os.dup2(output, 1)
    os.dup2(errors, 2)
    os.close(output)
    os.close(errors)
    os.environ.clear()
    os.environ.update(request["environ"])
    if request["inherited"]:
        os.environ[request["inherited"]] = ",".join(map(str, inherited))
    time.tzset()
    os.chdir(request["directory"])
    sys.argv = [request["module"], *request["arguments"]]


def main() -> None:
    for name in _IMPORTED:
        importlib.import_module(name)
    for name in _RUN:
        del sys.modules[name]
    gc.freeze()  # else the first collection of each child would copy all of it
    job = _serve(int(sys.argv[1]))
    _become(job)
    runpy.run_module(job.request["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
