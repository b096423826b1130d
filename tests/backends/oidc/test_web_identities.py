"""Roles that are taken on with tokens of a certified identity provider, as SDKs do it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from s3front.iam.provider_keys import AGAIN_SECONDS
from tests.api.sessions import ACCOUNT, ACCOUNT_ID, Stage, allows, key_of, stage, trusts
from tests.api.support import code_of, new_name
from tests.backends.oidc.oidc_provider import HERE, OidcProvider, ec_key, oidc_provider
from tests.servers import REGION, Tls, wait_for

CALL = "sts:AssumeRoleWithWebIdentity"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory, tls: Tls) -> Iterator[OidcProvider]:
    with oidc_provider(tmp_path_factory.mktemp("oidc"), tls, "/realms/apps") as running:
        yield running


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, tls: Tls, provider: OidcProvider
) -> Iterator[Stage]:
    """Two front-ends that trust the provider, and the role ``deploy`` for one subject."""
    settings = {"openIdConnect": {"caBundle": str(tls.authority), "allowedNetworks": list(HERE)}}
    with stage(tmp_path_factory.mktemp("web"), **settings) as running:
        iam = running.client("iam")
        iam.create_open_id_connect_provider(
            Url=provider.issuer, ClientIDList=["app"], ThumbprintList=["0" * 40]
        )
        condition = {
            "StringEquals": {f"{provider.place}:aud": "app"},
            "StringLike": {f"{provider.place}:sub": "system:serviceaccount:shop:*"},
        }
        federated = {"Federated": f"{ACCOUNT}:oidc-provider/{provider.place}"}
        running.role("deploy", trusts(federated, CALL, condition=condition), allows("s3:*"))
        yield running
        for front in running.running.fronts:
            assert "Traceback" not in front.process.output


def ask(served: Stage, token: str, front: int = 0, **more: Any) -> Any:
    """AssumeRoleWithWebIdentity, without a key."""
    sts = boto3.client(
        "sts",
        endpoint_url=served.running.fronts[front].url,
        region_name=REGION,
        config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}),
    )
    asked = {"RoleArn": f"{ACCOUNT}:role/deploy", "RoleSessionName": "me", **more}
    return sts.assume_role_with_web_identity(WebIdentityToken=token, **asked)


SUBJECT = "system:serviceaccount:shop:uploader"


def test_a_workload_with_a_token(served: Stage, provider: OidcProvider) -> None:
    answer = ask(served, provider.token(sub=SUBJECT))
    assert (answer["SubjectFromWebIdentityToken"], answer["Audience"]) == (SUBJECT, "app")
    name = new_name()
    served.client("s3", key_of(answer), 1).create_bucket(Bucket=name)
    served.client("s3", key_of(answer), 0).put_object(Bucket=name, Key="k", Body=b"x")


def test_tokens_that_the_role_does_not_want(served: Stage, provider: OidcProvider) -> None:
    for token, status, code in (
        (provider.token(sub="system:serviceaccount:other:uploader"), 403, "AccessDenied"),
        (provider.token("other-app", sub=SUBJECT), 400, "InvalidIdentityToken"),
        (provider.token(sub=SUBJECT, seconds=-120), 400, "ExpiredTokenException"),
        (provider.token(sub=SUBJECT)[:-8] + "AAAAAAAA", 400, "InvalidIdentityToken"),
    ):
        assert code_of(ask, served=served, token=token) == (status, code)


def test_an_sdk_that_finds_the_token_in_a_file(
    served: Stage, provider: OidcProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text(provider.token(sub=SUBJECT))
    for name in [each for each in os.environ if each.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", f"{ACCOUNT}:role/deploy")
    monkeypatch.setenv("AWS_ROLE_SESSION_NAME", "in-a-pod")
    monkeypatch.setenv("AWS_ENDPOINT_URL", served.running.fronts[1].url)
    session = boto3.Session(region_name=REGION)
    session.client("s3").list_buckets()
    arn = session.client("sts").get_caller_identity()["Arn"]
    assert arn == f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/deploy/in-a-pod"


def test_a_provider_that_takes_another_key(served: Stage, provider: OidcProvider) -> None:
    before = provider.token(sub=SUBJECT)
    for front in (0, 1):
        ask(served, before, front)
    provider.rotate(ec_key("new"))
    token = provider.token(sub=SUBJECT)
    for front in (0, 1):
        wait_for(lambda front=front: _is_good(served, token, front), "the new key")  # type: ignore[misc]
        assert code_of(ask, served=served, token=before, front=front)[1] == "InvalidIdentityToken"


def _is_good(served: Stage, token: str, front: int) -> bool:
    try:
        ask(served, token, front)
    except ClientError:
        return False
    return True


def test_a_provider_that_is_away(served: Stage, provider: OidcProvider) -> None:
    token = provider.token(sub=SUBJECT)
    wait_for(lambda: _is_good(served, token, 0), "the provider")
    front = served.running.add_front()
    assert provider.process is not None
    provider.process.kill()
    try:
        # Whoever knows the keys needs nobody, and a new front-end says that it cannot ask.
        ask(served, token, 0)
        assert code_of(ask, served=served, token=token, front=2) == (400, "IDPCommunicationError")
        served.client("s3", key_of(ask(served, token, 0)), 2).list_buckets()
    finally:
        provider.start()
    wait_for(lambda: _is_good(served, token, 2), "the provider", 4 * AGAIN_SECONDS)
    served.running.fronts.remove(front)
    front.process.kill()
