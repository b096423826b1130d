"""The policy of a form upload: what its signer lets the form say. Pure.

Called by ``s3front.bodies.signed_form`` with the fields of a form, once the policy's signature has
been verified.

Rules:

1. Every field is named by a condition and meets all conditions that name it, and so is the bucket:
   a policy that names none would be good for every bucket of its signer. Those that carry the
   signature and the file are exempt, fields that begin with ``x-ignore-``, and checksums of the
   file, which can only make an upload fail.
2. Names and operators have no case, values have. A condition sees the fields with ``${filename}``
   replaced, and an absent one as empty.
3. ``starts-with`` on Content-Type looks at each of a list with commas.
4. The sizes of the file keep to every ``content-length-range``; who reads the file compares them.

Source: Amazon S3 API reference, "Creating a POST policy"; the texts of errors are those that the
service answers with.
"""

from __future__ import annotations

import binascii
import json
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from s3front.s3_errors import S3Error

_EXEMPT: Final = frozenset(("awsaccesskeyid", "file", "policy", "signature", "x-amz-signature"))
_EXEMPT_PREFIXES: Final = ("x-ignore-", "x-amz-checksum-", "x-amz-sdk-checksum-algorithm")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z", re.ASCII)
_SIZE: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_RANGE: Final = "content-length-range"


@dataclass(frozen=True, slots=True)
class Condition:
    """``operator`` is ``eq`` or ``starts-with``; ``name`` is the field as the policy names it, with
    its ``$``. A range of sizes that are no numbers is a condition that nothing meets, as is one
    on a name without ``$``."""

    operator: str
    name: str
    value: str

    @property
    def field(self) -> str:
        """In lower case, without the ``$``; empty for a name without one, which is no field's."""
        return self.name[1:].lower() if self.name.startswith("$") else ""

    def holds(self, text: str) -> bool:
        """Whether the text of the field meets it."""
        if not self.field or self.operator == _RANGE:
            return False
        if self.operator == "eq":
            return text == self.value
        if self.field == "content-type":
            return all(part.strip().startswith(self.value) for part in text.split(","))
        return text.startswith(self.value)

    def __str__(self) -> str:
        return json.dumps([self.operator, self.name, self.value], ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class SizeRange:
    """How many bytes a file may have; ``maximum`` None: as many as any object."""

    minimum: int = 0
    maximum: int | None = None

    def within(self, other: SizeRange) -> SizeRange:
        """The sizes that keep to both."""
        limits = [size for size in (self.maximum, other.maximum) if size is not None]
        return SizeRange(max(self.minimum, other.minimum), min(limits, default=None))


@dataclass(frozen=True, slots=True)
class PostPolicy:
    expiration: datetime
    conditions: tuple[Condition, ...]
    sizes: SizeRange


def parse_policy(text: str) -> PostPolicy:
    """The policy that a form carries, JSON in base64. Raises InvalidPolicyDocument."""
    try:
        document = orjson.loads(b64decode("".join(text.split()), validate=True))
    except (binascii.Error, ValueError) as error:
        raise _invalid("Invalid JSON.") from error
    if not isinstance(document, dict):
        raise _invalid("Invalid JSON.")
    for name in document:
        if name not in ("expiration", "conditions"):
            raise _invalid(f"Unexpected: '{name}'")
    if "expiration" not in document:
        raise _invalid("Policy missing expiration.")
    if "conditions" not in document:
        raise _invalid("Policy missing conditions.")
    expiration = _time(document["expiration"])
    entries = document["conditions"]
    if not isinstance(entries, list):
        raise _invalid("Conditions must be a list.")
    conditions: list[Condition] = []
    sizes = SizeRange()
    for entry in entries:
        parsed = _condition(entry)
        if isinstance(parsed, SizeRange):
            sizes = sizes.within(parsed)
        else:
            conditions.append(parsed)
    return PostPolicy(expiration, tuple(conditions), sizes)


def check_policy(policy: PostPolicy, fields: Mapping[str, str], bucket: str, now: datetime) -> None:
    """Let a form pass; ``fields`` have lower-case names. Raises AccessDenied."""
    if now >= policy.expiration:
        raise _refused("Policy expired.")
    seen = {**fields, "bucket": bucket}
    for condition in policy.conditions:
        if not condition.holds(seen.get(condition.field, "")):
            raise _refused(f"Policy Condition failed: {condition}")
    named = {condition.field for condition in policy.conditions} | _EXEMPT
    extra = [name for name in seen if name not in named and not name.startswith(_EXEMPT_PREFIXES)]
    if extra:
        raise _refused(f"Extra input fields: {', '.join(extra)}")


def _time(value: Any) -> datetime:
    try:
        if not isinstance(value, str) or not _TIME.fullmatch(value):
            raise ValueError(value)
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _invalid(f"Invalid 'expiration' value: '{value}'") from error


def _condition(entry: Any) -> Condition | SizeRange:
    if isinstance(entry, dict):
        if len(entry) != 1:
            raise _invalid(
                "Invalid Simple-Condition: Simple-Conditions must have exactly one property "
                "specified."
            )
        [(name, value)] = entry.items()
        if not isinstance(value, str):
            raise _invalid("Invalid Simple-Condition: value must be a string.")
        return Condition("eq", f"${name}", value)
    if not isinstance(entry, list) or not entry or not isinstance(entry[0], str):
        raise _invalid("Invalid Condition: must be an object or a list that begins with a name.")
    operator = entry[0].lower()
    if operator == _RANGE:
        return _size_range(entry)
    if operator not in ("eq", "starts-with"):
        raise _invalid(f"Invalid Condition: unknown operation '{entry[0]}'.")
    if len(entry) != 3 or not all(isinstance(part, str) for part in entry):
        raise _invalid(f"Invalid Condition: wrong number or kind of arguments of '{entry[0]}'.")
    return Condition(operator, entry[1], entry[2])


def _size_range(entry: list[Any]) -> Condition | SizeRange:
    """Some clients write the sizes as text."""
    texts = [part for part in entry[1:] if isinstance(part, str)]
    if len(entry) == 3 and len(texts) == 2 and not all(map(_SIZE.fullmatch, texts)):
        return Condition(_RANGE, *texts)
    sizes = [str(size) for size in entry[1:] if isinstance(size, int | str)]
    if len(entry) != 3 or len(sizes) != 2 or not all(_SIZE.fullmatch(size) for size in sizes):
        raise _invalid(f"Invalid {_RANGE}: two numbers of bytes are required.")
    return SizeRange(int(sizes[0]), int(sizes[1]))


def _invalid(reason: str) -> S3Error:
    return S3Error("InvalidPolicyDocument", f"Invalid Policy: {reason}")


def _refused(reason: str) -> S3Error:
    return S3Error("AccessDenied", f"Invalid according to Policy: {reason}")
