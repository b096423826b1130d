"""What keepers are made with in tests."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Final

import pytest
from msgspec.structs import replace

from s3front.keys.base import KeeperError
from s3front.keys.making import Making
from s3front.locations.outbound import DIRECT, Outbound
from shared.config.encryption import Encryption, Keepers
from tests.unit.s3front.locations.scripted_remote import KeptLog

TIMEOUT_MS: Final = 1000


def described(**members: Any) -> Keepers:
    """An installation with these services."""
    keepers = Keepers(
        encryption=Encryption(timeout_ms=TIMEOUT_MS, vault=members.pop("vault", None)),
        kms_aws=None,
        kmip=None,
        current="file",
        memory_key=None,
        file="config.json",
    )
    return replace(keepers, **members)


def making(
    log: KeptLog | None = None, outbound: Outbound = DIRECT, of: Keepers | None = None
) -> Making:
    """To make a keeper of an installation."""
    return Making(of or described(), log or KeptLog(), outbound)


async def fails(asking: Awaitable[Any]) -> KeeperError:
    """What asking a keeper ends with."""
    with pytest.raises(KeeperError) as caught:
        await asking
    return caught.value
