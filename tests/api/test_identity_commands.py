"""``s3front accounts``, ``users``, ``groups``, ``roles``, ``policies`` and ``access-keys``, as an
operator types them, while servers run."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3front.auth.sigv4 import AccessKey
from s3front.iam.records import account_key
from s3front.metadata import gateway
from s3front.rpc.rpc_client import RpcClient
from shared.records.names import IAM
from shared.rpc.envelope import METADATA_NAMESPACE
from tests.api.installation import Installation
from tests.api.sessions import ROOT, client, key_of
from tests.api.support import new_name
from tests.clients_boto3 import aws_client, s3_client
from tests.servers import Front, wait_for
from tests.unit.dmd.metadata.support import RecordingLog


def allow(*actions: str) -> str:
    """A policy."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


TRUST = json.dumps(
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


class Operator:
    """Whoever types the commands. ``front`` serves meanwhile."""

    def __init__(self, installation: Installation, front: Front) -> None:
        self.installation = installation
        self.front = front

    def run(self, *argv: str, code: int = 0) -> str:
        """What a command prints."""
        done = self.installation.run("s3front", *argv)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if code == 0 else done.stderr

    def told(self, *argv: str) -> Any:
        """The document that a command prints."""
        return json.loads(self.run(*argv, "--json"))

    def file(self, text: str) -> str:
        path = self.installation.folder / f"{new_name()}.json"
        path.write_text(text)
        return str(path)

    def client(self, key: dict[str, str]) -> Any:
        return s3_client(self.front, key["accessKeyId"], key["secretAccessKey"])


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    folder = tmp_path_factory.mktemp("identities")
    keyring = str(folder / "conf" / "keyring.json")
    installation = Installation(folder, {"encryption": {"keyringFile": keyring}})
    done = installation.run("s3front", "keys", "create")
    assert done.returncode == 0
    _, front = installation.start_both()
    yield Operator(installation, front)
    installation.stop_all()


BART = ("--account", "Bart")


def refusal(call: Any, *arguments: Any, **named: Any) -> str:
    """The code that a call is refused with."""
    with pytest.raises(ClientError) as caught:
        call(*arguments, **named)
    return str(caught.value.response["Error"]["Code"])


def test_a_user_from_nothing_to_a_key_that_reads(operator: Operator) -> None:
    bucket = new_name()
    root = s3_client(operator.front)
    root.create_bucket(Bucket=bucket)
    root.put_object(Bucket=bucket, Key="a", Body=b"1")
    operator.run("users", "create", "anna", *BART, "--path", "/staff/", "--tag", "team=blue")
    operator.run("users", "put-policy", "anna", "reads", operator.file(allow("s3:Get*")), *BART)
    key = operator.told("access-keys", "create", "--user", "anna", *BART)
    anna = operator.client(key)
    assert anna.get_object(Bucket=bucket, Key="a")["Body"].read() == b"1"
    assert refusal(anna.put_object, Bucket=bucket, Key="b", Body=b"") == "AccessDenied"
    shown = operator.told("users", "show", "anna", *BART)
    assert shown["arn"] == "arn:aws:iam::123456789012:user/staff/anna"
    assert shown["tags"] == {"team": "blue"}
    assert shown["inlinePolicies"] == ["reads"]
    assert shown["accessKeys"] == [key["accessKeyId"]]
    operator.run("users", "tag", "anna", "Team=red", "floor=2", *BART)
    operator.run("users", "untag", "anna", "FLOOR", *BART)
    assert operator.told("users", "show", "anna", *BART)["tags"] == {"Team": "red"}
    operator.run("access-keys", "update", key["accessKeyId"], "--description", "hers")
    assert operator.told("access-keys", "show", key["accessKeyId"])["description"] == "hers"
    assert json.loads(operator.run("users", "show-policy", "anna", "reads", *BART))


def test_a_key_is_disabled_enabled_rotated_and_removed(operator: Operator) -> None:
    operator.run("users", "create", "berta", *BART)
    operator.run("users", "attach", "berta", "AmazonS3FullAccess", *BART)
    key = operator.told("access-keys", "create", "--user", "berta", *BART, "--description", "ci")
    key_id = key["accessKeyId"]
    berta = operator.client(key)
    berta.list_buckets()

    operator.run("access-keys", "disable", key_id)
    wait_for(lambda: _is_refused(berta), "the key to be disabled")
    operator.run("access-keys", "enable", key_id)
    berta.list_buckets()

    second = operator.told("access-keys", "rotate", key_id, "--expires", "90d")
    assert second["expires"]
    operator.client(second).list_buckets()
    wait_for(lambda: _is_refused(berta), "the old key to be disabled")
    rows = operator.told("access-keys", "list", "--user", "berta", *BART)
    assert [(row["status"], row["description"]) for row in rows] == [
        ("Inactive", "ci"),
        ("Active", "ci"),
    ]
    assert "at most" not in operator.run("access-keys", "create", "--user", "berta", *BART, code=1)
    operator.run("access-keys", "delete", key_id)
    assert "there is no access key" in operator.run("access-keys", "show", key_id, code=1)
    operator.run("users", "delete", "berta", *BART, code=1)
    operator.run("users", "delete", "berta", *BART, "--force")
    wait_for(lambda: _is_refused(operator.client(second)), "the user to be gone")
    assert operator.told("access-keys", "list", *BART) == [
        row for row in operator.told("access-keys", "list", *BART) if row["user"] != "berta"
    ]


def _is_refused(client: Any) -> bool:
    """Whether the key is one that there is not."""
    return _refused_with(client) == "InvalidAccessKeyId"


def _denied(client: Any) -> bool:
    return _refused_with(client) == "AccessDenied"


def _refused_with(client: Any) -> str | None:
    try:
        client.list_buckets()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return None


def test_the_secret_of_a_key_is_shown_once_and_stands_nowhere(operator: Operator) -> None:
    operator.run("users", "create", "carla", *BART)
    text = operator.run("access-keys", "create", "--user", "carla", *BART)
    lines = dict(line.split(": ") for line in text.splitlines() if ": " in line)
    secret, key_id = lines["secret key"], lines["access key"]
    for shown in (
        operator.run("access-keys", "show", key_id),
        operator.run("access-keys", "list", *BART),
        operator.run("users", "show", "carla", *BART),
    ):
        assert secret not in shown
    for path in operator.installation.metadata.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes()


def test_a_key_from_elsewhere_is_brought_along(operator: Operator) -> None:
    operator.run("users", "create", "dora", *BART)
    operator.run("users", "attach", "dora", "AmazonS3ReadOnlyAccess", *BART)
    argv = ["access-keys", "create", "--user", "dora", *BART, "--access-key", "OLDKEY0123456789"]
    done = subprocess.run(
        [sys.executable, "-m", "s3front", *argv],
        env=operator.installation.environ,
        input="the-old-secret\n",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    key = {"accessKeyId": "OLDKEY0123456789", "secretAccessKey": "the-old-secret"}
    operator.client(key).list_buckets()


def test_groups_give_their_members_what_they_have(operator: Operator) -> None:
    operator.run("users", "create", "emil", *BART)
    key = operator.told("access-keys", "create", "--user", "emil", *BART)
    emil = operator.client(key)
    assert refusal(emil.list_buckets) == "AccessDenied"
    operator.run("groups", "create", "readers", *BART)
    operator.run("groups", "attach", "readers", "AmazonS3ReadOnlyAccess", *BART)
    operator.run("groups", "add", "readers", "emil", *BART)
    emil.list_buckets()
    assert operator.told("groups", "show", "readers", *BART)["members"] == ["emil"]
    assert operator.told("users", "show", "emil", *BART)["groups"] == ["readers"]
    operator.run("groups", "remove", "readers", "emil", *BART)
    wait_for(lambda: _denied(emil), "the member to be gone")
    operator.run("groups", "detach", "readers", "AmazonS3ReadOnlyAccess", *BART)
    operator.run("groups", "update", "readers", "--new-name", "Leser", *BART)
    assert "leser" in operator.run("groups", "list", *BART).lower()
    operator.run("groups", "delete", "leser", *BART)


def test_policies_have_versions(operator: Operator) -> None:
    operator.run("policies", "create", "p", operator.file(allow("s3:Get*")), *BART)
    operator.run("users", "create", "fritz", *BART)
    operator.run("users", "attach", "fritz", "p", *BART)
    for number in range(2, 8):
        text = operator.run("policies", "put", "p", operator.file(allow(f"s3:A{number}")), *BART)
        assert f"version v{number} of" in text
    shown = operator.told("policies", "show", "p", *BART)
    assert shown["versions"] == ["v3", "v4", "v5", "v6", "v7"]
    assert json.loads(shown["policy"])["Statement"][0]["Action"] == ["s3:A7"]
    assert shown["attachedTo"] == ["user/fritz"]
    operator.run("policies", "use", "p", "v3", *BART)
    operator.run("policies", "delete-version", "p", "v3", *BART, code=1)
    operator.run("policies", "delete-version", "p", "v4", *BART)
    assert "attached" in operator.run("policies", "delete", "p", *BART, code=1)
    operator.run("users", "detach", "fritz", "p", *BART)
    operator.run("users", "boundary", "fritz", "p", *BART)
    operator.run("policies", "delete", "p", *BART, code=1)
    operator.run("users", "boundary", "fritz", "--remove", *BART)
    operator.run("policies", "delete", "p", *BART)
    assert "AdministratorAccess" in operator.run("policies", "list", "--aws")
    bad = operator.run("policies", "create", "q", operator.file("{"), *BART, code=1)
    assert "Syntax errors in policy." in bad


def test_roles_are_made_and_removed(operator: Operator) -> None:
    operator.run("roles", "create", "r", "--trust", operator.file(TRUST), *BART)
    operator.run("roles", "put-policy", "r", "reads", operator.file(allow("s3:Get*")), *BART)
    operator.run("roles", "trust", "r", operator.file(TRUST), *BART)
    operator.run("roles", "revoke-sessions", "r", *BART)
    shown = operator.told("roles", "show", "r", *BART)
    assert shown["sessionsRevokedBefore"]
    assert json.loads(shown["trustPolicy"]) == json.loads(TRUST)
    operator.run("roles", "delete", "r", *BART, code=1)
    operator.run("roles", "delete-policy", "r", "reads", *BART)
    operator.run("roles", "delete", "r", *BART)
    assert operator.told("roles", "list", *BART) == []


def test_session_tokens_get_another_key(operator: Operator) -> None:
    def is_good(session: AccessKey) -> bool:
        try:
            client(operator.front, "s3", session).list_buckets()
        except ClientError as error:
            return bool(error.response["Error"]["Code"] != "InvalidToken")
        return True

    sts = client(operator.front, "sts", ROOT)
    first = key_of(sts.get_session_token())
    assert "1 before it" in operator.run("access-keys", "replace-session-key")
    second = key_of(sts.get_session_token())
    assert is_good(first)
    assert is_good(second)
    operator.run("access-keys", "replace-session-key", "--end-sessions")
    wait_for(lambda: not is_good(first) and not is_good(second), "the end of all sessions")
    assert is_good(key_of(sts.get_session_token()))


def test_an_account_from_its_making_to_its_end(operator: Operator) -> None:
    account = operator.told("accounts", "create", "Partner", "--email", "p@example.org")
    operator.run("accounts", "alias", "Partner", "partner-shop")
    key = operator.told("access-keys", "create", "--account", "partner-shop")
    partner = operator.client(key)
    bucket = new_name()
    partner.create_bucket(Bucket=bucket)
    assert refusal(s3_client(operator.front).list_objects, Bucket=bucket) == "AccessDenied"

    operator.run("accounts", "suspend", account["id"])
    wait_for(lambda: _denied(partner), "the account to be suspended")
    operator.run("accounts", "activate", account["canonicalId"])
    wait_for(lambda: not _denied(partner), "the account to be active")

    operator.run("accounts", "block-public-access", "Partner")
    assert operator.told("accounts", "show", "Partner")["publicAccessBlock"]["BlockPublicAcls"]
    operator.run("accounts", "block-public-access", "Partner", "--off")
    operator.run("accounts", "update", "Partner", "--name", "Partners")
    operator.run("access-keys", "delete", key["accessKeyId"])
    assert "buckets" in operator.run("accounts", "delete", "Partners", code=1)
    other = operator.told("access-keys", "create", "--account", "Partners")
    operator.client(other).delete_bucket(Bucket=bucket)
    operator.run("access-keys", "delete", other["accessKeyId"])
    operator.run("accounts", "delete", "Partners")
    assert "Partners" not in operator.run("accounts", "list")


def test_a_bucket_of_an_account_that_has_just_been_removed(operator: Operator) -> None:
    """By another front-end, of which this one has not heard."""
    account = operator.told("accounts", "create", "Brief", "--email", "b@example.org")
    key = operator.told("access-keys", "create", "--account", "Brief")
    brief = operator.client(key)
    brief.create_bucket(Bucket=new_name())

    async def forget() -> None:
        url = f"http://127.0.0.1:{operator.installation.metadata_port}"
        rpc = RpcClient(url, METADATA_NAMESPACE, RecordingLog())
        rpc.start()
        gone = gateway.delete(IAM, account_key(account["id"]))
        await gateway.MetadataGateway(rpc).commit([gone], [], "test")
        await rpc.close()

    asyncio.run(forget())
    name = new_name()
    assert refusal(brief.create_bucket, Bucket=name) == "OperationAborted"
    assert refusal(s3_client(operator.front).head_bucket, Bucket=name) == "404"


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("accounts", "delete", "Bart"), "one of the configuration"),
        (("accounts", "suspend", "Nobody"), "there is no account Nobody"),
        (("users", "list"), "say which by --account"),
        (("users", "show", "nobody", *BART), "cannot be found"),
        (("access-keys", "disable", "accessKey1"), "one of the configuration"),
        (("access-keys", "create", "--user", "nobody", *BART), "cannot be found"),
    ],
)
def test_what_cannot_be_done_is_said(operator: Operator, argv: tuple[str, ...], says: str) -> None:
    assert says in operator.run(*argv, code=1)


@pytest.mark.parametrize(
    "argv",
    [
        ("users", "create", "x", *BART, "--tag", "nothing"),
        ("users", "boundary", "x", *BART),
        ("access-keys", "create", *BART, "--expires", "soon"),
        ("access-keys", "create", *BART, "--expires", "0d"),
        ("access-keys", "create", *BART, "--expires", "2020-01-31T12:00Z"),
        ("accounts", "alias", "Bart"),
        ("policies", "create", "x", "/no/such/file", *BART),
    ],
)
def test_command_lines_that_make_no_sense(operator: Operator, argv: tuple[str, ...]) -> None:
    operator.run(*argv, code=2)


def test_without_a_master_key_no_key_is_made(tmp_path: Path) -> None:
    keyring = str(tmp_path / "conf" / "keyring.json")
    installation = Installation(tmp_path, {"encryption": {"keyringFile": keyring}})
    try:
        _, front = installation.start_both()
        iam = aws_client("iam", front)
        iam.create_user(UserName="a")
        done = installation.run("s3front", "access-keys", "create", "--user", "a", *BART)
        assert done.returncode == 1
        assert "s3front keys create" in done.stderr
        with pytest.raises(ClientError, match="s3front keys create"):
            iam.create_access_key(UserName="a")
        assert installation.run("s3front", "keys", "create").returncode == 0
        iam.create_access_key(UserName="a")
        done = installation.run("s3front", "access-keys", "create", "--user", "a", *BART)
        assert done.returncode == 0, done.stderr
    finally:
        installation.stop_all()


def test_in_memory_there_is_a_master_key(tmp_path: Path) -> None:
    installation = Installation(tmp_path, environ={"S3BACKEND": "mem"})
    try:
        process = installation.start("s3front", "start", "--workers", "1")
        front = Front(process, installation.port)
        front.wait()
        iam = aws_client("iam", front)
        iam.create_user(UserName="a")
        iam.attach_user_policy(UserName="a", PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")
        key = iam.create_access_key(UserName="a")["AccessKey"]
        s3_client(front, key["AccessKeyId"], key["SecretAccessKey"]).list_buckets()
        done = installation.run("s3front", "users", "list", *BART)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
    finally:
        installation.stop_all()


def test_without_the_daemon_it_is_said_that_it_does_not_answer(tmp_path: Path) -> None:
    done = Installation(tmp_path).run("s3front", "users", "list", *BART)
    assert done.returncode == 2
    assert "does not answer" in done.stderr
