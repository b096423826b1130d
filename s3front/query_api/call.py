"""The shape of a call: what it is about, which action that asks for, and what does it.

A family of calls is a module that has ``CALLS``, by their names; ``s3front.query_api.families``
lists those modules. A call returns a value (``s3front.query_api.rendering``) or raises: IamError
and QueryError with the codes of its service, S3Error when something is missing below. Who may is
decided before it runs, on what the call says here; nothing else asks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from s3front.auth.identity import Identity, Principal
from s3front.authz.access import Access
from s3front.authz.condition_keys import ConditionKeys, keys_of_call
from s3front.context import Services
from s3front.iam.change import Decide
from s3front.iam.directory import Directory
from s3front.iam.store import Again
from s3front.port.request import Request
from s3front.query_api.call_parameters import Parameters

Changed = TypeVar("Changed")

EVERYTHING: Final = "*"
"""The resource of what is about no single one."""


NO_KEYS: Final[Mapping[str, Sequence[str]]] = MappingProxyType({})


class CallKeys(msgspec.Struct, frozen=True):
    """What a call tells to the conditions of policies: ``said`` by its parameters, in lower
    case, the names of tags as well, which have none in IAM; and the rest by the request."""

    request: ConditionKeys
    said: Mapping[str, Sequence[str]]

    @property
    def is_secure(self) -> bool:
        return self.request.is_secure

    def of_version(self, version_id: str | None) -> CallKeys:
        return msgspec.structs.replace(self, request=self.request.of_version(version_id))

    def values(self, key: str) -> Sequence[str] | None:
        found = self.said.get(key.lower())
        return self.request.values(key) if found is None else found


async def _nothing_more() -> int:
    """There is nothing to be decided again."""
    return 0


class CallContext(msgspec.Struct, frozen=True):
    """What a call works with besides its parameters. ``query`` is what it was told in its query
    alone; ``now`` is when it came. That the caller may was decided on the generation
    ``decided_on`` of the directory; ``again`` decides it on what is known by then, tells on
    which generation, and raises what deciding does."""

    services: Services
    request: Request
    query: Mapping[str, str]
    request_id: str
    identity: Identity
    now: datetime
    decided_on: int = 0
    again: Again = _nothing_more

    @property
    def principal(self) -> Principal:
        return self.identity.principal

    @property
    def account_id(self) -> str:
        """The account that the call is about: the caller's, always."""
        account_id = self.principal.account_id
        assert account_id is not None, "only calls that are for anybody have no caller"
        return account_id

    @property
    def directory(self) -> Directory:
        """Who there is."""
        return self.services.directory

    async def change(self, decide: Decide[Changed]) -> Changed:
        """Change identities. Whether the caller may is decided again when anything has changed
        since that was decided. Raises IamError and S3Error."""
        store = self.services.identities
        assert store is not None, "calls come once a front-end serves"
        return await store.change(decide, self.request_id, (self.decided_on, self.again))

    def access(
        self,
        actions: Sequence[str],
        resource: str,
        keys: Mapping[str, Sequence[str]] = NO_KEYS,
    ) -> Access:
        """What the caller has to be allowed, to be decided on. ``keys`` are known besides what the
        request itself tells."""
        asked = CallKeys(keys_of_call(self.request, self.query, self.principal), keys)
        return Access(self.principal, actions, resource, asked)


Result: TypeAlias = Mapping[str, Any] | None
Handler = Callable[[CallContext, Parameters], Awaitable[Result]]
ResourcesOf = Callable[[CallContext, Parameters], Sequence[str]]
ActionsOf = Callable[[Parameters], Sequence[str]]
KeysOf = Callable[[CallContext, Parameters], Mapping[str, Sequence[str]]]


def everything(_context: CallContext, _parameters: Parameters) -> Sequence[str]:
    """The resource of a call that is about no single one."""
    return (EVERYTHING,)


def no_keys(_context: CallContext, _parameters: Parameters) -> Mapping[str, Sequence[str]]:
    """The condition keys of a call that has none of its own."""
    return NO_KEYS


def no_actions(_parameters: Parameters) -> Sequence[str]:
    """What most calls ask for besides."""
    return ()


class Call(msgspec.Struct, frozen=True):
    """``name`` is the API's. ``actions`` are those of IAM that it asks for; none: whoever signs
    may, or decides for itself (taking on a role). ``resources`` are the ARNs that they are about,
    on each of which they have to be allowed, ``keys`` the condition keys that the parameters give,
    in lower case. ``anonymous``: it need not be signed; ``tells_sender``: it tells who has sent it,
    and nothing else. ``besides`` are the actions that its parameters ask for as well."""

    name: str
    handler: Handler
    actions: Sequence[str] = ()
    resources: ResourcesOf = everything
    keys: KeysOf = no_keys
    anonymous: bool = False
    tells_sender: bool = False
    besides: ActionsOf = no_actions

    def actions_for(self, parameters: Parameters) -> Sequence[str]:
        """All that a call with these parameters asks for."""
        return (*self.actions, *self.besides(parameters))


class Service(msgspec.Struct, frozen=True):
    """A service by the name that its signatures have; ``version`` is that of its API."""

    name: str
    version: str
    namespace: str
    calls: Mapping[str, Call]


def table(*calls: Call) -> dict[str, Call]:
    """Calls by their names."""
    named = {call.name: call for call in calls}
    assert len(named) == len(calls), "two calls have one name"
    return named
