"""Programs that are installed by ``make clients``, and run against one front-end."""

from __future__ import annotations

import json
import os
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tests.servers import REPOSITORY, Front

BUILD = REPOSITORY / ".build"
# The long campaigns move thousands of objects with one command.
DEADLINE_SECONDS = 1000.0 if os.environ.get("TWOFOLD_SOAK") else 100.0


def require(path: Path) -> Path:
    """The path itself; fails the test when nothing is there."""
    assert path.exists(), f"{path} is missing: run `make clients` first"
    return path


@dataclass(frozen=True)
class Finished:
    """What a command printed, and its exit code."""

    code: int
    output: str
    errors: str

    @property
    def document(self) -> Any:
        """The JSON that the command printed; None when it printed nothing."""
        return json.loads(self.output) if self.output.strip() else None


@dataclass(frozen=True)
class Program(ABC):
    """Runs a program against one front-end; ``folder`` is its home and working directory."""

    front: Front
    folder: Path

    deadline_seconds: ClassVar[float] = DEADLINE_SECONDS
    """For each command."""

    @property
    @abstractmethod
    def argv(self) -> list[str]:
        """The program, and the options that every command has."""

    @property
    @abstractmethod
    def settings(self) -> dict[str, str]:
        """The program's own environment variables."""

    @property
    def environ(self) -> dict[str, str]:
        """The whole environment of the program: the little that every one needs, and its own."""
        # File names outside ASCII need a UTF-8 locale.
        common = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C.UTF-8"}
        return {**common, **self.settings}

    def try_(self, *arguments: str, given: bytes = b"") -> Finished:
        """Run a command, with ``given`` on its standard input."""
        finished = subprocess.run(
            [*self.argv, *arguments],
            env=self.environ,
            cwd=self.folder,
            input=given,
            capture_output=True,
            timeout=self.deadline_seconds,
            check=False,
        )
        return Finished(
            finished.returncode,
            finished.stdout.decode(errors="replace"),
            finished.stderr.decode(errors="replace"),
        )

    def run(self, *arguments: str, given: bytes = b"") -> Finished:
        """Run a command that must succeed."""
        finished = self.try_(*arguments, given=given)
        assert finished.code == 0, f"{self.argv[0]} {' '.join(arguments)}: {finished.errors}"
        return finished
