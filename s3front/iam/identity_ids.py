"""IDs and ARNs of identities, as AWS forms them (IAM user guide, "IAM identifiers"). Pure but for
the random numbers that new ones are made of."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from typing import Final

from s3front.iam.iam_errors import IamError

USER_PREFIX: Final = "AIDA"
GROUP_PREFIX: Final = "AGPA"
ROLE_PREFIX: Final = "AROA"
POLICY_PREFIX: Final = "ANPA"
ACCESS_KEY_PREFIX: Final = "AKIA"
SESSION_KEY_PREFIX: Final = "ASIA"
"""Of the access keys of temporary credentials."""

_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_ID_CHARACTERS: Final = 17
_SECRET_BYTES: Final = 30

_KEY_BYTES: Final = 10
_ACCOUNT_SHIFT: Final = 39
"""How many bits of an access key are behind those of its account."""
_HAS_ACCOUNT: Final = 1 << 79
_ACCOUNT_MASK: Final = (1 << 40) - 1

ACCOUNT_ID: Final = re.compile(r"[0-9]{12}\Z")
_ARN: Final = re.compile(r"arn:aws:iam::([0-9]{12}|aws):([a-z-]+)(/.*/|/)([^/]+)\Z", re.DOTALL)


def new_id(prefix: str) -> str:
    """The unique ID of a new user, group, role or policy: 21 characters."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(_ID_CHARACTERS))


def new_access_key_id(account_id: str, prefix: str = ACCESS_KEY_PREFIX) -> str:
    """A new access key: 20 characters, of which some tell the account, as AWS's do."""
    number = _HAS_ACCOUNT | int(account_id) << _ACCOUNT_SHIFT | secrets.randbits(_ACCOUNT_SHIFT)
    return prefix + base64.b32encode(number.to_bytes(_KEY_BYTES, "big")).decode()


def account_of_access_key(access_key: str) -> str | None:
    """The account that an access key tells, whether there is such a key or not; None: it has not
    the form of a key that tells any."""
    try:
        number = int.from_bytes(base64.b32decode(access_key[len(ACCESS_KEY_PREFIX) :]), "big")
    except (binascii.Error, ValueError):
        return None
    account = number >> _ACCOUNT_SHIFT & _ACCOUNT_MASK
    if number.bit_length() != _HAS_ACCOUNT.bit_length() or account >= 10**12:
        return None
    return f"{account:012d}"


def new_secret() -> str:
    """The secret of a new access key: 40 characters of Base64."""
    return base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def new_account_id() -> str:
    """12 digits, the first of which is not 0: too many programs read it as a number."""
    return str(10**11 + secrets.randbelow(9 * 10**11))


def new_canonical_id() -> str:
    """64 hex digits."""
    return secrets.token_hex(32)


def identity_arn(account_id: str, kind: str, path: str, name: str) -> str:
    """The ARN of a ``user``, ``group``, ``role`` or ``policy``; ``path`` begins and ends with a
    slash."""
    return f"arn:aws:iam::{account_id}:{kind}{path}{name}"


def account_arn(account_id: str) -> str:
    """The ARN of an account itself."""
    return f"arn:aws:iam::{account_id}:root"


def parsed_arn(arn: str, kind: str) -> tuple[str, str]:
    """The account ID (``aws`` of AWS's own policies) and the name that the ARN of an identity has.
    Raises IamError."""
    found = _ARN.match(arn)
    if found is None or found[2] != kind:
        raise IamError("InvalidInput", f"ARN {arn} is not valid.")
    return found[1], found[4]
