"""The command ``dmd``.

It reads the command line and then becomes what was asked for, a service or the supervisor of both,
in a fresh interpreter: what a command line needs, a service would keep in memory for nothing.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import Annotated

import typer

from dmd.process import MEMORY_OPTION, STANDBY_OPTION
from shared.config import ConfigError, load_config
from shared.process import exit_with_problem
from shared.supervisor import Child, replace_with_supervisor

_PROGRAM = "dmd"

app = typer.Typer(
    name=_PROGRAM,
    help="The stateful half of Twofold: metadata on port 9990, object bytes on port 9991.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Part(StrEnum):
    """A service of the daemon."""

    METADATA = "metadata"
    DATA = "data"


@app.callback()
def _callback() -> None:
    """Makes ``start`` a sub-command although it is the only one."""


@app.command()
def start(
    part: Annotated[
        Part | None, typer.Argument(help="Only this service; both when left out.")
    ] = None,
    memory: Annotated[
        bool, typer.Option(MEMORY_OPTION, help="Keep everything in memory and nothing on disk.")
    ] = False,
    standby: Annotated[
        bool,
        typer.Option(STANDBY_OPTION, help="Wait until the directories' owners end, then serve."),
    ] = False,
) -> None:
    """Serve until SIGTERM. SIGHUP reloads secrets and certificates."""
    options = [MEMORY_OPTION] * memory + [STANDBY_OPTION] * standby
    if part is not None:
        argv = _argv(part, options)
        os.execv(argv[0], argv)  # noqa: S606  # this interpreter and our own module
    try:
        load_config()
    except ConfigError as error:
        exit_with_problem(_PROGRAM, error)
    children = [Child(f"{_PROGRAM}-{part}", _argv(part, options)) for part in Part]
    replace_with_supervisor(children, name=_PROGRAM)


def _argv(part: Part, options: list[str]) -> list[str]:
    return [sys.executable, "-m", f"{_PROGRAM}.{part}", *options]


def main() -> None:
    """The entry point of the installed command."""
    if sys.argv[1:2] != ["start"]:
        from dmd.jobs.commands import add_commands  # noqa: PLC0415  # a start needs none of it

        add_commands(app)
    app()
