"""The names of Google's XML API for what S3 has other names for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from multidict import CIMultiDict

from shared.http1.head import Headers

_HEADERS: Final = {
    "x-goog-generation": "x-amz-version-id",
}
_META: Final = "x-goog-meta-"
_PARAMETERS: Final = {"versionId": "generation", "version-id-marker": "generation-marker"}


def google_parameters(query: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The query of a request as it is called there."""
    return [(_PARAMETERS.get(name, name), value) for name, value in query]


def amazon_headers(headers: Headers) -> Mapping[str, str]:
    """The headers of an answer as S3 calls them. A name that is there twice has both values."""
    found: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        lower = name.lower()
        if lower.startswith(_META):
            lower = f"x-amz-meta-{lower.removeprefix(_META)}"
        called = _HEADERS.get(lower, lower)
        found[called] = f"{found[called]},{value}" if called in found else value
    return found


def crc32c_in(headers: Mapping[str, str]) -> str | None:
    """The CRC-32C that ``x-goog-hash`` says, in base64; None for none."""
    for part in headers.get("x-goog-hash", "").split(","):
        name, _, value = part.strip().partition("=")
        if name == "crc32c":
            return value
    return None
