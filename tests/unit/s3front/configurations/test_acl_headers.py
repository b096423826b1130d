"""The access control lists that headers ask for."""

from __future__ import annotations

import time
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.authz.acl import canned_acl, explicit_acl
from s3front.configurations.acl_headers import GRANT_HEADERS, acl_of_headers
from s3front.s3_errors import S3Error
from tests.unit.s3front.configurations.known import ACCOUNTS, BART, LISA

EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"


def read(*headers: tuple[str, str], of_bucket: bool = True) -> dict[str, Any] | None:
    fields = CIMultiDictProxy(CIMultiDict(headers))
    return acl_of_headers(fields, ACCOUNTS, of_bucket=of_bucket)


def granted(*headers: tuple[str, str]) -> list[tuple[str, str]]:
    found = read(*headers)
    assert found is not None
    assert found.pop("Canned") == ""
    return [(grantee, name) for name, grantees in found.items() for grantee in grantees]


def test_a_request_without_any() -> None:
    assert read(("Content-Type", "text/plain"), ("x-amz-acls", "private")) is None


@pytest.mark.parametrize("name", ["private", "public-read", "bucket-owner-read"])
def test_a_canned_list(name: str) -> None:
    assert read(("X-Amz-Acl", name)) == canned_acl(name, of_bucket=True)
    assert read(("x-amz-acl", name), of_bucket=False) == canned_acl(name, of_bucket=False)


@pytest.mark.parametrize(("header", "permission"), GRANT_HEADERS.items())
def test_each_permission_has_its_header(header: str, permission: str) -> None:
    found = read((header, f'id="{LISA}"'), of_bucket=False)
    assert found == explicit_acl([(LISA, permission)], of_bucket=False)


@pytest.mark.parametrize(
    ("text", "grantees"),
    [
        (f'id="{LISA}"', [LISA]),
        (f"id={LISA}", [LISA]),
        (f' id = "{LISA}" ,uri="{EVERYBODY}"', [LISA, EVERYBODY]),
        (f"id={LISA} , id={BART}", [LISA, BART]),
        (f'id="{LISA}",id="{LISA}"', [LISA]),
        ('emailAddress="Bart@Example.com"', [BART]),
        (f'uri="{EVERYBODY}",', [EVERYBODY]),
    ],
)
def test_how_grantees_are_written(text: str, grantees: list[str]) -> None:
    assert granted(("x-amz-grant-read", text)) == [(each, "READ") for each in grantees]


def test_a_header_that_is_there_twice() -> None:
    twice = ("x-amz-grant-read", f'id="{LISA}"'), ("x-amz-grant-read", f'id="{BART}"')
    assert granted(*twice) == [(LISA, "READ"), (BART, "READ")]


NOT_RECOGNISED = "Argument format not recognized"


@pytest.mark.parametrize(
    ("text", "code", "message", "name", "value"),
    [
        ("", "InvalidArgument", NOT_RECOGNISED, "x-amz-grant-read", ""),
        (LISA, "InvalidArgument", NOT_RECOGNISED, "x-amz-grant-read", LISA),
        ('name="Lisa"', "InvalidArgument", NOT_RECOGNISED, "x-amz-grant-read", 'name="Lisa"'),
        ('id="a"b"', "InvalidArgument", NOT_RECOGNISED, "x-amz-grant-read", 'id="a"b"'),
        ('id="nobody"', "InvalidArgument", "Invalid id", "id", "nobody"),
        ("id=", "InvalidArgument", "Invalid id", "id", ""),
        (f'uri="{EVERYBODY}s"', "InvalidArgument", "Invalid group uri", "uri", f"{EVERYBODY}s"),
    ],
)
def test_what_is_no_grantee(text: str, code: str, message: str, name: str, value: str) -> None:
    with pytest.raises(S3Error) as caught:
        read(("x-amz-grant-read", text))
    error = caught.value
    assert (error.status, error.code, error.message) == (400, code, message)
    assert error.fields == {"ArgumentName": name, "ArgumentValue": value}


def test_an_address_that_nobody_has() -> None:
    with pytest.raises(S3Error, match="UnresolvableGrantByEmailAddress"):
        read(("x-amz-grant-read", 'emailAddress="a@b.c"'))


@pytest.mark.parametrize(
    ("name", "of_bucket", "status"),
    [
        ("", True, 400),
        ("Private", True, 400),
        ("public", False, 400),
        ("log-delivery-write", False, 400),
        ("aws-exec-read", False, 501),
    ],
)
def test_a_canned_list_that_there_is_not(name: str, of_bucket: bool, status: int) -> None:
    with pytest.raises(S3Error) as caught:
        read(("x-amz-acl", name), of_bucket=of_bucket)
    assert caught.value.status == status
    if status == 400:
        assert caught.value.fields == {"ArgumentName": "x-amz-acl", "ArgumentValue": name}


def test_both_kinds_at_once() -> None:
    with pytest.raises(S3Error, match="Specifying both Canned ACLs and Header Grants is not"):
        read(("x-amz-acl", "private"), ("x-amz-grant-read", f'id="{LISA}"'))


def test_more_grants_than_allowed() -> None:
    text = ",".join([f'id="{LISA}"'] * 101)
    with pytest.raises(S3Error, match="InvalidRequest"):
        read(("x-amz-grant-read", text))


@pytest.mark.parametrize(
    "text", ["id=" + " " * 30_000 + '"', " " * 30_000, 'id="a"' + " " * 30_000 + "x"]
)
def test_a_long_header_takes_no_longer(text: str) -> None:
    began = time.perf_counter()
    with pytest.raises(S3Error):
        read(("x-amz-grant-read", text))
    assert time.perf_counter() - began < 1
