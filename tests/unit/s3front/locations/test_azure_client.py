"""What goes with a blob to Azure."""

from __future__ import annotations

import pytest

from s3front.locations.azure_client import content_settings, upload_headers
from s3front.locations.base import ObjectInfo


@pytest.mark.parametrize("odd", ["\udced\udca0\udc80", "grün", "a\nb", "", "\x7f"])
def test_text_that_no_header_can_have_is_left_out(odd: str) -> None:
    headers = {"content-encoding": odd, "cache-control": "no-store", "content-disposition": odd}
    info = ObjectInfo("bucket", "key", odd, {}, headers)
    settings = content_settings(info)
    assert (settings.content_type, settings.content_encoding) == (None, None)
    assert (settings.content_disposition, settings.cache_control) == (None, "no-store")
    assert upload_headers(info, {"a": "b"}, None) == {
        "x-ms-meta-a": "b",
        "x-ms-blob-cache-control": "no-store",
    }
