"""All calls: one table a service, of the modules that have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from s3front.query_api import (
    absent_calls,
    access_key_calls,
    account_calls,
    caller_identity,
    group_calls,
    holder_calls,
    managed_policy_calls,
    own_sessions,
    provider_calls,
    role_calls,
    role_sessions,
    simulation_calls,
    user_calls,
)
from s3front.query_api.call import Call, Service


def _together(*families: Mapping[str, Call]) -> dict[str, Call]:
    calls = {name: call for family in families for name, call in family.items()}
    assert len(calls) == sum(map(len, families)), "two families have one call"
    return calls


IAM: Final = Service(
    "iam",
    "2010-05-08",
    "https://iam.amazonaws.com/doc/2010-05-08/",
    _together(
        absent_calls.CALLS,
        access_key_calls.CALLS,
        account_calls.CALLS,
        group_calls.CALLS,
        holder_calls.CALLS,
        managed_policy_calls.CALLS,
        provider_calls.CALLS,
        role_calls.CALLS,
        simulation_calls.CALLS,
        user_calls.CALLS,
    ),
)
STS: Final = Service(
    "sts",
    "2011-06-15",
    "https://sts.amazonaws.com/doc/2011-06-15/",
    _together(caller_identity.CALLS, own_sessions.CALLS, role_sessions.CALLS),
)
SERVICES: Final = {service.version: service for service in (IAM, STS)}
"""By the version that a call names."""
