"""A master key is replaced while clients go on: nothing that they see changes, and nothing is left
under the old key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from s3front.keys.keyring_file import (
    locked,
    new_master_key,
    read_keyring,
    replace_keyring,
    retired,
)
from s3front.work.key_rotation import ROTATION
from shared.records.encrypted import protections
from shared.records.names import DEAD_LETTERS, IAM, KEY_JOBS, UPLOADS_PREFIX
from tests.api.encrypting import (
    BY_FIRST,
    BY_KMS,
    BY_S3,
    FIRST,
    by_customer,
    encrypting_cluster,
    told,
)
from tests.api.jobs import dmd
from tests.api.sessions import ROOT, client, key_of
from tests.api.support import body_of, new_name, set_versioning
from tests.clients_boto3 import aws_client, s3_client
from tests.faults.stores import (
    assert_metadata_is_well,
    call_metadata,
    expire_leases,
    stored_records,
)
from tests.load import Load
from tests.servers import Cluster, wait_for

SETTINGS = {"deleteDelaySeconds": 0}
PART = b"p" * (5 * 1024 * 1024)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Cluster]:
    with encrypting_cluster(tmp_path, fronts=2, settings=SETTINGS) as started:
        yield started


def rotate(running: Cluster) -> tuple[str, str]:
    """What ``s3front keys rotate`` does; the old key and the new one, as records name them."""
    path = Path(running.settings["encryption"]["keyringFile"])
    with locked(path):
        ring = read_keyring(path)
        assert ring is not None
        old, new = ring.current, new_master_key()
        replace_keyring(path, retired(replace(ring.with_key(new), current=new.id), old))
    return f"file:{old}", f"file:{new.id}"


def names_of_keys(running: Cluster, bucket: str) -> set[str]:
    """The master keys that the records of a bucket name."""
    levels = stored_records(running, [bucket, UPLOADS_PREFIX + bucket])
    return {
        each.key
        for records in levels.values()
        for record in records.values()
        for each in protections(record)
        if each is not None
    }


def wait_for_rotation(running: Cluster, *old: str, seconds: float = 60) -> dict[str, Any]:
    """Until a pass has found that nothing is left to do for these keys; its progress."""
    found: dict[str, Any] = {}

    def is_over() -> bool:
        nonlocal found
        found = stored_records(running, [KEY_JOBS])[KEY_JOBS].get(ROTATION, {})
        return (
            set(old) <= set(found.get("keys", ()))
            and bool(found.get("finished"))
            and not found.get("changed")
        )

    wait_for(is_over, lambda: f"the rotation, {found}; {running.work.output[-3000:]}", seconds)
    return found


def test_a_backup_needs_no_key_that_was_replaced(running: Cluster, tmp_path: Path) -> None:
    s3 = s3_client(running.fronts[0])
    bucket = new_name()
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="key", Body=b"body", **BY_S3)
    old, new = rotate(running)
    wait_for_rotation(running, old)
    told = dmd(running, "backup", str(tmp_path / "backup")).errors
    assert f"this one needs: {new}\n" in told
    needed = json.loads((tmp_path / "backup" / "master-keys.json").read_text("utf-8"))
    assert needed == {"masterKeys": [new]}


def test_users_go_on_while_their_secrets_are_sealed_anew(running: Cluster) -> None:
    iam = aws_client("iam", running.fronts[0])
    user = new_name()
    iam.create_user(UserName=user)
    iam.attach_user_policy(
        UserName=user, PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    )
    key = iam.create_access_key(UserName=user)["AccessKey"]
    own = key["AccessKeyId"], key["SecretAccessKey"]
    s3_client(running.fronts[0], *own).list_buckets()
    old, new = rotate(running)
    wait_for_rotation(running, old)
    records = stored_records(running, [IAM])[IAM]
    assert records[f"key/{own[0]}"]["secret"]["masterKeyId"] == new
    running.add_front()
    for front in running.fronts:
        s3_client(front, *own).list_buckets()


def test_sessions_go_on_while_their_key_is_sealed_anew(running: Cluster) -> None:
    session = key_of(client(running.fronts[0], "sts", ROOT).get_session_token())
    old, new = rotate(running)
    wait_for_rotation(running, old)
    (record,) = (
        record for key, record in stored_records(running, [IAM])[IAM].items() if key == "sessions"
    )
    assert {each["secret"]["masterKeyId"] for each in record["keys"]} == {new}
    # One that has opened the key before, one that opens it now, and one that is new.
    running.add_front()
    for front in running.fronts:
        client(front, "s3", session).list_buckets()
        again = key_of(client(front, "sts", ROOT).get_session_token())
        client(running.fronts[0], "s3", again).list_buckets()


def test_everything_is_wrapped_anew_and_nothing_else_changes(running: Cluster) -> None:
    s3 = s3_client(running.fronts[0])
    bucket, plain = new_name(), new_name()
    for name in (bucket, plain):
        s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=bucket, Key="null", Body=b"null version", **BY_S3)
    set_versioning(s3, bucket, "Enabled")
    versions = [
        s3.put_object(Bucket=bucket, Key=key, Body=body.encode(), **BY_KMS)["VersionId"]
        for key, body in (("null", "newer"), ("twice", "one"), ("twice", "two"))
    ]
    s3.delete_object(Bucket=bucket, Key="null")
    s3.put_object(Bucket=bucket, Key="customers", Body=b"own", **by_customer())
    s3.put_object(Bucket=bucket, Key="empty", Body=b"", **BY_S3)
    s3.put_object(Bucket=plain, Key="plain", Body=b"plain")
    whole = s3.create_multipart_upload(Bucket=bucket, Key="parts", **BY_KMS)["UploadId"]
    half = s3.create_multipart_upload(Bucket=bucket, Key="half", **BY_KMS)["UploadId"]
    etags = [part(s3, bucket, "parts", whole, 1, PART), part(s3, bucket, "parts", whole, 2, b"end")]
    complete(s3, bucket, "parts", whole, etags)
    first = part(s3, bucket, "half", half, 1, PART)
    before = listed(s3, bucket)

    old, new = rotate(running)
    progress = wait_for_rotation(running, old)
    assert names_of_keys(running, bucket) == {new, "customer"}
    assert progress["rewrapped"] >= 8
    assert not progress.get("failed")
    assert_metadata_is_well(running.folder / "metadata")
    assert listed(s3, bucket) == before
    for front in running.fronts:
        client = s3_client(front)
        assert body_of(client, bucket, "twice", VersionId=versions[1]) == b"one"
        assert body_of(client, bucket, "twice", VersionId=versions[2]) == b"two"
        assert body_of(client, bucket, "null", VersionId=versions[0]) == b"newer"
        assert body_of(client, bucket, "null", VersionId="null") == b"null version"
        assert body_of(client, bucket, "parts") == PART + b"end"
        found = client.get_object(Bucket=bucket, Key="customers", **by_customer())
        assert found["Body"].read() == b"own"
    # The name that a client was told still means something.
    assert told(s3.head_object(Bucket=bucket, Key="twice")) == BY_FIRST
    named = {**BY_KMS, "SSEKMSKeyId": FIRST}
    s3.put_object(Bucket=bucket, Key="named", Body=b"by name", **named)
    assert names_of_keys(running, bucket) == {new, "customer"}
    second = part(s3, bucket, "half", half, 2, b"end")
    complete(s3, bucket, "half", half, [first, second])
    assert body_of(s3, bucket, "half") == PART + b"end"
    assert names_of_keys(running, bucket) == {new, "customer"}


def part(s3: Any, bucket: str, key: str, upload: str, number: int, body: bytes) -> str:
    sent = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body)
    return str(sent["ETag"])


def complete(s3: Any, bucket: str, key: str, upload: str, etags: list[str]) -> None:
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
    )


def listed(s3: Any, bucket: str) -> Any:
    found = s3.list_object_versions(Bucket=bucket)
    return found["Versions"], found["DeleteMarkers"]


def test_the_worker_goes_on_where_it_was_killed(running: Cluster) -> None:
    s3 = s3_client(running.fronts[0])
    bucket = new_name()
    s3.create_bucket(Bucket=bucket)
    for number in range(450):
        s3.put_object(Bucket=bucket, Key=f"{number:03}", Body=b"%d" % number, **BY_S3)
    running.work.kill()
    old, new = rotate(running)
    for _ in range(2):
        start_work(running, "after-keys-rewrapped")
        wait_for(lambda: running.work.poll() is not None, "the worker to be killed")
        running.work.kill()
        assert names_of_keys(running, bucket) == {old, new}
    start_work(running)
    progress = wait_for_rotation(running, old)
    assert names_of_keys(running, bucket) == {new}
    # Pages whose end nobody has noted were done all the same.
    assert progress["rewrapped"] == 50
    assert all(
        body_of(s3, bucket, f"{number:03}") == b"%d" % number for number in range(0, 450, 50)
    )


def test_writers_and_kills_in_the_middle_of_it(tmp_path: Path) -> None:
    settings = {**SETTINGS, "globalEncryptionEnabled": True}
    with encrypting_cluster(tmp_path, fronts=2, settings=settings) as running:
        bucket = "load"
        old: list[str] = []
        with Load(bucket, running.fronts) as load:
            for _ in range(3):
                load.wait_for_writes(40)
                old.append(rotate(running)[0])
                load.wait_for_writes(20)
                running.work.kill()
                start_work(running)
                load.wait_for_writes(100)
            load.end()
        wait_for_rotation(running, *old)
        names = names_of_keys(running, bucket)
        assert names
        assert not names & set(old)
        assert_metadata_is_well(running.folder / "metadata")


def test_a_record_that_is_damaged_holds_up_nothing(running: Cluster) -> None:
    s3 = s3_client(running.fronts[0])
    bucket = new_name()
    s3.create_bucket(Bucket=bucket)
    for key in ("a", "b", "c"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode(), **BY_S3)
    record = stored_records(running, [bucket])[bucket]["b"]
    record["location"][0]["cipheredDataKey"] = "AAAA"
    call_metadata(running, "put", ["b", json.dumps(record), {}], [bucket])
    old, new = rotate(running)
    wait_for(lambda: names_of_keys(running, bucket) == {old, new}, "the others to be done")
    wait_for(lambda: bool(stored_records(running, [DEAD_LETTERS])[DEAD_LETTERS]), "the letter")
    (letter,) = stored_records(running, [DEAD_LETTERS])[DEAD_LETTERS].values()
    assert letter["key"] == "b"
    assert letter["reason"] == "its keys cannot be unwrapped"
    assert wait_for_rotation(running, old)["failed"] == 1
    assert body_of(s3, bucket, "c") == b"c"


def start_work(running: Cluster, failpoint: str = "") -> None:
    """Background work, which has not to wait for the lease of the one that was killed."""
    expire_leases(running)
    running.work.start(failpoint)
