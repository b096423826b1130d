"""What a look at a bucket tells those who run a server."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from s3front.locations.aws_s3 import AwsS3Store
from s3front.locations.origin import Proxy
from s3front.locations.outbound import Outbound
from s3front.locations.remote_store import Finding, PlaceError, Trouble
from tests.api.data_server import RecordingLog
from tests.backends.forward_proxy import forward_proxy
from tests.backends.s3_services import Remote
from tests.backends.s3_stores import INFO, Stores

REFUSED = {
    "s3:GetBucketVersioning": r"GET \S+\?versioning=",
    "s3:PutObject": r"PUT [^?]+$",
    "s3:GetObject": r"HEAD \S+twofold-probe[^?]+$",
    "s3:GetObjectVersion": r"GET \S+twofold-probe[^?]+\?versionId",
    "s3:ListBucket": r"GET \S+\?list-type|HEAD http://[^/]+/[^/]+$",
    "s3:ListBucketVersions": r"GET \S+\?prefix=\S+&versions",
    "s3:PutObjectVersionTagging": r"PUT \S+\?tagging=&versionId",
    "s3:ListBucketMultipartUploads": r"GET \S+\?prefix=\S+&uploads",
    "s3:ListMultipartUploadParts": r"GET \S+\?uploadId",
    "s3:AbortMultipartUpload": r"DELETE \S+\?uploadId",
    "s3:DeleteObjectVersion": r"DELETE \S+\?versionId",
}
"""The permissions that a bucket with versions takes, and the requests that take each."""

ELSEWHERE = "localhost.test"
"""A host that only the proxy finds. What begins otherwise, moto takes for the name of a bucket."""


def bad(findings: Sequence[Finding]) -> set[str]:
    return {finding.what for finding in findings if finding.is_good is False}


async def test_all_is_well(there: Remote, stores: Stores) -> None:
    there.service.needs("versions at once")
    findings = await stores(there).look(thorough=True)
    assert bad(findings) == (set() if there.versioned else {"versions"})
    if there.is_google:
        return
    granted = {finding.what for finding in findings if finding.words == "granted"}
    assert not there.versioned or granted == set(REFUSED)
    assert (there.keys(), there.everything()) == ([], set())


async def test_a_short_look_changes_nothing(there: Remote, stores: Stores) -> None:
    findings = await stores(there).look(thorough=False)
    assert {finding.what for finding in findings} >= {"bucket", "region", "versions"}


@pytest.mark.parametrize("missing", REFUSED)
async def test_a_permission_that_is_missing_is_named(versioned: Remote, missing: str) -> None:
    """A proxy on the way does not let these requests pass, as the service would not."""
    versioned.service.needs("tags", "versions at once")
    with forward_proxy(versioned.service.port) as proxy:
        pattern = re.compile(REFUSED[missing])
        proxy.refuses = lambda request: pattern.match(request) is not None
        endpoint = f"{ELSEWHERE}:{versioned.service.port}"
        details = versioned.details(awsEndpoint=endpoint, pathStyle=True)
        outbound = Outbound(plain=Proxy("127.0.0.1", proxy.port))
        store = AwsS3Store("there", details, RecordingLog(), outbound)
        findings = await store.look(thorough=True)
        await store.close()
    found = {finding.what: finding for finding in findings if finding.is_good is False}
    assert f"allow {missing} " in found[missing].words
    others = {what for what in found if what.startswith("s3:")} - {missing}
    assert not others or missing == "s3:PutObject"


async def test_versions_that_are_not_ours_to_know_of(versioned: Remote, log: RecordingLog) -> None:
    """Nothing is overwritten; the answer to the first write shows that there are versions."""
    versioned.service.needs("tags")
    with forward_proxy(versioned.service.port) as proxy:
        proxy.refuses = lambda request: "?versioning=" in request
        endpoint = f"{ELSEWHERE}:{versioned.service.port}"
        details = versioned.details(awsEndpoint=endpoint, pathStyle=True)
        outbound = Outbound(plain=Proxy("127.0.0.1", proxy.port))
        store = AwsS3Store("there", details, log, outbound)
        first = await store.put(1, b"1", INFO)
        second = await store.put(1, b"2", INFO)
        assert (first.key, second.key) == (INFO.key, INFO.key)
        assert first.version != second.version
        assert store.capabilities.versions
        await store.close()
    what = "whether the bucket of a location keeps versions is not ours to know"
    assert log.fields_of(what) == [{"location": "there"}]


async def test_what_is_not_there(there: Remote, stores: Stores) -> None:
    with pytest.raises(PlaceError) as caught:
        await stores(there, bucketName="no-such-bucket").look(thorough=True)
    assert caught.value.trouble is Trouble.REFUSED
    assert "there is no bucket no-such-bucket" in caught.value.reason


async def test_wrong_keys_are_named(there: Remote, stores: Stores) -> None:
    there.service.needs("signatures")
    wrong = {"accessKey": there.service.access_key, "secretKey": "wrong"}
    with pytest.raises(PlaceError) as caught:
        await stores(there, credentials=wrong).look(thorough=True)
    assert "SignatureDoesNotMatch" in caught.value.reason
