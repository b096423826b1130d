"""What blobs and their metadata are called in Azure. Pure.

**Names of blobs.** A name goes to Azure in the path of a URL, and Azure has rules of its own: 1,024
characters, at most 254 segments, none that ends with a full stop; a backslash is taken for a slash,
and what lies between client and service may remove ``.``, ``..`` and ``//``. What of an S3 key
could be changed on its way is written ``%XX`` here, as its UTF-8 bytes. Two keys may come to the
same name by that: as with any name that is taken, the second one's blob gets a name of its own.
(https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata)

**Metadata.** Names must be identifiers of C#, and differ in more than case; all of it together may
be 8 KiB (…/setting-and-retrieving-properties-and-metadata-for-blob-resources). As in CloudServer, a
hyphen becomes ``_``, and ``tags`` holds the tags as JSON. Nothing is read back from there but what
this server needs itself, so that what does not fit is left out, and counted in
``twofold_omitted``: no upload fails for it.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from s3front.locations.base import ObjectInfo
from s3front.locations.remote_store import MARK_METADATA, natural_name, own_name

NAME_BYTES_MAX: Final = 1024
"""Azure counts characters: in bytes it is on the safe side, and no URL gets too long."""

_SLASHES_MAX: Final = 250
METADATA_BYTES_MAX: Final = 8 * 1024
_RESERVED_BYTES: Final = 256
"""What is kept free for what this server adds later."""

MARK_NAME: Final = MARK_METADATA.replace("-", "_")
TAGS_NAME: Final = "tags"
FIRST_ETAG_NAME: Final = "twofold_etag"
"""The ETag that a blob was stored with, if it has got another by new metadata."""
OMITTED_NAME: Final = "twofold_omitted"
PLACEHOLDER_NAME: Final = "twofold_placeholder"

_OUR_NAMES: Final = (MARK_NAME, TAGS_NAME, FIRST_ETAG_NAME, OMITTED_NAME, PLACEHOLDER_NAME)

_UNNAMEABLE: Final = frozenset({"Cc", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Categories of characters that are in no URL (RFC 3987, section 2.2), or that Azure refuses."""
_NOT_OF_AN_IDENTIFIER: Final = re.compile(r"[^A-Za-z0-9_]")
_RUN_OF_SPACES: Final = re.compile("  +")
_PLAIN: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


def blob_names(info: ObjectInfo, mark: str, *, bucket_match: bool) -> list[str]:
    """The names that an object's blob may get, the best first: the natural one, unless that is too
    long, and the one of its own that it gets when that is taken."""
    natural = safe_name(natural_name(info, bucket_match=bucket_match))
    own = own_name(natural, mark, NAME_BYTES_MAX)
    return [natural, own] if len(natural.encode()) <= NAME_BYTES_MAX else [own]


def safe_name(name: str) -> str:
    """A name that reaches Azure as it is."""
    *before, last = name.split("/")
    # An empty segment, the last one too, is one whose slash would be lost.
    written = [_segment(part) + ("/" if part else "%2F") for part in before]
    safe = "".join(written) + _segment(last)
    if not last and safe.endswith("/"):
        safe = safe[:-1] + "%2F"
    return safe if safe.count("/") <= _SLASHES_MAX else safe.replace("/", "%2F")


def _segment(part: str) -> str:
    stem = part.rstrip(".")
    return "".join(map(_character, stem)) + "%2E" * (len(part) - len(stem))


def _character(character: str) -> str:
    if character == "\\" or unicodedata.category(character) in _UNNAMEABLE:
        return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
    return "%EF%BB%BF" if character == "\ufeff" else character


def blob_metadata(info: ObjectInfo, mark: str) -> dict[str, str]:
    """What is kept beside a blob."""
    kept = {MARK_NAME: mark}
    room = METADATA_BYTES_MAX - _RESERVED_BYTES - _size(kept)
    wanted = dict(_tags(info.tags))
    taken = {name.lower() for name in _OUR_NAMES}
    omitted = 0
    for key, text in info.user_metadata.items():
        if value := metadata_value(text):
            wanted[_free_name(key, taken)] = value
    for name, value in wanted.items():
        needed = len(name) + len(value)
        if needed <= room:
            kept[name] = value
            room -= needed
        else:
            omitted += 1
    return kept | ({OMITTED_NAME: str(omitted)} if omitted else {})


def retagged(
    metadata: Mapping[str, str], tags: Mapping[str, str], etag: str | None
) -> dict[str, str]:
    """The metadata of a blob with other tags. ``etag`` is that with which it was stored; None for
    a blob that has no mark."""
    ours = (TAGS_NAME, FIRST_ETAG_NAME)
    kept = {name: value for name, value in metadata.items() if name.lower() not in ours}
    if etag is not None:
        kept[FIRST_ETAG_NAME] = etag
    new = dict(_tags(tags))
    return kept | new if _size(kept) + _size(new) <= METADATA_BYTES_MAX else kept


def metadata_value(text: str) -> str:
    """A value as a header can carry it, and as it is signed: of printable ASCII, without spaces at
    its ends or in a row. Whatever has others is percent-encoded."""
    if text.isascii() and text.isprintable() and text == text.strip() and "  " not in text:
        return text
    encoded = quote(text.encode("utf-8", "surrogatepass"), safe=_PLAIN)
    if encoded.startswith(" ") or encoded.endswith(" "):
        encoded = re.sub("^ | $", "%20", encoded)
    return _RUN_OF_SPACES.sub(lambda run: " " + "%20" * (len(run[0]) - 1), encoded)


def metadata_name(key: str) -> str:
    """The identifier for a name of user metadata."""
    name = _NOT_OF_AN_IDENTIFIER.sub(
        lambda found: "_" if found[0] == "-" else f"_{ord(found[0]):x}_", key
    )
    return name if name and not name[0].isdigit() else f"_{name}"


def _free_name(key: str, taken: set[str]) -> str:
    name = metadata_name(key)
    number = 1
    free = name
    while free.lower() in taken:
        number += 1
        free = f"{name}_{number}"
    taken.add(free.lower())
    return free


def _tags(tags: Mapping[str, str]) -> Mapping[str, str]:
    if not tags:
        return {}
    text = json.dumps(dict(tags), separators=(",", ":"))
    # A row of spaces would be signed as one.
    return {TAGS_NAME: _RUN_OF_SPACES.sub(lambda run: "\\u0020" * len(run[0]), text)}


def _size(metadata: Mapping[str, str]) -> int:
    return sum(len(name) + len(value) for name, value in metadata.items())
