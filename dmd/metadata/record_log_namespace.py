"""The record log service on its namespace: calls that name a log, and results that hold a stream.

On the wire a call of this service has ``logName`` where one of the metadata service has
``subLevel`` (reference/dmd-wire.md, section 2), and the stream of ``readRecords`` is a member of
its result. Everything else is as in ``dmd.rpc.dispatch``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dmd.metadata.record_log_service import LogPages
from dmd.rpc.dispatch import Dispatcher, Peer
from shared.rpc.attachments import Attachments
from shared.rpc.envelope import Call, Caller, parse_call


class RecordLogDispatcher(Dispatcher):
    """The calls of one ``RecordLogService``."""

    @staticmethod
    def _parse(
        arguments: Sequence[Any],
        caller: Caller | None = None,
        attachments: Attachments | None = None,
    ) -> Call:
        return parse_call(with_sub_level(tuple(arguments)), caller, attachments)

    def _start_stream(self, peer: Peer, pages: Iterator[list[Any]]) -> dict[str, Any]:
        assert isinstance(pages, LogPages)
        return {"info": pages.info, "log": super()._start_stream(peer, pages)}


def with_sub_level(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of a call with the name of its log as the sub-level."""
    match arguments:
        case [name, dict() as params, *rest] if "subLevel" not in params:
            log_name = params.get("logName")
            sub_level = [] if log_name is None else [log_name]
            return name, {**params, "subLevel": sub_level}, *rest
    return arguments
