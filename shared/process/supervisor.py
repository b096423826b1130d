"""Starts the processes of one half, keeps them running, and stops them cleanly.

Called by the command lines of both halves. The supervisor is one more process on a small machine,
so this module imports little but the standard library, and no event loop: it waits in ``poll``.

Theory of operation
-------------------
``supervise`` blocks until everything has stopped:

* SIGTERM and SIGINT stop: every child gets SIGTERM, and SIGKILL when its time is over. Children
  are in process groups of their own, so that Ctrl-C in a terminal reaches the supervisor alone.
* SIGHUP is passed on to each child, to one that is still starting as soon as it is ready: before
  that it may have read the old configuration, and not yet know what to do with the signal.
* A child that dies is started again after 0.1 s, then twice as long each time up to 5 s, until
  it has run for 10 s. One that exits with EX_CONFIG (78, sysexits.h) and was never ready cannot
  start at all: everything stops, with that code. Once it has been ready, the same code is an
  accident like any other (the port may be free again in a moment), and its siblings go on.
* What starting again does not mend ends everything: EX_DATAERR (65), with which a child says that
  what it stores is damaged, and the ``FAULTS_MAX``-th fault in a row of a child (SIGSEGV, SIGABRT,
  …) that has not run for ``FAULT_FORGIVEN_SECONDS`` in between; then the code is EX_SOFTWARE (70).

* A child that is not essential (``Child.is_essential``) is started again whatever its exit code is.

A child calls ``die_with_parent`` first of all and ``report_ready`` when it can serve. When all
essential ones are ready for the first time, systemd is told, and so is a supervisor above this one.

What the supervisor says goes to standard output, as lines with the fields of
``shared.process.logs``: JSON, or for people as LOG_FORMAT says. It prints nothing else.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType, TracebackType
from typing import Any, Final, NamedTuple, NoReturn

from shared.process.readable_log import is_for_people, readable_line

EX_CONFIG: Final = 78
"""Exit code of a process that cannot start as it is configured (sysexits.h)."""

EX_DATAERR: Final = 65
"""Exit code of a process whose data is damaged (sysexits.h)."""

EX_SOFTWARE: Final = 70
"""Exit code when a child only ever crashes (sysexits.h)."""

FAULTS_MAX: Final = 5
FAULT_FORGIVEN_SECONDS: Final = 600.0

RESTART_SECONDS_MIN: Final = 0.1
RESTART_SECONDS_MAX: Final = 5.0
STABLE_SECONDS: Final = 10.0
"""A child that ran for this long starts again at the shortest delay."""

STOP_TIMEOUT_SECONDS: Final = 30.0

READY_FD: Final = "TWOFOLD_READY_FD"
"""Environment variable: the pipe that ``report_ready`` writes to."""

SUPERVISOR_PID: Final = "TWOFOLD_SUPERVISOR_PID"
"""Environment variable: the process that ``die_with_parent`` must have as its parent."""

LOG_FORMAT: Final = "LOG_FORMAT"
"""Environment variable: ``log.format``, which whoever becomes a supervisor passes on."""

_STDOUT_FD: Final = 1
_NOTIFY_SOCKET: Final = "NOTIFY_SOCKET"
_PR_SET_PDEATHSIG: Final = 1
_FAULTS: Final = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
_CLEAN_EXITS: Final = (0, -signal.SIGTERM)
"""Exit codes of a stopped child that did as it was told; the second one was not yet ready."""


STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""What a process of either half handles while it serves."""


class Child(NamedTuple):
    """A program to run: ``name`` is for the log, ``pass_fds`` stay open under their numbers.
    ``environ`` is added to its environment; a secret has no place there, as all users of a machine
    may read it. ``without`` are variables of this process's environment that it does not get.
    ``keeps`` is what it has in memory alone, and is lost when it ends: the log says so.

    One that is not essential ends nothing but itself: nobody waits until it is ready, and it is
    started again whatever its exit code is.

    The supervisor closes its own copies of them when it begins to stop: a listening socket that
    it held on to would take connections in which nobody answers.

    Not a dataclass: those import ``inspect``, a megabyte that this process would keep.
    """

    name: str
    argv: Sequence[str]
    pass_fds: Sequence[int] = ()
    is_essential: bool = True
    environ: Mapping[str, str] = {}  # nobody changes it
    keeps: str = ""
    without: Sequence[str] = ()


def supervise(
    children: Sequence[Child],
    *,
    name: str = "supervisor",
    stop_timeout_seconds: float = STOP_TIMEOUT_SECONDS,
) -> int:
    """Runs ``children`` until a signal stops them; returns the exit code for this process.

    0 after a clean stop, 78 when a child cannot start, 1 when a child had to be killed or failed
    to stop cleanly. Must be called in the main thread, which must not end before its children:
    Linux sends them the parent-death signal when the thread ends that started them. Afterwards the
    process ignores the signals that stop one: it is ending.
    """
    with _Signals() as signals:
        return _Supervisor(children, name, stop_timeout_seconds).run(signals)


def ignore_stop_signals() -> None:
    """From now on a signal cannot change the exit code of this process, which is ending."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def die_with_parent() -> None:
    """Asks Linux to send this process SIGTERM when its supervisor dies (prctl(2)).

    Called by a supervised child before anything else; does nothing in a process that was not
    started by ``supervise``. The supervisor may be gone before the request is made, so its process
    ID is compared afterwards.
    """
    supervisor = os.environ.pop(SUPERVISOR_PID, None)
    if supervisor is None:
        return
    import ctypes  # noqa: PLC0415 - children only: it would stay in the supervisor's memory

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    if os.getppid() != int(supervisor):
        os.kill(os.getpid(), signal.SIGTERM)


def report_ready() -> None:
    """Tells the supervisor that this process serves. Without one, and a second time: nothing."""
    ready_fd = os.environ.pop(READY_FD, None)
    if ready_fd is None:
        return
    with contextlib.suppress(OSError):  # a supervisor that is gone needs no news
        os.write(int(ready_fd), b"\n")
        os.close(int(ready_fd))


def notify_systemd(state: str) -> bool:
    """Sends ``state`` (``READY=1``, ``STOPPING=1``, …) to the service manager, sd_notify(3).

    Returns whether it was sent: False without NOTIFY_SOCKET, or when nobody listens there. A name
    that begins with ``@`` is in Linux's abstract namespace (unix(7)).
    """
    address = os.environ.get(_NOTIFY_SOCKET)
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.connect(address)
            channel.sendall(state.encode())
    except OSError:
        return False
    return True


class _Signals:
    """Signals as bytes of a pipe, so that one ``poll`` waits for them and for everything else."""

    _NUMBERS = (*STOP_SIGNALS, signal.SIGCHLD)

    def __enter__(self) -> _Signals:
        self.fd, self._write_fd = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write_fd, False)
        self._wakeup_before = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        # Without a handler of Python's, nothing is written to the pipe.
        for number in self._NUMBERS:
            signal.signal(number, _ignore)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        ignore_stop_signals()
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self.fd)
        os.close(self._write_fd)

    def received(self) -> Iterator[int]:
        """The numbers of the signals that came since the last call, in order."""
        with contextlib.suppress(BlockingIOError):
            while True:
                yield from os.read(self.fd, 4096)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Handles a signal that ``_Signals`` reports."""


class _Run:
    """One start of a child: the process, and the pipe on which it reports that it is ready."""

    def __init__(self, child: Child) -> None:
        """Starts the process. Raises OSError when that is not possible."""
        self.ready = False
        self.started_at = time.monotonic()
        self._ready_fd, write_fd = os.pipe()
        os.set_blocking(self._ready_fd, False)
        withheld = (_NOTIFY_SOCKET, *child.without)
        environ = {name: value for name, value in os.environ.items() if name not in withheld}
        environ |= {**child.environ, READY_FD: str(write_fd), SUPERVISOR_PID: str(os.getpid())}
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the caller's own programs
                list(child.argv),
                env=environ,
                pass_fds=(*child.pass_fds, write_fd),
                process_group=0,
            )
        except OSError:
            os.close(self._ready_fd)
            raise
        finally:
            os.close(write_fd)
        self.pid = self._process.pid

    def ready_fd(self) -> int | None:
        """The descriptor to wait on, None when the child has nothing more to say."""
        return None if self._ready_fd < 0 else self._ready_fd

    def read_ready(self) -> bool:
        """Whether the child has become ready since the last call."""
        if self._ready_fd < 0:
            return False
        try:
            reported = os.read(self._ready_fd, 1) != b""
        except BlockingIOError:
            return False
        self.close()
        self.ready = reported
        return reported

    def exit_code(self) -> int | None:
        """The exit code of a process that has ended, negative for a signal; else None."""
        return self._process.poll()

    def send(self, number: int) -> None:
        """Sends a signal; a process that has ended gets none."""
        self._process.send_signal(number)

    def close(self) -> None:
        if self._ready_fd >= 0:
            os.close(self._ready_fd)
            self._ready_fd = -1


class _Keeper:
    """What the supervisor knows about one child over all its runs."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.run: _Run | None = None
        self.ever_ready = False
        self.reload_pending = False
        self.restart_at = math.inf
        self._next_delay = RESTART_SECONDS_MIN
        self._faults = 0

    def ends_in_faults(self, code: int, ran_seconds: float) -> bool:
        """Counts the end of a run; whether there were too many faults."""
        if ran_seconds >= FAULT_FORGIVEN_SECONDS:
            self._faults = 0
        self._faults += -code in _FAULTS
        return self._faults >= FAULTS_MAX

    def schedule_restart(self, ran_seconds: float) -> float:
        """Sets when to start again; returns the delay in seconds."""
        if ran_seconds >= STABLE_SECONDS:
            self._next_delay = RESTART_SECONDS_MIN
        delay = self._next_delay
        self._next_delay = min(delay * 2, RESTART_SECONDS_MAX)
        self.restart_at = time.monotonic() + delay
        return delay


class _Supervisor:
    def __init__(self, children: Sequence[Child], name: str, stop_timeout_seconds: float) -> None:
        self._keepers = [_Keeper(child) for child in children]
        self._name = name
        self._stop_timeout_seconds = stop_timeout_seconds
        self._stopping = False
        self._kill_at = math.inf
        self._announced = False
        self._exit_code = 0

    def run(self, signals: _Signals) -> int:
        for keeper in self._keepers:
            self._start(keeper)
        while not self._stopping or any(keeper.run for keeper in self._keepers):
            self._wait(signals)
            for number in signals.received():
                self._on_signal(number)
            self._each_run(self._see_ready)
            self._each_run(self._see_exit)
            self._announce()
            self._start_due()
            self._kill_overdue()
        return self._exit_code

    def _wait(self, signals: _Signals) -> None:
        """Until a signal, news on a ready pipe, or the next time that something is due."""
        waiting = select.poll()
        waiting.register(signals.fd, select.POLLIN)
        for keeper in self._keepers:
            ready_fd = keeper.run.ready_fd() if keeper.run else None
            if ready_fd is not None:
                waiting.register(ready_fd, select.POLLIN)
        due = min([self._kill_at, *(keeper.restart_at for keeper in self._keepers)])
        if due == math.inf:
            waiting.poll()
        else:
            waiting.poll(max(0, math.ceil((due - time.monotonic()) * 1000)))

    def _each_run(self, act: Callable[[_Keeper, _Run], None]) -> None:
        for keeper in self._keepers:
            if keeper.run is not None:
                act(keeper, keeper.run)

    def _on_signal(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop(0)
        elif number == signal.SIGHUP and not self._stopping:
            self._each_run(_reload)

    def _start(self, keeper: _Keeper) -> None:
        keeper.restart_at = math.inf
        keeper.reload_pending = False
        if self._stopping:
            return
        try:
            keeper.run = _Run(keeper.child)
        except OSError as error:
            self._log("error", "child cannot start", keeper, reason=str(error))
            if keeper.ever_ready or not keeper.child.is_essential:
                keeper.schedule_restart(0)
            else:
                self._stop(EX_CONFIG)
            return
        self._log("info", "child started", keeper, child_pid=keeper.run.pid)

    def _see_ready(self, keeper: _Keeper, run: _Run) -> None:
        if not run.read_ready():
            return
        keeper.ever_ready = True
        if keeper.reload_pending and not self._stopping:
            _reload(keeper, run)

    def _announce(self) -> None:
        if self._announced or self._stopping:
            return
        waited_for = [keeper for keeper in self._keepers if keeper.child.is_essential]
        if all(keeper.run is not None and keeper.run.ready for keeper in waited_for):
            self._announced = True
            notify_systemd("READY=1")
            report_ready()

    def _see_exit(self, keeper: _Keeper, run: _Run) -> None:
        code = run.exit_code()
        if code is None:
            return
        self._see_ready(keeper, run)  # it may have been ready, and ended, since the last look
        run.close()
        keeper.run = None
        about: dict[str, Any] = {"child_pid": run.pid, "exit_code": code}
        if -code in _FAULTS:
            about["signal"] = signal.Signals(-code).name
        if self._stopping:
            clean = code in _CLEAN_EXITS
            self._log("info" if clean else "error", "child stopped", keeper, **about)
            if not clean:
                self._exit_code = self._exit_code or 1
            return
        ran = time.monotonic() - run.started_at
        if keeper.child.is_essential and (
            code == EX_DATAERR or (code == EX_CONFIG and not keeper.ever_ready)
        ):
            self._log("error", "child cannot start", keeper, **about)
            self._stop(code)
        elif keeper.child.is_essential and keeper.ends_in_faults(code, ran):
            self._log("error", "child keeps crashing, and is not started again", keeper, **about)
            self._stop(EX_SOFTWARE)
        else:
            delay = keeper.schedule_restart(ran)
            if keeper.child.keeps:
                about["lost"] = keeper.child.keeps
            self._log("error", "child restarts", keeper, **about, delay_seconds=delay)

    def _start_due(self) -> None:
        for keeper in self._keepers:
            if keeper.restart_at <= time.monotonic():
                self._start(keeper)

    def _stop(self, exit_code: int) -> None:
        if self._stopping:
            return
        self._stopping = True
        self._exit_code = exit_code
        self._kill_at = time.monotonic() + self._stop_timeout_seconds
        notify_systemd("STOPPING=1")
        for descriptor in {fd for keeper in self._keepers for fd in keeper.child.pass_fds}:
            os.close(descriptor)
        self._each_run(lambda _, run: run.send(signal.SIGTERM))

    def _kill_overdue(self) -> None:
        if time.monotonic() < self._kill_at:
            return
        self._kill_at = math.inf
        self._each_run(lambda _, run: run.send(signal.SIGKILL))

    def _log(self, level: str, event: str, keeper: _Keeper, **fields: Any) -> None:
        now = time.time()
        line = {
            "time": _timestamp(now),
            "level": level,
            "name": self._name,
            "pid": os.getpid(),
            "event": event,
            "child": keeper.child.name,
            **fields,
        }
        layout = os.environ.get(LOG_FORMAT, "auto")
        with contextlib.suppress(OSError):  # nobody reads the log: no reason to stop serving
            readable = is_for_people(layout, os.isatty(_STDOUT_FD))
            text = readable_line(now, line) if readable else json.dumps(line)
            os.write(_STDOUT_FD, text.encode("utf-8", "backslashreplace") + b"\n")


def _timestamp(seconds: float) -> str:
    """ISO 8601 with milliseconds, UTC."""
    date = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{date}.{int(seconds % 1 * 1000):03}Z"


def _reload(keeper: _Keeper, run: _Run) -> None:
    """SIGHUP now, or as soon as the child is ready."""
    keeper.reload_pending = not run.ready
    if run.ready:
        run.send(signal.SIGHUP)


def replace_with_supervisor(
    children: Sequence[Child], *, name: str, stop_timeout_seconds: float = STOP_TIMEOUT_SECONDS
) -> NoReturn:
    """Becomes the supervisor of ``children``: this program is replaced, its process ID stays.

    A command line has loaded much that a supervisor never needs; a fresh interpreter holds a
    fraction of that memory for as long as the children run.
    """
    described = [
        child._replace(argv=list(child.argv), pass_fds=list(child.pass_fds)) for child in children
    ]
    for child in children:
        for descriptor in child.pass_fds:
            os.set_inheritable(descriptor, True)
    arguments = json.dumps([described, name, stop_timeout_seconds])
    # -I would hide an editable install's path; the module is found as this one was.
    os.execv(sys.executable, [sys.executable, "-m", "shared.process.supervisor", arguments])  # noqa: S606


def _main(arguments: str) -> int:
    described, name, stop_timeout_seconds = json.loads(arguments)
    children = [Child(*fields) for fields in described]
    return supervise(children, name=name, stop_timeout_seconds=stop_timeout_seconds)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
