"""The data directory at start-up: its layout, its owner, its format, and its left-overs."""

from __future__ import annotations

import fcntl
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from dmd.checked_json import decode
from dmd.data.data_directory import ABOUT_RESCUE, FORMAT_VERSION, DataDirectory
from dmd.errors import StartupError
from dmd.ownership import lease
from dmd.ownership import owned_directory as ownership
from dmd.ownership.lease import read_state
from dmd.ownership.owned_directory import Ownership
from shared import limits
from shared.local_directory import Mount
from tests.servers import REPOSITORY
from tests.unit.dmd.data.harness import files_in
from tests.unit.dmd.metadata.support import HarmlessTimer

NEWER = json.dumps({"formatVersion": FORMAT_VERSION + 1})


def test_a_numbered_directory_is_made_durably_with_its_first_blob(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    names = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert names == {"incoming", "packed", "quarantine"}
    blob, synced = directory.blob_path("a" * 40), list[Path]()
    for _ in range(2):
        directory.make_directory_of(blob, synced.append)
    assert synced == [tmp_path]
    assert blob.parent.stat().st_mode & 0o777 == 0o700
    directory.release()
    again = DataDirectory(tmp_path)
    again.make_directory_of(blob, synced.append)
    assert synced == [tmp_path]
    again.release()


def test_a_directory_that_another_made_is_synced_all_the_same(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    blob, synced = directory.blob_path("a" * 40), list[Path]()
    blob.parent.mkdir()
    directory.make_directory_of(blob, synced.append)
    assert synced == [tmp_path]
    directory.release()


def test_the_format_version_is_written(tmp_path: Path) -> None:
    DataDirectory(tmp_path).release()
    assert json.loads(decode((tmp_path / "about.json").read_bytes())) == {
        "formatVersion": FORMAT_VERSION,
        "owners": [],
    }


def test_nothing_else_is_left_by_start_up(tmp_path: Path) -> None:
    DataDirectory(tmp_path).release()
    assert files_in(tmp_path) == set()


def test_a_directory_can_be_owned_again_after_its_release(tmp_path: Path) -> None:
    DataDirectory(tmp_path).release()
    DataDirectory(tmp_path).release()


def test_interrupted_uploads_are_removed(tmp_path: Path) -> None:
    DataDirectory(tmp_path).release()
    (tmp_path / "incoming" / "7").write_bytes(b"half an upl")
    DataDirectory(tmp_path).release()
    assert files_in(tmp_path) == set()


def test_blobs_survive_a_restart(tmp_path: Path) -> None:
    DataDirectory(tmp_path).release()
    blob = tmp_path / "0" / ("a" * 40)
    blob.parent.mkdir()
    blob.write_bytes(b"x")
    DataDirectory(tmp_path).release()
    assert files_in(tmp_path) == {blob}


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(StartupError, match=rf"^data directory {missing}: no such directory$"):
        DataDirectory(missing)


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(StartupError, match=rf"^data directory {file}: no such directory$"):
        DataDirectory(file)


def test_a_directory_that_cannot_be_written_is_named() -> None:
    # Not even root can create files there.
    with pytest.raises(StartupError, match=r"^/proc/lock: [A-Z][^\n]*$"):
        DataDirectory(Path("/proc"))


def test_a_second_owner_is_refused(tmp_path: Path) -> None:
    first = DataDirectory(tmp_path)
    with pytest.raises(StartupError, match=rf"^{tmp_path}: another daemon owns"):
        DataDirectory(tmp_path)
    first.release()


SECOND = """
import fcntl, sys
from pathlib import Path
from dmd.ownership import lease, owned_directory
from dmd.data.data_directory import DataDirectory
from dmd.ownership.owned_directory import Ownership
from shared.local_directory import Mount
if sys.argv[2] == "blind":
    fcntl.flock = lambda _descriptor, _operation: None
    owned_directory.mount_of = lambda _path: Mount("9p")
DataDirectory(Path(sys.argv[1]), Ownership(1))
print("owned")
"""


@pytest.mark.parametrize("locks", ["good", "blind"])
def test_a_second_process_is_refused(
    tmp_path: Path, locks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "KillTimer", HarmlessTimer)
    if locks == "blind":
        # A file system whose locks do not leave their machine, as many that are shared.
        monkeypatch.setattr(fcntl, "flock", lambda _descriptor, _operation: None)
        monkeypatch.setattr(ownership, "mount_of", lambda _path: Mount("9p"))
    first = DataDirectory(tmp_path, Ownership(1))
    second = subprocess.run(
        [sys.executable, "-c", SECOND, tmp_path, locks],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    first.release()
    assert second.stdout == ""
    assert "another daemon owns this directory" in second.stderr


def test_a_directory_without_locks_has_a_lease_that_nobody_has_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "KillTimer", HarmlessTimer)
    monkeypatch.setattr(limits, "LEASE_SECONDS", 0.2)
    owner = DataDirectory(tmp_path, Ownership(locks="unreliable"))
    state = read_state(tmp_path)
    assert state is not None
    assert not state.released
    owner.release()
    state = read_state(tmp_path)
    assert state is not None
    assert state.released


def test_a_refused_owner_leaves_the_uploads_of_the_first(tmp_path: Path) -> None:
    first = DataDirectory(tmp_path)
    upload = tmp_path / "incoming" / "0"
    upload.touch()
    with pytest.raises(StartupError):
        DataDirectory(tmp_path)
    first.release()
    assert upload.exists()


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "about.json").write_text(NEWER)
    with pytest.raises(StartupError, match=f"its format is version {FORMAT_VERSION + 1}"):
        DataDirectory(tmp_path)


def test_a_refused_directory_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "about.json").write_text(NEWER)
    with pytest.raises(StartupError):
        DataDirectory(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"about.json", "lock"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '"1"', '{"formatVersion": "1"}', "\xff"])
def test_an_unreadable_format_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "about.json").write_text(text, encoding="latin-1")
    with pytest.raises(StartupError, match=rf"^data directory {tmp_path}: "):
        DataDirectory(tmp_path)


def test_a_refusal_gives_up_the_ownership(tmp_path: Path) -> None:
    about = tmp_path / "about.json"
    about.write_text(NEWER)
    with pytest.raises(StartupError):
        DataDirectory(tmp_path)
    about.unlink()
    DataDirectory(tmp_path).release()


def test_an_older_format_is_raised(tmp_path: Path) -> None:
    (tmp_path / "about.json").write_text('{"formatVersion": 1}')
    DataDirectory(tmp_path).release()
    assert json.loads(decode((tmp_path / "about.json").read_bytes())) == {
        "formatVersion": FORMAT_VERSION,
        "owners": [],
    }


@pytest.mark.parametrize("more", [{}, {"oldSegments": 7}, {"metadata": "a"}])
def test_a_directory_without_segments_of_bodies_is_refused_to_who_takes_them_for_its_own(
    tmp_path: Path, more: dict[str, object]
) -> None:
    # Format 3: its daemon appends to the segment of the highest number, whoever made it.
    about = tmp_path / "about.json"
    about.write_text(json.dumps({"formatVersion": 3, "owners": ["a"], **more}))
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "00000009.segment").touch()
    directory = DataDirectory(tmp_path)
    assert directory.old_segments == more.get("oldSegments", 0)
    directory.release()
    assert json.loads(decode(about.read_bytes())) == {"formatVersion": 4, "owners": ["a"], **more}


def test_every_flipped_bit_of_the_description_is_noticed_or_harmless(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    directory.adopt("d300da26-03c1-4a56-a2e0-65aee683b485")
    directory.release()
    content = (tmp_path / "about.json").read_bytes()
    for bit in random.Random(5).sample(range(8 * len(content)), 60):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        (tmp_path / "about.json").write_bytes(damaged)
        try:
            again = DataDirectory(tmp_path)
        except StartupError as error:
            assert str(error).startswith(f"data directory {tmp_path}: ")  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert again.owners == directory.owners
            again.release()


def test_the_description_that_is_advised_can_be_used(tmp_path: Path) -> None:
    DataDirectory(tmp_path).release()
    (tmp_path / "about.json").write_text(ABOUT_RESCUE)
    DataDirectory(tmp_path).release()


def test_owners_are_kept(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    for owner in ("a", "b", "a"):
        directory.adopt(owner)
    directory.release()
    again = DataDirectory(tmp_path)
    assert again.owners == ("b", "a")
    again.disown("a")
    again.disown("unknown")
    again.release()
    last = DataDirectory(tmp_path)
    assert last.owners == ("b",)
    last.release()
