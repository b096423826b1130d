"""Copies that take long: the connection is kept alive, as AWS does it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
from botocore.exceptions import ClientError

from s3front.port.slow_work import QUIET_SECONDS_MAX
from tests.clients_boto3 import s3_client
from tests.raw_http import Connection, call, sign
from tests.servers import Cluster, Process, cluster, process_tree

BODY = bytes(2_000_000)
"""More than a front-end beside the data daemon reads itself."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of its own, with a bucket and an object."""
    with cluster(tmp_path_factory.mktemp("slow")) as servers:
        s3 = s3_client(servers.fronts[0])
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="source", Body=BODY)
        yield servers


@contextmanager
def stopped(process: Process) -> Iterator[None]:
    """The process does nothing for the block, and what it has to do waits."""
    pids = [process.pid, *process_tree(process.pid)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):  # the test may have killed it
                os.kill(pid, signal.SIGCONT)


def test_a_slow_copy_is_answered_meanwhile(running: Cluster) -> None:
    front = running.fronts[0]
    headers = {"x-amz-copy-source": "/bucket/source", "Connection": "close"}
    with Connection(front) as connection:
        with stopped(running.dmd_data):
            connection.send(sign(front, "PUT", "/bucket/copy", headers=headers))
            connection.wait_for_bytes(b"\r\n1\r\n \r\n")
        response = connection.receive("PUT")
    assert response.status == 200
    root = response.xml
    assert root.tag.endswith("CopyObjectResult")
    assert call(front, "GET", "/bucket/copy").body == BODY


def test_a_late_error_stands_in_the_body(running: Cluster) -> None:
    front = running.fronts[0]
    s3 = s3_client(front, read_timeout=QUIET_SECONDS_MAX * 4)
    source = {"Bucket": "bucket", "Key": "source"}
    request = sign(front, "PUT", "/bucket/other", headers={"x-amz-copy-source": "/bucket/source"})
    with ThreadPoolExecutor() as executor, Connection(front) as later:
        with stopped(running.dmd_data):
            copied = executor.submit(
                s3.copy_object, Bucket="bucket", Key="other", CopySource=source
            )
            later.send(request)
            assert later.receive_interim() == 200
            running.dmd_data.kill()
        with pytest.raises(ClientError) as caught:
            copied.result()
    running.dmd_data.start()
    running.wait_for_daemons()
    assert caught.value.response["Error"]["Code"] == "ServiceUnavailable"
    assert call(front, "GET", "/bucket/other").status == 404
    assert '"error":"ServiceUnavailable"' in front.process.output
