"""Master keys in moto's AWS KMS, and answers of AWS's documents that moto does not give."""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from s3front.encryption.sse import ARN_IN_CONTEXT
from s3front.keys.aws_kms import AwsKms, make_aws_kms
from s3front.keys.base import AwayError, KeyTrouble
from s3front.locations.location_config import Written
from s3front.locations.origin import Proxy
from s3front.locations.outbound import DIRECT, Outbound
from shared.config.encryption import KmsAws
from shared.config.errors import ConfigError
from shared.config.validation import parse
from tests.backends.forward_proxy import forward_proxy
from tests.backends.keys.describing import fails
from tests.backends.keys.moto_kms import REGION, Moto, moto
from tests.backends.scripted_s3 import Asked, ScriptedS3, answer, scripted

CONTEXT = {ARN_IN_CONTEXT: "arn:aws:s3:::bucket", "who": "Käthe"}
KEY = b64encode(bytes(range(32))).decode()
GIVEN = json.dumps({"KeyId": "arn:k", "CiphertextBlob": "AQ==", "Plaintext": KEY}).encode()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    with moto(tmp_path_factory.mktemp("moto")) as running:
        running.key("alias/twofold")
        yield running


def made_of(settings: KmsAws, outbound: Outbound = DIRECT) -> AwsKms:
    written = Written("config.json", "kmsAWS", "kmsAWS", os.environ, Path())
    return make_aws_kms(settings, written, outbound)


@asynccontextmanager
async def keeper(service: Moto, **settings: Any) -> AsyncIterator[AwsKms]:
    keys = made_of(service.settings(**settings))
    try:
        yield keys
    finally:
        await keys.close()


async def test_a_data_key_is_made_and_opened(service: Moto) -> None:
    async with keeper(service) as keys:
        made = await keys.wrapping_key(None, CONTEXT)
        its_own = made.key_id.removeprefix("aws:")

        assert its_own.startswith(f"arn:aws:kms:{REGION}:")
        assert len(made.secret) == 32
        assert await keys.opened(its_own, made.wrapped, CONTEXT) == made.secret


async def test_kms_itself_opens_it_by_the_context_and_only_by_that(service: Moto) -> None:
    async with keeper(service) as keys:
        made = await keys.wrapping_key(None, CONTEXT)
        opened = service.kms.decrypt(
            CiphertextBlob=b64decode(made.wrapped), EncryptionContext=CONTEXT
        )
        failure = await fails(keys.opened(made.key_id[4:], made.wrapped, {}))

    assert opened["Plaintext"] == made.secret
    assert failure.trouble is KeyTrouble.REFUSED
    assert failure.code == "InternalError"


async def test_a_key_is_named_by_its_id_its_arn_and_an_alias(service: Moto) -> None:
    arn = service.key("alias/finance")
    async with keeper(service) as keys:
        for named in (arn, arn.rpartition("/")[2], "alias/finance"):
            made = await keys.wrapping_key(named, CONTEXT)
            assert made.key_id == f"aws:{arn}"


@pytest.mark.parametrize("named", ["nobody", "alias/nobody", "", "x" * 3000, "a\nb", "ключ"])
async def test_a_key_that_there_is_not(service: Moto, named: str) -> None:
    async with keeper(service) as keys:
        failure = await fails(keys.wrapping_key(named, CONTEXT))

    assert (failure.code, failure.status) == ("KMS.NotFoundException", 400)


async def test_a_new_master_key_takes_the_place_of_the_one_behind_the_alias(service: Moto) -> None:
    async with keeper(service, keyId="alias/turning") as keys:
        first = await keys.rotate("of this test")
        old = await keys.wrapping_key(None, CONTEXT)
        second = await keys.rotate("of this test")
        new = await keys.wrapping_key(None, CONTEXT)

        assert (old.key_id, new.key_id) == (f"aws:{first}", f"aws:{second}")
        assert await keys.opened(first, old.wrapped, CONTEXT) == old.secret
    metadata = service.kms.describe_key(KeyId=first)["KeyMetadata"]
    assert metadata["Description"] == "of this test"


async def test_a_key_that_is_made_for_somebody_takes_no_alias(service: Moto) -> None:
    async with keeper(service) as keys:
        before = await keys.wrapping_key(None, CONTEXT)
        made = await keys.create("for an account")

        assert (await keys.wrapping_key(None, CONTEXT)).key_id == before.key_id
        assert (await keys.wrapping_key(made, CONTEXT)).key_id == f"aws:{made}" != before.key_id


async def test_what_cloudserver_has_wrapped_is_opened(service: Moto) -> None:
    """By GenerateDataKey without a context, and by Decrypt without a key."""
    arn = service.key()
    made = service.kms.generate_data_key(KeyId=arn, KeySpec="AES_256")
    async with keeper(service) as keys:
        opened = await keys.open_original(arn.rpartition("/")[2], made["CiphertextBlob"])
        failure = await fails(keys.open_original(arn, made["CiphertextBlob"][:-1]))

    assert opened == made["Plaintext"]
    assert failure.trouble is KeyTrouble.REFUSED


async def test_a_look(service: Moto) -> None:
    async with keeper(service) as keys:
        assert await keys.look() is None
    async with keeper(service, keyId="alias/nobody") as keys:
        assert (await fails(keys.look())).trouble is KeyTrouble.NOT_FOUND


# -- What AWS answers, and moto does not (AWS KMS API reference, "Common errors", "Decrypt") ------


def refusal(status: int, name: str, **headers: str) -> bytes:
    body = json.dumps({"__type": name, "message": f"It is {name}"}).encode()
    return answer(status, dict(headers), body)


def settings(service: ScriptedS3, **more: Any) -> KmsAws:
    document = {"endpoint": f"http://127.0.0.1:{service.port}", "ak": "A", "sk": "B", **more}
    return parse(KmsAws, document, "config.json")


@pytest.mark.parametrize(
    ("status", "name", "trouble"),
    [
        (400, "NotFoundException", KeyTrouble.NOT_FOUND),
        (400, "com.amazonaws.kms#NotFoundException", KeyTrouble.NOT_FOUND),
        (400, "InvalidArnException", KeyTrouble.NOT_FOUND),
        (400, "DisabledException", KeyTrouble.DISABLED),
        (400, "KMSInvalidStateException", KeyTrouble.DISABLED),
        (400, "AccessDeniedException", KeyTrouble.DENIED),
        (400, "InvalidKeyUsageException", KeyTrouble.DENIED),
        (400, "InvalidCiphertextException", KeyTrouble.REFUSED),
        (400, "IncorrectKeyException", KeyTrouble.REFUSED),
        (400, "ValidationException", KeyTrouble.REFUSED),
        (400, "ThrottlingException", KeyTrouble.AWAY),
        (400, "UnrecognizedClientException", KeyTrouble.AWAY),
        (403, "InvalidSignatureException", KeyTrouble.AWAY),
        (500, "KMSInternalException", KeyTrouble.AWAY),
        (500, "KeyUnavailableException", KeyTrouble.AWAY),
        (503, "DependencyTimeoutException", KeyTrouble.AWAY),
    ],
)
async def test_refusals(status: int, name: str, trouble: KeyTrouble) -> None:
    async with scripted(lambda _asked: refusal(status, name)) as service:
        keys = made_of(settings(service))
        failure = await fails(keys.opened("arn:k", "AQ==", CONTEXT))
        await keys.close()

    assert failure.trouble is trouble
    assert name.rpartition("#")[2] in failure.reason
    # As Amazon S3 passes them on.
    passed_on = name in ("DisabledException", "KMSInvalidStateException")
    assert failure.code == f"KMS.{name}" or not passed_on
    assert failure.again().code == failure.code
    if isinstance(failure, AwayError):
        assert failure.has_answered == (status < 500)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Welcome to this hotel</html>", b"", b"[]", b"{}", b'{"Plaintext":"AA=="}',
        b'{"Plaintext":7}', b'{"Plaintext":"!"}', GIVEN[:-1], b"x" * 100_000,
    ],
)  # fmt: skip
async def test_an_answer_that_is_none_of_kms(body: bytes) -> None:
    async with scripted(lambda _asked: answer(200, {}, body)) as service:
        keys = made_of(settings(service))
        failures = [
            await fails(keys.opened("arn:k", "AQ==", CONTEXT)),
            await fails(keys.wrapping_key(None, CONTEXT)),
        ]
        await keys.close()

    assert {failure.trouble for failure in failures} == {KeyTrouble.AWAY}


async def test_keys_that_have_expired_are_had_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's role: asked for once more when KMS refuses what it gave first."""
    given = 0

    def say(asked: Asked) -> bytes:
        nonlocal given
        if asked.method == "GET":
            given += 1
            expires = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
            document = {"AccessKeyId": f"A{given}", "SecretAccessKey": "B", "Token": "C"}
            return answer(200, {}, json.dumps({**document, "Expiration": expires}).encode())
        if "Credential=A1/" in asked.headers["authorization"]:
            return refusal(400, "ExpiredTokenException")
        assert asked.headers["x-amz-security-token"] == "C"
        return answer(200, {}, GIVEN)

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    async with scripted(say) as service:
        url = f"http://127.0.0.1:{service.port}/role"
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nothing")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nothing")
        monkeypatch.delenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", raising=False)
        document = {"endpoint": f"http://127.0.0.1:{service.port}"}
        keys = made_of(parse(KmsAws, document, "config.json"))
        assert await keys.opened("arn:k", "AQ==", CONTEXT) == bytes(range(32))
        await keys.close()

    assert given == 2


async def test_the_clock_of_kms_is_followed() -> None:
    ahead = datetime.now(UTC) + timedelta(hours=3)

    def say(asked: Asked) -> bytes:
        signed = datetime.strptime(asked.headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
        if abs(signed.replace(tzinfo=UTC) - ahead) > timedelta(minutes=5):
            return refusal(400, "InvalidSignatureException", Date=format_datetime(ahead))
        return answer(200, {}, GIVEN)

    async with scripted(say) as service:
        keys = made_of(settings(service))
        assert await keys.opened("arn:k", "AQ==", CONTEXT) == bytes(range(32))
        assert await keys.opened("arn:k", "AQ==", CONTEXT) == bytes(range(32))
        await keys.close()
        assert len(service.asked) == 3


async def test_the_request_is_as_the_reference_says() -> None:
    async with scripted(lambda _asked: answer(200, {}, GIVEN)) as service:
        keys = made_of(settings(service, keyId="alias/mine", region="cn-north-1"))
        await keys.wrapping_key(None, CONTEXT)
        await keys.close()
        (asked,) = service.asked

    assert (asked.method, asked.target) == ("POST", "/")
    assert asked.headers["content-type"] == "application/x-amz-json-1.1"
    assert asked.headers["x-amz-target"] == "TrentService.GenerateDataKey"
    assert "/cn-north-1/kms/aws4_request" in asked.headers["authorization"]
    assert json.loads(asked.body) == {
        "KeyId": "alias/mine",
        "KeySpec": "AES_256",
        "EncryptionContext": CONTEXT,
    }


async def test_through_a_proxy(service: Moto) -> None:
    with forward_proxy(service.own_port) as proxy:
        outbound = Outbound(plain=Proxy("127.0.0.1", proxy.port))
        keys = made_of(service.settings(endpoint="http://kms.test:4566"), outbound)
        assert await keys.look() is None
        await keys.close()

    assert {target.split()[1] for target in proxy.targets} == {"http://kms.test:4566/"}


def test_without_keys_botocore_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3front.locations.s3_details.find_spec", lambda _name: None)
    with pytest.raises(ConfigError) as caught:
        made_of(KmsAws())

    assert "config.json: kmsAWS.ak" in str(caught.value)
    assert "pip install twofold[aws]" in str(caught.value)


def test_a_profile_that_there_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none either"))
    with pytest.raises(ConfigError) as caught:
        made_of(KmsAws(credentials_profile="keys"))

    assert "kmsAWS.credentialsProfile: profile 'keys' is not in" in str(caught.value)
