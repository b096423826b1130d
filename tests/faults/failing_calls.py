"""A program of ours on a disk that begins to fail: ``python -m tests.faults.failing_calls CALL
MODULE [ARGUMENT...]``.

It becomes the module, and from a SIGUSR1 on the kernel answers the system calls of that kind with
"Input/output error" instead of doing them: a seccomp filter (seccomp(2)), which any process of
Linux may put upon itself, and which goes with it. ``fsync`` is what makes data durable; ``write``
puts data into its place in a file, ``meta`` only into the first two pages of one, those with which
an LMDB store becomes current.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import runpy
import signal
import struct
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_PR_SET_NO_NEW_PRIVS: Final = 38
_SET_MODE_FILTER: Final = 1
_ALL_THREADS: Final = 1


@dataclass(frozen=True)
class _Numbers:
    """The numbers that the calls have on a kind of machine."""

    seccomp: int
    fsync: tuple[int, ...]
    """fsync, fdatasync, msync, sync_file_range."""
    write: tuple[int, ...]
    """pwrite64, pwritev, pwritev2."""


_NUMBERS: Final = {
    "x86_64": _Numbers(317, (74, 75, 26, 277), (18, 296, 328)),
    "aarch64": _Numbers(277, (82, 83, 227, 84), (68, 70, 287)),
}

KINDS: Final = ("fsync", "write", "meta")

# A filter is a program of the classic BPF over struct seccomp_data (linux/seccomp.h).
_LOAD, _EQUAL, _LESS_JUMP, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_AT, _FOURTH_ARGUMENT_AT = 0, 40
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000 | errno.EIO
_META_BYTES: Final = 2 * 4096


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _failing(numbers: Sequence[int]) -> bytes:
    """Fail these calls."""
    code = _instruction(_LOAD, _NUMBER_AT)
    for left in range(len(numbers), 0, -1):
        # Past the other comparisons and the permission.
        code += _instruction(_EQUAL, numbers[-left], if_true=left)
    return code + _instruction(_RETURN, _ALLOW) + _instruction(_RETURN, _FAIL)


def _failing_at_the_start(number: int) -> bytes:
    """Fail this call when it writes into the first pages."""
    return b"".join(
        (
            _instruction(_LOAD, _NUMBER_AT),
            _instruction(_EQUAL, number, if_false=2),
            _instruction(_LOAD, _FOURTH_ARGUMENT_AT),
            _instruction(_LESS_JUMP, _META_BYTES, if_false=1),
            _instruction(_RETURN, _ALLOW),
            _instruction(_RETURN, _FAIL),
        )
    )


def let_fail(kind: str) -> None:
    """Let the calls of a kind fail in this process from now on."""
    numbers = _NUMBERS[platform.machine()]
    if kind == "meta":
        code = _failing_at_the_start(numbers.write[0])
    else:
        code = _failing({"fsync": numbers.fsync, "write": numbers.write}[kind])
    library = ctypes.CDLL(None, use_errno=True)
    program = _Program(len(code) // 8, code)
    allowed = library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    filtered = library.syscall(
        numbers.seccomp, _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(program)
    )
    if allowed or filtered:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _main(kind: str, module: str, *arguments: str) -> None:
    # Blocked in all threads, so that the one that waits for it gets it.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])

    def wait() -> None:
        signal.sigwait([signal.SIGUSR1])
        let_fail(kind)

    threading.Thread(target=wait, daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
