"""Text of headers: what comes in, what is stored of it, and what goes out."""

from __future__ import annotations

from email.header import decode_header

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from s3front.port.header_text import (
    check_header,
    has_control,
    is_name,
    line_of,
    sent_line,
    sent_metadata,
    storable_line,
    storable_metadata,
    stored_line,
    stored_metadata,
)
from s3front.s3_errors import S3Error

SAFE = "! \"#$%&'()*+,-./0123456789:;<>'?@ABCXYZ[\\]^_`abcxyz{|}~\t"

AWS_WORDS = [
    ("ÄMÄZÕÑ S3", "=?UTF-8?Q?=C3=84M=C3=84Z=C3=95=C3=91_S3?="),
    (
        "test_—_file%E2%80%94_é_2?.pdf",
        "=?UTF-8?Q?test=5F=E2=80=94=5Ffile%E2%80%94=5F=C3=A9=5F2=3F.pdf?=",
    ),
    (
        "test_—_file%E2%80%94_é_2\U0001f451.pdf",
        "=?UTF-8?Q?test=5F=E2=80=94=5Ffile%E2%80%94=5F=C3=A9=5F2=F0=9F=91=91.pdf?=",
    ),
    ("\x00\x01\x02\x03\x04", "=?UTF-8?B?AAECAwQ=?="),
    ("\ufffd" * 7, "=?UTF-8?B?77+977+977+977+977+977+977+9?="),
]
"""As AWS answered LocalStack's tests."""


def wire(text: str) -> bytes:
    """The bytes that a reply carries for text of a header."""
    return text.encode("utf-8", "surrogateescape")


def line(raw: bytes) -> str:
    """The bytes of a request's header line, as the server has them."""
    return raw.decode("utf-8", "surrogateescape")


def words(value: str) -> str:
    """What a client that knows RFC 2047 reads."""
    return "".join(
        part if isinstance(part, str) else part.decode(charset or "ascii")
        for part, charset in decode_header(value)
    )


def back(text: str) -> str:
    """User metadata of a header line, when it is read."""
    return sent_metadata(stored_metadata(text))


@pytest.mark.parametrize(("text", "word"), AWS_WORDS)
def test_user_metadata_is_encoded_as_aws_does(text: str, word: str) -> None:
    assert sent_metadata(stored_metadata(text, encoded_words=False)) == word
    assert back(word) == word


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("=?UTF-8?Q?actually-ascii?=", "actually-ascii"),
        ("=?UTF-8?B?YWJj?=", "abc"),
        ("=?utf-8?b?YWJj?=", "abc"),
        ("=?ISO-8859-1?Q?gr=FCn?=", "=?UTF-8?Q?gr=C3=BCn?="),
        ("=?UTF-8?Q?one_?= =?UTF-8?Q?word?=", "one word"),
        ("=?UTF-8?B?w7w?= =?utf-8*de?Q?=C3?=\t=?UTF-8?B?tg==?=", "=?UTF-8?B?w7zDtg==?="),
        ("a =?UTF-8?Q?b?= c", "a b c"),
        ("\u2028=?UTF-8?Q?a?=b", "=?UTF-8?Q?=E2=80=A8ab?="),
        (SAFE, SAFE),
        ("", ""),
        # What is no word, or none that can be read, stays as it is.
        ("=?x?=", "=?x?="),
        ("=?UTF-8?X?abc?=", "=?UTF-8?X?abc?="),
        ("=?UTF-8?B?=GGG?=", "=?UTF-8?B?=GGG?="),
        ("=?raw_unicode_escape?Q?=5Cud800?=", "=?raw_unicode_escape?Q?=5Cud800?="),
        ("=?UTF-8?Q?a b?=", "=?UTF-8?Q?a b?="),
        ("=?nonsense?Q?abc?=", "=?nonsense?Q?abc?="),
        ("=?UTF-8?Q?=FF?=", "=?UTF-8?Q?=FF?="),
    ],
)
def test_encoded_words_of_a_header(sent: str, read: str) -> None:
    assert back(sent) == read


def test_encoded_words_of_a_form_are_its_text() -> None:
    assert stored_metadata("=?UTF-8?Q?a?=", encoded_words=False) == "=?UTF-8?Q?a?="


@pytest.mark.parametrize("raw", ["grün — x".encode(), "grün".encode("latin-1"), b"\x85 a\xa0"])
def test_bytes_that_are_no_ascii(raw: bytes) -> None:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    assert words(back(line(raw))) == text
    # A system header is sent as it came.
    assert wire(sent_line(stored_line(line(raw)))) == raw


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_any_text_comes_back(text: str) -> None:
    stored = stored_metadata(text, encoded_words=False)
    assert not has_control(stored)
    assert max(stored, default="") <= "\xff"
    sent = sent_metadata(stored)
    assert sent.isascii()
    assert not has_control(sent)
    if "=?" not in text:
        assert words(sent).strip() == text.strip() or sent == text
    assert all(len(word) <= 75 for word in sent.split(" ")) or sent == text


@given(st.binary(max_size=200))
def test_any_line_can_be_stored_and_sent(raw: bytes) -> None:
    raw = bytes(byte for byte in raw if byte >= 0x20 or byte == 9).replace(b"\x7f", b"")
    for stored in (stored_line(line(raw)), stored_metadata(line(raw))):
        assert not has_control(stored)
        assert max(stored, default="") <= "\xff"
    assert wire(sent_line(stored_line(line(raw)))) == raw


@given(st.text())
@example("\x1f\xc2\x80")  # the bytes of UTF-8, and a control character
def test_whatever_is_stored_can_be_sent(stored: str) -> None:
    for sent in (sent_line(stored), sent_metadata(stored)):
        assert not has_control(sent)
        assert b"\n" not in wire(sent)
    # So can what another record takes over of it, and it is the same.
    assert sent_line(storable_line(stored)) == sent_line(stored)
    assert sent_metadata(storable_metadata(stored)) == sent_metadata(stored)
    assert not has_control(storable_line(stored) + storable_metadata(stored))


def test_text_of_a_form_in_a_system_header_is_latin_1() -> None:
    """As AWS has it: what Latin-1 does not have is a blank."""
    sent = sent_line(stored_line(line_of("cache-control", "non-ascii-%E2%80%94_—_é_")))
    assert wire(sent) == b"non-ascii-%E2%80%94_ _\xe9_"
    assert line_of("x-amz-meta-a", "é") == "é"


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "ü", "a\x00", "(a)", "a/b"])
def test_names_that_no_header_has(name: str) -> None:
    assert not is_name(name)
    with pytest.raises(S3Error) as caught:
        check_header(name, "")
    assert (caught.value.code, caught.value.status) == ("InvalidArgument", 400)


@pytest.mark.parametrize("text", ["a\nb", "a\r", "\x00", "a\x1fb", "\x7f"])
def test_values_that_no_header_has(text: str) -> None:
    with pytest.raises(S3Error) as caught:
        check_header("x-amz-meta-a", text)
    assert caught.value.message == "Header value cannot be represented using ISO-8859-1."
    check_header("x-amz-meta-a", "a\tb ü")
