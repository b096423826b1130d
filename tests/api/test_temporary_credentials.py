"""Temporary credentials sign whatever other keys sign, at every front-end, until they are over."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import boto3
import pytest
import requests
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import ClientError
from botocore.session import get_session

from s3front.auth import sigv2
from s3front.auth.sigv4 import AccessKey
from tests.api.sessions import ACCOUNT_ID, ROOT, Stage, allows, client, key_of, stage, trusts
from tests.api.support import code_of, error_of, new_name
from tests.forms import form_body, form_request, signed_v2, signed_v4
from tests.raw_http import call, exchange, host_of, sign, wire, with_header
from tests.servers import REGION, Cluster, cluster, wait_for

EVERYTHING = allows("s3:*")
OF_ACCOUNT = trusts({"AWS": ACCOUNT_ID})
TOKEN = "x-amz-security-token"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Two front-ends, a user who may take on roles, and roles."""
    with stage(tmp_path_factory.mktemp("sessions")) as running:
        yield running
        for front in running.running.fronts:
            assert front.process.poll() is None
            assert "Traceback" not in front.process.output


@pytest.fixture(scope="module")
def anna(served: Stage) -> AccessKey:
    return served.user("anna", allows("sts:AssumeRole"))


@pytest.fixture(scope="module")
def key(served: Stage, anna: AccessKey) -> AccessKey:
    """Of a session that may everything."""
    return served.assume(anna, served.role("everything", OF_ACCOUNT, EVERYTHING))


@pytest.fixture
def bucket(served: Stage, key: AccessKey) -> str:
    """A bucket that the session has made."""
    name = new_name()
    served.client("s3", key, 1).create_bucket(Bucket=name)
    return name


# --- How they sign -----------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_every_kind_of_request(served: Stage, key: AccessKey, bucket: str, version: str) -> None:
    for front in (0, 1):
        s3 = served.client("s3", key, front, signature_version=version)
        s3.put_object(Bucket=bucket, Key="a b", Body=b"body", Metadata={"a": "b"})
        assert s3.get_object(Bucket=bucket, Key="a b")["Body"].read() == b"body"
        upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
        place = {"Bucket": bucket, "Key": "parts", "UploadId": upload}
        etag = s3.upload_part(**place, PartNumber=1, Body=b"part")["ETag"]
        parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        s3.complete_multipart_upload(**place, MultipartUpload=parts)
        listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
        assert [each["Key"] for each in listed] == ["a b", "parts"]
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/parts")
        asked = {"Objects": [{"Key": each} for each in ("a b", "parts", "copy")]}
        assert "Errors" not in s3.delete_objects(Bucket=bucket, Delete=asked)
    assert bucket in [each["Name"] for each in s3.list_buckets()["Buckets"]]


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_url_of_a_session(served: Stage, key: AccessKey, bucket: str, version: str) -> None:
    served.client("s3", key).put_object(Bucket=bucket, Key="k", Body=b"body")
    signer = served.client("s3", key, signature_version=version)
    place = {"Bucket": bucket, "Key": "k"}
    url = signer.generate_presigned_url("get_object", Params=place)
    assert requests.get(url, timeout=20).content == b"body"
    query = dict(parse_qsl(urlsplit(url).query))
    name = next(each for each in query if each.lower() == TOKEN)
    token = quote(query[name], safe="")
    other = served.client("sts", key).get_caller_identity()
    assert other["Arn"].endswith(":assumed-role/everything/me")
    for changed, status, code in (
        (url.replace(f"{name}={token}", "x=y"), 403, "InvalidAccessKeyId"),
        (url.replace(token, token[:-4]), 400, "InvalidToken"),
        (url.replace(token, token[:-4] + "AAAA"), 400, "InvalidToken"),
    ):
        response = requests.get(changed, timeout=20)
        assert (response.status_code, f"<Code>{code}</Code>" in response.text) == (status, True)
    put = signer.generate_presigned_url("put_object", Params=place)
    assert requests.put(put, data=b"new", timeout=20).status_code == 200


@pytest.mark.parametrize("signed", [signed_v4, signed_v2], ids=["v4", "v2"])
def test_a_form_of_a_session(
    served: Stage, key: AccessKey, bucket: str, signed: Callable[..., dict[str, str]]
) -> None:
    front = served.running.fronts[1]

    def send(fields: dict[str, str]) -> tuple[int, str]:
        request = form_request(host_of(front), f"/{bucket}", form_body(fields, b"file"))
        response = exchange(front, request)
        return response.status, "" if response.status == 204 else response.error["Code"]

    named = {"key": "k", TOKEN: key.session_token or ""}
    good = signed(named, bucket, key=key)
    assert send(good) == (204, "")
    # The policy has to name the token, as any field.
    assert send({**signed({"key": "k"}, bucket, key=key), TOKEN: named[TOKEN]})[1] == "AccessDenied"
    assert send({**good, TOKEN: named[TOKEN][:-4] + "AAAA"}) == (400, "InvalidToken")
    assert send({each: text for each, text in good.items() if each != TOKEN}) == (
        403,
        "InvalidAccessKeyId",
    )


def test_a_form_as_boto3_makes_it(served: Stage, key: AccessKey, bucket: str) -> None:
    made = served.client("s3", key).generate_presigned_post(bucket, "by-boto3")
    response = requests.post(made["url"], data=made["fields"], files={"file": b"x"}, timeout=20)
    assert response.status_code == 204


def test_a_token_has_to_be_signed(served: Stage, key: AccessKey, bucket: str) -> None:
    front = served.running.fronts[0]
    without = replace_key(key, session_token=None)
    request = with_header(
        sign(front, "GET", f"/{bucket}", key=without), TOKEN, key.session_token or ""
    )
    assert exchange(front, request).error["Code"] == "AccessDenied"
    date = format_datetime(datetime.now(UTC), usegmt=True)
    headers = {"Host": host_of(front), "Date": date}
    head = sigv2.RequestHead("GET", f"/{bucket}", "", sigv2.trimmed_headers(headers.items()))
    headers["Authorization"] = sigv2.authorization(head, key.access_key, key.secret)
    unsigned = wire("GET", f"/{bucket}", {**headers, TOKEN: key.session_token or ""})
    assert exchange(front, unsigned).error["Code"] == "SignatureDoesNotMatch"


def replace_key(key: AccessKey, **changed: Any) -> AccessKey:
    members = {
        "access_key": key.access_key,
        "secret": key.secret,
        "region": key.region,
        "session_token": key.session_token,
    }
    return AccessKey(**{**members, **changed})


def test_keys_and_tokens_that_do_not_belong_together(
    served: Stage, key: AccessKey, anna: AccessKey, bucket: str
) -> None:
    front = served.running.fronts[0]
    other = key_of(served.client("sts", anna).get_session_token())
    cases = (
        (replace_key(key, session_token=None), 403, "InvalidAccessKeyId"),
        (replace_key(key, session_token=other.session_token), 400, "InvalidToken"),
        (replace_key(key, session_token="junk"), 400, "InvalidToken"),
        (replace_key(anna, session_token=key.session_token), 400, "InvalidToken"),
        (replace_key(ROOT, session_token=key.session_token), 400, "InvalidToken"),
        (replace_key(key, secret=other.secret), 403, "SignatureDoesNotMatch"),
        (replace_key(key, access_key=other.access_key), 400, "InvalidToken"),
    )
    for wrong, status, code in cases:
        response = call(front, "GET", f"/{bucket}", key=wrong)
        assert (response.status, response.error["Code"]) == (status, code)
        if code == "InvalidToken":
            assert response.error["Token-0"] == wrong.session_token


def test_a_token_of_another_server(served: Stage, key: AccessKey, tmp_path: Path) -> None:
    with stage(tmp_path) as other:
        other.client("sts").get_session_token()
        assert code_of(other.client("s3", key).list_buckets) == (400, "InvalidToken")
        foreign = key_of(other.client("sts").get_session_token())
    assert code_of(served.client("s3", foreign).list_buckets) == (400, "InvalidToken")


# --- What they may -------------------------------------------------------------------------------


def test_session_policies_and_tags_in_s3(served: Stage, key: AccessKey, anna: AccessKey) -> None:
    name = new_name()
    served.client("s3", key).create_bucket(Bucket=name)
    own = f"arn:aws:s3:::{name}/${{aws:PrincipalTag/team}}/*"
    trust = trusts({"AWS": ACCOUNT_ID}, "sts:AssumeRole", "sts:TagSession")
    role = served.role("teams", trust, allows("s3:*Object", resource=own))
    tagging = served.user("tagging", allows("sts:*"))
    tags = [{"Key": "team", "Value": "red"}]
    red = served.client("s3", served.assume(tagging, role, Tags=tags))
    red.put_object(Bucket=name, Key="red/k", Body=b"x")
    denied = error_of(red.put_object, Bucket=name, Key="blue/k", Body=b"x")
    assert denied["Code"] == "AccessDenied"
    assert "because no identity-based policy allows the s3:PutObject action" in denied["Message"]

    reads = json.dumps(allows("s3:GetObject"))
    narrow = served.client("s3", served.assume(tagging, role, Tags=tags, Policy=reads))
    assert narrow.get_object(Bucket=name, Key="red/k")["Body"].read() == b"x"
    denied = error_of(narrow.put_object, Bucket=name, Key="red/k", Body=b"y")
    assert "because no session policy allows the s3:PutObject action" in denied["Message"]
    assert code_of(served.client("s3", anna).get_object, Bucket=name, Key="red/k")[0] == 403


def test_somebody_whom_a_user_vouches_for(served: Stage) -> None:

    boss = served.user("boss", allows("*"))
    name = new_name()
    served.client("s3", boss).create_bucket(Bucket=name)
    policy = json.dumps(allows("s3:PutObject"))
    guest = key_of(served.client("sts", boss).get_federation_token(Name="guest", Policy=policy))
    s3 = served.client("s3", guest, 1)
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    assert code_of(s3.get_object, Bucket=name, Key="k") == (403, "AccessDenied")


def test_the_account_itself(served: Stage) -> None:
    """Installations without users can have temporary credentials as well."""
    key = key_of(served.client("sts").get_session_token())
    name = new_name()
    served.client("s3", key, 1).create_bucket(Bucket=name)
    role = served.role("for-root", OF_ACCOUNT, EVERYTHING)
    session = served.assume(key, role)
    served.client("s3", session, 1).put_object(Bucket=name, Key="k", Body=b"x")


# --- When they are over ---------------------------------------------------------------------------


def seconds_until_refused(served: Stage, key: AccessKey, code: str) -> float:
    """After how long every front-end refuses a session."""
    began = time.monotonic()
    for front in (0, 1):
        s3 = served.client("s3", key, front)
        wait_for(lambda s3=s3: _refusal(s3) == code, f"{code} at front-end {front}", 10)  # type: ignore[misc]
    return time.monotonic() - began


def _refusal(s3: Any) -> str:
    try:
        s3.list_buckets()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def test_a_role_that_is_removed_or_changed(served: Stage, anna: AccessKey) -> None:
    iam = served.client("iam")
    role = served.role("ends", OF_ACCOUNT, EVERYTHING)
    key = served.assume(anna, role)
    for front in (0, 1):
        served.client("s3", key, front).list_buckets()
    iam.delete_role_policy(RoleName="ends", PolicyName="own")
    assert seconds_until_refused(served, key, "AccessDenied") < 1
    iam.delete_role(RoleName="ends")
    assert seconds_until_refused(served, key, "InvalidAccessKeyId") < 1


def test_older_sessions_are_revoked_as_aws_does_it(served: Stage, anna: AccessKey) -> None:
    iam = served.client("iam")
    role = served.role("revoked", OF_ACCOUNT, EVERYTHING)
    key = served.assume(anna, role)
    before = datetime.now(UTC) + timedelta(seconds=2)
    condition = {"DateLessThan": {"aws:TokenIssueTime": before.strftime("%Y-%m-%dT%H:%M:%SZ")}}
    deny = allows("*", condition=condition)
    deny["Statement"][0]["Effect"] = "Deny"
    iam.put_role_policy(
        RoleName="revoked", PolicyName="AWSRevokeOlderSessions", PolicyDocument=json.dumps(deny)
    )
    assert seconds_until_refused(served, key, "AccessDenied") < 1
    wait_for(lambda: datetime.now(UTC) > before, "the time")
    later = served.assume(anna, role)
    for front in (0, 1):
        served.client("s3", later, front).list_buckets()


def test_a_user_who_is_removed(served: Stage) -> None:
    iam = served.client("iam")
    user = served.user("leaving", EVERYTHING)
    key = key_of(served.client("sts", user).get_session_token())
    for front in (0, 1):
        served.client("s3", key, front).list_buckets()
    iam.delete_access_key(UserName="leaving", AccessKeyId=user.access_key)
    served.client("s3", key).list_buckets()  # the session is not the key's, but the user's
    iam.delete_user_policy(UserName="leaving", PolicyName="own")
    iam.delete_user(UserName="leaving")
    assert seconds_until_refused(served, key, "InvalidAccessKeyId") < 1


def test_what_is_denied_to_the_older_sessions_of_a_user(served: Stage) -> None:
    iam = served.client("iam")
    user = served.user("left-open", allows("*"))
    sts = served.client("sts", user)
    everything = json.dumps(EVERYTHING)
    keys = [
        key_of(sts.get_session_token()),
        key_of(sts.get_federation_token(Name="tool", Policy=everything)),
    ]
    iam.update_access_key(UserName="left-open", AccessKeyId=user.access_key, Status="Inactive")
    assert seconds_until_refused(served, user, "InvalidAccessKeyId") < 1
    for key in keys:  # which live on
        served.client("s3", key).list_buckets()
    before = datetime.now(UTC) + timedelta(seconds=1)
    condition = {"DateLessThan": {"aws:TokenIssueTime": before.strftime("%Y-%m-%dT%H:%M:%SZ")}}
    deny = allows("*", condition=condition)
    deny["Statement"][0]["Effect"] = "Deny"
    iam.put_user_policy(UserName="left-open", PolicyName="older", PolicyDocument=json.dumps(deny))
    for key in keys:
        assert seconds_until_refused(served, key, "AccessDenied") < 1
    wait_for(lambda: datetime.now(UTC) > before, "the time")
    iam.update_access_key(UserName="left-open", AccessKeyId=user.access_key, Status="Active")
    served.client("s3", key_of(sts.get_session_token())).list_buckets()


# --- SDKs ----------------------------------------------------------------------------------------


def test_credentials_that_an_sdk_renews(served: Stage, anna: AccessKey) -> None:
    role = served.role("renewed", OF_ACCOUNT, EVERYTHING)
    sts = served.client("sts", anna)
    fetched: list[str] = []

    def fetch() -> dict[str, str]:
        told = sts.assume_role(RoleArn=role, RoleSessionName="me", DurationSeconds=900)
        told = told["Credentials"]
        fetched.append(told["AccessKeyId"])
        return {
            "access_key": told["AccessKeyId"],
            "secret_key": told["SecretAccessKey"],
            "token": told["SessionToken"],
            "expiry_time": told["Expiration"].isoformat(),
        }

    # Renewed from an hour before the end on, and so each time.
    credentials = RefreshableCredentials.create_from_metadata(
        fetch(), fetch, "assume-role", advisory_timeout=3600, mandatory_timeout=3600
    )
    session = get_session()
    session._credentials = credentials
    s3 = boto3.Session(botocore_session=session, region_name=REGION).client(
        "s3", endpoint_url=served.running.fronts[1].url
    )
    for _ in range(3):
        s3.list_buckets()
    assert len(set(fetched)) >= 3


def test_a_profile_that_names_a_role(
    served: Stage, anna: AccessKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = served.role("profile", OF_ACCOUNT, EVERYTHING)
    settings = tmp_path / "config"
    settings.write_text(
        f"[profile anna]\naws_access_key_id={anna.access_key}\n"
        f"aws_secret_access_key={anna.secret}\n"
        f"[profile role]\nrole_arn={role}\nsource_profile=anna\nregion={REGION}\n"
        f"external_id=tenant\nduration_seconds=900\nrole_session_name=by-profile\n"
    )
    for name in [each for each in os.environ if each.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(settings))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", served.running.fronts[0].url)
    session = boto3.Session(profile_name="role")
    session.client("s3").list_buckets()
    arn = session.client("sts").get_caller_identity()["Arn"]
    assert arn == f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/profile/by-profile"


# --- Without --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keyless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("keyless")
    settings = {"encryption": {"keyringFile": str(folder / "none.json")}}
    with cluster(folder, settings=settings) as running:
        yield running


def test_without_a_master_key(keyless: Cluster) -> None:
    error = error_of(client(keyless.fronts[0], "sts", ROOT).get_session_token)
    assert (error["status"], error["Code"]) == (501, "NotImplemented")
    assert "s3front keys create" in error["Message"]


def test_secrets_are_in_no_log(served: Stage, key: AccessKey, bucket: str) -> None:
    served.client("s3", key).list_objects_v2(Bucket=bucket)
    for front in served.running.fronts:
        for secret in (key.secret, key.session_token):
            assert secret is not None
            assert secret not in front.process.output
