"""A process that dies on its way between a place that others run and the metadata.

Whatever the client was told: in the end the place holds what records name, and nothing else; what
was acknowledged is there; and the request succeeds when it is repeated.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from botocore.exceptions import BotoCoreError, ClientError

from shared.failpoints import FailPoint
from shared.records.names import DELETIONS, STRAYS
from shared.records.upload import OVERVIEW_PREFIX, uploads_level
from tests.backends.native_cluster import Stage, native_cluster
from tests.backends.native_support import end_faults, there
from tests.backends.places import SOAK
from tests.clients_boto3 import s3_client
from tests.servers import Process, wait_for

DATA = random.Random(11).randbytes(300_000)
PARTS = (DATA[:200_000], DATA[200_000:])
NAMED = {"Key": "key"}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with native_cluster(tmp_path_factory.mktemp("native"), fronts=2, with_s3=True) as stage:
        yield stage


WHERE = ("all", "plain", "aws", *(("small-parts", "aws-plain") if SOAK else ()))


@pytest.fixture(params=WHERE)
def where(request: pytest.FixtureRequest) -> str:
    """The location."""
    return str(request.param)


@pytest.fixture
def bucket(stage: Stage, where: str) -> str:
    name = f"b{uuid.uuid4().hex[:12]}"
    s3_client(stage.running.fronts[1]).create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": where}
    )
    return name


@pytest.fixture(autouse=True)
def no_faults(stage: Stage) -> Iterator[None]:
    yield
    end_faults(stage)


# --- What is done --------------------------------------------------------------------------------


def put(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, **NAMED, Body=DATA)


def put_little(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, **NAMED, Body=DATA[:100])


def post(client: Any, bucket: str) -> None:
    form = client.generate_presigned_post(bucket, "key")
    answer = requests.post(form["url"], form["fields"], files={"file": DATA}, timeout=30)
    assert answer.status_code == 204, answer.text


def copy(client: Any, bucket: str) -> None:
    client.copy_object(Bucket=bucket, **NAMED, CopySource={"Bucket": bucket, "Key": "source"})


def begin(client: Any, bucket: str) -> None:
    client.create_multipart_upload(Bucket=bucket, **NAMED)


def send(client: Any, bucket: str) -> None:
    found = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    upload = {"Bucket": bucket, **NAMED, "UploadId": found[0]["UploadId"]}
    client.upload_part(**upload, PartNumber=1, Body=PARTS[0][:40_000])


def complete(client: Any, bucket: str) -> None:
    found = client.list_multipart_uploads(Bucket=bucket).get("Uploads")
    if not found:
        client.head_object(Bucket=bucket, **NAMED)  # it was, and the answer was lost
        return
    upload = {"Bucket": bucket, **NAMED, "UploadId": found[0]["UploadId"]}
    listed = client.list_parts(**upload)["Parts"]
    parts = [{name: part[name] for name in ("PartNumber", "ETag")} for part in listed]
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


Act = Callable[[Any, str], None]
_NOTED = FailPoint.AFTER_STRAY_NOTED
_STORED = FailPoint.AFTER_DATA_STORED
_COMMITTED = FailPoint.AFTER_RECORD_COMMIT
_COMPLETED = FailPoint.AFTER_PLACE_COMPLETION
_WRITING = (_NOTED, _STORED, _COMMITTED)
_POINTS: dict[Act, tuple[FailPoint, ...]] = {
    put: _WRITING,
    put_little: _WRITING,
    post: _WRITING,
    copy: _WRITING,
    begin: _WRITING,
    send: (_STORED, _COMMITTED),
    complete: (_COMPLETED, _COMMITTED),
}
FRONT_CASES = [
    (where, act, point)
    for where in WHERE
    for act, points in _POINTS.items()
    for point in points
    if not (where == "plain" and act in (begin, send, complete))  # no uploads of its own
]
METADATA_CASES = [
    ("plain", put),
    ("all-plain", copy),
    ("all", begin),
    ("aws", complete),
    *([("all", put), ("all-plain", complete), ("aws", put), ("aws-plain", begin)] if SOAK else ()),
]


def prepare(stage: Stage, bucket: str, act: Act, where: str) -> None:
    """What an act begins with."""
    client = s3_client(stage.running.fronts[1])
    size = 40_000 if where == "small-parts" else len(DATA)
    client.put_object(Bucket=bucket, Key="source", Body=DATA[:size])
    if act in (send, complete):
        begin(client, bucket)
    if act is complete:
        send(client, bucket)


def attempt(act: Act, client: Any, bucket: str) -> bool:
    """Whether the client was told that it was done."""
    try:
        act(client, bucket)
    except (ClientError, BotoCoreError, requests.RequestException):
        return False
    return True


def assert_tidy(stage: Stage, bucket: str, where: str) -> None:
    """The place has what records name, and nothing else."""
    stage.wait_until_settled()
    records = stage.records(bucket)
    named = [entry for record in records.values() for entry in record["location"] or ()]
    overviews = [
        record
        for key, record in stage.records(uploads_level(bucket)).items()
        if key.startswith(OVERVIEW_PREFIX)
    ]
    handles = {each["dataStoreUploadId"] for one in overviews for each in one.get("location") or ()}
    place = stage.every_place[where]
    mine = {each for each in place.uploads() if place.bucket_of_upload(each) == bucket}
    assert mine <= handles
    # What an upload has become is still the upload's.
    marks = {each["dataStoreMark"] for one in overviews for each in one.get("location") or ()}
    made = {blob.mark for blob in there(stage, bucket)} & marks
    assert len(mine) + len(made) == len(handles)
    expected = sorted((each["key"], each.get("dataStoreVersionId", "")) for each in named)
    found = [blob for blob in there(stage, bucket) if blob.mark not in marks]
    assert sorted((blob.name, blob.version) for blob in found) == expected


_REFUSED = ("PreconditionFailed", "ConditionalRequestConflict", "SlowDown")


# --- Tests ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("where", "act", "point"), FRONT_CASES, indirect=["where"])
def test_a_front_end_that_dies(
    stage: Stage, bucket: str, where: str, act: Act, point: FailPoint
) -> None:
    prepare(stage, bucket, act, where)
    front = stage.running.fronts[0]
    front.process.kill()
    front.start(point)
    assert not attempt(act, s3_client(front), bucket)
    wait_for(lambda: front.process.poll() is not None, "its death")
    front.process.kill()
    front.start()
    assert_tidy(stage, bucket, where)
    assert (act in (put, post, put_little, copy, complete) and point == _COMMITTED) == (
        "key" in stage.records(bucket)
    )
    act(s3_client(front), bucket)
    assert_tidy(stage, bucket, where)


@pytest.mark.parametrize("visit", [1, 2])
@pytest.mark.parametrize("point", [FailPoint.BEFORE_COMMIT, FailPoint.AFTER_COMMIT])
@pytest.mark.parametrize(("where", "act"), METADATA_CASES, indirect=["where"])
def test_a_metadata_daemon_that_dies(
    stage: Stage, bucket: str, where: str, act: Act, point: FailPoint, visit: int
) -> None:
    """With what is said before the place is asked, or with the record; nobody learns of either."""
    prepare(stage, bucket, act, where)
    stage.running.work.kill()
    daemon: Process = stage.running.dmd_metadata
    daemon.stop()
    daemon.start(f"{point}:{visit}")
    stage.running.wait_for_daemons()
    stage.running.fronts[0].wait()
    client = s3_client(stage.running.fronts[0])
    wait_for(lambda: attempt(_look, client, bucket), "the front-end to be connected")
    assert not attempt(act, client, bucket)
    daemon.kill()
    daemon.start()
    stage.running.wait_for_daemons()
    wait_for(lambda: attempt(_look, client, bucket), "the front-end to be connected")
    assert_tidy(stage, bucket, where)
    if act is not begin:
        happened = (visit, point) == (2, FailPoint.AFTER_COMMIT)
        assert ("key" in stage.records(bucket)) == happened
    act(client, bucket)
    assert_tidy(stage, bucket, where)


def _look(client: Any, bucket: str) -> None:
    client.get_object(Bucket=bucket, Key="source")


@pytest.mark.parametrize("where", ["all", "aws", "aws-plain"], indirect=True)
def test_other_parts_after_a_front_end_has_died(stage: Stage, bucket: str, where: str) -> None:
    """The place has made the object of the parts of before: it is not taken from who may commit
    it, and no record says that it is something else."""
    dying, front = stage.running.fronts
    client = s3_client(front)
    begin(client, bucket)
    (upload,) = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    named = {"Bucket": bucket, **NAMED, "UploadId": upload["UploadId"]}
    bodies = (random.Random(17).randbytes(5 * 1024**2), PARTS[1])
    sent = [
        client.upload_part(**named, PartNumber=number, Body=body)
        for number, body in enumerate(bodies, start=1)
    ]
    parts = [{"PartNumber": at, "ETag": each["ETag"]} for at, each in enumerate(sent, start=1)]
    dying.process.kill()
    dying.start(FailPoint.AFTER_PLACE_COMPLETION)
    assert not attempt(complete, s3_client(dying), bucket)
    dying.process.kill()
    dying.start()
    with pytest.raises(ClientError, match="InvalidPart"):
        client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts[:1]})
    client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    assert client.get_object(Bucket=bucket, **NAMED)["Body"].read() == b"".join(bodies)
    assert_tidy(stage, bucket, where)


@pytest.mark.parametrize("visit", [1, 2])
def test_a_worker_that_dies(stage: Stage, bucket: str, where: str, visit: int) -> None:
    """Before a note is condemned, and before it is removed once the place is tidy."""
    prepare(stage, bucket, put, where)
    stage.running.work.kill()
    front = stage.running.fronts[0]
    front.process.kill()
    front.start(FailPoint.AFTER_DATA_STORED)
    assert not attempt(put, s3_client(front), bucket)
    front.process.kill()
    front.start()
    notes = len(stage.records(STRAYS))
    assert notes == 1 or where == "plain"
    work = stage.running.work
    work.start(f"{FailPoint.AFTER_QUEUED_DATA_DELETION}:{visit}")
    wait_for(lambda: work.poll() is not None, "its death")
    work.kill()
    work.start()
    assert_tidy(stage, bucket, where)


def test_two_front_ends_race_for_a_key(stage: Stage, bucket: str, where: str) -> None:
    """With conditions, so that many are refused after their bytes were stored."""
    clients = [s3_client(front) for front in stage.running.fronts]
    bodies = [b"%d" % number * 50 for number in range(60)]

    def write(number: int) -> str:
        body = bodies[number]
        conditions = {} if number % 3 else {"IfNoneMatch": "*"}
        try:
            clients[number % 2].put_object(Bucket=bucket, Key="key", Body=body, **conditions)
        except ClientError as error:
            return (
                ""
                if error.response["Error"]["Code"] in _REFUSED
                else error.response["Error"]["Code"]
            )
        return body.decode()

    with ThreadPoolExecutor(8) as threads:
        written = set(threads.map(write, range(len(bodies))))
    found = clients[0].get_object(Bucket=bucket, Key="key")["Body"].read()
    assert found.decode() in written
    assert written <= {"", *(body.decode() for body in bodies)}
    assert_tidy(stage, bucket, where)
    assert not stage.records(DELETIONS)
