"""Many clients that take or send nothing more cost a front-end little memory, and none when they
have gone, where the bytes are at a place that others run."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from s3front.auth.sigv4 import PayloadForm
from tests.backends.outage_stage import OutageStage, outage_stage
from tests.clients_boto3 import s3_client
from tests.memory_watch import memory_watched
from tests.raw_http import sign
from tests.servers import process_tree, wait_for

MIB = 1024**2
CLIENTS = 160
READER_BYTES_MAX = 3 * MIB // 4
"""For each of so many: what arrived, and what is on its way out."""

WRITER_BYTES_MAX = 3 * MIB // 4
"""For each, all that it has sent, and a little."""

KEPT_BYTES_MAX = 40 * MIB
"""What a process keeps of what it took, so as to have it at hand, and a little."""

SENT = os.urandom(MIB // 2)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutageStage]:
    folder = tmp_path_factory.mktemp("slow-clients")
    with outage_stage(folder, forked=False, grace_seconds=3600) as running:
        yield running


def slow_client(
    stage: OutageStage, method: str, target: str, headers: dict[str, str] | None = None
) -> socket.socket:
    """One that has sent a request, and takes next to nothing."""
    front = stage.front
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(20)
    client.connect(("127.0.0.1", front.port))
    payload = PayloadForm.UNSIGNED.value
    client.sendall(bytes(sign(front, method, target, headers=headers, payload=payload)))
    return client


def memory_of(stage: OutageStage) -> int:
    """What the front-end's processes have of their own."""
    found = 0
    for pid in process_tree(stage.front.process.pid):
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
        found = max(found, (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE"))
    return found


@pytest.mark.timeout(180)
def test_slow_readers_and_writers_cost_little(stage: OutageStage) -> None:
    s3_client(stage.front).put_object(Bucket="there", Key="large", Body=bytes(16 * MIB))
    before = memory_of(stage)
    with memory_watched(stage.running) as peaks, ExitStack() as clients:
        for _ in range(CLIENTS):
            client = clients.enter_context(slow_client(stage, "GET", "/there/large"))
            assert client.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 200"
        of_readers = max(peaks.values()) - before
        for number in range(CLIENTS):
            headers = {"Content-Length": str(16 * MIB)}
            target = f"/there/written-{number}"
            client = clients.enter_context(slow_client(stage, "PUT", target, headers))
            client.sendall(SENT)
        wait_for(lambda: stage.report()["writing"] == CLIENTS, "all to be written", 60)
        assert stage.report()["reading"] == CLIENTS
    grown = max(peaks.values()) - before
    print(f"{of_readers / MIB:.0f} MiB for readers, {grown / MIB:.0f} MiB with writers")
    assert of_readers < CLIENTS * READER_BYTES_MAX, peaks
    assert grown < CLIENTS * (READER_BYTES_MAX + WRITER_BYTES_MAX), peaks
    wait_for(lambda: memory_of(stage) < before + KEPT_BYTES_MAX, "memory to go back", 60)
