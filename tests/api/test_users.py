"""A user signs as an account does, in every way there is, and acts for the account."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from tests.api.encrypting import encrypting_cluster
from tests.api.support import CANONICAL_ID, body_of, new_name
from tests.clients_boto3 import aws_client, s3_client
from tests.servers import Front


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with encrypting_cluster(tmp_path_factory.mktemp("users")) as running:
        yield running.fronts[0]


class Member:
    """A user who may do everything in buckets whose names begin with the user's."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self.name = new_name()
        iam = aws_client("iam", front)
        iam.create_user(UserName=self.name)
        statements = [
            {
                "Effect": "Allow",
                "Action": "s3:*",
                "Resource": ["arn:aws:s3:::${aws:username}*", "arn:aws:s3:::${aws:username}*/*"],
            }
        ]
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=self.name, PolicyName="own", PolicyDocument=document)
        self.key = iam.create_access_key(UserName=self.name)["AccessKey"]
        self.s3 = self.client()

    def client(self, secret: str = "", **settings: Any) -> Any:
        secret = secret or self.key["SecretAccessKey"]
        return s3_client(self.front, self.key["AccessKeyId"], secret, **settings)


@pytest.fixture(scope="module")
def member(front: Front) -> Member:
    made = Member(front)
    made.s3.create_bucket(Bucket=made.name)
    made.s3.put_object(Bucket=made.name, Key="key", Body=b"body")
    return made


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_headers_and_urls_are_signed_by_both_versions(member: Member, version: str) -> None:
    s3 = member.client(signature_version=version)
    assert body_of(s3, member.name, "key") == b"body"
    where = {"Bucket": member.name, "Key": "key"}
    url = s3.generate_presigned_url("get_object", Params=where)
    assert requests.get(url, timeout=20).content == b"body"
    elsewhere = s3.generate_presigned_url("get_object", Params={**where, "Bucket": "elsewhere"})
    assert requests.get(elsewhere, timeout=20).status_code in (403, 404)


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_forms_are_signed_by_both_versions(member: Member, version: str) -> None:
    s3 = member.client(signature_version=version)
    form = s3.generate_presigned_post(member.name, f"form-{version}")
    sent = requests.post(form["url"], data=form["fields"], files={"file": b"sent"}, timeout=20)
    assert sent.status_code == 204
    assert body_of(s3, member.name, f"form-{version}") == b"sent"


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_a_wrong_secret_is_no_other_answer_than_of_an_account(member: Member, version: str) -> None:
    s3 = member.client("not-the-secret", signature_version=version)
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=member.name, Key="key")
    assert caught.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


def test_what_a_user_makes_belongs_to_the_account(front: Front, member: Member) -> None:
    root = s3_client(front)
    assert member.name in [each["Name"] for each in root.list_buckets()["Buckets"]]
    (entry,) = (
        each
        for each in root.list_objects_v2(Bucket=member.name, FetchOwner=True)["Contents"]
        if each["Key"] == "key"
    )
    assert entry["Owner"]["ID"] == CANONICAL_ID
    assert body_of(root, member.name, "key") == b"body"


def test_a_user_uploads_in_parts(member: Member) -> None:
    where = {"Bucket": member.name, "Key": "parts"}
    upload = member.s3.create_multipart_upload(**where)["UploadId"]
    part = member.s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"part")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    member.s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload=parts)
    assert body_of(member.s3, member.name, "parts") == b"part"


def test_users_of_one_account_are_kept_apart(front: Front, member: Member) -> None:
    other = Member(front)
    for call, more in (
        (other.s3.get_object, {"Key": "key"}),
        (other.s3.put_object, {"Key": "key", "Body": b""}),
        (other.s3.list_objects_v2, {}),
        (other.s3.delete_bucket, {}),
    ):
        with pytest.raises(ClientError) as caught:
            call(Bucket=member.name, **more)
        assert caught.value.response["Error"]["Code"] == "AccessDenied"


def test_a_user_of_the_same_name_is_another_one(front: Front) -> None:
    first = Member(front)
    iam = aws_client("iam", front)
    iam.delete_access_key(UserName=first.name, AccessKeyId=first.key["AccessKeyId"])
    iam.delete_user_policy(UserName=first.name, PolicyName="own")
    before = iam.get_user(UserName=first.name)["User"]["UserId"]
    iam.delete_user(UserName=first.name)
    iam.create_user(UserName=first.name)
    assert iam.get_user(UserName=first.name)["User"]["UserId"] != before
    with pytest.raises(ClientError) as caught:
        first.s3.list_buckets()
    assert caught.value.response["Error"]["Code"] == "InvalidAccessKeyId"


def test_a_policy_means_its_user_under_another_name(front: Front) -> None:
    member, owner = Member(front), s3_client(front)
    bucket = new_name()
    owner.create_bucket(Bucket=bucket)
    iam = aws_client("iam", front)
    user = iam.get_user(UserName=member.name)["User"]
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": user["Arn"]},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    document = {"Version": "2012-10-17", "Statement": [statement]}
    owner.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
    renamed = new_name()
    iam.update_user(UserName=member.name, NewUserName=renamed, NewPath="/board/")
    member.s3.put_object(Bucket=bucket, Key="key", Body=b"body")
    shown = json.loads(owner.get_bucket_policy(Bucket=bucket)["Policy"])
    present = iam.get_user(UserName=renamed)["User"]["Arn"]
    assert present.endswith(f":user/board/{renamed}")
    assert shown == {**document, "Statement": [{**statement, "Principal": {"AWS": present}}]}
