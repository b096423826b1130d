"""Master keys in AWS KMS, or in a service with its API.

(AWS KMS API reference: GenerateDataKey, Decrypt, CreateKey, UpdateAlias; JSON 1.1 requests, signed
for the service ``kms``.) The context of a data key is its encryption context there, so that KMS
checks it, and its logs have it. A data key is asked for by an ID, an ARN or an alias; records have
the ARN that was answered with, so that an alias may point to another key one day.

CloudServer asks for its data keys without a context, and lets KMS find out of which key they are.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final

from s3front.encryption.key_wrapping import KEY_BYTES, WrappingKey
from s3front.keys.base import AwayError, KeeperError, KeyContext, why_unusable
from s3front.keys.key_server import Answer, KeyServer
from s3front.keys.service_tls import TlsFiles, limit_versions, service_context
from s3front.keys.troubles import denied, disabled, invalid_state, not_found, refused
from s3front.locations.aws_credentials import KeySource, given_or_found
from s3front.locations.location_config import Written
from s3front.locations.outbound import Outbound
from s3front.locations.remote_store import PlaceError
from s3front.locations.s3_details import require_botocore
from s3front.locations.s3_signing import Keys, Signer, new_skew
from shared.config.encryption import KmsAws

NAME: Final = "aws"

_ALIAS: Final = "alias/"
_KEY_ID_CHARACTERS_MAX: Final = 2048

_DISABLED: Final = "DisabledException"
_INVALID_STATE: Final = "KMSInvalidStateException"
"""Of a key that waits for its deletion, or for its bytes."""

_NOT_FOUND: Final = frozenset({"NotFoundException", "InvalidArnException"})
_REFUSED: Final = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
_DENIED: Final = frozenset({
    "AccessDeniedException", "InvalidGrantTokenException", "InvalidKeyUsageException",
})  # fmt: skip
_OTHER_KEYS: Final = frozenset({
    "ExpiredTokenException", "IncompleteSignatureException", "InvalidClientTokenId",
    "InvalidSignatureException", "MissingAuthenticationTokenException",
    "UnrecognizedClientException", "SignatureDoesNotMatch",
})  # fmt: skip
"""The credentials of this server are not taken: nothing is wrong with a client's."""

_BUSY: Final = frozenset({
    "ThrottlingException", "LimitExceededException", "RequestLimitExceeded",
    "ServiceUnavailableException",
})  # fmt: skip


class AwsKms:
    """A ``ServiceKeys`` that asks once; see the module."""

    name = NAME

    def __init__(self, settings: KmsAws, server: KeyServer, source: KeySource) -> None:
        self._settings = settings
        self._server = server
        self._source = source
        self._skew_seconds = 0.0

    async def wrapping_key(self, key_id: str | None, context: KeyContext) -> WrappingKey:
        named = self._settings.key_id if key_id is None else key_id
        if not 1 <= len(named) <= _KEY_ID_CHARACTERS_MAX or not named.isprintable():
            raise not_found(named)
        wanted = {"KeyId": named, "KeySpec": "AES_256", "EncryptionContext": dict(context)}
        answer = await self._ask("GenerateDataKey", wanted)
        if answer.status != 200:
            if _error(answer) == "ValidationException":
                raise not_found(named, _reason(answer))
            raise _failure(answer, named)
        secret, wrapped = _key(answer.document), _bytes(answer.document, "CiphertextBlob")
        its_own = answer.document.get("KeyId")
        if not isinstance(its_own, str) or not its_own or not wrapped:
            raise AwayError("it answers with something else than a data key")
        return WrappingKey(f"{NAME}:{its_own}", secret, b64encode(wrapped).decode())

    async def opened(self, key_id: str, wrapped: str, context: KeyContext) -> bytes:
        wanted = {
            "CiphertextBlob": wrapped,
            "KeyId": key_id,
            "EncryptionContext": dict(context),
        }
        return await self._open(wanted, key_id)

    async def open_original(self, key_id: str, ciphered: bytes) -> bytes:
        return await self._open({"CiphertextBlob": b64encode(ciphered).decode()}, key_id)

    async def create(self, description: str) -> str:
        arn, _ = await self._new_key(description)
        return arn

    async def rotate(self, description: str) -> str:
        """Where an alias is configured, it points to the new key from then on."""
        arn, key_id = await self._new_key(description)
        alias = self._settings.key_id
        if alias.startswith(_ALIAS):
            wanted = {"AliasName": alias, "TargetKeyId": key_id}
            answer = await self._ask("UpdateAlias", wanted)
            if _error(answer) == "NotFoundException":
                answer = await self._ask("CreateAlias", wanted, once=True)
            if answer.status != 200:
                raise _failure(answer, alias)
        return arn

    async def _new_key(self, description: str) -> tuple[str, str]:
        """Its ARN and its ID."""
        answer = await self._ask("CreateKey", {"Description": description}, once=True)
        metadata = answer.document.get("KeyMetadata")
        if answer.status != 200 or not isinstance(metadata, dict):
            raise _failure(answer, "")
        key_id = str(metadata.get("KeyId"))
        return str(metadata.get("Arn") or key_id), key_id

    async def look(self) -> str | None:
        """Makes a data key, and opens it."""
        return await why_unusable(self)

    async def close(self) -> None:
        await self._server.close()

    # -- How it is asked --------------------------------------------------------------------------

    async def _open(self, wanted: Mapping[str, Any], key_id: str) -> bytes:
        answer = await self._ask("Decrypt", wanted)
        if answer.status != 200:
            if _error(answer) == "ValidationException":
                raise refused(_reason(answer))
            raise _failure(answer, key_id)
        return _key(answer.document)

    async def _ask(self, action: str, document: Mapping[str, Any], *, once: bool = False) -> Answer:
        """Ask, and once more with other credentials, or another time, where that may be what was
        wrong."""
        body = json.dumps(document).encode()
        keys = await self._keys()
        answer = await self._sent(action, body, keys, once=once)
        if answer.status == 200 or _error(answer) not in _OTHER_KEYS:
            return answer
        if self._set_clock(answer):
            return await self._sent(action, body, keys, once=once)
        newer = await self._keys(refused=keys)
        return answer if newer == keys else await self._sent(action, body, newer, once=once)

    async def _keys(self, refused: Keys | None = None) -> Keys:
        try:
            return await self._source.keys(refused)
        except PlaceError as error:
            reason = error.reason
        raise AwayError(reason, has_answered=True)

    async def _sent(self, action: str, body: bytes, keys: Keys, *, once: bool) -> Answer:
        headers = {
            "Host": self._server.authority,
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"TrentService.{action}",
        }
        signer = Signer(keys, self._settings.region, self._skew_seconds, "kms")
        path = f"{self._server.path}/"
        signed = signer.sign("POST", path, "", headers, hashlib.sha256(body).hexdigest())
        return await self._server.ask("POST", "/", signed, body, once=once)

    def _set_clock(self, answer: Answer) -> bool:
        """Follow the service's clock; False when that is not what is wrong."""
        skew = new_skew(answer.headers.get("Date"), self._skew_seconds)
        if skew is None:
            return False
        self._skew_seconds = skew
        return True


def make_aws_kms(settings: KmsAws, written: Written, outbound: Outbound) -> AwsKms:
    """The keeper that ``kmsAWS`` describes. Raises ConfigError."""
    given = None
    if settings.ak is not None and settings.sk is not None:
        given = Keys(settings.ak, settings.sk)
    else:
        require_botocore(settings.credentials_profile, written, "ak")
    domain = "amazonaws.com.cn" if settings.region.startswith("cn-") else "amazonaws.com"
    address = settings.endpoint or f"https://kms.{settings.region}.{domain}"
    tls = None
    if address.startswith("https:"):
        files, key = settings.tls, f"{written.key}.tls"
        if files is None:
            tls = service_context(TlsFiles(), written.file, key)
        else:
            tls = service_context(TlsFiles(files.ca, files.cert, files.key), written.file, key)
            limit_versions(tls, files.min_version, files.max_version)
    source = given_or_found(given, settings.credentials_profile)
    return AwsKms(settings, KeyServer(address, tls, outbound), source)


def _failure(answer: Answer, key_id: str) -> KeeperError:
    """What an answer means that is not what was asked for."""
    name, reason = _error(answer), _reason(answer)
    if name in _NOT_FOUND:
        return not_found(key_id, reason)
    if name == _DISABLED:
        return disabled(key_id, reason)
    if name == _INVALID_STATE:
        return invalid_state(key_id, reason)
    if name in _DENIED:
        return denied(reason)
    if name in _REFUSED:
        return refused(reason)
    is_there = name in _BUSY or name in _OTHER_KEYS or answer.status < 500
    return AwayError(reason, has_answered=is_there)


def _error(answer: Answer) -> str:
    """The name of an error; "" where there is none. (AWS JSON 1.1: ``__type``, which may be behind
    a namespace, and may have an address behind it.)"""
    name = answer.document.get("__type")
    if answer.status == 200 or not isinstance(name, str):
        return ""
    return name.partition(":")[0].rpartition("#")[2]


def _reason(answer: Answer) -> str:
    text = answer.document.get("message") or answer.document.get("Message") or ""
    words = " ".join(str(text).split())[:300]
    return f"it answers {answer.status} {_error(answer)}{f' ({words})' if words else ''}"


def _bytes(document: Mapping[str, Any], name: str) -> bytes:
    text = document.get(name)
    try:
        return b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        return b""


def _key(document: Mapping[str, Any]) -> bytes:
    """Raises AwayError."""
    key = _bytes(document, "Plaintext")
    if len(key) != KEY_BYTES:
        raise AwayError("it answers with something else than a data key")
    return key
