"""``deploy/start-both.sh``, which ``make start`` and the container image run."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from shared.process.supervisor import EX_CONFIG, READY_FD
from tests.api.installation import Installation, occupied_port
from tests.raw_http import call
from tests.servers import (
    REPOSITORY,
    Front,
    Process,
    accepts_connections,
    free_port,
    process_tree,
    wait_for,
)

SCRIPT = REPOSITORY / "deploy" / "start-both.sh"
SHELLS = [shell for shell in ("sh", "bash", "busybox") if shutil.which(shell)]


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path)
    yield installation
    installation.stop_all()


class Both(Process):
    """The script, running."""

    def __init__(
        self, installation: Installation, shell: str = "sh", options: Sequence[str] = ()
    ) -> None:
        folder = installation.folder
        # The commands beside this interpreter; the configuration as ``make start`` finds it.
        environ = {
            **installation.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        words = [shell, "sh", str(SCRIPT)] if shell == "busybox" else [shell, str(SCRIPT)]
        log = folder / "start-both.log"
        super().__init__("start-both", [*words, *options], environ, log)
        self.front = Front(self, installation.port)
        self.ports = (installation.port, installation.metadata_port, installation.data_port)

    @property
    def greetings(self) -> list[str]:
        begin = ("Twofold ", "Its names: ")
        return [line for line in self.output.splitlines() if line.startswith(begin)]

    def start_and_wait(self) -> None:
        self.start()
        wait_for(lambda: bool(self.greetings), lambda: f"the greeting:\n{self.output[-3000:]}")

    def wait_for_end(self) -> int:
        assert self.handle is not None
        code = self.handle.wait(40)
        self.handle = None
        return code

    def supervisor_of(self, half: str) -> int:
        """The process ID of ``dmd start`` or ``s3front start``."""
        (pid,) = (
            pid
            for pid in process_tree(self.pid)
            if f'"{half}"' in _command_line(pid)
            and "shared.process.supervisor" in _command_line(pid)
        )
        return pid


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


@pytest.fixture
def both(installation: Installation) -> Iterator[Both]:
    both = Both(installation)
    yield both
    both.kill()


def assert_nothing_runs(both: Both, children: list[int]) -> None:
    assert not any(accepts_connections(port) for port in both.ports)
    # What waits and greets for the script ends on its own, a moment after it.
    wait_for(lambda: not any(_command_line(pid) for pid in children), "the end of all processes", 5)


@pytest.mark.parametrize("shell", SHELLS)
def test_it_serves_says_so_and_stops_cleanly(installation: Installation, shell: str) -> None:
    both = Both(installation, shell)
    try:
        both.start_and_wait()
        assert both.greetings == [
            f"Twofold serves S3 on http://127.0.0.1:{installation.port} "
            "(access key accessKey1, its secret is in conf/authdata.json)",
            "Its names: localhost, 127.0.0.1, s3.docker.test, cloudserver-front, lb "
            "(more: ENDPOINT=nas.lan), and every IP address",
        ]
        assert call(both.front, "PUT", "/bucket").status == 200
        assert call(both.front, "PUT", "/bucket/key", b"data").status == 200
        children = process_tree(both.pid)
        assert both.stop() == 0
        assert_nothing_runs(both, children)
        both.start()
        wait_for(lambda: len(both.greetings) == 4, "the second greeting")
        assert call(both.front, "GET", "/bucket/key").body == b"data"
        assert both.stop() == 0
    finally:
        both.kill()


def test_ctrl_c_stops_cleanly(both: Both) -> None:
    both.start_and_wait()
    children = process_tree(both.pid)
    # A terminal sends it to every process in the foreground.
    os.killpg(both.pid, signal.SIGINT)
    assert both.wait_for_end() == 0
    assert_nothing_runs(both, children)
    assert "Traceback" not in both.output


def test_a_stop_while_starting_is_clean(both: Both) -> None:
    both.start()
    wait_for(lambda: len(process_tree(both.pid)) >= 3, "both halves to be started")
    children = process_tree(both.pid)
    assert both.stop() == 0
    assert_nothing_runs(both, children)


@pytest.mark.parametrize("half", ["dmd", "s3front"])
def test_when_one_half_ends_the_other_is_stopped(both: Both, half: str) -> None:
    both.start_and_wait()
    children = process_tree(both.pid)
    os.kill(both.supervisor_of(half), signal.SIGKILL)
    assert both.wait_for_end() == 128 + signal.SIGKILL
    wait_for(lambda: not any(accepts_connections(port) for port in both.ports), "closed ports")
    assert_nothing_runs(both, children)


@pytest.mark.parametrize("port", ["port", "metadata_port"])
def test_a_start_up_problem_ends_both(installation: Installation, port: str) -> None:
    with occupied_port() as listener:
        setattr(installation, port, listener.getsockname()[1])
        installation.write_config()
        both = Both(installation)
        both.start()
        try:
            assert both.wait_for_end() == EX_CONFIG
        finally:
            both.kill()
    problems = [line for line in both.output.splitlines() if not line.startswith("{")]
    assert len(problems) == 1, problems
    assert "in use" in problems[0]


def greeted_when(both: Both, halves: int) -> str:
    """What is said once so many halves of a start serve, and then its script has ended, while
    another server answers on all ports."""
    reading, writing = os.pipe()
    os.write(writing, b"\n" * halves)
    command = [sys.executable, "-m", "s3front.process.greeting", "1"]
    environ = {**both.environ, READY_FD: str(reading)}
    done = subprocess.run(
        command, env=environ, pass_fds=[reading], stderr=subprocess.PIPE, timeout=30, check=True
    )
    os.close(reading)
    os.close(writing)
    return done.stderr.decode()


def test_nothing_is_said_of_another_server(both: Both) -> None:
    """One that has the port already answers there as this one would."""
    both.start_and_wait()
    assert greeted_when(both, 0) == greeted_when(both, 1) == ""
    assert greeted_when(both, 2).splitlines() == both.greetings


def test_sighup_reaches_the_front_end(installation: Installation, both: Both) -> None:
    both.start_and_wait()
    document = json.loads(installation.authdata.read_text())
    del document["accounts"][0]
    installation.authdata.write_text(json.dumps(document))
    os.kill(both.pid, signal.SIGHUP)
    wait_for(lambda: call(both.front, "GET", "/").status == 403, "the reload")
    assert both.stop() == 0


def test_the_greeting_names_the_key_of_the_environment(installation: Installation) -> None:
    installation.environ |= {
        "SCALITY_ACCESS_KEY_ID": "environmentKey",
        "SCALITY_SECRET_ACCESS_KEY": "environmentSecret",
    }
    both = Both(installation)
    try:
        both.start_and_wait()
        assert both.greetings[0].endswith("(access key environmentKey)")
        assert "environmentSecret" not in both.output
    finally:
        both.kill()


# --- Options --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", SHELLS)
def test_options_that_are_refused(installation: Installation, shell: str) -> None:
    for options, problem in (
        (["--prot", "8000"], "there is no option --prot"),
        (["8000"], "there is no option 8000"),
        (["--port"], "--port needs a value"),
        (["--port="], "--port needs a value"),
        (["--data-port=x"], "--data-port needs a number"),
    ):
        both = Both(installation, shell, options)
        both.start()
        assert both.wait_for_end() == 2
        assert f"start-both.sh: {problem} (--help lists" in both.output


def test_options_say_where_to_serve_and_what_to_keep(installation: Installation) -> None:
    ports = {"port": free_port(), "metadata-port": free_port(), "data-port": free_port()}
    folder = installation.folder / "not there" / "yet"
    options = [f"--data={folder}", "--host", "127.0.0.1"]
    for name, port in ports.items():
        options += [f"--{name}", str(port)]
    both = Both(installation, options=options)
    both.front = Front(both, ports["port"])
    try:
        both.start_and_wait()
        assert f"http://127.0.0.1:{ports['port']} " in both.greetings[0]
        assert call(both.front, "PUT", "/bucket").status == 200
        assert call(both.front, "PUT", "/bucket/key", b"data" * 50_000).status == 200
        assert not any(accepts_connections(port) for port in both.ports)
        assert all(accepts_connections(port) for port in ports.values())
        assert both.stop() == 0
    finally:
        both.kill()
    made = {path.name: stat.filemode(path.stat().st_mode) for path in folder.iterdir()}
    assert made == {"localData": "drwx------", "localMetadata": "drwx------"}
    assert list(installation.metadata.iterdir()) == list(installation.data.iterdir()) == []


def test_on_a_terminal_the_log_is_for_people(installation: Installation) -> None:
    both = Both(installation)
    terminal, inner = pty.openpty()
    shown = b""
    environ = {**both.environ, "TZ": "UTC"}
    with subprocess.Popen(
        both.argv, env=environ, stdin=inner, stdout=inner, stderr=inner, start_new_session=True
    ) as script:
        os.close(inner)
        try:
            while b"Its names: " not in shown:
                shown += os.read(terminal, 4096)
            assert call(both.front, "PUT", "/bucket").status == 200
            assert call(both.front, "GET", "/bucket/absent").status == 404
            while b"NoSuchKey" not in shown:
                shown += os.read(terminal, 4096)
        finally:
            script.terminate()
            script.wait(40)
            os.close(terminal)
    lines = shown.decode().replace("\r", "").splitlines()
    assert not [line for line in lines if line.startswith("{")]
    clock = r"[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}"
    for expected in (
        f"{clock} s3front 200 PUT CreateBucket bucket [0-9.]+ ms",
        f"{clock} s3front 404 GET GetObject bucket [0-9.]+ ms NoSuchKey [0-9A-F]{{16}}",
        f"{clock} s3front child started child=s3front-1 .*",
        f"{clock} dmd-metadata serving .*",
    ):
        assert any(re.fullmatch(expected, line) for line in lines), (expected, lines)


# --- The socket between the halves ----------------------------------------------------------------


def private_folders(folder: Path) -> list[Path]:
    return list(folder.glob("twofold.*"))


def test_data_goes_over_a_socket_that_nobody_else_can_use(
    installation: Installation, short_folder: Path
) -> None:
    folder = short_folder
    installation.environ["TMPDIR"] = str(folder)
    both = Both(installation)
    try:
        both.start_and_wait()
        (private,) = private_folders(folder)
        path = private / "data"
        wait_for(path.exists, "the data daemon")
        assert [stat.filemode(each.stat().st_mode) for each in (private, path)] == [
            "drwx------",
            "srw-------",
        ]
        assert call(both.front, "PUT", "/bucket").status == 200
        assert call(both.front, "PUT", "/bucket/key", b"data").status == 200
        assert connections_of(path) > 0
        assert both.stop() == 0
        assert private_folders(folder) == []
    finally:
        both.kill()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """One in which a Unix socket has room for its name, 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as folder:  # short
        yield Path(folder)


def connections_of(path: Path) -> int:
    """How many connections the listener on a Unix socket has accepted and not closed."""
    lines = Path("/proc/net/unix").read_text().splitlines()
    connected = "03"
    return sum(line.split()[5] == connected for line in lines if line.endswith(f" {path}"))


def test_a_path_that_is_too_long_for_a_socket_is_no_obstacle(installation: Installation) -> None:
    folder = installation.folder / ("d" * 100)
    folder.mkdir()
    installation.environ["TMPDIR"] = str(folder)
    both = Both(installation)
    try:
        both.start_and_wait()
        assert "too long for a Unix socket, data goes over TCP" in both.output
        assert call(both.front, "PUT", "/bucket").status == 200
        assert call(both.front, "PUT", "/bucket/key", b"data").status == 200
        assert both.stop() == 0
        assert private_folders(folder) == []
    finally:
        both.kill()


@pytest.mark.parametrize("variable", ["S3BACKEND", "S3DATA"])
def test_what_is_in_memory_needs_no_daemon(installation: Installation, variable: str) -> None:
    installation.environ[variable] = "mem"
    both = Both(installation)
    both.start()
    try:
        both.front.wait()
        assert call(both.front, "PUT", "/bucket").status == 200
        assert call(both.front, "PUT", "/bucket/key", b"body").status == 200
        assert call(both.front, "GET", "/bucket/key").body == b"body"
        assert accepts_connections(installation.metadata_port) == (variable == "S3DATA")
        assert not accepts_connections(installation.data_port)
        assert both.stop() == 0
    finally:
        both.kill()
