"""What a policy says to a question. Pure."""

from __future__ import annotations

from enum import IntEnum, auto
from typing import Final

import msgspec


class How(IntEnum):
    """By what a statement's principal named the caller; the more it says, the higher. Only of
    policies of resources is it more than ``UNNAMED``."""

    UNNAMED = 0
    """The policy is the caller's own, and names nobody."""
    ACCOUNT = auto()
    """The account, by its ID, its root ARN or its canonical ID: which lets it give the access on
    to its users, and lets no user in yet."""
    ROLE = auto()
    """The role that the session has taken on, or the user who has vouched for it."""
    EVERYBODY = auto()
    """``*``."""
    ITSELF = auto()
    """The very user, session, provider or service."""


class Effect(IntEnum):
    """What a policy comes to."""

    NOTHING = 0
    """No statement applies."""
    ALLOW = auto()
    DENY = auto()


class Verdict(msgspec.Struct, frozen=True):
    """``statement`` names the one that decided: its ``Sid``, else ``statement[n]``, counted from 0;
    empty where none did. Of several that allow, the one that names the caller most closely. ``how``
    says nothing of a denial."""

    effect: Effect
    statement: str = ""
    how: How = How.UNNAMED


NOTHING: Final = Verdict(Effect.NOTHING)
