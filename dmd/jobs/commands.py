"""The jobs as commands of ``dmd``.

People get a progress line on a terminal and a summary; ``--json`` gives programs one document on
standard output. Exit codes: 0 done and well, 1 ``check`` found problems, 78 it could not be done.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dmd.belonging import ABOUT_NAME
from dmd.jobs import backup as backups
from dmd.jobs import dump as dumps
from dmd.jobs import stats as statistics
from dmd.jobs.blob_access import open_data
from dmd.jobs.check import check as check_store
from dmd.jobs.check_data import DataCheck, check_belonging
from dmd.jobs.check_encryption import check_encryption, keys_of_file
from dmd.jobs.check_pages import check_pages
from dmd.jobs.check_plan import Problem
from dmd.jobs.console import (
    PROBLEMS_EXIT,
    JsonOption,
    load_job_config,
    print_json,
    problems_told,
    progress_shown,
    silent,
)
from dmd.jobs.data_commands import add_data_commands
from dmd.jobs.errors import JobError
from dmd.jobs.record_walk import shown
from dmd.jobs.salvage import Salvage
from dmd.jobs.scrub import deep_problems
from dmd.metadata.engines.lmdb_pages import Damage
from dmd.metadata.metadata_directory import open_engine
from shared.config import load_config
from shared.process.logs import get_logger

_SIGNAL_EXIT: Final = 128
"""Exit codes of commands that a signal ended are this and its number, as shells have it."""


def add_commands(app: typer.Typer) -> None:
    """Give the jobs to the command line."""
    for command in (check, stats, backup, hold, restore, dump, load):
        app.command()(command)
    add_data_commands(app)


def check(
    metadata_only: Annotated[
        bool, typer.Option("--metadata-only", help="Do not compare metadata and blobs.")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every blob as well, as fast as it goes.")
    ] = False,
    encryption: Annotated[
        bool, typer.Option("--encryption", help="Count what each master key protects, instead.")
    ] = False,
    keyring: Annotated[
        Path | None, typer.Option(help="The key file; by default that of the configuration.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Read all metadata, compare it with the blobs, and report what is wrong."""
    if encryption:
        _check_encryption(keyring, json)
        return
    both: DataCheck | None = None
    with problems_told(), progress_shown("records", json) as advance, ExitStack() as opened:
        config = load_job_config()
        damage: list[Damage] = []
        engine = open_engine(config.metadata_path, read_only=True, on_damage=damage.append)
        opened.callback(engine.close)
        data = None if metadata_only else opened.enter_context(open_data(config, get_logger()))
        found = list(check_pages(engine, damage, advance))
        found += check_store(engine, advance)
        if data is not None:
            found += check_belonging(config, data)
            both = DataCheck(engine, data, config.metadata_path, config.gc_grace_seconds)
            found += both.run(advance)
            if deep:
                found += deep_problems(engine, data, found)
    if json:
        document: dict[str, Any] = {"problems": [asdict(problem) for problem in found]}
        if both is not None:
            document |= {"garbage": asdict(both.garbage), "elsewhere": both.elsewhere}
        print_json(document)
    else:
        for problem in found:
            typer.echo(f"{problem.kind}: {_told(problem)}")
        if both is not None:
            _tell_of_blobs(both)
        typer.echo(f"{len(found)} problems" if found else "no problems")
    _problems_exit(found)


def _check_encryption(keyring: Path | None, json: bool) -> None:
    with problems_told(), progress_shown("records", json) as advance:
        config = load_job_config()
        path = keyring or config.directory / config.encryption.keyring_file
        known = keys_of_file(path) if keyring is not None or path.exists() else None
        engine = open_engine(config.metadata_path, read_only=True)
        try:
            found = check_encryption(engine, advance)
        finally:
            engine.close()
        problems = list(found.problems(known))
    if json:
        print_json(
            {
                "protected": found.rows(),
                "used": sorted(found.used),
                "problems": [asdict(problem) for problem in problems],
            }
        )
    else:
        for row in found.rows():
            typer.echo(shown((), f"{row['scheme']:<14}{row['stretches']:>12,}  {row['key']}"))
        if known is None:
            typer.echo(f"there is no key file {path}: whether keys are missing is not known")
        for problem in problems:
            typer.echo(f"{problem.kind}: {_told(problem)}")
        typer.echo(f"{len(problems)} problems" if problems else "no problems")
    _problems_exit(problems)


def _tell_of_blobs(both: DataCheck) -> None:
    garbage = both.garbage
    if garbage.blobs:
        typer.echo(f"{garbage.blobs} blobs of {garbage.bytes} bytes belong to nobody: see `dmd gc`")
    if both.elsewhere:
        typer.echo(f"{_blobs_elsewhere(both.elsewhere)}: not looked at")


def _blobs_elsewhere(blobs: Mapping[str, int]) -> str:
    types = ", ".join(shown((), name) for name in sorted(blobs))
    return f"{sum(blobs.values())} blobs in places of other types ({types})"


def _told(problem: Problem) -> str:
    where = f"{shown(problem.sub_level, problem.key)}: " if problem.sub_level else ""
    return where + problem.text


def stats(json: JsonOption = False) -> None:
    """Count buckets, objects, versions, uploads and bytes."""
    with problems_told(), progress_shown("records", json) as advance:
        path = _metadata_path()
        damage: list[Damage] = []
        engine = open_engine(path, read_only=True, on_damage=damage.append)
        try:
            found = statistics.collect(engine, path, advance)
        finally:
            engine.close()
    total = found.total()
    for entry in damage:
        typer.echo(f"damaged, and not counted: {entry}", err=True)
    if json:
        print_json({**asdict(found), "total": asdict(total), "damaged_pages": len(damage)})
        _problems_exit(damage)
        return
    table = Table("bucket", "objects", "versions", "delete markers", "bytes", "uploads", "parts")
    for name, bucket in [*sorted(found.buckets.items()), ("total", total)]:
        numbers = (str(number) for number in asdict(bucket).values())
        # A text: a name from elsewhere may have what would be markup.
        table.add_row(Text(shown((), name)), *_ordered(numbers))
    Console().print(table)
    typer.echo(
        f"{found.records} records, {found.queued_deletions} deletions queued, "
        f"{found.dead_letters} dead letters, {found.store_bytes} bytes on disk"
    )
    _problems_exit(damage)


def _problems_exit(problems: Sequence[object]) -> None:
    if problems:
        raise typer.Exit(PROBLEMS_EXIT)


def _ordered(numbers: Iterator[str]) -> list[str]:
    objects, versions, markers, size, uploads, parts = numbers
    return [objects, versions, markers, size, uploads, parts]


def backup(
    target: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")],
    metadata_only: Annotated[
        bool, typer.Option("--metadata-only", help="Leave the blobs out; see `dmd hold`.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Copy all metadata and all blobs, consistently, while the daemons go on."""
    with problems_told(), progress_shown("bytes", json) as advance:
        config = load_job_config()
        data = None if metadata_only else config.data_path
        if data is not None and not (data / ABOUT_NAME).exists():
            raise JobError(
                f"{data}: this is no data directory; where the blobs are elsewhere, copy them "
                "while `dmd hold` runs, and the metadata with --metadata-only"
            )
        blobs = None
        if data is not None:
            blobs = backups.Blobs(data, partial(open_data, config, get_logger()))
        lacking = backups.back_up(config.metadata_path, blobs, target, _absolute(advance))
    for problem in lacking.lost:
        typer.echo(f"lost before this backup: {_told(problem)}", err=True)
    if lacking.elsewhere:
        typer.echo(f"{_blobs_elsewhere(lacking.elsewhere)}: not copied", err=True)
    _tell_of_keys(lacking.keys)
    told = {"lost": len(lacking.lost), "elsewhere": lacking.elsewhere, "keys": lacking.keys}
    _done(json, {"backup": str(target), **told}, f"{target}: backed up")
    _problems_exit(lacking.lost)


def _tell_of_keys(keys: Sequence[str]) -> None:
    if keys:
        names = shown((), ", ".join(keys))
        typer.echo(f"master keys are in no backup; this one needs: {names}", err=True)


def hold(
    command: Annotated[list[str], typer.Argument(help="A program that copies, and its arguments.")],
) -> None:
    """Let nothing be deleted while a command runs; the exit code is the command's."""
    with problems_told(), backups.held(_metadata_path()):
        try:
            ended = subprocess.run(command, check=False)  # noqa: S603  # the operator's own program
        except OSError as error:
            raise JobError(f"cannot run {command[0]}: {error.strerror}") from error
    code = ended.returncode
    raise typer.Exit(code if code >= 0 else _SIGNAL_EXIT - code)


def restore(
    source: Annotated[Path, typer.Argument(help="A folder that `dmd backup` made.")],
    metadata_only: Annotated[
        bool, typer.Option("--metadata-only", help="Leave the data directory alone.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Put a backup into directories that hold nothing yet, and check what was restored."""
    with problems_told(), progress_shown("bytes", json) as advance:
        config = load_job_config()
        data = None if metadata_only else config.data_path
        backups.restore(source, config.metadata_path, data, _absolute(advance))
        _tell_of_keys(backups.keys_of_backup(source))
    check(metadata_only=data is None or not (source / backups.DATA_NAME).exists(), json=json)


def dump(
    output: Annotated[
        Path | None, typer.Argument(help="A new file; standard output when left out.")
    ] = None,
    salvage: Annotated[
        bool,
        typer.Option("--salvage", help="Go on past damage: bring out every record that is whole."),
    ] = False,
) -> None:
    """Write all metadata as lines of JSON, whatever engine holds it."""
    report = Salvage() if salvage else None
    with problems_told():
        if output is None:
            dumps.dump(_metadata_path(), sys.stdout.buffer, silent, report)
        else:
            with output.open("xb") as stream, progress_shown("records", json=False) as advance:
                count = dumps.dump(_metadata_path(), stream, advance, report)
            typer.echo(f"{output}: {count} records")
    if report is not None:
        for line in report.lines():
            typer.echo(line, err=True)
        _problems_exit(report.problems)


def load(
    source: Annotated[
        Path | None, typer.Argument(help="A dump; standard input when left out.")
    ] = None,
    keep_uuid: Annotated[
        bool,
        typer.Option("--keep-uuid", help="Take the place of the store that was dumped."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Make the metadata directory's store, which must not exist, from a dump, and check it."""
    with problems_told(), _opened(source) as stream, progress_shown("records", json) as advance:
        dumps.load(stream, _metadata_path(), advance, keep_uuid=keep_uuid)
    check(metadata_only=True, json=json)


@contextmanager
def _opened(source: Path | None) -> Iterator[BinaryIO]:
    if source is None:
        yield sys.stdin.buffer
        return
    with source.open("rb") as stream:
        yield stream


def _metadata_path() -> Path:
    return load_config().metadata_path


def _absolute(advance: Callable[[int], None]) -> backups.Progress:
    """Tell an advancing counter what is told as a position."""
    position = 0

    def move(done: int, _total: int) -> None:
        nonlocal position
        advance(done - position)
        position = done

    return move


def _done(json: bool, document: dict[str, Any], text: str) -> None:
    if json:
        print_json(document)
    else:
        typer.echo(text)
