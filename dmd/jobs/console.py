"""What the commands of jobs share: how they show progress, print, and say what is wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from dmd.errors import StartupError
from dmd.jobs.errors import JobError
from dmd.metadata.engines.base import EngineError
from dmd.metadata.stored import CorruptRecordError
from shared.config import Config, ConfigError, load_config
from shared.process.logs import configure_logging, get_logger
from shared.process.problems import exit_with_problem
from shared.process.program import arm_failpoint
from shared.process.supervisor import EX_CONFIG
from shared.process.vital import stop_when_a_thread_dies

_PROGRAM = "dmd"
PROBLEMS_EXIT = 1

_JSON = typer.Option("--json", help="Print one JSON document instead of text.")
JsonOption = Annotated[bool, _JSON]


def load_job_config() -> Config:
    """The configuration. Warnings and errors of a job are lines of JSON on standard error."""
    config = load_config()
    configure_logging("dmd-job", "warn", sys.stderr.buffer)
    stop_when_a_thread_dies()
    arm_failpoint(config.failpoint, get_logger())
    return config


@contextmanager
def problems_told(code: int = EX_CONFIG) -> Iterator[None]:
    """One line for what an operator can act on, and an exit code."""
    try:
        yield
    except (
        ConfigError,
        StartupError,
        JobError,
        EngineError,
        CorruptRecordError,
        OSError,
    ) as error:
        exit_with_problem(_PROGRAM, error, code)


@contextmanager
def progress_shown(unit: str, json: bool) -> Iterator[Callable[[int], None]]:
    """A counter on standard error, if that is a terminal."""
    console = Console(stderr=True)
    if json or not console.is_terminal:
        yield silent
        return
    columns = (BarColumn(), TextColumn("{task.completed:,.0f} " + unit), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(unit, total=None)
        yield lambda count: bar.advance(task, count)


def silent(_count: int) -> None:
    """Nobody watches."""


def print_json(document: Any) -> None:
    # Sums of what records say may have more than 64 bits, which is all that orjson writes.
    text = json.dumps(document, indent=2, ensure_ascii=False)
    sys.stdout.buffer.write(text.encode() + b"\n")
    sys.stdout.flush()
