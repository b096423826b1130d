"""Keys, and requests signed with them (Signature Version 4). Pure, but for the clock.

The path and the query of a request are made here as well, as they are signed in the form in which
they are sent.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from s3front.auth.sigv4 import AccessKey, RequestHead, sign_request, uri_encode
from shared.config.values import Secret

UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
"""In place of the SHA-256 of a body that is not known, or verified otherwise."""

_SKEW_SECONDS_MIN: Final = 30.0
"""A smaller difference between the clocks is not why a request was refused."""


class Keys(msgspec.Struct, frozen=True):
    """An access key, and the token of temporary ones."""

    access_key: str
    secret_key: Secret
    token: Secret | None = None


def encoded_path(*names: str) -> str:
    """The path of names: every byte that is not unreserved is escaped, but for slashes."""
    return "/" + "/".join(uri_encode(name, keep_slash=True) for name in names)


def encoded_query(parameters: Iterable[tuple[str, str]]) -> str:
    """The query, without a question mark."""
    return "&".join(f"{uri_encode(name)}={uri_encode(value)}" for name, value in parameters)


def new_skew(date: str | None, known_seconds: float) -> float | None:
    """How far the clock of a service is ahead of ours, in seconds, given the Date of its answer;
    None where that is as far as it is known to be, or is not said: something else is wrong then."""
    try:
        theirs = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return None
    skew = theirs - time.time()
    return None if abs(skew - known_seconds) < _SKEW_SECONDS_MIN else skew


class Signer(msgspec.Struct, frozen=True):
    """Signs requests to one region, with the clock of the service, which is ``skew_seconds`` ahead
    of ours. ``service`` is as AWS calls it."""

    keys: Keys
    region: str
    skew_seconds: float = 0.0
    service: str = "s3"

    def sign(
        self, method: str, path: str, query: str, headers: Mapping[str, str], payload: str
    ) -> dict[str, str]:
        """The headers to send, which are these and those of the signature.

        ``path`` and ``query`` are as made above; ``headers`` have Host; ``payload`` is the SHA-256
        of the body in hex, or UNSIGNED_PAYLOAD.
        """
        folded = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
        keys = self.keys
        token = None if keys.token is None else keys.token.reveal()
        key = AccessKey(keys.access_key, keys.secret_key.reveal(), self.region, token, self.service)
        now = datetime.now(UTC) + timedelta(seconds=self.skew_seconds)
        signed = sign_request(RequestHead(method, path, query, folded), key, now, payload)
        return {**headers, **signed.headers}
