"""Users, their keys and what they may, by boto3 against real front-ends: what one of them was told
the others know when they are asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.clients_boto3 import s3_client
from tests.keyrings import encrypting
from tests.servers import (
    ACCESS_KEY,
    OTHER_ACCESS_KEY,
    OTHER_SECRET_KEY,
    REGION,
    SECRET_KEY,
    Cluster,
    Front,
    cluster,
    wait_for,
)

READING = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:ListBucket"],
                "Resource": ["arn:aws:s3:::reports", "arn:aws:s3:::reports/*"],
            }
        ],
    }
)


def query_client(
    front: Front, service: str, key: str = ACCESS_KEY, secret: str = SECRET_KEY
) -> Any:
    """boto3's client of IAM or STS."""
    return boto3.client(
        service,
        endpoint_url=front.url,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name=REGION,
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture(scope="module")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two front-ends that have a master key."""
    folder = tmp_path_factory.mktemp("iam")
    settings = encrypting(folder / "keyring")
    settings["globalEncryptionEnabled"] = False
    with cluster(folder, 2, settings=settings) as running:
        s3_client(running.fronts[0]).create_bucket(Bucket="reports")
        s3_client(running.fronts[0]).put_object(Bucket="reports", Key="a", Body=b"all well")
        yield running


@pytest.fixture
def iam(fronts: Cluster) -> Any:
    return query_client(fronts.fronts[0], "iam")


@pytest.fixture
def other_iam(fronts: Cluster) -> Any:
    return query_client(fronts.fronts[1], "iam")


def code_of(call: Any, **parameters: Any) -> str:
    """The code that a call is refused with."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Code"])


def test_a_user_from_the_first_day_to_the_last(fronts: Cluster, iam: Any, other_iam: Any) -> None:
    first, second = fronts.fronts
    user = iam.create_user(UserName="anna", Path="/staff/")["User"]
    key = other_iam.create_access_key(UserName="anna")["AccessKey"]
    pair = key["AccessKeyId"], key["SecretAccessKey"]
    told = query_client(first, "sts", *pair).get_caller_identity()
    assert (told["UserId"], told["Arn"]) == (user["UserId"], user["Arn"])
    anna = s3_client(first, *pair)
    assert code_of(anna.get_object, Bucket="reports", Key="a") == "AccessDenied"
    other_iam.put_user_policy(UserName="anna", PolicyName="reading", PolicyDocument=READING)
    assert anna.get_object(Bucket="reports", Key="a")["Body"].read() == b"all well"
    assert code_of(anna.put_object, Bucket="reports", Key="b") == "AccessDenied"
    assert code_of(query_client(second, "iam", *pair).list_users) == "AccessDenied"
    iam.update_access_key(UserName="anna", AccessKeyId=pair[0], Status="Inactive")
    there = s3_client(second, *pair)
    wait_for(lambda: _is_refused(there), "the key to be refused", 1.0)
    iam.delete_access_key(UserName="anna", AccessKeyId=pair[0])
    iam.delete_user_policy(UserName="anna", PolicyName="reading")
    iam.delete_user(UserName="anna")
    assert code_of(other_iam.get_user, UserName="anna") == "NoSuchEntity"


def _is_refused(s3: Any) -> bool:
    try:
        s3.get_object(Bucket="reports", Key="a")
    except ClientError as error:
        return bool(error.response["Error"]["Code"] == "InvalidAccessKeyId")
    return False


def test_each_front_end_shows_what_another_was_told(iam: Any, other_iam: Any) -> None:
    for number in range(20):
        iam.create_group(GroupName=f"group{number}")
        assert other_iam.get_group(GroupName=f"group{number}")["Users"] == []
        other_iam.delete_group(GroupName=f"group{number}")
        assert code_of(iam.get_group, GroupName=f"group{number}") == "NoSuchEntity"


def test_paginators(iam: Any) -> None:
    for number in range(7):
        iam.create_role(RoleName=f"r{number}", AssumeRolePolicyDocument=_TRUST)
    pages = list(iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 3}))
    assert [len(page["Roles"]) for page in pages] == [3, 3, 1]
    for number in range(7):
        iam.delete_role(RoleName=f"r{number}")


_TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)


def test_documents_come_back_as_they_went(iam: Any) -> None:
    odd = READING.replace("reports", "a b+c%26é")
    made = iam.create_policy(PolicyName="odd", PolicyDocument=odd, Description="é & <x>")
    arn = made["Policy"]["Arn"]
    found = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
    assert found["Document"] == json.loads(odd)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["Description"] == "é & <x>"
    iam.delete_policy(PolicyArn=arn)


def test_what_is_no_policy_is_refused_as_aws_does(iam: Any) -> None:
    for document in ("{", "[]", '{"Version":"2012-10-17"}', "{" * 60_000, '{"a":1,"a":2}'):
        code = code_of(iam.create_policy, PolicyName="bad", PolicyDocument=document)
        assert code == "MalformedPolicyDocument", document[:30]


def test_accounts_do_not_see_each_other(fronts: Cluster, iam: Any) -> None:
    iam.create_user(UserName="secret")
    other = query_client(fronts.fronts[0], "iam", OTHER_ACCESS_KEY, OTHER_SECRET_KEY)
    assert other.list_users()["Users"] == []
    assert code_of(other.get_user, UserName="secret") == "NoSuchEntity"
    iam.delete_user(UserName="secret")


def test_many_change_at_once(iam: Any, other_iam: Any) -> None:
    """None of the changes is lost."""
    with ThreadPoolExecutor(8) as pool:
        made = [
            pool.submit((iam, other_iam)[number % 2].create_user, UserName=f"many{number}")
            for number in range(40)
        ]
        for future in made:
            future.result()
    names = {user["UserName"] for user in iam.list_users()["Users"]}
    assert {f"many{number}" for number in range(40)} <= names
    for number in range(40):
        iam.delete_user(UserName=f"many{number}")


def test_without_the_daemon_calls_are_unavailable(fronts: Cluster, iam: Any) -> None:
    """And nothing is decided on what was known before."""
    fronts.dmd_metadata.kill()
    try:
        assert code_of(iam.list_users) in ("ServiceUnavailable", "InternalFailure")
    finally:
        fronts.start_daemons()
        for front in fronts.fronts:
            wait_for(lambda front=front: _answers(front), "a front-end to be connected")  # type: ignore[misc]


def _answers(front: Front) -> bool:
    try:
        query_client(front, "iam").list_users()
    except ClientError:
        return False
    return True
