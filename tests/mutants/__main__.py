"""``make mutants``: whether the tests notice small errors in the modules that decide.

Each mutant of ``tests.mutants.table`` is put into a copy of the tree, and the tests of its kind run
there until one fails. Exit code 0: all mutants were noticed; 1: some were not, they are named; 2:
the tests fail without a mutant, or could not run with one.

    python -m tests.mutants --kind sigv4
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.mutants.table import MUTANTS, TESTS, Mutant
from tests.servers import REPOSITORY

_PASSED, _FAILED = 0, 1  # pytest's exit codes; all others are no verdict


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--kind", choices=sorted(TESTS), action="append", help="these alone")
    arguments = parser.parse_args()
    kinds = arguments.kind or sorted(TESTS)
    with tempfile.TemporaryDirectory(prefix="twofold-mutants-") as folder:
        copy = _copied(Path(folder))
        for kind in kinds:
            if _run(copy, TESTS[kind]) != _PASSED:
                print(f"The tests of {kind} fail without a mutant", file=sys.stderr)
                return 2
        verdicts = {mutant: _verdict(copy, mutant) for mutant in MUTANTS if mutant.kind in kinds}
    counted = Counter(verdicts.values())
    print(f"{counted[_FAILED]} of {len(verdicts)} mutants were noticed")
    if set(counted) - {_PASSED, _FAILED}:
        return 2
    return 1 if counted[_PASSED] else 0


def _copied(folder: Path) -> Path:
    """A copy of the tree."""
    ignored = shutil.ignore_patterns("__pycache__", ".*", "localData", "localMetadata")
    return Path(shutil.copytree(REPOSITORY, folder / "tree", ignore=ignored))


def _verdict(copy: Path, mutant: Mutant) -> int:
    """pytest's exit code with a mutant; the copy is as before afterwards."""
    path = copy / mutant.file
    original = path.read_text()
    began = time.monotonic()
    try:
        _write(path, mutant.applied(original))
        code = _run(copy, TESTS[mutant.kind])
    finally:
        _write(path, original)
    word = {_PASSED: "SURVIVED", _FAILED: "noticed"}.get(code, f"NO VERDICT ({code})")
    print(f"{word} {time.monotonic() - began:5.1f} s  {mutant.file}: {mutant.mutated.strip()!r}")
    sys.stdout.flush()
    return code


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    # Its age in whole seconds and its size might be those of the text before.
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)


def _run(copy: Path, tests: tuple[str, ...]) -> int:
    """pytest's exit code for some tests of the copy, up to the first that fails. A failed import
    of a mutant is none: it must be an error that only tests can find."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if ended.returncode not in (_PASSED, _FAILED):
        print(ended.stdout.decode(errors="replace")[-4000:], file=sys.stderr)
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
