"""The URLs that providers may have: of a host that can be asked, and nothing besides."""

from __future__ import annotations

import pytest

from s3front.iam.iam_errors import IamError
from s3front.iam.provider_changes import provider_url


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://id.example.com", "id.example.com"),
        ("HTTPS://ID.example.com/", "id.example.com"),
        ("https://id.example.com/realms/One/", "id.example.com/realms/One"),
        ("https://id.example.com:8443/a", "id.example.com:8443/a"),
        ("https://id_1", "id_1"),
        ("https://192.0.2.1:1", "192.0.2.1:1"),
        ("https://[2001:db8::1]:65535/a", "[2001:db8::1]:65535/a"),
        ("https://[2001:db8::1]", "[2001:db8::1]"),
    ],
)
def test_a_url_is_kept_without_its_scheme(url: str, kept: str) -> None:
    assert provider_url(url) == kept


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example.com",
        "https://",
        "https:///path",
        "https://x..org",
        "https://.org",
        "https://x.org.",
        "https://" + "a" * 64,
        "https://user@id.example.com",
        "https://id.example.com?a=1",
        "https://id.example.com#a",
        "https://id.example.com:",
        "https://id.example.com:0",
        "https://id.example.com:99999",
        "https://id.example.com:65536",
        "https://id.example.com:abc",
        "https://id.example.com:80:80",
        "https://grün.example.com",
        "https://id example.com",
        "https://[::1",
        "https://[::1]a",
        "https://[1.2.3]",
        "https://*.example.com",
    ],
)
def test_what_cannot_be_asked_is_refused(url: str) -> None:
    with pytest.raises(IamError) as caught:
        provider_url(url)
    assert caught.value.code == "ValidationError"
