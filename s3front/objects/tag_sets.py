"""Sets of tags, of objects and buckets: from the header, from XML, and into XML. Pure.

Amazon S3 user guide, "Categorizing your storage using tags": at most 10 on an object, keys of 128
and values of 256 UTF-16 code units, keys unique and not of AWS's own. Letters, numbers, separators
and ``+ - = . _ : / @`` may be in them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

from s3front.port.request import Headers
from s3front.port.xml import parse, readable_element
from s3front.s3_errors import S3Error
from shared import limits

# Unicode's separators (\p{Z}): unlike \s without control characters.
_SEPARATORS = " \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_CHARACTERS = re.compile(rf"[\w{_SEPARATORS}+\-=.:/@]*\Z")
_ENCODED_TAG = re.compile(r"(?:[^=%]|%[0-9A-Fa-f]{2})+=(?:[^=%]|%[0-9A-Fa-f]{2})*\Z")
_RESERVED_PREFIX = "aws:"


def tags_of_header(headers: Headers) -> dict[str, str]:
    """The tags of ``x-amz-tagging``, a query string; raises InvalidArgument and InvalidTag."""
    text = headers.get("x-amz-tagging")
    if not text:
        return {}
    try:
        # A name alone has the value "", as in any query; nothing between two ``&`` is no tag.
        named = [part if "=" in part else f"{part}=" for part in text.split("&") if part]
        if any(not _ENCODED_TAG.match(part) for part in named):
            raise ValueError("no name, or a character that has to be encoded")
        pairs = parse_qsl(
            "&".join(named), keep_blank_values=True, strict_parsing=bool(named), errors="strict"
        )
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a key is there twice")
    except ValueError as error:
        raise S3Error(
            "InvalidArgument",
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query "
            "parameters without tag name duplicates.",
            {"ArgumentName": "x-amz-tagging", "ArgumentValue": text},
        ) from error
    return _checked(pairs)


def parse_tagging(body: bytes, tags_max: int = limits.TAGS_MAX) -> dict[str, str]:
    """The tags of a ``Tagging`` document, at most ``tags_max``; raises MalformedXML, InvalidTag and
    BadRequest."""
    return _checked(_pairs(body), tags_max)


def parse_bucket_tagging(body: bytes) -> dict[str, str]:
    """The same of a bucket, of which there may be 50."""
    most = limits.BUCKET_TAGS_MAX
    return _checked(_pairs(body), most, f"Bucket tag count cannot be greater than {most}")


def _pairs(body: bytes) -> list[tuple[str, str]]:
    sets = list(parse(body, "Tagging"))
    if [child.tag for child in sets] != ["TagSet"]:
        raise S3Error("MalformedXML")
    pairs = []
    for tag in sets[0]:
        if tag.tag != "Tag" or sorted(child.tag for child in tag) != ["Key", "Value"]:
            raise S3Error("MalformedXML")
        pairs.append((tag.findtext("Key", ""), tag.findtext("Value", "")))
    return pairs


def tag_set_xml(tags: Mapping[str, str]) -> str:
    """The ``TagSet`` element, by key."""
    ordered = sorted(tags.items())
    rows = (
        f"<Tag>{readable_element('Key', k)}{readable_element('Value', v)}</Tag>" for k, v in ordered
    )
    return f"<TagSet>{''.join(rows)}</TagSet>"


def _checked(
    pairs: Sequence[tuple[str, str]],
    tags_max: int = limits.TAGS_MAX,
    too_many: str | None = None,
) -> dict[str, str]:
    tags: dict[str, str] = {}
    for key, value in pairs:
        if key in tags:
            raise S3Error(
                "InvalidTag", "Cannot provide multiple Tags with the same key", {"TagKey": key}
            )
        if not key or not _is_text(key, limits.TAG_KEY_UNITS_MAX):
            raise S3Error("InvalidTag", fields={"TagKey": key})
        if key.lower().startswith(_RESERVED_PREFIX):
            raise S3Error("InvalidTag", "Your TagKey cannot be prefixed with aws:", {"TagKey": key})
        if not _is_text(value, limits.TAG_VALUE_UNITS_MAX):
            raise S3Error(
                "InvalidTag",
                "The TagValue you have provided is invalid",
                {"TagKey": key, "TagValue": value},
            )
        tags[key] = value
    if len(tags) > tags_max:
        message = too_many or f"Object tags cannot be greater than {tags_max}"
        raise S3Error("BadRequest", message)
    return tags


def _is_text(text: str, units_max: int) -> bool:
    """Whether these are so many UTF-16 code units at most, all of them allowed."""
    return _CHARACTERS.match(text) is not None and len(text.encode("utf-16-le")) <= 2 * units_max
