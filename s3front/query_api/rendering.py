"""What a call answers, as XML. Pure.

A call returns values by the names that AWS's documents have: mappings are elements, lists have
``member`` elements, None is left out, times are ISO 8601 in seconds. No result at all is an answer
that has its request ID alone, as of calls that only change something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from s3front.port.request import Reply
from s3front.port.xml import element, readable
from s3front.query_api.errors import CALL_TYPE, REQUEST_ID


def call_reply(
    name: str, result: Mapping[str, Any] | None, namespace: str, request_id: str
) -> Reply:
    """The answer to a call by its name."""
    content = "" if result is None else f"<{name}Result>{_members(result)}</{name}Result>"
    told = f"<ResponseMetadata>{element('RequestId', request_id)}</ResponseMetadata>"
    body = f'<{name}Response xmlns="{namespace}">{content}{told}</{name}Response>\n'
    return Reply(200, {"Content-Type": CALL_TYPE, REQUEST_ID: request_id}, body.encode())


class Entries(dict[str, Any]):
    """A map, which answers show as its entries."""


def shown_time(time: datetime) -> str:
    """A time as answers have it."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _members(values: Mapping[str, Any]) -> str:
    return "".join([_shown(name, value) for name, value in values.items()])


def _shown(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return element(name, readable(value))
    if isinstance(value, bool):
        return f"<{name}>{'true' if value else 'false'}</{name}>"
    if isinstance(value, int):
        return f"<{name}>{value}</{name}>"
    if isinstance(value, datetime):
        return f"<{name}>{shown_time(value)}</{name}>"
    if isinstance(value, Entries):
        shown = [
            _shown("entry", {"key": key, "value": each}) for key, each in sorted(value.items())
        ]
        return f"<{name}>{''.join(shown)}</{name}>"
    if isinstance(value, Mapping):
        return f"<{name}>{_members(value)}</{name}>"
    assert isinstance(value, Sequence), value
    return f"<{name}>{''.join([_shown('member', each) for each in value])}</{name}>"
