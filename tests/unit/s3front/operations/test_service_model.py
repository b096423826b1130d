"""Every call, header and query parameter of AWS's own model of S3 has its place here.

The model is botocore's ``service-2.json``. A call is served, refused by name, or in the table below
with its reason; so is what a call that is served may say. A new version of the model that has more
fails here, and so does a declaration of what the model does not have.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import botocore.loaders
import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.authz.access import EXPECTED_OWNER
from s3front.encryption.choice import CUSTOMER_HEADERS, ENCRYPTION, KEY_ID
from s3front.operations import routes
from s3front.operations.encrypted_buckets import NEW_BUCKET, NEW_BUCKET_KEY_ID
from s3front.operations.put_version import PUT_VERSION
from s3front.port.target import Target, parse_target
from s3front.routes import UPLOAD_ID, Operation
from s3front.s3_errors import S3Error

ROUTES = routes()
SERVED = {each.name: each for each in ROUTES}

OTHER_NAMES = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
}
"""Calls that AWS keeps for old clients; the same request as another one."""

OTHER_PLACES = {
    "ListDirectoryBuckets": "a host of its own; without it, the request is ListBuckets, and an "
    "SDK's x-id says which it is",
    "WriteGetObjectResponse": "the endpoint of Object Lambda; by path, a bucket of no valid name",
}
"""Calls that AWS serves at another endpoint than S3's."""

OURS = {
    "CorsPreflight": "OPTIONS, which no SDK sends",
    "DeleteBucketQuota": "CloudServer's",
    "GetBucketQuota": "CloudServer's",
    "GetWebsitePage": "what browsers ask of a website",
    "PostObject": "a form, which no SDK sends",
}
"""Calls that the model does not have."""

GRANT_WRITE = "x-amz-grant-write"

OURS_OF = {
    "CopyObject": {GRANT_WRITE},
    "CreateBucket": {NEW_BUCKET, NEW_BUCKET_KEY_ID},
    "CompleteMultipartUpload": {PUT_VERSION, ENCRYPTION, KEY_ID},
    "CreateMultipartUpload": {GRANT_WRITE},
    "DeleteObjects": {"content-md5"},
    "PutObject": {GRANT_WRITE, PUT_VERSION},
    "RenameObject": {*CUSTOMER_HEADERS},
    "UploadPart": {ENCRYPTION, KEY_ID},
    "UploadPartCopy": {ENCRYPTION, KEY_ID},
}
"""Headers that calls honour and the model does not have of them: CloudServer's, what every document
may say, what clients repeat of an upload, and a permission that means nothing of an object, but is
shown by those that others have stored."""

MEANINGLESS = {
    "x-amz-mfa": "MFA delete cannot be enabled, so nothing asks for it",
    "x-amz-request-payer": "the owner pays: no bucket can say otherwise",
    "x-amz-server-side-encryption-customer-key": "it comes with its algorithm, which is refused",
    "x-amz-server-side-encryption-customer-key-md5": "it comes with its algorithm",
}
"""Headers that nothing depends on, of any call that has them."""

MEANINGLESS_OF = {
    ("CopyObject", "x-amz-object-annotation-directive"): "there are no annotations to copy",
    ("DeleteObjectAnnotation", "x-amz-object-if-match"): "there are none to delete",
    ("GetObjectAnnotation", "x-amz-checksum-mode"): "there are none to read",
    ("ListBucketAnalyticsConfigurations", "continuation-token"): "there are none to list",
    ("ListBucketIntelligentTieringConfigurations", "continuation-token"): "none to list",
    ("ListBucketInventoryConfigurations", "continuation-token"): "there are none to list",
    ("ListBucketMetricsConfigurations", "continuation-token"): "there are none to list",
    ("ListObjectAnnotations", "continuation-token"): "there are none to list",
    ("ListBuckets", "bucket-region"): "refused by the operation (test_list_buckets)",
    ("PutObjectLockConfiguration", "x-amz-bucket-object-lock-token"): "it was AWS's support's to "
    "give; every owner may",
}
"""Headers and parameters that nothing depends on, of one call."""

SAMPLES = {
    "x-amz-acl": "public-read",
    "x-amz-bucket-namespace": "account-regional",
    "x-amz-bucket-object-lock-enabled": "true",
    "x-amz-object-ownership": "ObjectWriter",
    "x-amz-copy-source": "/bucket/source",
    "x-amz-optional-object-attributes": "RestoreStatus",
}
"""Values that ask for something, where not every value does."""


@cache
def model() -> Any:
    """S3's calls and their shapes."""
    return botocore.loaders.Loader().load_service_model("s3", "service-2")


def members(name: str, *locations: str) -> Iterator[tuple[str, bool]]:
    """What a call may say in its headers or its query, and whether it must."""
    shape = model()["operations"][name].get("input", {}).get("shape")
    if shape is None:
        return
    structure = model()["shapes"][shape]
    for member, place in structure["members"].items():
        if place.get("location") in locations:
            required = member in structure.get("required", ())
            star = "*" if place["location"] == "headers" else ""
            yield place["locationName"] + star, required


def find(name: str, headers: Mapping[str, str] | None = None) -> Operation:
    """What a request for a call is routed to, with all that it must say."""
    http = model()["operations"][name]["http"]
    raw = http["requestUri"].replace("{Bucket}", "bucket").replace("{Key+}", "key")
    query = [f"{each}=1" for each, required in members(name, "querystring") if required]
    if query:
        raw += ("&" if "?" in raw else "?") + "&".join(query)
    sent = {each: sample(each) for each, required in members(name, "header") if required}
    target = parse_target(raw, "localhost", ["localhost"])
    assert isinstance(target, Target)
    fields = CIMultiDictProxy(CIMultiDict({**sent, **(headers or {})}))
    return ROUTES.find(http["method"], target, fields)


def sample(header: str) -> str:
    return SAMPLES.get(header.lower(), "1")


CALLS = sorted(model()["operations"])
IN_MODEL = [name for name in CALLS if name in SERVED]


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_served_or_refused_by_name(name: str) -> None:
    if name in OTHER_PLACES:
        return
    if name in SERVED or name in OTHER_NAMES:
        assert find(name).name == OTHER_NAMES.get(name, name)
        return
    with pytest.raises(S3Error) as caught:
        find(name)
    assert caught.value.code == "NotImplemented"
    asked = model()["operations"][name]["http"]["requestUri"].partition("?")[2].split("&")[0]
    assert asked in caught.value.message


def test_no_other_call_is_served() -> None:
    assert {name for name in SERVED if name not in CALLS} == set(OURS)
    assert set(OTHER_NAMES) | set(OTHER_PLACES) < set(CALLS) - set(SERVED)


@pytest.mark.parametrize("name", IN_MODEL)
def test_each_header_is_honoured_or_refused_by_name(name: str) -> None:
    operation = SERVED[name]
    known = {header.lower() for header, _ in members(name, "header", "headers")}
    for header in known:
        honoured = header in operation.headers or header == EXPECTED_OWNER
        meaningless = header in MEANINGLESS or (name, header) in MEANINGLESS_OF
        if honoured and header in CUSTOMER_HEADERS:
            continue
        refused = _refuses(name, header)
        if refused and header in MEANINGLESS:
            continue
        assert honoured + meaningless + refused == 1, (header, honoured, meaningless, refused)
    assert set(operation.headers) - known == OURS_OF.get(name, set())


def _refuses(name: str, header: str) -> bool:
    """Whether a request is refused for a header, which the error names."""
    error = None
    try:
        find(name, {header.replace("*", "name"): sample(header)})
    except S3Error as caught:
        error = caught
    if error is None:
        return False
    said = json.dumps([error.message, *error.fields.values()]).lower()
    assert header in said or error.message.startswith("The encryption parameters"), error
    return True


@pytest.mark.parametrize("name", IN_MODEL)
def test_each_parameter_is_honoured(name: str) -> None:
    operation = SERVED[name]
    known = {parameter for parameter, _ in members(name, "querystring")}
    routed = {UPLOAD_ID, "annotationName", "id"} | ({"partNumber"} if UPLOAD_ID in known else set())
    for parameter in known:
        honoured = parameter in operation.parameters
        versioned = parameter == "versionId" and bool(operation.version_actions)
        meaningless = (name, parameter) in MEANINGLESS_OF
        assert honoured + versioned + meaningless + (parameter in routed) == 1, parameter
    assert operation.parameters <= known
    assert ("versionId" in known) == bool(operation.version_actions)


def test_nothing_is_excused_without_need() -> None:
    """Rows of the tables that no call has."""
    said = {
        (name, each if place == "querystring" else each.lower())
        for name in IN_MODEL
        for place in ("header", "querystring")
        for each, _ in members(name, place)
    }
    assert set(MEANINGLESS_OF) <= said
    assert set(MEANINGLESS) <= {each for _, each in said}
