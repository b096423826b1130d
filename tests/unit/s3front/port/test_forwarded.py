"""What a client asked, when proxies stand between it and this server."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.port.forwarded import Proxies, as_sent, signed_hosts
from s3front.port.request import Request
from tests.unit.s3front.pieces import Pieces

PROXIES = Proxies([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])


def request_of(*headers: tuple[str, str], peer: str = "10.0.0.1", secure: bool = False) -> Request:
    multi = CIMultiDictProxy(CIMultiDict([("Host", "inner:8000"), *headers]))
    return Request("GET", "/", multi, Pieces([]), peer, secure)


def sent(*headers: tuple[str, str], proxies: Proxies = PROXIES, secure: bool = False) -> Request:
    return as_sent(request_of(*headers, secure=secure), proxies)


FORWARDED = (
    ("X-Forwarded-Host", "s3.example.com"),
    ("X-Forwarded-Port", "8443"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-For", "192.0.2.1"),
)


@pytest.mark.parametrize("peer", ["192.0.2.9", "127.0.0.1", "::1", ""])
def test_a_stranger_is_not_believed(peer: str) -> None:
    request = request_of(*FORWARDED, peer=peer)
    assert as_sent(request, PROXIES) is request
    assert request.host == "inner:8000"


def test_nobody_is_believed_without_a_setting() -> None:
    request = request_of(*FORWARDED)
    assert as_sent(request, Proxies(public_hosts=["s3.example.com"])) is request


@pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.1", "fd00::1", "fd00::1%eth0"])
def test_a_trusted_proxy_is_believed(peer: str) -> None:
    request = as_sent(request_of(*FORWARDED, peer=peer), PROXIES)
    assert request.hosts == ("s3.example.com:8443", "s3.example.com", "inner:8000")
    assert request.secure
    assert request.peer == "192.0.2.1"


@pytest.mark.parametrize(
    ("headers", "hosts"),
    [
        ({}, ["inner:8000", "public.example.com"]),
        ({"Host": "a"}, ["a", "inner:8000", "public.example.com"]),
        ({"Host": "a:1", "Port": "2"}, ["a:1", "inner:8000", "public.example.com"]),
        ({"Host": "a", "Port": "2"}, ["a:2", "a", "inner:8000", "public.example.com"]),
        ({"Host": "a", "Port": "80"}, ["a", "a:80", "inner:8000", "public.example.com"]),
        ({"Host": "a", "Port": "x"}, ["a", "inner:8000", "public.example.com"]),
        ({"Host": "a", "Port": "\u0663"}, ["a", "inner:8000", "public.example.com"]),
        ({"Host": "a\udcff", "Port": "2"}, ["inner:8000", "public.example.com"]),
        ({"Host": "a b"}, ["inner:8000", "public.example.com"]),
        ({"Host": "[::1]", "Port": "2"}, ["[::1]:2", "[::1]", "inner:8000", "public.example.com"]),
        ({"Host": "a, b", "Port": "80, 81"}, ["a", "a:80", "inner:8000", "public.example.com"]),
        ({"Host": "inner:8000"}, ["inner:8000", "public.example.com"]),
        ({"Port": "2"}, ["inner:8000", "public.example.com"]),
    ],
)
def test_the_hosts_that_a_client_may_have_signed(headers: dict[str, str], hosts: list[str]) -> None:
    proxies = Proxies(PROXIES.networks, public_hosts=["public.example.com"])
    forwarded = [(f"X-Forwarded-{name}", value) for name, value in headers.items()]
    assert list(sent(*forwarded, proxies=proxies).hosts) == hosts


@pytest.mark.parametrize(
    ("host", "secure", "others"),
    [
        ("a", False, ["a:80"]),
        ("a", True, ["a:443"]),
        ("a:80", False, ["a"]),
        ("a:443", True, ["a"]),
        ("a:80", True, []),
        ("a:8000", False, []),
        ("[::1]", False, ["[::1]:80"]),
        ("[::1]:80", False, ["[::1]"]),
    ],
)
def test_the_own_port_of_the_scheme_may_be_left_out(
    host: str, secure: bool, others: Sequence[str]
) -> None:
    headers = CIMultiDictProxy(CIMultiDict({"Host": host}))
    request = Request("GET", "/", headers, Pieces([]), "192.0.2.1", secure)
    assert list(signed_hosts(request)) == [host, *others]


@pytest.mark.parametrize(("value", "secure"), [("https", True), ("HTTP", False), ("ftp", True)])
def test_the_scheme(value: str, secure: bool) -> None:
    assert sent(("X-Forwarded-Proto", value), secure=True).secure is secure


@pytest.mark.parametrize(
    ("values", "secure"),
    [
        (["https, https"], True),
        (["https", "https"], True),
        # The first may be what the client sent, and the last what its proxy saw.
        (["https, http"], False),
        (["https", "http"], False),
        (["http, https"], False),
        (["https,"], True),
    ],
)
def test_the_scheme_that_several_have_written(values: list[str], secure: bool) -> None:
    headers = [("X-Forwarded-Proto", value) for value in values]
    assert sent(*headers, secure=True).secure is secure


@pytest.mark.parametrize(
    ("values", "peer"),
    [
        ([], "10.0.0.1"),
        (["192.0.2.1"], "192.0.2.1"),
        (["203.0.113.5, 192.0.2.1"], "192.0.2.1"),
        (["203.0.113.5", "192.0.2.1, 10.9.9.9"], "192.0.2.1"),
        (["10.0.0.7, 10.0.0.8"], "10.0.0.7"),
        (["203.0.113.5, nonsense, 10.0.0.8"], "10.0.0.8"),
        (["192.0.2.1:4711"], "192.0.2.1"),
        (["[2001:db8::1]:4711"], "2001:db8::1"),
        (["2001:db8::1"], "2001:db8::1"),
        ([""], "10.0.0.1"),
    ],
)
def test_the_address_of_the_client(values: Sequence[str], peer: str) -> None:
    assert sent(*(("X-Forwarded-For", value) for value in values)).peer == peer


def test_another_header_for_the_address() -> None:
    headers = (("X-Forwarded-For", "192.0.2.1"), ("X-Real-IP", "192.0.2.2"))
    assert sent(*headers, proxies=Proxies(PROXIES.networks, "X-Real-IP")).peer == "192.0.2.2"
    assert sent(*headers, proxies=Proxies(PROXIES.networks, "")).peer == "10.0.0.1"
