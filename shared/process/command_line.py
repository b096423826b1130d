"""What the command lines of both halves have alike.

An option of ``start`` is an environment variable of the processes that it starts, which read their
configuration themselves, at a reload too.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from shared.config import Config
from shared.config.values import parse_host
from shared.process.supervisor import LOG_FORMAT

_DISTRIBUTION = "twofold"


def _show_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"Twofold {importlib.metadata.version(_DISTRIBUTION)}")
        raise typer.Exit


def _checked_host(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return parse_host(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Version = Annotated[
    bool,
    typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
]
Host = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        callback=_checked_host,
        help="The address to listen on; 0.0.0.0 for all IPv4 addresses of this machine.",
    ),
]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="The port to listen on.")]


def set_variables(variables: Mapping[str, object | None]) -> None:
    """Set the environment variables of the options that were given."""
    for name, value in variables.items():
        if value is not None:
            os.environ[name] = str(value)


def use_data_directory(directory: Path | None) -> None:
    """``--data`` takes the place of the variables of both directories."""
    if directory is not None:
        os.environ["S3_DATA_DIR"] = str(directory)
        for name in ("S3DATAPATH", "S3METADATAPATH"):
            os.environ.pop(name, None)


def pass_on_log_format(config: Config) -> None:
    """Tell the supervisor, which reads no configuration, how its lines are to look."""
    os.environ[LOG_FORMAT] = config.log.format
