"""What the commands that ask about an installation share: ``s3front work status`` and its kin, and
``s3front locations``."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar

import typer

from s3front import cli
from s3front.daemon_clients import metadata_client
from s3front.metadata.gateway import MetadataGateway
from s3front.s3_errors import S3Error
from shared.config import Config, ConfigError
from shared.process.logs import configure_logging, get_logger
from shared.process.problems import exit_with_problem

ATTENTION_EXIT: Final = 1
"""Something needs to be looked at, or was not done."""

CANNOT_ASK_EXIT: Final = 2
"""The question could not be asked, or the command line makes no sense."""

_CONNECT_WAIT_SECONDS: Final = 5.0
"""Nobody waits for these commands as for a request, and a busy machine takes its time."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]

Result = TypeVar("Result")


def print_json(document: Any) -> None:
    """Print what ``--json`` asks for."""
    typer.echo(json.dumps(document, indent=2))


async def ask_metadata(
    config: Config, question: Callable[[MetadataGateway], Awaitable[Result]]
) -> Result:
    """What the metadata daemon answers; ends the command when it does not."""
    # What the client has to say of its connection is for programs that run for long.
    configure_logging(cli.PROGRAM, "fatal", sys.stderr.buffer)
    try:
        client = metadata_client(config, get_logger(), connect_wait_seconds=_CONNECT_WAIT_SECONDS)
    except ConfigError as error:  # it is where nobody else can reach it
        exit_with_problem(cli.PROGRAM, str(error), CANNOT_ASK_EXIT)
    client.start()
    try:
        return await question(MetadataGateway(client))
    except S3Error as error:
        settings = config.metadata_client
        where = f"the metadata daemon, {settings.host}:{settings.port}"
        reason = client.problem or str(error)
        exit_with_problem(cli.PROGRAM, f"{where}, does not answer: {reason}", CANNOT_ASK_EXIT)
    finally:
        await client.close()
