"""``s3front work``, ``s3front work status``, ``retry`` and ``drop``, as typer declares them.

The last three ask the metadata daemon of the configuration, so they work on any host. Exit codes:
0, all is well, or done; 1, something needs to be looked at, or was not done; 2, the daemon could
not be asked, or the command line makes no sense.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn

import typer

from s3front import cli
from s3front.command_answers import (
    ATTENTION_EXIT,
    CANNOT_ASK_EXIT,
    Json,
    Result,
    ask_metadata,
    print_json,
)
from s3front.metadata.gateway import MetadataGateway
from s3front.work.dead_letters import DeadLetter, dead_letters, drop, put_back
from s3front.work.work_report import WorkReport, report
from s3front.work.workers import WORKERS
from shared.config import ConfigError, load_config
from shared.process.problems import exit_with_problem
from shared.process.readable_log import printable

app = typer.Typer(invoke_without_command=True)

Queue = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only letters of this queue, as status names it.")
]
Keys = Annotated[
    list[str] | None, typer.Argument(metavar="KEY", help="The keys of entries, as status has them.")
]
All = Annotated[bool, typer.Option("--all", help="All letters, or all of the queue.")]


@app.callback()
def work(context: typer.Context) -> None:
    """Do background work until SIGTERM. Any number of processes may, on any hosts. SIGHUP reloads
    credentials, certificates and locations."""
    if context.invoked_subcommand is None:
        cli.work()


@app.command()
def status(
    letters: Annotated[
        int, typer.Option(min=0, max=100_000, help="How many dead letters to show.")
    ] = 20,
    json: Json = False,
) -> None:
    """Who does background work, what came of it, and what was set aside. It takes a few seconds.

    Exit code 1: some work is not done by anybody, fails, or has dead letters.
    """
    names = [worker.name for worker in WORKERS]
    found = _ask(lambda metadata: report(metadata, names, letters))
    if json:
        print_json(asdict(found))
    else:
        _print_report(found)
    raise typer.Exit(0 if found.is_well else ATTENTION_EXIT)


@app.command()
def retry(keys: Keys = None, queue: Queue = None, every: All = False, json: Json = False) -> None:
    """Put dead letters back into their queues, as if they had never been tried."""

    async def act(metadata: MetadataGateway, letter: DeadLetter) -> str | None:
        return await put_back(metadata, letter, int(time.time() * 1000))

    _for_each("put back", act, _chosen(keys, every), queue, json)


@app.command(name="drop")
def drop_letters(
    keys: Keys = None, queue: Queue = None, every: All = False, json: Json = False
) -> None:
    """Forget dead letters. Bytes that they name are garbage then, which `dmd gc` removes."""
    _for_each("dropped", drop, _chosen(keys, every), queue, json)


def _chosen(keys: Sequence[str] | None, every: bool) -> frozenset[str] | None:
    """The keys that were asked for, None for all."""
    if bool(keys) is every:
        raise typer.BadParameter("give the keys of entries, or --all", param_hint="KEY")
    return None if keys is None or every else frozenset(keys)


def _for_each(
    verb: str,
    act: Callable[[MetadataGateway, DeadLetter], Awaitable[str | None]],
    chosen: frozenset[str] | None,
    queue: str | None,
    json: bool,
) -> NoReturn:
    """Do something with some letters, and say what came of each."""

    async def run(metadata: MetadataGateway) -> list[dict[str, Any]]:
        results = []
        async with aclosing(dead_letters(metadata)) as letters:
            async for letter in letters:
                if chosen is not None and letter.key not in chosen:
                    continue
                if queue is not None and letter.queue != queue:
                    continue
                problem = await act(metadata, letter)
                results.append({"queue": letter.queue, "key": letter.key, "problem": problem})
        return results

    results = _ask(run)
    missing = sorted((chosen or frozenset()) - {result["key"] for result in results})
    results += [
        {"queue": queue, "key": key, "problem": "there is no such dead letter"} for key in missing
    ]
    failed = [result for result in results if result["problem"] is not None]
    if json:
        print_json({"done": len(results) - len(failed), "failed": failed})
    else:
        typer.echo(f"{verb}: {len(results) - len(failed)}")
        for result in failed:
            typer.echo(f"not {verb}: {printable(result['key'])}: {result['problem']}")
    raise typer.Exit(ATTENTION_EXIT if failed else 0)


def _ask(question: Callable[[MetadataGateway], Awaitable[Result]]) -> Result:
    """What the daemon answers; ends the command when it cannot be asked."""
    try:
        config = load_config()
        return asyncio.run(ask_metadata(config, question))
    except (ConfigError, OSError) as error:
        exit_with_problem(cli.PROGRAM, error, CANNOT_ASK_EXIT)


def _print_report(found: WorkReport) -> None:
    for worker in found.workers:
        said = {name: value for name, value in worker.said.items() if name != "holder"}
        details = " ".join(f"{name}={_short(value)}" for name, value in said.items())
        line = f"{worker.name:<16}{worker.state:<9}{worker.holder or '-'}  {details}"
        typer.echo(printable(line).rstrip())
    typer.echo(f"dead letters: {sum(found.letters_by_queue.values())}")
    for queue, count in sorted(found.letters_by_queue.items()):
        typer.echo(printable(f"  {queue}: {count}"))
    for letter in found.letters:
        line = f"  {_when(letter.time_ms)} {letter.queue} {letter.key}: {letter.reason}"
        typer.echo(printable(line))


def _when(time_ms: int) -> str:
    """A time as a date, which a damaged record may have put where there are none."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(time_ms)


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
