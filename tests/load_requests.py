"""The requests of which the load consists: each verified, as far as its answer goes.

Every method raises ``NotSentError`` when the server refused the connection, ``UnavailableError``
when it answered 503, and another OSError when the answer did not come or broke off. Any other error
fails an assertion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests import written
from tests.api.support import md5_base64
from tests.etags import etag_of
from tests.multipart import begin_upload, completion, send_part
from tests.raw_http import Connection, Response, sign
from tests.servers import Front
from tests.written import Written

_COMPLETES_MAX = 3
"""How often a Complete is sent until it is answered."""


class NotSentError(Exception):
    """The server refused the connection."""


class UnavailableError(Exception):
    """The request was answered with 503."""


class ObjectClient:
    """One thread's connection to a front-end, made again after it broke."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self._connection: Connection | None = None

    def request(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Response:
        """The response; raises NotSentError, or OSError when none came."""
        try:
            if self._connection is None:
                self._connection = Connection(self.front)
        except OSError as error:
            raise NotSentError from error
        try:
            sent = {"Content-Length": str(len(body)), **(headers or {})}
            response = self._connection.exchange(sign(self.front, method, target, body, sent))
        except OSError:
            self.close()
            raise
        if response.headers.get("Connection", "").lower() == "close":
            self.close()
        return response

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Requests:
    """Requests on the objects of one bucket, through one front-end."""

    def __init__(self, client: ObjectClient, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def read(self, key: str) -> Written | None:
        """The state of a key."""
        return written.read(key, self._send("GET", self._target(key)))

    def put(self, key: str, state: Written) -> None:
        self._succeed(self._send("PUT", self._target(key), state.data, state.headers))

    def delete(self, key: str) -> None:
        self._succeed(self._send("DELETE", self._target(key)))

    def delete_many(self, keys: Sequence[str]) -> set[str]:
        """The keys that were deleted; the others were answered with 503 each."""
        rows = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
        body = f"<Delete>{rows}</Delete>".encode()
        headers = {"Content-MD5": md5_base64(body)}
        answer = self._succeed(self._send("POST", f"/{self._bucket}?delete", body, headers)).xml
        failed = {node.findtext("Key"): node.findtext("Code") for node in answer.iter("Error")}
        assert set(failed.values()) <= {"ServiceUnavailable", "SlowDown"}, failed
        deleted = {node.findtext("Key", "") for node in answer.iter("Deleted")}
        assert deleted | failed.keys() == set(keys)
        return deleted

    def copy(self, source: str, key: str, state: Written, *, replace: bool) -> None:
        """Copy an object whole, with its metadata or, if ``replace``, with that of ``state``."""
        headers = {"x-amz-copy-source": self._target(source)}
        if replace:
            headers |= {"x-amz-metadata-directive": "REPLACE", **state.headers}
        answer = self._succeed(self._send("PUT", self._target(key), b"", headers))
        assert answer.xml.findtext("ETag") == state.etag

    def upload(self, key: str, state: Written) -> Callable[[], None]:
        """Upload parts; returns what completes the upload."""
        target, parts = self._target(key), written.parts_of(state.origin)
        upload_id = begin_upload(self._send, target, state.headers)
        for number, part in enumerate(parts, start=1):
            answer = self._succeed(send_part(self._send, target, upload_id, number, part))
            assert answer.headers["ETag"] == etag_of(part)
        return lambda: self._complete(f"{target}?uploadId={upload_id}", parts, state)

    def upload_copy(self, source: str, key: str, state: Written) -> Callable[[], None]:
        """Make an upload of one part, a copy of an object; returns what completes it."""
        target = self._target(key)
        upload_id = begin_upload(self._send, target, state.headers)
        headers = {"x-amz-copy-source": self._target(source)}
        answer = self._succeed(send_part(self._send, target, upload_id, 1, b"", headers))
        assert answer.xml.findtext("ETag") == etag_of(state.data)
        return lambda: self._complete(f"{target}?uploadId={upload_id}", [state.data], state)

    def abort_uploads(self) -> None:
        """Abort whatever uploads there are."""
        truncated = True
        while truncated:
            listed = self._succeed(self._send("GET", f"/{self._bucket}?uploads")).xml
            truncated = listed.findtext("IsTruncated") == "true"
            for node in listed.iter("Upload"):
                target = self._target(node.findtext("Key", ""))
                place = f"{target}?uploadId={node.findtext('UploadId')}"
                self._succeed(self._send("DELETE", place))

    def list(self) -> set[str]:
        """Every key, read page by page."""
        keys: set[str] = set()
        after = ""
        while True:
            query = f"list-type=2&max-keys=50&start-after={after.replace('/', '%2F')}"
            tree = self._succeed(self._send("GET", f"/{self._bucket}?{query}")).xml
            page = [node.text or "" for node in tree.iter("Key")]
            assert keys.isdisjoint(page)
            keys.update(page)
            if tree.findtext("IsTruncated") != "true":
                return keys
            after = page[-1]

    def _complete(self, target: str, parts: Sequence[bytes], state: Written) -> None:
        """Send a Complete until it is answered. It may have taken effect any time."""
        body = completion(dict(enumerate(parts, start=1)))
        failures: list[UnavailableError | OSError] = []
        for _ in range(_COMPLETES_MAX):
            try:
                answer = self._succeed(self._send("POST", target, body))
            except NotSentError:
                if not failures:
                    raise
            except (UnavailableError, OSError) as error:
                failures.append(error)
            else:
                assert answer.xml.findtext("ETag") == state.etag
                return
        # One without an answer may still be on its way.
        raise next((error for error in failures if isinstance(error, OSError)), failures[0])

    def _send(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Response:
        response = self._client.request(method, target, body, headers)
        if response.status == 503:
            assert response.error["Code"] in ("ServiceUnavailable", "SlowDown")
            raise UnavailableError
        if response.headers.get("Transfer-Encoding") and b"<Error>" in response.body:
            # It took long, so that its status left before its outcome was known.
            assert response.error["Code"] in ("ServiceUnavailable", "SlowDown")
            raise UnavailableError
        return response

    def _succeed(self, response: Response) -> Response:
        assert response.status in (200, 204), (response.status, response.body)
        return response

    def _target(self, key: str) -> str:
        return f"/{self._bucket}/{key}"
