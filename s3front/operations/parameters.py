"""Reading query parameters of operations. Pure."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Collection, Mapping

from s3front.port.request import Headers
from s3front.s3_errors import S3Error
from shared import limits

_OTHER_NAMES = {"max-keys": "maxKeys"}
"""Parameters that AWS calls otherwise when their value is out of range."""

_LARGEST = 2**31 - 1
_INTEGER = re.compile(r"-?[0-9]{1,18}\Z")
_PART_NUMBER = re.compile(r"[0-9]{1,9}\Z")


def integer_parameter(query: Mapping[str, str], name: str, maximum: int) -> int:
    """A count of rows, cut to ``maximum``, which is also its default.

    Raises InvalidArgument for what is no integer or negative.
    """
    return min(bounded_integer(query, name, maximum), maximum)


def bounded_integer(
    query: Mapping[str, str], name: str, default: int, minimum: int = 0, maximum: int = _LARGEST
) -> int:
    """An integer parameter that is not cut; raises InvalidArgument for what is none or beyond these
    bounds."""
    text = query.get(name)
    if not text:
        return default
    fields = {"ArgumentName": name, "ArgumentValue": text}
    value = int(text) if _INTEGER.match(text) is not None else None
    if value is None or value > _LARGEST:
        raise S3Error(
            "InvalidArgument", f"Provided {name} not an integer or within integer range", fields
        )
    if not minimum <= value <= maximum:
        argument = _OTHER_NAMES.get(name, name)
        raise S3Error(
            "InvalidArgument",
            f"Argument {argument} must be an integer between {minimum} and {maximum}",
            {"ArgumentName": argument, "ArgumentValue": text},
        )
    return value


def part_number(query: Mapping[str, str]) -> int:
    """The number of the part that a request names."""
    text = query.get("partNumber", "")
    if _PART_NUMBER.match(text) is None or not 1 <= int(text) <= limits.PARTS_MAX:
        raise S3Error(
            "InvalidArgument",
            f"Part number must be an integer between 1 and {limits.PARTS_MAX}, inclusive",
            {"ArgumentName": "partNumber", "ArgumentValue": text},
        )
    return int(text)


def encoding_parameter(query: Mapping[str, str]) -> bool:
    """Whether keys are to be URL-encoded; raises InvalidArgument for an unknown encoding."""
    value = query.get("encoding-type")
    if value is None or value == "":
        return False
    if value != "url":
        raise S3Error(
            "InvalidArgument",
            "Invalid Encoding Method specified in Request",
            {"ArgumentName": "encoding-type", "ArgumentValue": value},
        )
    return True


def attributes_parameter(headers: Headers, name: str, known: Collection[str]) -> frozenset[str]:
    """The attributes of objects that a header lists, or several headers do; raises InvalidArgument
    when one is not known."""
    values = ",".join(headers.getall(name, [])).split(",")
    names = frozenset(attribute for value in values if (attribute := value.strip()))
    for attribute in sorted(names):
        if attribute not in known:
            raise S3Error(
                "InvalidArgument",
                "Invalid attribute name specified.",
                {"ArgumentName": name, "ArgumentValue": attribute},
            )
    return names


def check_optional_attributes(headers: Headers) -> None:
    """Refuse a listing that asks for attributes which there are not.

    The one there is, ``RestoreStatus``, only objects have that were archived, and none is.
    """
    attributes_parameter(headers, "x-amz-optional-object-attributes", ("RestoreStatus",))


def encode_token(entry: str) -> str:
    """The continuation token of a listing that goes on behind an entry."""
    return urlsafe_b64encode(entry.encode()).decode()


def decode_token(token: str) -> str:
    """The entry of a token; raises InvalidArgument for what ``encode_token`` does not make."""
    try:
        return b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise S3Error(
            "InvalidArgument",
            "The continuation token provided is incorrect",
            {"ArgumentName": "continuation-token"},
        ) from error
