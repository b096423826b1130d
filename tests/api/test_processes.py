"""The commands as processes: they stop cleanly, replace what died, and reload."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from s3front.auth.sigv4 import AccessKey
from tests.api.installation import Installation
from tests.load import Load
from tests.raw_http import OWNER, Connection, call, sign
from tests.servers import Front, Process, Tls, accepts_connections, process_tree, wait_for

COMMANDS = [
    ("dmd", "start"),
    ("dmd", "start", "metadata"),
    ("dmd", "start", "data"),
    ("s3front", "start", "--workers", "2"),
    ("s3front", "start", "--no-work"),
    ("s3front", "work"),
]
MEMORY_IDLE_BYTES_MAX = 140 * 1024 * 1024
"""dmd, one front-end and background work (DESIGN, section 8)."""


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path)
    yield installation
    installation.stop_all()


@pytest.mark.parametrize("argv", COMMANDS, ids=" ".join)
def test_sigterm_stops_cleanly(installation: Installation, argv: tuple[str, ...]) -> None:
    process = installation.start(*argv)
    children = process_tree(process.pid)
    ports = installation.ports_of(process)
    assert process.stop() == 0
    assert not any(accepts_connections(port) for port in ports)
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    levels = [json.loads(line)["level"] for line in process.output.splitlines()]
    assert "error" not in levels


@pytest.mark.parametrize("program", ["dmd", "s3front"])
def test_help_describes_the_command(installation: Installation, program: str) -> None:
    for arguments, word in (([], "start"), (["start"], "SIGTERM")):
        finished = installation.run(program, *arguments, "--help")
        assert finished.returncode == 0
        assert "Usage" in finished.stdout
        assert word in finished.stdout


# --- Requests under way --------------------------------------------------------------------------


def test_a_stopping_front_end_finishes_its_requests(installation: Installation) -> None:
    _, front = installation.start_both(workers=2)
    assert call(front, "PUT", "/bucket").status == 200
    data = random.Random(1).randbytes(3_000_000)
    upload = sign(front, "PUT", "/bucket/key", data)
    with Connection(front) as idle, Connection(front) as busy:
        assert idle.exchange(sign(front, "GET", "/")).status == 200
        busy.send(upload.head + data[:1_000_000])
        _term(front)
        wait_for(lambda: not accepts_connections(front.port), "the port to be closed")
        assert idle.ended()
        busy.send(data[1_000_000:])
        response = busy.receive("PUT")
        assert response.status == 200
        assert busy.ended()
    assert front.process.stop() == 0
    front.start()
    assert call(front, "GET", "/bucket/key").body == data


def test_a_stopping_front_end_finishes_its_replies(installation: Installation) -> None:
    _, front = installation.start_both()
    assert call(front, "PUT", "/bucket").status == 200
    data = random.Random(2).randbytes(20_000_000)
    assert call(front, "PUT", "/bucket/key", data).status == 200
    with socket.create_connection(("127.0.0.1", front.port), 30) as reader:
        reader.sendall(bytes(sign(front, "GET", "/bucket/key")))
        received = bytearray(reader.recv(1000))
        _term(front)
        wait_for(lambda: not accepts_connections(front.port), "the port to be closed")
        while block := reader.recv(1 << 20):
            received += block
    assert received.endswith(b"\r\n\r\n" + data)
    assert front.process.stop() == 0


@pytest.mark.parametrize("program", ["dmd", "s3front"])
def test_signals_to_a_process_that_stops_do_not_change_its_exit_code(
    installation: Installation, program: str
) -> None:
    daemon, front = installation.start_both()
    process = {"dmd": daemon, "s3front": front.process}[program]
    assert process.handle is not None
    while process.handle.poll() is None:
        process.handle.terminate()
    assert process.handle.returncode == 0


def test_a_stopping_data_daemon_finishes_its_uploads(installation: Installation) -> None:
    process = installation.start("dmd", "start")
    data = random.Random(3).randbytes(3_000_000)
    idle = http.client.HTTPConnection("127.0.0.1", installation.data_port, timeout=30)
    idle.request("GET", "/DataFile?diskUsage")
    assert idle.getresponse().read()
    busy = http.client.HTTPConnection("127.0.0.1", installation.data_port, timeout=30)
    busy.putrequest("PUT", "/DataFile/")
    busy.putheader("Content-Length", str(len(data)))
    busy.endheaders(data[:1_000_000])
    assert process.handle is not None
    process.handle.terminate()
    wait_for(lambda: not accepts_connections(installation.data_port), "the port to be closed")
    assert idle.sock.recv(1) == b""
    busy.send(data[1_000_000:])
    stored = busy.getresponse()
    assert stored.status == 201
    assert process.stop() == 0
    idle.close()
    busy.close()
    installation.start_again(process)
    reader = http.client.HTTPConnection("127.0.0.1", installation.data_port, timeout=30)
    reader.request("GET", stored.headers["Location"])
    assert reader.getresponse().read() == data
    reader.close()


def test_nothing_is_lost_by_stopping_under_load(installation: Installation) -> None:
    dmd, front = installation.start_both(workers=2)
    with Load("bucket", [front]) as load:
        for process in (dmd, front.process):
            load.wait_for_writes(50)
            assert process.stop() == 0
            installation.start_again(process)
            load.wait_for_recovery()
        load.check()


def _term(front: Front) -> None:
    assert front.process.handle is not None
    front.process.handle.terminate()


# --- Workers -------------------------------------------------------------------------------------


class Connector:
    """Connects again and again, and counts how often that is refused, until the block ends."""

    def __init__(self, port: int) -> None:
        self.accepted = 0
        self.refused = 0
        self._port = port
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Connector:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self._port), 10):
                    self.accepted += 1
            except OSError:
                self.refused += 1


def test_killed_workers_are_replaced_and_the_port_stays_open(installation: Installation) -> None:
    _, front = installation.start_both(workers=2)
    with Connector(front.port) as connector:
        for count in (1, 1, 2):
            workers = workers_of(front)
            assert len(workers) == 2
            for pid in workers[:count]:
                os.kill(pid, signal.SIGKILL)
            wait_for(lambda: _answers(front), "an answer")
            wait_for(
                lambda gone=set(workers[:count]): _are_new(front, gone),  # type: ignore[misc]
                "new workers",
            )
    assert connector.accepted > 0
    assert connector.refused == 0
    assert front.process.stop() == 0


def _answers(front: Front) -> bool:
    """A connection may have been that of a killed worker."""
    with contextlib.suppress(OSError):
        return call(front, "GET", "/").status == 200
    return False


def _are_new(front: Front, gone: set[int]) -> bool:
    workers = workers_of(front)
    return len(workers) == 2 and gone.isdisjoint(workers)


def workers_of(front: Front) -> list[int]:
    """The children of a front-end's supervisor but the one for background work."""
    return [pid for pid in process_tree(front.process.pid) if not _does_background_work(pid)]


def work_of(front: Front) -> list[int]:
    """The children of a front-end's supervisor for background work."""
    return [pid for pid in process_tree(front.process.pid) if _does_background_work(pid)]


def test_background_work_beside_a_front_end_is_started_again(installation: Installation) -> None:
    _, front = installation.start_both()
    (work,) = work_of(front)
    os.kill(work, signal.SIGKILL)
    wait_for(lambda: work_of(front) not in ([], [work]), "another process of background work")
    assert call(front, "GET", "/").status == 200
    wait_for(lambda: _lines_of_work(front, '"event":"serving"') == 2, "it to serve")
    os.kill(front.process.pid, signal.SIGHUP)
    wait_for(lambda: _lines_of_work(front, "configuration reloaded") == 1, "it to reload")
    assert front.process.stop() == 0
    alone = installation.start("s3front", "start", "--no-work")
    assert work_of(Front(alone, installation.port)) == []
    assert alone.stop() == 0


def _lines_of_work(front: Front, text: str) -> int:
    lines = front.process.output.splitlines()
    return sum('"name":"s3front-work"' in line and text in line for line in lines)


def _does_background_work(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "s3front.work" in Path(f"/proc/{pid}/cmdline").read_text()
    return False


def _kill_until_replaced(dmd: Process, pid: int) -> None:
    """Kill one of the two services; returns when another one serves."""
    served = '"event":"serving '
    before = dmd.output.count(served)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: dmd.output.count(served) > before, "another one")


def test_killed_parts_of_the_daemon_are_replaced(installation: Installation) -> None:
    dmd, front = installation.start_both()
    assert call(front, "PUT", "/bucket").status == 200
    data = bytes(300_000)
    assert call(front, "PUT", "/bucket/key", data).status == 200
    for pid in process_tree(dmd.pid):
        _kill_until_replaced(dmd, pid)  # a front-end beside the data service goes on without it
        wait_for(lambda: call(front, "GET", "/bucket/key").body == data, "recovery")
        wait_for(lambda: call(front, "PUT", "/bucket/key", data).status == 200, "recovery")
    assert dmd.stop() == 0


# --- What the commands promise -------------------------------------------------------------------


def test_memory_keeps_nothing_on_disk(installation: Installation) -> None:
    installation.data.rmdir()
    installation.metadata.rmdir()
    dmd = installation.start("dmd", "start", "--memory")
    front = Front(installation.start("s3front", "start"), installation.port)
    front.wait()
    assert call(front, "PUT", "/bucket").status == 200
    assert call(front, "PUT", "/bucket/key", b"data" * 200_000).status == 200
    assert call(front, "GET", "/bucket/key").body == b"data" * 200_000
    assert dmd.stop() == 0
    assert not installation.data.exists()
    assert not installation.metadata.exists()
    installation.start_again(dmd)
    wait_for(lambda: call(front, "GET", "/bucket/key").status == 404, "an empty server")


def test_https_with_several_workers(installation: Installation, tls: Tls) -> None:
    installation.use_tls(tls)
    _, front = installation.start_both(tls=tls, workers=2)
    assert call(front, "PUT", "/bucket").status == 200
    data = random.Random(4).randbytes(1_000_000)
    assert call(front, "PUT", "/bucket/key", data).status == 200
    assert call(front, "GET", "/bucket/key").body == data
    with Connection(front, plain=True) as plain:
        plain.send(sign(front, "GET", "/"))
        assert not plain.rest().startswith(b"HTTP/1.1 200")
    assert front.process.stop() == 0


def test_idle_processes_are_small(installation: Installation) -> None:
    dmd, front = installation.start_both()
    assert call(front, "GET", "/").status == 200
    pids = [pid for top in (dmd.pid, front.process.pid) for pid in (top, *process_tree(top))]
    sizes = {_command_of(pid): _resident_bytes(pid) for pid in pids}
    assert len(sizes) == 6
    assert sum(sizes.values()) <= MEMORY_IDLE_BYTES_MAX, sizes


def _command_of(pid: int) -> str:
    return f"{pid} {Path(f'/proc/{pid}/cmdline').read_text().replace(chr(0), ' ')[:60]}"


def _resident_bytes(pid: int) -> int:
    """Memory that is the process's own: RssAnon and RssShmem (proc(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    sizes = dict(line.split(":", 1) for line in lines)
    return sum(int(sizes[name].split()[0]) * 1024 for name in ("RssAnon", "RssShmem"))


# --- Reload --------------------------------------------------------------------------------------

NEW_KEY = AccessKey("newAccessKey", "newSecretKey")


def test_sighup_reloads_accounts(installation: Installation) -> None:
    _, front = installation.start_both(workers=2)
    document = json.loads(installation.authdata.read_text())
    assert _status(front, OWNER) == 200
    assert _status(front, NEW_KEY) == 403

    document["accounts"][0]["keys"] = [_key_entry(NEW_KEY)]
    installation.authdata.write_text(json.dumps(document))
    _hang_up(front, "configuration reloaded")
    assert _status(front, NEW_KEY) == 200
    assert _status(front, OWNER) == 403

    installation.authdata.write_text("{ broken")
    _hang_up(front, "reload refused")
    assert _status(front, NEW_KEY) == 200
    refusals = [line for line in front.process.output.splitlines() if "reload refused" in line]
    assert "authdata.json" in json.loads(refusals[0])["reason"]

    document["accounts"][0]["keys"] = [_key_entry(OWNER)]
    installation.authdata.write_text(json.dumps(document))
    _hang_up(front, "configuration reloaded")
    assert _status(front, OWNER) == 200
    assert _status(front, NEW_KEY) == 403


def test_accounts_are_read_again_when_their_file_changes(installation: Installation) -> None:
    """Written in place, put in place of the old one, broken, and gone for a while."""
    _, front = installation.start_both(workers=2)
    document = json.loads(installation.authdata.read_text())

    document["accounts"][0]["keys"] = [_key_entry(NEW_KEY)]
    installation.authdata.write_text(json.dumps(document))
    # Chance decides which of both answers, so each of them is to say that it has.
    wait_for(lambda: front.process.output.count("accounts read again") == 2, "the new key")
    assert _statuses(front, NEW_KEY) == {200}
    assert _statuses(front, OWNER) == {403}

    installation.authdata.write_text("{ broken")
    wait_for(lambda: front.process.output.count("accounts refused") == 2, "both refusals")
    assert _status(front, NEW_KEY) == 200

    document["accounts"][0]["keys"] = [_key_entry(OWNER)]
    new = installation.authdata.with_suffix(".new")
    new.write_text(json.dumps(document))
    new.rename(installation.authdata)
    wait_for(lambda: front.process.output.count("accounts read again") == 4, "the old key again")
    assert _statuses(front, OWNER) == {200}
    assert _statuses(front, NEW_KEY) == {403}

    installation.authdata.unlink()
    wait_for(lambda: front.process.output.count("accounts refused") == 4, "two more refusals")
    assert _status(front, OWNER) == 200
    assert "Traceback" not in front.process.output


def _key_entry(key: AccessKey) -> dict[str, Any]:
    return {"access": key.access_key, "secret": key.secret}


def _status(front: Front, key: AccessKey) -> int:
    """The status that both workers give a request of this key; several ask to meet both."""
    statuses = _statuses(front, key)
    assert len(statuses) == 1
    return statuses.pop()


def _statuses(front: Front, key: AccessKey) -> set[int]:
    return {call(front, "GET", "/", key=key).status for _ in range(10)}


def _hang_up(front: Front, event: str) -> None:
    """SIGHUP to the supervisor; waits until each worker has said what came of it."""

    def said() -> int:
        lines = front.process.output.splitlines()
        return sum(event in line and '"name":"s3front"' in line for line in lines)

    before = said()
    os.kill(front.process.pid, signal.SIGHUP)
    wait_for(lambda: said() >= before + 2, event)
