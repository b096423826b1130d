"""What the command lines of both halves have alike.

An option of ``start`` is an environment variable of the processes that it starts, which read their
configuration themselves, at a reload too.

``plain_options`` reads the usual command lines of ``start``. Typer, which declares all of them and
knows how to help, takes 50 ms of CPU to import, so it is only asked about the others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from shared.config import Config
from shared.config.values import parse_host, parse_port
from shared.process.supervisor import LOG_FORMAT

Reader = Callable[[str], object]
"""Reads the value of an option, or raises ValueError."""

PORT: Final[Reader] = parse_port
HOST: Final[Reader] = parse_host
DIRECTORY: Final[Reader] = Path

_COUNT: Final = re.compile("[1-9][0-9]{0,2}")


def read_count(most: int) -> Reader:
    """A number from 1 to ``most``, which is below 1,000."""

    def read(text: str) -> int:
        if not _COUNT.fullmatch(text) or int(text) > most:
            raise ValueError(text)
        return int(text)

    return read


def plain_options(
    arguments: Sequence[str], known: Mapping[str, Reader | None]
) -> dict[str, Any] | None:
    """The options of a command line that has nothing else, by the names of parameters; None when
    there is anything about it that has to be explained: help, an unknown option, a bad value.

    ``known``: how to read the value of each option, None for a flag.
    """
    options: dict[str, Any] = {}
    left = iter(arguments)
    for argument in left:
        name, equals, value = argument.partition("=")
        parameter = name.removeprefix("--").replace("-", "_")
        if name not in known or parameter in options:
            return None
        reader = known[name]
        if reader is None:
            if equals:
                return None
            options[parameter] = True
            continue
        if not equals:
            value = next(left, "")
        if not value or value.startswith("-"):
            return None
        try:
            options[parameter] = reader(value)
        except ValueError:
            return None
    return options


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
