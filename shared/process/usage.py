"""The parts of both commands that people read: typer's, for help and for what is wrong.

A start that has nothing wrong does without (``shared.process.command_line``).
"""

from __future__ import annotations

import importlib.metadata
from typing import Annotated

import typer

from shared.config.values import parse_host

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
