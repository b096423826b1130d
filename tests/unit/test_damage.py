"""What tests damage files with does damage them, in place, and can be repeated."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.damage import KINDS, NothingToDamageError, damage

CONTENT = random.Random(1).randbytes(3 * 4096 + 100)


@pytest.mark.parametrize("kind", KINDS)
def test_the_content_changes_and_the_file_stays(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    for seed in range(20):
        path.write_bytes(CONTENT)
        inode = path.stat().st_ino
        said = damage(path, kind, random.Random(seed))
        assert path.read_bytes() != CONTENT, said
        assert path.stat().st_ino == inode
        once = path.read_bytes()
        path.write_bytes(CONTENT)
        assert damage(path, kind, random.Random(seed)) == said
        assert path.read_bytes() == once


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_outside_a_range_changes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    for seed in range(20):
        path.write_bytes(CONTENT)
        damage(path, kind, random.Random(seed), block_bytes=64, within=(100, 900))
        found = path.read_bytes()
        assert found[:100] == CONTENT[:100]
        assert kind == "cut" or found[900:] == CONTENT[900:]


@pytest.mark.parametrize(("kind", "content"), [("zero", bytes(5000)), ("swap", bytes(20000))])
def test_what_cannot_be_damaged_is_told(tmp_path: Path, kind: str, content: bytes) -> None:
    path = tmp_path / "file"
    for held in (b"", content):
        path.write_bytes(held)
        with pytest.raises(NothingToDamageError):
            damage(path, kind, random.Random(0))
