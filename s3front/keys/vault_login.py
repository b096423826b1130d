"""The token that a Vault or OpenBao is asked with: where it comes from, and how it lives on.

A token is given, or read from a file (which Vault's agent renews, for instance), or had by logging
in as an AppRole. In the middle of its life it is renewed, beside the requests; when it cannot be
any longer, or is refused, the file is read again, or the AppRole logs in again. (Vault API:
"AppRole auth method", "Tokens: renew a token (self)", "Tokens: lookup a token (self)".)
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from s3front.keys.base import AwayError, KeeperError
from s3front.keys.key_server import Answer, KeyServer
from shared.config.encryption import Vault, is_header_text
from shared.config.values import Secret
from shared.process.logs import EventLog

_AGAIN_SECONDS: Final = 5.0
"""How often an AppRole logs in at most, as each time makes a token."""

_LOOK_UP: Final = "/v1/auth/token/lookup-self"
_LOG_IN_SECONDS_MAX: Final = 5.0
_RENEW_SECONDS_MIN: Final = 1.0
_RENEW_SECONDS_MAX: Final = 24 * 3600.0
_FILE_BYTES_MAX: Final = 16 * 1024


class VaultLogin:
    """See the module. Make it inside the event loop; ``close`` it."""

    def __init__(self, settings: Vault, server: KeyServer, log: EventLog) -> None:
        self._settings = settings
        self._server = server
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._token: str | None = None
        self._since = 0.0
        self._logging_in: asyncio.Task[str] | None = None
        self._renewing: asyncio.Task[None] | None = None

    async def token(self) -> str:
        """The token to ask with. Raises KeeperError."""
        if self._token is not None:
            return self._token
        if self._logging_in is None or self._logging_in.done():
            self._logging_in = self._loop.create_task(self._log_in())
            self._logging_in.add_done_callback(_noted)
        try:
            return await asyncio.shield(self._logging_in)
        except KeeperError as error:
            failure = error
        raise failure.again()

    async def instead_of(self, token: str) -> str:
        """What to ask with after a request was denied (403): another token, or this one where the
        token is good, so that it is the use of the key that is denied. Raises KeeperError where
        the token is what is refused, and there is no other."""
        if self._token != token:
            return await self.token()
        settings = self._settings
        if settings.token_file is not None and _first_line(settings.token_file) != token:
            self._forget(token)
            return await self.token()
        if not await self._is_refused(token):
            return token
        if self._token != token:  # another request was faster
            return await self.token()
        if settings.role_id is None or self._loop.time() - self._since < _AGAIN_SECONDS:
            raise refused_login("its token is refused: has it ended, or was it revoked?")
        self._forget(token)
        return await self.token()

    async def _is_refused(self, token: str) -> bool:
        """Whether a token does not even show itself, as the policy ``default`` lets all of them.
        Raises AwayError."""
        answer = await self._server.ask("GET", _LOOK_UP, self.headers(token))
        if answer.status >= 500:
            raise AwayError(f"it answers {answer.status}{said(answer)}")
        return answer.status == 403

    def headers(self, token: str | None) -> dict[str, str]:
        """Those that go with every request."""
        headers = {"X-Vault-Request": "true"}
        if self._settings.namespace is not None:
            headers["X-Vault-Namespace"] = self._settings.namespace
        if token is not None:
            headers["X-Vault-Token"] = token
        return headers

    async def close(self) -> None:
        """Stop renewing."""
        tasks = [task for task in (self._logging_in, self._renewing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- Getting a token --------------------------------------------------------------------------

    async def _log_in(self) -> str:
        try:
            async with asyncio.timeout(_LOG_IN_SECONDS_MAX):
                token, seconds = await self._new_token()
        except TimeoutError:
            raise AwayError("no answer to the log-in in time") from None
        self._token = token
        self._since = self._loop.time()
        if self._renewing is not None:
            self._renewing.cancel()
        self._renewing = None
        if seconds:
            self._renewing = self._loop.create_task(self._keep(token, seconds))
        return token

    async def _new_token(self) -> tuple[str, float]:
        """A token, and for how many seconds it can be renewed; 0 for one that cannot, or need
        not."""
        settings = self._settings
        if settings.role_id is not None:
            return await self._as_app_role(settings.role_id)
        if settings.token_file is not None:
            token = _first_line(settings.token_file)
        else:
            assert settings.token is not None
            token = settings.token.reveal()
        answer = await self._server.ask("GET", _LOOK_UP, self.headers(token))
        if answer.status >= 500:
            raise AwayError(f"it answers {answer.status}{said(answer)}")
        data = answer.document.get("data")
        if answer.status != 200 or not isinstance(data, dict) or not data.get("renewable"):
            # Whether it can be used the next request will tell.
            return token, 0
        return token, _seconds(data.get("ttl"))

    async def _as_app_role(self, role_id: str) -> tuple[str, float]:
        settings = self._settings
        secret = settings.secret_id
        if settings.secret_id_file is not None:
            secret = Secret(_first_line(settings.secret_id_file))
        document = {"role_id": role_id}
        if secret is not None:
            document["secret_id"] = secret.reveal()
        answer = await self._server.ask(
            "POST",
            f"/v1/auth/{settings.app_role_mount.strip('/')}/login",
            self.headers(None),
            orjson.dumps(document),
            once=True,
        )
        auth = _auth(answer)
        if auth is None:
            if answer.status >= 500 or answer.status == 429:
                raise AwayError(f"it answers {answer.status} to the log-in{said(answer)}")
            reason = f"the log-in as an AppRole is refused: {answer.status}{said(answer)}"
            raise refused_login(reason)
        return str(auth["client_token"]), _seconds(auth.get("lease_duration"))

    # -- Keeping it -------------------------------------------------------------------------------

    async def _keep(self, token: str, seconds: float) -> None:
        """Renew a token as long as that is possible; an AppRole logs in again then."""
        granted = seconds
        while True:
            pause = min(max(seconds / 2, _RENEW_SECONDS_MIN), _RENEW_SECONDS_MAX)
            await asyncio.sleep(pause)
            try:
                async with asyncio.timeout(_LOG_IN_SECONDS_MAX):
                    answer = await self._server.ask(
                        "POST", "/v1/auth/token/renew-self", self.headers(token), b"{}"
                    )
            except (AwayError, TimeoutError):
                seconds /= 2
                continue
            auth = _auth(answer)
            seconds = 0.0 if auth is None else _seconds(auth.get("lease_duration"))
            if auth is None and (answer.status >= 500 or answer.status == 429):
                seconds = granted / 4
            elif auth is None or seconds < granted / 2:
                # It is near the longest life that it may have, or gone.
                break
        if self._settings.role_id is None and self._settings.token_file is None:
            self._log.warning(
                "the token of a key service cannot be renewed any longer", keeper="vault"
            )
            return
        if self._token == token:
            # The next request logs in; the old one serves until then, if it can.
            self._loop.call_later(seconds / 2, self._forget, token)

    def _forget(self, token: str) -> None:
        if self._token == token:
            self._token = None


def said(answer: Answer) -> str:
    """What Vault says is wrong, in brackets; nothing of it is secret."""
    errors = answer.document.get("errors")
    texts = [str(each) for each in errors] if isinstance(errors, list) else []
    words = " ".join(" ".join(texts).split())
    return f" ({words[:300]})" if words else ""


def refused_login(reason: str) -> KeeperError:
    """Of the client nothing is wrong, so that its access is not what is denied."""
    return AwayError(reason, has_answered=True)


def _auth(answer: Answer) -> Mapping[str, Any] | None:
    auth = answer.document.get("auth")
    if answer.status != 200 or not isinstance(auth, dict):
        return None
    token = auth.get("client_token")
    return auth if isinstance(token, str) and token else None


def _seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    return 0.0


def _first_line(path: Path) -> str:
    """What a small file holds. Raises AwayError."""
    try:
        with path.open("rb") as file:
            lines = file.read(_FILE_BYTES_MAX).split()
        text = lines[0].decode("ascii") if lines else ""
    except (OSError, ValueError) as error:
        raise AwayError(f"{path} cannot be read: {error}", has_answered=True) from None
    if not text:
        raise AwayError(f"{path} is empty", has_answered=True)
    if not is_header_text(text):
        raise AwayError(f"{path} has a control character", has_answered=True)
    return text


def _noted(task: asyncio.Task[str]) -> None:
    if not task.cancelled():
        task.exception()
