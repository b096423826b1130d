"""What requests tell to the conditions of policies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.auth.identity import ANONYMOUS, Principal
from s3front.authz.access import Access, Asked, AskedToTell, arn
from s3front.authz.condition_keys import (
    LOCATION,
    REQUEST_TAGS,
    UNTIL,
    BodyUnreadError,
    ConditionKeys,
    keys_of_call,
)
from s3front.objects.object_record import ObjectRecord
from s3front.port.request import Request
from shared.records.bucket import BucketRecord

NOW = datetime(2024, 2, 29, 12, 0, 1, 500_000, tzinfo=UTC)
NOTHING: Any = None
ANNA = Principal(
    "canonical",
    "Owner",
    "123456789012",
    "arn:aws:iam::123456789012:user/Anna",
    user_id="AIDA1",
    user_name="Anna",
    kind="User",
    keys={"aws:tokenissuetime": ("2024-02-29T11:00:00Z",)},
    tags={"Team": "red"},
)
HEADER_4 = {"Authorization": "AWS4-HMAC-SHA256 …", "x-amz-date": "20240229T120000Z"}
QUERY_4 = {"X-Amz-Signature": "…", "X-Amz-Date": "20240229T110001Z"}


def keys(
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    principal: Principal = ANNA,
    *,
    method: str = "GET",
    secure: bool = True,
    tls_version: str | None = "TLSv1.3",
    form: bool = False,
) -> ConditionKeys:
    fields = CIMultiDictProxy(CIMultiDict(headers or {}))
    request = Request(
        method, "/bucket/key", fields, NOTHING, "10.1.2.3", secure, tls_version=tls_version
    )
    return ConditionKeys(request, query or {}, principal, is_form=form, clock=lambda: NOW)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("aws:SourceIp", ("10.1.2.3",)),
        ("aws:SecureTransport", ("true",)),
        ("aws:CurrentTime", ("2024-02-29T12:00:01.500Z",)),
        ("aws:EpochTime", ("1709208001",)),
        ("aws:Referer", None),
        ("aws:UserAgent", None),
        ("aws:username", ("Anna",)),
        ("AWS:UserId", ("AIDA1",)),
        ("aws:PrincipalType", ("User",)),
        ("aws:PrincipalAccount", ("123456789012",)),
        ("aws:PrincipalArn", (ANNA.arn,)),
        ("aws:principaltag/Team", ("red",)),
        ("aws:PrincipalTag/team", ("red",)),
        ("aws:TokenIssueTime", ("2024-02-29T11:00:00Z",)),
        ("aws:MultiFactorAuthPresent", None),
        ("aws:TagKeys", None),
        ("s3:TlsVersion", ("1.3",)),
        ("s3:prefix", None),
        ("s3:x-amz-acl", None),
        ("s3:object-lock-remaining-retention-days", None),
        ("s3:Unheard", None),
        ("unheard", None),
    ],
)
def test_a_plain_request(key: str, values: Any) -> None:
    assert keys().values(key) == values


def test_a_request_of_anybody() -> None:
    asked = keys(HEADER_4, QUERY_4, principal=ANONYMOUS, secure=False, tls_version=None)
    assert asked.values("aws:userid") == ("anonymous",)
    assert asked.values("aws:PrincipalType") == ("Anonymous",)
    assert asked.values("aws:SecureTransport") == ("false",)
    for key in ("aws:PrincipalArn", "aws:username", "s3:TlsVersion"):
        assert asked.values(key) is None
    # What looks like a signature is none.
    for key in ("s3:authType", "s3:signatureversion", "s3:signatureAge"):
        assert asked.values(key) is None


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Referer", "aws:Referer"),
        ("User-Agent", "aws:UserAgent"),
        ("If-Match", "s3:if-match"),
        ("If-None-Match", "s3:if-none-match"),
        ("x-amz-acl", "s3:x-amz-acl"),
        ("x-amz-grant-full-control", "s3:x-amz-grant-full-control"),
        ("x-amz-metadata-directive", "s3:x-amz-metadata-directive"),
        ("x-amz-storage-class", "s3:X-Amz-Storage-Class"),
        ("x-amz-server-side-encryption", "s3:x-amz-server-side-encryption"),
        ("x-amz-object-ownership", "s3:x-amz-object-ownership"),
        ("x-amz-content-sha256", "s3:x-amz-content-sha256"),
        ("x-amz-website-redirect-location", "s3:x-amz-website-redirect-location"),
        ("x-amz-meta-scal-location-constraint", "s3:ObjLocationConstraint"),
        ("x-amz-object-lock-mode", "s3:object-lock-mode"),
        ("x-amz-object-lock-legal-hold", "s3:object-lock-legal-hold"),
        ("x-amz-object-lock-retain-until-date", "s3:object-lock-retain-until-date"),
    ],
)
def test_a_header_is_what_it_says(name: str, key: str) -> None:
    assert keys({name: "x"}).values(key) == ("x",)
    assert keys({name: ""}).values(key) == ("",)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("prefix", "s3:prefix"),
        ("delimiter", "s3:Delimiter"),
        ("max-keys", "s3:max-keys"),
        ("versionId", "s3:VersionId"),
    ],
)
def test_a_parameter_is_what_it_says(name: str, key: str) -> None:
    assert keys(query={name: "x"}).values(key) == ("x",)
    assert keys(query={name: ""}).values(key) == ("",)


def test_another_object_is_named_by_its_own_version() -> None:
    asked = keys(query={**QUERY_4, "versionId": "1", "prefix": "x"})
    assert asked.of_version("2").values("s3:versionid") == ("2",)
    assert asked.of_version(None).values("s3:versionid") is None
    assert asked.of_version("2").values("s3:prefix") is None
    assert asked.of_version("2").values("s3:authType") == ("REST-QUERY-STRING",)


@pytest.mark.parametrize(
    ("headers", "query", "method", "signed"),
    [
        (HEADER_4, {}, "GET", ("REST-HEADER", "AWS4-HMAC-SHA256", "1500")),
        (
            {"Authorization": "AWS4-…", "Date": "Thu, 29 Feb 2024 11:59:01 GMT"},
            {},
            "PUT",
            ("REST-HEADER", "AWS4-HMAC-SHA256", "60500"),
        ),
        (
            {"Authorization": "AWS ak:…", "Date": "Thu, 29 Feb 2024 12:00:02 GMT"},
            {},
            "GET",
            ("REST-HEADER", "AWS", "0"),
        ),
        ({}, QUERY_4, "GET", ("REST-QUERY-STRING", "AWS4-HMAC-SHA256", "3600500")),
        ({"Date": "today"}, {"Signature": "…"}, "GET", ("REST-QUERY-STRING", "AWS", None)),
        (
            {"x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-date": "20240229T120001Z"},
            {},
            "POST",
            ("POST", "AWS4-HMAC-SHA256", "500"),
        ),
        ({}, {}, "POST", ("POST", "AWS", None)),
    ],
)
def test_how_a_request_is_signed(
    headers: dict[str, str], query: dict[str, str], method: str, signed: tuple[str | None, ...]
) -> None:
    asked = keys(headers, query, method=method)
    names = ("s3:authType", "s3:signatureversion", "s3:signatureAge")
    found = [asked.values(name) for name in names]
    assert found == [None if value is None else (value,) for value in signed]


@pytest.mark.parametrize(
    ("headers", "query", "value"),
    [
        ({}, {}, None),
        ({}, QUERY_4, ("UNSIGNED-PAYLOAD",)),
        ({}, {**QUERY_4, "X-Amz-Content-Sha256": "abc"}, ("abc",)),
        ({"x-amz-content-sha256": "abc"}, QUERY_4, ("abc",)),
        ({}, {"Signature": "…"}, None),
    ],
)
def test_the_digest_of_a_body(headers: dict[str, str], query: dict[str, str], value: Any) -> None:
    assert keys(headers, query).values("s3:x-amz-content-sha256") == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("source/a/b", "source/a/b"),
        ("/source/a/b", "source/a/b"),
        ("%2Fsource%2Fa", "source/a"),
        ("source/%70rivate/x", "source/private/x"),
        ("source/a+b?versionId=3", "source/a b"),
        ("source/%zz", "source/%zz"),
    ],
)
def test_the_source_of_a_copy_is_one_text(text: str, value: str) -> None:
    assert keys({"x-amz-copy-source": text}).values("s3:x-amz-copy-source") == (value,)


def test_the_tags_of_an_upload() -> None:
    asked = keys({"x-amz-tagging": "a=1&B=%20x&c"}, method="PUT")
    assert asked.values("s3:RequestObjectTag/a") == ("1",)
    assert asked.values("s3:requestobjecttag/B") == (" x",)
    assert asked.values("aws:RequestTag/c") == ("",)
    assert asked.values("s3:RequestObjectTag/b") is None
    assert asked.values("s3:RequestObjectTagKeys") == ("a", "B", "c")
    assert asked.values("aws:TagKeys") == ("a", "B", "c")


def test_the_tags_of_a_form() -> None:
    text = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>"
    fields = {"tagging": text, "x-amz-tagging": "a=2", "authorization": "x"}
    form = keys(fields, method="POST", form=True)
    assert form.values("s3:RequestObjectTag/a") == ("1",)
    assert form.values("s3:authType") == ("POST",)
    # No form, and none that can be read.
    assert keys(fields, method="POST").values("s3:RequestObjectTag/a") == ("2",)
    odd = keys({"tagging": "<Tagging>"}, method="POST", form=True)
    assert odd.values("aws:TagKeys") is None


def test_a_header_that_is_there_twice() -> None:
    """Grants are taken from all lines, everything else from the first."""
    grants = [("x-amz-grant-read", 'id="1"'), ("x-amz-grant-read", 'id="2"')]
    fields = CIMultiDict([*grants, ("x-amz-acl", "private"), ("x-amz-acl", "public-read")])
    request = Request("PUT", "/bucket/key", CIMultiDictProxy(fields), NOTHING, "10.1.2.3", True)
    asked = ConditionKeys(request, {}, ANNA)
    assert asked.values("s3:x-amz-grant-read") == ('id="1",id="2"',)
    assert asked.values("s3:x-amz-acl") == ("private",)


def test_a_key_that_an_action_does_not_have_says_nothing_of_it() -> None:
    """A policy that gives all under a condition on listings gives listings."""
    named = {"prefix": "anna/x", "max-keys": "1"}
    for action, values in (("s3:ListBucket", ("anna/x",)), ("s3:GetObject", None)):
        asked = Asked(access(keys(query=named), action), action, arn("bucket", "bert/secret"))
        assert asked.values("s3:prefix") == values
    told = AskedToTell(access(keys(query=named), "s3:GetObject"), "s3:ListBucket", arn("bucket"))
    assert told.values("s3:prefix") == ("key",)
    assert told.values("s3:max-keys") is None


def test_what_the_body_says_is_handed_in() -> None:
    asked = keys({"x-amz-tagging": "a=1"})
    assert asked.values("s3:RequestObjectTag/a") == ("1",)
    assert asked.with_request_tags({"b": "2"}).values("s3:RequestObjectTag/b") == ("2",)
    assert asked.with_request_tags({"b": "2"}).values("s3:RequestObjectTag/a") is None
    assert asked.with_request_tags({}).values("s3:RequestObjectTagKeys") is None
    located = asked.with_said({LOCATION: "eu-west-1"})
    assert located.values("s3:LocationConstraint") == ("eu-west-1",)


def test_who_asks_for_what_the_body_says_is_told_when_it_has_not_been_read() -> None:
    asked = msgspec.structs.replace(keys({"x-amz-tagging": "a=1"}), unread=REQUEST_TAGS)
    for key in ("s3:RequestObjectTag/a", "aws:TagKeys", "aws:requesttag/a"):
        with pytest.raises(BodyUnreadError):
            asked.values(key)
    assert asked.values("s3:ExistingObjectTag/a") is None
    assert asked.values("aws:username") == ("Anna",)
    assert asked.with_request_tags({}).values("aws:TagKeys") is None
    # It says nothing of another object.
    assert asked.of_version(None).values("aws:TagKeys") == ("a",)
    assert asked.with_said({}).values("aws:TagKeys") == ("a",)


@pytest.mark.parametrize(
    ("until", "days"),
    [
        ("2024-03-01T12:00:01.500Z", ("1",)),
        ("2024-03-01T12:00:02Z", ("2",)),
        ("2024-02-29T12:00:01.500Z", ("0",)),
        ("2023-02-28T12:00:01.500Z", ("-366",)),
        ("some day", None),
    ],
)
def test_how_long_a_retention_lasts(until: str, days: Any) -> None:
    key = "s3:object-lock-remaining-retention-days"
    assert keys({"x-amz-object-lock-retain-until-date": until}).values(key) == days
    assert keys().with_said({UNTIL: until}).values(key) == days


def access(asked: ConditionKeys, *actions: str, bucket: str | None = "eu-west-1") -> Access:
    record = None
    if bucket is not None:
        record = BucketRecord.create("bucket", "canonical", "Owner", NOW, bucket)
    object_ = ObjectRecord({"tags": {"Security": "public"}})
    return Access(ANNA, actions, arn("bucket", "key"), asked, record, object_)


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ({}, "true"),
        ({"uploadId": "1"}, "true"),
        ({"uploads": ""}, "false"),
        ({"partNumber": "1", "uploadId": "1"}, "PUT false"),
        # It completes, whatever else it says.
        ({"partNumber": "1", "uploadId": "1"}, "true"),
    ],
)
def test_whether_an_object_is_made(query: dict[str, str], value: str) -> None:
    key = "s3:ObjectCreationOperation"
    method, _, expected = value.rpartition(" ")
    asked = keys(query=query, method=method or "POST")
    assert access(asked, "s3:PutObject").values(key) == (expected,)
    assert access(keys(query=query), "s3:CreateBucket").values(key) is None


def test_what_bucket_and_object_tell() -> None:
    found = access(keys(), "s3:GetObject")
    assert found.values("s3:ExistingObjectTag/Security") == ("public",)
    assert found.values("s3:existingobjecttag/security") is None
    assert found.values("s3:ResourceAccount") == ("123456789012",)
    assert found.values("aws:RequestedRegion") == ("eu-west-1",)
    assert access(keys(), bucket=None).values("aws:RequestedRegion") is None


def test_tags_of_a_request_are_those_of_what_it_may_tag() -> None:
    asked = keys({"x-amz-tagging": "team=x"})
    for action, values in (("s3:PutObject", ("x",)), ("s3:GetObject", None)):
        question = Asked(access(asked, action), action, arn("bucket", "key"))
        for key in ("aws:RequestTag/team", "s3:RequestObjectTag/team"):
            assert question.values(key) == values
    of_bucket = Asked(access(asked, "s3:PutBucketTagging"), "s3:PutBucketTagging", arn("bucket"))
    assert of_bucket.values("aws:RequestTag/team") == ("x",)
    assert of_bucket.values("aws:TagKeys") == ("team",)
    assert of_bucket.values("s3:RequestObjectTag/team") is None


def test_names_of_tags_of_identities_are_the_same_in_any_case() -> None:
    tagged = msgspec.structs.replace(ANNA, tags={"Contractor": "true"})
    asked = keys(principal=tagged)
    assert asked.values("aws:PrincipalTag/contractor") == ("true",)
    assert asked.values("aws:principaltag/CONTRACTOR") == ("true",)
    assert asked.values("aws:PrincipalTag/other") is None
    assert asked.values("aws:ViaAWSService") == ("false",)


def test_a_call_that_makes_no_object_has_no_tags_of_one() -> None:
    """Any request may have the header."""
    sent = keys({"x-amz-tagging": "team=x"}).request
    called = keys_of_call(sent, {}, ANNA)
    for key in ("aws:RequestTag/team", "aws:TagKeys", "s3:RequestObjectTag/team"):
        assert called.values(key) is None
