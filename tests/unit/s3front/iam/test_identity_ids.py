from __future__ import annotations

import re

import pytest

from s3front.iam.iam_errors import IamError
from s3front.iam.identity_ids import (
    USER_PREFIX,
    account_of_access_key,
    identity_arn,
    new_access_key_id,
    new_account_id,
    new_canonical_id,
    new_id,
    new_secret,
    parsed_arn,
)


def test_unique_ids_have_the_form_of_those_of_aws() -> None:
    assert re.fullmatch(r"AIDA[A-Z2-7]{17}", new_id(USER_PREFIX))
    assert re.fullmatch(r"AKIA[A-Z2-7]{16}", new_access_key_id("123456789012"))
    assert re.fullmatch(r"[A-Za-z0-9+/]{40}", new_secret())
    assert re.fullmatch(r"[1-9][0-9]{11}", new_account_id())
    assert re.fullmatch(r"[0-9a-f]{64}", new_canonical_id())


@pytest.mark.parametrize("account", ["000000000000", "123456789012", "999999999999"])
def test_an_access_key_tells_its_account(account: str) -> None:
    assert account_of_access_key(new_access_key_id(account)) == account


def test_an_access_key_of_aws_tells_the_account_that_aws_says() -> None:
    assert account_of_access_key("ASIAY34FZKBOKMUTVV7A") == "609629065308"


@pytest.mark.parametrize("key", ["", "accessKey1", "AKIA", "AKIAAAAAAAAAAAAAAAAA", "AKIA1111"])
def test_other_access_keys_tell_none(key: str) -> None:
    assert account_of_access_key(key) is None


def test_an_arn_has_the_path() -> None:
    arn = identity_arn("123456789012", "policy", "/a/b/", "Reads")
    assert arn == "arn:aws:iam::123456789012:policy/a/b/Reads"
    assert parsed_arn(arn, "policy") == ("123456789012", "Reads")


@pytest.mark.parametrize(
    "arn",
    ["", "policy", "arn:aws:iam::1:policy/a", "arn:aws:iam::123456789012:user/a", "arn:aws:s3:::a"],
)
def test_what_is_no_arn_of_a_policy_is_refused(arn: str) -> None:
    with pytest.raises(IamError) as caught:
        parsed_arn(arn, "policy")
    assert caught.value.code == "InvalidInput"
