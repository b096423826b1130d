"""Session tokens: they open with their access key and sealing key, and nothing else does."""

from __future__ import annotations

import string
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from s3front.iam.identity_ids import SESSION_KEY_PREFIX, new_access_key_id
from s3front.iam.sessions import (
    PACKED_BYTES_MAX,
    TOKEN_CHARACTERS_MAX,
    Kind,
    Passed,
    SealingKey,
    Session,
    TokenError,
    is_session_key,
    new_sealing_key,
    pack,
    packed_percent,
    seal,
    sealing_key_id,
    unpack,
    unseal,
)

KEY = SealingKey("0123456789abcdef", bytes(range(32)))
ACCESS_KEY = "ASIAAAAAAAAAAAAAAAAA"
SESSION = Session(
    Kind.ROLE,
    "a secret",
    "123456789012",
    "reader",
    "AROAAAAAAAAAAAAAAAAAA",
    1_800_000_000,
    1_800_003_600,
    "name",
    pack(Passed("{}", ("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",), {"k": "v"}, ("k",))),
    "somebody",
    "accounts.example.com",
    {"accounts.example.com:aud": ("a", "b")},
)
TOKEN = seal(SESSION, ACCESS_KEY, KEY)


def raw_of(token: str) -> bytes:
    return urlsafe_b64decode(token + "=" * (-len(token) % 4))


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_SESSIONS = st.builds(
    Session,
    kind=st.sampled_from(Kind),
    secret=_TEXT,
    account_id=_TEXT,
    entity=_TEXT,
    entity_id=_TEXT,
    issued=st.integers(0, 1 << 40),
    expires=st.integers(0, 1 << 40),
    name=_TEXT,
    packed=st.binary(max_size=64),
    source_identity=_TEXT,
    provider=_TEXT,
    claims=st.dictionaries(_TEXT, st.lists(_TEXT, max_size=3).map(tuple), max_size=3),
)


@given(_SESSIONS)
def test_a_token_has_the_whole_session(session: Session) -> None:
    assert unseal(seal(session, ACCESS_KEY, KEY), ACCESS_KEY, KEY) == session


def test_a_token_names_its_sealing_key() -> None:
    assert sealing_key_id(TOKEN) == KEY.key_id


def test_a_token_fits_a_header_and_a_url() -> None:
    assert not set(TOKEN) - set(string.ascii_letters + string.digits + "-_")


def test_no_two_tokens_are_encrypted_alike() -> None:
    # Without their heads, and without the tags, which cover the heads.
    encrypted = {raw_of(seal(SESSION, ACCESS_KEY, KEY))[25:-16] for _ in range(20)}
    assert len(encrypted) == 20


def refused(token: str, access_key: str = ACCESS_KEY, key: SealingKey = KEY) -> None:
    with pytest.raises(TokenError):
        unseal(token, access_key, key)


@given(st.integers(0, len(raw_of(TOKEN)) * 8 - 1))
def test_one_bit_that_differs(bit: int) -> None:
    raw = bytearray(raw_of(TOKEN))
    raw[bit // 8] ^= 1 << bit % 8
    refused(urlsafe_b64encode(raw).rstrip(b"=").decode())


@given(st.integers(0, len(TOKEN) - 1))
def test_a_token_that_was_cut(length: int) -> None:
    refused(TOKEN[:length])


@given(st.integers(1, len(TOKEN) - 1))
def test_the_end_of_a_token_alone(start: int) -> None:
    refused(TOKEN[start:])


@given(st.text(max_size=200))
def test_what_is_no_token(text: str) -> None:
    refused(text)
    with pytest.raises(TokenError):
        sealing_key_id(text)


@given(st.text(min_size=1, max_size=4))
def test_a_token_with_something_behind_it(rest: str) -> None:
    refused(TOKEN + rest)


def test_a_token_that_is_written_in_another_way() -> None:
    padded = TOKEN + "=" * (-len(TOKEN) % 4)
    for other in (f"{TOKEN}\n", f" {TOKEN}", f"{TOKEN}==", f"{TOKEN[:9]} {TOKEN[9:]}"):
        refused(other)
    if padded != TOKEN:
        refused(padded)
    # The last character has bits that say nothing.
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    for last in alphabet:
        if last != TOKEN[-1]:
            refused(TOKEN[:-1] + last)


def test_the_token_of_another_access_key() -> None:
    refused(TOKEN, "ASIABBBBBBBBBBBBBBBB")
    refused(TOKEN, "")
    refused(TOKEN, "\udc80")


def test_a_token_of_another_server() -> None:
    refused(TOKEN, key=new_sealing_key())
    refused(TOKEN, key=SealingKey(KEY.key_id, bytes(32)))
    refused(seal(SESSION, ACCESS_KEY, SealingKey("fedcba9876543210", KEY.secret)))


def test_the_head_of_one_token_on_another() -> None:
    other = seal(SESSION, ACCESS_KEY, KEY)
    for length in (16, 33, 34, 40):  # before, both say the same
        refused(TOKEN[:length] + other[length:])


def test_a_token_that_is_too_long() -> None:
    refused("A" * (TOKEN_CHARACTERS_MAX + 4))
    large = replace(SESSION, name="x" * TOKEN_CHARACTERS_MAX)
    refused(seal(large, ACCESS_KEY, KEY))
    small = replace(SESSION, name="x" * (TOKEN_CHARACTERS_MAX // 2))
    assert unseal(seal(small, ACCESS_KEY, KEY), ACCESS_KEY, KEY) == small


def test_secrets_are_shown_to_nobody() -> None:
    assert "secret" not in repr(SESSION)
    assert repr(KEY.secret) not in repr(KEY)


@given(
    st.builds(
        Passed,
        policy=_TEXT,
        policy_arns=st.lists(_TEXT, max_size=3).map(tuple),
        tags=st.dictionaries(_TEXT, _TEXT, max_size=5),
        transitive=st.lists(_TEXT, max_size=3).map(tuple),
    )
)
def test_what_is_packed_can_be_had_again(passed: Passed) -> None:
    assert unpack(pack(passed)) == passed


def test_nothing_is_packed_as_nothing() -> None:
    assert pack(Passed()) == b""
    assert packed_percent(b"") == 0


def test_how_much_is_packed() -> None:
    assert packed_percent(bytes(1)) == 1
    assert packed_percent(bytes(PACKED_BYTES_MAX)) == 100
    assert packed_percent(bytes(PACKED_BYTES_MAX + 1)) == 101


@given(st.binary(min_size=1, max_size=60))
def test_what_was_not_packed(junk: bytes) -> None:
    with pytest.raises(TokenError):
        unpack(junk)


def test_what_unpacks_to_very_much() -> None:
    with pytest.raises(TokenError):
        unpack(pack(Passed("x" * 100_000)))


def test_what_was_packed_and_cut_or_made_longer() -> None:
    packed = pack(Passed("policy"))
    for wrong in (packed[:-1], packed[:-4], packed + b"x", packed * 2):
        with pytest.raises(TokenError):
            unpack(wrong)


def test_the_keys_of_sessions_are_known_by_their_form() -> None:
    assert is_session_key(new_access_key_id("123456789012", SESSION_KEY_PREFIX))
    assert not any(map(is_session_key, (new_access_key_id("123456789012"), "accessKey1", "")))
