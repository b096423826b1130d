"""What a metadata-only PUT says of the blob that is there."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from s3front.operations.metadata_only import Existing, existing_blob
from s3front.port.request import Headers
from s3front.s3_errors import S3Error

MD5 = {"x-amz-meta-md5chksum": "1B2M2Y8AsgTpgAmY7PhCfg=="}
ETAG = "d41d8cd98f00b204e9800998ecf8427e"


def headers(**more: str) -> Headers:
    given = {"x-amz-meta-mdonly": "true", "x-amz-meta-size": "12"}
    names = {name.replace("_", "-"): value for name, value in more.items()}
    return of({**given, **names})


def of(given: dict[str, str]) -> Headers:
    return Headers(CIMultiDict(given))


def test_size_and_etag() -> None:
    assert existing_blob(headers(), 0) == Existing(12, None)
    assert existing_blob(headers(**MD5), 0) == Existing(12, ETAG)
    parts = headers(**MD5, x_amz_meta_md5numparts="3")
    assert existing_blob(parts, 0) == Existing(12, f"{ETAG}-3")


def test_what_is_no_such_request() -> None:
    assert existing_blob(headers(), 1) is None
    assert existing_blob(headers(), None) is None
    assert existing_blob(headers(x_amz_meta_mdonly="false"), 0) is None
    assert existing_blob(headers(x_amz_meta_size="0"), 0) is None
    assert existing_blob(of({"x-amz-meta-mdonly": "true"}), 0) is None
    assert existing_blob(of({"x-amz-meta-size": "12"}), 0) is None


@pytest.mark.parametrize(
    "more",
    [
        {"x_amz_meta_size": "-1"},
        {"x_amz_meta_size": ""},
        {"x_amz_meta_size": "1e3"},
        {"x_amz_meta_size": "9" * 18},
        {"x_amz_meta_size": "9" * 5000},
        {"x_amz_meta_md5chksum": "x"},
        {"x_amz_meta_md5chksum": "AAAA"},
        {**MD5, "x_amz_meta_md5numparts": "10001"},
        {**MD5, "x_amz_meta_md5numparts": "x"},
    ],
)
def test_what_is_wrong_is_refused(more: dict[str, str]) -> None:
    with pytest.raises(S3Error, match="InvalidArgument"):
        existing_blob(headers(**more), 0)
