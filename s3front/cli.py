"""The command ``s3front``."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from s3front.serve import LISTEN_FDS, bind_sockets, serve, tls_context
from shared.config import ConfigError, load_accounts, load_config, load_locations
from shared.process import exit_with_problem, run_process
from shared.supervisor import Child, replace_with_supervisor

_PROGRAM = "s3front"

app = typer.Typer(
    name=_PROGRAM,
    help="The stateless half of Twofold: speaks the S3 API and keeps nothing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _callback() -> None:
    """Makes ``start`` a sub-command although it is the only one."""


@app.command()
def start(
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=256,
            help="Processes that share the listening sockets; default: 'clusters' of config.json.",
        ),
    ] = None,
) -> None:
    """Serve the S3 API until SIGTERM. SIGHUP reloads credentials and locations."""
    try:
        config = load_config()
        if LISTEN_FDS not in os.environ:
            # Everything that can be wrong is said once, here, and not by every worker.
            tls_context(config)
            load_accounts(config)
            load_locations(config)
            sockets = bind_sockets(config)
            _supervise(workers or config.clusters, [bound.detach() for bound in sockets])
        run_process(lambda: serve(config))
    except (ConfigError, OSError) as error:
        exit_with_problem(_PROGRAM, error)


def _supervise(workers: int, descriptors: list[int]) -> None:
    """Become the supervisor of so many workers that inherit the sockets."""
    os.environ[LISTEN_FDS] = ",".join(str(descriptor) for descriptor in descriptors)
    argv = [sys.executable, "-m", "s3front", "start"]
    children = [
        Child(f"s3front-{number}", argv, tuple(descriptors)) for number in range(1, workers + 1)
    ]
    replace_with_supervisor(children, name=_PROGRAM)


def main() -> None:
    """The entry point of the installed command."""
    app()
