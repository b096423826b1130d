"""The command ``dmd``.

It reads the command line and then becomes what was asked for, a service or the supervisor of both,
in a fresh interpreter: what a command line needs, a service would keep in memory for nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

from dmd.errors import StartupError
from dmd.process_options import MEMORY_OPTION, NEW_METADATA_OPTION, STANDBY_OPTION
from shared.config import Config, ConfigError, load_config
from shared.process.command_line import (
    DIRECTORY,
    HOST,
    PORT,
    Reader,
    pass_on_log_format,
    plain_options,
    set_variables,
    use_data_directory,
)
from shared.process.problems import exit_with_problem
from shared.process.supervisor import Child, replace_with_supervisor

PROGRAM: Final = "dmd"


class Part(StrEnum):
    """A service of the daemon."""

    METADATA = "metadata"
    DATA = "data"


_PORTS = {Part.METADATA: "METADATA_PORT", Part.DATA: "DATA_PORT"}
"""The variables of their ports."""

START_OPTIONS: Final[Mapping[str, Reader | None]] = {
    MEMORY_OPTION: None,
    STANDBY_OPTION: None,
    NEW_METADATA_OPTION: None,
    "--host": HOST,
    "--port": PORT,
    "--metadata-port": PORT,
    "--data-port": PORT,
    "--data": DIRECTORY,
}
"""Those of ``start``, which ``dmd.daemon_usage`` declares."""


def start(  # noqa: PLR0913  # an argument for each option
    part: Part | None = None,
    *,
    memory: bool = False,
    standby: bool = False,
    new_metadata: bool = False,
    host: str | None = None,
    port: int | None = None,
    metadata_port: int | None = None,
    data_port: int | None = None,
    data: Path | None = None,
) -> None:
    """Become the service, or the supervisor of both. ``port`` is that of a ``part``."""
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
            parts = Part if part is None else (part,)
            _refuse_without_use(config, parts)
            _make_directories(config, parts)
    except (ConfigError, StartupError, OSError) as error:
        exit_with_problem(PROGRAM, error)
    pass_on_log_format(config)
    if part is not None:
        argv = _argv(part, options)
        os.execv(argv[0], argv)  # noqa: S606  # this interpreter and our own module
    children = [Child(f"{PROGRAM}-{part}", _argv(part, options)) for part in Part]
    replace_with_supervisor(children, name=PROGRAM)


def _refuse_without_use(config: Config, parts: Sequence[Part] | type[Part]) -> None:
    """A service that no front-end of this configuration asks is a mistake. Raises StartupError."""
    chosen = {Part.METADATA: config.backends.metadata, Part.DATA: config.backends.data}
    for part in parts:
        if chosen[part] == "mem":
            raise StartupError(
                f"the {part} is in memory, as S3BACKEND or S3{part.upper()} says, and `s3front "
                "start` keeps it itself: leave this service out"
            )


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
    return [sys.executable, "-m", f"{PROGRAM}.{part}", *options]


def _plain_start(arguments: Sequence[str]) -> bool:
    """Start, if the command line says that and nothing that has to be explained."""
    if arguments[:1] != ["start"]:
        return False
    part = Part(arguments[1]) if arguments[1:2] and arguments[1] in set(Part) else None
    options = plain_options(arguments[1 if part is None else 2 :], START_OPTIONS)
    if options is None or (part is None and "port" in options):
        return False
    start(part, **options)
    return True


def main() -> None:
    """The entry point of the installed command."""
    if not _plain_start(sys.argv[1:]):
        from dmd.daemon_usage import run  # noqa: PLC0415  # on first use

        run()
