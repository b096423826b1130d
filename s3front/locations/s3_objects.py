"""What an object is called at an S3 service, and the headers that it is stored with. Pure.

Names are the natural ones (``remote_store.natural_name``). Not every service takes every key of
S3's, and servers in front of some change paths: elsewhere than at Amazon, a key with a part that is
empty, ``.`` or ``..``, has a backslash, or is longer than the name of a file, gets a name of its
own without such. So does one that begins as the names of probes do (``s3_probes``), everywhere, and
one with control characters or others that XML does not have, which no listing could show.

Metadata is kept beside the bytes for those who look there (manual, 3.2.5); records have all of it.
So what does not fit is left out, the largest first, instead of refusing the object: Amazon takes
2 KB of user metadata, 2 KB of other headers, and ten tags.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

from msgspec.structs import replace

from s3front.locations.base import ObjectInfo
from s3front.locations.remote_store import MARK_METADATA, natural_name, own_name
from s3front.objects.object_record import STANDARD_HEADERS, USER_METADATA_PREFIX
from s3front.port.header_text import is_name, sent_line, sent_metadata
from s3front.port.xml import document, element

NAME_BYTES_MAX: Final = 1024
MARK_HEADER: Final = USER_METADATA_PREFIX + MARK_METADATA
TAGGING_HEADER: Final = "x-amz-tagging"
VERSION_HEADER: Final = "x-amz-version-id"
NULL_VERSION: Final = "null"
"""The version of what is stored where none are kept any more."""

_PROBE: Final = "twofold-probe"
PROBE_PREFIX: Final = f"{_PROBE}~"
"""What the names of objects begin with that something is tried with, and no blob's name does."""

_NOT_FOR_PLACES: Final = frozenset({MARK_METADATA, "scal-location-constraint"})
"""User metadata that is a mark, or would choose among the locations of another such server."""

_UNSHOWABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

_PART_BYTES_MAX: Final = 200
"""Of a part of a name, elsewhere than at Amazon: it is the name of a file there, at some."""

_METADATA_BYTES_MAX: Final = 2048
_HEADERS_BYTES_MAX: Final = 2048
_TAGS_MAX: Final = 10
_TAG_PREFIX: Final = "aws-tag-"
_TAG: Final = re.compile(r"[A-Za-z0-9 +=._:/@-]*")
_TAGGING_BYTES_MAX: Final = 2048
"""Of the header: all headers together have 8 KB at Amazon."""


def free_name(info: ObjectInfo, *, bucket_match: bool, is_amazon: bool) -> str | None:
    """The natural name of an object's blob; None where the service may not take it."""
    natural = natural_name(info, bucket_match=bucket_match)
    if _UNSHOWABLE.search(natural):
        return None
    if len(natural.encode("utf-8", "surrogateescape")) > NAME_BYTES_MAX:
        return None
    if natural.startswith(_PROBE):
        return None
    if not is_amazon and not all(map(_is_plain, natural.split("/"))):
        return None
    return natural


def unused_name(info: ObjectInfo, mark: str, *, bucket_match: bool, is_amazon: bool) -> str:
    """A name that no other blob has."""
    natural = _UNSHOWABLE.sub(_as_bytes, natural_name(info, bucket_match=bucket_match))
    if natural.startswith(_PROBE):
        natural = f"%{ord(natural[0]):X}{natural[1:]}"
    if not is_amazon:
        natural = "/".join(map(_escaped, natural.split("/")))
    return own_name(natural, mark, NAME_BYTES_MAX)


def former_names(info: ObjectInfo, mark: str, *, bucket_match: bool, is_amazon: bool) -> list[str]:
    """The names that a blob may have got before such keys, and those like names of probes, were
    given others: of no other key are there any."""
    natural = natural_name(info, bucket_match=bucket_match)
    if not _UNSHOWABLE.search(natural) and not natural.startswith(_PROBE):
        return []
    if is_amazon or all(map(_is_plain, natural.split("/"))):
        names = [natural, own_name(natural, mark, NAME_BYTES_MAX)]
        return names[len(natural.encode("utf-8", "surrogatepass")) > NAME_BYTES_MAX :]
    escaped = "/".join(map(_escaped, natural.split("/")))
    return [own_name(escaped, mark, NAME_BYTES_MAX)]


def is_unused_name(name: str, mark: str | None) -> bool:
    """Whether a name is of that kind, with this mark."""
    return mark is not None and name.endswith(mark)


def object_headers(info: ObjectInfo, mark: str) -> tuple[dict[str, str], int]:
    """The headers of a new object, and how many entries of its metadata are not among them."""
    found, omitted = _user_metadata(info.user_metadata, len(MARK_METADATA) + len(mark))
    headers = {f"{USER_METADATA_PREFIX}{name}": value for name, value in found.items()}
    headers[MARK_HEADER] = mark
    standard = {STANDARD_HEADERS[name]: sent_line(text) for name, text in info.headers.items()}
    fitting = _fitting(
        {name: text for name, text in standard.items() if text.isascii()}, _HEADERS_BYTES_MAX
    )
    headers.update(fitting)
    if info.content_type.isascii() and info.content_type.isprintable():
        headers["Content-Type"] = info.content_type or "binary/octet-stream"
    return headers, omitted + len(standard) - len(fitting)


def with_tags_as_metadata(info: ObjectInfo) -> ObjectInfo:
    """The object with its tags among its user metadata, as far as they can be, and no others."""
    tags = {f"{_TAG_PREFIX}{name}": text for name, text in info.tags.items() if is_name(name)}
    return replace(info, user_metadata={**info.user_metadata, **tags}, tags={})


def tagging(tags: Mapping[str, str]) -> str | None:
    """The header that gives a new object its tags; None when they have to be put afterwards: as
    they are long, or have characters that not every service takes, and the object is to be stored
    nevertheless."""
    if not all(_TAG.fullmatch(text) for pair in tags.items() for text in pair):
        return None
    encoded = urlencode(tags, quote_via=quote, safe="-_.~")
    if len(encoded) > _TAGGING_BYTES_MAX:
        return None
    return encoded


def tag_document(tags: Mapping[str, str]) -> bytes:
    """The body that replaces an object's tags."""
    content = "".join(
        f"<Tag>{element('Key', name)}{element('Value', text)}</Tag>" for name, text in tags.items()
    )
    return document("Tagging", f"<TagSet>{content}</TagSet>")


def fitting_tags(tags: Mapping[str, str]) -> Mapping[str, str]:
    """Those of an object's tags that an object of the service can have: the first ten."""
    return dict(list(tags.items())[:_TAGS_MAX])


def _user_metadata(given: Mapping[str, str], mark_bytes: int) -> tuple[dict[str, str], int]:
    sent = {
        name: sent_metadata(value).strip()
        for name, value in given.items()
        if is_name(name) and name.lower() not in _NOT_FOR_PLACES
    }
    fitting = _fitting(sent, _METADATA_BYTES_MAX - mark_bytes)
    return fitting, len(sent) - len(fitting)


def _fitting(entries: Mapping[str, str], bytes_max: int) -> dict[str, str]:
    """The entries without the largest ones, so many that the others have room, in their order."""
    kept = dict(entries)
    size = sum(len(name) + len(value) for name, value in kept.items())
    for name in sorted(kept, key=lambda name: len(name) + len(kept[name]), reverse=True):
        if size <= bytes_max:
            break
        size -= len(name) + len(kept.pop(name))
    return kept


def _as_bytes(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def _is_plain(part: str) -> bool:
    if part in ("", ".", "..") or "\\" in part:
        return False
    return len(part.encode("utf-8", "replace")) <= _PART_BYTES_MAX


def _escaped(part: str) -> str:
    """One part of a name, as no server mistakes it for something else; one that is too long becomes
    several."""
    if part in ("", ".", ".."):
        return part.replace(".", "%2E") or "%2F"
    part, step = part.replace("\\", "%5C"), _PART_BYTES_MAX // 4
    if _is_plain(part):
        return part
    return "/".join(part[start : start + step] for start in range(0, len(part), step))
