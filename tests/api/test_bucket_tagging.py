"""PutBucketTagging, GetBucketTagging and DeleteBucketTagging."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from shared.records.names import METASTORE
from tests.api.support import code_of
from tests.faults.stores import stored_records
from tests.raw_http import call
from tests.servers import Cluster, Front


def tag(key: str, value: str) -> dict[str, str]:
    return {"Key": key, "Value": value}


def put(s3: Any, bucket: str, *tags: dict[str, str]) -> None:
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": list(tags)})


def tags_of(s3: Any, bucket: str) -> Any:
    return s3.get_bucket_tagging(Bucket=bucket)["TagSet"]


def test_tags_are_set_replaced_and_removed(s3: Any, bucket: str) -> None:
    put(s3, bucket, tag("team", "red"), tag("cost", ""))
    assert tags_of(s3, bucket) == [tag("team", "red"), tag("cost", "")]
    put(s3, bucket, tag("Team", "grün + blau"))
    assert tags_of(s3, bucket) == [tag("Team", "grün + blau")]
    s3.delete_bucket_tagging(Bucket=bucket)
    assert code_of(s3.get_bucket_tagging, Bucket=bucket) == (404, "NoSuchTagSet")
    s3.delete_bucket_tagging(Bucket=bucket)


def test_the_record_has_them_as_the_original(s3: Any, shared_cluster: Cluster, bucket: str) -> None:
    put(s3, bucket, tag("a", "1"))
    record = stored_records(shared_cluster, [METASTORE])[METASTORE][bucket]
    assert record["tags"] == [{"Key": "a", "Value": "1"}]


def test_there_are_fifty_at_most(s3: Any, bucket: str) -> None:
    fifty = [tag(f"key{number}", "v") for number in range(50)]
    put(s3, bucket, *fifty)
    with pytest.raises(ClientError) as caught:
        put(s3, bucket, *fifty, tag("one more", "v"))
    error = caught.value.response["Error"]
    assert (error["Code"], error["Message"]) == (
        "BadRequest",
        "Bucket tag count cannot be greater than 50",
    )
    assert tags_of(s3, bucket) == fifty


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (b"<Tagging/>", "MalformedXML"),
        (b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>", "MalformedXML"),
        (b"<Other/>", "MalformedXML"),
        (b"no document", "MalformedXML"),
        (
            b"<Tagging><TagSet><Tag><Key>aws:a</Key><Value>1</Value></Tag></TagSet></Tagging>",
            "InvalidTag",
        ),
        (
            b"<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag>"
            b"<Tag><Key>a</Key><Value>2</Value></Tag></TagSet></Tagging>",
            "InvalidTag",
        ),
    ],
)
def test_a_wrong_document(front: Front, bucket: str, document: bytes, code: str) -> None:
    response = call(front, "PUT", f"/{bucket}?tagging", document)
    assert (response.status, response.error["Code"]) == (400, code)
