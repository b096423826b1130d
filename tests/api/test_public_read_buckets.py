"""ALLOW_PUBLIC_READ_BUCKETS: all objects of a bucket are public that is public itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.access_lists import DENIED, new_bucket
from tests.api.support import code_of, new_name
from tests.clients_boto3 import s3_client
from tests.raw_http import anonymous
from tests.servers import OTHER_ACCESS_KEY, OTHER_SECRET_KEY, Front, cluster

LISTED = new_name()


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    environ = {"ALLOW_PUBLIC_READ_BUCKETS": f"another, {LISTED}"}
    with cluster(tmp_path_factory.mktemp("public"), environ=environ) as running:
        yield running.fronts[0]


def statuses(front: Front, bucket: str) -> list[int]:
    """Of what anybody may try: read an object, its list, and replace it."""
    key = f"/{bucket}/key"
    return [
        anonymous(front, "GET", key).status,
        anonymous(front, "HEAD", key).status,
        anonymous(front, "GET", f"{key}?acl").status,
        anonymous(front, "PUT", key, b"").status,
    ]


def test_private_objects_are_read_by_anybody(front: Front) -> None:
    s3, other_s3 = s3_client(front), s3_client(front, OTHER_ACCESS_KEY, OTHER_SECRET_KEY)
    s3.create_bucket(Bucket=LISTED, ObjectOwnership="ObjectWriter")
    s3.put_object(Bucket=LISTED, Key="key", Body=b"body")
    nothing: list[Any] = [403] * 4
    assert statuses(front, LISTED) == nothing, "the bucket is not public"
    s3.put_bucket_acl(Bucket=LISTED, ACL="public-read")
    assert statuses(front, LISTED) == [200, 200, 403, 403]
    assert other_s3.get_object(Bucket=LISTED, Key="key")["Body"].read() == b"body"
    settings = {"IgnorePublicAcls": True}
    s3.put_public_access_block(Bucket=LISTED, PublicAccessBlockConfiguration=settings)
    assert statuses(front, LISTED) == nothing


def test_another_bucket_is_as_ever(front: Front) -> None:
    s3, other_s3 = s3_client(front), s3_client(front, OTHER_ACCESS_KEY, OTHER_SECRET_KEY)
    bucket = new_bucket(s3, ACL="public-read")
    s3.put_object(Bucket=bucket, Key="key", Body=b"body")
    assert statuses(front, bucket) == [403] * 4
    assert code_of(other_s3.get_object, Bucket=bucket, Key="key") == DENIED
