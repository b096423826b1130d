"""The manual's section 3.3 with a container of Azure's (Azurite), looked at from both sides."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import ContainerClient
from botocore.exceptions import ClientError

from tests.backends.azurites import CONTAINER, Azurite, azurite
from tests.clients import tree
from tests.clients.s3cmd import S3cmd
from tests.clients_boto3 import s3_client
from tests.servers import Cluster, wait_for

LARGE = bytes(range(256)) * 4096 * 7
PART = tree.PART_SIZE_MIB * 1024**2
WHOLE = bytes(range(256)) * 4096 * (2 * tree.PART_SIZE_MIB) + b"the end"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with azurite(tmp_path_factory.mktemp("azurite")) as running:
        running.container()
        running.container("of-all-buckets")
        yield running


@pytest.fixture(scope="module")
def running(there: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A server whose location ``azure-test`` is as in the manual; the key is in the environment,
    under the manual's own name."""
    folder = tmp_path_factory.mktemp("cluster")
    details = there.details()
    del details["azureStorageAccessKey"]
    locations = {
        "us-east-1": {"type": "file", "legacyAwsBehavior": True, "details": {}},
        "azure-test": {"type": "azure", "legacyAwsBehavior": False, "details": details},
        "azure-all": {
            "type": "azure",
            "legacyAwsBehavior": False,
            "details": there.details("of-all-buckets", bucketMatch=False),
        },
        "azure-gone": {
            "type": "azure",
            "legacyAwsBehavior": False,
            "details": there.details("not-there"),
        },
    }
    file = folder / "locationConfig.json"
    file.write_text(json.dumps(locations))
    cluster = Cluster(
        folder,
        settings={"deleteDelaySeconds": 1, "log": {"logLevel": "trace"}},
        environ={
            "S3_LOCATION_FILE": str(file),
            "azure-test_AZURE_STORAGE_ACCESS_KEY": there.key,
            "S3DATA": "multiple",
        },
    )
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture
def s3(running: Cluster) -> Any:
    return s3_client(running.fronts[0])


@pytest.fixture(params=["azure-test", "azure-all"])
def location(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def container(there: Azurite, location: str) -> ContainerClient:
    return there.container(CONTAINER if location == "azure-test" else "of-all-buckets")


@pytest.fixture
def bucket(s3: Any, location: str) -> str:
    name = f"photos-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": location})
    return name


Named = Callable[[str], str]


@pytest.fixture
def named(bucket: str, location: str) -> Named:
    """The name of an object's blob."""
    return lambda key: key if location == "azure-test" else f"{bucket}/{key}"


def test_the_manuals_sequence(
    running: Cluster, container: ContainerClient, location: str, tmp_path: Path
) -> None:
    s3cmd = S3cmd(running.fronts[0], tmp_path)
    bucket = f"zenko-{uuid.uuid4().hex[:8]}"
    hosts = Path("/etc/hosts").read_bytes()
    s3cmd.run("mb", f"s3://{bucket}", f"--region={location}")
    s3cmd.run("put", "/etc/hosts", f"s3://{bucket}/testput")
    listed = s3cmd.run("ls", f"s3://{bucket}").output
    assert listed.split()[-2:] == [str(len(hosts)), f"s3://{bucket}/testput"]
    name = "testput" if location == "azure-test" else f"{bucket}/testput"
    assert container.download_blob(name).readall() == hosts
    found = container.get_blob_client(name).get_blob_properties()
    # s3cmd sends what it knows of the file, and its type, with the object.
    assert "s3cmd_attrs" in found.metadata
    assert found.content_settings.content_type == "text/plain"
    s3cmd.run("get", f"s3://{bucket}/testput", str(tmp_path / "got"))
    assert (tmp_path / "got").read_bytes() == hosts
    s3cmd.run("del", f"s3://{bucket}/testput")
    wait_for(lambda: not container.get_blob_client(name).exists(), "the blob to be removed")


def test_metadata_and_tags_are_in_azure_as_well(
    s3: Any, bucket: str, container: ContainerClient, named: Named
) -> None:
    s3.put_object(
        Bucket=bucket,
        Key="2026/cat.jpg",
        Body=b"meow",
        ContentType="image/jpeg",
        CacheControl="no-store",
        Metadata={"taken-by": "Ann", "colour": "grey"},
        Tagging="a=1&b=two%20words",
    )
    name = named("2026/cat.jpg")
    assert container.download_blob(name).readall() == b"meow"
    found = container.get_blob_client(name).get_blob_properties()
    metadata = found.metadata
    assert metadata.pop("twofold_mark")
    assert json.loads(metadata.pop("tags")) == {"a": "1", "b": "two words"}
    assert metadata == {"taken_by": "Ann", "colour": "grey"}
    assert found.content_settings.content_type == "image/jpeg"
    assert found.content_settings.cache_control == "no-store"
    head = s3.head_object(Bucket=bucket, Key="2026/cat.jpg")
    assert head["Metadata"] == {"taken-by": "Ann", "colour": "grey"}
    assert head["ContentType"] == "image/jpeg"
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"].startswith("azure-")


@pytest.mark.parametrize("size", [0, 70_000, len(LARGE)])
def test_objects_of_any_size(
    s3: Any, bucket: str, container: ContainerClient, named: Named, size: int
) -> None:
    key = f"{bucket}-{size}"
    s3.put_object(Bucket=bucket, Key=key, Body=LARGE[:size])
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == LARGE[:size]
    if size:
        part = s3.get_object(Bucket=bucket, Key=key, Range="bytes=10-69")["Body"].read()
        assert part == LARGE[10:70]
        assert container.download_blob(named(key)).readall() == LARGE[:size]


def test_an_upload_of_parts_is_one_blob(
    s3: Any, bucket: str, container: ContainerClient, named: Named, tmp_path: Path, running: Cluster
) -> None:
    key = f"{bucket}-film"
    (tmp_path / "film").write_bytes(WHOLE)
    s3cmd = S3cmd(running.fronts[0], tmp_path)
    s3cmd.run("put", "--mime-type=video/mp4", str(tmp_path / "film"), f"s3://{bucket}/{key}")
    blob = container.get_blob_client(named(key))
    assert blob.download_blob().readall() == WHOLE
    found = blob.get_blob_properties()
    assert found.content_settings.content_type == "video/mp4"
    assert "twofold_placeholder" not in found.metadata
    assert s3.head_object(Bucket=bucket, Key=key)["ETag"].endswith(f'-{len(WHOLE) // PART + 1}"')
    s3.put_object_tagging(
        Bucket=bucket, Key=key, Tagging={"TagSet": [{"Key": "seen", "Value": "yes"}]}
    )
    wait_for(
        lambda: blob.get_blob_properties().metadata.get("tags") == '{"seen":"yes"}', "the new tags"
    )
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == WHOLE
    s3.copy_object(Bucket=bucket, Key=f"{key}-2", CopySource={"Bucket": bucket, "Key": key})
    assert container.download_blob(named(f"{key}-2")).readall() == WHOLE
    for name in (key, f"{key}-2"):
        s3.delete_object(Bucket=bucket, Key=name)
    wait_for(lambda: not blob.exists(), "the blob to be removed")


def test_an_upload_that_is_aborted_leaves_nothing(
    s3: Any, bucket: str, container: ContainerClient, named: Named
) -> None:
    key = f"{bucket}-aborted"
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    assert container.get_blob_client(named(key)).exists()
    names = {"Bucket": bucket, "Key": key, "UploadId": upload}
    s3.upload_part(**names, PartNumber=1, Body=LARGE)
    s3.abort_multipart_upload(**names)

    def left() -> list[Any]:
        return list(container.list_blobs(name_starts_with=named(key), include="uncommittedblobs"))

    wait_for(lambda: left() == [], lambda: f"all to be removed: {left()}")


def test_an_object_that_is_replaced_is_removed_there_later(
    s3: Any, bucket: str, container: ContainerClient, named: Named
) -> None:
    key = f"key-{bucket}"
    for body in (b"first", b"second", LARGE, b"last"):
        s3.put_object(Bucket=bucket, Key=key, Body=body)
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body

    def blobs() -> list[str]:
        return list(container.list_blob_names(name_starts_with=named(key)))

    wait_for(lambda: len(blobs()) == 1, lambda: f"all but one to be removed: {blobs()}")
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"last"
    s3.delete_object(Bucket=bucket, Key=key)
    wait_for(lambda: blobs() == [], lambda: f"all to be removed: {blobs()}")


def test_an_object_can_have_another_location_than_its_bucket(
    s3: Any, there: Azurite, running: Cluster
) -> None:
    bucket = f"mixed-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(
        Bucket=bucket,
        Key=f"{bucket}-away",
        Body=b"away",
        Metadata={"scal-location-constraint": "azure-test"},
    )
    assert there.container().download_blob(f"{bucket}-away").readall() == b"away"
    assert s3.get_object(Bucket=bucket, Key=f"{bucket}-away")["Body"].read() == b"away"


def test_what_azure_refuses_is_said_in_the_log_without_a_secret(
    s3: Any, running: Cluster, there: Azurite
) -> None:
    bucket = f"lost-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "azure-gone"})
    for body in (b"x", LARGE):
        with pytest.raises(ClientError) as caught:
            s3.put_object(Bucket=bucket, Key="key", Body=body)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    logged = running.fronts[0].process.output
    assert "404 ContainerNotFound: the container does not exist" in logged
    assert there.key not in logged + running.work.output
    assert "sig=" not in logged
