"""CreateBucket, HeadBucket, GetBucketLocation and DeleteBucket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.support import OTHER_ACCOUNT_ID, code_of, error_of, new_name, put_all
from tests.clients_boto3 import s3_client
from tests.raw_http import FOREIGNER, OWNER, anonymous, call
from tests.servers import Cluster, Front, cluster

pytestmark = pytest.mark.usefixtures("undisturbed")

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
CONFIGURATION = f'<CreateBucketConfiguration xmlns="{NAMESPACE}">%s</CreateBucketConfiguration>'
LOCATION = CONFIGURATION % "<LocationConstraint>%s</LocationConstraint>"


def test_a_created_bucket_exists_and_is_listed(s3: Any) -> None:
    name = new_name()
    assert s3.create_bucket(Bucket=name)["Location"] == f"/{name}"
    assert s3.head_bucket(Bucket=name)["BucketRegion"] == "us-east-1"
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None
    assert name in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]


def test_a_bucket_created_on_one_front_end_exists_on_the_other(
    s3: Any, tls_front: Front, bucket: str
) -> None:
    assert s3_client(tls_front).head_bucket(Bucket=bucket)["BucketRegion"] == "us-east-1"


def test_the_owner_may_create_a_bucket_again(s3: Any, bucket: str) -> None:
    """As in us-east-1, the location of a plain request."""
    put_all(s3, bucket, ["kept"])
    assert s3.create_bucket(Bucket=bucket)["Location"] == f"/{bucket}"
    assert s3.head_object(Bucket=bucket, Key="kept")["ContentLength"] == 0


def test_nobody_else_may_take_the_name(other_s3: Any, bucket: str) -> None:
    error = error_of(other_s3.create_bucket, Bucket=bucket)
    assert (error["status"], error["Code"]) == (409, "BucketAlreadyExists")
    assert error["BucketName"] == bucket


def test_one_of_two_accounts_wins_a_name(s3: Any, other_s3: Any) -> None:
    name = new_name()

    def create(client: Any) -> str:
        try:
            client.create_bucket(Bucket=name)
        except client.exceptions.BucketAlreadyExists:
            return "lost"
        return "won"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(create, (s3, other_s3))) == ["lost", "won"]


def test_anonymous_creates_nothing(front: Front, s3: Any) -> None:
    name = new_name()
    error = anonymous(front, "PUT", f"/{name}").error
    assert (error["status"], error["Code"]) == ("403", "AccessDenied")
    assert code_of(s3.head_bucket, Bucket=name) == (404, "404")


GOOD_NAMES: dict[str, Callable[[str], str]] = {
    "longest": lambda name: name.ljust(63, "x"),
    "dots": lambda name: f"{name}.b.c",
    "hyphens": lambda name: f"{name}--x-y",
    "digits": lambda name: str(int(name[-16:], 16)),
    "three numbers": lambda name: f"1.2.{int(name[-16:], 16)}",
    "five numbers": lambda name: f"1.2.3.4.{int(name[-16:], 16)}",
    "reserved in the middle": lambda name: f"a.xn--{name}--x-s3.mrap.a",
}
"""From a name that nobody has used: a server that is not ours keeps that of a deleted bucket."""


@pytest.mark.parametrize("kind", GOOD_NAMES)
def test_a_good_name(front: Front, kind: str) -> None:
    name = GOOD_NAMES[kind](new_name())
    assert call(front, "PUT", f"/{name}").status == 200
    assert call(front, "DELETE", f"/{name}").status == 204


@pytest.mark.usefixtures("shared_cluster")  # elsewhere these names are taken or reserved
@pytest.mark.parametrize("name", ["abc", "123", "a.b", "a-123456789012-us-east-1-an"])
def test_a_good_name_that_aws_has_none_of(front: Front, name: str) -> None:
    assert call(front, "PUT", f"/{name}").status == 200
    assert call(front, "DELETE", f"/{name}").status == 204


@pytest.mark.parametrize(
    "name",
    [
        "ab",
        "a" * 64,
        "Capital",
        "under_score",
        "-leading",
        "trailing-",
        ".leading",
        "trailing.",
        "two..dots",
        "dot.-hyphen",
        "hyphen-.dot",
        "with%20space",
        "gr%C3%BCn",
        "%2e%2e%2e",
        "new%0Aline",
        "nul%00byte",
        "__metastore",
        "users..bucket",
        "mpuShadowBucketabc",
    ],
)
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_a_bad_name(front: Front, method: str, name: str) -> None:
    error = call(front, method, f"/{name}").error
    assert (error["status"], error["Code"]) == ("400", "InvalidBucketName")
    assert "BucketName" in error


@pytest.mark.parametrize(
    "name",
    [
        "192.168.0.1",
        "999.1.1.999",
        "192.168.000.001",
        "xn--prefix",
        "sthree-prefix",
        "amzn-s3-demo-prefix",
        "suffix-s3alias",
        "suffix--ol-s3",
        "suffix.mrap",
        "suffix--x-s3",
        "suffix--table-s3",
    ],
)
def test_a_name_that_is_reserved(front: Front, name: str) -> None:
    """A bucket that had it before it was reserved can be reached."""
    error = call(front, "PUT", f"/{name}").error
    assert (error["status"], error["Code"], error["BucketName"]) == (
        "400",
        "InvalidBucketName",
        name,
    )
    assert call(front, "GET", f"/{name}").error["Code"] == "NoSuchBucket"


def test_a_bad_name_of_a_virtual_host(front: Front) -> None:
    error = call(front, "GET", "/", headers={"Host": "under_score.localhost"}).error
    assert (error["Code"], error["BucketName"]) == ("InvalidBucketName", "under_score")


@pytest.mark.parametrize(
    "body", ["", " \n", CONFIGURATION % "", LOCATION % "", LOCATION % "us-east-1"]
)
def test_the_location_may_be_left_out_or_named(front: Front, s3: Any, body: str) -> None:
    name = new_name()
    assert call(front, "PUT", f"/{name}", body.encode()).status == 200
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (LOCATION % "nowhere", 400, "InvalidLocationConstraint"),
        ("<CreateBucketConfiguration>", 400, "MalformedXML"),
        ("<WrongRoot/>", 400, "MalformedXML"),
        ("not XML", 400, "MalformedXML"),
        (
            CONFIGURATION % "<Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags>",
            501,
            "NotImplemented",
        ),
        (CONFIGURATION % "<Bucket><Type>Directory</Type></Bucket>", 501, "NotImplemented"),
    ],
)
def test_a_configuration_that_is_refused(
    front: Front, s3: Any, body: str, status: int, code: str
) -> None:
    name = new_name()
    error = call(front, "PUT", f"/{name}", body.encode()).error
    assert (error["status"], error["Code"]) == (str(status), code)
    assert code_of(s3.head_bucket, Bucket=name) == (404, "404")


def test_an_unknown_location_is_named(s3: Any) -> None:
    configuration = {"LocationConstraint": "nowhere"}
    error = error_of(s3.create_bucket, Bucket=new_name(), CreateBucketConfiguration=configuration)
    assert error["LocationConstraint"] == "nowhere"


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("x-amz-acl", "aws-exec-read", "501"),
        ("x-amz-acl", "public-read", "400"),
        ("x-amz-grant-read", "id=1", "400"),
    ],
)
def test_what_a_bucket_cannot_be_is_not_ignored(
    front: Front, s3: Any, header: str, value: str, status: str
) -> None:
    name = new_name()
    error = call(front, "PUT", f"/{name}", headers={header: value}).error
    assert error["status"] == status
    assert code_of(s3.head_bucket, Bucket=name) == (404, "404")


@pytest.mark.parametrize(
    "header", ["x-amz-acl", "x-amz-bucket-object-lock-enabled", "x-amz-object-ownership"]
)
def test_what_no_bucket_can_be(front: Front, s3: Any, header: str) -> None:
    name = new_name()
    error = call(front, "PUT", f"/{name}", headers={header: "nonsense"}).error
    assert (error["status"], error["Code"]) == ("400", "InvalidArgument")
    assert (error["ArgumentName"], error["ArgumentValue"]) == (header, "nonsense")
    assert code_of(s3.head_bucket, Bucket=name) == (404, "404")


def test_the_location_of_us_east_1_is_an_empty_element(front: Front, bucket: str) -> None:
    response = call(front, "GET", f"/{bucket}?location")
    assert response.headers["Content-Type"] == "application/xml"
    assert response.body == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b'<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></LocationConstraint>'
    )


ON_A_BUCKET = [("HEAD", ""), ("GET", "?location"), ("GET", ""), ("DELETE", "")]


@pytest.mark.parametrize(("method", "query"), ON_A_BUCKET)
@pytest.mark.parametrize("key", [OWNER, FOREIGNER])
def test_a_bucket_that_does_not_exist(front: Front, method: str, query: str, key: Any) -> None:
    name = new_name()
    response = call(front, method, f"/{name}{query}", key=key)
    assert response.status == 404
    if method != "HEAD":
        assert response.error["Code"] == "NoSuchBucket"
        assert response.error["BucketName"] == name


@pytest.mark.parametrize(("method", "query"), ON_A_BUCKET)
def test_a_foreign_account_is_refused(front: Front, bucket: str, method: str, query: str) -> None:
    response = call(front, method, f"/{bucket}{query}", key=FOREIGNER)
    assert response.status == 403
    assert method == "HEAD" or response.error["Code"] == "AccessDenied"


@pytest.mark.parametrize(("method", "query"), ON_A_BUCKET)
def test_anonymous_is_refused(front: Front, bucket: str, method: str, query: str) -> None:
    response = anonymous(front, method, f"/{bucket}{query}")
    assert response.status == 403
    assert method == "HEAD" or response.error["Code"] == "AccessDenied"


@pytest.mark.parametrize(("method", "query"), ON_A_BUCKET)
def test_a_wrong_expected_owner_is_refused(
    front: Front, bucket: str, method: str, query: str
) -> None:
    headers = {"x-amz-expected-bucket-owner": OTHER_ACCOUNT_ID}
    response = call(front, method, f"/{bucket}{query}", headers=headers)
    assert response.status == 403
    assert method == "HEAD" or response.error["Code"] == "AccessDenied"


def test_the_right_expected_owner_passes(s3: Any, bucket: str) -> None:
    s3.head_bucket(Bucket=bucket, ExpectedBucketOwner="123456789012")


def test_a_deleted_bucket_is_gone(s3: Any, bucket: str) -> None:
    answer = s3.delete_bucket(Bucket=bucket)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert code_of(s3.head_bucket, Bucket=bucket) == (404, "404")
    assert code_of(s3.delete_bucket, Bucket=bucket) == (404, "NoSuchBucket")
    assert bucket not in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]


def test_a_bucket_with_an_object_is_not_deleted(s3: Any, bucket: str) -> None:
    put_all(s3, bucket, ["a"])
    error = error_of(s3.delete_bucket, Bucket=bucket)
    assert (error["status"], error["Code"]) == (409, "BucketNotEmpty")
    assert error["BucketName"] == bucket
    assert s3.head_object(Bucket=bucket, Key="a")["ContentLength"] == 0


def test_an_emptied_bucket_is_deleted(s3: Any, bucket: str) -> None:
    put_all(s3, bucket, ["a"])
    s3.delete_object(Bucket=bucket, Key="a")
    s3.delete_bucket(Bucket=bucket)


def test_the_name_of_a_deleted_bucket_is_free(s3: Any, other_s3: Any, bucket: str) -> None:
    s3.delete_bucket(Bucket=bucket)
    other_s3.create_bucket(Bucket=bucket)
    assert code_of(s3.head_bucket, Bucket=bucket) == (403, "403")
    other_s3.delete_bucket(Bucket=bucket)


@pytest.fixture(scope="module")
def far_front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """A front-end with a second location, which does not repeat us-east-1's old behaviour."""
    folder = tmp_path_factory.mktemp("far")
    locations = {
        name: {"type": "file", "objectId": name, "legacyAwsBehavior": legacy, "details": {}}
        for name, legacy in (("us-east-1", True), ("eu-far", False), ("old", True))
    }
    # As CloudServer's stock file has them.
    locations["cold"] = {"type": "dmf", "objectId": "cold", "isCold": True, "details": {}}
    path = folder / "locations.json"
    path.write_text(json.dumps(locations))
    endpoints = {"localhost": "us-east-1", "far.test": "eu-far", "cold.test": "cold"}
    with cluster(
        folder,
        memory=True,
        settings={"restEndpoints": endpoints},
        environ={"S3_LOCATION_FILE": str(path)},
    ) as running:
        yield only_front(running)


def only_front(running: Cluster) -> Front:
    (front,) = running.fronts
    return front


def test_a_bucket_of_another_location(far_front: Front) -> None:
    s3 = s3_client(far_front)
    name = new_name()
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-far"})
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-far"
    assert s3.head_bucket(Bucket=name)["BucketRegion"] == "eu-far"


def test_the_endpoint_decides_the_location_of_a_plain_request(far_front: Front) -> None:
    name = new_name()
    assert call(far_front, "PUT", f"/{name}", headers={"Host": "far.test"}).status == 200
    location = s3_client(far_front).get_bucket_location(Bucket=name)
    assert location["LocationConstraint"] == "eu-far"


def test_creating_a_bucket_twice_elsewhere_is_refused(far_front: Front) -> None:
    s3 = s3_client(far_front)
    wanted = {"Bucket": new_name(), "CreateBucketConfiguration": {"LocationConstraint": "eu-far"}}
    s3.create_bucket(**wanted)
    assert code_of(s3.create_bucket, **wanted) == (409, "BucketAlreadyOwnedByYou")


def test_an_object_in_a_bucket_of_another_location(far_front: Front) -> None:
    s3 = s3_client(far_front)
    name = new_name()
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-far"})
    s3.put_object(Bucket=name, Key="a", Body=b"far away")
    assert s3.get_object(Bucket=name, Key="a")["Body"].read() == b"far away"


def test_creating_a_bucket_again_elsewhere_is_refused(far_front: Front) -> None:
    """Both locations have to repeat us-east-1's old behaviour."""
    s3, name = s3_client(far_front), new_name()
    s3.create_bucket(Bucket=name)
    s3.create_bucket(Bucket=name)
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "old"})
    wanted = {"Bucket": name, "CreateBucketConfiguration": {"LocationConstraint": "eu-far"}}
    assert code_of(s3.create_bucket, **wanted) == (409, "BucketAlreadyOwnedByYou")
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None


def test_an_abort_of_nothing(far_front: Front) -> None:
    s3 = s3_client(far_front)
    near, far = new_name(), new_name()
    s3.create_bucket(Bucket=near)
    s3.create_bucket(Bucket=far, CreateBucketConfiguration={"LocationConstraint": "eu-far"})
    nothing = {"Key": "key", "UploadId": "none"}
    assert code_of(s3.abort_multipart_upload, Bucket=near, **nothing) == (404, "NoSuchUpload")
    answer = s3.abort_multipart_upload(Bucket=far, **nothing)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_what_needs_a_location_that_is_not_supported(far_front: Front) -> None:
    s3, name = s3_client(far_front), new_name()
    cold = {"Bucket": name, "CreateBucketConfiguration": {"LocationConstraint": "cold"}}
    assert code_of(s3.create_bucket, **cold) == (400, "InvalidLocationConstraint")
    refused = call(far_front, "PUT", f"/{name}", headers={"Host": "cold.test"})
    assert (refused.status, refused.error["Code"]) == (400, "InvalidLocationConstraint")
    assert refused.error["Message"].endswith("does not support locations of type dmf")
    s3.create_bucket(Bucket=name)
    address = {"Bucket": name, "Key": "key"}
    metadata = {"Metadata": {"scal-location-constraint": "cold"}}
    assert code_of(s3.put_object, **address, **metadata) == (400, "InvalidArgument")
    assert code_of(s3.create_multipart_upload, **address, **metadata) == (400, "InvalidArgument")
