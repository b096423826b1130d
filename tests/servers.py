"""Real servers for tests: each half as its own process, on free loopback ports, in fresh folders.

A test asks for what it needs through the fixtures of ``tests/conftest.py``, or builds an unusual
arrangement here. Nothing sleeps: waiting is always for a condition, with a deadline.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import trustme

from s3front.port.listeners import LISTEN_FDS
from tests import fork_server

REPOSITORY = Path(__file__).resolve().parent.parent
# The accounts of conf/authdata.json, or those of the server that ``tests.endpoint`` is about.
ACCESS_KEY = os.environ.get("TWOFOLD_ACCESS_KEY") or "accessKey1"
SECRET_KEY = os.environ.get("TWOFOLD_SECRET_KEY") or "verySecretKey1"
OTHER_ACCESS_KEY = os.environ.get("TWOFOLD_OTHER_ACCESS_KEY") or "accessKey2"
OTHER_SECRET_KEY = os.environ.get("TWOFOLD_OTHER_SECRET_KEY") or "verySecretKey2"
REGION = os.environ.get("TWOFOLD_REGION") or "us-east-1"
DEADLINE_SECONDS = 30.0


def free_port() -> int:
    """A port that nobody listens on at the moment, and that the system gives no connection: a
    server may be stopped, and find it free when it is started again."""
    while True:
        port = 10_000 + secrets.randbelow(22_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def end_by_signal() -> None:
    """For programs that start servers: SIGTERM, which ``timeout`` sends, ends those as well."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


def wait_for(
    condition: Callable[[], bool],
    what: str | Callable[[], str],
    seconds: float = DEADLINE_SECONDS,
) -> None:
    """Wait until ``condition`` holds; fails the test when it does not in time, and says for
    ``what`` it waited, or whatever that says by then."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            name = what if isinstance(what, str) else what()
            raise AssertionError(f"waited {seconds:g} s in vain for {name}")
        time.sleep(0.01)  # between two looks at the condition


def accepts_connections(port: int) -> bool:
    """Whether somebody listens on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def listening_socket(port: int) -> socket.socket:
    """A socket that listens on a loopback port, with nobody behind it yet."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setblocking(False)
    bound.bind(("127.0.0.1", port))
    bound.listen(1024)
    return bound


@dataclass
class Process:
    """A program that was started, and its output in a file.

    One that is ``forked`` is a Python module, which ``tests.fork_server`` starts. ``listens_on`` is
    a loopback port that it inherits, listening, as a front-end does from its supervisor.
    """

    name: str
    argv: list[str]
    environ: dict[str, str]
    log_path: Path
    forked: bool = False
    listens_on: int = 0
    handle: subprocess.Popen[bytes] | fork_server.Forked | None = None
    _logged_before: int = 0

    @property
    def pid(self) -> int:
        assert self.handle is not None
        return self.handle.pid

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        assert self.handle is not None
        return self.handle.poll()

    @property
    def output(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @property
    def output_of_this_run(self) -> str:
        """What was printed since the last start."""
        if not self.log_path.exists():
            return ""
        return self.log_path.read_bytes()[self._logged_before :].decode(errors="replace")

    def start(self, failpoint: str = "") -> None:
        """Start the program; ``failpoint`` is where it is to die (``shared.failpoints``)."""
        environ = {**self.environ, "DMD_FAILPOINT": failpoint}
        with self.log_path.open("ab") as log, contextlib.ExitStack() as bound:
            self._logged_before = log.tell()
            inherited: list[int] = []
            if self.listens_on:
                inherited = [bound.enter_context(listening_socket(self.listens_on)).fileno()]
            if self.forked:
                assert self.argv[:2] == [sys.executable, "-m"], self.argv
                output = (log.fileno(), log.fileno())
                self.handle = fork_server.start(
                    self.argv[2], self.argv[3:], environ, output, inherited=(LISTEN_FDS, inherited)
                )
                return
            # A session of its own, so that the whole process tree can be killed at once.
            self.handle = subprocess.Popen(
                self.argv,
                env={**environ, LISTEN_FDS: ",".join(map(str, inherited))},
                stdout=log,
                stderr=log,
                pass_fds=inherited,
                start_new_session=True,
            )

    def kill(self) -> None:
        """``kill -9`` of the process and its children, at once; none of them holds a port then."""
        if self.handle is None:
            return
        # Children are in process groups of their own, and nobody's once their parent is dead.
        children = process_tree(self.handle.pid)
        for pid in (self.handle.pid, *children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.handle.wait()
        self.handle = None
        wait_for(lambda: all(map(has_ended, children)), f"the children of {self.name} to end")

    def stop(self, seconds: float = DEADLINE_SECONDS) -> int:
        """SIGTERM; the exit code."""
        assert self.handle is not None
        self.handle.terminate()
        try:
            code = self.handle.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop:\n{self.output[-4000:]}") from None
        self.handle = None
        return code


def has_ended(pid: int) -> bool:
    """Whether a process is no more, but for what its parent may still ask of it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"


def process_tree(pid: int) -> list[int]:
    """The descendants of a process; they may be in other process groups."""
    children: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                children += [int(child), *process_tree(int(child))]
    return children


TWO_HOPS: Final = {"metadataDaemon": {"bodySizeMaxBytes": 0}}
"""Settings of a cluster whose bytes go to the data daemon first, be they ever so few."""


@dataclass
class Cluster:
    """One dmd and any number of front-ends that share its folder of configuration.

    ``settings`` go into config.json on top of the ports, ``environ`` into the environment of every
    process. A port of 0 stands for one that is free. With ``supervised``, front-ends are started by
    their command, which makes a supervisor, a worker and a process for background work of it; else
    there is the worker alone. ``forked`` False has real starts of Python, for what processes take
    in memory; ``python`` is that which is started then.

    Without ``supervised``, background work is done by a process of its own, ``work``. It is started
    if ``settings`` say when data is deleted: other tests need none.
    """

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    memory: bool = False
    metadata_port: int = 0
    data_port: int = 0
    supervised: bool = False
    forked: bool = True
    python: str = sys.executable

    def __post_init__(self) -> None:
        self.metadata_port = self.metadata_port or free_port()
        self.data_port = self.data_port or free_port()
        for name in ("data", "metadata", "conf"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._authdata = REPOSITORY / "conf" / "authdata.json"
        options = ["--memory"] if self.memory else []
        # The modules that ``dmd start metadata`` and ``dmd start data`` turn into.
        self.dmd_metadata = self._process("dmd-metadata", "dmd.metadata", *options)
        self.dmd_data = self._process("dmd-data", "dmd.data", *options)
        self.work = self._process("work", "s3front.work")
        self.works = "deleteDelaySeconds" in self.settings and not self.supervised
        self.fronts: list[Front] = []

    def _process(self, name: str, *argv: str, environ: Mapping[str, str] | None = None) -> Process:
        return Process(
            name,
            [self.python, "-m", *argv],
            {**os.environ, **self._paths(), **self.environ, **(environ or {})},
            self.folder / f"{name}.log",
            self.forked,
        )

    def _paths(self) -> dict[str, str]:
        return {
            "S3_CONFIG_FILE": str(self._write_config("config.json", {})),
            "S3AUTH_CONFIG": str(self._authdata),
            "S3DATAPATH": str(self.folder / "data"),
            "S3METADATAPATH": str(self.folder / "metadata"),
            # Tests speak through these ports alone.
            "PYTHONPATH": str(REPOSITORY),
        }

    def _write_config(self, name: str, extra: Mapping[str, Any]) -> Path:
        path = self.folder / name
        address = {"host": "127.0.0.1"}
        bound = {"bindAddress": "127.0.0.1"}
        document: dict[str, Any] = {
            "metadataClient": {**address, "port": self.metadata_port},
            "dataClient": {**address, "port": self.data_port},
            "metadataDaemon": {**bound, "port": self.metadata_port},
            "dataDaemon": {**bound, "port": self.data_port},
        }
        for key, value in [*self.settings.items(), *extra.items()]:
            known = document.get(key)
            # A section adds to the one that says where to listen.
            document[key] = {**known, **value} if isinstance(known, dict) else value
        # At once: it is written again for each process, and one that has started may be reading it.
        whole = path.with_suffix(".new")
        whole.write_text(json.dumps(document))
        whole.replace(path)
        return path

    def start(self, fronts: int = 1) -> Cluster:
        """Start the daemons and so many plain front-ends, and wait until all of it serves."""
        self.start_daemons()
        if self.works:
            self.work.start()
        for _ in range(fronts):
            self.add_front()
        return self

    def start_daemons(self) -> None:
        """Start, or start again, both daemons."""
        for process in (self.dmd_metadata, self.dmd_data):
            if process.handle is None:
                process.start()
        self.wait_for_daemons()

    def wait_for_daemons(self) -> None:
        for process, port in (
            (self.dmd_metadata, self.metadata_port),
            (self.dmd_data, self.data_port),
        ):
            wait_for(
                lambda port=port, process=process: _serving(process, port),  # type: ignore[misc]
                lambda process=process: f"{process.name}:\n{process.output[-2000:]}",  # type: ignore[misc]
            )

    def add_front(
        self,
        *,
        tls: Tls | None = None,
        settings: Mapping[str, Any] | None = None,
        workers: int = 1,
        port: int = 0,
        beside: bool = True,
    ) -> Front:
        """Start one more front-end, over HTTPS when ``tls`` is given. Not ``beside`` the daemons,
        it knows nothing of their directories, and reaches them through their ports alone."""
        port = port or free_port()
        extra: dict[str, Any] = {"listenOn": [f"127.0.0.1:{port}"], **(settings or {})}
        if tls is not None:
            extra["certFilePaths"] = {"key": str(tls.key), "cert": str(tls.certificate)}
        number = len(self.fronts) + 1
        config = self._write_config(f"front-{number}.json", extra)
        supervised = ["s3front", "start", "--workers", str(workers)]
        if not self.supervised:
            supervised.append("--no-work")
        argv = supervised if self.supervised or workers > 1 else ["s3front.process.serve"]
        environ = {"S3_CONFIG_FILE": str(config)}
        if not beside:
            environ["S3DATAPATH"] = str(self.folder / "of-another-machine")
        process = self._process(f"s3front-{number}", *argv, environ=environ)
        if argv is not supervised:
            process.listens_on = port
        front = Front(process, port, tls)
        self.fronts.append(front)
        front.start()
        return front

    def stop(self) -> None:
        """End everything, cleanly or not: a test that cares about a clean stop does it itself."""
        for process in (
            *(front.process for front in self.fronts),
            self.work,
            self.dmd_metadata,
            self.dmd_data,
        ):
            process.kill()


@dataclass
class Front:
    """A front-end process."""

    process: Process
    port: int
    tls: Tls | None = None
    host: str = "localhost"

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    @property
    def verify(self) -> str | bool:
        """What requests and botocore are told of its certificate."""
        return str(self.tls.authority) if self.tls else True

    @property
    def address(self) -> tuple[str, int]:
        """Where to connect to."""
        return "127.0.0.1" if self.host == "localhost" else self.host, self.port

    def start(self, failpoint: str = "") -> None:
        """Start, or start again, and wait until it serves."""
        self.process.start(failpoint)
        self.wait()

    def wait(self) -> None:
        wait_for(
            lambda: _serving(self.process, self.port) and self._connected(),
            lambda: f"{self.process.name}:\n{self.process.output[-2000:]}",
        )

    def _connected(self) -> bool:
        """A process for background work may be beside it, and be connected before."""
        lines = self.process.output_of_this_run.splitlines()
        return any("connected to the" in line and "s3front-work" not in line for line in lines)


def _serving(process: Process, port: int) -> bool:
    if process.handle is not None and process.handle.poll() is not None:
        raise AssertionError(f"{process.name} ended:\n{process.output[-4000:]}")
    return accepts_connections(port)


@dataclass(frozen=True)
class Tls:
    """A certificate for localhost, and the authority that signed it, as files."""

    key: Path
    certificate: Path
    authority: Path


def make_tls(folder: Path) -> Tls:
    """Make a certificate for localhost."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "*.localhost", "127.0.0.1")
    tls = Tls(folder / "tls.key", folder / "tls.crt", folder / "ca.crt")
    issued.private_key_pem.write_to_path(str(tls.key))
    for index, part in enumerate(issued.cert_chain_pems):
        part.write_to_path(str(tls.certificate), append=index > 0)
    authority.cert_pem.write_to_path(str(tls.authority))
    return tls


@contextlib.contextmanager
def cluster(folder: Path, fronts: int = 1, **options: Any) -> Iterator[Cluster]:
    """A running cluster that ends with the block."""
    running = Cluster(folder, **options)
    try:
        yield running.start(fronts)
    finally:
        running.stop()
