"""The data directory at start-up: its layout, its owner, its format, and its left-overs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dmd.data.directory import FORMAT_VERSION, DataDirectory
from dmd.errors import StartupError
from tests.unit.data.harness import files_in

NEWER = json.dumps({"formatVersion": FORMAT_VERSION + 1})


def test_all_numbered_directories_are_made(tmp_path: Path) -> None:
    DataDirectory(tmp_path).release()
    names = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert names == {*map(str, range(3511)), "incoming", "packed", "quarantine"}


def test_the_format_version_is_written(tmp_path: Path) -> None:
    DataDirectory(tmp_path).release()
    assert json.loads((tmp_path / "about.json").read_bytes()) == {
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
    with pytest.raises(StartupError, match=r"^data directory /proc: [A-Z][^\n]*$"):
        DataDirectory(Path("/proc"))


def test_a_second_owner_is_refused(tmp_path: Path) -> None:
    first = DataDirectory(tmp_path)
    with pytest.raises(StartupError, match=rf"^data directory {tmp_path}: in use by another"):
        DataDirectory(tmp_path)
    first.release()


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from dmd.data.directory import DataDirectory;"
        "DataDirectory(Path(sys.argv[1]))"
    )
    first = DataDirectory(tmp_path)
    second = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False
    )
    first.release()
    assert "in use by another data daemon" in second.stderr


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
    with pytest.raises(StartupError, match="its format is version 3"):
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
    assert json.loads((tmp_path / "about.json").read_bytes()) == {
        "formatVersion": FORMAT_VERSION,
        "owners": [],
    }


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
