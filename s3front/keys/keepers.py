"""The keepers that there are, a row each, and those of an installation put together.

A keeper that is described opens what it has sealed; the one that is current seals what is new. A
new kind of keeper is a row here, with its section in ``shared.config.encryption``. What a keeper
needs that is large is imported by its maker, on first use: a front-end without it pays nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from s3front.keys import remote_keepers
from s3front.keys.account_keys import AccountKeys
from s3front.keys.base import MasterKeys
from s3front.keys.file_keyring import FileKeyring, MemoryKeyring
from s3front.keys.making import Making, file_stamps
from s3front.keys.sealing import Keys
from s3front.keys.used_keys import Noted, UsedKeys
from s3front.locations.outbound import DIRECT, Outbound
from s3front.metadata.gateway import MetadataGateway
from shared.config.encryption import Keepers, KeeperType
from shared.config.errors import ConfigError
from shared.process.logs import EventLog

CLOSE_SECONDS: Final = 3600.0
"""After how long a keeper is closed that another one has replaced: by then no request that began
before asks it for anything."""

Maker = Callable[[Making], MasterKeys]
"""Makes a keeper of what is described. Raises ConfigError."""


def _file(making: Making) -> MasterKeys:
    return FileKeyring(making.described.encryption.keyring_file, making.log)


def _memory(making: Making) -> MasterKeys:
    secret = making.described.memory_key
    if making.described.current == "mem":
        making.log.warning(
            "the master key is in memory alone: what it protects cannot be read once this server "
            "has ended"
        )
    return MemoryKeyring(None if secret is None else secret.reveal())


KEEPERS: Final[Mapping[KeeperType, Maker]] = {
    "file": _file,
    "mem": _memory,
    "aws": remote_keepers.aws,
    "kmip": remote_keepers.kmip,
    "vault": remote_keepers.vault,
    "pkcs11": remote_keepers.pkcs11,
}
"""The kinds that there are. What describes one, ``Keepers.section`` says."""


class Keychain:
    """The keepers of an installation, made of what is ``described``. Raises ConfigError.

    ``metadata`` is told which master keys are used, None: is not. ``outbound`` is how clouds are
    reached.
    """

    def __init__(
        self,
        described: Keepers,
        log: EventLog,
        metadata: MetadataGateway | None = None,
        outbound: Outbound = DIRECT,
        makers: Mapping[KeeperType, Maker] = KEEPERS,
    ) -> None:
        self._log = log
        self._metadata = metadata
        self._outbound = outbound
        self._used = None if metadata is None else UsedKeys(metadata)
        self._account_keys: AccountKeys | None = None
        self._makers = makers
        self._made: dict[KeeperType, _Made] = {}
        self._replaced: dict[asyncio.Task[None], MasterKeys] = {}
        self.keys = self._keys(described)

    def renew(self, described: Keepers) -> None:
        """The same for another description: a keeper whose own has not changed stays, and none is
        closed that a request may be using, but ``CLOSE_SECONDS`` later. Raises ConfigError, and
        nothing has changed then. Call it inside the event loop."""
        self.keys = self._keys(described)

    async def close(self) -> None:
        """Give up the connections of all that was made."""
        replaced = list(self._replaced.values())
        for closing in list(self._replaced):
            closing.cancel()
        for keeper in (*replaced, *(each.keeper for each in self._made.values())):
            await keeper.close()

    def _close_later(self, keepers: Iterable[MasterKeys]) -> None:
        for keeper in keepers:
            closing = asyncio.get_running_loop().create_task(self._closed(keeper))
            self._replaced[closing] = keeper
            closing.add_done_callback(self._replaced.pop)

    async def _closed(self, keeper: MasterKeys) -> None:
        await asyncio.sleep(CLOSE_SECONDS)
        try:
            await keeper.close()
        except Exception as error:
            self._log.error("a keeper of master keys cannot be closed", exc_info=error)

    def _keys(self, described: Keepers) -> Keys:
        described.check()
        made = {
            kind: self._one(kind, make, described)
            for kind, make in self._makers.items()
            if described.section(kind) is not None
        }
        if described.current not in made:
            raise ConfigError(
                described.file,
                "encryption.current",
                f"{described.current!r} is not supported by this version",
            )
        kept = {id(each.keeper) for each in made.values()}
        self._close_later(
            each.keeper for each in self._made.values() if id(each.keeper) not in kept
        )
        self._made = made
        keepers = {each.keeper.name: each.keeper for each in made.values()}
        current = made[described.current].keeper
        used = self._used
        giving = keepers
        if used is not None:
            giving = {name: Noted(keeper, used) for name, keeper in keepers.items()}
        return Keys(keepers, giving[current.name], self._of_accounts(described, current), giving)

    def _of_accounts(self, described: Keepers, current: MasterKeys) -> AccountKeys | None:
        if not described.has_account_keys:
            return None
        if self._metadata is None:
            return None
        if self._account_keys is None or self._account_keys.keeper is not current:
            self._account_keys = AccountKeys(self._metadata, current, self._log)
        return self._account_keys

    def _one(self, kind: KeeperType, make: Maker, described: Keepers) -> _Made:
        settings = described.encryption
        bounds = (settings.timeout_ms, settings.cache_seconds, settings.cache_uses_max)
        section = described.section(kind)
        of = section, bounds, file_stamps(section)
        before = self._made.get(kind)
        if before is None or before.of != of:
            return _Made(of, make(Making(described, self._log, self._outbound)))
        if isinstance(before.keeper, FileKeyring):
            before.keeper.reload()
        return before


class _Made(NamedTuple):
    """A keeper, and what it was made of."""

    of: object
    keeper: MasterKeys
