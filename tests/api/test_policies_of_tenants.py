"""A policy of one tenant that is made to take long holds up nobody else."""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import Any

import pytest

from tests.servers import Front

SECONDS_MAX = 1.0
"""What others may wait, on a machine that has much else to do. Without a bound it is seconds."""


@pytest.mark.parametrize("effect", ["Allow", "Deny"])
def test_a_request_of_anybody_does_not_hold_up_others(
    s3: Any, front: Front, bucket: str, effect: str
) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"body")
    patterns = [f"*{'a' * 6}?b{number:x}*" for number in range(1_250)]
    statement = {
        "Effect": effect,
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": {"StringLike": {"aws:UserAgent": patterns}},
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy, separators=(",", ":")))
    waited = [0.0]
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            begun = time.monotonic()
            s3.head_bucket(Bucket=bucket)
            waited.append(time.monotonic() - begun)

    others = threading.Thread(target=look)
    others.start()
    try:
        for _ in range(3):
            connection = http.client.HTTPConnection("localhost", front.port, timeout=30)
            headers = {"User-Agent": "a" * 7_500}
            connection.request("GET", f"/{bucket}/key", headers=headers)
            assert connection.getresponse().status == 403
            connection.close()
    finally:
        over.set()
        others.join()
    assert max(waited) < SECONDS_MAX
