"""Sets of object tags: from the header, from XML, and into XML. Pure.

Amazon S3 user guide, "Categorizing your storage using tags": at most 10 on an object, keys of 128
and values of 256 characters, keys unique.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl

from s3front.request import Headers
from s3front.xml import element, parse
from shared import limits
from shared.errors import ServiceError

_CHARACTERS = re.compile(r"[\w\s+\-=.:/@]*\Z")


def tags_of_header(headers: Headers) -> dict[str, str]:
    """The tags of ``x-amz-tagging``, a query string; raises InvalidArgument and InvalidTag."""
    text = headers.get("x-amz-tagging", "")
    try:
        # A name alone has the value "", as in any query.
        named = "&".join(
            part if "=" in part or not part else f"{part}=" for part in text.split("&")
        )
        pairs = parse_qsl(named, keep_blank_values=True, strict_parsing=bool(text), errors="strict")
    except ValueError as error:
        raise ServiceError(
            "InvalidArgument",
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query "
            "parameters without tag name duplicates.",
            {"ArgumentName": "x-amz-tagging", "ArgumentValue": text},
        ) from error
    return _checked(pairs)


def parse_tagging(body: bytes) -> dict[str, str]:
    """The tags of a ``Tagging`` document; raises MalformedXML and InvalidTag."""
    tag_set = parse(body, "Tagging").find("TagSet")
    if tag_set is None:
        raise ServiceError("MalformedXML")
    pairs = []
    for tag in tag_set:
        key, value = tag.findtext("Key"), tag.findtext("Value")
        if tag.tag != "Tag" or key is None or value is None:
            raise ServiceError("MalformedXML")
        pairs.append((key, value))
    return _checked(pairs)


def tag_set_xml(tags: Mapping[str, str]) -> str:
    """The ``TagSet`` element, by key."""
    ordered = sorted(tags.items())
    rows = (f"<Tag>{element('Key', k)}{element('Value', v)}</Tag>" for k, v in ordered)
    return f"<TagSet>{''.join(rows)}</TagSet>"


def _checked(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for key, value in pairs:
        if key in tags:
            raise ServiceError(
                "InvalidTag", "Cannot provide multiple Tags with the same key", {"TagKey": key}
            )
        if not 1 <= len(key) <= limits.TAG_KEY_CHARACTERS_MAX or not _CHARACTERS.match(key):
            raise ServiceError("InvalidTag", fields={"TagKey": key})
        if len(value) > limits.TAG_VALUE_CHARACTERS_MAX or not _CHARACTERS.match(value):
            raise ServiceError(
                "InvalidTag",
                "The TagValue you have provided is invalid",
                {"TagKey": key, "TagValue": value},
            )
        tags[key] = value
    if len(tags) > limits.TAGS_MAX:
        raise ServiceError("BadRequest", f"Object tags cannot be greater than {limits.TAGS_MAX}")
    return tags
