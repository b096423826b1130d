"""GetBucketVersioning and PutBucketVersioning."""

from __future__ import annotations

from typing import Any

import pytest

from shared.records.names import METASTORE
from tests.api.support import code_of, new_name, put_version, set_versioning
from tests.faults.stores import stored_records
from tests.raw_http import FOREIGNER, Response, anonymous, call
from tests.servers import Cluster, Front

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def configure(front: Front, bucket: str, content: str) -> Response:
    body = f"<VersioningConfiguration {NAMESPACE}>{content}</VersioningConfiguration>"
    return call(front, "PUT", f"/{bucket}?versioning", body.encode())


def state_of(s3: Any, bucket: str) -> dict[str, str]:
    found = s3.get_bucket_versioning(Bucket=bucket)
    return {name: found[name] for name in ("Status", "MFADelete") if name in found}


def test_it_is_not_configured_at_first(s3: Any, front: Front, bucket: str) -> None:
    assert state_of(s3, bucket) == {}
    answer = call(front, "GET", f"/{bucket}?versioning")
    assert (answer.status, len(answer.xml)) == (200, 0)


def test_it_is_enabled_and_suspended(s3: Any, bucket: str) -> None:
    for status in ("Enabled", "Enabled", "Suspended", "Suspended", "Enabled"):
        set_versioning(s3, bucket, status)
        assert state_of(s3, bucket) == {"Status": status}


def test_it_can_be_suspended_first(s3: Any, bucket: str) -> None:
    set_versioning(s3, bucket, "Suspended")
    assert state_of(s3, bucket) == {"Status": "Suspended"}
    assert put_version(s3, bucket, "key", b"body") == "null"


def test_the_bucket_record_has_it_as_the_original(
    s3: Any, shared_cluster: Cluster, bucket: str
) -> None:
    def stored() -> Any:
        return stored_records(shared_cluster, [METASTORE])[METASTORE][bucket]

    before = stored()
    assert before["versioningConfiguration"] is None
    set_versioning(s3, bucket, "Enabled")
    assert stored() == {**before, "versioningConfiguration": {"Status": "Enabled"}}


def test_mfa_delete_stays_off(s3: Any, front: Front, bucket: str) -> None:
    assert (
        configure(front, bucket, "<Status>Enabled</Status><MfaDelete>Disabled</MfaDelete>").status
        == 200
    )
    assert state_of(s3, bucket) == {"Status": "Enabled", "MFADelete": "Disabled"}
    refused = configure(front, bucket, "<Status>Suspended</Status><MfaDelete>Enabled</MfaDelete>")
    assert (refused.status, refused.error["Code"]) == (403, "AccessDenied")
    assert refused.error["Message"] == "Mfa Authentication must be used for this request"
    assert state_of(s3, bucket) == {"Status": "Enabled", "MFADelete": "Disabled"}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "IllegalVersioningConfigurationException"),
        ("<MfaDelete>Disabled</MfaDelete>", "IllegalVersioningConfigurationException"),
        ("<Status/>", "MalformedXML"),
        ("<Status>enabled</Status>", "MalformedXML"),
        ("<Status>Off</Status>", "MalformedXML"),
        ("<Status>Enabled</Status><MfaDelete>maybe</MfaDelete>", "MalformedXML"),
        ("<Status>Enabled</Status><Other/>", "MalformedXML"),
        ("<Status>Enabled", "MalformedXML"),
    ],
)
def test_what_is_no_configuration(
    s3: Any, front: Front, bucket: str, content: str, code: str
) -> None:
    refused = configure(front, bucket, content)
    assert (refused.status, refused.error["Code"]) == (400, code)
    assert state_of(s3, bucket) == {}


def test_another_document_and_none(front: Front, bucket: str) -> None:
    target = f"/{bucket}?versioning"
    assert call(front, "PUT", target, b"<Tagging/>").error["Code"] == "MalformedXML"
    assert call(front, "PUT", target).error["Code"] == "MissingRequestBodyError"


def test_who_may(s3: Any, other_s3: Any, front: Front, bucket: str) -> None:
    body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    target = f"/{bucket}?versioning"
    assert call(front, "PUT", target, body, key=FOREIGNER).error["Code"] == "AccessDenied"
    assert anonymous(front, "PUT", target, body).error["Code"] == "AccessDenied"
    assert code_of(other_s3.get_bucket_versioning, Bucket=bucket) == (403, "AccessDenied")
    assert code_of(s3.get_bucket_versioning, Bucket=new_name()) == (404, "NoSuchBucket")
    assert state_of(s3, bucket) == {}


def test_a_bucket_with_versions_is_not_deleted(s3: Any, bucket: str) -> None:
    set_versioning(s3, bucket, "Enabled")
    version = put_version(s3, bucket, "key", b"body")
    marker = s3.delete_object(Bucket=bucket, Key="key")["VersionId"]
    for left in (version, marker):
        assert code_of(s3.delete_bucket, Bucket=bucket) == (409, "BucketNotEmpty")
        s3.delete_object(Bucket=bucket, Key="key", VersionId=left)
    s3.delete_bucket(Bucket=bucket)
