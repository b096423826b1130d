"""What the daemon's two processes do alike."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable

from dmd.errors import StartupError
from shared.config import Config, ConfigError, load_config
from shared.observability import Logger, configure_logging, get_logger
from shared.process import arm_failpoint, exit_with_problem, run_process

MEMORY_OPTION = "--memory"
STANDBY_OPTION = "--standby"
_PROGRAM = "dmd"
_LOOPBACK = ("localhost", "127.", "::1")

Serve = Callable[[Config, bool, Logger], Awaitable[None]]
"""Serves until told to stop; the flag is whether to keep everything in memory."""


def main(part: str, host: Callable[[Config], str], serve: Serve) -> None:
    """Run one service of the daemon as this process; ``host`` tells where it listens."""
    try:
        config = load_config()
        configure_logging(f"dmd-{part}", config.log.log_level)
        log = get_logger()
        for warning in config.warnings:
            log.warning("setting without effect", setting=warning)
        if not host(config).startswith(_LOOPBACK):
            log.warning(
                "ANYBODY WHO REACHES THIS PORT CAN READ AND CHANGE EVERYTHING: "
                "bind it to loopback or keep the network private",
                host=host(config),
            )
        arm_failpoint(config.failpoint, log)
        run_process(lambda: serve(config, MEMORY_OPTION in sys.argv[1:], log))
    except (ConfigError, StartupError) as error:
        exit_with_problem(_PROGRAM, error)
