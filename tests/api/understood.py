"""Whether botocore understands every word of a reply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element

from tests.raw_http import Response, operation_model

KNOWN_HEADERS = frozenset(("x-amz-request-id", "x-amz-id-2"))
"""Of every reply; botocore puts them into ResponseMetadata."""


def assert_understood(name: str, response: Response) -> None:
    """Every element and ``x-amz-`` header of a reply of an operation is in botocore's model."""
    model = operation_model(name)
    if response.status >= 300:
        if response.body:
            parsed = response.parsed(name)
            said = set(parsed["Error"]) | set(parsed["ResponseMetadata"])
            assert {node.tag for node in response.xml} <= said
        return
    shape = model.output_shape
    members = {} if shape is None else shape.members
    unknown = [header for header in response.headers if not knows_header(members, header)]
    assert unknown == []
    if response.body and shape is not None and not _has_stream(shape):
        wanted: Any = shape
        payload = shape.serialization.get("payload")
        if payload is not None:
            wanted = shape.members[payload]
        assert list(unknown_elements(wanted, response.xml, response.xml.tag)) == []


def knows_header(members: Mapping[str, Any], header: str) -> bool:
    """Whether a header that a reply has is one of these members, or of no special meaning."""
    lower = header.lower()
    if not lower.startswith("x-amz-") or lower in KNOWN_HEADERS:
        return True
    for member in members.values():
        place = member.serialization.get("location")
        known = member.serialization.get("name", "").lower()
        if (place == "header" and lower == known) or (
            place == "headers" and lower.startswith(known)
        ):
            return True
    return False


def _has_stream(shape: Any) -> bool:
    payload = shape.serialization.get("payload")
    return payload is not None and shape.members[payload].type_name == "blob"


def unknown_elements(shape: Any, node: Element, path: str) -> Iterator[str]:
    """The paths of elements for which a structure has no member."""
    if shape.type_name == "list":
        inner = shape.member.serialization.get("name", "member")
        for child in node:
            if child.tag != inner:
                yield f"{path}/{child.tag}"
            else:
                yield from unknown_elements(shape.member, child, f"{path}/{child.tag}")
        return
    if shape.type_name != "structure":
        yield from (f"{path}/{child.tag}" for child in node)
        return
    named = {_element_name(name, member): member for name, member in shape.members.items()}
    for child in node:
        member = named.get(child.tag)
        place = f"{path}/{child.tag}"
        if member is None:
            yield place
        elif member.type_name == "list" and member.serialization.get("flattened"):
            yield from unknown_elements(member.member, child, place)
        else:
            yield from unknown_elements(member, child, place)


def _element_name(name: str, member: Any) -> str:
    if member.type_name == "list" and member.serialization.get("flattened"):
        found = member.serialization.get("name") or member.member.serialization.get("name")
    else:
        found = member.serialization.get("name")
    return str(found or name)
