"""Documents of S3 services that have keys in them, whatever characters those have. Pure.

A key may have characters that XML 1.0 does not have (control characters, U+FFFE, U+FFFF). Some
services write them as references (``&#x1;``), which no parser reads; others write U+FFFD for them.
One such key must not hide what else a document says: it is read as if U+FFFD stood there. Listings
are asked for with ``ENCODING``, and then have keys as in URLs, if the service knows that.

Sources: XML 1.0, section 2.2, "Char"; Amazon S3 API reference, "ListObjectVersions",
``encoding-type``.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_plus
from xml.etree.ElementTree import Element

from s3front.port.xml import is_representable, parse_any, readable
from s3front.s3_errors import S3Error

ENCODING: Final = ("encoding-type", "url")
"""The parameter of a listing."""

_INSTEAD: Final = "\N{REPLACEMENT CHARACTER}"
_REFERENCE: Final = re.compile("&#(?:x([0-9a-fA-F]+)|([0-9]+));")
_DIGITS_MAX: Final = 7
_FIRST_TAG: Final = re.compile(rb"<([A-Za-z_][^\s/<>]*)")


def parsed(body: bytes, elements_max: int) -> Element:
    """The root element, as ``port.xml.parse_any``; what XML cannot have in it is U+FFFD. Raises
    MalformedXML for what is none beyond that."""
    try:
        return parse_any(body, elements_max)
    except S3Error:
        text = _REFERENCE.sub(_reference, readable(body.decode("utf-8", "replace")))
        mended = text.encode()
        if mended == body:
            raise
    return parse_any(mended, elements_max)


def whole_root(body: bytes) -> str:
    """The name of the root of what is no document, but ends as one; empty if it does not."""
    root = _FIRST_TAG.search(body)
    if root is None or not body.rstrip().endswith(b"</" + root[1] + b">"):
        return ""
    return root[1].decode("utf-8", "replace")


def in_listing(listing: Element, entry: Element, name: str) -> str:
    """The key that a child of this name says, in a listing or in an entry of it."""
    text = entry.findtext(name) or ""
    return unquote_plus(text) if listing.findtext("EncodingType") == "url" else text


def is_called(shown: str, key: str) -> bool:
    """Whether what a document shows is this key."""
    return shown in (key, readable(key))


def _reference(found: re.Match[str]) -> str:
    hexadecimal, decimal = found.groups()
    digits = (hexadecimal or decimal).lstrip("0") or "0"
    if len(digits) > _DIGITS_MAX:
        return _INSTEAD
    code = int(digits, 16 if hexadecimal else 10)
    is_character = code <= 0x10FFFF and is_representable(chr(code))
    return found[0] if is_character else _INSTEAD
