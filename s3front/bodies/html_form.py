"""A form as it arrives, ``multipart/form-data`` (RFC 7578): its fields, then its file.

Called by ``s3front.bodies.signed_form``. Rules:

1. What comes before the part called ``file`` is a field, whether or not it has a file name; some
   clients give every part one. Fields are small: they are kept, and their sizes are limited.
2. The file is never held: it is read as the body of a request is, once.
3. What follows the file is ignored, as AWS has it (browsers send the button that was pressed), but
   a second file is refused, and so is a form that does not end as one.

Source: Amazon S3 API reference, "POST Object".
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from s3front.auth.post_policy import SizeRange
from s3front.port.request import Request, RequestBody
from s3front.s3_errors import S3Error
from shared import limits

_FILE = "file"
_FILE_NAME_VARIABLE = "${filename}"
_PART_HEADERS_MAX = 16

# A part begins with its head, goes on with bytes, and ends with None.
_Events = AsyncGenerator[MultipartSegment | bytes | None, None]


@dataclass(frozen=True, slots=True)
class Form:
    """``fields`` have lower-case names; in their values ``${filename}`` is replaced, except in the
    policy, which is signed as it stands. Values of a repeated field are joined with ",".

    ``events`` is where the file's bytes come from, ``body`` the body that they are part of.
    """

    fields: Mapping[str, str]
    events: _Events
    body: RequestBody


async def read_form(request: Request) -> Form:
    """The fields of a form, its file still unread.

    Raises PreconditionFailed (no form), MalformedPOSTRequest, MaxPostPreDataLengthExceeded, and
    IncorrectNumberOfFilesInPostRequest when there is no file.
    """
    events = _events(request.body, _boundary(request))
    fields: dict[str, str] = {}
    size = 0
    async for event in events:
        assert isinstance(event, MultipartSegment)
        name = (event.name or "").lower()
        if name == _FILE:
            return Form(_expanded(fields, event.filename or ""), events, request.body)
        size += len(name)
        value = bytearray()
        async for piece in events:
            if piece is None:
                break
            assert isinstance(piece, bytes)
            value += piece
            if size + len(value) > limits.FORM_FIELDS_BYTES_MAX:
                raise _too_large()
        size += len(value)
        text = _text(bytes(value))
        fields[name] = f"{fields[name]},{text}" if name in fields else text
    raise _number_of_files("0")


class FormFile:
    """The file of a form: see ``request.RequestBody``. ``sizes`` is what its policy allows."""

    length = None

    def __init__(self, form: Form, sizes: SizeRange) -> None:
        self._form = form
        self._sizes = sizes

    @property
    def received(self) -> int:
        return self._form.body.received

    async def accept(self) -> None:
        await self._form.body.accept()

    async def hold(self, size: int) -> None:
        form = self._form.body.length
        await self._form.body.hold(size if form is None else min(size, form))

    async def blocks(self, *, gradually: bool = False) -> AsyncGenerator[bytes, None]:
        """The file. When it ends, the form has, as a form must.

        Raises EntityTooLarge, EntityTooSmall, MalformedPOSTRequest and
        IncorrectNumberOfFilesInPostRequest besides.
        """
        size = 0
        sizes = self._sizes.within(SizeRange(0, limits.OBJECT_BYTES_MAX))
        largest, smallest = sizes.maximum, sizes.minimum
        assert largest is not None
        async with aclosing(self._form.events) as events:
            async for piece in events:
                if piece is None:
                    break
                assert isinstance(piece, bytes)
                size += len(piece)
                if size > largest:
                    raise S3Error("EntityTooLarge", fields=_sizes("Max", size, largest))
                yield piece
            await _read_rest(events)
        if size < smallest:
            raise S3Error("EntityTooSmall", fields=_sizes("Min", size, smallest))

    def comes_at_once(self) -> bool:
        return False

    async def read(self) -> Sequence[bytes]:
        return [piece async for piece in self.blocks()]


async def _read_rest(events: _Events) -> None:
    ignored = 0
    async for event in events:
        if isinstance(event, MultipartSegment):
            if (event.name or "").lower() == _FILE:
                raise _number_of_files("2")
        elif event is not None:
            ignored += len(event)
            if ignored > limits.FORM_FIELDS_BYTES_MAX:
                raise S3Error("MalformedPOSTRequest")


async def _events(body: RequestBody, boundary: str) -> _Events:
    try:
        parser = PushMultipartParser(
            boundary,
            max_header_count=_PART_HEADERS_MAX,
            max_segment_count=limits.FORM_FIELDS_MAX,
        )
        async with aclosing(body.blocks()) as blocks:
            async for block in blocks:
                if parser.closed:
                    continue  # an epilogue: RFC 2046, section 5.1.1, has it ignored
                for event in parser.parse(block):
                    yield event
        if not parser.closed:
            parser.close()
    except ParserLimitReached as error:
        raise _too_large() from error
    except MultipartError as error:
        raise S3Error("MalformedPOSTRequest") from error


def _boundary(request: Request) -> str:
    kind, options = parse_options_header(request.headers.get("Content-Type", ""))
    if kind.lower() != "multipart/form-data":
        raise S3Error(
            "PreconditionFailed",
            fields={"Condition": "Bucket POST must be of the enclosure-type multipart/form-data"},
        )
    boundary: str = options.get("boundary", "")
    if not boundary or not boundary.isascii():
        raise S3Error("MalformedPOSTRequest")
    return boundary


def _expanded(fields: Mapping[str, str], filename: str) -> dict[str, str]:
    """A browser may send the whole path of the file, in the way of its system."""
    name = filename.replace("\\", "/").rpartition("/")[2]
    return {
        field: value if field == "policy" else value.replace(_FILE_NAME_VARIABLE, name)
        for field, value in fields.items()
    }


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise S3Error("MalformedPOSTRequest") from error


def _sizes(kind: str, size: int, limit: int) -> dict[str, str]:
    return {"ProposedSize": str(size), f"{kind}SizeAllowed": str(limit)}


def _too_large() -> S3Error:
    return S3Error(
        "MaxPostPreDataLengthExceeded",
        fields={"MaxPostPreDataLengthBytes": str(limits.FORM_FIELDS_BYTES_MAX)},
    )


def _number_of_files(found: str) -> S3Error:
    return S3Error(
        "IncorrectNumberOfFilesInPostRequest",
        fields={"ArgumentName": "file", "ArgumentValue": found},
    )
