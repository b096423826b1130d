"""Accounts are read again when their file changes, without a signal.

Every process looks once a second at the file's time, size and inode, which also shows a file that
was put in the place of another one, as editors and Kubernetes do. A file that is bad or gone
changes nothing: the accounts that were there stay, and the log says why, once for each change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NoReturn

from shared.config import Accounts, Config, ConfigError, accounts_file, load_accounts
from shared.process.logs import EventLog

LOOK_SECONDS: Final = 1.0

_Stamp = tuple[int, int, int] | None


class AccountsWatch:
    """Make it before the accounts are read for the first time, so that no change is missed."""

    def __init__(self, config: Config, log: EventLog) -> None:
        self._config = config
        self._log = log
        self._seen = self._stamp()
        self._refused = ""

    async def run(self, use: Callable[[Accounts], None]) -> NoReturn:
        """Hand on the accounts after every change, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            # The folder may be a slow one, on a network.
            accounts = await asyncio.to_thread(self._changed)
            if accounts is not None:
                use(accounts)
                self._log.info("accounts read again", accounts=len(accounts))

    def _changed(self) -> Accounts | None:
        stamp = self._stamp()
        if stamp == self._seen:
            return None
        try:
            accounts = load_accounts(self._config)
        except (ConfigError, OSError, MemoryError) as error:
            if self._refused != str(error):
                self._refused = str(error)
                self._log.error("accounts refused, the old ones stay", reason=self._refused)
            return None
        self._seen, self._refused = stamp, ""
        return accounts

    def _stamp(self) -> _Stamp:
        """What tells one state of the file from another; None when there is none."""
        path = accounts_file(self._config)
        try:
            status = None if path is None else path.stat()
        except OSError:
            status = None
        return status and (status.st_mtime_ns, status.st_size, status.st_ino)
