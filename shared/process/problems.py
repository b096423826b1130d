"""Why a process cannot start, in one line for whoever started it.

Apart from the rest, because a command line needs it and no event loop.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import NoReturn

from shared.process.supervisor import EX_CONFIG


def cannot_listen(host: str, port: int, error: OSError, setting: str) -> str:
    """What to say when a port cannot be had; ``setting`` is what chooses another one."""
    advice = f" ({setting} chooses another port)" if error.errno == errno.EADDRINUSE else ""
    return f"cannot listen on {host}:{port}: {error.strerror or error}{advice}"


def exit_with_problem(program: str, problem: object, code: int = EX_CONFIG) -> NoReturn:
    """End a process that cannot start: one line on standard error, exit code 78 (EX_CONFIG)."""
    line = f"{program}: {_told(problem)}".replace("\n", " ")
    os.write(sys.stderr.fileno(), line.encode() + b"\n")
    sys.exit(code)


def _told(problem: object) -> object:
    """What the system refuses, in words for people: the file, and the reason without its number."""
    if isinstance(problem, OSError) and problem.strerror is not None:
        return ": ".join(str(part) for part in (problem.filename, problem.strerror) if part)
    return problem
