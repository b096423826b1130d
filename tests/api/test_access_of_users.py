"""Every operation there is, asked by users of the account that owns the bucket: one without any
policy, one with exactly what the operation asks for, and those with everything but one of that.

The table has a row for every operation that is routed, as in ``test_access``; what each asks for is
that of the Amazon S3 user guide, "Required permissions for Amazon S3 API operations".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

from s3front.auth.sigv4 import AccessKey
from s3front.operations import routes
from tests.api.encrypting import encrypting_cluster
from tests.api.support import md5_base64
from tests.api.test_access import (
    ANYBODY,
    CASES,
    DENIED,
    Place,
    ask,
    assert_refused,
    make_place,
)
from tests.clients_boto3 import aws_client
from tests.raw_http import call
from tests.servers import Front

ON_BUCKET: Final = "arn:aws:s3:::{bucket}"
IN_BUCKET: Final = "arn:aws:s3:::{bucket}/{key}"
ANY: Final = "*"

# What is asked of the bucket, by the operations of which each asks for one thing of it.
OF_BUCKETS: Final = {
    "DeleteBucket": "s3:DeleteBucket",
    "DeleteBucketAnalyticsConfiguration": "s3:PutAnalyticsConfiguration",
    "DeleteBucketCors": "s3:PutBucketCORS",
    "DeleteBucketEncryption": "s3:PutEncryptionConfiguration",
    "DeleteBucketIntelligentTieringConfiguration": "s3:PutIntelligentTieringConfiguration",
    "DeleteBucketInventoryConfiguration": "s3:PutInventoryConfiguration",
    "DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
    "DeleteBucketMetadataConfiguration": "s3:DeleteBucketMetadataTableConfiguration",
    "DeleteBucketMetadataTableConfiguration": "s3:DeleteBucketMetadataTableConfiguration",
    "DeleteBucketMetricsConfiguration": "s3:PutMetricsConfiguration",
    "DeleteBucketOwnershipControls": "s3:PutBucketOwnershipControls",
    "DeleteBucketPolicy": "s3:DeleteBucketPolicy",
    "DeleteBucketQuota": "scality:DeleteBucketQuota",
    "DeleteBucketReplication": "s3:PutReplicationConfiguration",
    "DeleteBucketTagging": "s3:PutBucketTagging",
    "DeleteBucketWebsite": "s3:DeleteBucketWebsite",
    "DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "GetBucketAbac": "s3:GetBucketAbac",
    "GetBucketAccelerateConfiguration": "s3:GetAccelerateConfiguration",
    "GetBucketAcl": "s3:GetBucketAcl",
    "GetBucketAnalyticsConfiguration": "s3:GetAnalyticsConfiguration",
    "GetBucketCors": "s3:GetBucketCORS",
    "GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "GetBucketIntelligentTieringConfiguration": "s3:GetIntelligentTieringConfiguration",
    "GetBucketInventoryConfiguration": "s3:GetInventoryConfiguration",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "GetBucketLocation": "s3:GetBucketLocation",
    "GetBucketLogging": "s3:GetBucketLogging",
    "GetBucketMetadataConfiguration": "s3:GetBucketMetadataTableConfiguration",
    "GetBucketMetadataTableConfiguration": "s3:GetBucketMetadataTableConfiguration",
    "GetBucketMetricsConfiguration": "s3:GetMetricsConfiguration",
    "GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "GetBucketOwnershipControls": "s3:GetBucketOwnershipControls",
    "GetBucketPolicy": "s3:GetBucketPolicy",
    "GetBucketPolicyStatus": "s3:GetBucketPolicyStatus",
    "GetBucketQuota": "scality:GetBucketQuota",
    "GetBucketReplication": "s3:GetReplicationConfiguration",
    "GetBucketRequestPayment": "s3:GetBucketRequestPayment",
    "GetBucketTagging": "s3:GetBucketTagging",
    "GetBucketVersioning": "s3:GetBucketVersioning",
    "GetBucketWebsite": "s3:GetBucketWebsite",
    "GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "HeadBucket": "s3:ListBucket",
    "ListBucketAnalyticsConfigurations": "s3:GetAnalyticsConfiguration",
    "ListBucketIntelligentTieringConfigurations": "s3:GetIntelligentTieringConfiguration",
    "ListBucketInventoryConfigurations": "s3:GetInventoryConfiguration",
    "ListBucketMetricsConfigurations": "s3:GetMetricsConfiguration",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListObjects": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "PutBucketAcl": "s3:PutBucketAcl",
    "PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "PutBucketOwnershipControls": "s3:PutBucketOwnershipControls",
    "PutBucketPolicy": "s3:PutBucketPolicy",
    "PutBucketTagging": "s3:PutBucketTagging",
    "PutBucketVersioning": "s3:PutBucketVersioning",
    "PutObjectLockConfiguration": "s3:PutBucketObjectLockConfiguration",
    "PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
}
# What is asked of the object.
OF_OBJECTS: Final = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "CompleteMultipartUpload": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "DeleteObjectAnnotation": "s3:DeleteObjectAnnotation",
    "DeleteObjectTagging": "s3:DeleteObjectTagging",
    "GetObject": "s3:GetObject",
    "GetObjectAcl": "s3:GetObjectAcl",
    "GetObjectAnnotation": "s3:GetObjectAnnotation",
    "GetObjectLegalHold": "s3:GetObjectLegalHold",
    "GetObjectRetention": "s3:GetObjectRetention",
    "GetObjectTagging": "s3:GetObjectTagging",
    "HeadObject": "s3:GetObject",
    "ListObjectAnnotations": "s3:ListObjectAnnotations",
    "ListParts": "s3:ListMultipartUploadParts",
    "PutObject": "s3:PutObject",
    "PutObjectAcl": "s3:PutObjectAcl",
    "PutObjectLegalHold": "s3:PutObjectLegalHold",
    "PutObjectRetention": "s3:PutObjectRetention",
    "PutObjectTagging": "s3:PutObjectTagging",
    "RestoreObject": "s3:RestoreObject",
    "UploadPart": "s3:PutObject",
}

Needed = Sequence[tuple[str, str]]
"""Actions, each with the resource that it is asked of."""

NEEDED: Final[Mapping[str, Needed]] = {
    **{name: ((action, ON_BUCKET),) for name, action in OF_BUCKETS.items()},
    **{name: ((action, IN_BUCKET),) for name, action in OF_OBJECTS.items()},
    "ListBuckets": (("s3:ListAllMyBuckets", ANY),),
    "CreateBucket": (("s3:CreateBucket", ON_BUCKET),),
    "GetObjectAttributes": (("s3:GetObject", IN_BUCKET), ("s3:GetObjectAttributes", IN_BUCKET)),
    "DeleteObjects": (("s3:DeleteObject", "arn:aws:s3:::{bucket}/gone"),),
    "PostObject": (("s3:PutObject", "arn:aws:s3:::{bucket}/form"),),
    # A copy keeps the tags of its source.
    "CopyObject": (
        ("s3:GetObject", "arn:aws:s3:::{bucket}/key"),
        ("s3:GetObjectTagging", "arn:aws:s3:::{bucket}/key"),
        ("s3:PutObject", "arn:aws:s3:::{bucket}/copy"),
        ("s3:PutObjectTagging", "arn:aws:s3:::{bucket}/copy"),
    ),
    "UploadPartCopy": (("s3:GetObject", "arn:aws:s3:::{bucket}/key"), ("s3:PutObject", IN_BUCKET)),
    # So does what is renamed.
    "RenameObject": (
        ("s3:GetObject", "arn:aws:s3:::{bucket}/key"),
        ("s3:DeleteObject", "arn:aws:s3:::{bucket}/key"),
        ("s3:PutObject", "arn:aws:s3:::{bucket}/renamed"),
        ("s3:PutObjectTagging", "arn:aws:s3:::{bucket}/renamed"),
    ),
}
NAMES: Final = sorted(NEEDED)
SUCCESS: Final = {"PutBucketEncryption": 200}
"""What is answered otherwise than in ``test_access``: here is a master key."""
ELSEWHERE: Final = [
    (name, resource)
    for name in NAMES
    for resource in dict.fromkeys(resource for _, resource in NEEDED[name])
    if resource != ANY
]
OF_VERSIONS: Final[Mapping[str, Sequence[str]]] = {
    "DeleteObject": ("s3:DeleteObjectVersion",),
    "DeleteObjectAnnotation": ("s3:DeleteObjectVersionAnnotation",),
    "DeleteObjectTagging": ("s3:DeleteObjectVersionTagging",),
    "GetObject": ("s3:GetObjectVersion",),
    "GetObjectAcl": ("s3:GetObjectVersionAcl",),
    "GetObjectAnnotation": ("s3:GetObjectVersionAnnotation",),
    "GetObjectAttributes": ("s3:GetObjectVersion", "s3:GetObjectVersionAttributes"),
    "GetObjectLegalHold": ("s3:GetObjectLegalHold",),
    "GetObjectRetention": ("s3:GetObjectRetention",),
    "GetObjectTagging": ("s3:GetObjectVersionTagging",),
    "HeadObject": ("s3:GetObjectVersion",),
    "ListObjectAnnotations": ("s3:ListObjectVersionAnnotations",),
    "PutObjectAcl": ("s3:PutObjectVersionAcl",),
    "PutObjectLegalHold": ("s3:PutObjectLegalHold",),
    "PutObjectRetention": ("s3:PutObjectRetention",),
    "PutObjectTagging": ("s3:PutObjectVersionTagging",),
    "RestoreObject": ("s3:RestoreObject",),
}
"""What is asked of a version that is named."""

LACKING: Final = [(name, action) for name in NAMES for action, _ in NEEDED[name]]


@dataclass(frozen=True)
class User:
    """A user of the account that owns everything, and the access key."""

    name: str
    key: AccessKey


class Users:
    """Makes users by the calls of IAM."""

    def __init__(self, front: Front) -> None:
        self._iam = aws_client("iam", front)
        self._made = 0

    def again(self, user: User) -> User:
        """Another user of the same name, in the place of one without policies."""
        self._iam.delete_access_key(UserName=user.name, AccessKeyId=user.key.access_key)
        self._iam.delete_user(UserName=user.name)
        self._iam.create_user(UserName=user.name)
        return self._with_key(user.name)

    def _with_key(self, name: str) -> User:
        made = self._iam.create_access_key(UserName=name)["AccessKey"]
        return User(name, AccessKey(made["AccessKeyId"], made["SecretAccessKey"]))

    def with_policy(self, *statements: Mapping[str, Any]) -> User:
        """A user with this policy; without statements it has none."""
        self._made += 1
        name = f"user-{self._made}"
        self._iam.create_user(UserName=name)
        if statements:
            document = {"Version": "2012-10-17", "Statement": list(statements)}
            self._iam.put_user_policy(
                UserName=name, PolicyName="own", PolicyDocument=json.dumps(document)
            )
        return self._with_key(name)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """A front-end with a master key, as users need one for their secrets."""
    folder: Path = tmp_path_factory.mktemp("users")
    with encrypting_cluster(folder) as started:
        yield started.fronts[0]


@pytest.fixture(scope="module")
def users(front: Front) -> Users:
    return Users(front)


@pytest.fixture(scope="module")
def untouched(front: Front) -> Place:
    return make_place(front)


@pytest.fixture(scope="module")
def nobody(users: Users) -> User:
    """A user without a policy."""
    return users.with_policy()


def statement(effect: str, action: str, resource: str = ANY) -> dict[str, str]:
    return {"Effect": effect, "Action": action, "Resource": resource}


def test_every_operation_has_its_row() -> None:
    assert sorted(set(routes().names()) - ANYBODY) == NAMES
    assert sorted(CASES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_user_without_a_policy(front: Front, untouched: Place, nobody: User, name: str) -> None:
    response = ask(front, name, untouched, nobody.key)
    assert_refused(name, response, DENIED)
    if CASES[name].method != "HEAD":
        told = response.body.decode()
        assert f"arn:aws:iam::123456789012:user/{nobody.name} is not authorized to perform" in told
        assert "because no identity-based policy allows the " in told


@pytest.mark.parametrize("name", NAMES)
def test_a_user_with_exactly_what_it_asks_for(front: Front, users: Users, name: str) -> None:
    place = make_place(front)
    values = {"bucket": place.bucket, "key": CASES[name].key}
    user = users.with_policy(
        *(
            statement("Allow", action, resource.format(**values))
            for action, resource in NEEDED[name]
        )
    )
    response = ask(front, name, place, user.key)
    expected = SUCCESS.get(name, CASES[name].success)
    assert response.status == expected, response.body


@pytest.mark.parametrize(("name", "action"), LACKING)
def test_a_user_with_everything_but_one_thing(
    front: Front, users: Users, untouched: Place, name: str, action: str
) -> None:
    user = users.with_policy(
        statement("Allow", "s3:*"), statement("Allow", "scality:*"), statement("Deny", action)
    )
    assert_refused(name, ask(front, name, untouched, user.key), DENIED)


def test_a_user_who_has_to_say_where_a_bucket_is_made(front: Front, users: Users) -> None:
    where = {"StringEquals": {"s3:LocationConstraint": "us-east-1"}}
    user = users.with_policy({**statement("Allow", "s3:CreateBucket"), "Condition": where})
    named = (
        b"<CreateBucketConfiguration><LocationConstraint>us-east-1</LocationConstraint>"
        b"</CreateBucketConfiguration>"
    )
    refused = call(front, "PUT", "/said-where", b"", key=user.key)
    assert (refused.status, refused.error["Code"]) == DENIED
    assert call(front, "PUT", "/said-where", named, key=user.key).status == 200


@pytest.mark.parametrize("condition", ["If-Match", "x-amz-if-match-size"])
def test_who_may_not_read_learns_nothing_by_conditions(
    front: Front, users: Users, condition: str
) -> None:
    place = make_place(front)
    writer = users.with_policy(statement("Allow", "s3:PutObject"), statement("Allow", "s3:Delete*"))
    target, headers = f"/{place.bucket}/key", {condition: "4"}
    document = b"<Delete><Object><Key>key</Key><ETag>4</ETag></Object></Delete>"
    assert call(front, "DELETE", target, b"", headers, key=writer.key).status == 403
    if condition == "If-Match":
        assert call(front, "PUT", target, b"new", headers, key=writer.key).status == 403
        many = call(
            front,
            "POST",
            f"/{place.bucket}?delete",
            document,
            {"Content-MD5": md5_base64(document)},
            key=writer.key,
        )
        assert [node.text for node in many.xml.iter("Code")] == ["AccessDenied"]
    # That there is something is no secret for who may overwrite it.
    free = {"If-None-Match": "*"}
    assert call(front, "PUT", target, b"new", free, key=writer.key).status == 412
    assert call(front, "DELETE", target, b"", {"If-Match": "*"}, key=writer.key).status == 204


def test_a_user_who_has_to_have_all_encrypted(front: Front, users: Users) -> None:
    place = make_place(front)
    plain = {"Null": {"s3:x-amz-server-side-encryption": "true"}}
    user = users.with_policy(
        statement("Allow", "s3:*"), {**statement("Deny", "s3:PutObject"), "Condition": plain}
    )
    target, encrypted = f"/{place.bucket}/whole", {"x-amz-server-side-encryption": "AES256"}
    assert call(front, "PUT", target, b"body", key=user.key).status == 403
    assert call(front, "PUT", target, b"body", encrypted, key=user.key).status == 200
    assert call(front, "POST", f"{target}?uploads", key=user.key).status == 403
    begun = call(front, "POST", f"{target}?uploads", headers=encrypted, key=user.key)
    upload_id = begun.parsed("CreateMultipartUpload")["UploadId"]
    part = f"{target}?partNumber=1&uploadId={upload_id}"
    copied = {"x-amz-copy-source": target}
    assert call(front, "PUT", part, headers=copied, key=user.key).status == 200
    etag = call(front, "PUT", part, b"part", key=user.key).headers["ETag"]
    parts = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>".encode()
    body = b"<CompleteMultipartUpload>" + parts + b"</CompleteMultipartUpload>"
    made = call(front, "POST", f"{target}?uploadId={upload_id}", body, key=user.key)
    assert made.status == 200, made.body
    found = call(front, "GET", target, key=user.key)
    assert (found.body, found.headers["x-amz-server-side-encryption"]) == (b"part", "AES256")


def test_another_user_of_the_name_has_nothing_of_what_was_given_to_the_first(
    front: Front, users: Users
) -> None:
    place, first = make_place(front), users.with_policy()
    named = {"AWS": f"arn:aws:iam::123456789012:user/{first.name}"}
    reading = statement("Allow", "s3:GetObject", f"arn:aws:s3:::{place.bucket}/*")
    document = {"Version": "2012-10-17", "Statement": [{**reading, "Principal": named}]}
    body = json.dumps(document).encode()
    assert call(front, "PUT", f"/{place.bucket}?policy", body).status == 204
    assert call(front, "GET", f"/{place.bucket}/key", key=first.key).status == 200
    second = users.again(first)
    assert call(front, "GET", f"/{place.bucket}/key", key=second.key).status == 403
    # The policy shows whom it means; put again, it means who is called so now.
    shown = json.loads(call(front, "GET", f"/{place.bucket}?policy").body)
    assert shown["Statement"][0]["Principal"]["AWS"].startswith("AIDA")
    assert call(front, "PUT", f"/{place.bucket}?policy", body).status == 204
    assert call(front, "GET", f"/{place.bucket}/key", key=second.key).status == 200


@pytest.mark.parametrize(("name", "resource"), ELSEWHERE)
def test_a_user_who_may_everything_elsewhere(
    front: Front, users: Users, untouched: Place, name: str, resource: str
) -> None:
    values = {"bucket": untouched.bucket, "key": CASES[name].key}
    everywhere = {"Effect": "Allow", "Action": ["s3:*", "scality:*"]}
    user = users.with_policy({**everywhere, "NotResource": resource.format(**values)})
    assert_refused(name, ask(front, name, untouched, user.key), DENIED)


def test_every_operation_on_a_version_has_its_row() -> None:
    assert {each.name for each in routes() if each.version_actions} == OF_VERSIONS.keys()


@pytest.fixture
def of_version(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has an operation ask for the null version from now on."""

    def name_it(name: str) -> None:
        case = CASES[name]
        parameter = ("&" if "?" in case.target else "?") + "versionId=null"
        monkeypatch.setitem(CASES, name, replace(case, target=case.target + parameter))

    return name_it


@pytest.mark.parametrize("name", sorted(OF_VERSIONS))
def test_a_version_asks_for_what_is_its_own(
    front: Front,
    users: Users,
    untouched: Place,
    of_version: Callable[[str], None],
    name: str,
) -> None:
    of_version(name)
    place = make_place(front)
    user = users.with_policy(*(statement("Allow", action) for action in OF_VERSIONS[name]))
    assert ask(front, name, place, user.key).status == CASES[name].success
    for action in OF_VERSIONS[name]:
        lacking = users.with_policy(statement("Allow", "s3:*"), statement("Deny", action))
        assert_refused(name, ask(front, name, untouched, lacking.key), DENIED)


def test_who_may_only_list_deletes_nothing(front: Front, users: Users) -> None:
    """Though he is told which keys are not there."""
    place = make_place(front)
    lister = users.with_policy(statement("Allow", "s3:ListBucket*"))
    versioning = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert call(front, "PUT", f"/{place.bucket}?versioning", versioning).status == 200
    gone = call(front, "GET", f"/{place.bucket}/gone", key=lister.key)
    assert (gone.status, gone.error["Code"]) == (404, "NoSuchKey")
    for condition in (b"<Size>7</Size>", b"<ETag>7</ETag>", b""):
        document = b"<Delete><Object><Key>gone</Key>" + condition + b"</Object></Delete>"
        headers = {"Content-MD5": md5_base64(document)}
        many = call(front, "POST", f"/{place.bucket}?delete", document, headers, key=lister.key)
        assert [node.text for node in many.xml.iter("Code")] == ["AccessDenied"]
    listed = call(front, "GET", f"/{place.bucket}?versions").xml
    assert list(listed.iter("DeleteMarker")) == []
