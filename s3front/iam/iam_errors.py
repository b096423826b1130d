"""What IAM and STS answer when it does not do what it was asked. Pure.

The codes are AWS's (IAM and STS API references, "Common errors", and the errors of each action);
their statuses are those of ``s3front.query_api.errors``.
"""

from __future__ import annotations


class IamError(Exception):
    """An answer of IAM's: nothing was changed. ``code`` is AWS's, ``message`` for whoever asked."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def no_such_entity(kind: str, name: str) -> IamError:
    """There is no user, group, role… of this name, as AWS says it."""
    return IamError("NoSuchEntity", f"The {kind} with name {name} cannot be found.")
