"""What is withdrawn from a user is withdrawn at every front-end, while all of them are busy; what
is given is given at once."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shared.records.names import IAM_LAST_USED
from tests.api.encrypting import encrypting_cluster
from tests.api.support import new_name
from tests.clients_boto3 import aws_client, s3_client
from tests.faults.proxy import front_behind_proxies
from tests.faults.stores import stored_records
from tests.servers import Cluster, Front, wait_for

SOAK = bool(os.environ.get("TWOFOLD_SOAK"))
FRONTS = 3
ROUNDS = 20 if SOAK else 1
SECONDS_MAX = 1.0 if SOAK else 10.0
"""How long something that was withdrawn may be good. What is promised is a second; machines that
run several tests at once are given more."""

BUSY_THREADS = 2
"""Of each front-end, besides the one that tries what was withdrawn."""


def allow(*actions: str) -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with encrypting_cluster(tmp_path_factory.mktemp("revocation"), FRONTS) as started:
        yield started


class Stage:
    """A bucket with an object, and a user who may read it."""

    def __init__(self, running: Cluster) -> None:
        self.fronts = running.fronts
        self.iam = aws_client("iam", running.fronts[0])
        self.bucket, self.user = new_name(), new_name()
        root = s3_client(running.fronts[0])
        root.create_bucket(Bucket=self.bucket)
        root.put_object(Bucket=self.bucket, Key="key", Body=b"body")
        self.iam.create_user(UserName=self.user)
        self.iam.put_user_policy(
            UserName=self.user, PolicyName="reads", PolicyDocument=allow("s3:Get*")
        )
        self.key = self.iam.create_access_key(UserName=self.user)["AccessKey"]

    def client(self, front: Front) -> Any:
        return s3_client(front, self.key["AccessKeyId"], self.key["SecretAccessKey"])


class Readers:
    """One thread a front-end reads as the user until it is refused, and others as the account."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._stopped = threading.Event()
        self.read = [0] * FRONTS
        self.last_success = [0.0] * FRONTS
        """When the last read that succeeded was sent."""
        self.refused_with: list[str | None] = [None] * FRONTS
        self.problems: list[str] = []
        self._threads = [
            threading.Thread(target=self._read_as_user, args=(number,)) for number in range(FRONTS)
        ]
        self._threads += [
            threading.Thread(target=self._keep_busy, args=(front,))
            for front in stage.fronts
            for _ in range(BUSY_THREADS)
        ]

    @contextmanager
    def reading(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            wait_for(lambda: min(self.read) > 2, "all front-ends to let the user read")
            yield
        finally:
            self._stopped.set()
            for thread in self._threads:
                thread.join()

    def _read_as_user(self, number: int) -> None:
        client = self._stage.client(self._stage.fronts[number])
        while not self._stopped.is_set():
            sent = time.monotonic()
            try:
                client.get_object(Bucket=self._stage.bucket, Key="key")["Body"].read()
            except ClientError as error:
                self.refused_with[number] = str(error.response["Error"]["Code"])
                return
            self.read[number] += 1
            self.last_success[number] = sent

    def _keep_busy(self, front: Front) -> None:
        client, number = s3_client(front), 0
        while not self._stopped.is_set():
            number += 1
            try:
                client.put_object(Bucket=self._stage.bucket, Key=f"k{number % 5}", Body=b"x")
                client.list_objects_v2(Bucket=self._stage.bucket)
            except ClientError as error:
                self.problems.append(str(error))


def _disable_key(stage: Stage) -> None:
    stage.iam.update_access_key(
        UserName=stage.user, AccessKeyId=stage.key["AccessKeyId"], Status="Inactive"
    )


def _delete_key(stage: Stage) -> None:
    stage.iam.delete_access_key(UserName=stage.user, AccessKeyId=stage.key["AccessKeyId"])


def _delete_user(stage: Stage) -> None:
    stage.iam.delete_user_policy(UserName=stage.user, PolicyName="reads")
    _delete_key(stage)
    stage.iam.delete_user(UserName=stage.user)


def _change_policy(stage: Stage) -> None:
    stage.iam.put_user_policy(
        UserName=stage.user, PolicyName="reads", PolicyDocument=allow("s3:List*")
    )


def _give_boundary(stage: Stage) -> None:
    stage.iam.put_user_permissions_boundary(
        UserName=stage.user, PermissionsBoundary="arn:aws:iam::aws:policy/IAMReadOnlyAccess"
    )


@pytest.mark.parametrize(
    ("withdraw", "codes"),
    [
        (_disable_key, {"InvalidAccessKeyId"}),
        (_delete_key, {"InvalidAccessKeyId"}),
        (_delete_user, {"InvalidAccessKeyId", "AccessDenied"}),
        (_change_policy, {"AccessDenied"}),
        (_give_boundary, {"AccessDenied"}),
    ],
)
def test_every_front_end_refuses_what_was_withdrawn(
    running: Cluster, withdraw: Callable[[Stage], None], codes: set[str]
) -> None:
    longest = 0.0
    for _ in range(ROUNDS):
        stage = Stage(running)
        readers = Readers(stage)
        with readers.reading():
            withdraw(stage)
            withdrawn = time.monotonic()
            wait_for(lambda r=readers: all(r.refused_with), "the user to be refused")  # type: ignore[misc]
        assert set(readers.refused_with) <= codes
        assert not readers.problems
        longest = max(longest, *(last - withdrawn for last in readers.last_success))
    print(f"{withdraw.__name__}: good for {longest * 1000:.0f} ms more at most")
    assert longest < SECONDS_MAX


@pytest.mark.parametrize("how", ["cut", "stall"])
def test_a_front_end_that_cannot_ask_lets_nobody_in_who_was_removed(
    running: Cluster, how: str
) -> None:
    stage = Stage(running)
    with front_behind_proxies(running, call_timeout_ms=1000) as away:
        client = stage.client(away.front)
        wait_for(lambda: answered(client, stage) == "OK", "the user to be let in")
        if how == "cut":
            away.metadata.refuse()
            away.metadata.cut()
        else:
            away.metadata.stall()
        _disable_key(stage)
        assert {answered(client, stage) for _ in range(5)} == {"ServiceUnavailable"}
        away.heal()
        codes = set[str]()
        wait_for(
            lambda: codes.add(answered(client, stage)) or "InvalidAccessKeyId" in codes,  # type: ignore[func-returns-value]
            "the key to be refused",
        )
        assert codes <= {"InvalidAccessKeyId", "ServiceUnavailable"}
        away.front.process.stop()
        running.fronts.remove(away.front)


def answered(client: Any, stage: Stage) -> str:
    """The code of what a read of the user is answered with."""
    try:
        client.get_object(Bucket=stage.bucket, Key="key")["Body"].read()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "OK"


def test_what_is_given_is_given_at_once_everywhere(running: Cluster) -> None:
    for _ in range(5 * ROUNDS):
        stage = Stage(running)
        for front in running.fronts:
            client = stage.client(front)
            assert client.get_object(Bucket=stage.bucket, Key="key")["Body"].read() == b"body"
            with pytest.raises(ClientError):
                client.put_object(Bucket=stage.bucket, Key="new", Body=b"")
        stage.iam.put_user_policy(
            UserName=stage.user, PolicyName="writes", PolicyDocument=allow("s3:Put*")
        )
        for front in running.fronts:
            stage.client(front).put_object(Bucket=stage.bucket, Key="new", Body=b"")


def test_a_policy_can_name_a_user_at_once_everywhere(running: Cluster) -> None:
    for _ in range(5 * ROUNDS):
        stage = Stage(running)
        user = stage.iam.get_user(UserName=stage.user)["User"]["Arn"]
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": user},
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{stage.bucket}/*",
        }
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        s3_client(running.fronts[1]).put_bucket_policy(Bucket=stage.bucket, Policy=document)
        stage.client(running.fronts[2]).put_object(Bucket=stage.bucket, Key="new", Body=b"")


def test_a_key_that_is_used_shows_when(running: Cluster) -> None:
    """It is written when a front-end stops, at the latest."""
    stage = Stage(running)
    stage.client(running.fronts[1]).get_object(Bucket=stage.bucket, Key="key")
    running.fronts[1].process.stop()
    running.fronts[1].start()
    used = stored_records(running, [IAM_LAST_USED])[IAM_LAST_USED]
    assert used[stage.key["AccessKeyId"]]["service"] == "s3"
