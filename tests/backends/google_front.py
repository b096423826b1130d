"""``python -m tests.backends.google_front PORT S3_PORT``: an S3 service with Google's ways.

It stands in front of another one, on this machine, and has the names and habits of Google's XML API
as the store of ``gcp`` relies on them: generations for versions, also of buckets that keep none; no
look at ``If-None-Match`` of a PUT; no tags; ``x-goog-`` before what it says itself; a CRC-32C in
``x-goog-hash``; versions listed from the oldest. It verifies signatures, and signs anew.
"""

from __future__ import annotations

import base64
import http.client
import re
import sys
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


class Google(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    s3_port = 0

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        path, _, query = self.path.partition("?")
        if not self._is_signed(path, query):
            self._say(403, {}, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
            return
        pairs = parse_qsl(query, keep_blank_values=True)
        if any(name == "tagging" for name, _ in pairs) or "x-amz-tagging" in self.headers:
            self._say(501, {}, b"<Error><Code>NotImplemented</Code></Error>")
            return
        if any(name.lower().startswith("x-goog") for name in self.headers):
            self._say(400, {}, b"<Error><Code>ExcessHeaderValues</Code></Error>")
            return
        given = [(_PARAMETERS.get(name, name), value) for name, value in pairs]
        if not self._is_generation_there(path, dict(given)):
            self._say(404, {}, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        status, headers, answer = self._asked(self.command, path, given, body)
        if status < 300 and self.command == "GET" and not given and "Range" not in self.headers:
            crc = anycrc.Model("CRC32C").calc(answer).to_bytes(4)
            md5 = headers.get("etag", "").strip('"')
            headers["x-goog-hash"] = f"crc32c={base64.b64encode(crc).decode()},md5={md5}"
        if "etag" in headers and "x-goog-generation" not in headers and self.command != "DELETE":
            headers["x-goog-generation"] = _generation(headers["etag"])
        if dict(given).get("versions") is not None:
            answer = _listed(answer)
        self._say(status, headers, answer)

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
        _, headers, _ = self._asked("HEAD", path, [], b"")
        return _generation(headers.get("etag", "")) == version

    def _asked(
        self, method: str, path: str, given: list[tuple[str, str]], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        kept = [pair for pair in given if not (pair[0] == "versionId" and pair[1][:3] == "of-")]
        query = urlencode(kept, quote_via=quote, safe="-_.~")
        host = f"127.0.0.1:{self.s3_port}"
        headers = {
            name: value for name, value in self.headers.items() if name.lower() not in _NOT_PASSED
        }
        headers = {**headers, "Host": host, "Accept-Encoding": "identity"}
        head = RequestHead(method, path, query, fold_headers(headers.items()))
        signed = sign_request(head, _KEY, datetime.now(UTC), "UNSIGNED-PAYLOAD")
        connection = http.client.HTTPConnection("127.0.0.1", self.s3_port, timeout=60)
        target = f"{path}?{query}" if query else path
        connection.request(method, target, body or None, {**headers, **signed.headers})
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        found = {}
        for name, value in response.getheaders():
            lower = name.lower()
            if lower.startswith("x-amz-meta-"):
                lower = f"x-goog-meta-{lower.removeprefix('x-amz-meta-')}"
            if lower.startswith("x-amz-") and lower not in _HEADERS:
                continue
            found[_HEADERS.get(lower, lower)] = value
        return response.status, found, answer

    def _say(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        length = headers.pop("content-length", None)
        for name, value in headers.items():
            if name not in ("connection", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        said = length if self.command == "HEAD" and length is not None else str(len(body))
        self.send_header("Content-Length", said)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


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
