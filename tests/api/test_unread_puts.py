"""A put that reads nothing first is decided by its bucket as it is, whatever was told of it before.

Two front-ends: the first one has been told the bucket's record, and the second one changes it. The
put through the first comes after that, or is asked for its body before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from s3front.auth.sigv4 import AccessKey
from shared.records.names import METASTORE
from tests.api.racing import Racer, assert_consistent, race
from tests.api.support import CANONICAL_ID, md5_base64, new_name
from tests.faults.stores import call_metadata, stored_blobs, stored_records
from tests.multipart import begin_upload, completion, send_part
from tests.raw_http import FOREIGNER, OWNER, Response, call, connected, sign
from tests.servers import Cluster, cluster

VERSIONING = "<VersioningConfiguration><Status>%s</Status></VersioningConfiguration>"
LOCATION = (
    "<CreateBucketConfiguration><LocationConstraint>%s</LocationConstraint>"
    "</CreateBucketConfiguration>"
)
LOCK = (
    b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>"
    b"<DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule>"
    b"</ObjectLockConfiguration>"
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("unread-puts")
    locations: dict[str, Any] = {
        name: {"type": "file", "objectId": name, "legacyAwsBehavior": True, "details": {}}
        for name in ("us-east-1", "elsewhere")
    }
    locations["cold"] = {"type": "dmf", "objectId": "cold", "isCold": True, "details": {}}
    (folder / "locations.json").write_text(json.dumps(locations))
    environ = {"S3_LOCATION_FILE": str(folder / "locations.json")}
    settings = {"deleteDelaySeconds": 0}
    with cluster(folder, fronts=2, settings=settings, environ=environ) as started:
        yield started


class Place:
    """A bucket, changed through the second front-end."""

    def __init__(self, running: Cluster) -> None:
        self.running = running
        self.bucket = new_name()
        self.told, self.front = running.fronts
        assert self.send("PUT", "").status == 200
        self.put("before")

    def put(self, key: str) -> None:
        """Have the first front-end told the bucket, and put into it what the second one reads."""
        target = f"/{self.bucket}/{key}"
        for body in (b"first", key.encode()):
            assert call(self.told, "PUT", target, body).status == 200
        assert call(self.front, "GET", target).body == key.encode()

    def send(self, method: str, target: str, body: bytes = b"", key: AccessKey = OWNER) -> Response:
        headers = {"Content-MD5": md5_base64(body)} if body else None
        return call(self.front, method, f"/{self.bucket}{target}", body, headers, key=key)

    def remove(self) -> None:
        for node in self.send("GET", "?versions").xml.iter("Version"):
            target = f"/{node.findtext('Key')}?versionId={node.findtext('VersionId')}"
            assert self.send("DELETE", target).status == 204
        assert self.send("DELETE", "").status == 204

    def make_again(self, body: str = "", key: AccessKey = OWNER) -> None:
        self.remove()
        assert self.send("PUT", "", body.encode(), key).status == 200

    def configure(self, state: str) -> None:
        assert self.send("PUT", "?versioning", (VERSIONING % state).encode()).status == 200

    def change(self, members: dict[str, Any]) -> None:
        """Change the bucket's record, as front-ends of other makes can."""
        record = stored_records(self.running, [METASTORE])[METASTORE][self.bucket]
        text = json.dumps(record | members)
        call_metadata(self.running, "put", [self.bucket, text, {}], [METASTORE])

    def records(self) -> dict[str, Any]:
        return stored_records(self.running, [self.bucket])[self.bucket]

    def versions(self, key: str) -> list[str | None]:
        rows = self.send("GET", f"?versions&prefix={key}").xml.iter("Version")
        return [row.findtext("VersionId") for row in rows]


@pytest.fixture
def place(running: Cluster) -> Place:
    return Place(running)


def put_stale(place: Place, change: Callable[[], None], body: bytes) -> Response:
    """A put through a front-end that was not told of a change."""
    change()
    length = {"Content-Length": str(len(body))}
    return call(place.told, "PUT", f"/{place.bucket}/key", body, length)


def put_meanwhile(place: Place, change: Callable[[], None], body: bytes) -> Response:
    """One that has been asked for its body before the change."""
    request = sign(place.told, "PUT", f"/{place.bucket}/key", body, {"Expect": "100-continue"})
    with connected(place.told) as connection:
        connection.send(replace(request, body=b""))
        assert connection.receive_interim() == 100
        change()
        connection.send(body)
        return connection.receive("PUT")


ROUNDS = 1000 if os.environ.get("TWOFOLD_SOAK") else 12

Put = Callable[[Place, Callable[[], None], bytes], Response]
both = pytest.mark.parametrize("put", [put_stale, put_meanwhile])
SIZES = (1000, 300_000)
"""Of a blob that is sent when all has been verified, and of one that is sent before."""


@both
def test_a_bucket_that_is_gone(running: Cluster, place: Place, put: Put) -> None:
    before = stored_blobs(running)
    assert put(place, place.remove, b"data").error["Code"] == "NoSuchBucket"
    assert stored_blobs(running) <= before


@both
def test_a_bucket_that_is_another_account_s(place: Place, put: Put) -> None:
    change = lambda: place.make_again(key=FOREIGNER)  # noqa: E731
    assert put(place, change, b"data").error["Code"] == "AccessDenied"
    assert place.records() == {}


@pytest.mark.parametrize(
    ("put", "size"),
    [(put_stale, 0), *((put, size) for put in (put_stale, put_meanwhile) for size in SIZES)],
)
def test_a_bucket_that_was_made_again_elsewhere(
    running: Cluster, place: Place, put: Put, size: int
) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    change = lambda: place.make_again(LOCATION % "elsewhere")  # noqa: E731
    assert put(place, change, body[:size]).status == 200
    (record,) = place.records().values()
    assert record["dataStoreName"] == "elsewhere"
    assert {each["dataStoreName"] for each in record["location"] or ()} <= {"elsewhere"}
    assert place.send("GET", "/key").body == body[:size]
    assert_consistent(running, [place.bucket])


@both
@pytest.mark.parametrize(
    "members",
    [
        {"serverSideEncryption": {"mandatory": True, "algorithm": "AES256"}},
        {"locationConstraint": "cold"},
        {"versioningConfiguration": {"Status": "Paused"}},
    ],
    ids=lambda members: next(iter(members)),
)
def test_a_bucket_that_takes_no_objects_any_more(
    running: Cluster, place: Place, put: Put, members: dict[str, Any]
) -> None:
    before = stored_blobs(running)
    answer = put(place, lambda: place.change(members), b"data")
    assert answer.error["Code"] == "NotImplemented"
    assert set(place.records()) == {"before"}
    assert stored_blobs(running) <= before


@both
def test_versioning_that_was_enabled(running: Cluster, place: Place, put: Put) -> None:
    place.put("key")
    made = put(place, lambda: place.configure("Enabled"), b"after").headers["x-amz-version-id"]
    assert place.versions("key") == [made, "null"]
    assert place.send("GET", "/key?versionId=null").body == b"key"
    # Nor does a later one lose the null version.
    newer = call(place.told, "PUT", f"/{place.bucket}/key", b"newer").headers["x-amz-version-id"]
    assert place.versions("key") == [newer, made, "null"]
    assert place.send("GET", "/key?versionId=null").body == b"key"
    assert_consistent(running, [place.bucket])


@both
def test_versioning_that_was_suspended(running: Cluster, place: Place, put: Put) -> None:
    place.configure("Enabled")
    kept = call(place.told, "PUT", f"/{place.bucket}/key", b"kept").headers["x-amz-version-id"]
    newer = call(place.told, "PUT", f"/{place.bucket}/key", b"newer").headers["x-amz-version-id"]
    for body in (b"null", b"another"):
        answer = put(place, lambda: place.configure("Suspended"), body)
        assert (answer.status, answer.headers.get("x-amz-version-id")) == (200, None)
    assert place.versions("key") == ["null", newer, kept]
    assert place.send("GET", "/key").body == b"another"
    place.configure("Enabled")
    latest = call(place.told, "PUT", f"/{place.bucket}/key", b"new").headers["x-amz-version-id"]
    assert place.versions("key") == [latest, "null", newer, kept]
    assert_consistent(running, [place.bucket])


@both
def test_object_lock_that_was_enabled(place: Place, put: Put) -> None:
    place.configure("Enabled")
    assert call(place.told, "PUT", f"/{place.bucket}/key", b"unlocked").status == 200

    def enable() -> None:
        assert place.send("PUT", "?object-lock", LOCK).status == 200

    version = put(place, enable, b"locked").headers["x-amz-version-id"]
    assert place.send("HEAD", "/key").headers["x-amz-object-lock-mode"] == "GOVERNANCE"
    assert place.send("DELETE", f"/key?versionId={version}").status == 403


# --- Refusals ------------------------------------------------------------------------------------


def test_who_was_refused_before_is_asked_again(place: Place) -> None:
    """What was told of the bucket would refuse what is allowed by now."""
    target = f"/{place.bucket}/key"
    assert call(place.told, "PUT", target, b"data", key=FOREIGNER).status == 403
    place.make_again(key=FOREIGNER)
    assert call(place.told, "PUT", target, b"data", key=FOREIGNER).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-storage-class": "GLACIER"},
        {"x-amz-object-lock-legal-hold": "ON", "Content-MD5": md5_base64(b"data")},
        {"x-amz-meta-scal-location-constraint": "nowhere"},
        {"Content-MD5": md5_base64(b"other data")},
        {"If-Match": "none"},
        {"Origin": "https://example.com", "x-amz-storage-class": "GLACIER"},
        {"x-scal-s3-version-id": ""},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_a_wrong_request_to_a_bucket_that_is_gone(place: Place, headers: dict[str, str]) -> None:
    target = f"/{place.bucket}/key"
    wrong = call(place.told, "PUT", target, b"data", headers).error
    assert wrong["Code"] not in ("NoSuchBucket", "AccessDenied")
    assert call(place.told, "PUT", target, b"data").status == 200
    place.remove()
    assert call(place.told, "PUT", target, b"data", headers).error["Code"] == "NoSuchBucket"


def test_what_was_refused_by_what_was_told_is_decided_again(place: Place) -> None:
    target = f"/{place.bucket}/key"
    place.change({"locationConstraint": "cold"})
    assert call(place.told, "PUT", target, b"data").error["Code"] == "NotImplemented"
    place.change({"locationConstraint": "elsewhere"})
    assert call(place.told, "PUT", target, b"data").status == 200
    hold = {"x-amz-object-lock-legal-hold": "ON", "Content-MD5": md5_base64(b"data")}
    assert call(place.told, "PUT", target, b"data", hold).error["Code"] == "InvalidRequest"
    place.configure("Enabled")
    assert place.send("PUT", "?object-lock", LOCK).status == 200
    assert call(place.told, "PUT", target, b"data", hold).status == 200


def test_a_page_is_told_what_the_bucket_says_by_now(place: Place) -> None:
    place.change({"cors": [{"allowedMethods": ["PUT"], "allowedOrigins": ["*"]}]})
    target, page = f"/{place.bucket}/key", {"Origin": "https://example.com"}
    assert call(place.told, "PUT", target, b"data", page).headers["Access-Control-Allow-Origin"]
    place.change({"cors": None})
    assert (
        "Access-Control-Allow-Origin" not in call(place.told, "PUT", target, b"data", page).headers
    )


# --- Deletions and parts ------------------------------------------------------------------------


def remove_stale(place: Place, change: Callable[[], None]) -> Response:
    """Delete ``key``, which is there, through a front-end that was not told of a change."""
    place.put("key")
    change()
    return call(place.told, "DELETE", f"/{place.bucket}/key")


def test_a_deletion_in_a_bucket_that_is_gone(place: Place) -> None:
    assert remove_stale(place, place.remove).error["Code"] == "NoSuchBucket"
    assert call(place.told, "DELETE", f"/{place.bucket}/key").error["Code"] == "NoSuchBucket"


def test_a_deletion_in_a_bucket_that_is_another_account_s(place: Place) -> None:
    answer = remove_stale(place, lambda: place.change({"owner": "another"}))
    assert answer.error["Code"] == "AccessDenied"
    assert set(place.records()) == {"before", "key"}


def test_deletions_when_versioning_has_changed(running: Cluster, place: Place) -> None:
    answer = remove_stale(place, lambda: place.configure("Enabled"))
    assert answer.headers["x-amz-delete-marker"] == "true"
    assert place.versions("key") == ["null"]
    assert place.send("GET", "/key?versionId=null").body == b"key"
    # The bucket's null version is known by now: neither a marker nor a version loses it.
    again = call(place.told, "DELETE", f"/{place.bucket}/key").headers["x-amz-version-id"]
    assert again not in ("null", answer.headers["x-amz-version-id"])
    assert place.send("GET", "/key?versionId=null").body == b"key"
    place.configure("Suspended")
    last = call(place.told, "DELETE", f"/{place.bucket}/key")
    assert last.headers["x-amz-version-id"] == "null"
    assert place.send("GET", "/key?versionId=null").status == 405
    assert_consistent(running, [place.bucket])


def test_a_deletion_that_reads_nothing_gives_up_the_data(running: Cluster, place: Place) -> None:
    answer = remove_stale(place, lambda: None)
    assert (answer.status, "x-amz-delete-marker" in answer.headers) == (204, False)
    assert set(place.records()) == {"before"}
    assert_consistent(running, [place.bucket])
    place.configure("Enabled")
    first = call(place.told, "DELETE", f"/{place.bucket}/key").headers["x-amz-version-id"]
    second = call(place.told, "DELETE", f"/{place.bucket}/key").headers["x-amz-version-id"]
    rows = place.send("GET", "?versions&prefix=key").xml.iter("DeleteMarker")
    assert [row.findtext("VersionId") for row in rows] == [second, first]


@pytest.mark.parametrize(
    ("headers", "status"), [({"If-Match": '"other"'}, 412), ({"x-amz-if-match-size": "9"}, 412)]
)
def test_a_deletion_with_a_condition_reads(
    place: Place, headers: dict[str, str], status: int
) -> None:
    target = f"/{place.bucket}/before"
    assert call(place.told, "DELETE", target, headers=headers).status == status
    assert set(place.records()) == {"before"}


@pytest.mark.parametrize("number", [1, 0])
def test_a_part_of_an_upload(place: Place, number: int) -> None:
    """A part that could not be one is refused by the bucket first, too."""

    def send(method: str, target: str, body: bytes = b"", headers: Any = None) -> Response:
        return call(place.told, method, target, body, headers)

    target = f"/{place.bucket}/key"
    upload_id = begin_upload(send, target)
    assert send_part(send, target, upload_id, 1, b"part").status == 200
    place.change({"owner": "another"})
    part = f"{target}?partNumber={number}&uploadId={upload_id}"
    assert send("PUT", part, b"late").error["Code"] == "AccessDenied"
    place.change({"owner": CANONICAL_ID})
    completed = send("POST", f"{target}?uploadId={upload_id}", completion({1: b"part"}))
    assert completed.status == 200
    upload_id = begin_upload(send, target)
    place.remove()
    part = f"{target}?partNumber={number}&uploadId={upload_id}"
    assert send("PUT", part, b"late").error["Code"] == "NoSuchBucket"


# --- At once -------------------------------------------------------------------------------------


def test_nobody_writes_into_a_bucket_of_somebody_else(running: Cluster) -> None:
    """Two accounts, through both front-ends, make, fill, empty and remove one bucket."""
    bucket = new_name()
    owners: set[str] = set()

    def churn(racer: Racer) -> None:
        key = FOREIGNER if racer.number % 4 // 2 else OWNER

        def send(method: str, target: str, body: bytes = b"") -> int:
            return call(racer.client.front, method, target, body, key=key).status

        for number in range(ROUNDS):
            racer.meet()
            assert send("PUT", f"/{bucket}") in (200, 409)
            for index in range(3):
                assert send("PUT", f"/{bucket}/{racer.number}", b"%d" % index) in (200, 403, 404)
            racer.meet()
            if racer.number == number % 4:
                level = stored_records(running, [METASTORE, bucket])
                owner = level[METASTORE][bucket]["owner"]
                owners.add(owner)
                assert {record["owner-id"] for record in level[bucket].values()} == {owner}
            racer.meet()
            assert send("DELETE", f"/{bucket}/{racer.number}") in (204, 403, 404)
            assert send("DELETE", f"/{bucket}") in (204, 403, 404, 409)

    race(running, 4, churn)
    assert len(owners) == 2, "one of the accounts was never the first"
    assert_consistent(running, [bucket])
