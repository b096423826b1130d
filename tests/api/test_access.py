"""Every operation there is, asked by everybody who may not, and for everything that is not there.

The table has a row for every operation that is routed; one that is new fails a test until it has
its own. Whatever is answered, botocore must understand every word of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.etree.ElementTree import Element

import pytest

from s3front.auth.sigv4 import AccessKey
from s3front.authz.ownership import ENFORCED, OWNERSHIP_MEMBER
from s3front.configurations.base import Answer
from s3front.configurations.table import CONFIGURATIONS
from s3front.operations import routes
from s3front.s3_errors import S3Error
from shared.records.bucket import BucketRecord
from tests.api.support import md5_base64, new_name
from tests.api.understood import assert_understood, knows_header, unknown_elements
from tests.bucket_documents import PUT_BODIES
from tests.forms import form_body, form_request, signed_v4
from tests.multipart import begin_upload, completion, send_part
from tests.raw_http import (
    FOREIGNER,
    OWNER,
    Response,
    anonymous,
    call,
    exchange,
    host_of,
    service_model,
)
from tests.servers import ACCESS_KEY, OTHER_ACCESS_KEY, OTHER_SECRET_KEY, Front

pytestmark = pytest.mark.usefixtures("undisturbed")

BODY = b"body"
IMPOSTOR = AccessKey(ACCESS_KEY, "not the secret")
STRANGER = AccessKey("AKIAUNKNOWN", "whatever")
WRONG_OWNER = {"x-amz-expected-bucket-owner": "999999999999"}
DENIED = (403, "AccessDenied")
NO_KEY = (404, "NoSuchKey")
NO_UPLOAD = (404, "NoSuchUpload")
NO_BUCKET = (404, "NoSuchBucket")
CHECKSUM = {"x-amz-checksum-mode": "ENABLED"}
DELETE = b"<Delete><Object><Key>gone</Key></Object></Delete>"
LOCK = PUT_BODIES["PutObjectLockConfiguration"]
ENCRYPTION = (
    b"<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>"
    b"<SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>"
    b"</ServerSideEncryptionConfiguration>"
)
"""There is no master key, so it is 501 for whoever may."""
POLICY = (
    b'{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", '
    b'"Principal": {"AWS": "123456789012"}, "Resource": "arn:aws:s3:::{bucket}/*"}]}'
)
HOLD = b"<LegalHold><Status>ON</Status></LegalHold>"
TAGGING = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"


@dataclass(frozen=True)
class Place:
    """A bucket with a tagged object, ``key``, and an upload of ``upload`` with a part."""

    bucket: str
    upload_id: str


@dataclass(frozen=True)
class Case:
    """How an operation is asked. ``{bucket}``, ``{key}``, ``{upload_id}`` are put into the target,
    the bucket into the body and the values of headers. ``absent`` is the answer for a key or an
    upload that is not there; None when it is no error."""

    method: str
    target: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    absent: tuple[int, str] | None = None
    success: int = 200
    foreigner: tuple[int, str] | None = DENIED
    has_bucket: bool = True
    key: str = "key"


def with_md5(body: bytes) -> dict[str, str]:
    return {"Content-MD5": md5_base64(body)}


COPY = {"x-amz-copy-source": "{bucket}/key"}
OBJECT, UPLOAD = "/{bucket}/{key}", "/{bucket}/{key}?uploadId={upload_id}"
PART = "/{bucket}/{key}?partNumber=1&uploadId={upload_id}"
CASES = {
    "ListBuckets": Case("GET", "/", foreigner=None, has_bucket=False),
    "CreateBucket": Case(
        "PUT",
        "/{bucket}",
        foreigner=(409, "BucketAlreadyExists"),
        has_bucket=False,
    ),
    "HeadBucket": Case("HEAD", "/{bucket}"),
    "GetBucketLocation": Case("GET", "/{bucket}?location"),
    # Of a bucket without object lock; what it answers in others is in test_object_lock.
    "PutBucketEncryption": Case(
        "PUT", "/{bucket}?encryption", ENCRYPTION, with_md5(ENCRYPTION), success=501
    ),
    "PutObjectLockConfiguration": Case(
        "PUT", "/{bucket}?object-lock", LOCK, with_md5(LOCK), success=409
    ),
    "GetObjectRetention": Case("GET", OBJECT + "?retention", success=400),
    "PutObjectRetention": Case(
        "PUT", OBJECT + "?retention", b"<Retention/>", with_md5(b"<Retention/>"), success=400
    ),
    "GetObjectLegalHold": Case("GET", OBJECT + "?legal-hold", success=400),
    "PutObjectLegalHold": Case("PUT", OBJECT + "?legal-hold", HOLD, with_md5(HOLD), success=400),
    "DeleteBucket": Case("DELETE", "/{bucket}", success=409),
    "ListObjects": Case("GET", "/{bucket}?delimiter=/&prefix=k&marker=a&encoding-type=url"),
    "ListObjectsV2": Case(
        "GET", "/{bucket}?list-type=2&delimiter=/&prefix=k&start-after=a&fetch-owner=true"
    ),
    "ListObjectVersions": Case("GET", "/{bucket}?versions&delimiter=/&prefix=k&encoding-type=url"),
    "DeleteObjects": Case("POST", "/{bucket}?delete", DELETE, with_md5(DELETE)),
    "ListMultipartUploads": Case("GET", "/{bucket}?uploads&prefix=u&delimiter=/&encoding-type=url"),
    "PutObject": Case("PUT", OBJECT, BODY, {"x-amz-checksum-algorithm": "CRC32"}),
    "PostObject": Case("POST", "/{bucket}", success=204),
    "GetObject": Case("GET", OBJECT, headers=CHECKSUM, absent=NO_KEY),
    "HeadObject": Case("HEAD", OBJECT, headers=CHECKSUM, absent=NO_KEY),
    "GetObjectAttributes": Case(
        "GET",
        OBJECT + "?attributes",
        headers={"x-amz-object-attributes": "ETag,Checksum,ObjectParts,StorageClass,ObjectSize"},
        absent=NO_KEY,
    ),
    "DeleteObject": Case("DELETE", OBJECT, success=204),
    "CopyObject": Case("PUT", "/{bucket}/copy", headers=COPY),
    "RenameObject": Case(
        "PUT",
        "/{bucket}/renamed?renameObject",
        headers={"x-amz-rename-source": "{bucket}/{key}"},
        absent=NO_KEY,
    ),
    "RestoreObject": Case("POST", OBJECT + "?restore", absent=NO_KEY, success=403),
    "GetObjectTagging": Case("GET", OBJECT + "?tagging", absent=NO_KEY),
    "PutObjectTagging": Case("PUT", OBJECT + "?tagging", TAGGING, with_md5(TAGGING), absent=NO_KEY),
    "DeleteObjectTagging": Case("DELETE", OBJECT + "?tagging", absent=NO_KEY, success=204),
    "GetBucketPolicy": Case("GET", "/{bucket}?policy", success=404),
    "GetBucketPolicyStatus": Case("GET", "/{bucket}?policyStatus", success=404),
    "PutBucketPolicy": Case("PUT", "/{bucket}?policy", POLICY, success=204),
    "DeleteBucketPolicy": Case("DELETE", "/{bucket}?policy", success=204),
    "GetBucketAcl": Case("GET", "/{bucket}?acl"),
    # Where lists do not count, which is so of new buckets; else see test_put_bucket_acl.
    "PutBucketAcl": Case("PUT", "/{bucket}?acl", headers={"x-amz-acl": "private"}, success=400),
    "PutObjectAcl": Case(
        "PUT",
        OBJECT + "?acl",
        headers={"x-amz-acl": "bucket-owner-full-control"},
        absent=NO_KEY,
    ),
    "GetObjectAcl": Case("GET", OBJECT + "?acl", absent=NO_KEY),
    "ListObjectAnnotations": Case("GET", OBJECT + "?annotation", absent=NO_KEY),
    "GetObjectAnnotation": Case(
        "GET", OBJECT + "?annotation&annotationName=a", absent=NO_KEY, success=404
    ),
    "DeleteObjectAnnotation": Case(
        "DELETE", OBJECT + "?annotation&annotationName=a", absent=NO_KEY, success=204
    ),
    "CreateMultipartUpload": Case(
        "POST", OBJECT + "?uploads", headers={"x-amz-checksum-algorithm": "CRC32"}
    ),
    "UploadPart": Case("PUT", PART, BODY, absent=NO_UPLOAD, key="upload"),
    "UploadPartCopy": Case("PUT", PART, headers=COPY, absent=NO_UPLOAD, key="upload"),
    "ListParts": Case("GET", UPLOAD, absent=NO_UPLOAD, key="upload"),
    "CompleteMultipartUpload": Case(
        "POST", UPLOAD, completion({1: BODY}), absent=NO_UPLOAD, key="upload"
    ),
    "AbortMultipartUpload": Case("DELETE", UPLOAD, absent=NO_UPLOAD, success=204, key="upload"),
}
ANYBODY = {"CorsPreflight", "GetWebsitePage"}
"""Operations that nobody has to sign (tests/api/test_cors.py, tests/api/test_websites.py)."""

FRESH = BucketRecord.create(
    "bucket", "owner", "Owner", datetime(2026, 1, 1, tzinfo=UTC), "here"
).changed({OWNERSHIP_MEMBER: ENFORCED})


def status_of(answer: Answer) -> int:
    """Of what a bucket is answered that has no documents; those answers are judged in
    tests/unit/s3front/configurations/test_configurations.py."""
    try:
        return answer(FRESH).status
    except S3Error as error:
        return error.status


def document_cases() -> Iterator[tuple[str, Case]]:
    """A row for each call about a document of a bucket that has none."""
    for each in CONFIGURATIONS:
        target = f"/{{bucket}}?{each.sub_resource}" + ("&id=x" if each.identified else "")
        yield each.get, Case("GET", target, success=status_of(each.read))
        if each.put is not None:
            body = PUT_BODIES[each.put.name]
            yield (
                each.put.name,
                Case("PUT", target, body, with_md5(body), success=each.put.status),
            )
        if each.delete is not None:
            yield each.delete, Case("DELETE", target, success=status_of(each.unset_removed))


CASES = dict(document_cases()) | CASES  # a row above is of one that needs more
NAMES = sorted(CASES)
MODELLED = frozenset(service_model().operation_names)
"""Those that botocore knows."""
IN_BUCKETS = [name for name in NAMES if CASES[name].has_bucket]


def make_place(front: Front) -> Place:
    bucket = new_name()
    assert call(front, "PUT", f"/{bucket}").status == 200
    headers = {"x-amz-tagging": "a=1", "x-amz-meta-colour": "blue", "Cache-Control": "no-cache"}
    assert call(front, "PUT", f"/{bucket}/key", BODY, headers).status == 200

    def send(
        method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Response:
        return call(front, method, target, body, headers)

    upload_id = begin_upload(send, f"/{bucket}/upload")
    assert send_part(send, f"/{bucket}/upload", upload_id, 1, BODY).status == 200
    return Place(bucket, upload_id)


@pytest.fixture
def place(front: Front) -> Place:
    return make_place(front)


@pytest.fixture(scope="module")
def untouched(front: Front) -> Iterator[Place]:
    """A place for what is refused: at the end it is as it was."""
    made = make_place(front)
    yield made
    listed = call(front, "GET", f"/{made.bucket}?list-type=2").xml
    assert [node.text for node in listed.iter("Key")] == ["key"]
    assert call(front, "GET", f"/{made.bucket}/key").body == BODY
    parts = call(front, "GET", f"/{made.bucket}/upload?uploadId={made.upload_id}").xml
    assert [node.text for node in parts.iter("PartNumber")] == ["1"]


def ask(
    front: Front,
    name: str,
    place: Place,
    signer: AccessKey | None = OWNER,
    headers: Mapping[str, str] | None = None,
    key: str | None = None,
) -> Response:
    """Ask for an operation; ``signer`` None is anonymous."""
    case = CASES[name]
    values = {"bucket": place.bucket, "upload_id": place.upload_id, "key": key or case.key}
    target = case.target.format(**values)
    body = case.body.replace(b"{bucket}", place.bucket.encode())
    sent = {header: value.format(**values) for header, value in case.headers.items()}
    sent |= dict(headers or {})
    if name == "PostObject":
        fields = {"key": "form"}
        if signer is not None:
            fields = signed_v4(fields, place.bucket, key=signer)
        form = form_request(host_of(front), target, form_body(fields, BODY), sent)
        return exchange(front, form)
    if signer is None:
        return anonymous(front, case.method, target, body, sent)
    return call(front, case.method, target, body, sent, key=signer)


def assert_refused(name: str, response: Response, expected: tuple[int, str]) -> None:
    """HEAD has no document, and so no code."""
    if name == "DeleteObjects" and expected == DENIED and response.status == 200:
        # Each key is refused by itself.
        assert [node.text for node in response.xml.iter("Code")] == ["AccessDenied"]
        return
    if CASES[name].method == "HEAD":
        assert (response.status, response.body) == (expected[0], b"")
        return
    assert (response.status, response.error["Code"]) == expected
    if name in MODELLED:
        assert_understood(name, response)


def test_every_operation_has_its_row() -> None:
    assert routes().names() == sorted([*NAMES, *ANYBODY])


@pytest.mark.parametrize("name", NAMES)
def test_anonymous(front: Front, untouched: Place, name: str) -> None:
    assert_refused(name, ask(front, name, untouched, None), DENIED)


@pytest.mark.parametrize("name", NAMES)
def test_another_account(front: Front, untouched: Place, name: str) -> None:
    response = ask(front, name, untouched, FOREIGNER)
    expected = CASES[name].foreigner
    if expected is None:
        assert response.status == 200
        assert untouched.bucket not in response.body.decode()
    else:
        assert_refused(name, response, expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_secret(front: Front, untouched: Place, name: str) -> None:
    response = ask(front, name, untouched, IMPOSTOR)
    assert_refused(name, response, (403, "SignatureDoesNotMatch"))


@pytest.mark.parametrize("name", NAMES)
def test_the_secret_of_somebody_else(front: Front, untouched: Place, name: str) -> None:
    response = ask(front, name, untouched, AccessKey(ACCESS_KEY, OTHER_SECRET_KEY))
    assert_refused(name, response, (403, "SignatureDoesNotMatch"))
    assert OTHER_ACCESS_KEY not in response.body.decode()


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_access_key(front: Front, untouched: Place, name: str) -> None:
    response = ask(front, name, untouched, STRANGER)
    assert_refused(name, response, (403, "InvalidAccessKeyId"))


@pytest.mark.parametrize("name", IN_BUCKETS)
def test_a_bucket_of_an_unexpected_owner(front: Front, untouched: Place, name: str) -> None:
    assert_refused(name, ask(front, name, untouched, headers=WRONG_OWNER), DENIED)


@pytest.mark.parametrize("name", IN_BUCKETS)
@pytest.mark.parametrize("signer", [OWNER, FOREIGNER], ids=["owner", "another"])
def test_a_bucket_that_is_not_there(
    front: Front, untouched: Place, name: str, signer: AccessKey
) -> None:
    nowhere = Place(new_name(), untouched.upload_id)
    assert_refused(name, ask(front, name, nowhere, signer), NO_BUCKET)


@pytest.mark.parametrize("name", [name for name in NAMES if CASES[name].absent])
def test_a_key_or_an_upload_that_is_not_there(front: Front, untouched: Place, name: str) -> None:
    expected = CASES[name].absent
    assert expected is not None
    assert_refused(name, ask(front, name, untouched, key="gone"), expected)
    if expected == NO_UPLOAD:
        nothing = Place(untouched.bucket, "0" * 32)
        assert_refused(name, ask(front, name, nothing), NO_UPLOAD)


@pytest.mark.parametrize("name", NAMES)
def test_its_owner(front: Front, place: Place, name: str) -> None:
    response = ask(front, name, place)
    assert response.status == CASES[name].success, response.body
    if name in MODELLED:
        assert_understood(name, response)


def test_the_check_sees_what_botocore_drops() -> None:
    """Else it would be worth nothing."""
    model = service_model()
    shape = model.operation_model("ListObjectsV2").output_shape
    tree = Element("ListBucketResult")
    for name in ("Name", "Surplus"):
        tree.append(Element(name))
    contents = Element("Contents")
    contents.append(Element("Keys"))
    tree.append(contents)
    found = list(unknown_elements(shape, tree, "L"))
    assert found == ["L/Surplus", "L/Contents/Keys"]
    assert not knows_header(shape.members, "x-amz-surplus")
