"""Objects in a RING, by a front-end, while its hosts come and go."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3front.locations.bootstrap import ANSWER_SECONDS_MAX
from tests.backends.rings import Ring, ring
from tests.clients_boto3 import s3_client
from tests.etags import etag_of
from tests.servers import Cluster, cluster, wait_for

SIZES = (1, 1_000, 70_000, 1_500_000, 9_000_000)
CLIENTS = 8
OBJECTS_EACH = 30


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ring]:
    with ring(tmp_path_factory.mktemp("ring")) as running:
        yield running


@pytest.fixture(scope="module")
def running(there: Ring, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster whose location "ring" is the RING."""
    folder = tmp_path_factory.mktemp("cluster")
    locations = folder / "locations.json"
    locations.write_text(
        json.dumps(
            {
                "us-east-1": {"type": "file", "details": {}},
                "ring": {"type": "scality", "details": there.details},
            }
        )
    )
    environ = {"S3_LOCATION_FILE": str(locations)}
    settings = {"deleteDelaySeconds": 0}
    with cluster(folder, settings=settings, environ=environ) as started:
        yield started


@pytest.fixture(scope="module")
def s3(running: Cluster) -> Any:
    return s3_client(running.fronts[0])


@pytest.fixture
def bucket(s3: Any, there: Ring) -> Iterator[str]:
    """A bucket of the RING, all of whose hosts run, and have nothing to hide."""
    for connector in there.connectors:
        if connector.process.handle is None:
            connector.start()
        connector.tell()
    name = f"ring-{random.randbytes(6).hex()}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "ring"})
    yield name
    for version in s3.list_objects_v2(Bucket=name).get("Contents", []):
        s3.delete_object(Bucket=name, Key=version["Key"])
    wait_for(lambda: there.blobs() == set(), "the RING to be empty")


def body_of(name: str, size: int) -> bytes:
    return random.Random(name).randbytes(size)


def content(s3: Any, bucket: str, key: str, **options: Any) -> bytes:
    data: bytes = s3.get_object(Bucket=bucket, Key=key, **options)["Body"].read()
    return data


def etags(there: Ring) -> set[str]:
    """Those of all that is in the RING."""
    return {etag_of((there.folder / name).read_bytes()) for name in there.blobs()}


@pytest.mark.parametrize("size", SIZES)
def test_an_object(s3: Any, bucket: str, there: Ring, size: int) -> None:
    data = body_of("object", size)
    etag = s3.put_object(Bucket=bucket, Key="a/b", Body=data)["ETag"]
    assert etag in etags(there)
    assert content(s3, bucket, "a/b") == data
    first, last = size // 3, max(size // 3, size - 2)
    assert content(s3, bucket, "a/b", Range=f"bytes={first}-{last}") == data[first : last + 1]


def test_an_object_without_bytes_takes_none(s3: Any, bucket: str, there: Ring) -> None:
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    assert (content(s3, bucket, "empty"), there.blobs()) == (b"", set())


def test_one_object_of_a_bucket_elsewhere(s3: Any, bucket: str, there: Ring) -> None:
    other = f"{bucket}-local"
    s3.create_bucket(Bucket=other)
    constraint = {"scal-location-constraint": "ring"}
    etag = s3.put_object(Bucket=other, Key="here", Body=b"in the RING", Metadata=constraint)["ETag"]
    s3.put_object(Bucket=other, Key="there", Body=b"in the daemon")
    assert etags(there) == {etag}
    assert content(s3, other, "here") == b"in the RING"
    for key in ("here", "there"):
        s3.delete_object(Bucket=other, Key=key)


def test_an_upload_of_parts_and_a_copy(s3: Any, bucket: str, there: Ring) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    at = {"Bucket": bucket, "Key": "parts", "UploadId": upload}
    pieces = [body_of("first", 6_000_000), body_of("second", 5_500_000), b"the last"]
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**at, PartNumber=number, Body=piece)["ETag"]}
        for number, piece in enumerate(pieces, 1)
    ]
    s3.complete_multipart_upload(**at, MultipartUpload={"Parts": parts})
    whole = b"".join(pieces)
    assert len(there.blobs()) == 3
    assert content(s3, bucket, "parts") == whole
    assert content(s3, bucket, "parts", Range="bytes=5999990-6000010") == whole[5999990:6000011]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "parts"})
    s3.delete_object(Bucket=bucket, Key="parts")
    assert content(s3, bucket, "copy") == whole


def test_many_parts_are_removed_by_one_request(s3: Any, bucket: str, there: Ring) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    at = {"Bucket": bucket, "Key": "parts", "UploadId": upload}
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**at, PartNumber=number, Body=body)["ETag"]}
        for number, body in enumerate((bytes(5 << 20), bytes(5 << 20), b"last"), 1)
    ]
    s3.complete_multipart_upload(**at, MultipartUpload={"Parts": parts})
    assert len(there.blobs()) == 3
    s3.delete_object(Bucket=bucket, Key="parts")
    wait_for(lambda: there.blobs() == set(), "the parts to be removed")
    asked = [request for host in there.connectors for request in host.said()["requests"]]
    assert "POST /proxy/arc/.batch_delete" in asked


def test_what_is_replaced_is_removed(s3: Any, bucket: str, there: Ring) -> None:
    for data in (b"one", b"two", b"three"):
        etag = s3.put_object(Bucket=bucket, Key="key", Body=data)["ETag"]
    wait_for(lambda: etags(there) == {etag}, "one blob to be left")
    assert content(s3, bucket, "key") == b"three"


def test_a_host_hangs(s3: Any, bucket: str, there: Ring) -> None:
    """The first request that it has waits for it, and no other."""
    s3.put_object(Bucket=bucket, Key="key", Body=b"body")
    hanging = max(there.connectors, key=lambda connector: len(connector.said()["requests"]))
    hanging.tell(hang="head")
    began = time.monotonic()
    assert content(s3, bucket, "key") == b"body"
    assert 1 < time.monotonic() - began < ANSWER_SECONDS_MAX + 3
    began = time.monotonic()
    for _ in range(20):
        s3.put_object(Bucket=bucket, Key="key", Body=b"body")
        assert content(s3, bucket, "key") == b"body"
    assert time.monotonic() - began < ANSWER_SECONDS_MAX
    wait_for(lambda: len(there.blobs()) == 1, "what was replaced to be removed")


@pytest.mark.parametrize("fault", ["hang", "cut"])
def test_a_large_read_goes_on_at_the_other_host(
    s3: Any, bucket: str, there: Ring, fault: str
) -> None:
    data = body_of("large", SIZES[-1])
    s3.put_object(Bucket=bucket, Key="large", Body=data)
    for connector in there.connectors:
        connector.tell(**{"on": "GET", fault: "body", "times": 1})
    assert content(s3, bucket, "large") == data


def test_without_any_host_it_is_a_503_and_passes(s3: Any, bucket: str, there: Ring) -> None:
    s3.put_object(Bucket=bucket, Key="kept", Body=b"kept")
    for connector in there.connectors:
        connector.process.kill()
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="refused", Body=b"refused")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="kept")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    for connector in there.connectors:
        connector.start()
    wait_for(lambda: _reads(s3, bucket), "the RING to be found again")
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["kept"]


def _reads(s3: Any, bucket: str) -> bool:
    try:
        return content(s3, bucket, "kept") == b"kept"
    except ClientError:
        return False


class Load:
    """Clients that store objects of all sizes, one after the other, and note what is promised."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._numbers = itertools.count()
        self.stored: dict[str, int] = {}
        self.refused: list[int] = []
        self.half = threading.Event()

    def run(self) -> None:
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(self._client, range(CLIENTS)))

    def _client(self, _number: int) -> None:
        for _ in range(OBJECTS_EACH):
            number = next(self._numbers)
            key, size = f"object-{number}", SIZES[number % len(SIZES)]
            try:
                self._s3.put_object(Bucket=self._bucket, Key=key, Body=body_of(key, size))
            except ClientError as error:
                self.refused.append(error.response["ResponseMetadata"]["HTTPStatusCode"])
            else:
                self.stored[key] = size
            if number >= CLIENTS * OBJECTS_EACH // 2:
                self.half.set()


def test_a_host_dies_in_the_middle_of_load(s3: Any, bucket: str, there: Ring) -> None:
    """Whatever was acknowledged is there, at the host that is left, and then at the other one. Of
    the others each was on its way when its host died."""
    load = Load(s3, bucket)
    clients = threading.Thread(target=load.run)
    clients.start()
    assert load.half.wait(60)
    busy = max(there.connectors, key=lambda connector: len(connector.said()["requests"]))
    busy.process.kill()
    clients.join()
    assert set(load.refused) <= {503}
    assert len(load.refused) <= CLIENTS
    assert len(load.stored) == CLIENTS * OBJECTS_EACH - len(load.refused)
    left = next(connector for connector in there.connectors if connector is not busy)
    assert left.said()["requests"]
    assert all(content(s3, bucket, key) == body_of(key, size) for key, size in load.stored.items())
    busy.start()
    left.process.kill()
    assert all(content(s3, bucket, key) == body_of(key, size) for key, size in load.stored.items())
