"""Bucket, key and query from the raw target and the Host header."""

from __future__ import annotations

import pytest

from s3front.auth.sigv4 import uri_encode
from s3front.port.target import Kind, Target, parse_target
from s3front.s3_errors import S3Error
from tests.api.support import ODD_KEYS, key_id

SITES = ("s3-website.example.com", "pages.org")
ENDPOINTS = ("localhost", "s3.example.com", "example.com", "127.0.0.1", "::1")


def target_of(raw_target: str, host: str = "localhost:8000") -> Target:
    target = parse_target(raw_target, host, ENDPOINTS)
    assert isinstance(target, Target)
    return target


def refusal(raw_target: str, host: str = "localhost") -> S3Error:
    with pytest.raises(S3Error) as caught:
        target_of(raw_target, host)
    return caught.value


@pytest.mark.parametrize(
    ("raw_target", "bucket", "key"),
    [
        ("/", None, None),
        ("/?list-type=2", None, None),
        ("/bucket", "bucket", None),
        ("/bucket/", "bucket", None),
        ("/bucket?acl", "bucket", None),
        ("/bucket/key", "bucket", "key"),
        ("/bucket/key?acl", "bucket", "key"),
        ("/bucket/a/b/", "bucket", "a/b/"),
        ("/bucket//a", "bucket", "/a"),
        ("/bucket/a//b", "bucket", "a//b"),
        ("/bucket/.", "bucket", "."),
        ("/bucket/../other/key", "bucket", "../other/key"),
        ("/bucket/a%2Fb", "bucket", "a/b"),
        ("/bucket%2Fkey", "bucket", "key"),
        ("/bucket/a+b%2Bc", "bucket", "a+b+c"),
        ("/bucket/%25", "bucket", "%"),
        ("/bucket/100%25", "bucket", "100%"),
        ("/bucket/%25zz%254", "bucket", "%zz%4"),
        ("/bucket/a%3Fb#c", "bucket", "a?b#c"),
        ("/bucket/gr%C3%BCn", "bucket", "grün"),
        ("http://localhost/bucket/key?a", "bucket", "key"),
        ("http://anything:80", None, None),
        ("/bucket/http://a/b", "bucket", "http://a/b"),
    ],
)
def test_path_style(raw_target: str, bucket: str | None, key: str | None) -> None:
    target = target_of(raw_target)
    assert (target.bucket, target.key) == (bucket, key)


@pytest.mark.parametrize(
    ("host", "bucket", "endpoint"),
    [
        ("localhost", None, "localhost"),
        ("localhost:8000", None, "localhost"),
        ("LOCALHOST", None, "localhost"),
        ("bucket.localhost:8000", "bucket", "localhost"),
        ("my.bucket.localhost", "my.bucket", "localhost"),
        ("bucket.s3.example.com", "bucket", "s3.example.com"),
        ("s3.example.com", None, "s3.example.com"),
        ("bucket.example.com", "bucket", "example.com"),
        ("127.0.0.1:8000", None, "127.0.0.1"),
        ("[::1]:8000", None, "::1"),
        ("bucket.localhost.", "bucket", "localhost"),
        ("LOCALHOST.:8000", None, "localhost"),
        ("notlocalhost", None, None),
        ("s3", None, None),
        ("s3.lan", None, None),
        ("my_nas.lan", None, None),
        ("10.0.0.1", None, None),
        ("[::ffff:10.0.0.1]:80", None, None),
        ("bucket.127.0.0.1", "bucket", "127.0.0.1"),
        ("", None, None),
    ],
)
def test_the_host_names_the_bucket(host: str, bucket: str | None, endpoint: str | None) -> None:
    target = target_of("/", host)
    assert (target.bucket, target.key, target.endpoint) == (bucket, None, endpoint)


def test_an_endpoint_that_lies_below_another_is_no_bucket() -> None:
    assert target_of("/bucket/key", "s3.example.com").bucket == "bucket"


def test_all_of_the_path_is_the_key_on_a_virtual_host() -> None:
    assert target_of("/a/b", "bucket.localhost").key == "a/b"
    assert target_of("//a", "bucket.localhost").key == "/a"


@pytest.mark.parametrize("key", ODD_KEYS, ids=key_id)
def test_a_key_survives(key: str) -> None:
    assert target_of("/bucket/" + uri_encode(key)).key == key
    assert target_of("/bucket/" + uri_encode(key, keep_slash=True)).key == key
    assert target_of("/" + uri_encode(key), "bucket.localhost").key == key


def test_the_raw_parts_are_as_received() -> None:
    target = target_of("/bucket/a%2fb?x=%41&y")
    assert (target.raw_path, target.raw_query) == ("/bucket/a%2fb", "x=%41&y")


@pytest.mark.parametrize(
    ("raw_query", "query"),
    [
        ("", {}),
        ("acl", {"acl": ""}),
        ("acl=", {"acl": ""}),
        ("prefix=a%2Fb+c%2B", {"prefix": "a/b c+"}),
        ("a=1&a=2", {"a": "1"}),
        ("a=b=c", {"a": "b=c"}),
        ("&&a&&", {"a": ""}),
        ("a=%C3%BC", {"a": "ü"}),
        ("a?b=c?d", {"a?b": "c?d"}),
    ],
)
def test_the_query(raw_query: str, query: dict[str, str]) -> None:
    assert target_of("/bucket?" + raw_query).query == query


@pytest.mark.parametrize(
    ("raw_target", "code"),
    [
        ("/bucket/100%", "InvalidURI"),
        ("/bucket/%zz", "InvalidURI"),
        ("/bucket/%4", "InvalidURI"),
        ("/bucket/%%41", "InvalidURI"),
        ("/buck%et", "InvalidURI"),
        ("/bucket?prefix=%", "InvalidURI"),
        ("/bucket?%g0=a", "InvalidURI"),
        ("/bucket/%ff", "InvalidURI"),
        ("/bucket/%ed%a0%80", "InvalidURI"),
        ("/bucket/\udcff", "InvalidURI"),
        ("/bucket?prefix=%ff", "InvalidURI"),
        ("/bucket?%ff=a", "InvalidURI"),
        ("/bucket/a%00b", "InvalidArgument"),
        ("/bucket/" + "x" * 1025, "KeyTooLongError"),
        ("/bucket/" + "%C3%BC" * 513, "KeyTooLongError"),
        ("//key", "InvalidBucketName"),
        ("/UPPER/key", "InvalidBucketName"),
        ("/..", "InvalidBucketName"),
        ("*", "InvalidBucketName"),
        ("/%62%75%63%6b%65%74%0a/key", "InvalidBucketName"),
    ],
)
def test_what_is_refused(raw_target: str, code: str) -> None:
    assert refusal(raw_target).code == code


def test_a_long_key_is_measured_in_bytes() -> None:
    assert refusal("/bucket/" + "%C3%BC" * 513).fields == {"Size": "1026", "MaxSizeAllowed": "1024"}


@pytest.mark.parametrize(
    ("host", "raw_target", "bucket", "key"),
    [
        ("photos.s3-website.example.com", "/", "photos", None),
        ("photos.s3-website.example.com:8000", "/a//b%20c?x=y", "photos", "a//b c"),
        ("a.b.c.s3-website.example.com", "/index.html", "a.b.c", "index.html"),
        ("s3-website.example.com", "/photos/a", None, None),
        ("pages.org", "/", None, None),
        ("photos.pages.org", "/a", "photos", "a"),
    ],
)
def test_a_website(host: str, raw_target: str, bucket: str | None, key: str | None) -> None:
    found = parse_target(raw_target, host, (*ENDPOINTS, "s3.pages.org"), SITES)
    assert isinstance(found, Target)
    assert (found.kind, found.bucket, found.key) == (Kind.WEBSITE, bucket, key)
    assert found.virtual_host == (bucket is not None)


@pytest.mark.parametrize(
    "host", ["localhost", "photos.s3.example.com", "s3.pages.org", "photos.s3.pages.org"]
)
def test_what_is_no_website(host: str) -> None:
    """A host of websites does not take those of the API that are below it."""
    found = parse_target("/", host, (*ENDPOINTS, "s3.pages.org"), SITES)
    assert isinstance(found, Target)
    assert found.kind is Kind.REST
