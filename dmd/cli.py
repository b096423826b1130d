"""The command ``dmd``.

It reads the command line and then becomes what was asked for, a service or the supervisor of both,
in a fresh interpreter: what a command line needs, a service would keep in memory for nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dmd.belonging import NEW_METADATA_OPTION
from dmd.daemon_process import MEMORY_OPTION, STANDBY_OPTION
from dmd.errors import StartupError
from shared.config import Config, ConfigError, load_config
from shared.process.command_line import (
    Host,
    Port,
    Version,
    pass_on_log_format,
    set_variables,
    use_data_directory,
)
from shared.process.program import exit_with_problem
from shared.process.supervisor import Child, replace_with_supervisor

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


_PORTS = {Part.METADATA: "METADATA_PORT", Part.DATA: "DATA_PORT"}
"""The variables of their ports."""


@app.callback()
def _callback(*, version: Version = False) -> None:
    """Makes ``start`` a sub-command although it is the only one."""


@app.command()
def start(  # noqa: PLR0913, PLR0917  # an argument for each option
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
    set_variables(
        {"LISTEN_ADDR": host, "METADATA_PORT": metadata_port, "DATA_PORT": data_port}
        | ({} if part is None else {_PORTS[part]: port})
    )
    use_data_directory(data)
    options = [MEMORY_OPTION] * memory + [STANDBY_OPTION] * standby
    options += [NEW_METADATA_OPTION] * new_metadata
    try:
        config = load_config()
        if not memory:
            _make_directories(config, Part if part is None else (part,))
    except (ConfigError, StartupError, OSError) as error:
        exit_with_problem(_PROGRAM, error)
    pass_on_log_format(config)
    if part is not None:
        argv = _argv(part, options)
        os.execv(argv[0], argv)  # noqa: S606  # this interpreter and our own module
    children = [Child(f"{_PROGRAM}-{part}", _argv(part, options)) for part in Part]
    replace_with_supervisor(children, name=_PROGRAM)


def _make_directories(config: Config, parts: Sequence[Part] | type[Part]) -> None:
    """Make what S3_DATA_DIR is to hold. Directories that are named one by one must be there: an
    empty one in the place of a disk that is not mounted would be a new installation. Raises
    StartupError."""
    if config.data_directory is None:
        return
    paths = {Part.METADATA: config.metadata_path, Part.DATA: config.data_path}
    for part in parts:
        if paths[part].parent == config.data_directory:
            try:
                paths[part].mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise StartupError(
                    f"the data directory {config.data_directory} (--data, S3_DATA_DIR): cannot "
                    f"make {paths[part].name} there: {error.strerror or error}"
                ) from error


def _argv(part: Part, options: list[str]) -> list[str]:
    return [sys.executable, "-m", f"{_PROGRAM}.{part}", *options]


def main() -> None:
    """The entry point of the installed command."""
    if sys.argv[1:2] != ["start"]:
        from dmd.jobs.commands import add_commands  # noqa: PLC0415  # a start needs none of it

        add_commands(app)
    app()
