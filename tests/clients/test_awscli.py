"""The same tree with aws-cli: its file commands and its plain API calls."""

from __future__ import annotations

import filecmp
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.clients import tree
from tests.clients.awscli import AwsCli
from tests.clients.stored import Bucket, Description
from tests.clients_boto3 import s3_client
from tests.servers import Front


@dataclass(frozen=True)
class Uploaded:
    """A bucket into which ``aws s3 sync`` has put ``tree.files()``, and what it printed."""

    aws: AwsCli
    bucket: str
    folder: Path
    output: str


@pytest.fixture(scope="module")
def aws(endpoint: Front, tmp_path_factory: pytest.TempPathFactory) -> AwsCli:
    return AwsCli(endpoint, tmp_path_factory.mktemp("aws"))


@pytest.fixture(scope="module")
def uploaded(aws: AwsCli) -> Iterator[Uploaded]:
    """The tree, synchronised into a bucket of its own; everything is removed at the end."""
    bucket = fresh_name()
    folder = aws.folder / "tree"
    tree.write_files(folder)
    assert aws.s3("mb", f"s3://{bucket}") == f"make_bucket: {bucket}\n"
    output = aws.s3("sync", str(folder), f"s3://{bucket}")
    yield Uploaded(aws, bucket, folder, output)
    aws.s3("rb", "--force", f"s3://{bucket}")
    assert aws.try_("s3api", "head-bucket", "--bucket", bucket).code != 0


@pytest.fixture(scope="module")
def plain_aws(front: Front, tmp_path_factory: pytest.TempPathFactory) -> AwsCli:
    """The program over HTTP alone, for what the transport does not change."""
    return AwsCli(front, tmp_path_factory.mktemp("aws"))


@pytest.fixture
def plain_bucket(front: Front) -> Iterator[str]:
    with emptied_bucket(front) as name:
        yield name


@pytest.fixture
def bucket(endpoint: Front) -> Iterator[str]:
    """An empty bucket."""
    with emptied_bucket(endpoint) as name:
        yield name


@contextmanager
def emptied_bucket(front: Front) -> Iterator[str]:
    """A bucket that is made and removed by a client that starts faster."""
    name, s3 = fresh_name(), s3_client(front)
    s3.create_bucket(Bucket=name)
    yield name
    for entry in s3.list_objects_v2(Bucket=name).get("Contents", []):
        s3.delete_object(Bucket=name, Key=entry["Key"])
    s3.delete_bucket(Bucket=name)


def fresh_name() -> str:
    return f"awscli-{uuid.uuid4().hex[:16]}"


def test_sync_moves_every_file_once(uploaded: Uploaded) -> None:
    assert uploaded.output.count("upload: ") == len(tree.files())
    assert uploaded.aws.s3("sync", str(uploaded.folder), f"s3://{uploaded.bucket}") == ""


def test_sync_brings_back_every_file_once(uploaded: Uploaded, tmp_path: Path) -> None:
    source = f"s3://{uploaded.bucket}"
    uploaded.aws.s3("sync", source, str(tmp_path))
    assert tree.read_files(tmp_path) == tree.files()
    assert uploaded.aws.s3("sync", source, str(tmp_path)) == ""


@pytest.mark.parametrize("operation", ["list-objects", "list-objects-v2"])
def test_the_listing_has_every_file(uploaded: Uploaded, operation: str) -> None:
    reply = uploaded.aws.api(operation, "--bucket", uploaded.bucket, "--page-size", "5")
    listed = {entry["Key"]: (entry["ETag"], entry["Size"]) for entry in reply["Contents"]}
    assert listed == {key: (tree.etag(data), len(data)) for key, data in tree.files().items()}


def test_ls_shows_folders_and_files(uploaded: Uploaded) -> None:
    assert uploaded.bucket in uploaded.aws.s3("ls")
    lines = uploaded.aws.s3("ls", f"s3://{uploaded.bucket}/a/b/").splitlines()
    assert [line.split() for line in lines] == [["PRE", "c/"]]
    lines = uploaded.aws.s3("ls", "--recursive", f"s3://{uploaded.bucket}/a/").splitlines()
    assert [line.split()[2:] for line in lines] == [["33", "a/b/c/d/e/f/g/deep"]]


def test_cp_streams_a_key_that_no_file_can_have(aws: AwsCli, endpoint: Front, bucket: str) -> None:
    key = "a//b+c%20d?.txt"
    aws.s3("cp", "-", f"s3://{bucket}/{key}", given=b"streamed")
    s3 = s3_client(endpoint)
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    assert aws.s3("cp", f"s3://{bucket}/{key}", "-") == "streamed"
    aws.s3("rm", f"s3://{bucket}/{key}")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_an_empty_file_leaves_the_connection_usable(
    plain_aws: AwsCli, plain_bucket: str, tmp_path: Path
) -> None:
    """Every file is sent with ``Expect: 100-continue``, an empty one too.

    When this client gets its answer without 100, it mistakes the next one on the same connection.
    """
    for name, text in (("1", ""), ("2", "data"), ("3", ""), ("4", ""), ("5", "data")):
        (tmp_path / name).write_text(text)
    one_by_one = replace(plain_aws, concurrent_requests=1)
    output = one_by_one.s3("sync", "--cli-read-timeout", "5", str(tmp_path), f"s3://{plain_bucket}")
    assert output.count("upload: ") == 5


def test_sync_with_delete_removes_what_is_gone(
    plain_aws: AwsCli, front: Front, plain_bucket: str, tmp_path: Path
) -> None:
    for name in ("kept", "removed", "changed"):
        (tmp_path / name).write_text("first")
    plain_aws.s3("sync", str(tmp_path), f"s3://{plain_bucket}")
    (tmp_path / "removed").unlink()
    (tmp_path / "changed").write_text("second and longer")
    output = plain_aws.s3(
        "sync", "--delete", "--no-progress", str(tmp_path), f"s3://{plain_bucket}"
    )
    assert sorted(line.split()[0] for line in output.splitlines()) == ["delete:", "upload:"]
    contents = s3_client(front).list_objects_v2(Bucket=plain_bucket)["Contents"]
    listed = {entry["Key"]: entry["Size"] for entry in contents}
    assert listed == {"changed": len("second and longer"), "kept": len("first")}


@pytest.mark.timeout(300)
def test_a_big_file_goes_up_and_is_copied_by_parts(
    plain_aws: AwsCli, program_bucket: Bucket, big_file: tree.BigFile, tmp_path: Path
) -> None:
    """Copies by parts are given the description again: this client does not read the source's."""
    name, url, description = big_file.path.name, f"s3://{program_bucket.name}", Description()
    options = ["--content-type", description.content_type]
    options += ["--cache-control", description.cache_control]
    options += ["--metadata", json.dumps(description.metadata), "--no-progress"]
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / name).hardlink_to(big_file.path)
    plain_aws.s3("mb", url)
    sync = ("sync", *options, str(folder), url)
    assert (plain_aws.s3(*sync).count("upload: "), plain_aws.s3(*sync)) == (1, "")
    plain_aws.s3("cp", *options, f"{url}/{name}", f"{url}/copied")
    plain_aws.s3("mv", *options, f"{url}/copied", f"{url}/moved/it")
    stored = (big_file.multipart_etag, big_file.size_bytes)
    assert program_bucket.listing() == {name: stored, "moved/it": stored}
    assert [program_bucket.description(key) for key in (name, "moved/it")] == [description] * 2
    plain_aws.s3("cp", f"{url}/moved/it", str(tmp_path / "back"))
    assert filecmp.cmp(tmp_path / "back", big_file.path, shallow=False)
    plain_aws.s3("rb", "--force", url)
    assert not program_bucket.exists()


def test_a_small_object_is_copied_and_moved_with_its_description(
    plain_aws: AwsCli, front: Front, plain_bucket: str
) -> None:
    url, key = f"s3://{plain_bucket}", "folder with space/sub+folder/100%"
    description = Description(metadata={"colour": "blue"})
    options = ["--content-type", description.content_type, "--metadata", "colour=blue"]
    options += ["--cache-control", description.cache_control]
    plain_aws.s3("cp", *options, "-", f"{url}/{key}", given=b"data")
    plain_aws.s3("cp", f"{url}/{key}", f"{url}/copy of {key}")
    plain_aws.s3("mv", f"{url}/copy of {key}", f"{url}/moved/")
    bucket = Bucket(s3_client(front), plain_bucket)
    stored = (tree.etag(b"data"), len(b"data"))
    assert bucket.listing() == {key: stored, "moved/100%": stored}
    assert bucket.description("moved/100%") == description


def test_plain_calls_carry_metadata_and_checksums(aws: AwsCli, bucket: str, tmp_path: Path) -> None:
    data = tree.content("awscli", 5 * tree.MIB)
    (tmp_path / "body").write_bytes(data)
    address = ("--bucket", bucket, "--key", "ünïcödé 🎉")
    stored = aws.api(
        *("put-object", *address, "--body", str(tmp_path / "body")),
        *("--content-type", "image/x-test", "--cache-control", "no-cache"),
        *("--content-disposition", "inline", "--content-encoding", "x-test"),
        *("--metadata", "colour=blue", "--checksum-algorithm", "SHA256"),
    )
    assert stored["ETag"] == tree.etag(data)
    reply = aws.api("get-object", *address, "--checksum-mode", "ENABLED", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == data
    assert reply["ChecksumSHA256"] == stored["ChecksumSHA256"]
    described = {
        "ContentLength": len(data),
        "ContentType": "image/x-test",
        "CacheControl": "no-cache",
        "ContentDisposition": "inline",
        "ContentEncoding": "x-test",
        "Metadata": {"colour": "blue"},
    }
    assert {name: reply[name] for name in described} == described
    reply = aws.api("head-object", *address)
    assert {name: reply[name] for name in described} == described


def test_errors_have_their_names(plain_aws: AwsCli, front: Front, plain_bucket: str) -> None:
    s3_client(front).put_object(Bucket=plain_bucket, Key="object", Body=b"data")
    refused = plain_aws.try_("s3", "rb", f"s3://{plain_bucket}")
    assert refused.code != 0
    assert "BucketNotEmpty" in refused.errors
    plain_aws.api("delete-object", "--bucket", plain_bucket, "--key", "object")
    missing = plain_aws.try_(
        "s3api", "get-object", "--bucket", plain_bucket, "--key", "object", "/dev/null"
    )
    assert missing.code != 0
    assert "NoSuchKey" in missing.errors
