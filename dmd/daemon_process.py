"""What the daemon's two processes do alike."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable

from dmd.errors import DamagedMetadataError, StartupError
from dmd.process_options import MEMORY_OPTION
from shared.config import Config, ConfigError, load_config
from shared.process.logs import Logger, configure_logging, get_logger
from shared.process.problems import exit_with_problem
from shared.process.program import arm_failpoint, run_process
from shared.process.supervisor import EX_DATAERR

_PROGRAM = "dmd"

Serve = Callable[[Config, bool, Logger], Awaitable[None]]
"""Serves until told to stop; the flag is whether to keep everything in memory."""


def main(part: str, serve: Serve) -> None:
    """Run one service of the daemon as this process."""
    try:
        config = load_config()
        configure_logging(f"dmd-{part}", config.log.log_level, layout=config.log.format)
        log = get_logger()
        for warning in config.warnings:
            log.warning("setting without effect", setting=warning)
        arm_failpoint(config.failpoint, log)
        run_process(lambda: serve(config, MEMORY_OPTION in sys.argv[1:], log))
    except DamagedMetadataError as error:
        exit_with_problem(_PROGRAM, error, EX_DATAERR)
    except (ConfigError, StartupError) as error:
        exit_with_problem(_PROGRAM, error)
