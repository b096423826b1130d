"""``make start`` ends what it has started, however it is told to end."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

from tests.servers import REPOSITORY, wait_for

_SERVERS = """
trap 'echo stopped > ended; exit 0' TERM INT
echo "$@" > begun
for _ in $(seq 1000); do sleep 0.05; done
"""


def test_a_signal_to_make_alone_ends_the_servers(tmp_path: Path) -> None:
    """As ``kill`` and init systems send it; Ctrl-C goes to all of them."""
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    script = tmp_path / "deploy" / "start-both.sh"
    script.parent.mkdir()
    script.write_text(_SERVERS)
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    command = ["make", "--old-file=install", "start", "PORT=8001", "DATA=a b"]
    make = subprocess.Popen(command, cwd=tmp_path)
    try:
        wait_for(lambda: begun.exists() and bool(begun.read_text()), "the servers")
        make.send_signal(signal.SIGTERM)
        wait_for(ended.exists, "the end of the servers")
    finally:
        make.kill()
        make.wait()
    assert begun.read_text() == "--port 8001 --data a b\n"


def test_everything_in_memory(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    command = tmp_path / ".venv" / "bin" / "s3front"
    command.parent.mkdir(parents=True)
    command.write_text('#!/bin/sh\necho "$S3BACKEND $@" > begun\n')
    command.chmod(0o755)
    made = ["make", "--old-file=install", "mem_backend", "PORT=8001", "HOST=127.0.0.1"]
    subprocess.run(made, cwd=tmp_path, check=True, timeout=60)
    assert (tmp_path / "begun").read_text() == "mem start --port 8001 --host 127.0.0.1\n"
