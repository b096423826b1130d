"""Text in headers: one rule for what comes in, one for what is stored, one for what goes out. Pure.

Headers, presigned queries, forms, copies and the records of other front-ends all pass here.

1. *In*: a header line is bytes, kept here as UTF-8 with ``surrogateescape``. A query parameter or a
   form field becomes a header only if its name could be one, and, but for user metadata of a form,
   its value too: else it is refused. Unlike a header line such a value is text.
2. *Stored* is what any front-end can send as it stands: characters up to U+00FF, each of which is
   one byte, without control characters. So CloudServer stores header lines.
3. *Out*: a system header has these bytes, as AWS returns what was sent; of text, what Latin-1 does
   not have is a blank. User metadata is read as UTF-8, or Latin-1 if it is none, and is sent as it
   is when it is printable ASCII, else as encoded words (RFC 2047). Nothing that is stored, whoever
   stored it, breaks a reply.

Sources: Amazon S3 user guide, "Working with object metadata"; the snapshots of answers of AWS in
LocalStack's tests (``test_system_metadata_with_unicode``, ``test_user_metadata_rfc2047_encoded``,
``test_post_object_with_unicode_metadata``). Between Q and B, and where long words are parted, the
choice is that of JavaMail's ``MimeUtility``, which fits them.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from itertools import groupby
from typing import Final

from s3front.objects.object_record import USER_METADATA_PREFIX
from s3front.s3_errors import S3Error

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, section 5.6.2
_CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
_NOT_LATIN_1: Final = re.compile("[^\x00-\xff]")
_PRINTABLE: Final = re.compile("[\t -~]*")
_WORD: Final = re.compile(r"=\?([^?\s]+)\?([bBqQ])\?([^?\s]*)\?=", re.ASCII)
_WORDS: Final = re.compile(rf"{_WORD.pattern}(?:[ \t]+{_WORD.pattern})*", re.ASCII)
_CHARSET: Final = "UTF-8"
_WORD_CHARACTERS_MAX: Final = 68 - len(_CHARSET)
"""Encoded text of one word: RFC 2047, section 2, allows 75 characters with what is around it."""

_Q_CODES: Final = [
    chr(byte) if 0x20 < byte < 0x7F and byte not in b"=?_" else f"={byte:02X}"
    for byte in range(256)
]
_Q_CODES[0x20] = "_"


def is_name(name: str) -> bool:
    """Whether a header can be called so."""
    return _TOKEN.fullmatch(name) is not None


def has_control(text: str) -> bool:
    """Whether there is a control character, other than a tabulator."""
    return _CONTROL.search(text) is not None


def is_latin_1(text: str) -> bool:
    """Whether every character is one byte."""
    return text.isascii() or _NOT_LATIN_1.search(text) is None


def check_header(name: str, text: str) -> None:
    """Refuse what cannot be a header of a request; raises InvalidArgument."""
    if not is_name(name) or has_control(text):
        raise unrepresentable(name, text)


def unrepresentable(name: str, text: str) -> S3Error:
    """What AWS answers to text that no header can have."""
    return S3Error(
        "InvalidArgument",
        "Header value cannot be represented using ISO-8859-1.",
        {"ArgumentName": name, "ArgumentValue": text},
    )


# --- In -----------------------------------------------------------------------------------------


def line_of(name: str, text: str) -> str:
    """Text of a query or a form as the line of a header would have carried it: user metadata in
    UTF-8, all else in Latin-1. ``name`` is in lower case."""
    if text.isascii() or name.startswith(USER_METADATA_PREFIX):
        return text
    return _sendable(_in_latin_1(text))


def stored_line(line: str) -> str:
    """What to store of a header line that is sent again as it came."""
    return line if line.isascii() else _bytes_of(line).decode("latin-1")


def stored_metadata(line: str, *, encoded_words: bool = True) -> str:
    """What to store of the value of user metadata, from a header line or, without
    ``encoded_words``, from a form, which means its text as it stands."""
    text = read_text(line)
    if encoded_words and "=?" in text:
        text = _decoded(text)
    if has_control(text):
        return _encoded(text)
    return text if text.isascii() else text.encode().decode("latin-1")


def storable_line(text: str) -> str:
    """What another record may have of a system header that a record has, whoever stored it."""
    if text.isascii() and text.isprintable():
        return text
    return _CONTROL.sub(" ", _in_latin_1(text))


def storable_metadata(text: str) -> str:
    """What another record may have of user metadata that a record has, whoever stored it: a read
    shows the same of both."""
    return sent_metadata(text) if has_control(text) else text


def read_text(line: str) -> str:
    """A header line as text: UTF-8 if it is that, else Latin-1, HTTP's older reading."""
    if line.isascii():
        return line
    raw = _bytes_of(line)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _bytes_of(line: str) -> bytes:
    return line.encode("utf-8", "surrogateescape")


def _decoded(text: str) -> str:
    """The text with its encoded words decoded; as it is when one of them cannot be."""
    try:
        decoded = _WORDS.sub(_decoded_words, text)
        decoded.encode()
    except (binascii.Error, LookupError, ValueError):
        return text
    return decoded


def _decoded_words(match: re.Match[str]) -> str:
    """Words in a row: blanks between them do not count, and a character may begin in one and end
    in the next."""
    words = _WORD.findall(match.group())
    return "".join(
        b"".join(_word_bytes(encoding, content) for _, encoding, content in same).decode(charset)
        for charset, same in groupby(words, lambda word: word[0].partition("*")[0].lower())
    )


def _word_bytes(encoding: str, content: str) -> bytes:
    if encoding in "qQ":
        return binascii.a2b_qp(content, header=True)
    return b64decode(content + "=" * (-len(content) % 4), validate=True)


# --- Out ----------------------------------------------------------------------------------------


def sent_line(stored: str) -> str:
    """What to send of a stored system header, or of any text: bytes that a header can have."""
    storable = storable_line(stored)
    return storable if storable.isascii() else _sendable(storable)


def sent_metadata(stored: str) -> str:
    """What to send of the stored value of user metadata: printable ASCII."""
    text = stored
    if not stored.isascii():
        try:
            text = stored.encode("latin-1").decode()
        except ValueError:
            text = stored  # not stored as bytes, or no UTF-8
    return text if _PRINTABLE.fullmatch(text) else _encoded(text)


def _in_latin_1(text: str) -> str:
    return _NOT_LATIN_1.sub(" ", text)


def _sendable(latin_1: str) -> str:
    """Characters that stand for bytes, as a header line has them."""
    return latin_1.encode("latin-1").decode("utf-8", "surrogateescape")


def _encoded(text: str) -> str:
    """The text as encoded words: most of it readable if most of it is ASCII, else in Base64."""
    text = text.encode("utf-8", "replace").decode()
    plain = sum(character in "\t\r\n" or " " <= character <= "~" for character in text)
    return _words(text, "Q" if 2 * plain > len(text) else "B")


def _words(text: str, encoding: str) -> str:
    content = _quoted(text) if encoding == "Q" else b64encode(text.encode()).decode()
    if len(content) > _WORD_CHARACTERS_MAX and len(text) > 1:
        half = len(text) // 2
        return f"{_words(text[:half], encoding)} {_words(text[half:], encoding)}"
    return f"=?{_CHARSET}?{encoding}?{content}?="


def _quoted(text: str) -> str:
    """The encoding Q of RFC 2047, section 4.2."""
    return "".join(_Q_CODES[byte] for byte in text.encode())
