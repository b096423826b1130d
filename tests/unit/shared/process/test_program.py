"""``shared.process.program``: what a process does with signals while it starts."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os
import signal

from shared.process.program import run_process, serve_until_stopped


def reload() -> None:
    print("reloaded", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)


async def main() -> None:
    os.kill(os.getpid(), signal.SIGHUP)
    print("serving", flush=True)
    await serve_until_stopped(reload)
    print("stopped", flush=True)


run_process(main)
"""


def test_a_reload_that_is_asked_for_during_the_start_is_done_after_it() -> None:
    """The default of SIGHUP is to end the process, and a log says that it serves a bit earlier than
    it waits for signals."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout.split()) == (0, ["serving", "reloaded", "stopped"]), (
        ended.stderr
    )
