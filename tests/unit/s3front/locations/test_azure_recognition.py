"""Which of Azure's blobs is the one that a record names."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from s3front.locations.azure_recognition import ETAG, Seen, is_recorded, may_go
from s3front.locations.base import Stored
from s3front.locations.remote_store import MARK, UPLOAD

OURS = Stored("name", 4, extra={ETAG: '"1"', MARK: "mark", "dataStoreETag": f"1:{'b' * 32}"})
THEIRS = Stored("name", 4, extra={"dataStoreETag": f"1:{'a' * 32}"})
UPLOADED = Stored("name", 0, extra={ETAG: '"1"', MARK: "mark", UPLOAD: "mark"})
RETAGGED = {"Twofold_Mark": "mark", "twofold_etag": '"1"'}


def seen(
    etag: str = '"2"',
    size: int = 4,
    md5: str | None = None,
    metadata: Mapping[str, str] = MappingProxyType({}),
) -> Seen:
    return Seen(etag, size, metadata, md5)


def marked(etag: str, size: int, mark: str) -> Seen:
    return seen(etag, size, metadata={"twofold_mark": mark})


@pytest.mark.parametrize(
    ("blob", "found", "recorded", "goes"),
    [
        (OURS, seen('"1"'), True, True),
        (OURS, seen('"1"', size=5), False, False),
        (OURS, seen(), False, False),
        (OURS, marked('"2"', 4, "mark"), False, False),
        (OURS, seen(metadata=RETAGGED), True, True),
        (OURS, seen(metadata={**RETAGGED, "twofold_etag": '"0"'}), False, False),
        (OURS, seen(metadata={**RETAGGED, "Twofold_Mark": "other"}), False, False),
        (THEIRS, seen(), True, True),
        (THEIRS, seen(size=5), False, False),
        (THEIRS, seen(md5="a" * 32), True, True),
        (THEIRS, seen(md5="b" * 32), False, False),
        # Read, as it has the bytes; but the blob is ours, and belongs to another record.
        (THEIRS, seen(md5="a" * 32, metadata={"twofold_mark": "mark"}), True, False),
        (UPLOADED, marked('"1"', 0, "mark"), True, True),
        (UPLOADED, marked('"2"', 9, "mark"), False, True),
        (UPLOADED, marked('"2"', 9, "other"), False, False),
    ],
)
def test_which_blob_it_is(blob: Stored, found: Seen, recorded: bool, goes: bool) -> None:
    assert (is_recorded(blob, found), may_go(blob, found)) == (recorded, goes)
