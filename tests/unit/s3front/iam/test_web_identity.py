"""Tokens of identity providers: what is right passes, and what an attacker makes does not."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from s3front.iam.iam_errors import IamError
from s3front.iam.web_identity import (
    KEYS_MAX,
    RSA_BITS_MAX,
    SOURCE_IDENTITY_CLAIM,
    TAGS_CLAIM,
    TOKEN_CHARACTERS_MAX,
    KeySet,
    Trusted,
    WebIdentity,
    claimed,
    key_set,
    verified,
)
from tests.unit.s3front.iam.web_tokens import (
    EC_KEYS,
    ISSUER,
    KEYS,
    NOW,
    OTHER_KEY,
    PLACE,
    RSA_KEY,
    claims,
    public_rsa,
    raw,
    token,
)

PROVIDER = Trusted(PLACE, ("app", "other-app"))


def identity(text: str, keys: KeySet = KEYS, provider: Trusted = PROVIDER) -> WebIdentity:
    return verified(text, keys, provider, NOW)


def refused(
    text: str,
    reason: str | None = None,
    keys: KeySet = KEYS,
    code: str = "InvalidIdentityToken",
    provider: Trusted = PROVIDER,
) -> None:
    with pytest.raises(IamError, match=reason) as error:
        identity(text, keys, provider)
    assert error.value.code == code


# --- What is right -------------------------------------------------------------------------------


def test_what_a_token_says() -> None:
    found = identity(token(claims(amr=["pwd", "mfa"], azp="app", aud=["else", "app"])))
    assert (found.issuer, found.subject, found.audience) == (ISSUER, "somebody", "app")
    assert found.keys == {
        f"{PLACE}:sub": ("somebody",),
        f"{PLACE}:aud": ("app",),
        f"{PLACE}:oaud": ("else", "app"),
        f"{PLACE}:amr": ("pwd", "mfa"),
        f"{PLACE}:azp": ("app",),
    }


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512"])
def test_rsa(algorithm: str) -> None:
    assert identity(token(algorithm=algorithm)).subject == "somebody"


@pytest.mark.parametrize("algorithm", EC_KEYS)
def test_elliptic_curves(algorithm: str) -> None:
    text = token(key=EC_KEYS[algorithm], algorithm=algorithm, key_id=algorithm)
    assert identity(text).subject == "somebody"


def test_tags_and_source_identity() -> None:
    tags = {"principal_tags": {"team": ["red"], "plain": "x"}, "transitive_tag_keys": ["team"]}
    found = identity(token(claims(**{TAGS_CLAIM: tags, SOURCE_IDENTITY_CLAIM: "anna"})))
    assert found.tags == {"team": "red", "plain": "x"}
    assert found.transitive == ("team",)
    assert found.source_identity == "anna"


@pytest.mark.parametrize(
    "tags",
    [
        *("text", [], {}, {"principal_tags": []}, {"principal_tags": {"a": 1}}),
        *({"principal_tags": {"a": ["b", "c"]}}, {"principal_tags": {"a": []}}),
        *({"principal_tags": {}, "transitive_tag_keys": "a"},),
        *({"principal_tags": {}, "transitive_tag_keys": [1]},),
    ],
)
def test_tags_of_another_form(tags: Any) -> None:
    refused(token(claims(**{TAGS_CLAIM: tags})), "tag")


def test_a_source_identity_that_is_no_text() -> None:
    refused(token(claims(**{SOURCE_IDENTITY_CLAIM: ["anna"]})), "source identity")


# --- How it is signed ----------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, 1, ["RS256"]])
def test_a_token_without_a_signature(algorithm: Any) -> None:
    head = {"alg": algorithm, "kid": "rsa", "typ": "JWT"}
    refused(raw(head, claims()), "algorithm")
    refused(raw(head, claims(), signature="AAAA"), "algorithm")


def test_an_empty_signature() -> None:
    refused(raw({"alg": "RS256", "kid": "rsa"}, claims()), "signature")


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256"])
def test_the_public_key_as_if_it_was_a_secret(algorithm: str) -> None:
    public = RSA_KEY.public_key()
    for encoding, form in (
        (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        (Encoding.PEM, PublicFormat.PKCS1),
        (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    ):
        unsigned = raw({"alg": algorithm, "kid": "rsa"}, claims()).rstrip(".")
        secret = public.public_bytes(encoding, form)
        mac = hmac.digest(secret, unsigned.encode(), hashlib.sha256)
        refused(f"{unsigned}.{urlsafe_b64encode(mac).rstrip(b'=').decode()}")


def test_a_symmetric_key_among_those_of_the_provider() -> None:
    symmetric = {"kty": "oct", "k": "c2VjcmV0", "kid": "secret"}
    assert key_set({"keys": [symmetric]}) == {}
    text = token(key="secret" * 8, algorithm="HS256", key_id="secret")
    refused(text, "algorithm", {"secret": symmetric})


@pytest.mark.parametrize("algorithm", ["PS256", "ES256K", "EdDSA", "HS512"])
def test_algorithms_that_aws_does_not_take(algorithm: str) -> None:
    refused(raw({"alg": algorithm, "kid": "rsa"}, claims()), "algorithm")


def test_the_key_of_somebody_else() -> None:
    refused(token(key=OTHER_KEY), "signature")


def test_a_key_that_comes_with_the_token() -> None:
    own = public_rsa(OTHER_KEY, "own")
    for headers in ({"jwk": own}, {"jku": "https://evil.example/keys"}, {"x5u": "https://evil"}):
        refused(token(key=OTHER_KEY, key_id="own", **headers), "verification key")
        refused(token(key=OTHER_KEY, **headers), "signature")


@pytest.mark.parametrize(
    "key_id",
    ["../../etc/passwd", "rsa' OR '1'='1", "RSA", "rsa\0", "/dev/null", "https://evil", "a" * 9000],
)
def test_a_key_id_is_a_name_and_nothing_else(key_id: str) -> None:
    refused(token(key_id=key_id), "verification key")


@pytest.mark.parametrize("key_id", [None, "", 1, ["rsa"], {"rsa": 1}])
def test_a_token_that_names_no_key(key_id: Any) -> None:
    refused(raw({"alg": "RS256", "kid": key_id}, claims(), signature="AAAA"), "kid")


def test_an_algorithm_of_another_type_than_the_key() -> None:
    refused(raw({"alg": "ES256", "kid": "rsa"}, claims(), signature="AAAA"), "another way")
    refused(raw({"alg": "RS256", "kid": "ES256"}, claims(), signature="AAAA"), "another way")
    refused(raw({"alg": "ES384", "kid": "ES256"}, claims(), signature="AAAA"), "another way")
    any_of_curve = {"ES256": {name: text for name, text in KEYS["ES256"].items() if name != "alg"}}
    bad = raw({"alg": "ES384", "kid": "ES256"}, claims(), signature="AAAA")
    refused(bad, "another way", any_of_curve)
    only = {"rsa": public_rsa(RSA_KEY, "rsa", alg="RS512")}
    refused(token(algorithm="RS256"), "another way", only)
    assert identity(token(algorithm="RS512"), only).subject == "somebody"


@pytest.mark.parametrize("bits", [1024, 9216])
def test_keys_that_are_too_small_or_too_large(bits: int) -> None:
    numbers = RSA_KEY.public_key().public_numbers()
    if bits == 1024:
        key = rsa.generate_private_key(65537, 1024)  # noqa: S505  # it is refused
        text = signed({"alg": "RS256", "kid": "rsa"}, claims(), key)
        refused(text, "too small", {"rsa": public_rsa(key, "rsa")})
        return
    large = (1 << (bits - 1)) + numbers.n
    n = urlsafe_b64encode(large.to_bytes(bits // 8, "big")).rstrip(b"=").decode()
    refused(token(), "too large", {"rsa": {**KEYS["rsa"], "n": n}})


def test_a_key_that_is_none() -> None:
    for broken in ({"kty": "RSA"}, {**KEYS["rsa"], "n": 1}, {**KEYS["rsa"], "n": "\0"}):
        refused(token(), keys={"rsa": broken})
    off = {**KEYS["ES256"], "x": KEYS["ES256"]["y"]}
    text = token(key=EC_KEYS["ES256"], algorithm="ES256", key_id="ES256")
    refused(text, keys={"ES256": off})


def test_what_has_to_be_understood_and_is_not() -> None:
    refused(token(crit=["exp"]), "crit")
    refused(token(crit=[]), "crit")
    refused(token(b64=False, crit=["b64"]))


@given(st.data())
def test_one_character_that_differs(data: st.DataObject) -> None:
    text = token()
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("AQgw_.-"))
    changed = text[:place] + other + text[place + 1 :]
    # The last character of the signature has bits that say nothing.
    if place < len(text) - 1 and changed != text:
        refused(changed)


@given(st.text(max_size=80) | st.binary(max_size=60).map(lambda b: raw(b, b, signature="AA")))
def test_what_is_no_token(text: str) -> None:
    refused(text)


@pytest.mark.parametrize("deep", [b"[" * 5000, b'{"a":' * 2500])
def test_parts_that_are_nested_deeply(deep: bytes) -> None:
    refused(raw(deep, claims()), "JSON")
    refused(raw({"alg": "RS256", "kid": "rsa"}, deep), "JSON")


def test_a_token_that_is_too_long() -> None:
    refused("A" * (TOKEN_CHARACTERS_MAX + 1), "length")


# --- For whom, from whom, and when ---------------------------------------------------------------


def test_another_issuer() -> None:
    for issuer in (
        *("https://id.example.com", f"{ISSUER}//", f"{ISSUER}x", f"http://{PLACE}"),
        *("https://ID.example.com/realm", "https://evil.example/https://id.example.com/realm"),
    ):
        refused(token(claims(iss=issuer)), "issuer")
    for other in (None, "", 1, [ISSUER]):
        refused(raw({"alg": "RS256", "kid": "rsa"}, claims(iss=other), signature="AA"), "iss")


def test_an_issuer_without_a_scheme() -> None:
    # As Google's tokens were.
    assert identity(token(claims(iss=PLACE))).issuer == PLACE


def test_an_issuer_with_a_slash_at_its_end() -> None:
    # As Auth0's tokens have it.
    assert identity(token(claims(iss=f"{ISSUER}/"))).keys[f"{PLACE}:sub"] == ("somebody",)


@pytest.mark.parametrize("audience", ["nobody", ["nobody"], [], "App", "app ", None, 1, [1], {}])
def test_a_token_for_somebody_else(audience: Any) -> None:
    refused(token(claims(aud=audience)), "aud")


def test_the_authorised_party_decides() -> None:
    assert identity(token(claims(aud="nobody", azp="app"))).audience == "app"
    refused(token(claims(aud="app", azp="nobody")), "audience")
    refused(raw({"alg": "RS256", "kid": "rsa"}, claims(azp=["app"]), signature="AA"))


def test_a_provider_without_client_ids_is_for_nobody() -> None:
    refused(token(), "audience", provider=Trusted(PLACE, ()))


@pytest.mark.parametrize("seconds", [61, 3600, NOW])
def test_a_token_that_has_expired(seconds: float) -> None:
    text = token(claims(exp=int(NOW - seconds), iat=0))
    refused(text, "expired", code="ExpiredTokenException")


def test_clocks_that_differ_a_little() -> None:
    for changed in ({"exp": int(NOW) - 59}, {"iat": int(NOW) + 59}, {"nbf": int(NOW) + 60}):
        assert identity(token(claims(**changed))).subject == "somebody"


@pytest.mark.parametrize("name", ["iat", "nbf"])
def test_a_token_of_the_future(name: str) -> None:
    good = {"iat": int(NOW) - 10, "nbf": int(NOW) - 10}
    refused(token(claims(**{**good, name: int(NOW) + 61})), "future")


@pytest.mark.parametrize("name", ["exp", "iat"])
@pytest.mark.parametrize("value", [None, "1800000600", True, [], -1, 1e300])
def test_a_date_that_is_none(name: str, value: Any) -> None:
    head = {"alg": "RS256", "kid": "rsa"}
    payload = {**claims(), name: value} if value is not None else claims(**{name: None})
    refused(signed(head, payload), name)


def test_times_with_fractions() -> None:
    assert identity(token(claims(exp=NOW + 0.5, iat=NOW - 0.5))).subject == "somebody"


@pytest.mark.parametrize("subject", [None, "", 1, "a" * 3000])
def test_a_subject_that_is_none(subject: Any) -> None:
    refused(signed({"alg": "RS256", "kid": "rsa"}, claims(sub=subject)), "sub")


def signed(head: dict[str, Any], payload: dict[str, Any], key: rsa.RSAPrivateKey = RSA_KEY) -> str:
    """A token with a right signature, whatever it says."""
    text = raw(head, payload).rstrip(".")
    algorithm = jwt.get_algorithm_by_name("RS256")
    signature = algorithm.sign(text.encode(), key)
    return f"{text}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"


# --- What a provider publishes -------------------------------------------------------------------


def test_the_keys_that_signatures_are_verified_by() -> None:
    keys = [
        KEYS["rsa"],
        {**KEYS["rsa"], "kid": "for-encryption", "use": "enc"},
        {**KEYS["rsa"], "kid": "for-signing-alone", "key_ops": ["sign"]},
        {**KEYS["rsa"], "kid": "ops", "key_ops": ["verify"]},
        {name: value for name, value in KEYS["rsa"].items() if name != "kid"},
        {"kty": "OKP", "kid": "other"},
    ]
    found = key_set({"keys": keys})
    assert found is not None
    assert set(found) == {"rsa", "ops"}


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, {"keys": [1]}, {"keys": "k"}])
def test_what_is_no_set_of_keys(document: Any) -> None:
    assert key_set(document) is None


@pytest.mark.parametrize("ops", [1, None, {"verify": 1}])
def test_uses_that_are_no_list(ops: Any) -> None:
    assert key_set({"keys": [{**KEYS["rsa"], "key_ops": ops}]}) in ({}, {"rsa": KEYS["rsa"]})


def test_of_a_key_that_is_kept_which_verifies() -> None:
    more = {"x5c": ["x" * 10_000], "x5t": "t", "exp": 1, "made-up": {"a": []}}
    known = {**KEYS["rsa"], "use": "sig", "alg": "RS256"}
    assert key_set({"keys": [{**known, **more}]}) == {"rsa": known}
    assert key_set({"keys": [{**KEYS["ES512"], **more}]}) == {"ES512": KEYS["ES512"]}


@pytest.mark.parametrize(
    "odd",
    [
        {"n": "_" * 1367},
        {"n": "_" * 200_000},
        {"e": "_" * 12},
        {"n": 1},
        {"e": None},
        {"n": "!"},
        {"kid": "k" * 1025},
        {"alg": ["RS256"]},
        {"x": {"a": "b"}},
        {"alg": "R" * 2000},
    ],
)
def test_a_key_that_nobody_has_is_left_out(odd: dict[str, Any]) -> None:
    keys = [{**KEYS["rsa"], **odd}, {**KEYS["rsa"], "kid": "good"}]
    assert key_set({"keys": keys}) == {"good": {**KEYS["rsa"], "kid": "good"}}


def test_the_largest_key_is_kept() -> None:
    largest = urlsafe_b64encode(b"\xff" * (RSA_BITS_MAX // 8)).rstrip(b"=").decode()
    found = key_set({"keys": [{**KEYS["rsa"], "n": largest}]})
    assert found is not None
    assert found["rsa"]["n"] == largest


def test_more_keys_than_anybody_has() -> None:
    assert key_set({"keys": [KEYS["rsa"]] * KEYS_MAX}) is not None
    assert key_set({"keys": [KEYS["rsa"]] * (KEYS_MAX + 1)}) is None


def test_what_a_token_says_before_it_is_verified() -> None:
    found = claimed(token(key=OTHER_KEY))
    assert (found.issuer, found.algorithm, found.key_id) == (ISSUER, "RS256", "rsa")
