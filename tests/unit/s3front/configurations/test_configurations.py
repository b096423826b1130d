"""Documents of buckets that are not set, and those that another front-end has set."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.model import OperationModel
from botocore.parsers import create_parser
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.configurations.base import Configuration
from s3front.configurations.table import CONFIGURATIONS
from s3front.operations import routes
from s3front.port.request import Reply
from s3front.port.target import Target, parse_target
from s3front.routes import Operation
from s3front.s3_errors import S3Error
from shared.records.bucket import BucketRecord

MODEL = botocore.session.get_session().get_service_model("s3")
ROUTES = routes()
OWNER = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"
FRESH = BucketRecord.create("photos", OWNER, "Bart", datetime(2026, 1, 1, tzinfo=UTC), "us-east-1")

OTHER_NAMES = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
}
"""Operations that AWS has replaced; they are the same request."""

NO_DOCUMENT = {"CreateSession", "GetObjectTorrent"}
"""Reads with a sub-resource that are of nothing a bucket or object has: not implemented."""


def name_of(operation: OperationModel) -> str:
    name: str = operation.name
    return name


def get_of(each: Configuration) -> str:
    return each.get


def sub_resources(*methods: str) -> list[OperationModel]:
    """Every operation of botocore's model that a sub-resource selects."""
    operations = [MODEL.operation_model(name) for name in MODEL.operation_names]
    return [each for each in operations if each.http["method"] in methods and _query(each)]


def _query(operation: OperationModel) -> str:
    query = urlsplit(operation.http["requestUri"]).query
    return "" if query.startswith("list-type") else query


def found(operation: OperationModel) -> str:
    """What the table of routes makes of the least request of an operation."""
    uri = operation.http["requestUri"].replace("{Bucket}", "photos").replace("{Key+}", "key")
    for name in operation.input_shape.required_members:
        place = operation.input_shape.members[name].serialization
        if place.get("location") == "querystring":
            uri += f"&{place['name']}=x"
    return routed(operation.http["method"], uri).name


def routed(method: str, uri: str) -> Operation:
    target = parse_target(uri, "localhost", ["localhost"])
    assert isinstance(target, Target)
    return ROUTES.find(method, target, CIMultiDictProxy(CIMultiDict[str]()))


@pytest.mark.parametrize("operation", sub_resources("GET"), ids=name_of)
def test_every_read_of_botocores_model_is_answered(operation: OperationModel) -> None:
    if operation.name in NO_DOCUMENT:
        with pytest.raises(S3Error, match="NotImplemented"):
            found(operation)
    else:
        assert found(operation) == OTHER_NAMES.get(operation.name, operation.name)


@pytest.mark.parametrize("operation", sub_resources("DELETE"), ids=name_of)
def test_every_removal_of_botocores_model_is_answered(operation: OperationModel) -> None:
    assert found(operation) == operation.name


@pytest.mark.parametrize("operation", sub_resources("PUT", "POST"), ids=name_of)
def test_what_cannot_be_set_is_refused_by_name(operation: OperationModel) -> None:
    sub_resource = _query(operation).partition("&")[0]
    if operation.name in ROUTES.names():
        assert found(operation) == operation.name
        return
    with pytest.raises(S3Error) as caught:
        found(operation)
    assert (caught.value.code, caught.value.status) == ("NotImplemented", 501)
    assert f"{operation.http['method']} ?{sub_resource}" in caught.value.message


def configuration(name: str) -> Configuration:
    """That with an operation of this name."""
    return next(each for each in CONFIGURATIONS if name in (each.get, each.delete))


def parsed(name: str, reply: Reply) -> Mapping[str, Any]:
    """What botocore makes of the reply to an operation, its own metadata left out."""
    assert isinstance(reply.body, bytes)
    response = AWSResponse("http://localhost/", reply.status, dict(reply.headers), None)
    values = {"status_code": reply.status, "headers": response.headers, "body": reply.body}
    shape = MODEL.operation_model(name).output_shape
    found: dict[str, Any] = create_parser("rest-xml").parse(values, shape)
    del found["ResponseMetadata"]
    return found


NOTHING_LISTED = {"IsTruncated": False}

SAID_OF_A_FRESH_BUCKET: Mapping[str, Mapping[str, Any]] = {
    "GetBucketVersioning": {},
    "GetBucketAbac": {"AbacStatus": {"Status": "Disabled"}},
    "GetBucketAccelerateConfiguration": {},
    "GetBucketLogging": {},
    "GetBucketNotificationConfiguration": {},
    "GetBucketRequestPayment": {"Payer": "BucketOwner"},
    "ListBucketAnalyticsConfigurations": NOTHING_LISTED,
    "ListBucketIntelligentTieringConfigurations": NOTHING_LISTED,
    "ListBucketInventoryConfigurations": NOTHING_LISTED,
    "ListBucketMetricsConfigurations": NOTHING_LISTED,
}

_NONE_OF_THAT_ID = ("NoSuchConfiguration", "The specified configuration does not exist.")
_NO_METADATA = ("MetadataConfigurationNotFound", "The metadata configuration was not found")

NOT_FOUND_FOR_A_FRESH_BUCKET: Mapping[str, tuple[str, str]] = {
    "GetBucketAnalyticsConfiguration": _NONE_OF_THAT_ID,
    "GetBucketCors": ("NoSuchCORSConfiguration", "The CORS configuration does not exist"),
    "GetBucketEncryption": (
        "ServerSideEncryptionConfigurationNotFoundError",
        "The server side encryption configuration was not found",
    ),
    "GetBucketIntelligentTieringConfiguration": _NONE_OF_THAT_ID,
    "GetBucketInventoryConfiguration": _NONE_OF_THAT_ID,
    "GetBucketLifecycleConfiguration": (
        "NoSuchLifecycleConfiguration",
        "The lifecycle configuration does not exist",
    ),
    "GetBucketMetadataConfiguration": _NO_METADATA,
    "GetBucketMetadataTableConfiguration": _NO_METADATA,
    "GetBucketMetricsConfiguration": _NONE_OF_THAT_ID,
    "GetBucketOwnershipControls": (
        "OwnershipControlsNotFoundError",
        "The bucket ownership controls were not found",
    ),
    "GetBucketQuota": ("NoSuchQuota", "The specified bucket does not have a quota."),
    "GetBucketReplication": (
        "ReplicationConfigurationNotFoundError",
        "The replication configuration was not found",
    ),
    "GetBucketTagging": ("NoSuchTagSet", "The TagSet does not exist"),
    "GetObjectLockConfiguration": (
        "ObjectLockConfigurationNotFoundError",
        "Object Lock configuration does not exist for this bucket",
    ),
    "GetBucketWebsite": (
        "NoSuchWebsiteConfiguration",
        "The specified bucket does not have a website configuration",
    ),
    "GetPublicAccessBlock": (
        "NoSuchPublicAccessBlockConfiguration",
        "The public access block configuration was not found",
    ),
}


def test_every_document_is_judged_below() -> None:
    judged = {*SAID_OF_A_FRESH_BUCKET, *NOT_FOUND_FOR_A_FRESH_BUCKET}
    assert judged == {each.get for each in CONFIGURATIONS}


@pytest.mark.parametrize("name", SAID_OF_A_FRESH_BUCKET)
def test_a_fresh_bucket_says_that_nothing_is_configured(name: str) -> None:
    reply = configuration(name).read(FRESH)
    assert reply.status == 200
    assert parsed(name, reply) == SAID_OF_A_FRESH_BUCKET[name]


@pytest.mark.parametrize("name", NOT_FOUND_FOR_A_FRESH_BUCKET)
def test_a_fresh_bucket_has_no_such_document(name: str) -> None:
    with pytest.raises(S3Error) as caught:
        configuration(name).read(FRESH)
    error = caught.value
    assert (error.status, (error.code, error.message)) == (404, NOT_FOUND_FOR_A_FRESH_BUCKET[name])
    named = error.code != "NoSuchConfiguration"
    assert error.fields == ({"BucketName": "photos"} if named else {})


@pytest.mark.parametrize("each", [each for each in CONFIGURATIONS if each.delete], ids=get_of)
def test_removing_what_is_not_there(each: Configuration) -> None:
    if each.identified or each.sub_resource.startswith("metadata"):
        with pytest.raises(S3Error) as caught:
            each.unset_removed(FRESH)
        assert caught.value.status == 404
    else:
        assert each.unset_removed(FRESH) == Reply(204)


# --- What another front-end has stored ------------------------------------------------------------

RULE = {
    "allowedMethods": ["PUT", "GET"],
    "allowedOrigins": ["https://*.example.com"],
    "allowedHeaders": ["*"],
    "exposeHeaders": ["ETag"],
    "id": "one",
    "maxAgeSeconds": 30,
}
ENCRYPTION = {"cryptoScheme": 1, "algorithm": "aws:kms", "masterKeyId": "a", "mandatory": True}

STORED: Mapping[str, tuple[str, Any, Any]] = {
    "GetBucketCors": (
        "cors",
        [RULE, {"allowedMethods": ["GET"], "allowedOrigins": ["*"]}],
        {
            "CORSRules": [
                {
                    "AllowedMethods": ["PUT", "GET"],
                    "AllowedOrigins": ["https://*.example.com"],
                    "AllowedHeaders": ["*"],
                    "ExposeHeaders": ["ETag"],
                    "ID": "one",
                    "MaxAgeSeconds": 30,
                },
                {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]},
            ]
        },
    ),
    "GetBucketEncryption": (
        "serverSideEncryption",
        {**ENCRYPTION, "configuredMasterKeyId": "key-1"},
        {
            "ServerSideEncryptionConfiguration": {
                "Rules": [
                    {
                        "ApplyServerSideEncryptionByDefault": {
                            "SSEAlgorithm": "aws:kms",
                            "KMSMasterKeyID": "key-1",
                        },
                        "BucketKeyEnabled": False,
                    }
                ]
            }
        },
    ),
    "GetBucketOwnershipControls": (
        "objectOwnership",
        "BucketOwnerEnforced",
        {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}},
    ),
    "GetPublicAccessBlock": (
        "publicAccessBlock",
        {"BlockPublicAcls": True, "RestrictPublicBuckets": False},
        {
            "PublicAccessBlockConfiguration": {
                "BlockPublicAcls": True,
                "IgnorePublicAcls": False,
                "BlockPublicPolicy": False,
                "RestrictPublicBuckets": False,
            }
        },
    ),
    "GetBucketVersioning": (
        "versioningConfiguration",
        {"Status": "Suspended", "MfaDelete": "Disabled"},
        {"Status": "Suspended", "MFADelete": "Disabled"},
    ),
    "GetObjectLockConfiguration": (
        "objectLockEnabled",
        True,
        {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}},
    ),
    "GetBucketTagging": (
        "tags",
        [{"Key": "a<b", "Value": ""}, {"Key": "c", "Value": "d&e"}],
        {"TagSet": [{"Key": "a<b", "Value": ""}, {"Key": "c", "Value": "d&e"}]},
    ),
}


@pytest.mark.parametrize("name", STORED)
def test_a_stored_document_is_shown(name: str) -> None:
    member, value, said = STORED[name]
    reply = configuration(name).read(FRESH.changed({member: value}))
    assert parsed(name, reply) == said


def test_a_stored_quota_is_shown() -> None:
    reply = configuration("GetBucketQuota").read(FRESH.changed({"quotaMax": 1000}))
    assert isinstance(reply.body, bytes)
    document = b"<GetBucketQuota><Name>photos</Name><Quota>1000</Quota></GetBucketQuota>"
    assert reply.body.endswith(document)


def test_a_key_of_the_account_is_no_encryption() -> None:
    stored = {"serverSideEncryption": {**ENCRYPTION, "mandatory": False}}
    with pytest.raises(S3Error, match="ServerSideEncryptionConfigurationNotFoundError"):
        configuration("GetBucketEncryption").read(FRESH.changed(stored))


@pytest.mark.parametrize(
    "each", [each for each in CONFIGURATIONS if each.member and not each.show], ids=get_of
)
def test_a_stored_document_that_cannot_be_shown_is_never_denied(each: Configuration) -> None:
    assert each.member is not None
    with pytest.raises(S3Error) as caught:
        each.read(FRESH.changed({each.member: {"rules": [{}]}}))
    assert caught.value.code == "NotImplemented"
    assert f"?{each.sub_resource}" in caught.value.message


@pytest.mark.parametrize(
    ("name", "member", "value"),
    [
        ("GetBucketCors", "cors", {"a": 1}),
        ("GetBucketCors", "cors", [{"allowedMethods": 1}]),
        ("GetBucketTagging", "tags", [{"Value": "a"}]),
        ("GetBucketTagging", "tags", 1),
    ],
)
def test_a_document_of_another_form_is_no_fault_of_this_server(
    name: str, member: str, value: Any
) -> None:
    with pytest.raises(S3Error) as caught:
        configuration(name).read(FRESH.changed({member: value}))
    assert caught.value.status == 501


@pytest.mark.parametrize(
    "each",
    [
        each
        for each in CONFIGURATIONS
        if each.delete and each.member and not each.put and each.get != "GetBucketEncryption"
    ],
    ids=get_of,
)
def test_a_stored_document_that_cannot_be_set_is_not_removed(each: Configuration) -> None:
    assert each.member is not None
    stored = {each.member: {"mandatory": True}}
    with pytest.raises(S3Error, match="NotImplemented"):
        each.without(FRESH.changed(stored))


def test_without_its_encryption_a_bucket_keeps_the_key_of_the_original() -> None:
    stored = {**ENCRYPTION, "configuredMasterKeyId": "b", "bucketKeyEnabled": True}
    each = configuration("GetBucketEncryption")
    record = each.without(FRESH.changed({"serverSideEncryption": stored}))
    assert record.document["serverSideEncryption"] == {
        **ENCRYPTION,
        "configuredMasterKeyId": "b",
        "mandatory": False,
    }
    assert not each.is_set(record)
    assert each.without(record) == record
