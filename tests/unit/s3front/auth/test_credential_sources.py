"""Where the secrets of access keys come from."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest

from s3front.auth.credential_sources import FileCredentials, Signer
from s3front.auth.identity import Principal
from s3front.s3_errors import S3Error
from shared.config import Account, Accounts
from shared.config.accounts import Credential

ACCOUNT = Account("Name", "a@b", "arn:aws:iam::123456789012:root", "canonical", "123456789012")
SIGNER = Signer(
    Principal(
        "canonical",
        "Name",
        "123456789012",
        "arn:aws:iam::123456789012:root",
        user_id="123456789012",
    ),
    "secret",
)


def test_the_file_answers_without_waiting() -> None:
    accounts = Accounts([ACCOUNT], [Credential(ACCOUNT, "key", "secret")])
    source = FileCredentials(accounts)
    assert at_once(source.find("key")) == SIGNER
    assert at_once(source.find("other")) is None
    source.use(Accounts([ACCOUNT], [Credential(ACCOUNT, "other", "new")]))
    assert at_once(source.find("key")) is None
    assert at_once(source.find("other")) == Signer(SIGNER.principal, "new")


def test_the_keys_of_accounts_have_no_tokens() -> None:
    source = FileCredentials(Accounts([ACCOUNT], [Credential(ACCOUNT, "key", "secret")]))
    with pytest.raises(S3Error, match="InvalidToken") as refused:
        at_once(source.find("key", "token"))
    assert refused.value.fields == {"Token-0": "token"}


def at_once(asked: Coroutine[Any, Any, Signer | None]) -> Signer | None:
    """What a coroutine returns that must not wait for anything."""
    with pytest.raises(StopIteration) as stopped:
        asked.send(None)
    found: Signer | None = stopped.value.value
    return found


def test_a_secret_is_shown_to_nobody() -> None:
    assert "secret" not in f"{SIGNER!r} {SIGNER}"
