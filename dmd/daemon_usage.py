"""The command ``dmd`` as typer declares it: its commands, its options, and their help."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dmd import cli
from dmd.process_options import MEMORY_OPTION, NEW_METADATA_OPTION, STANDBY_OPTION
from shared.process.usage import Host, Port, Version

app = typer.Typer(
    name=cli.PROGRAM,
    help="The stateful half of Twofold: metadata on port 9990, object bytes on port 9991.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _callback(*, version: Version = False) -> None:
    """Has ``--version`` before a command."""


@app.command()
def start(  # noqa: PLR0913, PLR0917  # an argument for each option
    part: Annotated[
        cli.Part | None, typer.Argument(help="Only this service; both when left out.")
    ] = None,
    memory: Annotated[
        bool, typer.Option(MEMORY_OPTION, help="Keep everything in memory and nothing on disk.")
    ] = False,
    standby: Annotated[
        bool,
        typer.Option(STANDBY_OPTION, help="Wait until the directories' owners end, then serve."),
    ] = False,
    new_metadata: Annotated[
        bool,
        typer.Option(
            NEW_METADATA_OPTION,
            help="Begin with empty metadata although the data directory holds objects of other "
            "metadata, which are nobody's then.",
        ),
    ] = False,
    host: Host = None,
    port: Port = None,
    metadata_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The port of the metadata.")
    ] = None,
    data_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The port of the object bytes.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep everything in DIR/localMetadata and DIR/localData, which are made.",
        ),
    ] = None,
    version: Version = False,
) -> None:
    """Serve until SIGTERM. SIGHUP reloads secrets and certificates."""
    if port is not None and part is None:
        raise typer.BadParameter(
            "there are two ports: use --metadata-port and --data-port", param_hint="--port"
        )
    cli.start(
        part,
        memory=memory,
        standby=standby,
        new_metadata=new_metadata,
        host=host,
        port=port,
        metadata_port=metadata_port,
        data_port=data_port,
        data=data,
    )


def run() -> None:
    """Do what the command line says, or say what is wrong with it."""
    if sys.argv[1:2] != ["start"]:
        from dmd.jobs.commands import add_commands  # noqa: PLC0415  # a start needs none of it

        add_commands(app)
    app()
