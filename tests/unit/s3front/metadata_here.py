"""A metadata daemon in this process: its service over memory, called as a client calls it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from dmd.metadata.engines.base import EngineFatalError
from dmd.metadata.engines.memory import MemoryEngine
from dmd.metadata.metadata_service import MetadataService
from dmd.metadata.writer import Writer
from s3front.metadata.gateway import MetadataGateway
from s3front.rpc.rpc_client import RpcClient
from shared.errors import ServiceError
from shared.rpc.envelope import Call, RemoteError
from tests.unit.dmd.metadata.support import RecordingLog


class MetadataHere:
    """``gateway`` is what front-ends have of it; without the wire, and all else is real."""

    def __init__(self) -> None:
        engine = MemoryEngine()
        writer = Writer(engine, RecordingLog(), _unexpected)
        self._service = MetadataService(engine, writer, "uuid", None)
        self.connections = 1
        self.gateway = MetadataGateway(cast(RpcClient, self))

    def has(self, _method: str) -> bool:
        return True

    async def supports(self, _method: str) -> bool:
        return True

    def extends(self, _extension: str) -> bool:
        return True

    async def call(
        self,
        name: str,
        arguments: Sequence[Any],
        sub_level: Sequence[str] = (),
        request_uids: str | None = None,
    ) -> Any:
        try:
            return await self._service.call(Call(name, arguments, sub_level, request_uids))
        except ServiceError as error:
            raise RemoteError(error.code, error.status, error.message, error.fields) from error


def _unexpected(error: EngineFatalError) -> None:
    raise AssertionError(error)
