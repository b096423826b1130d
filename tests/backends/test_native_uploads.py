"""Uploads of parts that are uploads at their place as well."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3front.locations.base import Stored
from s3front.locations.remote_store import UPLOAD
from shared.records.names import DELETIONS, STRAYS
from shared.records.upload import uploads_level
from tests.backends.native_cluster import Stage, native_cluster
from tests.backends.native_place import NativePlace
from tests.backends.native_support import CHOICE, code_of, end_faults, refusal, there
from tests.clients_boto3 import s3_client
from tests.servers import wait_for

PARTS = [random.Random(number).randbytes(size) for number, size in enumerate((300_000, 1000, 77))]
WHOLE = b"".join(PARTS)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with native_cluster(tmp_path_factory.mktemp("native"), fronts=2) as stage:
        yield stage


@pytest.fixture
def client(stage: Stage) -> Any:
    return s3_client(stage.running.fronts[0])


@pytest.fixture
def other(stage: Stage) -> Any:
    return s3_client(stage.running.fronts[1])


@pytest.fixture(params=["all", "all-plain"])
def place(stage: Stage, request: pytest.FixtureRequest) -> NativePlace:
    return stage.places[request.param]


@pytest.fixture
def begun(place: NativePlace) -> set[str]:
    """The uploads that were under way at the place before."""
    return set(place.uploads())


@pytest.fixture
def bucket(client: Any, place: NativePlace) -> str:
    name = f"b{uuid.uuid4().hex[:12]}"
    where = {"LocationConstraint": place.root.name}
    client.create_bucket(Bucket=name, CreateBucketConfiguration=where)
    return name


@pytest.fixture(autouse=True)
def no_faults(stage: Stage) -> Iterator[None]:
    yield
    end_faults(stage)


class Upload:
    """An upload of ``parts``, as a client knows it."""

    def __init__(self, client: Any, bucket: str, parts: Sequence[bytes] = PARTS) -> None:
        self.client = client
        self.named = {"Bucket": bucket, "Key": "key"}
        begun = client.create_multipart_upload(
            **self.named,
            ContentType="text/x-test",
            Metadata={"colour": "blue"},
            Tagging="a=b",
            CacheControl="no-cache",
        )
        self.upload_id = begun["UploadId"]
        self.parts: list[dict[str, Any]] = []
        for number, data in enumerate(parts, start=1):
            self.send(number, data)

    def send(self, number: int, data: bytes) -> None:
        sent = self.client.upload_part(
            **self.named, UploadId=self.upload_id, PartNumber=number, Body=data
        )
        self.parts = [part for part in self.parts if part["PartNumber"] != number]
        self.parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        self.parts.sort(key=lambda part: int(part["PartNumber"]))

    def complete(self, client: Any = None, **conditions: Any) -> Any:
        return (client or self.client).complete_multipart_upload(
            **self.named,
            UploadId=self.upload_id,
            MultipartUpload={"Parts": self.parts},
            **conditions,
        )

    def abort(self, client: Any = None) -> Any:
        return (client or self.client).abort_multipart_upload(**self.named, UploadId=self.upload_id)


def test_the_object_is_one_blob_there(
    stage: Stage, client: Any, bucket: str, place: NativePlace, begun: set[str]
) -> None:
    upload = Upload(client, bucket)
    assert len(place.uploads()) == len(begun) + 1
    assert there(stage, bucket) == []
    assert not stage.records(STRAYS)
    listed = client.list_parts(**upload.named, UploadId=upload.upload_id)["Parts"]
    assert [part["Size"] for part in listed] == [len(part) for part in PARTS]
    made = upload.complete()
    assert made["ETag"].endswith('-3"')
    (blob,) = there(stage, bucket)
    assert blob.content == WHOLE
    assert blob.name == f"{bucket}/key"
    assert blob.user_metadata == {"colour": "blue"}
    assert blob.tags == {"a": "b"}
    assert blob.headers == {"cache-control": "no-cache"}
    (record,) = [stage.records(bucket)["key"]]
    (location,) = record["location"]
    assert (location["start"], location["size"]) == (0, len(WHOLE))
    assert location["dataStoreETag"] == f"1:{blob.etag}"
    assert set(place.uploads()) <= begun
    assert not stage.records(uploads_level(bucket))
    assert upload.complete()["ETag"] == made["ETag"]
    client.delete_object(**upload.named)
    stage.wait_until_settled()
    assert there(stage, bucket) == []


def test_it_is_read_whole_by_ranges_and_by_parts(
    stage: Stage, client: Any, bucket: str, place: NativePlace
) -> None:
    upload = Upload(client, bucket)
    upload.complete()
    assert client.get_object(**upload.named)["Body"].read() == WHOLE
    ranged = client.get_object(**upload.named, Range="bytes=299999-300001")
    assert ranged["Body"].read() == WHOLE[299_999:300_002]
    for number, data in enumerate(PARTS, start=1):
        part = client.get_object(**upload.named, PartNumber=number)
        assert part["Body"].read() == data
        assert part["PartsCount"] == len(PARTS)
    told = client.get_object_attributes(**upload.named, ObjectAttributes=["ObjectParts"])
    assert [part["Size"] for part in told["ObjectParts"]["Parts"]] == [len(p) for p in PARTS]
    for where in (place.root.name, "us-east-1", "plain"):
        client.copy_object(
            Bucket=bucket,
            Key=f"copy-{where}",
            CopySource=upload.named,
            MetadataDirective="REPLACE",
            Metadata={CHOICE: where},
        )
        assert client.get_object(Bucket=bucket, Key=f"copy-{where}")["Body"].read() == WHOLE


def test_parts_of_other_objects(client: Any, bucket: str, place: NativePlace) -> None:
    client.put_object(Bucket=bucket, Key="source", Body=WHOLE)
    upload = Upload(client, bucket, [])
    for number, bounds in ((1, "bytes=0-299999"), (2, None)):
        ranged = {} if bounds is None else {"CopySourceRange": bounds}
        copied = client.upload_part_copy(
            **upload.named,
            UploadId=upload.upload_id,
            PartNumber=number,
            CopySource={"Bucket": bucket, "Key": "source"},
            **ranged,
        )
        etag = copied["CopyPartResult"]["ETag"]
        upload.parts.append({"PartNumber": number, "ETag": etag})
    upload.complete()
    assert client.get_object(**upload.named)["Body"].read() == PARTS[0] + WHOLE


def test_numbers_with_gaps_and_a_part_sent_again(
    client: Any, bucket: str, place: NativePlace
) -> None:
    upload = Upload(client, bucket, [])
    for number, data in ((10, PARTS[1]), (3, b"first" * 30), (3, PARTS[0]), (9999, PARTS[2])):
        upload.send(number, data)
    upload.complete()
    assert client.get_object(**upload.named)["Body"].read() == WHOLE
    assert client.get_object(**upload.named, PartNumber=2)["Body"].read() == PARTS[1]


def test_parts_that_are_not_used_go_with_the_upload(
    stage: Stage, client: Any, bucket: str, place: NativePlace
) -> None:
    upload = Upload(client, bucket)
    del upload.parts[1:]
    upload.complete()
    stage.wait_until_settled()
    (blob,) = there(stage, bucket)
    assert blob.content == PARTS[0]


def test_an_empty_part_is_none_there(
    stage: Stage, client: Any, bucket: str, place: NativePlace
) -> None:
    upload = Upload(client, bucket, [PARTS[0], b""])
    upload.complete()
    (blob,) = there(stage, bucket)
    assert blob.parts == [(1, upload.parts[0]["ETag"].strip('"'))]
    assert client.get_object(**upload.named)["Body"].read() == PARTS[0]
    attributes = client.get_object_attributes(**upload.named, ObjectAttributes=["ObjectParts"])
    assert [part["Size"] for part in attributes["ObjectParts"]["Parts"]] == [len(PARTS[0]), 0]


def test_nothing_but_empty_parts_is_an_object_without_a_blob(
    stage: Stage, client: Any, bucket: str, place: NativePlace, begun: set[str]
) -> None:
    upload = Upload(client, bucket, [b""])
    before = place.calls().count("complete_upload")
    upload.complete()
    assert client.get_object(**upload.named)["Body"].read() == b""
    assert place.calls().count("complete_upload") == before
    stage.wait_until_settled()
    assert set(place.uploads()) <= begun
    assert there(stage, bucket) == []
    client.head_object(**upload.named)


def test_abort_ends_it_there(
    stage: Stage, client: Any, other: Any, bucket: str, place: NativePlace, begun: set[str]
) -> None:
    upload = Upload(client, bucket)
    upload.abort(other)
    stage.wait_until_settled()
    assert set(place.uploads()) <= begun
    assert refusal(upload.complete) == "NoSuchUpload"
    assert refusal(upload.send, number=4, data=b"late") == "NoSuchUpload"


def test_the_deletion_of_the_bucket_ends_it_there(
    stage: Stage, client: Any, bucket: str, place: NativePlace, begun: set[str]
) -> None:
    Upload(client, bucket)
    Upload(client, bucket, [])
    client.delete_bucket(Bucket=bucket)
    stage.wait_until_settled()
    assert set(place.uploads()) <= begun


def test_what_is_refused_before_does_not_reach_the_place(
    stage: Stage, client: Any, bucket: str, place: NativePlace
) -> None:
    upload = Upload(client, bucket, [PARTS[2], PARTS[0]])
    before = place.calls().count("complete_upload")
    assert refusal(upload.complete) == "EntityTooSmall"
    upload.send(1, PARTS[1])
    client.put_object(**upload.named, Body=b"there")
    assert refusal(upload.complete, IfNoneMatch="*") == "PreconditionFailed"
    upload.parts[0]["ETag"] = '"' + "0" * 32 + '"'
    assert refusal(upload.complete) == "InvalidPart"
    assert place.calls().count("complete_upload") == before


def test_a_condition_that_fails_afterwards_leaves_the_upload(
    stage: Stage, client: Any, other: Any, bucket: str, place: NativePlace
) -> None:
    """Somebody else stores the object while the place completes the upload."""
    upload = Upload(client, bucket)
    held = place.fault("complete_upload", "hold")
    before = place.calls().count("complete_upload")
    with ThreadPoolExecutor() as threads:
        completing = threads.submit(upload.complete, IfNoneMatch="*")
        wait_for(lambda: place.calls().count("complete_upload") > before, "the call")
        elsewhere = {CHOICE: "us-east-1"}
        other.put_object(**upload.named, Body=b"there", Metadata=elsewhere)
        held.unlink()
        with pytest.raises(ClientError) as error:
            completing.result()
    assert code_of(error) in ("PreconditionFailed", "ConditionalRequestConflict")
    assert other.get_object(**upload.named)["Body"].read() == b"there"
    assert len(there(stage, bucket)) == 1  # it was made there, and nothing names it
    upload.complete()
    assert other.get_object(**upload.named)["Body"].read() == WHOLE
    stage.wait_until_settled()
    (blob,) = there(stage, bucket)
    assert blob.content == WHOLE


def test_other_parts_than_the_place_has_completed(
    stage: Stage, client: Any, bucket: str, place: NativePlace
) -> None:
    upload = Upload(client, bucket)
    fault = place.fault("complete_upload", "silent")
    assert refusal(upload.complete) == "ServiceUnavailable"
    fault.unlink()
    every, upload.parts = upload.parts, upload.parts[:2]
    before = place.calls().count("complete_upload")
    assert refusal(upload.complete) == "InvalidPart"
    assert place.calls().count("complete_upload") == before  # it is not even asked
    upload.parts = every
    upload.complete()
    assert client.get_object(**upload.named)["Body"].read() == WHOLE


def test_a_part_that_the_place_has_otherwise_is_sent_again(
    client: Any, bucket: str, place: NativePlace, begun: set[str]
) -> None:
    """Two clients sent it at once, and the place kept the bytes of the one whose record did not
    stay."""
    upload = Upload(client, bucket)
    (upload_id,) = set(place.uploads()) - begun
    handle = Stored("", 0, extra={UPLOAD: upload_id})
    asyncio.run(place.put_part(handle, 2, 5, b"other"))
    assert refusal(upload.complete) == "InvalidPart"
    upload.send(2, b"third" * 30)
    upload.complete()
    found = client.get_object(**upload.named)["Body"].read()
    assert found == PARTS[0] + b"third" * 30 + PARTS[2]


def test_two_front_ends_complete_it(
    stage: Stage, client: Any, other: Any, bucket: str, place: NativePlace
) -> None:
    upload = Upload(client, bucket)
    held = place.fault("complete_upload", "hold")
    before = place.calls().count("complete_upload")
    with ThreadPoolExecutor() as threads:
        both = [threads.submit(upload.complete, each) for each in (client, other)]
        wait_for(lambda: place.calls().count("complete_upload") == before + 2, "both")
        held.unlink()
        first, second = (each.result() for each in both)
    assert first["ETag"] == second["ETag"]
    stage.wait_until_settled()
    (blob,) = there(stage, bucket)
    assert client.get_object(**upload.named)["Body"].read() == blob.content == WHOLE


def test_one_completes_it_and_the_other_aborts(
    stage: Stage, client: Any, other: Any, bucket: str, place: NativePlace, begun: set[str]
) -> None:
    upload = Upload(client, bucket)
    held = place.fault("complete_upload", "hold")
    before = place.calls().count("complete_upload")
    with ThreadPoolExecutor() as threads:
        completing = threads.submit(upload.complete)
        wait_for(lambda: place.calls().count("complete_upload") > before, "the call")
        upload.abort(other)
        held.unlink()
        with pytest.raises(ClientError) as error:
            completing.result()
    assert code_of(error) == "NoSuchUpload"
    stage.wait_until_settled()
    wait_for(
        lambda: not there(stage, bucket) and set(place.uploads()) == begun, "what the upload became"
    )


def test_abort_removes_what_the_upload_has_become(
    stage: Stage, client: Any, bucket: str, place: NativePlace
) -> None:
    """The place has completed it, and no commit came of that."""
    upload = Upload(client, bucket)
    fault = place.fault("complete_upload", "silent")
    assert refusal(upload.complete) == "ServiceUnavailable"
    fault.unlink()
    assert len(there(stage, bucket)) == 1
    upload.abort()
    stage.wait_until_settled()
    assert there(stage, bucket) == []


def test_an_upload_that_was_begun_and_is_asked_for_again_is_not_left_there(
    stage: Stage, client: Any, bucket: str, place: NativePlace, begun: set[str]
) -> None:
    place.fault("begin_upload", "failed-once")
    upload = Upload(client, bucket)
    assert len(set(place.uploads()) - begun) == 2
    stage.wait_until_settled()
    assert len(set(place.uploads()) - begun) == 1
    upload.complete()
    assert client.get_object(**upload.named)["Body"].read() == WHOLE
    assert set(place.uploads()) <= begun


@pytest.mark.parametrize("verb", ["begin_upload", "put_part", "complete_upload"])
@pytest.mark.parametrize("trouble", ["unreached", "refused", "silent", "broken"])
def test_a_place_that_fails(
    stage: Stage,
    client: Any,
    bucket: str,
    place: NativePlace,
    begun: set[str],
    verb: str,
    trouble: str,
) -> None:
    expected = "InternalError" if trouble == "broken" else "ServiceUnavailable"
    if verb == "begin_upload":
        place.fault(verb, trouble)
        assert refusal(client.create_multipart_upload, Bucket=bucket, Key="key") == expected
        assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)
        end_faults(stage)
    else:
        upload = Upload(client, bucket)
        place.fault(verb, trouble)
        if verb == "put_part":
            assert refusal(upload.send, number=2, data=PARTS[1]) == expected
        else:
            assert refusal(upload.complete) == expected
        end_faults(stage)
        upload.complete()
        assert client.get_object(**upload.named)["Body"].read() == WHOLE
    stage.wait_until_settled()
    assert set(place.uploads()) <= begun
    assert not stage.records(DELETIONS)


def test_a_part_of_which_the_place_has_other_bytes(
    client: Any, bucket: str, place: NativePlace
) -> None:
    upload = Upload(client, bucket)
    place.fault("put_part", "other-md5")
    assert refusal(upload.send, number=2, data=PARTS[1]) == "InternalError"
    listed = client.list_parts(**upload.named, UploadId=upload.upload_id)["Parts"]
    assert len(listed) == 3


def test_a_part_that_is_larger_than_the_place_takes(stage: Stage, client: Any) -> None:
    bucket = f"b{uuid.uuid4().hex[:12]}"
    where = {"LocationConstraint": "small-parts"}
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    upload = Upload(client, bucket, [])
    assert refusal(upload.send, number=1, data=PARTS[0]) == "EntityTooLarge"
    for number in range(3):
        upload.send(number + 1, PARTS[0][:50_000])
    upload.complete()
    (blob,) = there(stage, bucket)
    assert blob.content == PARTS[0][:50_000] * 3


@pytest.mark.parametrize("where", ["plain", "versions", "small"])
def test_parts_are_blobs_where_the_place_has_no_uploads(
    stage: Stage, client: Any, where: str
) -> None:
    bucket = f"b{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": where})
    upload = Upload(client, bucket)
    given_up = Upload(client, bucket)
    upload.complete()
    given_up.abort()
    assert client.get_object(**upload.named)["Body"].read() == WHOLE
    assert client.get_object(**upload.named, PartNumber=2)["Body"].read() == PARTS[1]
    client.copy_object(Bucket=bucket, Key="copy", CopySource=upload.named)
    assert client.get_object(Bucket=bucket, Key="copy")["Body"].read() == WHOLE
    client.delete_object(**upload.named)
    client.delete_object(Bucket=bucket, Key="copy")
    stage.wait_until_settled()
    assert there(stage, bucket) == []
