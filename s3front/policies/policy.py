"""A policy that was read and checked. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Policy(msgspec.Struct, frozen=True, dict=True):
    """A policy. The document, and what is derived from it, is shared: never change it."""

    document: Mapping[str, Any]


class NamedPolicy(msgspec.Struct, frozen=True):
    """A policy, and what a refusal calls it: the ARN of a managed one, ``user/Anna/policy`` of one
    that is inline."""

    name: str
    policy: Policy
