"""What a front-end answers while its metadata daemon is there, and silent."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.encrypting import encrypting_cluster
from tests.api.support import new_name
from tests.clients_boto3 import aws_client, s3_client
from tests.servers import Cluster, Front, process_tree

ONCE: Any = {"retries": {"total_max_attempts": 1}, "read_timeout": 60}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with encrypting_cluster(tmp_path_factory.mktemp("silent")) as servers:
        yield servers


@contextmanager
def silent(servers: Cluster) -> Iterator[None]:
    pids = [servers.dmd_metadata.pid, *process_tree(servers.dmd_metadata.pid)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def status(call: Any, **parameters: Any) -> tuple[int, float]:
    """What a call is answered, and after how many seconds."""
    begun = time.monotonic()
    try:
        answer = call(**parameters)
    except ClientError as error:
        answer = error.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], time.monotonic() - begun


def clients(front: Front, *key: str) -> tuple[Any, Any]:
    return aws_client("sts", front, *key, **ONCE), aws_client("iam", front, *key, **ONCE)


def test_calls_are_answered_in_seconds(running: Cluster) -> None:
    front = running.fronts[0]
    sts, iam = clients(front)
    name = new_name()
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    users_sts, _ = clients(front, key["AccessKeyId"], key["SecretAccessKey"])
    assert status(users_sts.get_caller_identity)[0] == 200
    wrong, wrong_iam = clients(front, "accessKey1", "wrong")
    with silent(running):
        # Keys of the configuration are known without the metadata.
        for _ in range(2):
            for client, expected in ((sts, 200), (wrong, 403)):
                code, seconds = status(client.get_caller_identity)
                assert (code, seconds < 2) == (expected, True), seconds
            code, seconds = status(wrong_iam.list_users)
            assert (code, seconds < 2) == (403, True), seconds
            for call in (users_sts.get_caller_identity, iam.list_users):
                code, seconds = status(call)
                assert (code, seconds < 8) == (503, True), seconds
        # S3 as well, once it has been silent for a while: also for who guesses.
        for secret in (key["SecretAccessKey"], "wrong"):
            s3 = s3_client(front, key["AccessKeyId"], secret, **ONCE)
            code, seconds = status(s3.list_buckets)
            assert (code, seconds < 4) == (503, True), seconds
    deadline = time.monotonic() + 30
    while status(users_sts.get_caller_identity)[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert status(iam.delete_access_key, UserName=name, AccessKeyId=key["AccessKeyId"])[0] == 200
