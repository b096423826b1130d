"""Tokens of OpenID Connect providers: who an identity provider says that somebody is. Pure.

A token comes from a stranger, and is JSON that says itself how it is signed. So nothing of it is
believed before its signature was verified by a key that the provider publishes (RFC 8725):

1. Algorithms are those of public keys that AWS takes, RS256 to ES512, and one has to fit the type
   of its key: what is signed by "none", or by a public key as if it was a secret, is refused.
2. ``kid`` is looked for among the provider's keys, and nowhere else. What a token brings of keys
   (``jwk``, ``jku``, ``x5c``, ``x5u``) is ignored; ``crit`` is refused.
3. The token is from this provider, for one of its client IDs, and in date; ``LEEWAY_SECONDS`` for
   clocks that differ. Where there is an authorised party (``azp``), that is compared with the
   client IDs, as AWS does.

Sources: OpenID Connect Core 1.0, sections 2 and 3.1.3.7; RFC 7515, 7517, 7519; STS API reference,
"AssumeRoleWithWebIdentity"; IAM user guide, "Available keys for AWS OIDC federation".
"""

from __future__ import annotations

import binascii
import math
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import orjson

from s3front.iam.iam_errors import IamError

LEEWAY_SECONDS: Final = 60.0
TOKEN_CHARACTERS_MAX: Final = 20_000
KEYS_MAX: Final = 200
"""AWS takes 100 of each type."""

RSA_BITS_MIN: Final = 2048
RSA_BITS_MAX: Final = 8192
"""More would take long to verify by."""

_KEY_MEMBERS: Final = ("kty", "n", "e", "crv", "x", "y", "alg", "kid", "use")
"""What is kept of a key: what verifies, and what that is for."""

_MEMBER_CHARACTERS_MAX: Final = 1024
_MODULUS_CHARACTERS_MAX: Final = (RSA_BITS_MAX + 5) // 6
_EXPONENT_CHARACTERS_MAX: Final = 11
"""64 bits: with more it takes long to verify."""

CLAIM_CHARACTERS_MAX: Final = 1024
TAGS_CLAIM: Final = "https://aws.amazon.com/tags"
SOURCE_IDENTITY_CLAIM: Final = "https://aws.amazon.com/source_identity"
"""In which a provider passes tags and the source identity of a session (IAM user guide, "Passing
session tags using AssumeRoleWithWebIdentity")."""

_TYPES: Final = {
    "RS256": ("RSA", None),
    "RS384": ("RSA", None),
    "RS512": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
}
"""The type and curve of the key that an algorithm is of."""

_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+={0,2}")

KeySet = Mapping[str, Mapping[str, Any]]
"""The keys of a provider, JSON Web Keys, by their IDs."""


class Claimed(msgspec.Struct, frozen=True):
    """What a token says before anything of it is verified: good for finding the key."""

    issuer: str
    algorithm: str
    key_id: str


class WebIdentity(msgspec.Struct, frozen=True):
    """What a provider says of somebody. ``audience`` is the client ID that the token is for;
    ``keys`` are condition keys, in lower case."""

    issuer: str
    subject: str
    audience: str
    keys: Mapping[str, tuple[str, ...]]
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)
    transitive: tuple[str, ...] = ()
    source_identity: str = ""


class Trusted(msgspec.Struct, frozen=True):
    """A provider as it is registered: ``place`` is its URL without the scheme, and without a slash
    at its end."""

    place: str
    client_ids: Sequence[str]


def place_of(issuer: str) -> str:
    """An issuer without its scheme and the slash at its end, as providers are registered."""
    return issuer.removeprefix("https://").removesuffix("/")


def claimed(token: str) -> Claimed:
    """What a token says of its issuer and its key. Raises IamError (InvalidIdentityToken)."""
    if not 4 <= len(token) <= TOKEN_CHARACTERS_MAX:
        raise _invalid("The web identity token is not of a length that any can have.")
    parts = token.split(".")
    if len(parts) != 3:
        raise _invalid("The ID Token provided is not a valid JWT. (It has not three parts)")
    header, payload = _json(parts[0]), _json(parts[1])
    algorithm, key_id, issuer = header.get("alg"), header.get("kid"), payload.get("iss")
    if not isinstance(algorithm, str) or algorithm not in _TYPES:
        raise _invalid(f"The algorithm of the token has to be one of {', '.join(_TYPES)}.")
    if not isinstance(key_id, str) or not key_id:
        raise _invalid("The token does not name the key that it is signed by (kid).")
    if "crit" in header:
        raise _invalid("The token has a header that has to be understood and is not (crit).")
    if not isinstance(issuer, str) or not issuer:
        raise _invalid("Missing a required claim: iss")
    return Claimed(issuer, algorithm, key_id)


def key_set(document: Any) -> KeySet | None:
    """The keys of a JSON Web Key Set that signatures can be verified by; None when it is none.
    Keys that are for something else, or cannot be used, are left out."""
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list) or len(keys) > KEYS_MAX:
        return None
    found: dict[str, Mapping[str, Any]] = {}
    for key in keys:
        if not isinstance(key, dict):
            return None
        key_id = key.get("kid")
        if not isinstance(key_id, str) or key.get("kty") not in ("RSA", "EC"):
            continue
        uses = key.get("key_ops", ["verify"])
        if key.get("use", "sig") == "sig" and isinstance(uses, list) and "verify" in uses:
            kept = {name: key[name] for name in _KEY_MEMBERS if name in key}
            if all(_is_member(*each) for each in kept.items()):
                found[key_id] = kept
    return found


def _is_member(name: str, value: Any) -> bool:
    """Whether a member of a key is of a size that any has."""
    if not isinstance(value, str):
        return False
    most = {"n": _MODULUS_CHARACTERS_MAX, "e": _EXPONENT_CHARACTERS_MAX}
    if len(value) > most.get(name, _MEMBER_CHARACTERS_MAX):
        return False
    return name not in most or _BASE64URL.fullmatch(value) is not None


def verified(token: str, keys: KeySet, provider: Trusted, now: float) -> WebIdentity:
    """What the provider says, once all is verified; ``now`` is the wall clock, in seconds. Raises
    IamError: InvalidIdentityToken, ExpiredTokenException."""
    said = claimed(token)
    if place_of(said.issuer) != provider.place:
        raise _invalid("The token is of another issuer than the provider.")
    key = keys.get(said.key_id)
    if key is None:
        raise _invalid("Couldn't retrieve verification key from your identity provider")
    claims = _payload(token, key, said.algorithm)
    _check_dates(claims, now)
    subject = _text(claims, "sub")
    audience, others = _audience(claims, provider.client_ids)
    place = provider.place.lower()
    condition_keys = {
        f"{place}:sub": (subject,),
        f"{place}:aud": (audience,),
        f"{place}:oaud": others,
    }
    for name in ("amr", "azp", "email"):
        values = _texts(claims.get(name))
        if values:
            condition_keys[f"{place}:{name}"] = values
    tags, transitive = _tags(claims.get(TAGS_CLAIM))
    source_identity = claims.get(SOURCE_IDENTITY_CLAIM)
    if source_identity is not None and not isinstance(source_identity, str):
        raise _invalid("The source identity in the token is no text.")
    return WebIdentity(
        said.issuer, subject, audience, condition_keys, tags, transitive, source_identity or ""
    )


# --- Signatures -----------------------------------------------------------------------------------


def _payload(token: str, key: Mapping[str, Any], algorithm: str) -> Mapping[str, Any]:
    """The claims of a token whose signature is right. Raises IamError."""
    from jwt import PyJWK, PyJWS, PyJWTError  # noqa: PLC0415  # on first use

    kind, curve = _TYPES[algorithm]
    if key.get("kty") != kind or key.get("alg", algorithm) != algorithm:
        raise _invalid("The token is signed in another way than its key is for.")
    if curve is not None and key.get("crv") != curve:
        raise _invalid("The token is signed in another way than its key is for.")
    public = {name: key[name] for name in ("kty", "n", "e", "crv", "x", "y") if name in key}
    try:
        usable = PyJWK(public, algorithm)
        bits = usable.key.key_size if kind == "RSA" else RSA_BITS_MIN
        if not RSA_BITS_MIN <= bits <= RSA_BITS_MAX:
            raise _invalid("The key of the identity provider is too small, or too large.")
        decoded = PyJWS().decode_complete(token, usable, [algorithm])
    except (PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise _invalid("Couldn't verify the signature of the token") from error
    claims = orjson.loads(decoded["payload"])
    assert isinstance(claims, dict)  # it was read before
    return claims


def _json(part: str) -> dict[str, Any]:
    """A part of a token that is JSON. Raises IamError."""
    try:
        document = orjson.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError):
        document = None
    if not isinstance(document, dict):
        raise _invalid("The ID Token provided is not a valid JWT. (It is no JSON)")
    return document


# --- Claims ---------------------------------------------------------------------------------------


def _check_dates(claims: Mapping[str, Any], now: float) -> None:
    expires = _time(claims, "exp")
    issued = _time(claims, "iat")
    begins = _time(claims, "nbf") if "nbf" in claims else issued
    if now >= expires + LEEWAY_SECONDS:
        raise IamError(
            "ExpiredTokenException",
            f"Token expired: current date/time {_shown(now)} must be before the expiration "
            f"date/time {_shown(expires)}",
        )
    if max(issued, begins) > now + LEEWAY_SECONDS:
        raise _invalid("The token is not good yet: its iat or nbf is in the future.")


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if value is None:
        raise _invalid(f"Missing a required claim: {name}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _invalid(f"The claim {name} is no time.")
    if not 0 <= value < 1 << 40:
        raise _invalid(f"The claim {name} is no time.")
    return float(value)


def _shown(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(int(seconds))


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise _invalid(f"Missing a required claim: {name}")
    if len(value) > CLAIM_CHARACTERS_MAX:
        raise _invalid(f"The claim {name} is too long.")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    """The texts of a claim that has one, or several; none where it has something else."""
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(each, str) for each in values):
        return ()
    if sum(map(len, values)) > CLAIM_CHARACTERS_MAX:
        raise _invalid("A claim of the token is too long.")
    return tuple(values)


def _audience(claims: Mapping[str, Any], client_ids: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Whom the token is for, and all that it names. Raises IamError."""
    audiences = _texts(claims.get("aud"))
    if not audiences:
        raise _invalid("Missing a required claim: aud")
    party = claims.get("azp")
    if party is not None and not isinstance(party, str):
        raise _invalid("The claim azp is no text.")
    for audience in (party,) if party is not None else audiences:
        if audience in client_ids:
            return audience, audiences
    raise _invalid("Incorrect token audience")


def _tags(claim: Any) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Session tags as providers pass them: each in a list of one. Raises IamError."""
    if claim is None:
        return {}, ()
    named = claim.get("principal_tags") if isinstance(claim, dict) else None
    keys = claim.get("transitive_tag_keys", []) if isinstance(claim, dict) else None
    if not isinstance(named, dict) or not isinstance(keys, list):
        raise _invalid("The tags in the token are not of the form that they have to have.")
    tags: dict[str, str] = {}
    for name, value in named.items():
        (text,) = value if isinstance(value, list) and len(value) == 1 else (value,)
        if not isinstance(text, str):
            raise _invalid(f"The tag {name} in the token has not exactly one value.")
        tags[name] = text
    if not all(isinstance(key, str) for key in keys):
        raise _invalid("The transitive tag keys in the token are no texts.")
    return tags, tuple(keys)


def _invalid(reason: str) -> IamError:
    return IamError("InvalidIdentityToken", reason)
