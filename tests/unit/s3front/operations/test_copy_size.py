"""How much one request may copy: no test can make a source of that size."""

from __future__ import annotations

import pytest

from s3front.operations.copy_object import check_copy_size
from s3front.s3_errors import S3Error

FIVE_GIB = 5 * 1024**3


@pytest.mark.parametrize("size", [0, 1, FIVE_GIB])
def test_what_may_be_copied(size: int) -> None:
    check_copy_size(size)


@pytest.mark.parametrize("size", [FIVE_GIB + 1, 5 * 1024**4])
def test_what_is_too_much(size: int) -> None:
    with pytest.raises(S3Error) as caught:
        check_copy_size(size)
    assert (caught.value.code, caught.value.status) == ("InvalidRequest", 400)
    assert caught.value.message == (
        "The specified copy source is larger than the maximum allowable size for a copy source: "
        "5368709120"
    )
