"""What IAM and STS answer when it does not do what it was asked. Pure.

The codes and their statuses are AWS's (IAM and STS API references, "Common errors", and the errors
of each action).
"""

from __future__ import annotations

from typing import Final

_STATUS: Final = {
    "AccessDenied": 403,
    "ConcurrentModification": 409,
    "DeleteConflict": 409,
    "EntityAlreadyExists": 409,
    "ExpiredTokenException": 400,
    "IDPCommunicationError": 400,
    "InvalidIdentityToken": 400,
    "InvalidInput": 400,
    "LimitExceeded": 409,
    "MalformedPolicyDocument": 400,
    "NoSuchEntity": 404,
    "NotSupportedService": 404,
    "PackedPolicyTooLarge": 400,
    "PolicyNotAttachable": 400,
    "ServiceFailure": 500,
    "UnmodifiableEntity": 400,
    "ValidationError": 400,
}


class IamError(Exception):
    """An answer of IAM's: nothing was changed. ``code`` is AWS's, ``message`` for whoever asked."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = _STATUS[code]


def no_such_entity(kind: str, name: str) -> IamError:
    """There is no user, group, role… of this name, as AWS says it."""
    return IamError("NoSuchEntity", f"The {kind} with name {name} cannot be found.")
