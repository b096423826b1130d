"""The calls of STS over metadata in memory: who got temporary credentials signs by their name."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from s3front.auth.credential_sources import Signer
from s3front.auth.identity import Principal
from s3front.auth.sigv4 import AccessKey
from s3front.iam.identity_ids import SESSION_KEY_PREFIX
from s3front.iam.provider_keys import ProviderKeys
from s3front.iam.sealing_keys import SealingKeyring
from s3front.iam.session_service import SessionService
from s3front.iam.web_identity import KeySet
from s3front.keys.sealing import Keys
from shared.process.logs import get_logger
from tests.unit.s3front.iam.stored_identities import BART_ID
from tests.unit.s3front.iam.test_session_service import KEYS
from tests.unit.s3front.iam.web_tokens import KEYS as PROVIDER_KEYS
from tests.unit.s3front.query_api.query_service import ACCOUNT, QueryService


class StsService(QueryService):
    """One front-end. ``keys_of_sessions`` has what sessions sign with, by the names that tests
    give them."""

    def __init__(self, keys: Callable[[], Keys] = lambda: KEYS) -> None:
        super().__init__(keys())
        self.now = time.time()
        self.sessions = SessionService(
            self.front.directory,
            SealingKeyring(self.front.directory, self.front.store, keys, get_logger()),
            ProviderKeys(self._fetch, get_logger()),
            lambda: self.now,
        )
        self.services.sessions = self.sessions  # type: ignore[misc]  # a namespace
        self.services.directory = self.front.directory  # type: ignore[misc]
        self.keys_of_sessions: dict[str, AccessKey] = {}

    async def _fetch(self, _place: str) -> KeySet:
        return PROVIDER_KEYS

    async def find(self, access_key: str, session_token: str | None = None) -> Signer | None:
        if access_key.startswith(SESSION_KEY_PREFIX):
            return await self.sessions.find(access_key, session_token)
        return await super().find(access_key)

    async def whose(self, access_key: str, session_token: str | None = None) -> Principal | None:
        if access_key.startswith(SESSION_KEY_PREFIX):
            return await self.sessions.whose(access_key, session_token)
        return await super().whose(access_key)

    def key(self, by: str, service: str) -> AccessKey | None:
        found = self.keys_of_sessions.get(by)
        if found is None:
            return super().key(by, service)
        return AccessKey(
            found.access_key, found.secret, session_token=found.session_token, service=service
        )

    async def sts(self, name: str, by: str = BART_ID, **parameters: Any) -> dict[str, Any]:
        return await self.call(name, by, "sts", **parameters)

    async def denied(self, name: str, by: str = BART_ID, **parameters: Any) -> str:
        """The message of AccessDenied."""
        error = await self.refused(name, by=by, service="sts", **parameters)
        assert (error.code, error.status) == ("AccessDenied", 403), error
        return error.message

    async def code(self, name: str, by: str = BART_ID, **parameters: Any) -> str:
        """The code with which a call of STS is refused."""
        return (await self.refused(name, by=by, service="sts", **parameters)).code

    def remember(self, name: str, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """Let the credentials of an answer sign by a name."""
        told = answer["Credentials"]
        self.keys_of_sessions[name] = AccessKey(
            told["AccessKeyId"], told["SecretAccessKey"], session_token=told["SessionToken"]
        )
        return answer

    async def who(self, name: str) -> Principal:
        """Who signs by the name of a session, as all operations see it."""
        key = self.keys_of_sessions[name]
        signer = await self.sessions.find(key.access_key, key.session_token)
        assert signer is not None
        return signer.principal

    async def make_user(self, name: str, policy: str | None = None) -> None:
        await self.call("CreateUser", UserName=name)
        if policy is not None:
            await self.call("PutUserPolicy", UserName=name, PolicyName="own", PolicyDocument=policy)

    async def make_role(self, name: str, trust: str, **more: Any) -> str:
        """Its ARN."""
        await self.call("CreateRole", RoleName=name, AssumeRolePolicyDocument=trust, **more)
        return f"{ACCOUNT}:role/{name}"


def trusting(
    principal: Any,
    *actions: str,
    condition: Any = None,
    effect: str = "Allow",
) -> str:
    """A trust policy of one statement."""
    statement = {
        "Effect": effect,
        "Principal": principal,
        "Action": list(actions) or ["sts:AssumeRole"],
    }
    if condition is not None:
        statement["Condition"] = condition
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def user(name: str) -> dict[str, str]:
    """A user as principal of a trust policy."""
    return {"AWS": f"{ACCOUNT}:user/{name}"}
