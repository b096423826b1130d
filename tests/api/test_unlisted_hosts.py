"""Hosts that nobody has configured: what they address is found out, or refused, never guessed.

Clients reach any host through the front-end itself, which takes requests as a proxy gets them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3front.auth import sigv2
from tests.api.support import new_name
from tests.clients_boto3 import s3_client
from tests.forms import form_body, form_request, signed_v4
from tests.raw_http import FOREIGNER, OWNER, Response, anonymous, call, exchange, wire
from tests.servers import ACCESS_KEY, SECRET_KEY, Front, cluster

HOST = "nas.lan"


def client_of(front: Front, style: str, host: str = HOST, **settings: Any) -> Any:
    """boto3, of which this host is the endpoint."""
    named = replace(front, host=host)
    proxies = {"http": f"http://127.0.0.1:{front.port}"}
    return s3_client(named, s3={"addressing_style": style}, proxies=proxies, **settings)


@pytest.fixture
def hosted(plain_front: Front) -> Any:
    """boto3 that names buckets in the host."""
    return client_of(plain_front, "virtual")


def buckets_of(s3: Any) -> set[str]:
    return {entry["Name"] for entry in s3.list_buckets()["Buckets"]}


def at(host: str) -> dict[str, str]:
    return {"Host": host}


# --- A bucket that is in the host -----------------------------------------------------------------


def test_objects_in_a_bucket_of_the_host_are_objects(s3: Any, hosted: Any, bucket: str) -> None:
    """An empty object is no new bucket, and a deleted one no deleted bucket."""
    other = new_name()
    s3.create_bucket(Bucket=other)
    before = buckets_of(s3)
    for key in ("empty-marker", other, f"{other}/a"):
        hosted.put_object(Bucket=bucket, Key=key, Body=b"")
        assert hosted.head_object(Bucket=bucket, Key=key)["ContentLength"] == 0
    listed = hosted.list_objects_v2(Bucket=bucket)["Contents"]
    assert {entry["Key"] for entry in listed} == {"empty-marker", other, f"{other}/a"}
    hosted.delete_object(Bucket=bucket, Key=other)
    hosted.delete_object(Bucket=bucket, Key="empty-marker")
    assert buckets_of(s3) == before
    assert [entry["Key"] for entry in s3.list_objects(Bucket=bucket)["Contents"]] == [f"{other}/a"]
    hosted.head_bucket(Bucket=bucket)
    hosted.delete_object(Bucket=bucket, Key=f"{other}/a")
    hosted.delete_bucket(Bucket=bucket)
    assert buckets_of(s3) == before - {bucket}


def test_uploads_copies_and_many_deletions_in_a_bucket_of_the_host(
    s3: Any, hosted: Any, bucket: str
) -> None:
    upload = hosted.create_multipart_upload(Bucket=bucket, Key="a/b")["UploadId"]
    part = hosted.upload_part(Bucket=bucket, Key="a/b", UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    hosted.complete_multipart_upload(
        Bucket=bucket, Key="a/b", UploadId=upload, MultipartUpload=parts
    )
    hosted.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a/b"})
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"x"
    asked = {"Objects": [{"Key": "a/b"}, {"Key": "copy"}]}
    assert len(hosted.delete_objects(Bucket=bucket, Delete=asked)["Deleted"]) == 2
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize("signature", ["s3v4", "s3"])
def test_presigned_urls_of_a_bucket_of_the_host(
    plain_front: Front, s3: Any, bucket: str, signature: str
) -> None:
    hosted = client_of(plain_front, "virtual", signature_version=signature)
    parameters = {"Bucket": bucket, "Key": "empty-marker"}
    url = hosted.generate_presigned_url("put_object", Params=parameters)
    target = "/" + url.split("/", 3)[3]
    host = f"{bucket}.{HOST}:{plain_front.port}"
    assert anonymous(plain_front, "PUT", target, b"data", at(host)).status == 200
    assert s3.head_object(**parameters)["ContentLength"] == 4


def test_forms_for_a_bucket_of_the_host(plain_front: Front, s3: Any, bucket: str) -> None:
    body = form_body(signed_v4({"key": "from-a-form"}, bucket), b"file")
    response = exchange(plain_front, form_request(f"{bucket}.{HOST}", "/", body))
    assert response.status == 204
    assert s3.get_object(Bucket=bucket, Key="from-a-form")["Body"].read() == b"file"
    response = exchange(plain_front, form_request(HOST, f"/{bucket}", body))
    assert response.status == 204


# --- A bucket that is in the path -----------------------------------------------------------------


def test_a_bucket_in_the_path_that_exists(plain_front: Front, s3: Any, bucket: str) -> None:
    by_path = client_of(plain_front, "path")
    by_path.put_object(Bucket=bucket, Key="a/b", Body=b"data")
    assert by_path.get_object(Bucket=bucket, Key="a/b")["Body"].read() == b"data"
    assert [entry["Key"] for entry in by_path.list_objects_v2(Bucket=bucket)["Contents"]] == ["a/b"]
    assert bucket in buckets_of(by_path)
    with pytest.raises(ClientError, match="BucketAlreadyOwnedByYou"):
        by_path.create_bucket(Bucket=bucket)
    by_path.delete_object(Bucket=bucket, Key="a/b")
    with pytest.raises(ClientError, match="ENDPOINT=nas"):
        by_path.delete_bucket(Bucket=bucket)
    s3.delete_bucket(Bucket=bucket)
    with pytest.raises(ClientError) as caught:
        by_path.head_bucket(Bucket=bucket)
    assert caught.value.response["Error"]["Code"] == "404"


def test_an_object_of_a_bucket_that_has_gone_is_no_bucket(
    hosted: Any, s3: Any, bucket: str
) -> None:
    """A client that tidies up once more, by host."""
    for key in (bucket, f"{bucket}/"):
        with pytest.raises(ClientError, match="InvalidURI"):
            hosted.delete_object(Bucket=new_name(), Key=key)
    assert bucket in buckets_of(s3)


def test_another_accounts_bucket_of_the_hosts_name_changes_nothing(
    plain_front: Front, s3: Any, other_s3: Any, bucket: str
) -> None:
    """Else any account could take a server's name away from all the others."""
    name = new_name()
    other_s3.create_bucket(Bucket=name)
    host = f"{name}.{HOST}"
    assert call(plain_front, "PUT", f"/{bucket}/key", b"data", at(host)).status == 200
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"data"
    answer = call(plain_front, "PUT", "/key", b"data", at(host))
    assert answer.error["Code"] == "InvalidURI"
    assert call(plain_front, "PUT", "/key", b"data", at(host), key=FOREIGNER).status == 200


# --- What is not known ----------------------------------------------------------------------------


def refusal(response: Response, *named: str) -> None:
    error = response.error
    assert (error["status"], error["Code"]) == ("400", "InvalidURI")
    for text in ("restEndpoints", *(f"ENDPOINT={name})" for name in named)):
        assert text in error["Message"]


def test_what_would_change_anything_is_refused_and_says_why(
    plain_front: Front, s3: Any, bucket: str
) -> None:
    name, before = new_name(), buckets_of(s3)
    host = f"{name}.{HOST}"
    for method, target in (
        ("PUT", f"/{new_name()}"),
        ("PUT", "/"),
        ("PUT", "/some/key"),
        ("DELETE", "/some-key"),
        ("DELETE", "/"),
        ("POST", "/?delete"),
        ("POST", "/key?uploads"),
        ("GET", "/?list-type=2"),
        ("GET", "/key"),
    ):
        response = call(plain_front, method, target, headers={"Host": f"{host}:80"})
        refusal(response, HOST, host)
    assert buckets_of(s3) == before


def test_boto3_shows_the_reason(plain_front: Front, hosted: Any) -> None:
    for client, name in ((hosted, new_name()), (client_of(plain_front, "path"), new_name())):
        with pytest.raises(ClientError, match=r"ENDPOINT=nas\.lan"):
            client.create_bucket(Bucket=name)


def test_two_buckets_that_may_be_meant(plain_front: Front, s3: Any, bucket: str) -> None:
    """A server ``bucket.lan``, or a server ``lan``: both buckets exist, and stay."""
    other = new_name()
    s3.create_bucket(Bucket=other)
    for method in ("GET", "PUT", "DELETE"):
        refusal(call(plain_front, method, f"/{other}", headers=at(f"{bucket}.lan")), "lan")
    assert {bucket, other} <= buckets_of(s3)
    assert call(plain_front, "PUT", "/key", b"data", at(f"{bucket}.lan")).status == 200


def test_a_wrong_signature_comes_first(plain_front: Front) -> None:
    wrong = replace(OWNER, secret="wrong")
    response = call(plain_front, "PUT", "/new", headers=at(f"{new_name()}.{HOST}"), key=wrong)
    assert response.error["Code"] == "SignatureDoesNotMatch"


def test_of_strangers_nothing_is_taken(plain_front: Front, bucket: str) -> None:
    assert anonymous(plain_front, "PUT", "/new-bucket", headers=at(HOST)).status == 400
    host = f"{bucket}.{HOST}"
    assert (
        anonymous(plain_front, "DELETE", "/key", headers=at(host)).error["Code"] == "AccessDenied"
    )


# --- Signature Version 2, which covers the bucket -------------------------------------------------


def call_v2(front: Front, method: str, target: str, host: str, resource: str) -> Response:
    sent = {
        "Host": host,
        "Date": format_datetime(datetime.now(UTC), usegmt=True),
        "Content-Length": "0",
    }
    head = sigv2.RequestHead(method, resource, "", sigv2.trimmed_headers(sent.items()))
    sent["Authorization"] = sigv2.authorization(head, ACCESS_KEY, SECRET_KEY)
    return exchange(front, wire(method, target, sent))


def test_version_2_tells_the_bucket(plain_front: Front, s3: Any) -> None:
    in_path, in_host = new_name(), new_name()
    host = f"{in_host}.{HOST}"
    assert call_v2(plain_front, "PUT", f"/{in_path}", host, f"/{in_path}").status == 200
    assert call_v2(plain_front, "PUT", "/", host, f"/{in_host}/").status == 200
    assert {in_path, in_host} <= buckets_of(s3)
    # The same request line, and what is signed decides.
    answer = call_v2(plain_front, "DELETE", f"/{in_path}", host, f"/{in_host}/{in_path}")
    assert answer.status == 204
    assert in_path in buckets_of(s3)
    assert call_v2(plain_front, "DELETE", f"/{in_path}", host, f"/{in_path}").status == 204
    assert in_path not in buckets_of(s3)
    answer = call_v2(plain_front, "GET", f"/{in_path}", host, "/something-else")
    assert answer.error["Code"] == "SignatureDoesNotMatch"


# --- Settings that settle it ----------------------------------------------------------------------


def test_one_setting_settles_it(tmp_path: Path) -> None:
    environ = {"ENDPOINT": "*.box.lan, home.lan"}
    settings = {"restEndpoints": {"*.nas.lan": "us-east-1"}}
    with cluster(tmp_path, memory=True, settings=settings, environ=environ) as running:
        front = running.fronts[0]
        for label in ("nas", "box", "home"):
            host, photos = f"{label}.lan", f"photos-{label}"
            hosted, by_path = client_of(front, "virtual", host), client_of(front, "path", host)
            hosted.create_bucket(Bucket=photos)
            hosted.put_object(Bucket=photos, Key="empty-marker", Body=b"")
            by_path.create_bucket(Bucket=label)
            by_path.put_object(Bucket=label, Key=f"{photos}/a", Body=b"")
            assert {label, photos} <= buckets_of(by_path)
            (listed,) = by_path.list_objects(Bucket=photos)["Contents"]
            assert listed["Key"] == "empty-marker"
        assert '"hosts":["nas.lan","box.lan","home.lan"]' in front.process.output
