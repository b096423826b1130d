"""XML in and out. Pure.

Out: escaped strings put together, many times faster than building a tree. In: a parser that knows
neither DTDs nor entities, over a body whose size the caller has limited.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_letters, digits
from urllib.parse import quote
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException

from s3front.s3_errors import S3Error
from shared import limits

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

_SPECIAL = re.compile('[&<>"\r\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]')
_UNREPRESENTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_URL_SAFE = "/*"
_SLICE_BYTES = 16 * 1024
"""What the parser, which keeps the interpreter to itself, gets at a time."""

_PLAIN = "".join(map(chr, range(0x20, 0x7F))).translate(dict.fromkeys(map(ord, '&<>"'))).encode()
_URL_PLAIN = (ascii_letters + digits + "_.-~" + _URL_SAFE).encode()
"""What ``quote`` leaves as it is."""
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


def escape(text: str) -> str:
    """Text as element content. Control characters become references, as AWS writes them."""
    if _SPECIAL.search(text) is None:
        return text
    return _SPECIAL.sub(_escape_match, text)


def escape_all(texts: Sequence[str]) -> Sequence[str]:
    """``escape`` of each. Many texts that need nothing, as most keys do, cost a fraction."""
    together = "".join(texts)
    if _is_plain(together):
        return texts
    if together.isprintable() and not any(character in together for character in _NAMED):
        return texts
    return [escape(text) for text in texts]


def shown_all(texts: Sequence[str | None]) -> Sequence[str]:
    """``escape(readable(text))`` of each, with nothing for None."""
    filled = [text or "" for text in texts]
    if _is_plain("".join(filled)):
        return filled
    return [escape(readable(text)) for text in filled]


def _is_plain(text: str) -> bool:
    """Whether a text is of the characters alone that stand for themselves everywhere: a look that
    costs less than any other."""
    return text.isascii() and not text.encode().translate(None, _PLAIN)


def is_representable(text: str) -> bool:
    """Whether a parser that keeps to XML 1.0 can read the text, escaped."""
    return _UNREPRESENTABLE.search(text) is None


def readable(text: str) -> str:
    """The text with U+FFFD for what XML cannot carry: control characters, and bytes of a request
    that are no UTF-8 (surrogates here)."""
    return _UNREPRESENTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _escape_match(match: re.Match[str]) -> str:
    character = match.group()
    return _NAMED.get(character) or f"&#x{ord(character):x};"


def element(name: str, text: str | int | None) -> str:
    """``<name>text</name>``, or nothing for None."""
    if text is None:
        return ""
    return f"<{name}>{escape(str(text))}</{name}>"


def readable_element(name: str, text: object) -> str:
    """``element`` of what describes, such as the name of an owner, whoever stored it: what XML
    cannot carry is replaced, or a single one would keep clients from reading the whole answer.

    Keys are printed by ``element``: they name something, and there is ``encoding-type``.
    """
    return "" if text is None else element(name, readable(str(text)))


def element_with_quotes(name: str, text: str) -> str:
    """``element``, with quotes as they are: AWS leaves them so in the messages of errors."""
    return element(name, text).replace("&quot;", '"')


def document(root: str, content: str) -> bytes:
    """A whole answer in S3's namespace."""
    return f'{DECLARATION}<{root} xmlns="{NAMESPACE}">{content}</{root}>'.encode()


def url_encode(text: str) -> str:
    """A key as ``encoding-type=url`` prints it; a space is %20, which every decoder understands."""
    return quote(text, safe=_URL_SAFE)


def url_encode_all(texts: Sequence[str]) -> Sequence[str]:
    """``url_encode`` of each, many at once. Nothing in them needs escaping in XML."""
    together = "".join(texts)
    if together.isascii() and not together.encode().translate(None, _URL_PLAIN):
        return texts
    if "\0" in together:
        return [url_encode(text) for text in texts]
    return quote("\0".join(texts), safe=_URL_SAFE + "\0").split("\0")


def parse(body: bytes, root: str, elements_max: int = limits.XML_ELEMENTS_MAX) -> Element:
    """``parse_any`` of a document that must have this root; raises MalformedXML."""
    tree = parse_any(body, elements_max)
    if tree.tag != root:
        raise S3Error("MalformedXML")
    return tree


def parse_any(body: bytes, elements_max: int) -> Element:
    """The root element, with the namespaces taken off all names; raises MalformedXML, also for more
    elements, or deeper ones, than any such document has.

    Other threads go on meanwhile, however large the document is.
    """
    # Each has a tag of its own, and most have a second one.
    if body.count(b"<") > 2 * elements_max:
        raise S3Error("MalformedXML")
    try:
        parser = defusedxml.ElementTree.XMLParser(forbid_dtd=True)  # it is defused
        for start in range(0, len(body), _SLICE_BYTES):
            parser.feed(body[start : start + _SLICE_BYTES])
        tree: Element = parser.close()
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise S3Error("MalformedXML") from error
    _strip_namespaces(tree)
    return tree


def _strip_namespaces(tree: Element) -> None:
    level = [tree]
    for _ in range(limits.XML_DEPTH_MAX):
        for node in level:
            node.tag = node.tag.rpartition("}")[2]
        level = [child for node in level for child in node]
    if level:
        raise S3Error("MalformedXML")
