"""The command ``s3front``: checks the configuration, binds the sockets, becomes the supervisor."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from s3front.port.listeners import LISTEN_FDS, bind_sockets
from shared.config import ConfigError, load_accounts, load_config, load_locations
from shared.credentials import data_credentials, metadata_credentials
from shared.process.command_line import Host, Port, Version, pass_on_log_format, set_variables
from shared.process.program import exit_with_problem
from shared.process.supervisor import Child, replace_with_supervisor
from shared.tls import server_context

_PROGRAM = "s3front"

app = typer.Typer(
    name=_PROGRAM,
    help="The stateless half of Twofold: speaks the S3 API and keeps nothing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _callback(*, version: Version = False) -> None:
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
    host: Host = None,
    port: Port = None,
    data: Annotated[Path | None, typer.Option(hidden=True)] = None,
    version: Version = False,
) -> None:
    """Serve the S3 API until SIGTERM. SIGHUP reloads credentials, certificates and locations."""
    if data is not None:
        raise typer.BadParameter(
            "a front-end keeps nothing on disk: give it to `dmd start`", param_hint="--data"
        )
    set_variables({"S3_HOST": host, "S3_PORT": port})
    try:
        config = load_config()
        # Everything that can be wrong is said once, here, and not by every worker.
        if config.cert_file_paths is not None:
            server_context(config.cert_file_paths, config.file, "certFilePaths")
        metadata_credentials(config)
        data_credentials(config)
        load_accounts(config)
        load_locations(config)
        sockets = bind_sockets(config)
    except (ConfigError, OSError) as error:
        exit_with_problem(_PROGRAM, error)
    pass_on_log_format(config)
    descriptors = tuple(bound.detach() for bound in sockets)
    os.environ[LISTEN_FDS] = ",".join(str(descriptor) for descriptor in descriptors)
    argv = [sys.executable, "-m", "s3front.process.serve"]
    count = workers or config.clusters
    children = [Child(f"{_PROGRAM}-{number + 1}", argv, descriptors) for number in range(count)]
    replace_with_supervisor(children, name=_PROGRAM)


def main() -> None:
    """The entry point of the installed command."""
    app()
