"""What is wrong with a policy. Pure."""

from __future__ import annotations


class PolicyError(ValueError):
    """A policy is not one. ``message`` is what AWS says of it; ``detail`` the part of the policy
    that it is about, where one is to blame."""

    def __init__(self, message: str, detail: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
