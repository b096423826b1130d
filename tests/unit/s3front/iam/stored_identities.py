"""A directory and its store over metadata in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import orjson

from s3front.iam.account_changes import create_account
from s3front.iam.change import Decide, Result
from s3front.iam.directory import Directory
from s3front.iam.following import Following
from s3front.iam.store import IdentityStore
from shared.config import Account, Accounts, Credential
from shared.process.logs import get_logger
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


class Front:
    """What one front-end process has."""

    def __init__(self, metadata: MetadataTwin, clock: Callable[[], float] = lambda: 0.0) -> None:
        self.metadata = metadata
        self.directory = Directory(FILE_ACCOUNTS)
        self.following = Following(metadata, self.directory, get_logger(), clock)
        self.store = IdentityStore(self.directory, self.following)

    async def change(self, decide: Decide[Result]) -> Result:
        return await self.store.change(decide)

    async def make_account(self, name: str = "Stored") -> str:
        """The ID of a new account."""
        account = await self.change(lambda d: create_account(d, name, f"{name}@x.org"))
        return account.id
