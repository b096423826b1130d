"""Every way in which a body can come and be verified: one generated table, as raw bytes.

How the request is signed and its body written, which digest it declares and where, whether that is
right, wrong or none at all, as an object or as a part, over HTTP and HTTPS: each combination that
exists is sent, cut at random points, and must be stored whole, with its checksum, or not at all.

The sizes, the malformed texts and the cuts are random. A failure prints its seed; the environment
variable ``CHECKSUM_TABLE_SEED`` brings it back.
"""

from __future__ import annotations

import base64
import hashlib
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import StrEnum
from functools import lru_cache
from itertools import product

import pytest

from s3front.auth import sigv2
from s3front.auth.sigv4 import PayloadForm, RequestHead, fold_headers, presign
from s3front.bodies.checksums import Algorithm
from tests.api.support import (
    checksum_headers,
    checksum_members,
    checksum_of,
    md5_base64,
    md5_hex,
    new_name,
)
from tests.multipart import begin_upload
from tests.raw_http import (
    OWNER,
    Connection,
    Response,
    Wire,
    host_of,
    random_cuts,
    sign,
    sign_chunked,
    wire,
    with_wrong_chunk_signature,
)
from tests.servers import Front

pytestmark = pytest.mark.usefixtures("undisturbed")

SEED = os.environ.get("CHECKSUM_TABLE_SEED") or str(random.SystemRandom().randrange(2**32))
SIZES = (0, 1, 9_000, 70_000, 300_000)
CUTS = 8
CONTENT_MD5 = "Content-MD5"


class Sender(StrEnum):
    """How a request is signed, and its body written."""

    HASHED = "hashed"
    UNSIGNED = "unsigned"
    SIGNED_CHUNKS = "signed-chunks"
    SIGNED_TRAILER = "signed-trailer"
    UNSIGNED_TRAILER = "unsigned-trailer"
    PRESIGNED = "presigned"
    VERSION_2 = "version-2"
    ANONYMOUS = "anonymous"


CHUNKED = {
    Sender.SIGNED_CHUNKS: PayloadForm.STREAMING_SIGNED,
    Sender.SIGNED_TRAILER: PayloadForm.STREAMING_SIGNED_TRAILER,
    Sender.UNSIGNED_TRAILER: PayloadForm.STREAMING_UNSIGNED_TRAILER,
}
WITH_TRAILER = (Sender.SIGNED_TRAILER, Sender.UNSIGNED_TRAILER)
SELF_VERIFYING = {
    Sender.HASHED: (400, "XAmzContentSHA256Mismatch"),
    Sender.SIGNED_CHUNKS: (403, "SignatureDoesNotMatch"),
    Sender.SIGNED_TRAILER: (403, "SignatureDoesNotMatch"),
}
"""Those whose signature covers the body, and how a body is refused that is another one."""


class Digest(StrEnum):
    """What the declared digest is to the body."""

    RIGHT = "right"
    WRONG = "wrong"
    MALFORMED = "malformed"


@dataclass(frozen=True)
class Row:
    """One upload. Without ``declared`` what is right or wrong is the signature of the body."""

    sender: Sender
    declared: Algorithm | str | None
    """An algorithm, Content-MD5 or nothing."""
    in_trailer: bool
    digest: Digest
    part: bool

    @property
    def exists(self) -> bool:
        """Whether a request of this kind can be made."""
        if self.declared is None:
            possible = self.digest is Digest.RIGHT or (
                self.digest is Digest.WRONG and self.sender in SELF_VERIFYING
            )
            return possible and not self.in_trailer
        if self.in_trailer:
            return self.algorithm is not None and self.sender in WITH_TRAILER
        return True

    @property
    def algorithm(self) -> Algorithm | None:
        return self.declared if isinstance(self.declared, Algorithm) else None

    @property
    def refusal(self) -> tuple[int, str] | None:
        """Status and code of the answer, None for one that is stored."""
        if self.sender is Sender.ANONYMOUS:
            return 403, "AccessDenied"
        if self.digest is Digest.RIGHT:
            return None
        if self.declared is None:
            return SELF_VERIFYING[self.sender]
        if self.digest is Digest.WRONG:
            return 400, "BadDigest"
        return 400, "InvalidRequest" if self.algorithm is not None else "InvalidDigest"

    def __str__(self) -> str:
        place = "-trailer" if self.in_trailer else ""
        target = "part" if self.part else "object"
        return f"{self.sender}-{self.declared or 'none'}{place}-{self.digest}-{target}"


@dataclass(frozen=True)
class Upload:
    """A row with everything that is random about it."""

    row: Row
    front: Front
    seed: str

    @property
    def payload(self) -> bytes:
        return payload_of(random.Random(self.seed).choice(SIZES))

    @property
    def declaration(self) -> dict[str, str]:
        """The header or trailer that declares the digest."""
        algorithm = self.row.algorithm
        if self.row.declared is None:
            return {}
        name = CONTENT_MD5 if algorithm is None else algorithm.header
        summed = self.payload if self.row.digest is Digest.RIGHT else self.payload + b"more"
        value = md5_base64(summed) if algorithm is None else checksum_of(algorithm, summed)
        return {name: self._malformed(value) if self.row.digest is Digest.MALFORMED else value}

    def _malformed(self, value: str) -> str:
        digest = base64.b64decode(value)
        texts = [
            "nonsense!",
            digest.hex(),
            value.rstrip("=") + "*",
            f"{value}=",
            f"{value}-2",
            base64.b64encode(digest[:-1]).decode(),
            base64.b64encode(digest + b"\0").decode(),
        ]
        return random.Random(self.seed).choice(texts)

    def request(self, target: str) -> Wire:
        row, payload = self.row, self.payload
        headers = {} if row.in_trailer else self.declaration
        if row.sender in CHUNKED:
            path, _, query = target.partition("?")
            trailers = self.declaration if row.in_trailer else None
            form = CHUNKED[row.sender]
            request = sign_chunked(self.front, path, payload, form, trailers, headers, query=query)
            changed = row.declared is None and row.digest is Digest.WRONG
            return with_wrong_chunk_signature(request) if changed else request
        sent = {"Content-Length": str(len(payload)), **headers}
        if row.sender in (Sender.HASHED, Sender.UNSIGNED):
            changed = row.declared is None and row.digest is Digest.WRONG
            digest = hashlib.sha256(payload + b"more" * changed).hexdigest()
            named = digest if row.sender is Sender.HASHED else PayloadForm.UNSIGNED.value
            return sign(self.front, "PUT", target, payload, sent, payload=named)
        return self._otherwise_signed(target, {"Host": host_of(self.front), **sent})

    def _otherwise_signed(self, target: str, sent: dict[str, str]) -> Wire:
        path, _, query = target.partition("?")
        if self.row.sender is Sender.PRESIGNED:
            head = RequestHead("PUT", path, query, fold_headers(sent.items()))
            target = f"{path}?{presign(head, OWNER, datetime.now(UTC), 60)}"
        elif self.row.sender is Sender.VERSION_2:
            sent["Date"] = format_datetime(datetime.now(UTC), usegmt=True)
            old = sigv2.RequestHead("PUT", path, query, sigv2.trimmed_headers(sent.items()))
            sent["Authorization"] = sigv2.authorization(old, OWNER.access_key, OWNER.secret)
        return wire("PUT", target, sent, self.payload)


@lru_cache
def payload_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


TABLE = [
    row
    for each in product(
        Sender, (None, CONTENT_MD5, *Algorithm), (False, True), Digest, (False, True)
    )
    if (row := Row(*each)).exists
]


@dataclass
class Client:
    """A connection that is opened again when the server closes it, and the uploads made of it."""

    front: Front
    bucket: str
    _connection: Connection | None = None
    _uploads: dict[Algorithm | None, str] = field(default_factory=dict)
    _part_number: int = 0

    def exchange(self, request: Wire, seed: str = "") -> Response:
        if self._connection is None:
            self._connection = Connection(self.front)
        cuts = random_cuts(len(bytes(request)), CUTS, seed)
        response = self._connection.exchange(request, cuts)
        if response.headers.get("Connection", "").lower() == "close":
            self.close()
        return response

    def call(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Response:
        return self.exchange(sign(self.front, method, target, body, headers))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def part_target(self, algorithm: Algorithm | None) -> tuple[str, int]:
        """Where to send the next part of the upload with this algorithm, and its number."""
        key = f"/{self.bucket}/upload-{algorithm}"
        if algorithm not in self._uploads:
            chosen = {"x-amz-checksum-algorithm": algorithm.value} if algorithm else {}
            self._uploads[algorithm] = begin_upload(self.call, key, chosen)
        self._part_number += 1
        return f"{key}?uploadId={self._uploads[algorithm]}", self._part_number


@pytest.fixture(scope="module", params=["http", "https"])
def client(request: pytest.FixtureRequest, front: Front, tls_front: Front) -> Iterator[Client]:
    opened = Client(front if request.param == "http" else tls_front, new_name())
    assert opened.call("PUT", f"/{opened.bucket}").status == 200
    yield opened
    opened.close()


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_an_upload(row: Row, client: Client) -> None:
    upload = Upload(row, client.front, f"{SEED}-{row}")
    print(f"CHECKSUM_TABLE_SEED={SEED}, {len(upload.payload)} bytes, {upload.declaration}")
    check = check_part if row.part else check_object
    check(upload, client)


def check_object(upload: Upload, client: Client) -> None:
    target = f"/{client.bucket}/{upload.row}"
    response = client.exchange(upload.request(target), upload.seed)
    if upload.row.refusal is not None:
        assert code_of(response) == upload.row.refusal
        assert client.call("HEAD", target).status == 404
        return
    assert response.status == 200, response
    algorithm = upload.row.algorithm or Algorithm.CRC64NVME
    expected = {
        algorithm.header: checksum_of(algorithm, upload.payload),
        "x-amz-checksum-type": "FULL_OBJECT",
    }
    assert checksum_headers(response) == expected
    stored = client.call("GET", target, headers={"x-amz-checksum-mode": "ENABLED"})
    assert stored.body == upload.payload
    assert "Content-Encoding" not in stored.headers
    assert stored.headers["ETag"] == response.headers["ETag"] == f'"{md5_hex(upload.payload)}"'
    assert checksum_headers(stored) == expected


def check_part(upload: Upload, client: Client) -> None:
    algorithm = upload.row.algorithm
    target, number = client.part_target(algorithm)
    response = client.exchange(upload.request(f"{target}&partNumber={number}"), upload.seed)
    listed = client.call("GET", f"{target}&part-number-marker={number - 1}&max-parts=1")
    parts = listed.parsed("ListParts").get("Parts", [])
    if upload.row.refusal is not None:
        assert code_of(response) == upload.row.refusal
        assert not parts
        return
    assert response.status == 200, response
    value = checksum_of(algorithm, upload.payload) if algorithm is not None else None
    assert checksum_headers(response) == (
        {algorithm.header: value} if algorithm is not None else {}
    )
    (part,) = parts
    assert part["ETag"] == response.headers["ETag"] == f'"{md5_hex(upload.payload)}"'
    assert (part["PartNumber"], part["Size"]) == (number, len(upload.payload))
    assert checksum_members(part) == (
        {f"Checksum{algorithm}": value} if algorithm is not None else {}
    )


def code_of(response: Response) -> tuple[int, str]:
    return response.status, response.error["Code"]
