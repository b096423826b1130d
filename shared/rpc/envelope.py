"""The envelope of the metadata RPC: calls, errors and stream markers as JSON values. Pure.

All calls are one Socket.IO event, ``call``, with two arguments, the remote name and a parameter
object, acknowledged with ``[error]`` or ``[null, result]`` (reference/dmd-wire.md, section 2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.errors import ServiceError

METADATA_NAMESPACE: Final = "/MDFile/metadata"
CALL_EVENT: Final = "call"
HANG_UP_EVENT: Final = "stream-hangup"
STREAM_ID: Final = "$streamId"
_REQUEST_UIDS_MAX: Final = 1024


class RemoteError(Exception):
    """The daemon answered a call, or ended a stream, with an error.

    ``type`` is the error's name ("ObjNotFound"), ``code`` its HTTP status when it has one, and
    ``members`` whatever else the error object carried.
    """

    def __init__(self, type_: str, code: int | None, message: str, members: Mapping[str, Any]):
        self.type = type_
        self.code = code
        self.message = message
        self.members = members
        super().__init__(f"{type_}: {message}")


@dataclass(frozen=True, slots=True)
class Call:
    """A call as the service sees it."""

    name: str
    arguments: Sequence[Any]
    sub_level: Sequence[str]
    request_uids: str | None


def parse_call(arguments: Sequence[Any]) -> Call:
    """The call that a ``call`` event carries; raises InvalidArgument when it is malformed."""
    match arguments:
        case [str() as name, Mapping() as params, *_]:
            pass
        case _:
            raise ServiceError("InvalidArgument", "a call takes a name and a parameter object")
    rpc_arguments = params.get("rpcArgs")
    if not isinstance(rpc_arguments, list):
        raise ServiceError("InvalidArgument", "rpcArgs must be an array")
    sub_level = params.get("subLevel")
    if not isinstance(sub_level, list) or not all(isinstance(part, str) for part in sub_level):
        raise ServiceError("InvalidArgument", "subLevel must be an array of strings")
    request_uids = params.get("reqUids")
    if not isinstance(request_uids, str) or len(request_uids) > _REQUEST_UIDS_MAX:
        request_uids = None
    return Call(name, rpc_arguments, sub_level, request_uids)


def call_arguments(
    name: str, arguments: Sequence[Any], sub_level: Sequence[str], request_uids: str | None
) -> tuple[str, dict[str, Any]]:
    """The two arguments of a ``call`` event."""
    params: dict[str, Any] = {"rpcArgs": list(arguments), "subLevel": list(sub_level)}
    if request_uids is not None:
        params["reqUids"] = request_uids
    return name, params


def encode_error(error: ServiceError) -> dict[str, Any]:
    """The flattened form of an error, as the original's clients rebuild it."""
    return {
        "is_arsenal_error": True,
        "code": error.status,
        "description": error.message,
        "type": error.code,
        **error.fields,
    }


def decode_error(value: Any) -> RemoteError:
    """A flattened error of either daemon as an exception."""
    if not isinstance(value, Mapping):
        return RemoteError("InternalError", None, str(value), {})
    if value.get("is_arsenal_error"):
        type_, message = value.get("type"), value.get("description")
    else:
        type_, message = value.get("code"), value.get("message")
    code = value.get("code")
    return RemoteError(
        str(type_ or "InternalError"),
        code if isinstance(code, int) else None,
        str(message or ""),
        value,
    )


def decode_reply(arguments: Sequence[Any]) -> Any:
    """The result that an acknowledgement carries; raises RemoteError for an error."""
    if arguments and arguments[0] is not None:
        raise decode_error(arguments[0])
    return arguments[1] if len(arguments) > 1 else None


def stream_marker(stream_id: str) -> dict[str, Any]:
    """What stands for a readable stream in a result."""
    return {STREAM_ID: stream_id, "readable": True, "writable": False}


def stream_id_of(result: Any) -> str | None:
    """The ID of the readable stream that a result stands for, or None."""
    if isinstance(result, Mapping) and result.get("readable"):
        stream_id = result.get(STREAM_ID)
        if isinstance(stream_id, str):
            return stream_id
    return None
