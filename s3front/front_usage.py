"""The command ``s3front`` as typer declares it: its commands, its options, and their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from s3front import cli, keys_usage, locations_usage, work_usage
from s3front.access_usage import add_access_commands
from s3front.encrypted_bucket_usage import create_encrypted_bucket
from s3front.identity_usage import (
    access_keys_usage,
    accounts_usage,
    groups_usage,
    policies_usage,
    roles_usage,
    users_usage,
)
from shared.process.usage import Host, Port, Version

app = typer.Typer(
    name=cli.PROGRAM,
    help="The stateless half of Twofold: speaks the S3 API and keeps nothing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


app.add_typer(work_usage.app, name="work")
app.add_typer(locations_usage.app, name="locations")
app.add_typer(keys_usage.app, name="keys")
add_access_commands(app)
app.add_typer(accounts_usage.app, name="accounts")
app.add_typer(users_usage.app, name="users")
app.add_typer(groups_usage.app, name="groups")
app.add_typer(roles_usage.app, name="roles")
app.add_typer(policies_usage.app, name="policies")
app.add_typer(access_keys_usage.app, name="access-keys")
app.command(name="create-encrypted-bucket")(create_encrypted_bucket)


@app.callback()
def _callback(*, version: Version = False) -> None:
    """Has ``--version`` before a command."""


@app.command()
def start(
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=cli.WORKERS_MAX,
            help="Processes that share the listening sockets; default: 'clusters' of config.json.",
        ),
    ] = None,
    host: Host = None,
    port: Port = None,
    no_work: Annotated[
        bool,
        typer.Option("--no-work", help="Start no process for background work (see `work`)."),
    ] = False,
    data: Annotated[Path | None, typer.Option(hidden=True)] = None,
    version: Version = False,
) -> None:
    """Serve the S3 API until SIGTERM. SIGHUP reloads credentials, certificates and locations."""
    if data is not None:
        raise typer.BadParameter(
            "a front-end keeps nothing on disk: give it to `dmd start`", param_hint="--data"
        )
    cli.start(workers=workers, host=host, port=port, no_work=no_work)
