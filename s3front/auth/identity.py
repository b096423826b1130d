"""Who sent a request."""

from __future__ import annotations

from dataclasses import dataclass

from s3front.auth.sigv4 import StreamKey
from shared.config import Account


@dataclass(frozen=True, slots=True)
class Identity:
    """``account`` is None for an anonymous request. ``stream_key`` is what the chunks of a
    streamed body must be signed with; ``payload`` the verified ``x-amz-content-sha256``; ``host``
    the one that was signed, where the signature covers it."""

    account: Account | None
    stream_key: StreamKey | None = None
    payload: str | None = None
    host: str | None = None


ANONYMOUS = Identity(None)
