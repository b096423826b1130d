"""aws-cli: identities, their policies and keys, temporary credentials, and what they may."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.awscli import AwsCli
from tests.clients_boto3 import s3_client
from tests.keyrings import encrypting
from tests.servers import Front, cluster


@dataclass(frozen=True)
class Aws(AwsCli):
    """``aws`` as whoever has a key; ``pair`` None: as the first account."""

    pair: tuple[str, ...] | None = None

    @property
    def settings(self) -> dict[str, str]:
        settings = super().settings
        if self.pair is not None:
            names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
            settings |= dict(zip(names, self.pair, strict=False))
        return settings

    def iam(self, *arguments: str) -> Any:
        return self.run("iam", *arguments).document

    def sts(self, *arguments: str) -> Any:
        return self.run("sts", *arguments).document

    def as_(self, *pair: str) -> Aws:
        """The same program as somebody else."""
        return Aws(self.front, self.folder, pair=pair)

    def refused(self, *arguments: str) -> str:
        """What a command says that is refused."""
        finished = self.try_(*arguments)
        assert finished.code != 0, finished.output
        return finished.errors


@pytest.fixture(scope="module")
def keyed_front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """A front-end that can keep secrets."""
    folder = tmp_path_factory.mktemp("keyed")
    settings = {**encrypting(folder / "keyring"), "globalEncryptionEnabled": False}
    with cluster(folder, settings=settings) as running:
        yield running.fronts[0]


@pytest.fixture(scope="module")
def aws(keyed_front: Front, tmp_path_factory: pytest.TempPathFactory) -> Aws:
    s3 = s3_client(keyed_front)
    s3.create_bucket(Bucket="reports")
    s3.put_object(Bucket="reports", Key="a", Body=b"all well")
    return Aws(keyed_front, tmp_path_factory.mktemp("aws"))


def policy(folder: Path, *actions: str, principal: str | None = None) -> str:
    """The argument for a policy, which is in a file, as people have it."""
    statement: dict[str, Any] = {"Effect": "Allow", "Action": list(actions)}
    if principal is None:
        statement["Resource"] = "*"
    else:
        statement["Principal"] = {"AWS": principal}
    path = folder / "policy.json"
    path.write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=2))
    return f"file://{path}"


def test_who_asks(aws: Aws) -> None:
    told = aws.sts("get-caller-identity")
    assert told["Arn"] == "arn:aws:iam::123456789012:root"


def test_a_user_with_a_key_in_a_group(aws: Aws) -> None:
    user = aws.iam("create-user", "--user-name", "anna", "--tags", "Key=team,Value=x")["User"]
    key = aws.iam("create-access-key", "--user-name", "anna")["AccessKey"]
    anna = aws.as_(key["AccessKeyId"], key["SecretAccessKey"])
    assert anna.sts("get-caller-identity")["UserId"] == user["UserId"]
    said = anna.refused("s3", "cp", "s3://reports/a", "-")
    assert "Forbidden" in said or "AccessDenied" in said
    aws.iam("create-group", "--group-name", "readers")
    document = policy(aws.folder, "s3:GetObject")
    inline = ("--policy-name", "reading", "--policy-document", document)
    aws.iam("put-group-policy", "--group-name", "readers", *inline)
    aws.iam("add-user-to-group", "--group-name", "readers", "--user-name", "anna")
    assert anna.s3("cp", "s3://reports/a", "-") == "all well"
    assert "iam:ListUsers" in anna.refused("iam", "list-users")
    listed = aws.iam("list-groups-for-user", "--user-name", "anna")["Groups"]
    assert [group["GroupName"] for group in listed] == ["readers"]
    shown = aws.iam("get-group-policy", "--group-name", "readers", "--policy-name", "reading")
    assert shown["PolicyDocument"]["Statement"][0]["Action"] == ["s3:GetObject"]
    named = ("--user-name", "anna", "--access-key-id", key["AccessKeyId"])
    aws.iam("update-access-key", *named, "--status", "Inactive")
    assert "InvalidClientTokenId" in anna.refused("sts", "get-caller-identity")
    aws.iam("delete-access-key", *named)
    aws.iam("remove-user-from-group", "--group-name", "readers", "--user-name", "anna")
    aws.iam("delete-user", "--user-name", "anna")
    assert "NoSuchEntity" in aws.refused("iam", "get-user", "--user-name", "anna")


def test_a_policy_and_its_versions(aws: Aws) -> None:
    document = policy(aws.folder, "s3:GetObject")
    made = aws.iam("create-policy", "--policy-name", "p", "--policy-document", document)
    arn = ("--policy-arn", made["Policy"]["Arn"])
    document = policy(aws.folder, "s3:*")
    aws.iam("create-policy-version", *arn, "--policy-document", document, "--set-as-default")
    aws.iam("create-user", "--user-name", "ben")
    aws.iam("attach-user-policy", *arn, "--user-name", "ben")
    simulated = aws.iam(
        *("simulate-principal-policy", "--action-names", "s3:PutObject", "iam:GetUser"),
        *("--policy-source-arn", "arn:aws:iam::123456789012:user/ben"),
    )
    assert [each["EvalDecision"] for each in simulated["EvaluationResults"]] == [
        "allowed",
        "implicitDeny",
    ]
    assert "DeleteConflict" in aws.refused("iam", "delete-policy", *arn)
    aws.iam("detach-user-policy", *arn, "--user-name", "ben")
    aws.iam("delete-policy-version", *arn, "--version-id", "v1")
    aws.iam("delete-policy", *arn)
    aws.iam("delete-user", "--user-name", "ben")
    names = {entry["PolicyName"] for entry in aws.iam("list-policies")["Policies"]}
    assert "AmazonS3ReadOnlyAccess" in names
    assert aws.iam("list-policies", "--scope", "Local")["Policies"] == []


def test_a_role_is_taken_on(aws: Aws) -> None:
    trust = policy(aws.folder, "sts:AssumeRole", principal="arn:aws:iam::123456789012:root")
    role = aws.iam("create-role", "--role-name", "r", "--assume-role-policy-document", trust)
    document = policy(aws.folder, "s3:GetObject")
    inline = ("--policy-name", "reading", "--policy-document", document)
    aws.iam("put-role-policy", "--role-name", "r", *inline)
    aws.iam("create-user", "--user-name", "carl")
    document = policy(aws.folder, "sts:AssumeRole")
    inline = ("--policy-name", "roles", "--policy-document", document)
    aws.iam("put-user-policy", "--user-name", "carl", *inline)
    key = aws.iam("create-access-key", "--user-name", "carl")["AccessKey"]
    carl = aws.as_(key["AccessKeyId"], key["SecretAccessKey"])
    given = carl.sts(
        *("assume-role", "--role-arn", role["Role"]["Arn"], "--role-session-name", "night")
    )["Credentials"]
    session = aws.as_(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    assert session.sts("get-caller-identity")["Arn"].endswith(":assumed-role/r/night")
    assert session.s3("cp", "s3://reports/a", "-") == "all well"
    assert "AccessDenied" in session.refused(
        "s3api", "put-object", "--bucket", "reports", "--key", "b"
    )
    aws.iam("delete-role-policy", "--role-name", "r", "--policy-name", "reading")
    session.refused("s3", "cp", "s3://reports/a", "-")


def test_an_account_as_a_whole(aws: Aws) -> None:
    assert aws.iam("get-account-summary")["SummaryMap"]["UsersQuota"] == 10_000
    aws.iam("create-account-alias", "--account-alias", "springfield")
    assert aws.iam("list-account-aliases")["AccountAliases"] == ["springfield"]
    aws.iam("delete-account-alias", "--account-alias", "springfield")
    assert "UserDetailList" in aws.iam("get-account-authorization-details")
