"""The CORS configuration of a bucket, and which requests of pages it allows. Pure.

It lets a page of another origin read a reply, and gives nobody access. Amazon S3 user guide, "How
does Amazon S3 evaluate the CORS configuration on a bucket?"; what AWS was recorded to answer in the
tests of LocalStack (``tests/aws/services/s3/test_s3_cors.snapshot.json`` of its repository).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from s3front.configurations.base import Configuration, not_found, value_of
from s3front.port.reply import xml_reply
from s3front.port.request import Reply, Request
from s3front.port.xml import readable_element
from shared.records.bucket import BucketRecord
from shared.records.members import whole_number

_MEMBER = "cors"
_ANY = "*"
_METHOD = "Access-Control-Request-Method"
_HEADERS = "Access-Control-Request-Headers"
_VARY = f"Origin, {_HEADERS}, {_METHOD}"
_LISTS = {
    "allowedMethods": "AllowedMethod",
    "allowedOrigins": "AllowedOrigin",
    "allowedHeaders": "AllowedHeader",
    "exposeHeaders": "ExposeHeader",
}


def show_cors(record: BucketRecord) -> Reply:
    """The rules, in their order (Amazon S3 API reference, GetBucketCors)."""
    return xml_reply("CORSConfiguration", "".join(map(_rule, value_of(record, _MEMBER))))


def _rule(rule: Mapping[str, Any]) -> str:
    values = "".join(
        readable_element(name, value)
        for member, name in _LISTS.items()
        for value in rule.get(member) or ()
    )
    seconds = rule.get("maxAgeSeconds")
    identified = readable_element("ID", rule.get("id") or None) + values
    return f"<CORSRule>{identified}{readable_element('MaxAgeSeconds', seconds)}</CORSRule>"


CORS = Configuration(
    _MEMBER,
    "GetBucketCors",
    "s3:GetBucketCORS",
    not_found("NoSuchCORSConfiguration"),
    delete="DeleteBucketCors",
    delete_action="s3:PutBucketCORS",
    member=_MEMBER,
    show=show_cors,
)


# --- Requests of pages ----------------------------------------------------------------------------


class Rule(msgspec.Struct, frozen=True):
    """One rule, as it is stored; names of headers are in lower case."""

    methods: Sequence[str]
    origins: Sequence[str]
    headers: Sequence[str]
    exposed: Sequence[str]
    seconds: int | None


def allowed(bucket: BucketRecord, request: Request) -> Rule | None:
    """The first rule that allows a request with an ``Origin``, or the one that a preflight is for.

    What a preflight says in its headers counts of any request; the headers that a request really
    has do not. A configuration of a form that is not known allows nothing.
    """
    headers = request.headers
    origin, method = headers["Origin"], headers.get(_METHOD, request.method)
    wanted = _names(headers.get(_HEADERS, ""))
    try:
        rules = [_parsed(rule) for rule in value_of(bucket, _MEMBER)]
    except (AttributeError, TypeError):
        return None
    for rule in rules:
        if (
            method in rule.methods
            and _matches(rule.origins, origin)
            and all(_matches(rule.headers, name) for name in wanted)
        ):
            return rule
    return None


def answer_headers(rule: Rule, request: Request) -> dict[str, str]:
    """What a reply says by the rule that allows its request."""
    answered = {"Access-Control-Allow-Origin": _ANY}
    if _ANY not in rule.origins:
        answered["Access-Control-Allow-Origin"] = request.headers["Origin"]
        answered["Access-Control-Allow-Credentials"] = "true"
    lists = {
        "Access-Control-Allow-Methods": rule.methods,
        "Access-Control-Allow-Headers": _names(request.headers.get(_HEADERS, "")),
        "Access-Control-Expose-Headers": rule.exposed,
    }
    for name, values in lists.items():
        # Another server may have stored what no header can hold.
        if sendable := [each for each in values if each.isascii() and each.isprintable()]:
            answered[name] = ", ".join(sendable)
    if rule.seconds is not None:
        answered["Access-Control-Max-Age"] = str(rule.seconds)
    return answered | {"Vary": _VARY}


def _parsed(rule: Any) -> Rule:
    """A stored rule; raises AttributeError and TypeError for what is none."""
    return Rule(
        _texts(rule.get("allowedMethods")),
        _texts(rule.get("allowedOrigins")),
        [name.lower() for name in _texts(rule.get("allowedHeaders"))],
        _texts(rule.get("exposeHeaders")),
        whole_number(rule.get("maxAgeSeconds")),
    )


def _texts(values: Any) -> list[str]:
    texts = values or []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise TypeError("a list of a rule is none")
    return texts


def _names(text: str) -> list[str]:
    return [name for each in text.split(",") if (name := each.strip().lower())]


def _matches(patterns: Iterable[str], text: str) -> bool:
    """Whether one of the patterns, each with at most one ``*``, is the text."""
    for pattern in patterns:
        before, star, after = pattern.partition(_ANY)
        if text == pattern or (
            star
            and len(text) >= len(before) + len(after)
            and text.startswith(before)
            and text.endswith(after)
        ):
            return True
    return False
