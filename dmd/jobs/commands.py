"""The jobs as commands of ``dmd``.

People get a progress line on a terminal and a summary; ``--json`` gives programs one document on
standard output. Exit codes: 0 done and well, 1 ``check`` found problems, 78 it could not be done.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from dmd.errors import StartupError
from dmd.jobs import backup as backups
from dmd.jobs import dump as dumps
from dmd.jobs import stats as statistics
from dmd.jobs.check import check as check_store
from dmd.jobs.records import shown
from dmd.metadata.directory import open_engine
from dmd.metadata.engines.base import EngineError
from dmd.metadata.stored import CorruptRecordError
from shared.config import ConfigError, load_config
from shared.process import exit_with_problem

_PROGRAM = "dmd"
PROBLEMS_EXIT = 1

_JSON = typer.Option("--json", help="Print one JSON document instead of text.")
JsonOption = Annotated[bool, _JSON]


def add_commands(app: typer.Typer) -> None:
    """Give the jobs to the command line."""
    for command in (check, stats, backup, restore, dump, load):
        app.command()(command)


def check(json: JsonOption = False) -> None:
    """Read all metadata and report what is wrong; beside a running daemon or without one."""
    with _problems_told(), _progress("records", json) as advance:
        engine = open_engine(_metadata_path(), read_only=True)
        try:
            found = list(check_store(engine, advance))
        finally:
            engine.close()
    if json:
        _print({"problems": [asdict(problem) for problem in found]})
    else:
        for problem in found:
            where = shown(problem.sub_level, problem.key)
            typer.echo(f"{problem.kind}: {where}: {problem.text}")
        typer.echo(f"{len(found)} problems" if found else "no problems")
    if found:
        raise typer.Exit(PROBLEMS_EXIT)


def stats(json: JsonOption = False) -> None:
    """Count buckets, objects, versions, uploads and bytes."""
    with _problems_told(), _progress("records", json) as advance:
        path = _metadata_path()
        engine = open_engine(path, read_only=True)
        try:
            found = statistics.collect(engine, path, advance)
        finally:
            engine.close()
    total = found.total()
    if json:
        _print({**asdict(found), "total": asdict(total)})
        return
    table = Table("bucket", "objects", "versions", "delete markers", "bytes", "uploads", "parts")
    for name, bucket in [*sorted(found.buckets.items()), ("total", total)]:
        numbers = (str(number) for number in asdict(bucket).values())
        table.add_row(name, *_ordered(numbers))
    Console().print(table)
    typer.echo(
        f"{found.records} records, {found.queued_deletions} deletions queued, "
        f"{found.store_bytes} bytes on disk"
    )


def _ordered(numbers: Iterator[str]) -> list[str]:
    objects, versions, markers, size, uploads, parts = numbers
    return [objects, versions, markers, size, uploads, parts]


def backup(
    target: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")],
    json: JsonOption = False,
) -> None:
    """Copy all metadata, consistently, while the daemon goes on."""
    with _problems_told(), _progress("bytes", json) as advance:
        backups.back_up(_metadata_path(), target, _absolute(advance))
    _done(json, {"backup": str(target)}, f"{target}: backed up")


def restore(
    source: Annotated[Path, typer.Argument(help="A folder that `dmd backup` made.")],
    json: JsonOption = False,
) -> None:
    """Put a backup into the metadata directory, which must have no store, and check it."""
    with _problems_told(), _progress("bytes", json) as advance:
        backups.restore(source, _metadata_path(), _absolute(advance))
    check(json)


def dump(
    output: Annotated[
        Path | None, typer.Argument(help="A new file; standard output when left out.")
    ] = None,
) -> None:
    """Write all metadata as lines of JSON, whatever engine holds it."""
    with _problems_told():
        if output is None:
            dumps.dump(_metadata_path(), sys.stdout.buffer, _silent)
            return
        with output.open("xb") as stream, _progress("records", json=False) as advance:
            count = dumps.dump(_metadata_path(), stream, advance)
    typer.echo(f"{output}: {count} records")


def load(
    source: Annotated[
        Path | None, typer.Argument(help="A dump; standard input when left out.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make the metadata directory's store, which must not exist, from a dump, and check it."""
    with _problems_told(), _opened(source) as stream, _progress("records", json) as advance:
        dumps.load(stream, _metadata_path(), advance)
    check(json)


@contextmanager
def _opened(source: Path | None) -> Iterator[BinaryIO]:
    if source is None:
        yield sys.stdin.buffer
        return
    with source.open("rb") as stream:
        yield stream


def _metadata_path() -> Path:
    return load_config().metadata_path


@contextmanager
def _problems_told() -> Iterator[None]:
    """One line for what an operator can act on."""
    try:
        yield
    except (ConfigError, StartupError) as error:
        exit_with_problem(_PROGRAM, error)
    except (backups.JobError, EngineError, CorruptRecordError, OSError) as error:
        exit_with_problem(_PROGRAM, StartupError(str(error)))


@contextmanager
def _progress(unit: str, json: bool) -> Iterator[Callable[[int], None]]:
    """A counter on standard error, if that is a terminal."""
    console = Console(stderr=True)
    if json or not console.is_terminal:
        yield _silent
        return
    columns = (BarColumn(), TextColumn("{task.completed:,.0f} " + unit), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(unit, total=None)
        yield lambda count: bar.advance(task, count)


def _absolute(advance: Callable[[int], None]) -> backups.Progress:
    """Tell an advancing counter what is told as a position."""
    position = 0

    def move(done: int, _total: int) -> None:
        nonlocal position
        advance(done - position)
        position = done

    return move


def _silent(_count: int) -> None:
    """Nobody watches."""


def _done(json: bool, document: dict[str, Any], text: str) -> None:
    if json:
        _print(document)
    else:
        typer.echo(text)


def _print(document: Any) -> None:
    sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    sys.stdout.flush()
