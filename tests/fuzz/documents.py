"""Documents of S3's requests: of the right form, with values of which some are odd."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final
from xml.sax.saxutils import escape

from tests.fuzz import odd

_NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_REPEATS = (0, 1, 1, 1, 2, 3, 11, 1001)

_Document = Callable[[Random, Sequence[str], Sequence[str]], bytes]


def _tag(chance: Random, name: str, likely: Sequence[str]) -> str:
    """An element, at times without an end, twice, elsewhere or not there."""
    kind = chance.randrange(40)
    if kind == 0:
        return ""
    if kind == 1:
        return f"<{name}>"
    if kind == 2:
        return f"<{name}/>"
    content = odd.pick(chance, likely, odd.text, 0.12).encode("utf-8", "replace").decode()
    text = f"<{name}>{escape(content)}</{name}>"
    if kind == 3:
        return text * 2
    return f"<x:{name} xmlns:x='y'>a</x:{name}>" if kind == 4 else text


def _document(chance: Random, root: str, content: str) -> bytes:
    namespace = _NAMESPACE if chance.random() < 0.7 else ""
    text = f"<{root}{namespace}>{content}</{root}>"
    kind = chance.randrange(60)
    if kind == 0:
        text = '<!DOCTYPE a [<!ENTITY b "c">]>' + text
    elif kind == 1:
        text = f"<?xml version='1.0' encoding='{chance.choice(('utf-16', 'latin-1', 'x'))}'?>{text}"
    elif kind == 2:
        depth = chance.choice((100, 5000))
        text = text.replace(content, "<a>" * depth + content + "</a>" * depth)
    elif kind == 3:
        text = text.replace(content, content + "<a/>" * 3000)
    elif kind == 4:
        text = text.replace(f"<{root}", f"<{root} a='{odd.text(chance).replace(chr(39), '')}'", 1)
    return text.encode("utf-8", "surrogateescape")


def _delete(chance: Random, versions: Sequence[str], etags: Sequence[str]) -> bytes:
    entries = ""
    for _ in range(chance.choice(_REPEATS)):
        entry = _tag(chance, "Key", ("a", "b/c", "no such", "ä"))
        if chance.random() < 0.3:
            entry += _tag(chance, "VersionId", versions)
        if chance.random() < 0.1:
            entry += _tag(chance, "ETag", etags) + _tag(chance, "Size", odd.NUMBERS)
            entry += _tag(chance, "LastModifiedTime", odd.DATES)
        entries += f"<Object>{entry}</Object>"
    return _document(chance, "Delete", entries + _tag(chance, "Quiet", ("true", "false")))


def _complete(chance: Random, _versions: Sequence[str], etags: Sequence[str]) -> bytes:
    rows = ""
    for number in range(1, chance.choice(_REPEATS) + 1):
        row = _tag(chance, "PartNumber", (str(number),)) + _tag(chance, "ETag", etags)
        if chance.random() < 0.2:
            row += _tag(chance, "ChecksumCRC32", ("AAAAAA==", "AAAA"))
        rows += f"<Part>{row}</Part>"
    return _document(chance, "CompleteMultipartUpload", rows)


def _tagging(chance: Random, _versions: Sequence[str], _etags: Sequence[str]) -> bytes:
    tags = "".join(
        f"<Tag>{_tag(chance, 'Key', (f'k{number}',))}{_tag(chance, 'Value', ('v', ''))}</Tag>"
        for number in range(chance.choice(_REPEATS[:-1]))
    )
    return _document(chance, "Tagging", f"<TagSet>{tags}</TagSet>")


def _versioning(chance: Random, _versions: Sequence[str], _etags: Sequence[str]) -> bytes:
    status = _tag(chance, "Status", ("Enabled", "Suspended"))
    more = _tag(chance, "MfaDelete", ("Disabled",)) if chance.random() < 0.1 else ""
    return _document(chance, "VersioningConfiguration", status + more)


def _lock(chance: Random, _versions: Sequence[str], _etags: Sequence[str]) -> bytes:
    period = _tag(chance, chance.choice(("Days", "Years")), ("1", "0", *odd.NUMBERS))
    rule = f"<DefaultRetention>{_tag(chance, 'Mode', ('GOVERNANCE',))}{period}</DefaultRetention>"
    enabled = _tag(chance, "ObjectLockEnabled", ("Enabled",))
    return _document(chance, "ObjectLockConfiguration", f"{enabled}<Rule>{rule}</Rule>")


def _retention(chance: Random, _versions: Sequence[str], _etags: Sequence[str]) -> bytes:
    mode = _tag(chance, "Mode", ("GOVERNANCE", "COMPLIANCE"))
    until = _tag(chance, "RetainUntilDate", ("2030-01-01T00:00:00Z", *odd.DATES))
    return _document(chance, "Retention", mode + until)


def _hold(chance: Random, _versions: Sequence[str], _etags: Sequence[str]) -> bytes:
    return _document(chance, "LegalHold", _tag(chance, "Status", ("ON", "OFF")))


def _restore(chance: Random, _versions: Sequence[str], _etags: Sequence[str]) -> bytes:
    return _document(chance, "RestoreRequest", _tag(chance, "Days", odd.NUMBERS))


def _location(chance: Random, _versions: Sequence[str], _etags: Sequence[str]) -> bytes:
    constraint = _tag(chance, "LocationConstraint", ("us-east-1", "EU", "eu-west-1", ""))
    return _document(chance, "CreateBucketConfiguration", constraint)


DOCUMENTS: Final[Mapping[str, _Document]] = {
    "delete": _delete,
    "complete": _complete,
    "tagging": _tagging,
    "versioning": _versioning,
    "lock": _lock,
    "retention": _retention,
    "hold": _hold,
    "restore": _restore,
    "location": _location,
}
"""Each makes a document; it is given IDs of versions and ETags."""
