"""DeleteObject and DeleteObjects."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from xml.sax.saxutils import escape

import pytest
from botocore.exceptions import ClientError

from s3front.bodies.checksums import Algorithm
from s3front.port.xml import is_representable
from tests.api.support import (
    ODD_KEYS,
    OTHER_ACCOUNT_ID,
    checksum_of,
    code_of,
    error_of,
    key_id,
    keys_in,
    md5_base64,
    md5_hex,
    new_name,
    path_of,
    put_all,
)
from tests.raw_http import FOREIGNER, OWNER, Response, anonymous, call
from tests.servers import Front

pytestmark = pytest.mark.usefixtures("undisturbed")


def document(*keys: str, quiet: str | None = None) -> bytes:
    """A DeleteObjects document."""
    rows = [f"<Object><Key>{escape(key, {chr(13): '&#13;'})}</Key></Object>" for key in keys]
    flag = "" if quiet is None else f"<Quiet>{quiet}</Quiet>"
    return f"<Delete>{flag}{''.join(rows)}</Delete>".encode()


def delete(
    front: Front, bucket: str, body: bytes, headers: dict[str, str] | None = None
) -> Response:
    """DeleteObjects of a document."""
    sent = {"Content-MD5": md5_base64(body)} if headers is None else headers
    return call(front, "POST", f"/{bucket}?delete", body, sent)


def rows_of(response: Response) -> list[tuple[str, str]]:
    """(key, "" or the code of its error) for each row of an answer."""
    assert response.status == 200, response
    assert response.xml.tag == "DeleteResult"
    return [(row.findtext("Key") or "", row.findtext("Code") or "") for row in response.xml]


# --- DeleteObject -------------------------------------------------------------------------------


def test_an_object_is_deleted(s3: Any, bucket: str) -> None:
    put_all(s3, bucket, ["a", "ab"], b"bytes")
    assert s3.delete_object(Bucket=bucket, Key="a")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert keys_in(s3, bucket) == ["ab"]
    assert code_of(s3.get_object, Bucket=bucket, Key="a") == (404, "NoSuchKey")


def test_what_is_absent_is_deleted_as_well(front: Front, bucket: str) -> None:
    for _ in range(2):
        response = call(front, "DELETE", f"/{bucket}/absent")
        assert (response.status, response.body) == (204, b"")
        assert "Content-Type" not in response.headers
        assert "x-amz-delete-marker" not in response.headers


def test_the_null_version_is_the_object(s3: Any, front: Front, bucket: str) -> None:
    put_all(s3, bucket, ["a"])
    assert call(front, "DELETE", f"/{bucket}/a?versionId=null").status == 204
    assert keys_in(s3, bucket) == []


def test_what_is_no_version_id(s3: Any, front: Front, bucket: str) -> None:
    put_all(s3, bucket, ["a"])
    error = call(front, "DELETE", f"/{bucket}/a?versionId=other").error
    assert (error["status"], error["Code"]) == ("400", "InvalidArgument")
    assert keys_in(s3, bucket) == ["a"]


def test_only_when_it_is_still_the_same(s3: Any, bucket: str) -> None:
    old = s3.put_object(Bucket=bucket, Key="a", Body=b"old")["ETag"]
    new = s3.put_object(Bucket=bucket, Key="a", Body=b"new")["ETag"]
    error = error_of(s3.delete_object, Bucket=bucket, Key="a", IfMatch=old)
    assert (error["status"], error["Code"]) == (412, "PreconditionFailed")
    assert error["Condition"] == "If-Match"
    s3.delete_object(Bucket=bucket, Key="a", IfMatch=new)
    assert keys_in(s3, bucket) == []


def test_only_when_it_exists(s3: Any, bucket: str) -> None:
    put_all(s3, bucket, ["a"])
    s3.delete_object(Bucket=bucket, Key="a", IfMatch="*")
    assert code_of(s3.delete_object, Bucket=bucket, Key="a", IfMatch="*") == (404, "NoSuchKey")
    assert code_of(s3.delete_object, Bucket=bucket, Key="a", IfMatch='"etag"') == (404, "NoSuchKey")


def test_only_of_this_size_and_time(s3: Any, bucket: str) -> None:
    put_all(s3, bucket, ["a"], b"four")
    modified = s3.head_object(Bucket=bucket, Key="a")["LastModified"]
    earlier = modified - timedelta(seconds=1)
    for condition, name in (
        ({"IfMatchSize": 5}, "x-amz-if-match-size"),
        ({"IfMatchLastModifiedTime": earlier}, "x-amz-if-match-last-modified-time"),
        ({"IfMatchSize": 4, "IfMatch": '"other"'}, "If-Match"),
    ):
        error = error_of(s3.delete_object, Bucket=bucket, Key="a", **condition)
        assert (error["status"], error["Code"]) == (412, "PreconditionFailed")
        assert error["Condition"] == name
    same = {"IfMatchSize": 4, "IfMatchLastModifiedTime": modified}
    s3.delete_object(Bucket=bucket, Key="a", **same)
    assert keys_in(s3, bucket) == []
    # What is gone has neither size nor time that somebody could have changed.
    s3.delete_object(Bucket=bucket, Key="a", **same)


@pytest.mark.parametrize("header", ["x-amz-if-match-size", "x-amz-if-match-last-modified-time"])
def test_a_condition_that_is_none_deletes_nothing(
    s3: Any, front: Front, bucket: str, header: str
) -> None:
    put_all(s3, bucket, ["a"])
    error = call(front, "DELETE", f"/{bucket}/a", headers={header: "x"}).error
    assert (error["status"], error["Code"]) == ("400", "InvalidArgument")
    assert (error["ArgumentName"], error["ArgumentValue"]) == (header, "x")
    assert keys_in(s3, bucket) == ["a"]


@pytest.mark.parametrize(
    ("method", "target"),
    [("PUT", "a"), ("PUT", "a?tagging"), ("DELETE", "a?tagging"), ("DELETE", "")],
)
def test_other_calls_do_not_ignore_the_conditions_of_a_deletion(
    s3: Any, front: Front, bucket: str, method: str, target: str
) -> None:
    header = "x-amz-if-match-size"
    put_all(s3, bucket, ["a"], b"kept")
    error = call(front, method, f"/{bucket}/{target}", headers={header: "4"}).error
    assert (error["status"], error["Code"], error["Header"]) == ("501", "NotImplemented", header)
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"kept"


def test_of_many_conditional_deletions_one_succeeds(s3: Any, bucket: str) -> None:
    for _ in range(10):
        etag = s3.put_object(Bucket=bucket, Key="a", Body=b"x")["ETag"]

        def delete_it(_number: int, etag: str = etag) -> str:
            try:
                s3.delete_object(Bucket=bucket, Key="a", IfMatch=etag)
            except ClientError as error:
                return str(error.response["Error"]["Code"])
            return "deleted"

        with ThreadPoolExecutor(8) as pool:
            outcomes = sorted(pool.map(delete_it, range(8)))
        assert outcomes == ["NoSuchKey"] * 7 + ["deleted"]


# --- DeleteObjects ------------------------------------------------------------------------------


def test_each_key_is_answered(s3: Any, bucket: str) -> None:
    put_all(s3, bucket, ["a", "b", "c"], b"bytes")
    wanted = {"Objects": [{"Key": key} for key in ("a", "absent", "c")]}
    answer = s3.delete_objects(Bucket=bucket, Delete=wanted)
    assert answer["Deleted"] == [{"Key": "a"}, {"Key": "absent"}, {"Key": "c"}]
    assert "Errors" not in answer
    assert keys_in(s3, bucket) == ["b"]


@pytest.mark.parametrize(
    ("quiet", "rows"), [("true", 0), ("TRUE", 0), ("false", 1), (None, 1), ("", 1)]
)
def test_a_quiet_answer_has_only_errors(
    s3: Any, front: Front, bucket: str, quiet: str | None, rows: int
) -> None:
    put_all(s3, bucket, ["a"])
    long_key = "x" * 1025
    answer = rows_of(delete(front, bucket, document("a", long_key, quiet=quiet)))
    assert (long_key, "KeyTooLongError") in answer
    assert len(answer) == rows + 1
    assert keys_in(s3, bucket) == []


def test_a_key_twice_is_deleted_once_and_answered_once(s3: Any, front: Front, bucket: str) -> None:
    put_all(s3, bucket, ["a"], b"bytes")
    assert rows_of(delete(front, bucket, document("a", "b", "a"))) == [("a", ""), ("b", "")]
    assert keys_in(s3, bucket) == []


def test_a_key_a_thousand_times_makes_one_delete_marker(s3: Any, front: Front, bucket: str) -> None:
    enabled = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=enabled)
    put_all(s3, bucket, ["a"], b"bytes")
    assert rows_of(delete(front, bucket, document(*["a"] * 1000))) == [("a", "")]
    assert len(s3.list_object_versions(Bucket=bucket)["DeleteMarkers"]) == 1


def test_a_thousand_keys(s3: Any, front: Front, bucket: str) -> None:
    keys = [f"{number:04}" for number in range(1000)]
    put_all(s3, bucket, keys[::50], b"bytes")
    put_all(s3, bucket, ["stays"])
    assert rows_of(delete(front, bucket, document(*keys))) == [(key, "") for key in keys]
    assert keys_in(s3, bucket) == ["stays"]


def test_a_document_of_almost_the_largest_size(front: Front, bucket: str) -> None:
    keys = [f"{number:04}" + "&" * 1020 for number in range(400)]
    assert rows_of(delete(front, bucket, document(*keys))) == [(key, "") for key in keys]


@pytest.mark.parametrize("key", [*filter(is_representable, ODD_KEYS)], ids=key_id)
def test_an_odd_key(s3: Any, front: Front, bucket: str, key: str) -> None:
    assert call(front, "PUT", path_of(bucket, key), b"bytes").status == 200
    assert rows_of(delete(front, bucket, document(key))) == [(key, "")]
    assert keys_in(s3, bucket) == []


def test_boto3_deletes_odd_keys(s3: Any, bucket: str) -> None:
    keys = [*filter(is_representable, ODD_KEYS)]
    put_all(s3, bucket, keys)
    wanted = {"Objects": [{"Key": key} for key in keys]}
    answer = s3.delete_objects(Bucket=bucket, Delete=wanted)
    assert [entry["Key"] for entry in answer["Deleted"]] == keys
    assert keys_in(s3, bucket) == []


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ("<VersionId>null</VersionId>", ""),
        ("<VersionId>other</VersionId>", "NoSuchVersion"),
        ("<ETag>&quot;etag&quot;</ETag>", "PreconditionFailed"),
        ("<ETag>*</ETag>", ""),
        ("<Size>1</Size>", "PreconditionFailed"),
        ("<Size>0</Size>", ""),
        ("<Size>none</Size>", "InvalidArgument"),
        (
            "<LastModifiedTime>Wed, 01 May 2024 12:00:00 GMT</LastModifiedTime>",
            "PreconditionFailed",
        ),
        ("<LastModifiedTime>no time</LastModifiedTime>", "InvalidArgument"),
    ],
)
def test_more_about_an_object(s3: Any, front: Front, bucket: str, members: str, code: str) -> None:
    """What cannot be granted refuses its own key and no other."""
    put_all(s3, bucket, ["a", "b"])
    body = f"<Delete><Object><Key>a</Key>{members}</Object><Object><Key>b</Key></Object></Delete>"
    assert sorted(rows_of(delete(front, bucket, body.encode()))) == [("a", code), ("b", "")]
    assert keys_in(s3, bucket) == (["a"] if code else [])


def test_conditions_of_each_object(s3: Any, bucket: str) -> None:
    keys = ["same", "changed", "plain", "size", "time"]
    put_all(s3, bucket, keys, b"four")
    etag = s3.head_object(Bucket=bucket, Key="same")["ETag"]
    modified = s3.head_object(Bucket=bucket, Key="time")["LastModified"]
    wanted = [
        {"Key": "changed", "ETag": '"other"'},
        {"Key": "same", "ETag": etag},
        {"Key": "absent", "ETag": etag},
        {"Key": "absent too", "Size": 4},
        {"Key": "plain"},
        {"Key": "size", "Size": 5},
        {"Key": "time", "LastModifiedTime": modified, "Size": 4},
    ]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted})
    deleted = {entry["Key"] for entry in answer["Deleted"]}
    assert deleted == {"same", "absent too", "plain", "time"}
    assert {entry["Key"]: entry["Code"] for entry in answer["Errors"]} == {
        "changed": "PreconditionFailed",
        "absent": "NoSuchKey",
        "size": "PreconditionFailed",
    }
    assert keys_in(s3, bucket) == ["changed", "size"]


def test_a_thousand_conditions(s3: Any, bucket: str) -> None:
    keys = [f"{number:04}" for number in range(1000)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: put_all(s3, bucket, [key], key.encode()), keys))
    wanted = [
        {"Key": key, "ETag": md5_hex(key.encode() if number % 2 else b"other")}
        for number, key in enumerate(keys)
    ]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted, "Quiet": True})
    assert "Deleted" not in answer
    assert sorted(entry["Key"] for entry in answer["Errors"]) == keys[::2]
    assert keys_in(s3, bucket) == keys[::2]


def test_of_many_conditional_batches_one_deletes_an_object(s3: Any, bucket: str) -> None:
    """Each watches its own objects and one that all want."""
    for _ in range(5):
        etag = s3.put_object(Bucket=bucket, Key="shared", Body=b"x")["ETag"]
        put_all(s3, bucket, [f"own-{number}" for number in range(8)], b"x")

        def delete_them(number: int, etag: str = etag) -> list[str]:
            wanted = [{"Key": "shared", "ETag": etag}, {"Key": f"own-{number}", "ETag": etag}]
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted})
            codes = [entry["Code"] for entry in answer.get("Errors", [])]
            assert codes in ([], ["NoSuchKey"])
            return [entry["Key"] for entry in answer["Deleted"]]

        with ThreadPoolExecutor(8) as pool:
            deleted = [key for keys in pool.map(delete_them, range(8)) for key in keys]
        assert sorted(deleted) == [*(f"own-{number}" for number in range(8)), "shared"]
        assert keys_in(s3, bucket) == []


def test_the_document(front: Front, bucket: str) -> None:
    response = delete(front, bucket, document("a<b"))
    assert response.headers["Content-Type"] == "application/xml"
    assert response.body.decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        "<Deleted><Key>a&lt;b</Key></Deleted></DeleteResult>"
    )


NAMESPACED = b'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>a</Key></Object></Delete>'


@pytest.mark.parametrize("body", [NAMESPACED, b'<?xml version="1.0"?>\n' + document("a")])
def test_with_and_without_namespace(s3: Any, front: Front, bucket: str, body: bytes) -> None:
    put_all(s3, bucket, ["a"])
    assert rows_of(delete(front, bucket, body)) == [("a", "")]
    assert keys_in(s3, bucket) == []


@pytest.mark.parametrize(
    "body",
    [
        b" ",
        b"text",
        b"<Delete>",
        b"<Delete/>",
        b"<Delete><Quiet>true</Quiet></Delete>",
        b"<Other><Object><Key>a</Key></Object></Other>",
        b"<Delete><Object/></Delete>",
        b"<Delete><Object><Key/></Object></Delete>",
        b"<Delete><Object><Name>a</Name></Object></Delete>",
        b"<Delete><Object><Key>\x01</Key></Object></Delete>",
        b"<Delete><Object><Key>&#1;</Key></Object></Delete>",
        b"<Delete><Object><Key>\xff</Key></Object></Delete>",
        document("a", quiet="perhaps"),
        document(*map(str, range(1001))),
        b'<!DOCTYPE Delete [<!ENTITY a "a">]><Delete><Object><Key>&a;</Key></Object></Delete>',
        b'<!DOCTYPE Delete SYSTEM "file:///etc/passwd">' + document("a"),
    ],
    ids=lambda body: body[:40].decode("latin-1"),
)
def test_a_document_that_is_refused(s3: Any, front: Front, bucket: str, body: bytes) -> None:
    put_all(s3, bucket, ["a"])
    error = delete(front, bucket, body).error
    assert (error["status"], error["Code"]) == ("400", "MalformedXML")
    assert keys_in(s3, bucket) == ["a"]


def test_a_digest_is_required(s3: Any, front: Front, bucket: str) -> None:
    put_all(s3, bucket, ["a"])
    error = delete(front, bucket, document("a"), {}).error
    assert (error["status"], error["Code"]) == ("400", "InvalidRequest")
    assert error["Message"] == (
        "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"
    )
    assert keys_in(s3, bucket) == ["a"]


@pytest.mark.parametrize("algorithm", Algorithm)
def test_any_checksum_will_do(front: Front, bucket: str, algorithm: Algorithm) -> None:
    body = document("a")
    right = {algorithm.header: checksum_of(algorithm, body)}
    wrong = {algorithm.header: checksum_of(algorithm, b"")}
    assert rows_of(delete(front, bucket, body, right)) == [("a", "")]
    assert delete(front, bucket, body, wrong).error["Code"] == "BadDigest"


def test_a_wrong_digest_deletes_nothing(s3: Any, front: Front, bucket: str) -> None:
    put_all(s3, bucket, ["a"])
    error = delete(front, bucket, document("a"), {"Content-MD5": md5_base64(b"other")}).error
    assert (error["status"], error["Code"]) == ("400", "BadDigest")
    assert keys_in(s3, bucket) == ["a"]


def test_too_large_a_document_is_not_read(front: Front, bucket: str) -> None:
    body = document("a").replace(b"<Key>", b" " * 2 * 1024 * 1024 + b"<Key>")
    error = delete(front, bucket, body).error
    assert (error["status"], error["Code"]) == ("400", "MaxMessageLengthExceeded")


@pytest.mark.parametrize("key", [OWNER, FOREIGNER, None])
def test_a_bucket_that_does_not_exist(front: Front, key: Any) -> None:
    target, body = f"/{new_name()}?delete", document("a")
    headers = {"Content-MD5": md5_base64(body)}
    response = (
        call(front, "POST", target, body, headers, key=key)
        if key
        else anonymous(front, "POST", target, body, headers)
    )
    assert (response.status, response.error["Code"]) == (404, "NoSuchBucket")


def test_others_delete_nothing(s3: Any, front: Front, bucket: str) -> None:
    put_all(s3, bucket, ["a"])
    body = document("a")
    headers = {"Content-MD5": md5_base64(body)}
    for response in (
        call(front, "POST", f"/{bucket}?delete", body, headers, key=FOREIGNER),
        anonymous(front, "POST", f"/{bucket}?delete", body, headers),
    ):
        # Each key by itself, as AWS (erlcloud#175, backup-warden#16).
        (row,) = response.xml
        assert [node.text for node in row] == ["a", "AccessDenied", "Access Denied"]
        assert (response.status, row.tag.rpartition("}")[2]) == (200, "Error")
    for response in (
        call(front, "DELETE", f"/{bucket}/a", key=FOREIGNER),
        anonymous(front, "DELETE", f"/{bucket}/a"),
        delete(front, bucket, body, {**headers, "x-amz-expected-bucket-owner": OTHER_ACCOUNT_ID}),
    ):
        assert (response.status, response.error["Code"]) == (403, "AccessDenied")
    assert keys_in(s3, bucket) == ["a"]
