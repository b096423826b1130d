"""Damage to the small files of a metadata directory: a start that is right, or one line."""

from __future__ import annotations

import os
import random
import shutil
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

from dmd.errors import StartupError
from dmd.jobs.errors import JobError
from dmd.jobs.gc_journal import read_journal
from dmd.metadata.daemon import MetadataDaemon, MetadataSettings
from dmd.metadata.engines.base import EngineFatalError
from dmd.ownership.owned_directory import Ownership
from shared.rpc.streams import StreamSettings
from tests.faults.damage import KINDS, NothingToDamageError, damage
from tests.unit.dmd.metadata.support import RecordingLog

ROUNDS = 300 if os.environ.get("TWOFOLD_SOAK") else 3
SEED = 20261128
FILES = ("uuid", "lease", "lock", "reserve", "hold", "fault", "gc.journal")
LEASE_SECONDS = 60


def unexpected(error: EngineFatalError) -> None:
    raise AssertionError(error)


async def start(directory: Path, *, leased: bool = False) -> MetadataDaemon:
    settings = MetadataSettings(
        directory,
        "127.0.0.1",
        0,
        StreamSettings(),
        ownership=Ownership(LEASE_SECONDS if leased else 0),
        reserve_bytes=1 << 16,
    )
    return await MetadataDaemon.start(settings, RecordingLog(), unexpected)


@pytest.fixture
async def made(tmp_path: Path) -> Path:
    """A directory as a daemon with a lease leaves it, with something in every file."""
    directory = tmp_path / "made"
    directory.mkdir()
    (directory / "gc.journal").write_bytes(random.Random(SEED).randbytes(280))
    daemon = await start(directory, leased=True)
    await daemon.close()
    for name in ("lock", "hold", "fault"):
        (directory / name).write_text("text of some length, in a file that has none\n")
    assert {path.name for path in directory.iterdir()} >= set(FILES)
    return directory


@pytest.mark.parametrize("leased", [False, True], ids=["lock", "lease"])
@pytest.mark.parametrize("name", FILES)
async def test_a_damaged_file_stops_no_start_without_a_word(
    made: Path, tmp_path: Path, name: str, leased: bool
) -> None:
    known = (made / "uuid").read_text()
    for number in range(ROUNDS):
        for kind in KINDS:
            directory = tmp_path / f"{kind}-{number}"
            shutil.copytree(made, directory)
            try:
                done = damage(directory / name, kind, random.Random(f"{SEED} {kind} {number}"))
            except NothingToDamageError:
                continue
            try:
                daemon = await start(directory, leased=leased)
            except StartupError as error:
                text = str(error)
                assert "\n" not in text, done
                assert str(directory / name) in text, (done, text)
                assert name in ("uuid", "lease"), done
            else:
                await daemon.close()
                found = (directory / "uuid").read_text().strip()
                # A digit that was changed makes another UUID: `dmd check` tells it by the blobs.
                assert name == "uuid" or found == known, done
                assert str(uuid.UUID(found)) == found.lower(), done
            if name == "gc.journal":
                with suppress(JobError):  # or what it does not know waits anew
                    list(read_journal(directory))
            shutil.rmtree(directory)
