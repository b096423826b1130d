"""What stops a daemon from starting."""

from __future__ import annotations


class StartupError(Exception):
    """The daemon cannot start, for a reason that the operator can act on.

    The message is one line that names the thing (a directory, a port, a setting) and the reason;
    the command prints it and exits, without a traceback.
    """


class SettingNeededError(StartupError):
    """What is asked for is not safe without a setting of the daemon's section, ``key``."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason)
        self.key = key


class DamagedMetadataError(StartupError):
    """The metadata store in the file ``store`` is damaged: starting again mends nothing."""

    def __init__(self, store: object, problem: object) -> None:
        super().__init__(
            f"{store}: the metadata store is damaged: {problem}. Nothing was changed. Restore a "
            "backup (`dmd restore`), or bring out what can be read (`dmd dump --salvage FILE`) and "
            "`dmd load FILE` it into an empty directory"
        )
