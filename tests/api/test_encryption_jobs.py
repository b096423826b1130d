"""``s3front keys encrypt-objects``: what a bucket has already is stored again, as its default
encryption says, or plain; and nothing else about it changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from s3front.work.encryption_jobs import job_key
from shared.records.encrypted import TWOFOLD_SCHEME, protections
from shared.records.names import DEAD_LETTERS, KEY_JOBS
from tests import fork_server
from tests.api.encrypting import SECOND, by_customer, encrypting_cluster, told
from tests.api.support import body_of, new_name, set_versioning
from tests.clients_boto3 import s3_client
from tests.faults.stores import (
    assert_settled,
    call_metadata,
    expire_leases,
    stored_records,
)
from tests.load import Load
from tests.servers import Cluster, wait_for

SETTINGS = {"deleteDelaySeconds": 0}
PATTERN = b"plain text that must not stay. "
PART = PATTERN * (5 * 1024 * 1024 // len(PATTERN) + 1)
SIZES = (1, 1000, 65536, 300_000, 9_000_000)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Cluster]:
    with encrypting_cluster(tmp_path, fronts=2, settings=SETTINGS) as started:
        yield started


def keys(running: Cluster, *argv: str, code: int = 0) -> str:
    done = fork_server.run("s3front", ["keys", *argv], running.work.environ, 60)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def job_of(running: Cluster, bucket: str) -> dict[str, Any]:
    found: dict[str, Any] = stored_records(running, [KEY_JOBS])[KEY_JOBS].get(job_key(bucket), {})
    return found


def wait_for_job(running: Cluster, bucket: str) -> dict[str, Any]:
    wait_for(
        lambda: job_of(running, bucket).get("state", "running") != "running",
        lambda: f"{job_of(running, bucket)}; {running.work.output[-3000:]}",
        90,
    )
    return job_of(running, bucket)


def demand_encryption(s3: Any, bucket: str, **how: str) -> None:
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256", **how}}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})


def content(size: int) -> bytes:
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


def schemes(running: Cluster, bucket: str) -> set[str | None]:
    """How the stretches of a bucket's objects are protected."""
    return {
        None if each is None else each.scheme
        for record in stored_records(running, [bucket])[bucket].values()
        for each in protections(record)
    }


def described(s3: Any, bucket: str) -> dict[tuple[str, str], Any]:
    """All that clients are told of every version, but for how it is encrypted."""
    found = {}
    for version in s3.list_object_versions(Bucket=bucket)["Versions"]:
        key, version_id = version["Key"], version["VersionId"]
        customer = by_customer() if key == "customers" else {}
        which = {"Bucket": bucket, "Key": key, "VersionId": version_id}
        reply = s3.get_object(**which, **customer)
        body = reply.pop("Body").read()
        headers = reply.pop("ResponseMetadata")["HTTPHeaders"]
        assert headers["last-modified"]
        for name in ("ServerSideEncryption", "SSEKMSKeyId"):
            reply.pop(name, None)
        tags = s3.get_object_tagging(**which)["TagSet"]
        found[key, version_id] = body, reply, tags, version
    return found


def fill(s3: Any, bucket: str) -> None:
    """Objects of every kind."""
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    for size in SIZES:
        s3.put_object(Bucket=bucket, Key=f"of {size}", Body=content(size))
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    s3.put_object(Bucket=bucket, Key="twice", Body=b"one", Metadata={"a": "b"}, Tagging="tag=value")
    s3.put_object(Bucket=bucket, Key="twice", Body=b"two", CacheControl="no-store")
    s3.put_object(Bucket=bucket, Key="deleted", Body=content(100))
    s3.delete_object(Bucket=bucket, Key="deleted")
    s3.put_object(Bucket=bucket, Key="customers", Body=b"own", **by_customer())
    s3.put_object(
        Bucket=bucket,
        Key="locked",
        Body=content(2000),
        ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=datetime.now(UTC) + timedelta(days=1),
    )
    upload = {"Bucket": bucket, "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"],
        }
        for number, body in ((1, PART), (2, PART), (5, b"end"))
    ]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


def on_disk(running: Cluster) -> list[str]:
    """The files that have some of the plain text; but for small blobs, which share blocks with
    others (docs/encryption.md)."""
    folder = running.folder / "data"
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".segment" and PATTERN in path.read_bytes()
    ]


def test_a_bucket_is_encrypted_and_decrypted_again(running: Cluster) -> None:
    s3 = s3_client(running.fronts[0])
    bucket = new_name()
    fill(s3, bucket)
    before = described(s3, bucket)
    assert on_disk(running)
    demand_encryption(s3, bucket)
    keys(running, "encrypt-objects", bucket, "--rate", "1000")
    job = wait_for_job(running, bucket)
    assert (job["state"], job.get("failed", 0)) == ("done", 0)
    assert schemes(running, bucket) == {TWOFOLD_SCHEME}
    assert described(s3, bucket) == before
    assert told(s3.head_object(Bucket=bucket, Key="of 1000")) == {"": "AES256"}
    assert told(s3.head_object(Bucket=bucket, Key="empty")) == {"": "AES256"}
    found = s3.get_object(Bucket=bucket, Key="parts", PartNumber=2)
    assert found["Body"].read() == PART
    ranged = s3.get_object(
        Bucket=bucket, Key="parts", Range=f"bytes={len(PART) - 10}-{len(PART) + 9}"
    )
    assert ranged["Body"].read() == PART[-10:] + PART[:10]
    assert_settled(running)
    wait_for(lambda: on_disk(running) == [], lambda: f"nothing in {on_disk(running)}")
    # Again, there is nothing to do.
    keys(running, "encrypt-objects", bucket)
    assert wait_for_job(running, bucket).get("stored", 0) == 0

    assert "the bucket demands encryption" in keys(
        running, "encrypt-objects", bucket, "--decrypt", code=1
    )
    s3.delete_bucket_encryption(Bucket=bucket)
    keys(running, "encrypt-objects", bucket, "--decrypt", "--rate", "1000")
    job = wait_for_job(running, bucket)
    assert (job["state"], job.get("failed", 0)) == ("done", 0)
    assert described(s3, bucket) == before
    assert schemes(running, bucket) == {None, TWOFOLD_SCHEME}  # the latter is a client's own
    assert told(s3.head_object(Bucket=bucket, Key="of 1000")) == {}
    assert_settled(running)


def test_another_default_is_followed(running: Cluster) -> None:
    s3 = s3_client(running.fronts[0])
    bucket = new_name()
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="plain", Body=content(100))
    s3.put_object(Bucket=bucket, Key="sealed", Body=b"sealed", ServerSideEncryption="AES256")
    demand_encryption(s3, bucket, SSEAlgorithm="aws:kms", KMSMasterKeyID=SECOND)
    keys(running, "encrypt-objects", bucket)
    assert wait_for_job(running, bucket)["stored"] == 2
    for key in ("plain", "sealed"):
        assert told(s3.head_object(Bucket=bucket, Key=key)) == {
            "": "aws:kms",
            "-aws-kms-key-id": SECOND,
        }
    assert body_of(s3, bucket, "plain") == content(100)
    assert f"{bucket:<24}encrypt  done      2 of 2 records stored again, 106 bytes" in keys(
        running, "jobs"
    )
    assert_settled(running)


def test_a_job_goes_on_after_kills_beside_writers(running: Cluster) -> None:
    bucket = "load"
    with Load(bucket, running.fronts) as load:
        load.wait_for_writes(60)
        s3 = s3_client(running.fronts[0])
        for number in range(300):
            s3.put_object(Bucket="load", Key=f"more-{number:03}", Body=content(500))
        demand_encryption(s3, bucket)
        keys(running, "encrypt-objects", bucket)
        for point in ("after-data-stored:5", "after-record-commit:9", "after-data-stored:30"):
            running.work.kill()
            expire_leases(running)
            running.work.start(point)
            wait_for(lambda: running.work.poll() is not None, "the worker to be killed")
            load.wait_for_writes(5)
        running.work.kill()
        expire_leases(running)
        running.work.start()
        job = wait_for_job(running, bucket)
        assert (job["state"], job.get("failed", 0)) == ("done", 0)
        for number in range(300):
            s3.delete_object(Bucket="load", Key=f"more-{number:03}")
        load.end()
    # Uploads that began before are stored as they began.
    assert schemes(running, bucket) <= {None, TWOFOLD_SCHEME}
    keys(running, "encrypt-objects", bucket)
    assert wait_for_job(running, bucket)["state"] == "done"
    assert schemes(running, bucket) == {TWOFOLD_SCHEME}
    # What a kill left between bytes and record belongs to nobody; each time of at most 8 at once.
    assert_settled(running, unowned_max=24)


def test_what_cannot_be_read_is_a_dead_letter_and_holds_up_nothing(running: Cluster) -> None:
    s3 = s3_client(running.fronts[0])
    bucket = new_name()
    s3.create_bucket(Bucket=bucket)
    for key in ("a", "b", "c"):
        s3.put_object(Bucket=bucket, Key=key, Body=content(200_000))
    record = stored_records(running, [bucket])[bucket]["b"]
    record["location"][0]["key"] = "0" * 40
    call_metadata(running, "put", ["b", json.dumps(record), {}], [bucket])
    keys(running, "encrypt-objects", bucket)
    job = wait_for_job(running, bucket)
    assert (job["state"], job["stored"], job["failed"]) == ("done", 2, 1)
    (letter,) = stored_records(running, [DEAD_LETTERS])[DEAD_LETTERS].values()
    assert letter["key"] == "b"
    assert "1 failed" in keys(running, "jobs", code=1)


def test_what_was_altered_is_not_stored_again_as_if_it_were_right(running: Cluster) -> None:
    """Parts that have changed places, and an encrypted blob that is said to be plain."""
    s3 = s3_client(running.fronts[0])
    bucket = new_name()
    s3.create_bucket(Bucket=bucket)
    for key in ("swapped", "cut off"):
        upload = {"Bucket": bucket, "Key": key}
        upload["UploadId"] = s3.create_multipart_upload(**upload, ServerSideEncryption="AES256")[
            "UploadId"
        ]
        parts = [
            {
                "PartNumber": number,
                "ETag": s3.upload_part(**upload, PartNumber=number, Body=PART)["ETag"],
            }
            for number in (1, 2)
        ]
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    records = stored_records(running, [bucket])[bucket]
    first, second = records["swapped"]["location"]
    starts = first["start"], second["start"]
    records["swapped"]["location"] = [
        {**second, "start": starts[0], "dataStoreETag": f"1:{'0' * 32}"},
        {**first, "start": starts[1], "dataStoreETag": f"1:{'0' * 32}"},
    ]
    for location in records["cut off"]["location"]:
        location["dataStoreETag"] = f"1:{'0' * 32}"
        for member in ("cryptoScheme", "cipheredDataKey", "masterKeyId", "blobNumber"):
            location.pop(member)
    for key, record in records.items():
        call_metadata(running, "put", [key, json.dumps(record), {}], [bucket])
    before = stored_records(running, [bucket])[bucket]
    demand_encryption(s3, bucket, SSEAlgorithm="aws:kms")
    keys(running, "encrypt-objects", bucket)
    job = wait_for_job(running, bucket)
    assert (job["state"], job["stored"], job["failed"]) == ("done", 0, 2)
    assert stored_records(running, [bucket])[bucket] == before


def test_a_job_is_slow_and_can_be_ended(running: Cluster) -> None:
    s3 = s3_client(running.fronts[0])
    bucket = new_name()
    s3.create_bucket(Bucket=bucket)
    for number in range(60):
        s3.put_object(Bucket=bucket, Key=f"{number}", Body=content(1024 * 1024))
    keys(running, "encrypt-objects", bucket, "--rate", "1")
    assert "is running" in keys(running, "encrypt-objects", bucket, code=1)
    wait_for(lambda: TWOFOLD_SCHEME in schemes(running, bucket), "an object to be stored")
    keys(running, "cancel", bucket)
    assert "no job" in keys(running, "cancel", bucket, code=1)
    # The worker adds what it has done of the page once it has seen that.
    wait_for(lambda: bool(job_of(running, bucket)["stored"]), "the job to be left")
    ended = job_of(running, bucket)
    assert (ended["state"], ended.get("failed", 0)) == ("cancelled", 0)
    assert 0 < ended["stored"] < 60
    assert None in schemes(running, bucket)
    keys(running, "encrypt-objects", bucket, "--rate", "1000")
    assert wait_for_job(running, bucket)["stored"] == 60 - ended["stored"]
    assert_settled(running)


def test_no_bucket_is_no_job(running: Cluster) -> None:
    assert "there is no bucket missing" in keys(running, "encrypt-objects", "missing", code=1)


def test_without_versions_and_suspended(running: Cluster) -> None:
    s3 = s3_client(running.fronts[0])
    bucket = new_name()
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="null", Body=b"before versions")
    set_versioning(s3, bucket, "Enabled")
    s3.put_object(Bucket=bucket, Key="null", Body=b"a version")
    s3.put_object(Bucket=bucket, Key="other", Body=b"a version")
    set_versioning(s3, bucket, "Suspended")
    s3.put_object(Bucket=bucket, Key="other", Body=b"null again")
    before = described(s3, bucket)
    keys(running, "encrypt-objects", bucket)
    assert wait_for_job(running, bucket)["stored"] == 4
    assert schemes(running, bucket) == {TWOFOLD_SCHEME}
    assert described(s3, bucket) == before
    assert_settled(running)


def test_a_null_version_that_was_copied_while_there_were_versions(running: Cluster) -> None:
    """Its record is there twice, and both give up the blob, also while versioning is suspended."""
    s3, bucket = s3_client(running.fronts[0]), new_name()
    s3.create_bucket(Bucket=bucket)
    set_versioning(s3, bucket, "Suspended")
    for key in ("changed", "tagged"):
        s3.put_object(Bucket=bucket, Key=key, Body=content(50_000))
    set_versioning(s3, bucket, "Enabled")
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    s3.put_object_tagging(Bucket=bucket, Key="tagged", Tagging=tags)
    keys(running, "encrypt-objects", bucket)
    assert wait_for_job(running, bucket)["failed"] == 0
    set_versioning(s3, bucket, "Suspended")
    keys(running, "encrypt-objects", bucket, "--decrypt")
    assert wait_for_job(running, bucket)["failed"] == 0
    records = stored_records(running, [bucket])[bucket]
    for key in ("changed", "tagged"):
        master = records[key]
        assert records[f"{key}\0{master['versionId']}"]["location"] == master["location"]
        assert body_of(s3, bucket, key, VersionId="null") == content(50_000)
    set_versioning(s3, bucket, "Enabled")
    for key in ("changed", "tagged"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"newer")
        assert body_of(s3, bucket, key, VersionId="null") == content(50_000)
    assert schemes(running, bucket) == {None}
    assert_settled(running)


def test_a_place_that_is_away_is_waited_for(running: Cluster) -> None:
    s3 = s3_client(running.fronts[0])
    bucket = new_name()
    s3.create_bucket(Bucket=bucket)
    bodies = {f"{size}": content(size) for size in (10, 2000, 200_000, 3_000_000)}
    for key, body in bodies.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    running.dmd_data.kill()
    keys(running, "encrypt-objects", bucket)
    wait_for(
        lambda: any(
            worker["name"] == "encryption-jobs" and worker["said"].get("reason")
            for worker in json.loads(work_status(running))["workers"]
        ),
        "the worker to say that it waits",
    )
    running.start_daemons()
    job = wait_for_job(running, bucket)
    assert (job["state"], job["stored"], job["failed"]) == ("done", 4, 0)
    for key, body in bodies.items():
        assert body_of(s3, bucket, key) == body


def work_status(running: Cluster) -> str:
    done = fork_server.run("s3front", ["work", "status", "--json"], running.work.environ, 60)
    return done.stdout
