"""``python -m tests.backends.google_front PORT S3_PORT``: an S3 service with Google's ways.

It stands in front of another one, on this machine, and has the names and habits of Google's XML API
as the store of ``gcp`` relies on them: generations for versions, also of buckets that keep none; no
look at ``If-None-Match`` of a PUT; no tags; ``x-goog-`` before what it says itself; a CRC-32C in
``x-goog-hash`` of what is no more than 8 MiB; versions listed from the oldest. It verifies
signatures, and signs anew. Larger bodies pass in blocks, both ways.
"""

from __future__ import annotations

import base64
import http.client
import re
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from urllib.parse import parse_qsl, quote, urlencode

import anycrc

from s3front.auth.sigv4 import AccessKey, RequestHead, fold_headers, sign_request, verify
from s3front.auth.sigv4_claim import header_claim
from s3front.s3_errors import S3Error
from tests.servers import ACCESS_KEY, REGION, SECRET_KEY

_KEY = AccessKey(ACCESS_KEY, SECRET_KEY, REGION)
_NOT_PASSED = ("authorization", "x-amz-date", "x-amz-content-sha256", "if-none-match", "expect")
_PARAMETERS = {"generation": "versionId", "generation-marker": "version-id-marker"}
_HEADERS = {"x-amz-version-id": "x-goog-generation"}
_BLOCK_BYTES = 1 << 18
_WHOLE_BYTES_MAX = 8 * 1024**2
_SECONDS = 60


def _blocks(source: BufferedIOBase, size: int) -> Iterator[bytes]:
    """So many bytes, as they come."""
    while size and (block := source.read(min(size, _BLOCK_BYTES))):
        size -= len(block)
        yield block


class Google(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    s3_port = 0

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def handle_any(self) -> None:
        body = _blocks(self.rfile, int(self.headers.get("Content-Length", "0")))
        path, _, query = self.path.partition("?")
        pairs = parse_qsl(query, keep_blank_values=True)
        refusal = self._refusal(path, query, pairs)
        if refusal is not None:
            status, code = refusal
            for _ in body:
                pass
            self._say(status, {}, f"<Error><Code>{code}</Code></Error>".encode())
            return
        given = [(_PARAMETERS.get(name, name), value) for name, value in pairs]
        with closing(http.client.HTTPConnection("127.0.0.1", self.s3_port, timeout=_SECONDS)) as s3:
            status, headers, response = self._asked(s3, self.command, path, given, body)
            for _ in body:  # if it was refused before all of it was there
                pass
            size = int(headers.get("content-length") or 0)
            if self.command == "GET" and size > _WHOLE_BYTES_MAX:
                self._note_generation(headers)
                self._say_head(status, headers, size)
                for block in _blocks(response, size):
                    self.wfile.write(block)
                return
            answer = response.read()
        if status < 300 and self.command == "GET" and not given and "Range" not in self.headers:
            crc = anycrc.Model("CRC32C").calc(answer).to_bytes(4)
            md5 = headers.get("etag", "").strip('"')
            headers["x-goog-hash"] = f"crc32c={base64.b64encode(crc).decode()},md5={md5}"
        self._note_generation(headers)
        if dict(given).get("versions") is not None:
            answer = _listed(answer)
        self._say(status, headers, answer)

    def _refusal(
        self, path: str, query: str, pairs: list[tuple[str, str]]
    ) -> tuple[int, str] | None:
        """What Google would say to a request that it does not take."""
        if not self._is_signed(path, query):
            return 403, "SignatureDoesNotMatch"
        if any(name == "tagging" for name, _ in pairs) or "x-amz-tagging" in self.headers:
            return 501, "NotImplemented"
        if any(name.lower().startswith("x-goog") for name in self.headers):
            return 400, "ExcessHeaderValues"
        given = {_PARAMETERS.get(name, name): value for name, value in pairs}
        return None if self._is_generation_there(path, given) else (404, "NoSuchKey")

    def _note_generation(self, headers: dict[str, str]) -> None:
        """What is stored without versions has a generation nevertheless."""
        if "etag" in headers and "x-goog-generation" not in headers and self.command != "DELETE":
            headers["x-goog-generation"] = _generation(headers["etag"])

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any  # noqa: N815  # its base's names

    def _is_signed(self, path: str, query: str) -> bool:
        head = RequestHead(self.command, path, query, fold_headers(self.headers.items()))
        try:
            verify(head, header_claim(head, datetime.now(UTC)), SECRET_KEY)
        except S3Error:
            return False
        return True

    def _is_generation_there(self, path: str, given: dict[str, str]) -> bool:
        """Of an object without versions: whether it is still the same. Its version is dropped."""
        version = given.get("versionId", "")
        if not version.startswith("of-"):
            return True
        with closing(http.client.HTTPConnection("127.0.0.1", self.s3_port, timeout=_SECONDS)) as s3:
            _, headers, _ = self._asked(s3, "HEAD", path, [], None)
        return _generation(headers.get("etag", "")) == version

    def _asked(
        self,
        s3: http.client.HTTPConnection,
        method: str,
        path: str,
        given: list[tuple[str, str]],
        body: Iterator[bytes] | None,
    ) -> tuple[int, dict[str, str], http.client.HTTPResponse]:
        """The answer of what is behind, whose body is still to be read."""
        kept = [pair for pair in given if not (pair[0] == "versionId" and pair[1][:3] == "of-")]
        query = urlencode(kept, quote_via=quote, safe="-_.~")
        host = f"127.0.0.1:{self.s3_port}"
        headers = {
            name: value for name, value in self.headers.items() if name.lower() not in _NOT_PASSED
        }
        headers = {**headers, "Host": host, "Accept-Encoding": "identity"}
        head = RequestHead(method, path, query, fold_headers(headers.items()))
        signed = sign_request(head, _KEY, datetime.now(UTC), "UNSIGNED-PAYLOAD")
        target = f"{path}?{query}" if query else path
        has_body = body is not None and "Content-Length" in headers
        s3.request(method, target, body if has_body else None, {**headers, **signed.headers})
        response = s3.getresponse()
        found = {}
        for name, value in response.getheaders():
            lower = name.lower()
            if lower.startswith("x-amz-meta-"):
                lower = f"x-goog-meta-{lower.removeprefix('x-amz-meta-')}"
            if lower.startswith("x-amz-") and lower not in _HEADERS:
                continue
            found[_HEADERS.get(lower, lower)] = value
        return response.status, found, response

    def _say(self, status: int, headers: dict[str, str], body: bytes) -> None:
        length = headers.get("content-length") if self.command == "HEAD" else None
        self._say_head(status, headers, len(body) if length is None else int(length))
        if self.command != "HEAD":
            self.wfile.write(body)

    def _say_head(self, status: int, headers: dict[str, str], size: int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name not in (
                "connection",
                "transfer-encoding",
                "date",
                "server",
                "content-length",
            ):
                self.send_header(name, value)
        self.send_header("Content-Length", str(size))
        self.end_headers()


def _generation(etag: str) -> str:
    return f"of-{etag.strip(chr(34))}"


def _listed(body: bytes) -> bytes:
    """A list of versions, from the oldest, with generations."""
    text = re.sub("(Next)?VersionId(Marker)?>", r"\1Generation\2>", body.decode())
    entries = re.findall("<Version>.*?</Version>", text, re.DOTALL)
    first = text.partition("<Version>")[0] if entries else text
    last = text.rpartition("</Version>")[2] if entries else ""
    return (first + "".join(reversed(entries)) + last).encode()


if __name__ == "__main__":
    Google.s3_port = int(sys.argv[2])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Google).serve_forever()
