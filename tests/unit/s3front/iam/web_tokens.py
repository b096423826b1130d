"""An identity provider's side: keys, what it publishes of them, and tokens, good and bad."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

PLACE = "id.example.com/realm"
ISSUER = f"https://{PLACE}"
NOW = 1_800_000_000.0

RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_KEY = rsa.generate_private_key(65537, 2048)
EC_KEYS = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
}


def public_rsa(key: rsa.RSAPrivateKey, key_id: str, **members: Any) -> dict[str, Any]:
    return _public(RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), kid=key_id, **members)


def public_ec(key: ec.EllipticCurvePrivateKey, key_id: str, **members: Any) -> dict[str, Any]:
    return _public(ECAlgorithm.to_jwk(key.public_key(), as_dict=True), kid=key_id, **members)


def _public(key: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A key without what few providers say of it."""
    key.pop("key_ops", None)
    return {**key, **members}


KEYS = {
    "rsa": public_rsa(RSA_KEY, "rsa", use="sig"),
    **{name: public_ec(key, name, alg=name) for name, key in EC_KEYS.items()},
}


def claims(**changed: Any) -> dict[str, Any]:
    """Those of a good token; None leaves one out."""
    usual = {
        "iss": ISSUER,
        "sub": "somebody",
        "aud": "app",
        "iat": int(NOW) - 10,
        "exp": int(NOW) + 600,
    }
    return {name: value for name, value in {**usual, **changed}.items() if value is not None}


def token(
    payload: Any = None,
    key: Any = RSA_KEY,
    algorithm: str = "RS256",
    key_id: str | None = "rsa",
    **headers: Any,
) -> str:
    named = {"kid": key_id, **headers} if key_id is not None else headers
    if payload is None:
        payload = claims()
    return jwt.encode(payload, key, algorithm, headers=named)


def raw(*parts: Any, signature: str = "") -> str:
    """A token of these parts, JSON or bytes, and of this signature."""
    encoded = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in parts]
    return ".".join([*(urlsafe_b64encode(e).rstrip(b"=").decode() for e in encoded), signature])
