"""``s3front locations list``, ``test``, ``usage`` and ``state``, as typer declares them.

Exit codes: 0, all is well; 1, something needs to be looked at; 2, the question could not be asked,
or the command line makes no sense.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer

from s3front import cli
from s3front.command_answers import (
    ATTENTION_EXIT,
    CANNOT_ASK_EXIT,
    Json,
    ask_metadata,
    print_json,
)
from s3front.daemon_clients import data_client, surroundings
from s3front.locations.location_config import (
    Location,
    load_locations,
    location_warnings,
)
from s3front.locations.registry import TYPES, LocationRegistry
from s3front.locations.remote_store import Finding, PlaceError, RemoteStore
from s3front.locations.whereabouts import whereabouts
from s3front.locations_state import show_state
from s3front.metadata.location_usage import LocationUsage, Usage, count_usage
from s3front.s3_errors import S3Error
from shared.config import Config, ConfigError, load_config
from shared.config.errors import nearest
from shared.process.logs import configure_logging, get_logger
from shared.process.problems import exit_with_problem
from shared.process.readable_log import printable

_UNNAMED: Final = "(none)"

app = typer.Typer(
    no_args_is_help=True, help="Say where the bytes of objects are, and whether that is in order."
)

app.command(name="state")(show_state)

Names = Annotated[
    list[str] | None, typer.Argument(metavar="NAME", help="Only these locations; all by default.")
]


@app.command(name="list")
def list_locations(json: Json = False) -> None:
    """Show the locations of locationConfig.json, without secrets.

    Exit code 1: nothing can be kept in one of them.
    """
    config, locations = _configured()
    rows = [_row(location, config) for location in locations.values()]
    if json:
        print_json(rows)
    else:
        for row in rows:
            marks = [mark for mark in ("legacy", "transient") if row[mark]]
            marks += [] if row["supported"] else ["NOT SUPPORTED"]
            told = "  ".join((f"{row['name']:<24}{row['type']:<10}{row['where']}", *marks))
            typer.echo(printable(told).rstrip())
        for warning in location_warnings(locations, TYPES):
            typer.echo(printable(warning), err=True)
    raise typer.Exit(0 if all(row["supported"] for row in rows) else ATTENTION_EXIT)


def _row(location: Location, config: Config) -> dict[str, Any]:
    return {
        "name": location.name,
        "type": location.type,
        "objectId": location.object_id,
        "where": whereabouts(location, config),
        "legacy": location.legacy_aws_behavior,
        "transient": location.is_transient,
        "supported": location.is_supported,
    }


@app.command(name="test")
def test_locations(names: Names = None, json: Json = False) -> None:  # noqa: PT028  # no test of ours
    """Look at each location: whether it is there, lets us in, and what it can do.

    Places that others run are tried with small objects, which are removed again.

    Exit code 1: something is missing; the line says how to mend it.
    """
    config, locations = _configured()
    for name in names or ():
        if name not in locations:
            hint = nearest(name, locations)
            problem = f"there is no location {name!r}{hint}"
            exit_with_problem(cli.PROGRAM, problem, CANNOT_ASK_EXIT)
    chosen = list(names or locations)
    found = asyncio.run(_look_at_all(config, locations, chosen))
    if json:
        print_json({name: [_document(each) for each in found[name]] for name in chosen})
    else:
        for name in chosen:
            typer.echo(printable(f"{name} ({locations[name].type})"))
            for each in found[name]:
                typer.echo(printable(f"  {_MARKS[each.is_good]:<8}{each.what}: {each.words}"))
    well = all(each.is_good is not False for findings in found.values() for each in findings)
    raise typer.Exit(0 if well else ATTENTION_EXIT)


_MARKS: Final[Mapping[bool | None, str]] = {True: "ok", False: "MISSING", None: "-"}


def _document(finding: Finding) -> dict[str, Any]:
    return {"what": finding.what, "good": finding.is_good, "words": finding.words}


async def _look_at_all(
    config: Config, locations: Mapping[str, Location], names: Sequence[str]
) -> dict[str, Sequence[Finding]]:
    """All of them at once: one that hangs takes no time from others."""
    configure_logging("s3front-locations", "fatal", sys.stderr.buffer)
    async with AsyncExitStack() as opened:
        daemon = data_client(config)
        opened.push_async_callback(daemon.close)
        wanted = {name: locations[name] for name in names}
        registry = LocationRegistry(wanted, surroundings(config, daemon, get_logger()))
        opened.push_async_callback(registry.close)
        looks = (_look(registry, location) for location in wanted.values())
        return dict(zip(wanted, await asyncio.gather(*looks), strict=True))


async def _look(registry: LocationRegistry, location: Location) -> Sequence[Finding]:
    if not location.is_supported:
        return [Finding("type", False, f"{location.type} is not supported by this version")]
    if location.type == "mem":
        return [Finding("memory", None, "of s3front start: only its own processes can look at it")]
    store = registry.store(location.name)
    try:
        if isinstance(store, RemoteStore):
            return await store.look(thorough=True)
        available, total = await registry.disk_usage()
    except PlaceError as error:
        return [Finding("place", False, error.reason)]
    except S3Error as error:
        return [Finding("data daemon", False, f"does not answer: {error.__cause__ or error}")]
    return [Finding("data daemon", True, f"{available:,} of {total:,} bytes are free")]


@app.command()
def usage(json: Json = False) -> None:
    """Count the objects and bytes of each location. All records are read: of ten million objects,
    that takes some minutes.

    Exit code 1: records name a location that is not configured, or cannot be read.
    """
    config, locations = _configured()
    try:
        found = asyncio.run(_count(config))
    except ConfigError as error:
        exit_with_problem(cli.PROGRAM, error, CANNOT_ASK_EXIT)
    names = [*locations, *sorted(set(found.by_location) - set(locations))]
    rows = {name: found.by_location.get(name, Usage()) for name in names}
    if json:
        print_json(
            {
                "locations": {name: asdict(row) for name, row in rows.items()},
                "records": found.records,
                "unreadable": found.unreadable,
            }
        )
    else:
        _print_usage(rows, locations, found)
    unknown = set(found.by_location) - set(locations)
    raise typer.Exit(ATTENTION_EXIT if unknown or found.unreadable else 0)


def _print_usage(
    rows: Mapping[str, Usage], locations: Mapping[str, Location], found: LocationUsage
) -> None:
    head = ("location", "objects", "bytes", "of uploads", "to be removed")
    typer.echo(f"{head[0]:<24}{head[1]:>14}{head[2]:>22}{head[3]:>22}{head[4]:>22}")
    for name, row in rows.items():
        sizes = (row.object_bytes, row.part_bytes, row.deleted_bytes)
        figures = "".join(f"{size:>22,}" for size in sizes)
        known = "" if name in locations else "  NOT CONFIGURED"
        typer.echo(printable(f"{name or _UNNAMED:<24}{row.objects:>14,}{figures}{known}"))
    if found.unreadable:
        typer.echo(f"records that cannot be read: {found.unreadable:,}")


async def _count(config: Config) -> LocationUsage:
    shows = sys.stderr.isatty()

    def progress(records: int) -> None:
        if shows:
            typer.echo(f"\r{records:,} records", nl=False, err=True)

    try:
        return await ask_metadata(config, lambda metadata: count_usage(metadata, progress))
    finally:
        if shows:
            typer.echo(err=True)


def _configured() -> tuple[Config, Mapping[str, Location]]:
    try:
        config = load_config()
        return config, load_locations(config, TYPES)
    except (ConfigError, OSError) as error:
        exit_with_problem(cli.PROGRAM, error, CANNOT_ASK_EXIT)
