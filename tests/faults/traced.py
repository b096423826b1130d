"""A program of ours that writes down its calls: ``python -m tests.faults.traced FILE PORT MODULE
[ARGUMENT...]``.

It becomes the module. Each call of a function of ours by another module of ours is a line of the
file, in the order of their beginnings in all processes: the time in nanoseconds of the monotonic
clock, which all processes of a machine share, then ``module function`` of who called and of what
was called. A coroutine that goes on is called again. A call by the event loop has no caller, ``-
-``. ``PORT`` is a loopback port that a front-end is to inherit as its listening one, 0 for none.
"""

from __future__ import annotations

import os
import runpy
import socket
import sys
import threading
import time
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from s3front.port.listeners import LISTEN_FDS
from tests.servers import REPOSITORY

_OURS = ("dmd", "s3front", "shared")


class _Tracer:
    def __init__(self, file: Path) -> None:
        self._file = file.open("w", buffering=1)
        self._modules: dict[CodeType, str | None] = {}

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event != "call":
            return
        called = self._module(frame)
        if called is None:
            return
        caller = frame.f_back
        while caller is not None and self._module(caller) is None:
            caller = caller.f_back
        by = "- -"
        if caller is not None:
            by = f"{self._module(caller)} {caller.f_code.co_name}"
        if not by.startswith(f"{called} "):
            self._file.write(f"{time.monotonic_ns()} {by} {called} {frame.f_code.co_name}\n")

    def _module(self, frame: FrameType) -> str | None:
        code = frame.f_code
        if code not in self._modules:
            path = Path(code.co_filename)
            ours = path.is_relative_to(REPOSITORY)
            parts = path.relative_to(REPOSITORY).with_suffix("").parts if ours else ("",)
            self._modules[code] = ".".join(parts) if parts[0] in _OURS else None
        return self._modules[code]


def main() -> None:
    """Become the program."""
    file, port, module, *arguments = sys.argv[1:]
    if port != "0":
        listening = socket.create_server(("127.0.0.1", int(port)))
        listening.setblocking(False)
        os.environ[LISTEN_FDS] = str(listening.detach())
    sys.argv = [module, *arguments]
    tracer = _Tracer(Path(file))
    threading.setprofile(tracer)
    sys.setprofile(tracer)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
