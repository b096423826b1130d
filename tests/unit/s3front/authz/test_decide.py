"""Who may do what: a pure decision on an access, and what a refusal says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import pytest
from msgspec import structs
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.auth.identity import ANONYMOUS, Principal
from s3front.authz.access import BYPASS_GOVERNANCE, PER_KEY, Access, arn
from s3front.authz.condition_keys import ConditionKeys
from s3front.authz.decide import authorize, decide
from s3front.authz.reasons import Why
from s3front.metadata.kept_buckets import StoredBucket
from s3front.objects.object_record import ObjectRecord
from s3front.objects.versioning import LATEST, NULL
from s3front.operations import routes
from s3front.operations.decide_again import allowed_again
from s3front.operations.get_object import GET_OBJECT
from s3front.operations.put_object import PUT_OBJECT
from s3front.port.request import Request
from s3front.s3_errors import S3Error
from shared.records.bucket import BucketRecord

OWNER = Principal("owner-id", "Owner", "123456789012", "arn:aws:iam::123456789012:root")
OTHER = Principal("other-id", "Other", "210987654321", "arn:aws:iam::210987654321:root")
NOW = datetime(2026, 1, 2, tzinfo=UTC)
READ = ("s3:GetObject",)


def bucket_of(owner: Principal) -> BucketRecord:
    return BucketRecord.create("bucket", owner.canonical_id, owner.name, NOW, "us-east-1")


def request(**headers: str) -> Request:
    nothing: Any = None
    fields = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    return Request("GET", "/bucket/key", CIMultiDictProxy(fields), nothing, "10.1.2.3", True)


def access(
    principal: Principal,
    actions: Sequence[str] = READ,
    bucket: BucketRecord | None = None,
    owners: Sequence[str] = (),
    sent: Request | None = None,
) -> Access:
    keys = ConditionKeys(sent or request(), {"prefix": "a/", "versionId": "null"}, principal)
    resource = arn("bucket", "key")
    return Access(principal, actions, resource, keys, bucket, None, owners)


@pytest.mark.parametrize(
    ("principal", "actions", "owner", "allowed", "reason"),
    [
        (OWNER, READ, OWNER, True, Why.OWNER),
        (OWNER, (BYPASS_GOVERNANCE,), OWNER, True, Why.OWNER),
        (OTHER, READ, OWNER, False, Why.NOTHING_ALLOWS),
        (OTHER, (BYPASS_GOVERNANCE,), OWNER, False, Why.NOTHING_ALLOWS),
        (ANONYMOUS, READ, OWNER, False, Why.NOTHING_ALLOWS),
        # Nobody's bucket is anybody's.
        (ANONYMOUS, READ, ANONYMOUS, False, Why.NOTHING_ALLOWS),
        (OWNER, READ, None, False, Why.NO_BUCKET),
        (ANONYMOUS, READ, None, False, Why.NO_BUCKET),
        (OTHER, ("s3:CreateBucket",), OWNER, True, Why.ACCOUNT),
        (OTHER, ("s3:CreateBucket",), None, True, Why.ACCOUNT),
        (OTHER, ("s3:ListAllMyBuckets",), None, True, Why.ACCOUNT),
        # What is asked for besides is of the bucket that is made.
        (OTHER, ("s3:CreateBucket", "s3:PutBucketAcl"), OWNER, True, Why.ACCOUNT),
        (ANONYMOUS, ("s3:CreateBucket",), None, False, Why.NOTHING_ALLOWS),
        (ANONYMOUS, ("s3:ListAllMyBuckets",), None, False, Why.NOTHING_ALLOWS),
        (ANONYMOUS, (), None, True, Why.FOR_ANYBODY),
    ],
)
def test_a_decision(
    principal: Principal,
    actions: Sequence[str],
    owner: Principal | None,
    allowed: bool,
    reason: Why,
) -> None:
    bucket = None if owner is None else bucket_of(owner)
    decision = decide(access(principal, actions, bucket))
    assert (decision.allowed, decision.reason.why) == (allowed, reason)


@pytest.mark.parametrize(
    ("owners", "code"),
    [
        (["123456789012"], None),
        (["123456789012", "123456789012"], None),
        (["210987654321"], "AccessDenied"),
        (["123456789012", "210987654321"], "AccessDenied"),
        (["somebody"], "InvalidBucketOwnerAWSAccountID"),
        (["1234567890123"], "InvalidBucketOwnerAWSAccountID"),
        (["123456789012", ""], "InvalidBucketOwnerAWSAccountID"),
        (["210987654321", "somebody"], "AccessDenied"),
    ],
)
def test_the_owner_that_is_expected(owners: Sequence[str], code: str | None) -> None:
    """Of an unknown bucket, and to strangers, it is nothing that is looked at."""
    asked = access(OWNER, READ, bucket_of(OWNER), owners)
    if code is None:
        authorize(asked)
        return
    with pytest.raises(S3Error) as caught:
        authorize(asked)
    assert caught.value.code == code
    for other, expected in ((OTHER, "AccessDenied"), (ANONYMOUS, "AccessDenied")):
        with pytest.raises(S3Error) as caught:
            authorize(structs.replace(asked, principal=other))
        assert caught.value.code == expected


def test_a_refusal_names_the_bucket_that_is_not_there() -> None:
    for resource in (arn("bucket"), arn("bucket", "key/with/slashes")):
        with pytest.raises(S3Error) as caught:
            authorize(structs.replace(access(OWNER), resource=resource))
        assert (caught.value.code, caught.value.fields) == (
            "NoSuchBucket",
            {"BucketName": "bucket"},
        )


def test_what_is_read_again_is_decided_again_whole() -> None:
    """Not only by its owner: all that the request said counts again."""
    allowed = access(OWNER, READ, bucket_of(OWNER), ["123456789012"])
    authorize(allowed)
    found = StoredBucket(bucket_of(OWNER), 2, "bucket")
    assert allowed_again(allowed, found, None) is found
    others = StoredBucket(bucket_of(OTHER), 3, "bucket")
    for now, code in ((others, "AccessDenied"), (None, "NoSuchBucket")):
        with pytest.raises(S3Error) as caught:
            allowed_again(allowed, now, None)
        assert caught.value.code == code
    mistaken = structs.replace(allowed, expected_owners=["210987654321"])
    with pytest.raises(S3Error, match="AccessDenied"):
        allowed_again(mistaken, found, None)


def test_conditions_are_read_when_they_are_asked_for() -> None:
    sent = request(
        Referer="https://example.com",
        User_Agent="test",
        x_amz_acl="private",
        x_amz_tagging="colour=dark%20blue&empty=",
        x_amz_object_lock_mode="GOVERNANCE",
        x_amz_server_side_encryption="aws:kms",
        x_amz_server_side_encryption_aws_kms_key_id="key-1",
        x_amz_server_side_encryption_customer_algorithm="AES256",
    )
    asked = access(OWNER, sent=sent)
    assert {
        key: asked.values(key)
        for key in (
            "aws:SourceIp",
            "aws:securetransport",
            "aws:Referer",
            "aws:UserAgent",
            "aws:PrincipalArn",
            "aws:PrincipalAccount",
            "aws:PrincipalType",
            "s3:prefix",
            "s3:delimiter",
            "s3:VersionId",
            "s3:x-amz-acl",
            "s3:x-amz-server-side-encryption",
            "s3:X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id",
            "s3:x-amz-server-side-encryption-customer-algorithm",
            "s3:object-lock-mode",
            "s3:RequestObjectTag/colour",
            "s3:RequestObjectTag/Colour",
            "s3:RequestObjectTag/empty",
            "s3:ExistingObjectTag/Colour",
            "aws:unknown",
        )
    } == {
        "aws:SourceIp": ("10.1.2.3",),
        "aws:securetransport": ("true",),
        "aws:Referer": ("https://example.com",),
        "aws:UserAgent": ("test",),
        "aws:PrincipalArn": (OWNER.arn,),
        "aws:PrincipalAccount": ("123456789012",),
        "aws:PrincipalType": ("Account",),
        "s3:prefix": ("a/",),
        "s3:delimiter": None,
        "s3:VersionId": ("null",),
        "s3:x-amz-acl": ("private",),
        "s3:x-amz-server-side-encryption": ("aws:kms",),
        "s3:X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": ("key-1",),
        "s3:x-amz-server-side-encryption-customer-algorithm": ("AES256",),
        "s3:object-lock-mode": ("GOVERNANCE",),
        "s3:RequestObjectTag/colour": ("dark blue",),
        "s3:RequestObjectTag/Colour": None,
        "s3:RequestObjectTag/empty": ("",),
        "s3:ExistingObjectTag/Colour": None,
        "aws:unknown": None,
    }
    tagged = asked.on(bucket_of(OWNER), ObjectRecord({"tags": {"Colour": "red"}}))
    assert tagged.values("S3:existingobjecttag/Colour") == ("red",)
    anonymous = access(ANONYMOUS)
    assert anonymous.values("aws:PrincipalType") == ("Anonymous",)
    assert anonymous.values("aws:PrincipalArn") is None
    assert anonymous.values("aws:PrincipalAccount") is None


def test_the_actions_of_a_request() -> None:
    assert GET_OBJECT.actions_for(LATEST, {}) == ("s3:GetObject",)
    assert GET_OBJECT.actions_for(NULL, {}) == ("s3:GetObjectVersion",)
    headers = {"x-amz-tagging": "a=b", "x-amz-object-lock-legal-hold": "ON"}
    assert PUT_OBJECT.actions_for(LATEST, headers) == (
        "s3:PutObject",
        "s3:PutObjectTagging",
        "s3:PutObjectLegalHold",
    )


def test_every_operation_declares_what_it_asks_for() -> None:
    """What asks for nothing is for anybody."""
    operations = {each.name: each for each in routes()}
    assert {name for name, each in operations.items() if not each.actions} == {
        "CorsPreflight",
        "GetWebsitePage",
    }
    for each in operations.values():
        declared = {*each.actions, *each.version_actions, *chain(*each.header_actions.values())}
        assert all(action.partition(":")[0] in ("s3", "scality") for action in declared - {PER_KEY})
