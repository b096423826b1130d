"""XML out, escaped, and in, without DTDs."""

from __future__ import annotations

import asyncio
from xml.etree.ElementTree import fromstring

import pytest

from s3front.bodies.request_document import interpreted
from s3front.port.reply import error_reply
from s3front.port.xml import (
    document,
    element,
    escape,
    escape_all,
    is_representable,
    parse,
    readable,
    shown_all,
    url_encode,
    url_encode_all,
)
from s3front.s3_errors import S3Error
from shared.limits import COMPLETE_ELEMENTS_MAX, XML_DEPTH_MAX
from tests.api.support import ODD_KEYS, key_id


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain", "plain"),
        ("", ""),
        ('<a>&"b"\'</a>', "&lt;a&gt;&amp;&quot;b&quot;'&lt;/a&gt;"),
        ("]]>", "]]&gt;"),
        ("a\tb\nc", "a\tb\nc"),
        ("a\rb", "a&#xd;b"),
        ("a\x00\x01\x1f\x7f", "a&#x0;&#x1;&#x1f;&#x7f;"),
        ("\ufffe\uffff", "&#xfffe;&#xffff;"),
        ("grün \U0001f600", "grün \U0001f600"),
    ],
)
def test_text_is_escaped(text: str, escaped: str) -> None:
    assert escape(text) == escaped


@pytest.mark.parametrize(
    "texts", [[], [""], ["a", "b/c", ""], ["ü", "\U0001f600 "], ["a", "<b>"], ["\x00"], ODD_KEYS]
)
def test_many_texts_are_treated_as_each_of_them(texts: list[str]) -> None:
    assert [*escape_all(texts)] == [escape(text) for text in texts]
    assert [*url_encode_all(texts)] == [url_encode(text) for text in texts]
    assert [*shown_all([*texts, None])] == [*(escape(readable(text)) for text in texts), ""]


@pytest.mark.parametrize("character", [*map(chr, range(256))], ids=ord)
def test_each_character_is_treated_among_many_as_alone(character: str) -> None:
    texts = ["a", character]
    assert [*escape_all(texts)] == ["a", escape(character)]
    assert [*url_encode_all(texts)] == ["a", url_encode(character)]
    assert [*shown_all(texts)] == ["a", escape(readable(character))]


@pytest.mark.parametrize("key", [*filter(is_representable, ODD_KEYS)], ids=key_id)
def test_a_parser_reads_back_what_was_escaped(key: str) -> None:
    assert fromstring(element("Key", key)).text == key  # noqa: S314  # our own


@pytest.mark.parametrize("text", ["\x00", "a\x1fb", "\x0b", "\ufffe", "\uffff", "\udc80"])
def test_what_xml_cannot_carry(text: str) -> None:
    assert not is_representable(text)
    assert is_representable(readable(text))


def test_readable_text_stays_as_it_is() -> None:
    text = "a\tb\nc\r<&>\x7f\ufffd\U0010ffff"
    assert readable(text) == text
    assert readable("a\x01\udcffz") == "a\ufffd\ufffdz"


def test_an_element_without_text_is_left_out() -> None:
    assert element("A", None) == ""
    assert element("A", "") == "<A></A>"
    assert element("A", 0) == "<A>0</A>"


def test_a_document_is_in_the_namespace_of_s3() -> None:
    assert document("A", "<B/>") == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b'<A xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><B/></A>'
    )


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("a/b c+d", "a/b%20c%2Bd"),
        ("grün", "gr%C3%BCn"),
        ("*-._~", "*-._~"),
        ("%\n", "%25%0A"),
    ],
)
def test_url_encoding_of_keys(text: str, encoded: str) -> None:
    assert url_encode(text) == encoded


@pytest.mark.parametrize(
    "body",
    [
        b"<Root><A>x</A></Root>",
        b'<?xml version="1.0" encoding="UTF-8"?><Root xmlns="urn:a"><A>x</A></Root>',
        b'<s3:Root xmlns:s3="urn:a"><s3:A>x</s3:A></s3:Root>',
        b"\xef\xbb\xbf<Root><A>x</A></Root>",
        "<?xml version='1.0' encoding='UTF-16'?><Root><A>x</A></Root>".encode("utf-16"),
    ],
)
def test_a_document_is_read_whatever_its_namespace_and_encoding(body: bytes) -> None:
    assert parse(body, "Root").findtext("A") == "x"


BOMB = b'<!DOCTYPE Root [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><Root>&b;</Root>'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"text",
        b"<Root>",
        b"<Root></Other>",
        b"<Other/>",
        b"<Root/><Root/>",
        b"<Root>\xff</Root>",
        b"<Root>&#x1;</Root>",
        b"<Root>&unknown;</Root>",
        b"<!DOCTYPE Root><Root/>",
        b'<!DOCTYPE Root SYSTEM "file:///etc/passwd"><Root/>',
        b'<!DOCTYPE Root [<!ENTITY a SYSTEM "file:///etc/passwd">]><Root>&a;</Root>',
        BOMB,
        b'<?xml version="1.0" encoding="no-such"?><Root/>',
        b"<Root>" * 5,
    ],
)
def test_what_is_refused(body: bytes) -> None:
    with pytest.raises(S3Error) as caught:
        parse(body, "Root")
    assert caught.value.code == "MalformedXML"


def test_an_error_about_bytes_that_are_no_text_can_be_read() -> None:
    error = S3Error("InvalidDigest", fields={"Content-MD5": "\udcff\x01"})
    reply = error_reply(error, "/bucket/\udcff", "id", "host")
    assert isinstance(reply.body, bytes)
    tree = fromstring(reply.body)  # noqa: S314  # our own
    assert tree.findtext("Content-MD5") == "\ufffd\ufffd"
    assert tree.findtext("Resource") == "/bucket/\ufffd"


def test_a_document_of_too_many_elements_is_refused() -> None:
    assert len(parse(b"<A>" + b"<b/>" * 99 + b"</A>", "A", 100)) == 99
    with pytest.raises(S3Error, match="XML"):
        parse(b"<A>" + b"<b></b>" * 100 + b"</A>", "A", 100)


@pytest.mark.parametrize(("depth", "fits"), [(1, True), (XML_DEPTH_MAX, True), (9, False)])
def test_a_document_of_too_deep_elements_is_refused(depth: int, fits: bool) -> None:
    body = b"<A>" * depth + b"</A>" * depth
    if fits:
        assert parse(body, "A").tag == "A"
        return
    with pytest.raises(S3Error, match="XML"):
        parse(body, "A")


async def test_a_large_document_does_not_hold_the_event_loop() -> None:
    rows = b"<Part><PartNumber>1</PartNumber><ETag>a</ETag></Part>" * 10_000
    body = b"<A>" + rows + b"</A>"

    def read(document: bytes) -> list[str | None]:
        tree = parse(document, "A", COMPLETE_ELEMENTS_MAX)
        return [node.findtext("ETag") for node in tree for _ in range(10)]

    turns = 0
    reading = asyncio.ensure_future(interpreted(body, read))
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    assert len(await reading) == 100_000
    assert turns > 5
    small = asyncio.ensure_future(interpreted(b"<A/>", read))
    await asyncio.sleep(0)
    assert small.done()
