"""Lists in pages: ``MaxItems`` says how long one is, ``Marker`` where the next begins. Pure.

A marker is the place of the last item that was shown, so that what is made and removed between two
pages neither shows an item twice nor leaves one out.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, Final, TypeVar

import msgspec

from s3front.query_api.call_parameters import Parameters
from s3front.query_api.errors import QueryError
from s3front.query_api.iam_rules import MARKER

ITEMS_DEFAULT: Final = 100
ITEMS_MAX: Final = 1000

_Item = TypeVar("_Item")


def marked(parameters: Parameters) -> str:
    """The place behind which a page begins, empty for the first. Raises ValidationError."""
    marker = parameters.text("Marker", MARKER)
    if marker is None:
        return ""
    try:
        return base64.b64decode(marker, validate=True).decode()
    except ValueError as error:
        raise QueryError("ValidationError", "Invalid Marker.") from error


def page_of(
    parameters: Parameters,
    name: str,
    items: Iterable[_Item],
    place: Callable[[_Item], str],
    show: Callable[[_Item], Any],
    items_max: int = ITEMS_MAX,
    enough: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """A page of items, which are those behind the marker, in the order of their places: a list by
    its name, and whether there are more. It has ``items_max`` at most, whoever wants more, and
    ends after an item when there is ``enough``. Raises ValidationError."""
    size = min(parameters.integer("MaxItems", 1, ITEMS_MAX) or ITEMS_DEFAULT, items_max)
    found = list(islice(items, size + 1))
    shown = []
    for item in found[:size]:
        shown.append(show(item))
        if enough():
            break
    more = len(found) > len(shown)
    answer: dict[str, Any] = {name: shown, "IsTruncated": more}
    if more:
        last = found[len(shown) - 1]
        answer["Marker"] = base64.b64encode(place(last).encode()).decode()
    return answer


def in_text(path_prefix: str) -> str:
    """What the text of a record contains whose path begins so; empty where any may."""
    if path_prefix == "/":
        return ""  # a record does not say that its path is this
    return f'"path":{msgspec.json.encode(path_prefix).decode()[:-1]}'


def page_of_names(
    parameters: Parameters, name: str, values: Iterable[str], show: Callable[[str], Any] = str
) -> dict[str, Any]:
    """A page of some names, in their order."""
    after = marked(parameters)
    behind = sorted(value for value in values if value > after)
    return page_of(parameters, name, behind, str, show)


def page_of_map(
    parameters: Parameters, name: str, values: Mapping[str, Any], show: Callable[[str], Any]
) -> dict[str, Any]:
    """A page of what is found by names, such as tags."""
    return page_of_names(parameters, name, values, show)
