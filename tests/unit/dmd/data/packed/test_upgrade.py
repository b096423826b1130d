"""Segments of former state codes, and what a pass through them promises."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from isal.isal_zlib import crc32

from dmd.data.packed import segment as segments
from dmd.data.packed.upgrade import rewrite_states
from shared.segment_records import Place, State, key_of, pack_header

CONTENT = b"content"


def test_what_a_pass_that_was_killed_has_written_is_made_durable_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It shows in the page cache: only the disk does not have it yet."""
    place = Place(1, 0)
    header = pack_header(key_of(0, place), len(CONTENT), crc32(CONTENT), 0)
    path = tmp_path / "segment"
    path.write_bytes(header + CONTENT)
    synced: list[int] = []
    with path.open("r+b") as file:
        descriptor = file.fileno()
        record = segments.read_header(descriptor, place)
        assert record is not None
        segments.write_state(descriptor, record, State.DELETED)
        monkeypatch.setattr(os, "fsync", synced.append)
        assert rewrite_states(descriptor, 1) == 0
        assert synced == [descriptor]
