"""What the body of a request tells to the conditions of policies.

Most requests are decided before their bodies are asked for. Where a policy hangs on what the body
says, its operation reads it first, and decides with it, before it looks at anything else.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from s3front.authz.condition_keys import ConditionKeys
from s3front.authz.decide import authorize
from s3front.context import Context


def with_tags(context: Context, tags: Mapping[str, str]) -> Context:
    """The context of a request whose body has been read, and has these tags. Raises what
    ``authorize`` does, where that was undecided."""
    return _decided(context, _keys(context).with_request_tags(tags))


def with_said(context: Context, said: Mapping[str, str]) -> Context:
    """The same where it says this, by keys in lower case."""
    return _decided(context, _keys(context).with_said(said))


def _keys(context: Context) -> ConditionKeys:
    keys = context.access.keys
    assert isinstance(keys, ConditionKeys), "the keys of a request that was sent"
    return keys


def _decided(context: Context, keys: ConditionKeys) -> Context:
    access = replace(context.access, keys=keys)
    if context.undecided:
        authorize(access)
    return replace(context, access=access, undecided=False)
