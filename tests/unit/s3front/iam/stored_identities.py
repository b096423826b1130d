"""A directory and its store over metadata in memory."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

import orjson

from s3front.auth.credential_sources import FileCredentials
from s3front.iam.access_key_changes import NewKey, create_access_key, new_access_key
from s3front.iam.account_changes import create_account
from s3front.iam.change import Decide, Result
from s3front.iam.directory import Directory
from s3front.iam.following import Following
from s3front.iam.identity_credentials import IdentityCredentials
from s3front.iam.last_used import LastUses
from s3front.iam.store import IdentityStore
from s3front.keys.file_keyring import MemoryKeyring
from s3front.keys.sealing import Keys
from shared.config import Account, Accounts, Credential
from shared.process.logs import get_logger
from tests.unit.dmd.metadata.support import RecordingLog
from tests.unit.s3front.metadata_twin import MetadataTwin

BART_ID: Final = "123456789012"
BART: Final = Account("Bart", "bart@x.org", f"arn:aws:iam::{BART_ID}:root", "b" * 64, BART_ID)
BART_KEY: Final = Credential(BART, "accessKey1", "verySecretKey1")
FILE_ACCOUNTS: Final = Accounts([BART], [BART_KEY])

READS: Final = orjson.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}],
    }
).decode()
TRUST: Final = orjson.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }
).decode()


def new_keys() -> Keys:
    """A master key in memory."""
    keeper = MemoryKeyring(base64.b64encode(bytes(range(32))).decode())
    return Keys({"mem": keeper}, keeper)


class Front:
    """What one front-end process has."""

    def __init__(
        self,
        metadata: MetadataTwin,
        clock: Callable[[], float] = lambda: 0.0,
        keys: Keys | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.metadata = metadata
        self.keys = keys or new_keys()
        self.directory = Directory(FILE_ACCOUNTS)
        self.following = Following(metadata, self.directory, get_logger(), clock)
        self.store = IdentityStore(self.directory, self.following)
        self.uses = LastUses(metadata, clock)
        self.log = RecordingLog()
        self.credentials = IdentityCredentials(
            FileCredentials(FILE_ACCOUNTS),
            self.directory,
            lambda: self.keys,
            self.log,
            uses=self.uses,
            clock=wall_clock,
        )

    async def make_key(
        self, account_id: str, user: str | None, *, expires: datetime | None = None
    ) -> NewKey:
        """A new access key."""
        new = await new_access_key(self.keys, account_id, user, expires=expires)
        return await self.change(lambda d: create_access_key(d, new))

    async def change(self, decide: Decide[Result]) -> Result:
        return await self.store.change(decide)

    async def make_account(self, name: str = "Stored") -> str:
        """The ID of a new account."""
        account = await self.change(lambda d: create_account(d, name, f"{name}@x.org"))
        return account.id
