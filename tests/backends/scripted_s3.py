"""An S3 service that answers what a test says: for what no real one does on demand."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from s3front.locations.location_config import Written
from s3front.locations.s3_details import S3Details, read_details

CUT = b"\0cut\0"
"""In an answer: the connection ends here."""

OK_ETAG = {"ETag": '"841a2d689ad86bd1611447453c22c6fc"'}
"""That of ``body``."""


@dataclass
class Asked:
    """A request as it came; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    def is_about(self, name: str) -> bool:
        """Whether a parameter is in its query."""
        query = self.target.partition("?")[2]
        return any(part.partition("=")[0] == name for part in query.split("&"))


Answer = Callable[[Asked], bytes]


def answer(
    status: int, headers: dict[str, str] | None = None, body: bytes = b"", length: int | None = None
) -> bytes:
    """An answer as it is on the wire; ``length`` is what it says of its body."""
    said = {"Content-Length": str(len(body) if length is None else length), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    return f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode() + body


def error(status: int, code: str, more: str = "", headers: dict[str, str] | None = None) -> bytes:
    """An error document."""
    body = f"<Error><Code>{code}</Code><Message>so</Message>{more}</Error>".encode()
    return answer(status, headers, body)


def chunks(headers: dict[str, str], *pieces: bytes) -> bytes:
    """An answer in chunks."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{lines}\r\n".encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


@dataclass
class ScriptedS3:
    """``asked`` are its requests. What a bucket is asked before it is written to is answered of
    itself: it has versions if it is ``versioned``, keeps to conditions and tags,
    and has MD5s for ETags."""

    say: Answer
    versioned: bool = False
    port: int = 0
    invites: bool = True
    hides_versioning: bool = False
    """Whether it keeps versions is answered as the test says, too."""
    lists: bytes = answer(200, {}, b"<Listing/>")
    """What it answers to whoever looks for probes that were left."""
    asked: list[Asked] = field(default_factory=list)

    def details(self, **more: object) -> S3Details:
        written = Written("locationConfig.json", "there.details", "there", {}, Path("/"))
        document = {
            "awsEndpoint": f"http://127.0.0.1:{self.port}",
            "bucketName": "there",
            "bucketMatch": True,
            "credentials": {"accessKey": "A", "secretKey": "B"},
            **more,
        }
        return read_details(document, written)

    def wanted(self) -> list[str]:
        """The requests that are about the test's own objects, as method and target."""
        return [f"{each.method} {each.target}" for each in self.asked if not _is_probe(each)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head[:-4].split("\r\n")
                method, target, _ = first.split(" ")
                headers = {n.lower(): text for n, text in (line.split(": ", 1) for line in lines)}
                asked = Asked(method, target, headers, b"")
                self.asked.append(asked)
                if headers.get("expect") and not self.invites:
                    writer.write(self.say(asked))
                    return
                if headers.get("expect"):
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                asked.body = await reader.readexactly(int(headers.get("content-length", "0")))
                said = self._of_bucket(asked) or self.say(asked)
                before, cut, _ = said.partition(CUT)
                writer.write(before)
                await writer.drain()
                if cut:
                    return
        writer.close()

    def _of_bucket(self, asked: Asked) -> bytes | None:
        if asked.is_about("versioning") and not self.hides_versioning:
            status = "<Status>Enabled</Status>" if self.versioned else ""
            said = f"<VersioningConfiguration>{status}</VersioningConfiguration>"
            return answer(200, {}, said.encode())
        if not _is_probe(asked) or asked.is_about("versioning"):
            return None
        if asked.is_about("prefix"):
            return self.lists
        if asked.method == "DELETE":
            return answer(204)
        if asked.is_about("tagging"):
            return answer(200, {}, b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>")
        first = [each.target for each in self.asked].count(asked.target) == 1
        if not first:
            return error(412, "PreconditionFailed")
        etag = hashlib.md5(asked.body, usedforsecurity=False).hexdigest()
        return answer(200, {"ETag": f'"{etag}"'})


def _is_probe(asked: Asked) -> bool:
    return "twofold-probe" in asked.target or asked.is_about("versioning")


@contextlib.asynccontextmanager
async def scripted(
    say: Answer, *, versioned: bool = False, invites: bool = True
) -> AsyncIterator[ScriptedS3]:
    """A service that says so, until the block ends."""
    running = ScriptedS3(say, versioned, invites=invites)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await running.serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()
