"""Master keys in the transit engine of HashiCorp Vault or OpenBao.

The engine makes data keys, and opens them again; its own keys never leave it. (Vault API, "Transit
secrets engine": ``datakey/plaintext``, ``decrypt``, ``keys/:name``, ``keys/:name/rotate``.)

A master key is called as its key there, with its version: ``twofold:v2``. So rotation shows, and
what is still of an older version can be wrapped again. The context goes with each request: a key
made with ``derived`` checks it itself; ``binding`` does it for all of them.

What the engine says is all there is to go by, as most refusals are 400. Who may not use a key, and
whose token has ended, get 403 alike: so the token is looked up then, and it is asked once more with
another one, if there is one.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import orjson
from msgspec.structs import replace

from s3front.encryption.key_wrapping import KEY_BYTES, WrappingKey
from s3front.keys.base import AwayError, KeeperError, KeyContext, KeyTrouble, why_unusable
from s3front.keys.binding import bound_secret, canonical
from s3front.keys.key_server import Answer, KeyServer
from s3front.keys.making import Making
from s3front.keys.service_tls import TlsFiles, service_context
from s3front.keys.troubles import denied, disabled, not_found, refused
from s3front.keys.vault_login import VaultLogin, said
from shared.config.encryption import Vault, is_header_text
from shared.config.errors import ConfigError
from shared.config.values import Secret

NAME: Final = "vault"

_TOKENS: Final = ("VAULT_TOKEN", "BAO_TOKEN")
"""Environment variables that other programs have the token in."""

_NAME_AND_VERSION: Final = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]{0,254})(?::v([0-9]{1,9}))?")
"""Names as the engine has them; none of full stops alone, so that none is another path."""

_WRAPPED: Final = re.compile(r"vault:v([0-9]{1,9}):[A-Za-z0-9+/]+={0,2}")

_SAYS: Final = (
    ("encryption key not found", KeyTrouble.NOT_FOUND),
    ("soft-deleted", KeyTrouble.DISABLED),
    ("disallowed by policy", KeyTrouble.DISABLED),  # below min_decryption_version
    ("does not support", KeyTrouble.DENIED),
    ("unsupported", KeyTrouble.DENIED),
)
"""What is in the reasons of 400; anything else is about what was to be opened."""


class VaultKeys:
    """A ``ServiceKeys`` that asks once; see the module."""

    name = NAME

    def __init__(self, settings: Vault, server: KeyServer, login: VaultLogin) -> None:
        self._settings = settings
        self._server = server
        self._login = login
        self._mount = f"/v1/{settings.mount.strip('/')}"

    async def wrapping_key(self, key_id: str | None, context: KeyContext) -> WrappingKey:
        name = self._key_name(key_id)
        document = {"bits": KEY_BYTES * 8, "context": b64encode(canonical(context)).decode()}
        answer = await self._ask("POST", f"/datakey/plaintext/{quote(name)}", document)
        if answer.status != 200:
            raise self._failure(answer, name)
        data = _data(answer)
        secret, wrapped = _key(data.get("plaintext")), data.get("ciphertext")
        found = _WRAPPED.fullmatch(wrapped) if isinstance(wrapped, str) else None
        if found is None:
            raise AwayError("it answers with something else than a data key")
        key_id = f"{NAME}:{name}:v{found[1]}"
        return WrappingKey(key_id, bound_secret(secret, context), found[0])

    async def opened(self, key_id: str, wrapped: str, context: KeyContext) -> bytes:
        if not _WRAPPED.fullmatch(wrapped):
            raise refused("the record has no data key as Vault wraps them")
        name = self._key_name(key_id)
        document = {"ciphertext": wrapped, "context": b64encode(canonical(context)).decode()}
        answer = await self._ask("POST", f"/decrypt/{quote(name)}", document)
        if answer.status != 200:
            raise self._failure(answer, name)
        return bound_secret(_key(_data(answer).get("plaintext")), context)

    async def open_original(self, key_id: str, ciphered: bytes) -> bytes:
        raise refused("CloudServer has no keys in Vault")

    async def create(self, description: str) -> str:
        """A key of a name of its own, as nothing else is kept of what it is for."""
        name = f"{self._key_name(None)}-{os.urandom(8).hex()}"
        await self._make(name)
        return f"{name}:v1"

    async def _make(self, name: str) -> None:
        wanted = {"type": "aes256-gcm96", "derived": True}
        answer = await self._ask("POST", f"/keys/{quote(name)}", wanted, once=True)
        if answer.status not in (200, 204):
            raise self._failure(answer, name)

    async def rotate(self, description: str) -> str:
        """A new version of the key that is configured, or that key."""
        name = self._key_name(None)
        answer = await self._ask("GET", f"/keys/{quote(name)}")
        if answer.status == 200:
            answer = await self._ask("POST", f"/keys/{quote(name)}/rotate", {}, once=True)
        if answer.status == 404:
            await self._make(name)
        elif answer.status not in (200, 204):
            raise self._failure(answer, name)
        answer = await self._ask("GET", f"/keys/{quote(name)}")
        if answer.status != 200:
            raise self._failure(answer, name)
        return f"{name}:v{_data(answer).get('latest_version')}"

    async def look(self) -> str | None:
        """Makes a data key, and opens it."""
        return await why_unusable(self)

    async def close(self) -> None:
        await self._login.close()
        await self._server.close()

    # -- How it is asked --------------------------------------------------------------------------

    def _key_name(self, key_id: str | None) -> str:
        """Raises KMS.NotFoundException for what cannot be the name of a key."""
        given = self._settings.key if key_id is None else key_id
        found = _NAME_AND_VERSION.fullmatch(given)
        if found is None or not found[1].strip("."):
            raise not_found(given)
        return found[1]

    async def _ask(
        self,
        method: str,
        target: str,
        document: Mapping[str, Any] | None = None,
        *,
        once: bool = False,
    ) -> Answer:
        body = b"" if document is None else orjson.dumps(document)
        token = await self._login.token()
        while True:
            answer = await self._server.ask(
                method, self._mount + target, self._login.headers(token), body, once=once
            )
            if answer.status != 403:
                return answer
            newer = await self._login.instead_of(token)
            if newer == token:
                return answer
            token = newer

    def _failure(self, answer: Answer, name: str) -> KeeperError:
        """What an answer means that is not what was asked for."""
        reason = f"it answers {answer.status}{said(answer)}"
        match answer.status:
            case 403:
                return denied(reason)
            case 400 if answer.is_json:
                words = said(answer)
                for text, trouble in _SAYS:
                    if text in words:
                        return _refusal(trouble, name, reason)
                return refused(reason)
            case 404:
                return AwayError(
                    f"{reason}: is a transit engine mounted at {self._settings.mount!r}?",
                    has_answered=True,
                )
            case 412 | 429:  # not there yet on this replica; too many requests
                return AwayError(reason, has_answered=True)
            case 307:
                return AwayError(f"{reason}: it is a standby, which sends clients to its leader")
            case 503:
                return AwayError(f"{reason}: sealed, or in maintenance")
        return AwayError(reason, has_answered=answer.status < 500)


def make_vault(settings: Vault, making: Making, environ: Mapping[str, str]) -> VaultKeys:
    """The keeper that ``encryption.vault`` describes. Raises ConfigError."""
    if settings.token is None and settings.token_file is None and settings.role_id is None:
        token = next(filter(None, (environ.get(name) for name in _TOKENS)), None)
        if token is None:
            reason = (
                f"needs token, tokenFile or roleId, or {' or '.join(_TOKENS)} in the environment"
            )
            raise ConfigError(making.described.file, "encryption.vault", reason)
        if not is_header_text(token):
            reason = f"the token of {' or '.join(_TOKENS)} has a control character"
            raise ConfigError(making.described.file, "encryption.vault", reason)
        settings = replace(settings, token=Secret(token))
    tls = None
    if settings.address.startswith("https:"):
        tls = service_context(TlsFiles(settings.ca), making.described.file, "encryption.vault")
    server = KeyServer(settings.address, tls, making.outbound)
    return VaultKeys(settings, server, VaultLogin(settings, server, making.log))


def _data(answer: Answer) -> Mapping[str, Any]:
    data = answer.document.get("data")
    return data if isinstance(data, dict) else {}


def _key(text: object) -> bytes:
    """Raises AwayError."""
    try:
        key = b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise AwayError("it answers with something else than a data key")
    return key


def _refusal(trouble: KeyTrouble, name: str, reason: str) -> KeeperError:
    match trouble:
        case KeyTrouble.NOT_FOUND:
            return not_found(name, reason)
        case KeyTrouble.DISABLED:
            return disabled(name, reason)
    return denied(reason)
