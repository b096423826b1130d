"""``s3front why`` and ``s3front simulate``, and that what is simulated is what requests get."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from s3front.auth.sigv4 import AccessKey
from tests import fork_server
from tests.api.encrypting import encrypting_cluster
from tests.api.support import md5_base64, new_name
from tests.clients_boto3 import aws_client
from tests.raw_http import Response, anonymous, call
from tests.servers import Cluster, Front, wait_for

POLICY = "a-policy"


@dataclass(frozen=True)
class Stage:
    """A server, a bucket with the object ``key``, and a user without rights."""

    running: Cluster
    bucket: str
    arn: str
    key: AccessKey

    @property
    def front(self) -> Front:
        return self.running.fronts[0]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of ``s3front``."""
        variables = dict(self.front.process.environ)
        return fork_server.run("s3front", list(arguments), variables, 60)

    def allow(self, *statements: Mapping[str, Any]) -> None:
        """Give the user this policy and no other; none: none."""
        iam = aws_client("iam", self.front)
        name = self.arn.rpartition("/")[2]
        if not statements:
            iam.delete_user_policy(UserName=name, PolicyName=POLICY)
            return
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        iam.put_user_policy(UserName=name, PolicyName=POLICY, PolicyDocument=json.dumps(document))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("why")
    with encrypting_cluster(folder) as running:
        front = running.fronts[0]
        iam = aws_client("iam", front)
        user = iam.create_user(UserName="anna")["User"]
        made = iam.create_access_key(UserName="anna")["AccessKey"]
        bucket = new_name()
        assert call(front, "PUT", f"/{bucket}").status == 200
        assert call(front, "PUT", f"/{bucket}/key", b"body").status == 200
        key = AccessKey(made["AccessKeyId"], made["SecretAccessKey"])
        yield Stage(running, bucket, user["Arn"], key)


def refused_id(response: Response) -> str:
    assert response.status == 403, response.body
    return response.headers["x-amz-request-id"]


def told_of(stage: Stage, request_id: str) -> dict[str, str]:
    """What is known of a refusal, once it has been written."""
    found: list[dict[str, str]] = []

    def is_known() -> bool:
        finished = stage.run("why", request_id, "--json")
        if finished.returncode == 0:
            found.append(json.loads(finished.stdout))
        return bool(found)

    wait_for(is_known, "the reason of a refusal")
    return found[0]


def test_it_names_who_asked_for_what_and_what_decided(stage: Stage) -> None:
    denial = {
        "Sid": "NotThisOne",
        "Effect": "Deny",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{stage.bucket}/*",
    }
    stage.allow({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}, denial)
    response = call(stage.front, "GET", f"/{stage.bucket}/key", key=stage.key)
    told = told_of(stage, refused_id(response))
    assert {name: told[name] for name in told if name != "time"} == {
        "requestId": response.headers["x-amz-request-id"],
        "operation": "GetObject",
        "caller": stage.arn,
        "peer": "127.0.0.1",
        "action": "s3:GetObject",
        "resource": f"arn:aws:s3:::{stage.bucket}/key",
        "why": "policy-denies",
        "reason": "denied s3:GetObject by NotThisOne of user/anna/a-policy (identity-based policy)",
        "layer": "identity-based policy",
        "policy": "user/anna/a-policy",
        "statement": "NotThisOne",
    }
    finished = stage.run("why", response.headers["x-amz-request-id"].lower())
    assert finished.stdout.splitlines()[:3] == [
        told["reason"],
        f"who:       {stage.arn}, from 127.0.0.1",
        f"what:      GetObject: s3:GetObject on {told['resource']}",
    ]


def test_strangers_are_told_nothing_and_the_operator_is(stage: Stage) -> None:
    response = anonymous(stage.front, "GET", f"/{stage.bucket}/key")
    assert response.error["Message"] == "Access Denied"
    told = told_of(stage, refused_id(response))
    assert (told["caller"], told["why"]) == ("*", "nothing-allows")


def test_a_key_of_many_is_known_by_the_id_of_its_request(stage: Stage) -> None:
    body = b"<Delete><Object><Key>key</Key></Object></Delete>"
    headers = {"Content-MD5": md5_base64(body)}
    response = anonymous(stage.front, "POST", f"/{stage.bucket}?delete", body, headers)
    assert response.status == 200
    told = told_of(stage, response.headers["x-amz-request-id"])
    assert (told["operation"], told["action"]) == ("DeleteObjects", "s3:DeleteObject")


def test_an_id_that_is_not_known_is_said_to_be_none(stage: Stage) -> None:
    finished = stage.run("why", "0123456789ABCDEF")
    assert (finished.returncode, finished.stdout) == (1, "")
    assert "0123456789ABCDEF: no refused request is known by this ID" in finished.stderr


OPERATIONS = {
    "s3:GetObject": ("GET", "/{bucket}/key", "{bucket}/key"),
    "s3:PutObject": ("PUT", "/{bucket}/new", "{bucket}/new"),
    "s3:ListBucket": ("GET", "/{bucket}?list-type=2&prefix=k", "{bucket}"),
    "s3:GetBucketPolicy": ("GET", "/{bucket}?policy", "{bucket}"),
    "s3:GetObjectTagging": ("GET", "/{bucket}/key?tagging", "{bucket}/key"),
    "s3:ListAllMyBuckets": ("GET", "/", "*"),
}
POLICIES: dict[str, list[dict[str, Any]]] = {
    "nothing": [],
    "everything": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    "reading": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::*/key"}],
    "a prefix": [
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": "*",
            "Condition": {"StringEquals": {"s3:prefix": "k"}},
        }
    ],
    "another prefix": [
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": "*",
            "Condition": {"StringEquals": {"s3:prefix": "other"}},
        }
    ],
    "all but tags": [
        {"Effect": "Allow", "NotAction": "s3:*Tagging", "Resource": "*"},
    ],
}


@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_simulated_is_what_requests_get(stage: Stage, policy: str) -> None:
    stage.allow({"Effect": "Allow", "Action": "s3:GetBucketCORS", "Resource": "*"})
    stage.allow(*POLICIES[policy])
    names = {"bucket": stage.bucket}
    for action, (method, target, resource) in OPERATIONS.items():
        finished = stage.run(
            "simulate",
            stage.arn,
            action,
            resource.format(**names),
            "--context",
            "s3:prefix=k",
            "--json",
        )
        simulated = json.loads(finished.stdout)["allowed"]
        assert finished.returncode == (0 if simulated else 1)

        def is_so(method: str = method, target: str = target, simulated: bool = simulated) -> bool:
            sent = call(stage.front, method, target.format(**names), key=stage.key)
            return (sent.status != 403) is simulated

        # What was withdrawn a moment ago is good for a moment more.
        wait_for(is_so, f"{action} to be answered as it was simulated")


def test_a_caller_that_is_not_there_is_named(stage: Stage) -> None:
    nobody = "arn:aws:iam::123456789012:user/nobody"
    finished = stage.run("simulate", nobody, "s3:GetObject", f"{stage.bucket}/key")
    assert finished.returncode == 2
    assert "nobody" in finished.stderr
    assert "Traceback" not in finished.stderr
    finished = stage.run("simulate", "anonymous", "s3:GetObject", "no-such-bucket-x/key")
    assert (finished.returncode, "no-such-bucket-x" in finished.stderr) == (2, True)
    finished = stage.run("simulate", "anonymous", "s3:GetObject", f"{stage.bucket}/key")
    assert finished.returncode == 1
    assert finished.stdout == "refused: no policy and no grant allows it (s3:GetObject)\n"
