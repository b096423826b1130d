"""Calls on their way out: what each says, and which of them travel together.

A server with the extension gets the calls of one turn as ``batch`` events: reads in one and
mutations in another, so that a read never waits for somebody else's commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from shared import limits
from shared.rpc import codec
from shared.rpc.attachments import renumbered
from shared.rpc.envelope import BATCH_EVENT, CALL_EVENT, MUTATIONS

_CALL = codec.encode(CALL_EVENT)
_BATCH = codec.encode(BATCH_EVENT)


class OutgoingCall:
    """A call until it is answered, or given up. ``deadline`` is the event loop's time. ``future``
    gets what it is answered.

    ``alone``, which may be set: it is not to travel with others. ``repeated``: it was sent before,
    over a connection that broke. ``attachments`` are what the placeholders in its parameters stand
    for.
    """

    __slots__ = (
        *("_params", "alone", "attachments", "deadline", "future", "mutation", "name", "repeated"),
        "text",
    )

    def __init__(
        self,
        name: str,
        params: dict[str, Any],
        deadline: float,
        future: asyncio.Future[Sequence[Any]],
        attachments: Sequence[bytes] = (),
        operation_id: str | None = None,
        server_ahead: float | None = None,
    ) -> None:
        """``operation_id`` makes it repeatable; ``server_ahead`` as for ``renew``."""
        self.name = name
        self.deadline = deadline
        self.alone = False
        self.mutation = name in MUTATIONS
        self.repeated = False
        self.future = future
        self._params = params
        self.attachments = attachments
        if operation_id is None:
            self.text = codec.encode((name, params))
        else:
            params["operationId"] = operation_id
            self.renew(server_ahead)

    @property
    def size(self) -> int:
        """The bytes that it takes on its way."""
        size = len(self.text)
        for data in self.attachments:
            size += len(data)
        return size

    @property
    def repeatable(self) -> bool:
        """Whether doing it again does no harm, because it is known by its operation ID."""
        return "operationId" in self._params

    def renew(self, server_ahead: float | None) -> None:
        """Say until when it may begin: ``server_ahead`` is how many seconds the server's clock is
        ahead of the event loop's, at the least; None when that is not known."""
        params = self._params
        if server_ahead is not None:
            params["notAfterMs"] = int((self.deadline + server_ahead) * 1000)
        else:
            params.pop("notAfterMs", None)
        self.text = codec.encode((self.name, params))

    def fail(self, error: Exception) -> None:
        """Tell the caller, if it is still there."""
        if not self.future.done():
            self.future.set_exception(error)


Envelope = tuple[bytes, OutgoingCall | list[OutgoingCall], Sequence[bytes]]
"""The JSON array of an event, the call or the calls that it carries, and their attachments."""


def envelopes(
    calls: Sequence[OutgoingCall], batch_bytes_max: int, *, together: bool
) -> Iterator[Envelope]:
    """The events that carry these calls; batches, of so many bytes, only when calls may travel
    together."""
    if len(calls) == 1 or not together:
        for call in calls:
            yield single(call), call, call.attachments
        return
    for mutation in (False, True):
        yield from _batches([call for call in calls if call.mutation is mutation], batch_bytes_max)


def _batches(calls: Sequence[OutgoingCall], bytes_max: int) -> Iterator[Envelope]:
    group: list[OutgoingCall] = []
    size = 0
    for call in calls:
        if call.alone:
            yield single(call), call, call.attachments
            continue
        own = call.size
        if group and (len(group) >= limits.RPC_BATCH_CALLS_MAX or size + own > bytes_max):
            yield _batch(group)
            group, size = [], 0
        group.append(call)
        size += own + 1  # a comma
    if group:
        yield _batch(group)


def single(call: OutgoingCall) -> bytes:
    """The JSON array of the event of one call."""
    return b"[%b,%b" % (_CALL, call.text[1:])


def _batch(calls: list[OutgoingCall]) -> Envelope:
    if len(calls) == 1:
        return single(calls[0]), calls[0], calls[0].attachments
    texts: list[bytes] = []
    attachments: list[bytes] = []
    for call in calls:
        text = call.text
        if call.attachments:
            text = renumbered(text, len(call.attachments), len(attachments))
            attachments += call.attachments
        texts.append(text)
    return b"[%b,[%b]]" % (_BATCH, b",".join(texts)), calls, attachments
