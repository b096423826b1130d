"""When a master key may go: one rule, whoever keeps it and however it came to be given out no more.

A request that was given the key before may still commit what it has sealed, for half of
``gcGraceSeconds`` (``bodies.stored_body.check_age``), and a data key that was made of it serves new
objects for ``cacheSeconds``. So a key goes when it was given out no more for both of these, and
when no record names it then.
"""

from __future__ import annotations

import time
from datetime import datetime

from s3front.metadata.key_usage import KeyUsage


def too_early(given_until: str | None, wait_seconds: float) -> bool:
    """Whether a key may be in use still that was given out until then (ISO 8601; None: nobody has
    noted it)."""
    if given_until is None:
        return True
    try:
        return time.time() - datetime.fromisoformat(given_until).timestamp() < wait_seconds
    except (ValueError, OverflowError):
        return True


def named_by(usage: KeyUsage, key: str) -> str | None:
    """Why a key is needed, by the records that were counted; None where it is not."""
    if named := usage.records_by_key[key]:
        return f"{named:,} records name the key {key}; s3front keys list shows the rotation"
    if usage.unreadable:
        return f"{usage.unreadable:,} records cannot be read, and may name it: see dmd check"
    return None
