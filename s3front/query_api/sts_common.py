"""What calls of STS have in common."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from s3front.auth.identity import Principal
from s3front.iam.session_service import Issued, SessionService
from s3front.query_api.call import CallContext
from s3front.query_api.call_parameters import Parameters
from s3front.query_api.errors import QueryError


def session_service(context: CallContext) -> SessionService:
    """Who gives out temporary credentials."""
    service = context.services.sessions
    assert service is not None, "a front-end that is asked has it"
    return service


def credentials_of(issued: Issued) -> dict[str, Any]:
    """Temporary credentials, as answers have them."""
    return {
        "AccessKeyId": issued.access_key,
        "SecretAccessKey": issued.secret,
        "SessionToken": issued.token,
        "Expiration": datetime.fromtimestamp(issued.expires, UTC),
    }


def refuse_devices(parameters: Parameters) -> None:
    """Raises AccessDenied for who names a device of multi-factor authentication."""
    if parameters.text("SerialNumber") is not None or parameters.text("TokenCode") is not None:
        raise QueryError(
            "AccessDenied", "MultiFactorAuthentication failed: no devices are known here."
        )


def session_actions(call: str, tags: Mapping[str, str], source_identity: str = "") -> list[str]:
    """The actions that a session asks for which has tags or a source identity."""
    actions = [f"sts:{call}"]
    if tags:
        actions.append("sts:TagSession")
    if source_identity:
        actions.append("sts:SetSourceIdentity")
    return actions


def refuse_sessions(caller: Principal, call: str) -> None:
    """Raises AccessDenied for who signs with temporary credentials."""
    if caller.is_temporary:
        raise with_sessions(call)


def with_sessions(call: str) -> QueryError:
    """What a call is answered that cannot be made with temporary credentials."""
    return QueryError("AccessDenied", f"Cannot call {call} with session credentials")
