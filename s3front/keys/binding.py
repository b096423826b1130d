"""How a data key is bound to what it is for, where its keeper cannot do that, or need not. Pure.

The keeper wraps 32 random bytes; the secret that wraps blob keys is made of them and the context.
So a wrapped data key that was moved to another object makes another secret there, which opens
nothing. docs/encryption.md has the bytes.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping


def canonical(context: Mapping[str, str]) -> bytes:
    """A context as bytes, the same ones for equal contexts: JSON in UTF-8, sorted by name."""
    text = json.dumps(dict(context), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.encode("utf-8", "surrogatepass")


def bound_secret(data_key: bytes, context: Mapping[str, str]) -> bytes:
    """The secret of a wrapping key: 32 bytes."""
    return hmac.digest(data_key, b"twofold context 1" + canonical(context), "sha256")
