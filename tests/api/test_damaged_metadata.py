"""A metadata store with a damaged page: said in one line, not served, and brought out of."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from dmd.metadata import record_keys, stored
from dmd.metadata.engines.lmdb import FILE_NAME
from dmd.metadata.engines.lmdb_format import Leaf, PageError, parse_page
from dmd.metadata.metadata_directory import open_engine
from dmd.metadata.soundness import READ_BYTES_MAX
from tests.api.installation import Installation
from tests.raw_http import call
from tests.servers import Front, Process, wait_for

PAGE = 4096
EX_DATAERR = 65


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path)
    yield made
    made.stop_all()


def with_objects(installation: Installation) -> tuple[Process, Front]:
    dmd, front = installation.start_both()
    assert call(front, "PUT", "/bucket").status == 200
    for number in range(30):
        assert call(front, "PUT", f"/bucket/key-{number:02}", b"data").status == 200
    return dmd, front


def zero_page_with(installation: Installation, key: bytes) -> int:
    """Zero the current page that holds a record; its number."""
    path = installation.metadata / FILE_NAME
    engine = open_engine(installation.metadata, read_only=True)
    used: list[int] = []
    with engine.snapshot() as view, path.open("r+b") as file:
        list(view.walk(lambda page, _: used.append(page)).items(b"", None))  # type: ignore[attr-defined]
        for number in used:
            try:
                page = parse_page(os.pread(file.fileno(), PAGE, number * PAGE), number)
            except PageError:
                continue
            if isinstance(page, Leaf) and any(key in found for found in page.keys):
                os.pwrite(file.fileno(), bytes(PAGE), number * PAGE)
                engine.close()
                return number
    raise AssertionError(f"no page has {key!r}")


def ended(process: Process) -> int:
    handle = process.handle
    assert handle is not None
    wait_for(lambda: handle.poll() is not None, "the daemon to give up")
    return handle.returncode


def test_a_damaged_store_is_not_served_and_is_brought_out(installation: Installation) -> None:
    dmd, front = with_objects(installation)
    dmd.stop()
    page = zero_page_with(installation, b"key-07")
    dmd.start()
    assert ended(dmd) == EX_DATAERR
    (line,) = [line for line in dmd.output_of_this_run.splitlines() if line.startswith("dmd: ")]
    store = installation.metadata / FILE_NAME
    assert line.startswith(f"dmd: {store}: the metadata store is damaged: page {page}: it is empty")
    assert "`dmd dump --salvage FILE`" in line
    assert "Traceback" not in dmd.output_of_this_run

    checked = installation.run("dmd", "check", "--metadata-only")
    assert checked.returncode == 1
    assert f"damaged-page: page {page}: it is empty; it held keys from" in checked.stdout
    counted = installation.run("dmd", "stats")
    assert (counted.returncode, f"not counted: page {page}:" in counted.stderr) == (1, True)
    refused = installation.run("dmd", "dump", "whole")
    assert (refused.returncode, f"page {page}: it is empty" in refused.stderr) == (78, True)
    salvaged = installation.run("dmd", "dump", "--salvage", "salvaged")
    assert salvaged.returncode == 1, salvaged.stderr
    assert "records are whole" in salvaged.stderr
    (installation.metadata / FILE_NAME).rename(installation.folder / "damaged")
    loaded = installation.run("dmd", "load", "--keep-uuid", "salvaged")
    assert loaded.stderr == ""
    installation.start_again(dmd)
    listing = call(front, "GET", "/bucket?list-type=2")
    left = [key.text for key in listing.xml.iter("Key")]
    assert 20 <= len(left) < 30
    for key in left:
        assert call(front, "GET", f"/bucket/{key}").body == b"data"


def test_damage_that_a_running_daemon_comes_upon_ends_in_one_line(
    installation: Installation,
) -> None:
    dmd, front = with_objects(installation)
    dmd.stop()
    engine = open_engine(installation.metadata)
    with engine.transaction() as transaction:  # too much to be read at every start
        for number in range(READ_BYTES_MAX // 1000):
            key = record_keys.prefix(["other"]) + b"%05d" % number
            record = orjson.dumps({"text": "x" * 900})
            transaction.put(key, stored.pack(key, stored.Stored(1, 0, b"", record)))
    engine.close()
    installation.start_again(dmd)
    zero_page_with(installation, b"key-07")
    assert call(front, "GET", "/bucket/key-07").status in (500, 503)
    assert call(front, "PUT", "/bucket/key-07", b"new").status in (500, 503)
    handle = dmd.handle
    assert handle is not None
    if handle.poll() is None and '"signal"' not in dmd.output_of_this_run:
        # The library came away with an error: the next start looks.
        assert '"event":"the metadata store is damaged"' in dmd.output_of_this_run
        dmd.stop()
        dmd.start()
    assert ended(dmd) == EX_DATAERR
    assert dmd.output_of_this_run.count("the metadata store is damaged: page") == 1
