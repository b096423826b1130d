"""authdata.json, and the account of the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shared.config import ConfigError, load_accounts, load_config
from tests.unit.shared.config.conftest import Installation

STOCK = Path(__file__).parents[4]


def account(number: int = 0, **changes: Any) -> dict[str, Any]:
    """An account entry, valid, different for each number, with ``changes`` on top."""
    digits = f"{number:012}"
    return {
        "name": f"account{number}",
        "email": f"account{number}@example.com",
        "arn": f"arn:aws:iam::{digits}:root",
        "canonicalID": f"canonical{number}",
        "shortid": digits,
        "keys": [{"access": f"access{number}", "secret": f"hunter{number}"}],
        **changes,
    }


def without(entry: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != key}


def refusal(installation: Installation, *accounts: object) -> str:
    """The one-line message about a file of these accounts."""
    installation.write("conf/authdata.json", {"accounts": accounts})
    with pytest.raises(ConfigError) as caught:
        load_accounts(installation.load())
    message = str(caught.value)
    assert "\n" not in message
    assert "hunter" not in message
    prefix = "conf/authdata.json: "
    assert message.startswith(prefix)
    return message.removeprefix(prefix)


def test_stock_accounts() -> None:
    accounts = load_accounts(load_config({}, STOCK))
    bart = accounts.credential("accessKey1")
    lisa = accounts.credential("accessKey2")
    assert bart is not None
    assert lisa is not None
    assert (bart.account.name, bart.secret) == ("Bart", "verySecretKey1")
    assert (lisa.account.name, lisa.secret) == ("Lisa", "verySecretKey2")
    assert [entry.short_id for entry in accounts] == ["123456789012", "123456789013"]


def test_accounts_are_found_by_whatever_a_request_names(installation: Installation) -> None:
    installation.write("conf/authdata.json", {"accounts": [account(1), account(2)]})
    accounts = load_accounts(installation.load())
    credential = accounts.credential("access2")
    assert credential is not None
    assert credential.access_key == "access2"
    assert accounts.by_canonical_id("canonical2") is credential.account
    assert accounts.by_email("Account2@Example.com") is credential.account
    assert len(accounts) == 2
    assert accounts.credential("nobody") is None
    assert accounts.by_canonical_id("nobody") is None
    assert accounts.by_email("nobody@example.com") is None


def test_account_may_have_several_keys_or_none(installation: Installation) -> None:
    keys = [{"access": "a", "secret": "1"}, {"access": "b", "secret": "2"}]
    entries = [account(1, keys=keys), account(2, keys=[])]
    installation.write("conf/authdata.json", {"accounts": entries})
    accounts = load_accounts(installation.load())
    first, second = accounts.credential("a"), accounts.credential("b")
    assert first is not None
    assert second is not None
    assert first.account is second.account
    assert accounts.by_canonical_id("canonical2") is not None


def test_service_account_has_a_url_as_its_canonical_id(installation: Installation) -> None:
    service = "http://acs.zenko.io/accounts/service/replication"
    installation.write("conf/authdata.json", {"accounts": [account(canonicalID=service)]})
    assert load_accounts(installation.load()).by_canonical_id(service) is not None


def test_conf_directory_comes_before_the_working_directory(installation: Installation) -> None:
    installation.write("authdata.json", {"accounts": [account(1)]})
    assert load_accounts(installation.load()).credential("access1")
    installation.write("conf/authdata.json", {"accounts": [account(2)]})
    assert not load_accounts(installation.load()).credential("access1")


def test_file_can_be_named(installation: Installation) -> None:
    installation.write("conf/authdata.json", {"accounts": [account(1)]})
    installation.write("other.json", {"accounts": [account(2)]})
    accounts = load_accounts(installation.load({"S3AUTH_CONFIG": "other.json"}))
    assert accounts.credential("access2")


def test_loading_again_reads_the_file_again(installation: Installation) -> None:
    installation.write("conf/authdata.json", {"accounts": [account(1)]})
    config = installation.load()
    load_accounts(config)
    installation.write("conf/authdata.json", {"accounts": [account(2)]})
    assert load_accounts(config).credential("access2")


def test_no_accounts_anywhere_tells_both_ways_out(installation: Installation) -> None:
    with pytest.raises(ConfigError) as caught:
        load_accounts(installation.load())
    assert str(caught.value) == (
        "conf/authdata.json: there is no such file: create it, or set SCALITY_ACCESS_KEY_ID and "
        "SCALITY_SECRET_ACCESS_KEY"
    )


def test_account_of_the_environment_takes_the_place_of_the_file(
    installation: Installation,
) -> None:
    installation.write("conf/authdata.json", "not even JSON")
    environ = {"SCALITY_ACCESS_KEY_ID": "ak", "SCALITY_SECRET_ACCESS_KEY": "sk"}
    accounts = load_accounts(installation.load(environ))
    credential = accounts.credential("ak")
    assert credential is not None
    assert credential.secret == "sk"
    assert credential.account.name == "CustomAccount"
    assert credential.account.email == "customaccount1@setbyenv.com"
    assert credential.account.short_id == "123456789012"
    assert credential.account.canonical_id == (
        "12349df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47qwer"
    )
    assert len(accounts) == 1


@pytest.mark.parametrize("key", ["name", "email", "arn", "canonicalID", "shortid", "keys"])
def test_every_key_is_required(installation: Installation, key: str) -> None:
    message = refusal(installation, account(1), without(account(2), key))
    assert message == f"accounts[1].{key}: is missing"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "name: must not be empty"),
        ({"email": "nobody"}, "email: must be an e-mail address"),
        (
            {"arn": "arn:aws:iam::123456789012:user/bart"},
            "arn: must be the ARN of an account: arn:aws:iam::<12 digits>:root",
        ),
        (
            {"arn": "aws::iam:123456789012:root"},
            "arn: is of an old form; write arn:aws:iam::<12 digits>:root",
        ),
        ({"shortid": "1234"}, "shortid: must be 12 digits"),
        ({"shortid": 123456789012}, "shortid: must be a string"),
        ({"keys": {}}, "keys: must be a list"),
        ({"keys": [{"access": "a"}]}, "keys[0].secret: is missing"),
        ({"keys": [{"access": "a", "secret": ""}]}, "keys[0].secret: must not be empty"),
        ({"keys": [{"access": "a", "secret": ["hunter2"]}]}, "keys[0].secret: must be a string"),
        (
            {"keys": [{"access": "a/b", "secret": "hunter2"}]},
            "keys[0].access: must be printable ASCII without spaces, '/', ':' and ','",
        ),
        (
            {"keys": [{"acess": "a", "secret": "hunter2"}]},
            "keys[0].acess: unknown key; did you mean access?",
        ),
        ({"canonicalId": "x"}, "canonicalId: unknown key; did you mean canonicalID?"),
        (
            {"users": []},
            "users: is no longer supported: s3front users makes users (docs/access.md)",
        ),
    ],
)
def test_wrong_account_is_named_by_its_index(
    installation: Installation, changes: dict[str, Any], message: str
) -> None:
    assert refusal(installation, account(1), account(2, **changes)) == f"accounts[1].{message}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arn": account(1)["arn"]}, "arn: 'arn:aws:iam::000000000001:root'"),
        ({"email": "ACCOUNT1@example.com"}, "email: 'account1@example.com'"),
        ({"canonicalID": "canonical1"}, "canonicalID: 'canonical1'"),
        ({"shortid": account(1)["shortid"]}, "shortid: '000000000001'"),
    ],
)
def test_two_accounts_cannot_share_an_identity(
    installation: Installation, changes: dict[str, Any], message: str
) -> None:
    assert refusal(installation, account(1), account(2, **changes)) == (
        f"accounts[1].{message} is already that of accounts[0]"
    )


def test_two_keys_cannot_share_an_access_key(installation: Installation) -> None:
    keys = [{"access": "x", "secret": "1"}, {"access": "access1", "secret": "2"}]
    assert refusal(installation, account(1), account(2, keys=keys)) == (
        "accounts[1].keys[1].access: 'access1' is already that of accounts[0].keys[0]"
    )


def test_secrets_are_in_no_representation(installation: Installation) -> None:
    installation.write("conf/authdata.json", {"accounts": [account(1)]})
    accounts = load_accounts(installation.load())
    credential = accounts.credential("access1")
    assert credential is not None
    assert credential.secret == "hunter1"
    for value in (accounts, credential, credential.account):
        assert "hunter" not in repr(value) + str(value)
