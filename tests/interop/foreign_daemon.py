"""A metadata daemon that is not ours: the original's methods over a dict, on python-socketio alone.

It shares no code with the project, has none of its extensions, and speaks as the original does
(reference/dmd-wire.md, sections 2 to 4): one item in each of the first packets of a stream, then
bursts, four unacknowledged at most.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

import socketio
from aiohttp import web

from tests.interop.raw_client import NAMESPACE

_METHODS = ["createReadStream", "rawListKeys", "getUUID", "put", "del", "get", "getDiskUsage"]
_WINDOW = 4
_BURST = 15


class ForeignDaemon(socketio.AsyncNamespace):  # type: ignore[misc]  # the library is untyped
    """``calls`` has the name and parameters of every call; ``silent`` ones are not answered."""

    def __init__(self) -> None:
        super().__init__(NAMESPACE)
        self.records: dict[tuple[str, ...], dict[str, str]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.silent: set[str] = set()
        self.hung_up: set[str] = set()
        self.events: list[str] = []
        self.port = 0
        self._versions = _Versions()
        self._streams: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def trigger_event(self, event: str, *arguments: Any) -> Any:
        self.events.append(event)
        if event == "stream-hangup":
            self.hung_up.add(arguments[1]["streamId"])
            return None
        return await super().trigger_event(event, *arguments)

    async def on_call(self, sid: str, name: str, params: dict[str, Any]) -> tuple[Any, ...]:
        self.calls.append((name, params))
        if name in self.silent:
            await asyncio.Event().wait()
        if name not in [*_METHODS, "getManifest"]:
            return ({"InvalidArgument": True},)
        level = self.records.setdefault(tuple(params["subLevel"]), {})
        arguments = params["rpcArgs"]
        match name:
            case "put":
                key, value, options = arguments
                return None, self._versions.put(level, key, value, options)
            case "del":
                key, options = arguments
                return None, self._versions.delete(level, key, options)
            case "get":
                value = self._versions.get(level, arguments[0])
                if value is None:
                    missing = {"code": 404, "description": "missing", "type": "ObjNotFound"}
                    return ({"is_arsenal_error": True, **missing},)
                return None, value
            case "getUUID":
                return None, "d300da26-03c1-4a56-a2e0-65aee683b485"
            case "getManifest":
                api = [{"name": method} for method in _METHODS]
                return None, {"apiVersion": "1.0", "api": api}
            case "createReadStream":
                return None, self._begin_stream(sid, level, arguments[0] or {})
        return None, None

    def _begin_stream(
        self, sid: str, level: dict[str, str], options: dict[str, Any]
    ) -> dict[str, Any]:
        stream_id = str(uuid.uuid4())
        names = [name for name in sorted(level, key=str.encode) if _in_range(name, options)]
        items: list[Any] = [
            {"key": name, "value": level[name]} for name in names[: options.get("limit")]
        ]
        for left_out, kept in (("values", "key"), ("keys", "value")):
            if options.get(left_out) is False:
                items = [item[kept] for item in items]
        task = asyncio.create_task(self._stream(sid, stream_id, items))
        self._streams.add(task)
        task.add_done_callback(self._streams.discard)
        return {"$streamId": stream_id, "readable": True, "writable": False}

    async def _stream(self, sid: str, stream_id: str, items: list[Any]) -> None:
        room = asyncio.Semaphore(_WINDOW)
        sent = 0
        while items and stream_id not in self.hung_up:
            count = 1 if sent < _WINDOW else _BURST
            page, items = items[:count], items[count:]
            await room.acquire()
            await self._send(sid, "stream-data", stream_id, room, data=page)
            sent += 1
        if stream_id not in self.hung_up:
            await self._send(sid, "stream-end", stream_id, room)

    async def _send(
        self, sid: str, event: str, stream_id: str, room: asyncio.Semaphore, **members: Any
    ) -> None:
        payload = {"streamId": stream_id, **members}
        await self.emit(event, payload, to=sid, callback=lambda *_: room.release())

    async def end_streams(self) -> None:
        for task in self._streams:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


class _Versions:
    """What the versioning options of an old connector do (reference/dmd-wire.md, section 6)."""

    def __init__(self) -> None:
        self._made = count()

    def put(
        self, level: dict[str, str], key: str, value: str, options: dict[str, Any] | None
    ) -> str | None:
        options = options or {}
        version = options.get("versionId")
        if version is None and not options.get("versioning"):
            level[key] = value
            return None
        if version:
            level[f"{key}\0{version}"] = value
            master = level.get(key)
            if master is None or _version_in(master) is None or _version_in(master) >= version:
                level[key] = value
            return json.dumps({"versionId": version})
        made = self._new_id()
        level[key] = f'{value.rstrip()[:-1]},"versionId":"{made}"}}'
        if version is None:
            level[f"{key}\0{made}"] = level[key]
        if options.get("deleteNullKey"):
            level.pop(f"{key}\0", None)
        return json.dumps({"versionId": made})

    def delete(self, level: dict[str, str], key: str, options: dict[str, Any] | None) -> str | None:
        version = (options or {}).get("versionId")
        if not version:
            level.pop(key, None)
            return None
        level.pop(f"{key}\0" if version == "null" else f"{key}\0{version}", None)
        if key in level and _version_in(level[key]) == version:
            level[key] = f'{{ "isPHD": true, "versionId": "{self._new_id()}" }}'
        return json.dumps({"versionId": version})

    def get(self, level: dict[str, str], key: str) -> str | None:
        """The value; a placeholder for a deleted one is repaired."""
        value = level.get(key)
        if value is None or "isPHD" not in value:
            return value
        newest = min((name for name in level if name.startswith(f"{key}\0")), default=None)
        del level[key]
        if newest is not None:
            level[key] = level[newest]
        return level.get(key)

    def _new_id(self) -> str:
        number = next(self._made)
        return f"{10**14 - 1 - time.time_ns() // 10**6:014}{10**6 - 1 - number:06}OTHER  {number}"


def _version_in(value: str) -> Any:
    return json.loads(value).get("versionId")


def _in_range(name: str, options: dict[str, Any]) -> bool:
    # As the original: without an upper bound, what begins above U+FFFF is left out.
    highest = options.get("lt", options.get("lte", "\uffff"))
    return (
        name >= options.get("gte", "")
        and name <= highest
        and ("gt" not in options or name > options["gt"])
        and ("lt" not in options or name < options["lt"])
    )


@asynccontextmanager
async def foreign_daemon() -> AsyncIterator[ForeignDaemon]:
    """A daemon inside this process, until the end of the block."""
    server = socketio.AsyncServer(async_mode="aiohttp")
    daemon = ForeignDaemon()
    server.register_namespace(daemon)
    application = web.Application()
    server.attach(application)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    daemon.port = runner.addresses[0][1]
    try:
        yield daemon
    finally:
        await daemon.end_streams()
        await server.shutdown()
        await runner.cleanup()
