"""The checksums of Amazon S3: what a request declares, computing it, and what a mismatch says.

Called by the front-end for uploads (declared in headers, or in the trailer of an aws-chunked body)
and by jobs that verify stored objects. Pure; ``BodyDigests.update`` may run in a thread, as hashlib
releases the interpreter for large pieces.

Sources: Amazon S3 user guide, "Checking object integrity in Amazon S3"; API reference, PutObject;
the texts of errors are those that the service answers with. CRC values are big-endian on the wire.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

import anycrc

from shared.errors import ServiceError

BytesLike = bytes | bytearray | memoryview

_HEADER_PREFIX: Final = "x-amz-checksum-"
# Headers with that prefix that carry no value (CreateMultipartUpload, GetObject).
_NOT_VALUES: Final = frozenset(
    {"x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode"}
)
_MD5_BYTES: Final = 16


class Algorithm(StrEnum):
    """A checksum algorithm; the value is its name in the API."""

    CRC32 = "CRC32"
    CRC32C = "CRC32C"
    CRC64NVME = "CRC64NVME"
    SHA1 = "SHA1"
    SHA256 = "SHA256"

    @property
    def header(self) -> str:
        """The header and trailer that carries it, lower-case."""
        return _HEADER_PREFIX + self.value.lower()

    @property
    def digest_bytes(self) -> int:
        return _DIGEST_BYTES[self]


_DIGEST_BYTES: Final = {
    Algorithm.CRC32: 4,
    Algorithm.CRC32C: 4,
    Algorithm.CRC64NVME: 8,
    Algorithm.SHA1: 20,
    Algorithm.SHA256: 32,
}
_BY_HEADER: Final = {algorithm.header: algorithm for algorithm in Algorithm}


# --- Computing -----------------------------------------------------------------------------------


class Checksum(Protocol):
    """A running checksum."""

    def update(self, data: BytesLike, /) -> None: ...

    def digest(self) -> bytes:
        """The raw digest of what was given so far; may be asked again later."""
        ...


class _Crc:
    """A CRC, continued from piece to piece; anycrc takes the previous result where it begins."""

    __slots__ = ("_calculate", "_digest_bytes", "_value")

    def __init__(self, model: str, digest_bytes: int) -> None:
        self._calculate: Callable[[BytesLike, int], int] = anycrc.Model(model).calc
        self._digest_bytes = digest_bytes
        self._value = 0

    def update(self, data: BytesLike, /) -> None:
        self._value = self._calculate(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._digest_bytes, "big")


_CRC_MODELS: Final = {
    Algorithm.CRC32: "CRC32",
    Algorithm.CRC32C: "CRC32C",
    Algorithm.CRC64NVME: "CRC64-NVME",
}
_FACTORIES: Final[dict[Algorithm, Callable[[], Checksum]]] = {
    Algorithm.CRC32: lambda: _Crc(_CRC_MODELS[Algorithm.CRC32], 4),
    Algorithm.CRC32C: lambda: _Crc(_CRC_MODELS[Algorithm.CRC32C], 4),
    Algorithm.CRC64NVME: lambda: _Crc(_CRC_MODELS[Algorithm.CRC64NVME], 8),
    Algorithm.SHA1: lambda: hashlib.sha1(usedforsecurity=False),
    Algorithm.SHA256: hashlib.sha256,
}


def new_checksum(algorithm: Algorithm) -> Checksum:
    return _FACTORIES[algorithm]()


class BodyDigests:
    """All digests of one body: MD5 always (it is the ETag), the others when asked for."""

    __slots__ = ("_checksum", "_md5", "_sha256", "_updates", "algorithm", "length")

    def __init__(self, *, sha256: bool = False, algorithm: Algorithm | None = None) -> None:
        self.algorithm = algorithm
        self.length = 0
        """Bytes given so far."""
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256() if sha256 else None
        self._checksum: Checksum | None = None
        if algorithm is Algorithm.SHA256 and self._sha256 is not None:
            self._checksum = self._sha256  # computed once for both
        elif algorithm is not None:
            self._checksum = new_checksum(algorithm)
        running: tuple[Checksum | None, ...] = (self._md5, self._sha256, self._checksum)
        distinct = {id(each): each for each in running if each is not None}
        self._updates = tuple(each.update for each in distinct.values())

    def update(self, data: BytesLike) -> None:
        for update in self._updates:
            update(data)
        self.length += len(data)

    def md5(self) -> bytes:
        return self._md5.digest()

    def md5_hex(self) -> str:
        """The ETag of an object uploaded in one piece, without its quotes."""
        return self._md5.hexdigest()

    def sha256_hex(self) -> str:
        """Only when asked for."""
        assert self._sha256 is not None
        return self._sha256.hexdigest()

    def checksum(self) -> bytes:
        """The raw digest of ``algorithm``; only when one was given."""
        assert self._checksum is not None
        return self._checksum.digest()


def composite_checksum(algorithm: str, parts: Sequence[str]) -> str:
    """The checksum over the parts' checksums (all base64), with their number, as S3 writes it."""
    whole = new_checksum(Algorithm(algorithm))
    for part in parts:
        whole.update(base64.b64decode(part))
    return f"{encode_digest(whole.digest())}-{len(parts)}"


def combined_checksum(algorithm: str, parts: Sequence[str], sizes: Sequence[int]) -> str:
    """The CRC of the whole from those of its parts (base64) and their sizes in bytes."""
    chosen = Algorithm(algorithm)
    model = anycrc.Model(_CRC_MODELS[chosen])
    whole = 0
    for part, size in zip(parts, sizes, strict=True):
        whole = model.combine(whole, int.from_bytes(base64.b64decode(part), "big"), size)
    return encode_digest(whole.to_bytes(chosen.digest_bytes, "big"))


# --- What a request declares ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ExpectedChecksum:
    """A checksum that the body must have; ``value`` is None while it is still to come."""

    algorithm: Algorithm
    value: bytes | None
    in_trailer: bool


@dataclass(frozen=True, slots=True)
class ExpectedDigests:
    """Everything that a request declares of its body; ``sha256_hex`` is the signed payload hash."""

    content_md5: bytes | None = None
    sha256_hex: str | None = None
    checksum: ExpectedChecksum | None = None


def encode_digest(digest: bytes) -> str:
    """Base64, as S3 headers carry digests."""
    return base64.b64encode(digest).decode("ascii")


def decode_checksum(algorithm: Algorithm, text: str, *, in_trailer: bool = False) -> bytes:
    """The raw digest of a header or trailer value. Raises InvalidRequest."""
    digest = _decode(text, algorithm.digest_bytes)
    if digest is None:
        kind = "trailing header" if in_trailer else "header"
        raise _invalid(f"Value for {algorithm.header} {kind} is invalid.")
    return digest


def decode_content_md5(text: str | None) -> bytes | None:
    """The raw digest of a ``Content-MD5`` header, None without one. Raises InvalidDigest."""
    if text is None:
        return None
    digest = _decode(text, _MD5_BYTES)
    if digest is None:
        raise ServiceError("InvalidDigest", fields={"Content-MD5": text})
    return digest


def parse_algorithm(text: str) -> Algorithm:
    """An algorithm by its name in the API, in any case. Raises InvalidRequest."""
    try:
        return Algorithm(text.upper())
    except ValueError:
        names = ", ".join(Algorithm)
        raise _invalid(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid "
            f"types: [{names}]"
        ) from None


def expected_checksum(headers: Mapping[str, str]) -> ExpectedChecksum | None:
    """The checksum that the headers of PutObject or UploadPart announce, None without one.

    ``headers`` have lower-case names. Raises InvalidRequest: two checksums, one that there is not,
    a value that is none, or ``x-amz-sdk-checksum-algorithm`` that names another one or stands
    alone.
    """
    values = {
        name: text
        for name, text in headers.items()
        if name.startswith(_HEADER_PREFIX) and name not in _NOT_VALUES
    }
    announced = announced_trailer(headers)
    if len(values) + (announced is not None) > 1:
        raise _invalid(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    declared = headers.get("x-amz-sdk-checksum-algorithm")
    named = parse_algorithm(declared) if declared else None
    if announced is not None:
        expected = ExpectedChecksum(announced, None, in_trailer=True)
    elif values:
        name, text = values.popitem()
        algorithm = _BY_HEADER.get(name)
        if algorithm is None:
            raise _invalid("The algorithm type you specified in x-amz-checksum- header is invalid.")
        _require_same(named, algorithm)
        value = decode_checksum(algorithm, text)
        expected = ExpectedChecksum(algorithm, value, in_trailer=False)
    elif named is not None:
        raise _invalid(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or "
            "x-amz-trailer headers were found."
        )
    else:
        return None
    _require_same(named, expected.algorithm)
    return expected


def announced_trailer(headers: Mapping[str, str]) -> Algorithm | None:
    """The checksum that ``x-amz-trailer`` announces, None without one. Raises InvalidRequest."""
    text = headers.get("x-amz-trailer")
    if text is None:
        return None
    algorithm = _BY_HEADER.get(text.strip().lower())
    if algorithm is None:
        raise _invalid("The value specified in the x-amz-trailer header is not supported")
    return algorithm


def with_trailer(expected: ExpectedDigests, trailers: Mapping[str, str]) -> ExpectedDigests:
    """Fill in the value that came in the trailer, if it was to come there. Raises InvalidRequest.

    ``trailers`` have lower-case names; the decoder of the body has refused a missing one.
    """
    checksum = expected.checksum
    if checksum is None or not checksum.in_trailer:
        return expected
    text = trailers[checksum.algorithm.header]
    value = decode_checksum(checksum.algorithm, text, in_trailer=True)
    filled = ExpectedChecksum(checksum.algorithm, value, in_trailer=True)
    return ExpectedDigests(expected.content_md5, expected.sha256_hex, filled)


# --- Comparing -----------------------------------------------------------------------------------


def verify_digests(expected: ExpectedDigests, digests: BodyDigests) -> None:
    """Compare a whole body with what was declared of it.

    ``digests`` was made for what ``expected`` names. Raises XAmzContentSHA256Mismatch, BadDigest.
    """
    if expected.sha256_hex is not None:
        _verify_sha256(expected.sha256_hex, digests.sha256_hex())
    if expected.content_md5 is not None and expected.content_md5 != digests.md5():
        raise ServiceError(
            "BadDigest",
            # One in hex, the other in base64: so the service answers.
            fields={
                "ExpectedDigest": expected.content_md5.hex(),
                "CalculatedDigest": encode_digest(digests.md5()),
            },
        )
    checksum = expected.checksum
    if checksum is None:
        return
    assert checksum.value is not None
    assert checksum.algorithm is digests.algorithm
    if checksum.value != digests.checksum():
        raise ServiceError(
            "BadDigest",
            f"The {checksum.algorithm} you specified did not match the calculated checksum.",
        )


def _verify_sha256(declared: str, computed: str) -> None:
    if declared.lower() != computed:
        raise ServiceError(
            "XAmzContentSHA256Mismatch",
            fields={
                "ClientComputedContentSHA256": declared,
                "S3ComputedContentSHA256": computed,
            },
        )


def _decode(text: str, digest_bytes: int) -> bytes | None:
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    # b64decode lets data follow the padding and unused bits be set: the canonical text counts.
    return digest if len(digest) == digest_bytes and encode_digest(digest) == text else None


def _require_same(named: Algorithm | None, algorithm: Algorithm) -> None:
    if named is not None and named is not algorithm:
        raise _invalid("Value for x-amz-sdk-checksum-algorithm header is invalid.")


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidRequest", message)
