"""STS's call that says who asks. It needs no permission, so that programs make it first."""

from __future__ import annotations

from typing import Final

from s3front.query_api.call import Call, CallContext, Result, table
from s3front.query_api.call_parameters import Parameters


async def get_caller_identity(context: CallContext, _parameters: Parameters) -> Result:
    """GetCallerIdentity (AWS STS API reference)."""
    principal = context.principal
    return {
        "UserId": principal.user_id or principal.account_id,
        "Account": principal.account_id,
        "Arn": principal.arn,
    }


CALLS: Final = table(Call("GetCallerIdentity", get_caller_identity, tells_sender=True))
