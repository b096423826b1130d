"""The S3 operations that crash tests interrupt: how to run them, and what they leave.

An operation has an effect or it has not, whatever dies on its way. ``happened`` tells which from
the outside, and fails when it is neither.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import count

from shared.failpoints import ArmedFailPoint, FailPoint
from tests.api.support import md5_base64
from tests.etags import etag_of, multipart_etag_of
from tests.multipart import begin_upload, completion, send_part
from tests.raw_http import Response, call
from tests.servers import Front

_NUMBERS = count(1)
Points = tuple[ArmedFailPoint, ...]


def _first(*points: FailPoint) -> Points:
    return tuple(map(ArmedFailPoint, points))


STORING = _first(
    FailPoint.BEFORE_SEGMENT_WRITE,
    FailPoint.AFTER_SEGMENT_WRITE,
    FailPoint.AFTER_SEGMENT_FSYNC,
    FailPoint.BEFORE_DATA_WRITE,
    FailPoint.AFTER_DATA_WRITE,
    FailPoint.AFTER_DATA_FSYNC,
    FailPoint.AFTER_DATA_LINK,
    FailPoint.AFTER_DIRECTORY_FSYNC,
    FailPoint.AFTER_DATA_STORED,
    FailPoint.BEFORE_COMMIT,
    FailPoint.AFTER_COMMIT,
    FailPoint.AFTER_RECORD_COMMIT,
)
"""What an operation passes that stores bytes and then the record that names them."""

REMOVING = _first(FailPoint.BEFORE_COMMIT, FailPoint.AFTER_COMMIT, FailPoint.AFTER_RECORD_COMMIT)

CLOSING = (
    *REMOVING,
    *_first(FailPoint.AFTER_CLOSING_SLICE, FailPoint.AFTER_UPLOAD_CLOSED),
)
"""What the end of an upload passes: its own commit, and then the clean-up."""

CLEAN_UP = tuple(
    ArmedFailPoint(point, visit)
    for point in (FailPoint.BEFORE_COMMIT, FailPoint.AFTER_COMMIT)
    for visit in (2, 3)
)
"""The commits of the clean-up: that of a slice of parts, and that of the closing record."""


class Operation(ABC):
    """One request on objects of its own. ``points`` are the fail-points on its way."""

    points: Points = ()
    stores_data = False
    status = 200
    repeated_status = 200
    """The answer when the request is sent again after it took effect."""

    def __init__(self, front: Front, bucket: str) -> None:
        self.front = front
        self.bucket = bucket
        self.key = f"{type(self).__name__}-{next(_NUMBERS)}"
        self.target = f"/{bucket}/{self.key}"
        self.prepare()

    def prepare(self) -> None:  # noqa: B027  # most operations need something, not all
        """Make what the operation works on."""

    @abstractmethod
    def run(self) -> Response:
        """Send the request. Raises OSError when no response comes."""

    def assert_unavailable(self, response: Response) -> None:
        """The answer while a daemon is away."""
        assert (response.status, response.error["Code"]) == (503, "ServiceUnavailable")

    @abstractmethod
    def happened(self) -> bool:
        """Whether the operation took effect."""

    def send(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Response:
        """Send a request on a connection of its own."""
        return call(self.front, method, target, body, headers)

    def put(self, target: str, data: bytes) -> None:
        assert self.send("PUT", target, data).status == 200

    def content(self, target: str) -> bytes | None:
        """The bytes of an object, None when there is none; its ETag must be theirs."""
        response = self.send("GET", target)
        if response.status == 404:
            return None
        assert response.status == 200, response.body
        etag = response.headers["ETag"]
        if "-" not in etag:
            assert etag == etag_of(response.body)
        return response.body


class PutNew(Operation):
    points = STORING
    stores_data = True
    before: bytes | None = None
    after = b"new bytes"

    def run(self) -> Response:
        return self.send("PUT", self.target, self.after, {"x-amz-meta-is": "new"})

    def happened(self) -> bool:
        found = self.content(self.target)
        assert found in (self.before, self.after)
        described = self.send("HEAD", self.target).headers.get("x-amz-meta-is")
        assert (described == "new") == (found == self.after)
        return found == self.after


class PutOver(PutNew):
    before = b"old"

    def prepare(self) -> None:
        self.put(self.target, self.before)


class Copy(Operation):
    points = STORING
    stores_data = True
    data = b"bytes of the source"

    def prepare(self) -> None:
        self.source = f"/{self.bucket}/source-of-{self.key}"
        self.put(self.source, self.data)
        self.put(self.target, b"old")

    def run(self) -> Response:
        return self.send("PUT", self.target, b"", {"x-amz-copy-source": self.source})

    def happened(self) -> bool:
        assert self.content(self.source) == self.data
        found = self.content(self.target)
        assert found in (b"old", self.data)
        return found == self.data


class Rename(Operation):
    """With a client token, so that it may be sent again after it took effect."""

    points = REMOVING
    data = b"bytes that stay where they are"

    def prepare(self) -> None:
        self.source = f"/{self.bucket}/source-of-{self.key}"
        self.put(self.source, self.data)
        self.put(self.target, b"old")

    def run(self) -> Response:
        headers = {"x-amz-rename-source": self.source, "x-amz-client-token": self.key}
        return self.send("PUT", f"{self.target}?renameObject", b"", headers)

    def happened(self) -> bool:
        found = self.content(self.target), self.content(self.source)
        assert found in ((b"old", self.data), (self.data, None))
        return found == (self.data, None)


class Delete(Operation):
    points = REMOVING
    status = repeated_status = 204

    def prepare(self) -> None:
        self.put(self.target, b"old")

    def run(self) -> Response:
        return self.send("DELETE", self.target)

    def happened(self) -> bool:
        found = self.content(self.target)
        assert found in (None, b"old")
        return found is None


class DeleteMany(Operation):
    """A batch that is one commit."""

    points = REMOVING
    keys_count = 3

    def prepare(self) -> None:
        self.keys = [f"{self.key}/{number}" for number in range(self.keys_count)]
        for key in self.keys:
            self.put(f"/{self.bucket}/{key}", b"old")

    def run(self) -> Response:
        rows = "".join(f"<Object><Key>{key}</Key></Object>" for key in self.keys)
        body = f"<Delete>{rows}</Delete>".encode()
        headers = {"Content-MD5": md5_base64(body)}
        return self.send("POST", f"/{self.bucket}?delete", body, headers)

    def assert_unavailable(self, response: Response) -> None:
        """Each key is answered for itself."""
        assert response.status == 200
        errors = {
            node.findtext("Key"): node.findtext("Code") for node in response.xml.iter("Error")
        }
        assert errors == dict.fromkeys(self.keys, "ServiceUnavailable")

    def happened(self) -> bool:
        found = [self.content(f"/{self.bucket}/{key}") for key in self.keys]
        assert set(found) in ({None}, {b"old"})
        return found[0] is None


class UploadOperation(Operation):
    """An upload with one part, to be used, and one in addition."""

    first = b"first part"

    def prepare(self) -> None:
        self.upload_id = begin_upload(self.send, self.target)
        self.place = f"{self.target}?uploadId={self.upload_id}"
        for number, data in enumerate((self.first, b"unused"), start=1):
            assert self.send_part(number, data).status == 200

    def send_part(self, number: int, data: bytes) -> Response:
        return send_part(self.send, self.target, self.upload_id, number, data)

    def parts(self) -> dict[int, str] | None:
        """The ETag of every part, None when there is no such upload."""
        response = self.send("GET", self.place)
        if response.status == 404:
            assert response.error["Code"] == "NoSuchUpload"
            return None
        rows = response.xml.iter("Part")
        return {int(row.findtext("PartNumber", "")): row.findtext("ETag", "") for row in rows}


class UploadPart(UploadOperation):
    points = STORING
    stores_data = True
    data = b"another part"

    def run(self) -> Response:
        return self.send_part(1, self.data)

    def happened(self) -> bool:
        parts = self.parts()
        assert parts is not None
        assert parts.keys() == {1, 2}
        assert parts[1] in (etag_of(self.first), etag_of(self.data))
        return parts[1] == etag_of(self.data)


class UploadPartCopy(UploadPart):
    def prepare(self) -> None:
        super().prepare()
        self.source = f"/{self.bucket}/source-of-{self.key}"
        self.put(self.source, self.data)

    def run(self) -> Response:
        target = f"{self.place}&partNumber=1"
        return self.send("PUT", target, b"", {"x-amz-copy-source": self.source})


class Complete(UploadOperation):
    """In the place of an object."""

    points = (*CLOSING, *CLEAN_UP)

    def prepare(self) -> None:
        super().prepare()
        self.put(self.target, b"old")

    def run(self) -> Response:
        response = self.send("POST", self.place, completion({1: self.first}))
        if response.status == 200:
            assert response.xml.findtext("ETag") == multipart_etag_of([self.first])
        return response

    def happened(self) -> bool:
        parts, found = self.parts(), self.content(self.target)
        if parts is None:
            assert found == self.first
            return True
        assert parts == {1: etag_of(self.first), 2: etag_of(b"unused")}
        assert found == b"old"
        return False


class Abort(UploadOperation):
    points = CLOSING
    status = 204
    repeated_status = 404

    def run(self) -> Response:
        return self.send("DELETE", self.place)

    def happened(self) -> bool:
        assert self.content(self.target) is None
        return self.parts() is None


class DeleteBucket(UploadOperation):
    """Of a bucket that an upload is under way in."""

    points = REMOVING
    status = 204
    repeated_status = 404

    def prepare(self) -> None:
        self.bucket = f"of-operation-{next(_NUMBERS)}"
        self.target = f"/{self.bucket}/key"
        assert self.send("PUT", f"/{self.bucket}").status == 200
        super().prepare()

    def run(self) -> Response:
        return self.send("DELETE", f"/{self.bucket}")

    def happened(self) -> bool:
        response = self.send("GET", self.place)
        if response.status == 404:
            assert response.error["Code"] == "NoSuchBucket"
            return True
        assert self.parts() == {1: etag_of(self.first), 2: etag_of(b"unused")}
        return False


OPERATIONS: tuple[type[Operation], ...] = (
    PutNew,
    PutOver,
    Copy,
    Rename,
    UploadPart,
    UploadPartCopy,
    Complete,
    Abort,
    DeleteBucket,
    Delete,
    DeleteMany,
)
