"""The command ``dmd``."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

from dmd.data.disk import DiskOptions
from dmd.data.memory import MemoryStore
from dmd.data.server import serve as serve_data
from dmd.data.service import DataService
from dmd.data.store import open_file_store
from dmd.errors import StartupError
from dmd.metadata.daemon import MetadataDaemon, MetadataSettings
from dmd.metadata.engines.base import EngineFatalError
from shared.config import Config, ConfigError, load_config
from shared.observability import configure_logging, get_logger
from shared.process import (
    STOP_SECONDS_MAX,
    exit_with_problem,
    run_process,
    serve_until_stopped,
)
from shared.rpc.streams import StreamSettings
from shared.supervisor import Child, replace_with_supervisor

_PROGRAM = "dmd"
_EX_IOERR = 74
_LOOPBACK = ("localhost", "127.", "::1")

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
        bool, typer.Option("--memory", help="Keep everything in memory and nothing on disk.")
    ] = False,
) -> None:
    """Serve until SIGTERM."""
    try:
        config = load_config()
        if part is None:
            _supervise(memory)
        elif part is Part.METADATA:
            run_process(lambda: _serve_metadata(config, memory))
        else:
            run_process(lambda: _serve_data(config, memory))
    except (ConfigError, StartupError) as error:
        exit_with_problem(_PROGRAM, error)


def _supervise(memory: bool) -> None:
    """Become the supervisor of both services, each with an interpreter of its own."""
    options = ["--memory"] if memory else []
    children = [
        Child(f"dmd-{part}", [sys.executable, "-m", "dmd", "start", part.value, *options])
        for part in Part
    ]
    replace_with_supervisor(children, name=_PROGRAM)


async def _serve_metadata(config: Config, memory: bool) -> None:
    settings = config.metadata_daemon
    log = _log(config, Part.METADATA, settings.bind_address)
    daemon = await MetadataDaemon.start(
        MetadataSettings(
            path=None if memory else config.metadata_path,
            host=settings.bind_address,
            port=settings.port,
            stream=StreamSettings(
                settings.stream_max_pending_ack, settings.stream_ack_timeout_ms / 1000
            ),
        ),
        log,
        lambda error: _die(log, error),
    )
    log.info("serving metadata", host=settings.bind_address, port=daemon.port)
    await serve_until_stopped()
    await daemon.close()


async def _serve_data(config: Config, memory: bool) -> None:
    settings = config.data_daemon
    log = _log(config, Part.DATA, settings.bind_address)
    store = (
        MemoryStore()
        if memory
        else open_file_store(
            config.data_path, DiskOptions(config.data_no_sync, config.data_no_cache)
        )
    )
    try:
        server = await serve_data(DataService(store, log), settings.bind_address, settings.port)
        log.info("serving data", host=settings.bind_address, port=server.port)
        await serve_until_stopped()
        await server.close(STOP_SECONDS_MAX)
    finally:
        await store.close()


def _log(config: Config, part: Part, host: str) -> Any:
    configure_logging(f"dmd-{part}", config.log.log_level)
    log = get_logger()
    for warning in config.warnings:
        log.warning("setting without effect", setting=warning)
    if not host.startswith(_LOOPBACK):
        log.warning(
            "ANYBODY WHO REACHES THIS PORT CAN READ AND CHANGE EVERYTHING: "
            "bind it to loopback or keep the network private",
            host=host,
        )
    return log


def _die(log: Any, error: EngineFatalError) -> None:
    """End the process at once: what a commit did is unknown, and only the disk can tell.

    The supervisor starts it again, and the store is opened as it is.
    """
    log.error("the outcome of a commit is unknown", reason=str(error))
    os._exit(_EX_IOERR)


def main() -> None:
    """The entry point of the installed command."""
    app()
