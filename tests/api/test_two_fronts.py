"""Two front-ends that share one dmd behave as one server: at once, and in every race."""

from __future__ import annotations

import itertools
import json
import os
import random
import threading
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from shared.records.names import ENDED_UPLOADS, UPLOADS_PREFIX
from tests.api.racing import Racer, assert_consistent, create_bucket, race
from tests.api.support import md5_base64
from tests.etags import etag_of
from tests.faults.stores import call_metadata, stored_blobs, stored_records
from tests.load_requests import ObjectClient
from tests.multipart import Send, begin_upload, completion, send_part
from tests.servers import Cluster, cluster, wait_for


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    settings = {"deleteDelaySeconds": 0}
    with cluster(tmp_path_factory.mktemp("two-fronts"), fronts=2, settings=settings) as started:
        yield started


@pytest.fixture
def clients(running: Cluster) -> list[ObjectClient]:
    """A connection to each front-end."""
    return [ObjectClient(front) for front in running.fronts]


# --- Listings ------------------------------------------------------------------------------------


def test_a_listing_goes_on_elsewhere_and_after_a_restart(running: Cluster) -> None:
    """A token or a marker says all that there is to know."""
    first, second = running.fronts
    put = ObjectClient(first).request
    assert put("PUT", "/tokens").status == 200
    enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert put("PUT", "/tokens?versioning", enabled).status == 200
    keys = ["a b", "a/1", "a/2", "\u00fc&<>"]
    for key in [*keys, *keys]:
        assert put("PUT", f"/tokens/{quote(key)}", b"").status == 200
    listings = {
        "list-type=2": ("continuation-token=NextContinuationToken", "Contents/Key"),
        "delimiter=/": ("marker=NextMarker", "Contents/Key"),
        "versions": (
            "key-marker=NextKeyMarker version-id-marker=NextVersionIdMarker",
            "Version/VersionId",
        ),
    }
    for query, (following, entry) in listings.items():
        whole = put("GET", f"/tokens?{query}").xml
        found: list[str | None] = []
        markers, number = "", 0
        while True:
            if number == 2:
                running.dmd_metadata.stop()
                second.process.stop()
                running.start_daemons()
                second.start()
            page = ObjectClient(running.fronts[number % 2]).request(
                "GET", f"/tokens?{query}&max-keys=1{markers}"
            )
            found += [node.text for node in page.xml.iterfind(entry)]
            if page.xml.findtext("IsTruncated") == "false":
                break
            pairs = [pair.split("=") for pair in following.split()]
            texts = {name: page.xml.findtext(element) for name, element in pairs}
            markers = "".join(f"&{name}={quote(text)}" for name, text in texts.items() if text)
            number += 1
        assert number >= 2
        assert found == [node.text for node in whole.iterfind(entry)]


# --- At once -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("writer", "reader"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_write_is_seen_at_once(clients: list[ObjectClient], writer: int, reader: int) -> None:
    write, read = clients[writer], clients[reader]
    bucket = f"/at-once-{writer}-{reader}"
    assert read.request("GET", f"{bucket}/key").status == 404
    assert write.request("PUT", bucket).status == 200
    for number in range(50):
        target, data = f"{bucket}/key-{number}", b"%d" % number
        assert write.request("PUT", target, data).status == 200
        assert read.request("GET", target).body == data
        assert read.request("HEAD", target).headers["ETag"] == etag_of(data)
        keys = [node.text for node in read.request("GET", f"{bucket}?list-type=2").xml.iter("Key")]
        assert keys == [f"key-{number}"]
        assert write.request("PUT", target, data * 2).status == 200
        assert read.request("GET", target).body == data * 2
        assert write.request("DELETE", target).status == 204
        assert read.request("GET", target).status == 404
        assert read.request("HEAD", target).status == 404
        assert not list(read.request("GET", f"{bucket}?list-type=2").xml.iter("Key"))
    assert write.request("DELETE", bucket).status == 204
    assert read.request("HEAD", bucket).status == 404


def test_a_write_through_one_is_overwritten_through_the_other(
    running: Cluster, clients: list[ObjectClient]
) -> None:
    assert clients[0].request("PUT", "/in-turns").status == 200
    for number in range(200):
        write, read = clients[number % 2], clients[(number + 1) % 2]
        data = b"write %d" % number
        assert write.request("PUT", "/in-turns/key", data).status == 200
        assert read.request("GET", "/in-turns/key").body == data
    records = assert_consistent(running, ["in-turns"])
    assert set(records["in-turns"]) == {"key"}


# --- Races ---------------------------------------------------------------------------------------


def test_no_object_outlives_its_bucket(running: Cluster) -> None:
    """Bucket by bucket, four clients create, fill, empty and delete it at the same time."""
    buckets = [f"churned-{number}" for number in range(200)]
    allowed = {
        # 409 OperationAborted: it existed when the request began, and no longer a moment later.
        "PUT bucket": {200, 409},
        "DELETE bucket": {204, 404, 409},
        "PUT object": {200, 404},
        "DELETE object": {204, 404},
    }

    def churn(racer: Racer) -> None:
        chance = random.Random(racer.number)
        for bucket in buckets:
            steps = ["PUT bucket", "DELETE bucket", *["PUT object", "DELETE object"] * 2]
            chance.shuffle(steps)
            racer.meet()
            for step in [*steps, "DELETE bucket"]:
                method, what = step.split()
                target = f"/{bucket}" if what == "bucket" else f"/{bucket}/{chance.randrange(2)}"
                body = b"data" if step == "PUT object" else b""
                response = racer.client.request(method, target, body)
                assert response.status in allowed[step], (step, response.body)

    race(running, 4, churn)
    records = assert_consistent(running, buckets)
    # Both endings have to occur, or nothing was tested.
    assert any(records.values())
    assert not all(records.values())


CONDITIONAL_ROUNDS = 1000 if os.environ.get("TWOFOLD_SOAK") else 5


def test_one_of_many_conditional_writes_wins(running: Cluster) -> None:
    """By turns they all create an object, and all replace the one that they have seen."""
    writers = 100
    create_bucket(running, "conditional")

    def write(racer: Racer) -> list[int]:
        statuses, etag = [], ""
        for number in range(CONDITIONAL_ROUNDS):
            target, body = f"/conditional/{number // 2}", b"%d by %d" % (number, racer.number)
            condition = {"If-Match": etag} if number % 2 else {"If-None-Match": "*"}
            racer.meet()
            statuses.append(racer.client.request("PUT", target, body, condition).status)
            racer.meet()
            etag = racer.client.request("HEAD", target).headers["ETag"]
            assert (etag == etag_of(body)) is (statuses[-1] == 200)
        return statuses

    outcomes = race(running, writers, write)
    for statuses in zip(*outcomes, strict=True):
        assert sorted(statuses) == [200] + [412] * (writers - 1)
    assert_consistent(running, ["conditional"])


def test_one_of_many_changes_on_one_condition_wins(running: Cluster) -> None:
    """Writes, copies, completions and deletions of the object that they have all seen."""
    bucket = "changes"
    create_bucket(running, bucket)
    client = ObjectClient(running.fronts[0])
    assert client.request("PUT", f"/{bucket}/source", b"source").status == 200
    for number in range(CONDITIONAL_ROUNDS):
        target, body = f"/{bucket}/key", b"before %d" % number
        assert client.request("PUT", target, body).status == 200

        def change(racer: Racer, target: str = target, etag: str = etag_of(body)) -> int:
            kind, condition = racer.number % 5, {"If-Match": etag}
            request, mine = racer.client.request, b"after %d" % racer.number
            upload_id = begin_upload(request, target)
            assert send_part(request, target, upload_id, 1, mine).status == 200
            place = f"{target}?uploadId={upload_id}"
            racer.meet()
            if kind == 0:
                status = request("PUT", target, mine, condition).status
            elif kind == 1:
                copied = {"x-amz-copy-source": f"/{bucket}/source", **condition}
                status = request("PUT", target, b"", copied).status
            elif kind == 2:
                return request("POST", place, completion({1: mine}), condition).status
            elif kind == 3:
                status = request("DELETE", target, b"", condition).status
            else:
                status = _delete_in_batch(request, bucket, etag)
            assert request("DELETE", place).status == 204
            return status

        statuses = race(running, 10, change)
        winners = [kind % 5 for kind, status in enumerate(statuses) if status < 300]
        assert len(winners) == 1, statuses
        # Who comes after a deletion finds nothing, and after anything else another object.
        assert set(statuses) - {200, 204} == {404 if winners[0] > 2 else 412}, statuses
        for node in client.request("GET", f"/{bucket}?uploads").xml.iter("UploadId"):
            client.request("DELETE", f"{target}?uploadId={node.text}")
    assert_consistent(running, [bucket])


def _delete_in_batch(send: Send, bucket: str, etag: str) -> int:
    """Delete the object by DeleteObjects; the status as DeleteObject would have it."""
    row = f"<Object><Key>key</Key><ETag>{etag}</ETag></Object>"
    body = f"<Delete>{row}</Delete>".encode()
    response = send("POST", f"/{bucket}?delete", body, {"Content-MD5": md5_base64(body)})
    code = response.xml.findtext("Error/Code")
    return {None: 204, "NoSuchKey": 404, "PreconditionFailed": 412}[code]


def test_plain_writes_of_one_key_all_succeed(running: Cluster) -> None:
    writers, rounds = 16, 20
    create_bucket(running, "plain")

    def body_of(number: int, index: int) -> bytes:
        return random.Random(f"{number} {index}").randbytes(1000 * (number + 1))

    def write(racer: Racer) -> None:
        for index in range(rounds):
            headers = {"x-amz-meta-writer": str(racer.number), "x-amz-meta-index": str(index)}
            body = body_of(racer.number, index)
            response = racer.client.request("PUT", "/plain/key", body, headers)
            assert response.status == 200, response.body

    race(running, writers, write)
    for front in running.fronts:
        last = ObjectClient(front).request("GET", "/plain/key")
        written = int(last.headers["x-amz-meta-writer"]), int(last.headers["x-amz-meta-index"])
        assert last.body == body_of(*written)
        # Each thread writes in order, so that what remains is the last write of somebody.
        assert written[1] == rounds - 1
        assert last.headers["ETag"] == etag_of(last.body)
    assert_consistent(running, ["plain"])


def test_a_reader_sees_one_version_while_others_overwrite(running: Cluster) -> None:
    """Sizes from a byte to several of the slices in which data travels."""
    sizes = (1, 5_000, 300_000, 1_500_000)
    create_bucket(running, "overwritten")
    first = ObjectClient(running.fronts[0]).request("PUT", "/overwritten/key", b"first")
    assert first.status == 200
    writers = 2
    ended = threading.Event()

    def write(racer: Racer) -> int:
        for index in range(60):
            chance = random.Random(f"{racer.number} {index}")
            data = chance.randbytes(chance.choice(sizes))
            assert racer.client.request("PUT", "/overwritten/key", data).status == 200
        return 0

    def read(racer: Racer) -> int:
        etags = set()
        while not ended.is_set():
            response = racer.client.request("GET", "/overwritten/key")
            assert response.status == 200, response.body
            assert response.headers["ETag"] == etag_of(response.body)
            etags.add(response.headers["ETag"])
        return len(etags)

    def work(racer: Racer) -> int:
        try:
            return write(racer) if racer.number < writers else read(racer)
        finally:
            # The first one to be ready, a writer unless a test fails, ends it for the readers.
            ended.set()

    versions = race(running, 6, work)
    assert sum(versions) > 20, "the readers have not seen the writes"
    assert_consistent(running, ["overwritten"])


def test_a_deletion_and_a_write_of_one_key_leave_no_blob_behind(running: Cluster) -> None:
    create_bucket(running, "put-and-delete")

    def work(racer: Racer) -> None:
        for index in range(100):
            key = f"/put-and-delete/{index % 5}"
            if racer.number < 2:
                assert racer.client.request("PUT", key, b"data").status == 200
            else:
                assert racer.client.request("DELETE", key).status == 204

    race(running, 4, work)
    assert_consistent(running, ["put-and-delete"])


def test_the_data_directory_is_where_the_test_looks(
    running: Cluster, clients: list[ObjectClient]
) -> None:
    """Else every check of it above would be worth nothing."""
    before = stored_blobs(running)
    assert clients[0].request("PUT", "/looked-at").status == 200
    assert clients[0].request("PUT", "/looked-at/key", b"data").status == 200
    assert len(stored_blobs(running) - before) == 1


# --- Multipart uploads ---------------------------------------------------------------------------

UPLOAD_ROUNDS = 1000 if os.environ.get("TWOFOLD_SOAK") else 6


def test_parts_completion_and_abortion_of_one_upload(running: Cluster) -> None:
    """Whoever removes the upload first decides: the object is complete or absent, and nothing of
    the upload is left in either store."""
    bucket = "uploads-race"
    create_bucket(running, bucket)
    client = ObjectClient(running.fronts[0])
    completed = 0
    for number in range(UPLOAD_ROUNDS):
        target, first = f"/{bucket}/key-{number}", b"first %d" % number
        upload_id = begin_upload(client.request, target)
        assert send_part(client.request, target, upload_id, 1, first).status == 200

        def work(
            racer: Racer, target: str = target, upload_id: str = upload_id, first: bytes = first
        ) -> tuple[int, int]:
            place, kind = f"{target}?uploadId={upload_id}", racer.number % 4
            if kind == 0:
                return kind, racer.client.request("POST", place, completion({1: first})).status
            if kind == 1:
                return kind, racer.client.request("DELETE", place).status
            # A part beside the one that is completed, and one in its place.
            late = send_part(racer.client.request, target, upload_id, kind - 1, b"late %d" % kind)
            return kind, late.status

        answers = race(running, 8, work)
        statuses = {status for _, status in answers}
        assert statuses <= {200, 204, 400, 404}, answers
        done = (0, 200) in answers
        assert not (done and (1, 204) in answers), "completed and aborted"
        found = client.request("GET", target)
        assert (found.status, found.body) == ((200, first) if done else (404, found.body))
        completed += done
        # A refused completion may leave the upload to nobody.
        client.request("DELETE", f"{target}?uploadId={upload_id}")
    records = assert_consistent(running, [bucket])
    assert len(records[bucket]) == completed
    assert stored_records(running, [UPLOADS_PREFIX + bucket])[UPLOADS_PREFIX + bucket] == {}


def test_completions_of_one_upload_all_succeed(running: Cluster) -> None:
    """As those of a client that repeats itself, through whichever front-end."""
    bucket = "completed-at-once"
    create_bucket(running, bucket)
    client = ObjectClient(running.fronts[0])
    enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert client.request("PUT", f"/{bucket}?versioning", enabled).status == 200
    for number in range(UPLOAD_ROUNDS):
        target, part = f"/{bucket}/key-{number}", b"part %d" % number
        upload_id = begin_upload(client.request, target)
        assert send_part(client.request, target, upload_id, 1, part).status == 200
        place = f"{target}?uploadId={upload_id}"

        def complete(
            racer: Racer, place: str = place, part: bytes = part
        ) -> tuple[int, str | None, str | None]:
            answer = racer.client.request("POST", place, completion({1: part}))
            version = answer.headers.get("x-amz-version-id")
            return answer.status, answer.xml.findtext("ETag"), version

        answers = set(race(running, 6, complete))
        assert len(answers) == 1, answers
        assert answers.pop()[0] == 200
        rows = client.request("GET", f"/{bucket}?versions&prefix=key-{number}").xml
        keys = [row.findtext("Key") for row in rows.iter("Version")]
        assert keys.count(f"key-{number}") == 1


def test_the_deletion_of_a_bucket_and_all_that_uploads_do(running: Cluster) -> None:
    """Either the bucket is there, or nothing of it."""
    client = ObjectClient(running.fronts[0])
    bucket, deleted = "deleted-with-uploads", 0
    for number in itertools.count():
        if number >= UPLOAD_ROUNDS and deleted:
            break  # whether the deletion ever wins is left to chance
        created = client.request("PUT", f"/{bucket}")
        assert created.status == 200, created.body
        target = f"/{bucket}/key"
        upload_id = begin_upload(client.request, target)
        assert send_part(client.request, target, upload_id, 1, b"first").status == 200
        place = f"{target}?uploadId={upload_id}"

        def work(
            racer: Racer, place: str = place, target: str = target, number: int = number
        ) -> tuple[int, int]:
            send, kind = racer.client.request, racer.number % 4
            match kind:
                case 0:
                    return kind, send("DELETE", f"/{bucket}").status
                case 1:
                    return kind, send("POST", f"{target}-{number}?uploads").status
                case 2:
                    return kind, send("PUT", f"{place}&partNumber=2", b"second").status
            return kind, send("POST", place, completion({1: b"first"})).status

        answers = race(running, 8, work)
        assert {status for _, status in answers} <= {200, 204, 404, 409}, answers
        gone = (0, 204) in answers
        deleted += gone
        assert (client.request("HEAD", f"/{bucket}").status == 404) is gone
        if not gone:
            assert (3, 200) in answers, "an object keeps the bucket, and nothing else does"
            assert client.request("GET", target).body == b"first"
            assert client.request("DELETE", target).status == 204
            assert client.request("DELETE", f"/{bucket}").status == 204
        level = UPLOADS_PREFIX + bucket
        wait_for(
            lambda level=level: not stored_records(running, [level])[level],  # type: ignore[misc]
            "nothing to be left of the uploads",
        )
    assert_consistent(running, [])


def test_a_bucket_that_is_changed_elsewhere(clients: list[ObjectClient]) -> None:
    """A front-end keeps bucket records; what becomes of a bucket it sees with the next request."""
    one, other = (client.request for client in clients)
    assert one("PUT", "/changed").status == 200
    for send in (one, other):
        assert send("PUT", "/changed/key", b"1").headers.get("x-amz-version-id") is None
    enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert one("PUT", "/changed?versioning", enabled).status == 200
    version = other("PUT", "/changed/key", b"2").headers["x-amz-version-id"]
    for target in ("/changed/key?versionId=null", f"/changed/key?versionId={version}"):
        assert other("DELETE", target).status == 204
    assert other("DELETE", "/changed").status == 204
    assert one("PUT", "/changed/key", b"3").status == 404
    assert other("PUT", "/changed").status == 200
    assert one("PUT", "/changed/key", b"4").headers.get("x-amz-version-id") is None
    assert other("GET", "/changed/key").body == b"4"


def test_the_deletion_of_a_bucket_with_very_many_uploads(running: Cluster) -> None:
    """More than one commit ends."""
    bucket, level = "many-uploads", f"{UPLOADS_PREFIX}many-uploads"
    create_bucket(running, bucket)
    client = ObjectClient(running.fronts[0])
    target = f"/{bucket}/key"
    upload_id = begin_upload(client.request, target)
    assert send_part(client.request, target, upload_id, 1, b"part").status == 200
    (overview,) = [
        record
        for key, record in stored_records(running, [level])[level].items()
        if key.startswith("overview")
    ]
    text = json.dumps(overview)
    for start in range(0, 700, 350):
        puts = [
            {"type": "put", "subLevel": [level], "key": f"overview..|..k..|..{n}", "value": text}
            for n in range(start, start + 350)
        ]
        call_metadata(running, "batch", [puts, {}], [])
    assert client.request("PUT", f"{target}-of-object", b"").status == 200
    assert client.request("DELETE", f"/{bucket}").status == 409
    assert len(stored_records(running, [level])[level]) == 702, "an end of what stays"
    assert client.request("DELETE", f"{target}-of-object").status == 204
    assert client.request("DELETE", f"/{bucket}").status == 204
    wait_for(lambda: not stored_records(running, [level])[level], "the uploads to be removed")
    noted = [ENDED_UPLOADS]
    wait_for(lambda: not stored_records(running, noted)[ENDED_UPLOADS], "the note of it to go")
    assert_consistent(running, [])
