"""The envelope of the metadata RPC: calls, errors and stream markers as JSON values. Pure.

All calls are one Socket.IO event, ``call``, with two arguments, the remote name and a parameter
object, acknowledged with ``[error]`` or ``[null, result]`` (reference/dmd-wire.md, section 2).

Twofold's extensions, each of which a server announces in its manifest (docs/metadata-protocol.md):
``batch`` events, which carry several calls, the parameters ``operationId`` and ``notAfterMs``,
reads that name the revision which their caller has (``ifRevisionNot``), in batches the operation
``append`` and the requirement ``nullVersion``, and listings with rows in a form that is read fast
(``packedRows``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, TypeGuard

import msgspec

from shared.errors import ServiceError
from shared.rpc.attachments import Attachments

METADATA_NAMESPACE: Final = "/MDFile/metadata"
CALL_EVENT: Final = "call"
BATCH_EVENT: Final = "batch"
HANG_UP_EVENT: Final = "stream-hangup"
BATCH_EVENT_EXTENSION: Final = "batchEvent"
OPERATION_ID_EXTENSION: Final = "operationId"
NOT_AFTER_EXTENSION: Final = "notAfterMs"
IF_REVISION_NOT_EXTENSION: Final = "ifRevisionNot"
APPEND_EXTENSION: Final = "append"
NULL_VERSION_EXTENSION: Final = "nullVersion"
PACKED_ROWS_EXTENSION: Final = "packedRows"
BODIES_EXTENSION: Final = "bodies"
"""Not of every daemon, nor on every way to it: see ``bodies_of``."""
EXTENSIONS: Final = (
    BATCH_EVENT_EXTENSION,
    OPERATION_ID_EXTENSION,
    NOT_AFTER_EXTENSION,
    IF_REVISION_NOT_EXTENSION,
    APPEND_EXTENSION,
    NULL_VERSION_EXTENSION,
    PACKED_ROWS_EXTENSION,
)
IF_REVISION_NOT: Final = "ifRevisionNot"
"""The member of a read that names the revision of the record which its caller has."""
SAME: Final[Mapping[str, Any]] = {"same": True}
"""The answer to a read whose caller has the record. It is none, which is a text or has one."""
MUTATIONS: Final = frozenset({"put", "del", "batch"})
"""The methods that change something."""

STREAM_ID: Final = "$streamId"
_REQUEST_UIDS_MAX: Final = 1024
_OPERATION_ID_CHARACTERS_MAX: Final = 128
_MOMENT_MS_MAX: Final = 2**63
_NUMBERS: Final = (int, float)


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


class Caller(Protocol):
    """Whose call it is."""

    gone: bool
    """Whether its connection has ended."""


class Call(msgspec.Struct, frozen=True):
    """A call as the service sees it.

    ``attachments`` are those of its event, None when it came in a way that has none.
    ``operation_id`` names a mutation that may be repeated, and ``expires`` is the monotonic time
    in seconds after which it must not begin.
    """

    name: str
    arguments: Sequence[Any]
    sub_level: Sequence[str]
    request_uids: str | None
    operation_id: str | None = None
    expires: float | None = None
    caller: Caller | None = None
    attachments: Attachments | None = None

    def unwanted(self, now: float) -> bool:
        """Whether a call that has not begun is not to begin any more.

        Without an operation ID it is: who sent it cannot ask again what became of it, and the
        original would run it.
        """
        if self.expires is not None and now > self.expires:
            return True
        return self.operation_id is not None and self.caller is not None and self.caller.gone


def parse_call(
    arguments: Sequence[Any],
    caller: Caller | None = None,
    attachments: Attachments | None = None,
) -> Call:
    """The call that a ``call`` event carries; raises InvalidArgument when it is malformed."""
    if (
        len(arguments) < 2
        or not isinstance(name := arguments[0], str)
        or not isinstance(params := arguments[1], dict)
    ):
        raise ServiceError("InvalidArgument", "a call takes a name and a parameter object")
    rpc_arguments = params.get("rpcArgs")
    if not isinstance(rpc_arguments, list):
        raise ServiceError("InvalidArgument", "rpcArgs must be an array")
    sub_level = params.get("subLevel")
    if not is_sub_level(sub_level):
        raise ServiceError("InvalidArgument", "subLevel must be an array of strings")
    request_uids = params.get("reqUids")
    if not isinstance(request_uids, str) or len(request_uids) > _REQUEST_UIDS_MAX:
        request_uids = None
    operation_id, expires = params.get("operationId"), None
    if operation_id is not None or "notAfterMs" in params:
        expires = _expires(operation_id, params.get("notAfterMs"))
    return Call(
        name, rpc_arguments, sub_level, request_uids, operation_id, expires, caller, attachments
    )


def _expires(operation_id: Any, not_after_ms: Any) -> float | None:
    """The end of the time of a call. A wrong one is not passed over, nor a wrong operation ID: who
    sends them relies on them."""
    if operation_id is not None and not (
        isinstance(operation_id, str)
        and operation_id.isascii()
        and 0 < len(operation_id) <= _OPERATION_ID_CHARACTERS_MAX
    ):
        raise ServiceError("InvalidArgument", "operationId must be a short ASCII string")
    if not_after_ms is None:
        return None
    if type(not_after_ms) not in _NUMBERS:
        raise ServiceError("InvalidArgument", "notAfterMs must be a number")
    if not -_MOMENT_MS_MAX <= not_after_ms <= _MOMENT_MS_MAX:  # also what is no number at all
        raise ServiceError("InvalidArgument", "notAfterMs is no moment")
    return float(not_after_ms / 1000)


def is_sub_level(value: Any) -> TypeGuard[list[str]]:
    """Whether ``value`` is a sub-level path: a list of strings."""
    try:
        "".join(value)  # whether all are strings, asked in C: of every key of every call
    except TypeError:
        return False
    return isinstance(value, list)


def clock_ms() -> int:
    """The clock of this process that ``notAfterMs`` is of; the manifest tells it."""
    return time.monotonic_ns() // 1_000_000


def clock_of(manifest: Any) -> int | None:
    """What the clock of the server said when it made its manifest, None when it says nothing."""
    clock = manifest.get("clockMs") if isinstance(manifest, Mapping) else None
    return clock if isinstance(clock, int) and not isinstance(clock, bool) else None


def parse_batch(arguments: Sequence[Any], calls_max: int) -> list[Any]:
    """The calls that a ``batch`` event carries, each ``[name, params]``; raises InvalidArgument."""
    match arguments:
        case [list() as calls, *_] if len(calls) <= calls_max:
            return [call if isinstance(call, list) else [] for call in calls]
    raise ServiceError("InvalidArgument", f"a batch is an array of at most {calls_max} calls")


def call_parameters(
    arguments: Sequence[Any], sub_level: Sequence[str], request_uids: str | None
) -> dict[str, Any]:
    """The parameter object of a call."""
    params: dict[str, Any] = {"rpcArgs": arguments, "subLevel": sub_level}
    if request_uids is not None:
        params["reqUids"] = request_uids
    return params


class BodiesOffer(msgspec.Struct, frozen=True):
    """What a server says of bodies that come with commits: where it keeps them, and up to what size
    in bytes."""

    directory: str
    bytes_max: int


def bodies_of(manifest: Any) -> BodiesOffer | None:
    """The offer of a server that has the extension ``bodies``; None of any other."""
    if BODIES_EXTENSION not in extensions_of(manifest):
        return None
    match manifest.get("bodies"):
        case {"directory": str() as directory, "sizeMaxBytes": int() as size} if size > 0:
            return BodiesOffer(directory, size)
    return None


def extensions_of(manifest: Any) -> frozenset[str]:
    """The extensions that a server announces; none when its manifest is of another kind."""
    return _names_in(manifest, "extensions")


def listings_of(manifest: Any) -> frozenset[str]:
    """The listing algorithms that a server announces, likewise."""
    return _names_in(manifest, "listings")


def methods_of(manifest: Any) -> frozenset[str]:
    """The methods that a server lists; none when its manifest is of another kind."""
    listed = manifest.get("api") if isinstance(manifest, Mapping) else None
    if not isinstance(listed, list):
        return frozenset()
    names = [entry.get("name") for entry in listed if isinstance(entry, Mapping)]
    return frozenset(name for name in names if isinstance(name, str))


def _names_in(manifest: Any, member: str) -> frozenset[str]:
    listed = manifest.get(member) if isinstance(manifest, Mapping) else None
    if not isinstance(listed, list):
        return frozenset()
    return frozenset(name for name in listed if isinstance(name, str))


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
    if isinstance(result, dict) and result.get("readable"):
        stream_id = result.get(STREAM_ID)
        if isinstance(stream_id, str):
            return stream_id
    return None
