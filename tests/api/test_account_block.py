"""The public access block of an account (S3 Control)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from s3front.auth.sigv4 import AccessKey
from tests.api.access_lists import DENIED, EVERYBODY, new_bucket
from tests.api.support import ACCOUNT_ID, OTHER_ACCOUNT_ID, code_of, new_name
from tests.api.test_public_access_block import public_policy
from tests.bucket_documents import PUT_BODIES
from tests.clients_boto3 import s3_client
from tests.raw_http import FOREIGNER, OWNER, Response, anonymous, call
from tests.servers import Front, cluster

PATH = "/v20180820/configuration/publicAccessBlock"
SETTINGS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
NOT_FOUND = (404, "NoSuchPublicAccessBlockConfiguration")


@pytest.fixture(scope="module")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Front]]:
    """Two front-ends of their own: the block is of all buckets of the account."""
    with cluster(tmp_path_factory.mktemp("accounts"), 2) as running:
        yield running.fronts


@pytest.fixture
def front(fronts: list[Front]) -> Iterator[Front]:
    yield fronts[0]
    ask(fronts[0], "DELETE")


@pytest.fixture
def s3(front: Front) -> Any:
    return s3_client(front)


def ask(
    front: Front,
    method: str,
    *names: str,
    account: str = ACCOUNT_ID,
    key: AccessKey = OWNER,
    path: str = PATH,
) -> Response:
    body = b""
    if method == "PUT":
        settings = "".join(f"<{name}>true</{name}>" for name in names)
        root = "PublicAccessBlockConfiguration"
        body = f"<{root}>{settings}</{root}>".encode()
    return call(front, method, path, body, {"x-amz-account-id": account}, key=key)


def refusal(response: Response) -> tuple[int, str]:
    return response.status, response.error["Code"]


@pytest.mark.parametrize("name", SETTINGS)
def test_it_is_set_shown_and_removed(front: Front, name: str) -> None:
    assert refusal(ask(front, "GET")) == NOT_FOUND
    assert ask(front, "PUT", name).status == 201
    shown = ask(front, "GET").xml
    found = {child.tag.rpartition("}")[2]: child.text for child in shown}
    assert found == {each: "true" if each == name else "false" for each in SETTINGS}
    assert ask(front, "DELETE").status == 204
    assert refusal(ask(front, "GET")) == NOT_FOUND
    assert ask(front, "DELETE").status == 204


def test_what_it_refuses_of_all_buckets(front: Front, s3: Any) -> None:
    bucket = new_bucket(s3)
    assert ask(front, "PUT", "BlockPublicAcls", "BlockPublicPolicy").status == 201
    assert code_of(s3.put_bucket_acl, Bucket=bucket, ACL="public-read") == DENIED
    grant = f'uri="{EVERYBODY}"'
    assert code_of(s3.put_object, Bucket=bucket, Key="a", GrantRead=grant) == DENIED
    assert code_of(s3.put_bucket_policy, Bucket=bucket, Policy=public_policy(bucket)) == DENIED
    made = {"Bucket": new_name(), "ACL": "public-read", "ObjectOwnership": "ObjectWriter"}
    assert code_of(s3.create_bucket, **made) == DENIED


def test_what_gives_nothing_any_more_through_any_front_end(
    fronts: list[Front], front: Front, s3: Any
) -> None:
    listed, stated = new_bucket(s3, ACL="public-read"), new_bucket(s3)
    s3.put_object(Bucket=stated, Key="key", Body=b"body")
    s3.put_bucket_policy(Bucket=stated, Policy=public_policy(stated))
    targets = (f"/{listed}", f"/{stated}/key")
    for each in fronts:
        assert [anonymous(each, "GET", target).status for target in targets] == [200, 200]
    assert ask(front, "PUT", "IgnorePublicAcls", "RestrictPublicBuckets").status == 201
    assert [anonymous(front, "GET", target).status for target in targets] == [403, 403]
    assert refusal(ask(fronts[1], "PUT")) == (400, "InvalidRequest")  # which looks at what is there
    assert [anonymous(fronts[1], "GET", target).status for target in targets] == [403, 403]


def test_it_is_for_the_account_itself(front: Front) -> None:
    assert refusal(ask(front, "PUT", SETTINGS[0], account=OTHER_ACCOUNT_ID)) == DENIED
    assert refusal(ask(front, "GET", account=OTHER_ACCOUNT_ID)) == DENIED
    assert refusal(ask(front, "GET", key=FOREIGNER)) == DENIED
    assert refusal(ask(front, "GET", account=OTHER_ACCOUNT_ID, key=FOREIGNER)) == NOT_FOUND
    headers = {"x-amz-account-id": ACCOUNT_ID}
    assert refusal(anonymous(front, "GET", PATH, headers=headers)) == DENIED


@pytest.mark.parametrize("path", ["/v20180820/accesspoint", PATH + "/more"])
def test_what_else_s3_control_has(front: Front, path: str) -> None:
    assert refusal(ask(front, "GET", path=path)) == (501, "NotImplemented")


def test_a_document_that_is_none(front: Front) -> None:
    headers = {"x-amz-account-id": ACCOUNT_ID}
    body = PUT_BODIES["PutPublicAccessBlock"].replace(b"true", b"maybe")
    assert refusal(call(front, "PUT", PATH, body, headers)) == (400, "MalformedXML")
    assert refusal(ask(front, "GET")) == NOT_FOUND


def test_a_bucket_may_have_such_a_name(front: Front, s3: Any) -> None:
    s3.create_bucket(Bucket="v20180820")
    s3.put_object(Bucket="v20180820", Key="configuration/publicAccessBlock", Body=b"body")
    found = s3.get_object(Bucket="v20180820", Key="configuration/publicAccessBlock")
    assert found["Body"].read() == b"body"
