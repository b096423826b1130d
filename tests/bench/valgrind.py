"""Processes that count their own instructions, and asking them how many it were so far.

They run under callgrind, whose command ``status internal`` (the one that ``callgrind_control -e``
uses; Valgrind's manual, chapters "Callgrind" and "vgdb") answers while the process goes on. So one
start of the servers is enough for any number of rows. The counts are those of the process alone:
what the kernel does for it is not in them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from tests.servers import process_tree

PROGRAMS: Final = ("valgrind", "vgdb")
_ANSWER_SECONDS_MAX: Final = 60.0
_THREAD: Final = re.compile(rb"^events-\d+: (\d+)", re.MULTILINE)
"""A thread's line; those of its frames have a second number."""

_MODULE: Final = re.compile(rb"\0-m\0([a-z0-9_.]+)(?:\0|$)")


class CountError(Exception):
    """A process does not say what it counted; the text says why."""


def missing_programs() -> list[str]:
    """The programs of Valgrind that this machine does not have."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def counting(argv: Iterable[str], folder: Path) -> list[str]:
    """The command line of a program that counts, with all that it starts; ``folder`` takes what
    callgrind writes."""
    return [
        "valgrind",
        "--tool=callgrind",
        "--cache-sim=no",
        "--trace-children=yes",
        f"--callgrind-out-file={folder}/counted.%p",
        f"--log-file={folder}/valgrind.%p",
        _pipes(folder),
        *argv,
    ]


def instructions(pid: int, folder: Path) -> int:
    """What a process has executed so far, all threads together; raises CountError. ``folder`` is
    that of ``counting``."""
    command = ["vgdb", _pipes(folder), f"--pid={pid}", "status", "internal"]
    try:
        asked = subprocess.run(
            command, capture_output=True, timeout=_ANSWER_SECONDS_MAX, check=False
        )
    except subprocess.TimeoutExpired:
        raise CountError(f"process {pid} gave no count in {_ANSWER_SECONDS_MAX:g} s") from None
    total = read_total(asked.stdout)
    if total is None:
        said = (asked.stderr or asked.stdout).decode(errors="replace").strip()
        raise CountError(f"process {pid} gave no count: {said[-300:]}")
    return total


def _pipes(folder: Path) -> str:
    """The option that says where the pipes are; those of a process that is killed stay there."""
    return f"--vgdb-prefix={folder}/vgdb"


def read_total(answer: bytes) -> int | None:
    """The instructions of all threads in an answer to ``status internal``; None when it has none.
    Instructions are the first of the events, and here there are no others."""
    threads = _THREAD.findall(answer)
    return sum(map(int, threads)) if threads else None


def named_processes(pids: Iterable[int]) -> dict[str, int]:
    """The processes of these trees that run a Python module, by its name."""
    named = {}
    for top in pids:
        for pid in (top, *process_tree(top)):
            module = read_module(Path(f"/proc/{pid}/cmdline").read_bytes())
            if module is not None:
                named[module] = pid
    return named


def read_module(command_line: bytes) -> str | None:
    """The module that ``python -m`` runs in a command line as /proc has it."""
    found = _MODULE.search(command_line)
    return found[1].decode() if found else None


def difference(before: Mapping[str, int], after: Mapping[str, int], count: int) -> dict[str, float]:
    """Instructions of each process per piece of work, and ``total``."""
    parts = {name: (after[name] - before[name]) / count for name in before}
    return {**parts, "total": sum(parts.values())}
