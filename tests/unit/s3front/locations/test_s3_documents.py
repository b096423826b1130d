"""Documents of S3 services that say more than XML can."""

from __future__ import annotations

import pytest

from s3front.locations.s3_documents import in_listing, is_called, parsed, whole_root
from s3front.s3_errors import S3Error


@pytest.mark.parametrize(
    "shown",
    [
        *(b"&#x1;", b"&#1;", b"&#x01;", b"&#xFFFE;", b"&#65535;", b"&#xD800;", b"&#x110000;"),
        *(b"\x01", b"\x00", b"\xef\xbf\xbe", b"\xff", b"\xed\xa0\x80", "\ufffd".encode()),
    ],
)
def test_what_xml_cannot_have_is_one_character(shown: bytes) -> None:
    tree = parsed(b"<R><Key>a" + shown + b"b</Key><UploadId>u&amp;1</UploadId></R>", 10)
    key = tree.findtext("Key") or ""
    assert key.startswith("a\ufffd")
    assert key.endswith("b")
    assert tree.findtext("UploadId") == "u&1"


def test_a_key_is_that_which_is_shown_of_it() -> None:
    assert is_called("a\x01b", "a\x01b")
    assert is_called("a\ufffdb", "a\x01b")
    assert not is_called("a\ufffdb", "ab")
    assert not is_called("ab", "a\x01b")


def test_keys_are_decoded_where_the_listing_says_so() -> None:
    plain = parsed(b"<R><U><Key>a%01+b</Key></U></R>", 10)
    assert in_listing(plain, plain[0], "Key") == "a%01+b"
    encoded = b"<R><EncodingType>url</EncodingType><U><Key>a%01+b%2B%20</Key></U></R>"
    tree = parsed(encoded, 10)
    assert in_listing(tree, tree[1], "Key") == "a\x01 b+ "
    assert in_listing(tree, tree, "NextKeyMarker") == ""


@pytest.mark.parametrize("body", [b"", b"<R><Key>", b"<R><Key>a&#x1;", b"R", b"<R></S>"])
def test_what_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(S3Error):
        parsed(body, 10)


def test_whether_a_document_has_come_to_its_end() -> None:
    assert whole_root(b'<?xml version="1.0"?>\n<R xmlns="x"><Key>&bad;</Key></R>\n') == "R"
    assert whole_root(b"<a:R><Key><</Key></a:R>") == "a:R"
    assert whole_root(b"<!DOCTYPE html><HTML><br></HTML>") == "HTML"
    for body in (b"", b"R", b"<R><Key>", b"<R></Key>", b"<R></S></Re>"):
        assert whole_root(body) == ""
