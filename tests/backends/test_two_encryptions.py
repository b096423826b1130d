"""Encryption at a place (``serverSideEncryption`` of a location), alone and together with our own,
looked at from both sides: the place is a second instance of this server that has master keys."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.api.encrypting import encrypting_cluster
from tests.clients_boto3 import s3_client
from tests.servers import ACCESS_KEY, SECRET_KEY, Cluster

MIB: Final = 1024 * 1024
HEADER: Final = b"\x89TWOFOLD"
HOW: Final = {"AES256": True, "aws:kms": "aws:kms"}
"""What a place is to do, and what its location says."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with encrypting_cluster(tmp_path_factory.mktemp("place")) as running:
        yield running


@pytest.fixture(scope="module")
def s3(place: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of the server whose locations, one for each of HOW, are buckets at the place."""
    there, folder = s3_client(place.fronts[0]), tmp_path_factory.mktemp("here")
    locations: dict[str, Any] = {"us-east-1": {"type": "file", "details": {}}}
    for number, said in enumerate(HOW.values()):
        bucket = f"there-{number}"
        there.create_bucket(Bucket=bucket)
        enabled = {"Status": "Enabled"}
        there.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=enabled)
        details = {
            "awsEndpoint": f"127.0.0.1:{place.fronts[0].port}",
            "bucketName": bucket,
            "bucketMatch": True,
            "https": False,
            "pathStyle": True,
            "serverSideEncryption": said,
            "credentials": {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY},
        }
        locations[bucket] = {"type": "aws_s3", "details": details}
    file = folder / "locationConfig.json"
    file.write_text(json.dumps(locations))
    environ = {"S3_LOCATION_FILE": str(file)}
    with encrypting_cluster(folder, environ=environ) as running:
        yield s3_client(running.fronts[0])


@pytest.mark.parametrize("ours", [None, "AES256"])
@pytest.mark.parametrize("theirs", HOW)
def test_each_side_encrypts_what_it_is_to(
    s3: Any, place: Cluster, theirs: str, ours: str | None
) -> None:
    name = f"there-{[*HOW].index(theirs)}"
    bucket = f"here-{theirs.replace(':', '-').lower()}-{(ours or 'plain').lower()}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": name})
    said = {} if ours is None else {"ServerSideEncryption": ours}
    contents = {"small": os.urandom(1000), "large": os.urandom(3 * MIB)}
    for key, body in contents.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body, **said)
    parts = [os.urandom(5 * MIB), os.urandom(1000)]
    contents["parts"] = b"".join(parts)
    upload = {"Bucket": bucket, "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload, **said)["UploadId"]
    listed = []
    for number, body in enumerate(parts, start=1):
        sent = s3.upload_part(**upload, PartNumber=number, Body=body)
        listed.append({"PartNumber": number, "ETag": sent["ETag"]})
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": listed})
    for key, body in contents.items():
        found = s3.get_object(Bucket=bucket, Key=key)
        assert found["Body"].read() == body
        assert found.get("ServerSideEncryption") == ours
        ranged = s3.get_object(Bucket=bucket, Key=key, Range="bytes=5-900")
        assert ranged["Body"].read() == body[5:901]
    _look_at_the_place(s3_client(place.fronts[0]), name, theirs, ours, contents)
    for key in contents:
        s3.delete_object(Bucket=bucket, Key=key)


def _look_at_the_place(
    there: Any, bucket: str, theirs: str, ours: str | None, contents: dict[str, bytes]
) -> None:
    """What is kept there, by now, of these objects."""
    kept = []
    for version in there.list_object_versions(Bucket=bucket)["Versions"]:
        which = {"Bucket": bucket, "Key": version["Key"], "VersionId": version["VersionId"]}
        answer = there.get_object(**which)
        assert answer["ServerSideEncryption"] == theirs
        kept.append(answer["Body"].read())
    if ours is None:
        assert all(body in kept for body in contents.values())
    else:
        assert not any(body in kept for body in contents.values())
        assert sum(body.startswith(HEADER) for body in kept) >= len(contents)
        assert not any(body[:100] in each for body in contents.values() for each in kept)
