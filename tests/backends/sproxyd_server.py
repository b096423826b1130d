"""A RING for tests: ``python -m tests.backends.sproxyd_server PORT FOLDER [PATH]``.

Written from the facts that reference/cloudserver-features.md has of sproxyd, section 5, and strict
about them: what the real one might let pass is refused here, and noted among the ``violations``.
Several of them on one folder are the connectors of one RING.

``/control`` is for tests: GET says what went on, PUT has the next requests go wrong.

    {"on": "PUT", "status": 503}     answer so; without "on", whatever is asked
    {"status": 200, "page": "<p>"}   answer so, as a captive portal does
    {"hang": "head"}                 take the request, and say nothing
    {"hang": "body"}                 send half of the body, and no more
    {"cut": "body"}                  send half of the body, and end the connection
    {"die": "body"}                  end the process when half of a blob has arrived
    {"times": 3, ...}                so often, and then all is well; else until told otherwise
    {}                               all is well
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

_KEY = re.compile("[0-9A-F]{40}")
_SERVICE = "59"
_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]+)")
_PIECE_BYTES = 64 * 1024


class Ring:
    """What the connectors of a RING share, and what one of them is told to do."""

    def __init__(self, folder: Path, path: str) -> None:
        self.folder = folder
        self.path = path
        self.lock = threading.Lock()
        self.fault: dict[str, Any] = {}
        self.requests: list[str] = []
        self.violations: list[str] = []
        self.never = threading.Event()

    def take_fault(self, method: str) -> dict[str, Any]:
        """What goes wrong with a request of this method, counted."""
        with self.lock:
            fault = self.fault
            if not fault or fault.get("on", method) != method:
                return {}
            if "times" in fault:
                left = fault["times"] - 1
                self.fault = {**fault, "times": left} if left else {}
            return fault


class RefusedError(Exception):
    """A request that the rules do not allow."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    ring: ClassVar[Ring]
    fault: dict[str, Any]

    def do_PUT(self) -> None:
        if self.path == "/control":
            self.ring.fault = json.loads(self._whole())
            self._answer(200)
        else:
            self._serve(self._put)

    def do_GET(self) -> None:
        ring = self.ring
        if self.path == "/control":
            said = {"requests": ring.requests, "violations": ring.violations}
            self._answer(200, json.dumps(said).encode())
        elif self.path == f"{ring.path}.conf":
            self._serve(lambda: self._answer(200, b"{}"))
        else:
            self._serve(self._get)

    def do_DELETE(self) -> None:
        self._serve(self._delete)

    def do_POST(self) -> None:
        self._serve(self._delete_batch)

    def _serve(self, handle: Any) -> None:
        ring = self.ring
        ring.requests.append(f"{self.command} {self.path}")
        self.fault = ring.take_fault(self.command)
        if self.fault.get("hang") == "head":
            ring.never.wait()
        try:
            if not self.path.endswith("/.conf"):  # which people ask for by hand
                self._check_headers()
            if "status" in self.fault:
                self._whole()
                page = self.fault.get("page")
                said = {} if page is None else {"Content-Type": "text/html"}
                self._answer(self.fault["status"], (page or "told to").encode(), said)
                return
            handle()
        except RefusedError as refused:
            ring.violations.append(f"{self.command} {self.path}: {refused}")
            self.close_connection = True
            self._answer(400, str(refused).encode())

    def _check_headers(self) -> None:
        headers = self.headers
        if not 0 < len(headers.get("X-Scal-Request-Uids", "")) < 128:
            raise RefusedError("X-Scal-Request-Uids")
        if headers.get("X-Scal-Replica-Policy") != "immutable":
            raise RefusedError("X-Scal-Replica-Policy")
        batch = self.path.endswith(".batch_delete")
        expected = "application/json" if batch else "application/octet-stream"
        if headers.get("Content-Type") != expected:
            raise RefusedError("Content-Type")
        if self.command in ("PUT", "POST") and not headers.get("Content-Length", "").isdigit():
            raise RefusedError("Content-Length")

    def _file(self) -> Path:
        """Where the blob is that is asked for."""
        prefix, key = self.path[:-40], self.path[-40:]
        if prefix != self.ring.path:
            raise RefusedError("path")
        return self._file_of(key)

    def _file_of(self, key: str) -> Path:
        if not _KEY.fullmatch(key) or key[30:32] != _SERVICE or key[39] != "0":
            raise RefusedError(f"key {key}")
        if "/arc/" in self.ring.path and key[38] != "2":
            raise RefusedError(f"class of service of {key}")
        return self.ring.folder / key

    def _put(self) -> None:
        file = self._file()
        left = int(self.headers["Content-Length"])
        half = left // 2
        draft = self.ring.folder / f".{secrets.token_hex(8)}"
        try:
            with draft.open("wb") as written:
                while left:
                    piece = self.rfile.read(min(left, _PIECE_BYTES))
                    if not piece:
                        return
                    written.write(piece)
                    left -= len(piece)
                    if left <= half and self.fault.get("die") == "body":
                        os._exit(9)
            try:
                os.link(draft, file)
            except FileExistsError:
                if file.read_bytes() != draft.read_bytes():
                    raise RefusedError("an immutable blob was written again") from None
        finally:
            draft.unlink()
        self._answer(200)

    def _get(self) -> None:
        try:
            blob = self._file().open("rb")
        except FileNotFoundError:
            self._answer(404)
            return
        with blob:
            size = os.fstat(blob.fileno()).st_size
            if (asked := self.headers.get("Range")) is None:
                self._answer_from(blob, 200, 0, size)
                return
            found = _RANGE.fullmatch(asked)
            if found is None:
                raise RefusedError(f"Range {asked}")
            start, end = int(found[1]), min(int(found[2]), size - 1)
            if start > end:
                self._answer(416)
                return
            where = {"Content-Range": f"bytes {start}-{end}/{size}"}
            self._answer_from(blob, 206, start, end + 1 - start, where)

    def _answer_from(
        self, blob: BinaryIO, status: int, start: int, length: int, headers: Any = None
    ) -> None:
        """Answer with part of a blob; with half of it, as the fault has it."""
        self._begin(status, length, headers)
        fails = "body" in (self.fault.get("hang"), self.fault.get("cut"))
        left = length // 2 if fails else length
        blob.seek(start)
        while left:
            piece = blob.read(min(left, _PIECE_BYTES))
            self.wfile.write(piece)
            left -= len(piece)
        if fails:
            self.wfile.flush()
            if self.fault.get("hang") == "body":
                self.ring.never.wait()
            self.close_connection = True

    def _delete(self) -> None:
        try:
            self._file().unlink()
        except FileNotFoundError:
            self._answer(404)
        else:
            self._answer(200)

    def _delete_batch(self) -> None:
        if self.path != f"{self.ring.path}.batch_delete":
            raise RefusedError("path")
        asked = json.loads(self._whole())
        if list(asked) != ["keys"] or not 0 < len(asked["keys"]) <= 1000:
            raise RefusedError("keys")
        for key in asked["keys"]:
            with contextlib.suppress(FileNotFoundError):
                self._file_of(key).unlink()
        self._answer(200)

    def _whole(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, status: int, body: bytes = b"", headers: Any = None) -> None:
        self._begin(status, len(body), headers)
        self.wfile.write(body)

    def _begin(self, status: int, length: int, headers: Any = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        """Nothing: ``requests`` has them."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """A client that went away is none of its business."""


def main() -> None:
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    Handler.ring = Ring(folder, sys.argv[3] if len(sys.argv) > 3 else "/proxy/arc/")
    Server(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
