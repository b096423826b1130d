"""What a front-end knows of identities, put together: the directory and what keeps it up to date,
its store, the credentials of all of them, and temporary ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from s3front.auth.credential_sources import FileCredentials
from s3front.iam.directory import Directory
from s3front.iam.following import Following
from s3front.iam.identity_credentials import IdentityCredentials
from s3front.iam.last_used import LastUses
from s3front.iam.session_setup import make_session_service, provider_documents, provider_trust
from s3front.iam.store import IdentityStore
from s3front.keys.keepers import Keychain
from s3front.metadata.gateway import MetadataGateway
from shared.config import Accounts, Config
from shared.process.logs import EventLog
from shared.process.vital import vital

FLUSH_SECONDS_MAX = 2.0
"""How long a process that ends tries to write what it knows of the last uses of keys."""


class IdentityParts:
    """See the module. ``begin`` it once the metadata client has started, and ``close`` it before
    that ends."""

    def __init__(
        self,
        config: Config,
        accounts: Accounts,
        metadata: MetadataGateway,
        keychain: Keychain,
        log: EventLog,
    ) -> None:
        """Make it inside the event loop. Raises ConfigError."""
        self._of_file = FileCredentials(accounts)
        self.directory = Directory(accounts)
        self._following = Following(metadata, self.directory, log)
        self.store = IdentityStore(self.directory, self._following)
        self._uses = LastUses(metadata)
        self._documents = provider_documents(config)
        self.sessions = make_session_service(
            self._documents, self.directory, self.store, lambda: keychain.keys, log
        )
        self.credentials = IdentityCredentials(
            self._of_file,
            self.directory,
            lambda: keychain.keys,
            log,
            sessions=self.sessions,
            uses=self._uses,
        )
        self._tasks: list[asyncio.Task[None]] = []

    def use(self, accounts: Accounts) -> None:
        """Take these accounts of the configuration from the next request on."""
        self._of_file.use(accounts)
        self.directory.use(accounts)

    def renewing(self, config: Config) -> Callable[[], None]:
        """What takes over what the configuration says of identity providers. Raises ConfigError,
        with nothing taken over."""
        tls, networks = provider_trust(config), config.open_id_connect.allowed_networks
        return lambda: self._documents.use(tls, networks)

    def begin(self) -> None:
        """Read what is stored, and follow it."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            vital(loop.create_task(self._following.run(), name="identities")),
            vital(loop.create_task(self._uses.run(), name="last uses of access keys")),
        ]

    async def close(self) -> None:
        """Write what is known of the last uses of keys, unless that takes long."""
        for task in self._tasks:
            task.cancel()
        self.sessions.providers.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS_MAX):
                await self._uses.flush()
