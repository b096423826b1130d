"""The page for a browser."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.port.request import Request
from s3front.port.welcome import asks_for_page, welcome
from tests.unit.s3front.pieces import Pieces


def request_of(
    host: str, accept: str = "text/html", target: str = "/", method: str = "GET"
) -> Request:
    headers = CIMultiDictProxy(CIMultiDict({"Host": host, "Accept": accept}))
    return Request(method, target, headers, Pieces([]), "127.0.0.1", secure=True)


@pytest.mark.parametrize("host", ["nas.lan", "[::1]:8000", "192.0.2.1:80"])
def test_the_page_shows_the_host_that_was_addressed(host: str) -> None:
    page = welcome(request_of(host)).body
    assert isinstance(page, bytes)
    assert f"--endpoint-url https://{host} s3 ls".encode() in page


@pytest.mark.parametrize("host", ["x<script>", "$(id)", "a b", "`id`", "a&b", 'a"b', "", "a\nb"])
def test_the_page_holds_nothing_of_a_host_that_is_none(host: str) -> None:
    page = welcome(request_of(host)).body
    assert isinstance(page, bytes)
    assert b"--endpoint-url https://localhost s3 ls" in page


def test_who_asks_for_it() -> None:
    assert asks_for_page(request_of("nas.lan"))
    assert not asks_for_page(request_of("nas.lan", accept="*/*"))
    assert not asks_for_page(request_of("nas.lan", target="/?list-type=2"))
    assert not asks_for_page(request_of("nas.lan", target="/bucket"))
    assert not asks_for_page(request_of("nas.lan", method="HEAD"))
