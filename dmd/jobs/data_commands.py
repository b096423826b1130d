"""The jobs on blobs as commands of ``dmd``; see ``dmd.jobs.commands``."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from dmd.errors import StartupError
from dmd.jobs.blob_access import Data, open_data
from dmd.jobs.console import (
    PROBLEMS_EXIT,
    JsonOption,
    load_job_config,
    print_json,
    problems_told,
    progress_shown,
)
from dmd.jobs.gc import GcOptions, GcReport, collect, given_owner
from dmd.jobs.gc_plan import Tally, Verdict
from dmd.jobs.record_walk import shown
from dmd.jobs.scrub import Scrub, load_state, save_state
from dmd.jobs.scrub_plan import ScrubState
from dmd.metadata.metadata_directory import open_engine
from shared.config import Config
from shared.process.logs import get_logger

SCRUB_PROBLEM_EXIT = 2
"""A scrub that could not run; 1: it found damage."""

_TEXTS = {
    Verdict.KEEP: "named by records",
    Verdict.SPARE: "nobody's, and too young to tell",
    Verdict.QUARANTINE: "garbage, {} into quarantine",
    Verdict.WAIT: "garbage in quarantine, where it waits",
    Verdict.PURGE: "garbage in quarantine, {}",
    Verdict.RESTORE: "IN QUARANTINE AND NAMED BY A RECORD, {} back",
}
_DONE = {
    Verdict.QUARANTINE: ("to be put", "put"),
    Verdict.PURGE: ("to be removed", "removed"),
    Verdict.RESTORE: ("to be put", "put"),
}
"""What would be done, and what was."""


def add_data_commands(app: typer.Typer) -> None:
    """Give the jobs to the command line."""
    for command in (gc, scrub):
        app.command()(command)


def gc(
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it; without this, only say what would be done.")
    ] = False,
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="Note that the data directory holds this metadata's blobs."),
    ] = False,
    disown: Annotated[
        str, typer.Option(metavar="UUID", help="Forget a metadata store that is gone for ever.")
    ] = "",
    also_metadata: Annotated[
        list[Path] | None,
        typer.Option(help="The directory of a further metadata store with blobs there."),
    ] = None,
    grace: Annotated[
        int | None,
        typer.Option(metavar="SECONDS", help="Leave younger blobs alone; at least gcGraceSeconds."),
    ] = None,
    quarantine_seconds: Annotated[
        int | None,
        typer.Option(min=0, help="How long garbage stays in quarantine; else gcQuarantineSeconds."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Find blobs that no record names, put them into quarantine, and later remove them."""
    with problems_told(), progress_shown("records and blobs", json) as advance:
        config = load_job_config()
        if adopt and apply:
            raise StartupError("--adopt: look at what would be done, before --apply does it")
        options = GcOptions(
            [config.metadata_path, *(also_metadata or ())],
            _grace(config, grace),
            config.gc_quarantine_seconds if quarantine_seconds is None else quarantine_seconds,
            apply,
        )
        log = get_logger()
        with open_data(config, log) as data:
            _change_owners(data, options, adopt=adopt, disown=disown)
            report = collect(data, options, log, advance)
    if json:
        print_json(
            {"applied": report.applied}
            | {str(verdict): asdict(tally) for verdict, tally in report.verdicts.items()}
        )
    else:
        _print_report(report)
    if report.verdicts[Verdict.RESTORE].blobs:
        raise typer.Exit(PROBLEMS_EXIT)


def _grace(config: Config, seconds: int | None) -> int:
    if seconds is None:
        return config.gc_grace_seconds
    if seconds < config.gc_grace_seconds:
        raise StartupError(
            f"--grace {seconds}: it cannot be less than gcGraceSeconds, {config.gc_grace_seconds}, "
            "by which front-ends decide how old a blob may be that they commit"
        )
    return seconds


def _change_owners(data: Data, options: GcOptions, *, adopt: bool, disown: str) -> None:
    if disown:
        data.disown(disown)
    if adopt:
        for path in options.metadata:
            data.adopt(given_owner(path))


def _print_report(report: GcReport) -> None:
    for verdict, text in _TEXTS.items():
        tally = report.verdicts[verdict]
        if tally.blobs or verdict in (Verdict.KEEP, Verdict.QUARANTINE, Verdict.PURGE):
            done = _DONE.get(verdict, ("", ""))[report.applied]
            typer.echo(f"{tally.blobs} blobs, {tally.bytes} bytes: {text.format(done)}")
        if verdict not in (Verdict.KEEP, Verdict.SPARE):
            _print_examples(tally)
    if not report.applied:
        typer.echo("nothing was changed; --apply does it")


def _print_examples(tally: Tally) -> None:
    for key in tally.examples:
        typer.echo(f"    {key}")
    if tally.blobs > len(tally.examples):
        typer.echo("    …")


def scrub(
    rate: Annotated[
        float, typer.Option(min=0.001, metavar="MIB", help="Read so many MiB a second at most.")
    ] = 20,
    state: Annotated[
        Path | None, typer.Option(help="A file that keeps how far it has come: go on from there.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Read every blob that a record names, and report what is missing or damaged."""
    with (
        problems_told(SCRUB_PROBLEM_EXIT),
        progress_shown("bytes", json) as advance,
        ExitStack() as opened,
    ):
        config = load_job_config()
        engine = open_engine(config.metadata_path, read_only=True)
        opened.callback(engine.close)
        known = load_state(state, given_owner(config.metadata_path))
        data = opened.enter_context(open_data(config, get_logger()))
        save = partial(save_state, state) if state is not None else _not_saved
        Scrub(engine, data, known, rate * 2**20, save).run(advance)
    if json:
        print_json(known.document())
    else:
        for damage in known.damage:
            version = "" if damage.version is None else f" version {damage.version}"
            where = shown(damage.sub_level, damage.key)
            blob = f"blob {damage.blob}: " if damage.blob else ""
            typer.echo(f"damaged: {where}{version}: {blob}{damage.reason}")
        typer.echo(
            f"{known.blobs} blobs, {known.bytes} bytes read, {known.unverified} without a known "
            f"digest, {known.damaged} damaged"
        )
    if known.damaged:
        raise typer.Exit(PROBLEMS_EXIT)


def _not_saved(_state: ScrubState) -> None:
    """Nothing is to be kept."""
