"""Documents of S3's requests: of the right form, with values of which some are odd."""

from __future__ import annotations

import json
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


_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
_ME = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"
_GROUP = "http://acs.amazonaws.com/groups/global/AllUsers"


def _acl(chance: Random, _versions: Sequence[str], _etags: Sequence[str]) -> bytes:
    rows = ""
    for _ in range(chance.choice(_REPEATS)):
        kind, name, text = chance.choice(
            (
                ("CanonicalUser", "ID", _ME),
                ("CanonicalUser", "ID", "nobody"),
                ("Group", "URI", _GROUP),
                ("AmazonCustomerByEmail", "EmailAddress", "sampleaccount2@sampling.com"),
                ("", "ID", _ME),
            )
        )
        grantee = (
            f'<Grantee xmlns:xsi="{_INSTANCE}" xsi:type="{kind}">{_tag(chance, name, (text,))}'
            "</Grantee>"
        )
        permission = _tag(chance, "Permission", ("READ", "WRITE", "FULL_CONTROL", "READ_ACP"))
        rows += f"<Grant>{grantee}{permission}</Grant>"
    owner = f"<Owner>{_tag(chance, 'ID', (_ME,))}</Owner>"
    content = f"{owner}<AccessControlList>{rows}</AccessControlList>"
    return _document(chance, "AccessControlPolicy", content)


def _ownership(chance: Random, _versions: Sequence[str], _etags: Sequence[str]) -> bytes:
    settings = ("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter")
    rule = f"<Rule>{_tag(chance, 'ObjectOwnership', settings)}</Rule>"
    return _document(chance, "OwnershipControls", rule)


def _block(chance: Random, _versions: Sequence[str], _etags: Sequence[str]) -> bytes:
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    settings = "".join(_tag(chance, name, ("true", "false")) for name in names)
    return _document(chance, "PublicAccessBlockConfiguration", settings)


def _policy(chance: Random, _versions: Sequence[str], _etags: Sequence[str]) -> bytes:
    """JSON, of which some is another type than it should be, or cut."""

    def value(*likely: object) -> object:
        kind = chance.randrange(12)
        if kind == 0:
            return chance.choice((None, 7, True, {}, [], "", [[]], {"a": {}}))
        return odd.text(chance) if kind == 1 else chance.choice(likely)

    statement = {
        str(value("Effect")): value("Allow", "Deny"),
        "Principal": value("*", {"AWS": "*"}, {"AWS": ["123456789013"]}, {"CanonicalUser": _ME}),
        "Action": value("s3:GetObject", ["s3:Put*", "s3:List*"], "*"),
        "Resource": value("arn:aws:s3:::new/*", "*", ["arn:aws:s3:::new"]),
        "Condition": value({"StringLike": {"s3:prefix": "${aws:username}/*"}}, {}),
        "Sid": value("one", "two"),
    }
    named = {name: said for name, said in statement.items() if chance.random() < 0.9}
    document = {"Version": value("2012-10-17", "2008-10-17"), "Statement": value([named], named)}
    text = json.dumps(document)
    return (text if chance.random() < 0.9 else text[: chance.randrange(len(text))]).encode()


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
    "acl": _acl,
    "ownership": _ownership,
    "block": _block,
    "policy": _policy,
}
"""Each makes a document; it is given IDs of versions and ETags."""
