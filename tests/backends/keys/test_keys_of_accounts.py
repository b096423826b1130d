"""``defaultEncryptionKeyPerAccount``: the key service makes a master key for each account."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from shared.records.encrypted import protections
from shared.records.names import ACCOUNT_KEYS
from tests.api.encrypting import BY_KMS, BY_S3, KEY_ID, told
from tests.api.support import body_of, new_name
from tests.backends.keys.services import KINDS
from tests.clients_boto3 import s3_client
from tests.faults.stores import stored_records
from tests.servers import OTHER_ACCESS_KEY, OTHER_SECRET_KEY, Cluster, Front, cluster


@pytest.mark.parametrize("kind", list(KINDS))
def test_each_account_has_one_and_all_front_ends_know_it(tmp_path: Path, kind: str) -> None:
    with ExitStack() as stack:
        (tmp_path / "service").mkdir()
        service = KINDS[kind](tmp_path / "service", stack)
        settings = {
            **service.settings,
            "encryption": {**service.settings.get("encryption", {}), "current": kind},
            "defaultEncryptionKeyPerAccount": True,
        }
        running = stack.enter_context(cluster(tmp_path / "cluster", fronts=2, settings=settings))
        buckets = [filled(client_of(running.fronts[0], other=other)) for other in (False, True)]
        keys = [keys_in(running, bucket) for bucket in buckets]
        assert [len(each) for each in keys] == [1, 1]
        assert keys[0] != keys[1]
        assert f"{kind}:{service.key_id}" not in keys[0] | keys[1]
        assert len(stored_records(running, [ACCOUNT_KEYS])[ACCOUNT_KEYS]) == 2
        for other, bucket in enumerate(buckets):
            s3 = client_of(running.fronts[1], other=bool(other))
            assert body_of(s3, bucket, "by S3") == b"body"
            assert body_of(s3, bucket, "parts") == b"body"
            shown = told(s3.head_object(Bucket=bucket, Key="by KMS"))
            assert {f"{kind}:{shown[KEY_ID.removeprefix('x-amz-server-side-encryption')]}"} == keys[
                other
            ]
            filled(s3)
            s3.put_object(Bucket=bucket, Key="more", Body=b"body", **BY_S3)
            assert keys_in(running, bucket) == keys[other]


def client_of(front: Front, *, other: bool) -> Any:
    return s3_client(front, OTHER_ACCESS_KEY, OTHER_SECRET_KEY) if other else s3_client(front)


def filled(s3: Any) -> str:
    """A new bucket with objects that name no key."""
    bucket = new_name()
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="by S3", Body=b"body", **BY_S3)
    s3.put_object(Bucket=bucket, Key="by KMS", Body=b"body", **BY_KMS)
    named = {"Bucket": bucket, "Key": "parts"}
    named["UploadId"] = s3.create_multipart_upload(**named, **BY_S3)["UploadId"]
    etag = s3.upload_part(**named, PartNumber=1, Body=b"body")["ETag"]
    s3.complete_multipart_upload(
        **named, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]}
    )
    return bucket


def keys_in(running: Cluster, bucket: str) -> set[str]:
    """The master keys that the records of a bucket name."""
    return {
        each.key
        for record in stored_records(running, [bucket])[bucket].values()
        for each in protections(record)
        if each is not None
    }
