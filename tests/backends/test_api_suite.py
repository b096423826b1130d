"""The tests of S3's operations on objects, against a server whose default location is of each type,
and against one that encrypts all that it stores.

They run as ``make test-endpoint`` runs them, in a pytest of their own: whatever asks for more of a
server than S3 is left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.backends.places import CHOSEN, SOAK, Place, server
from tests.servers import REPOSITORY

SECONDS_MAX: Final = 1800.0

TESTED: Final = [
    (place, encrypted)
    for place in CHOSEN
    for encrypted in (False, True)
    # Against files, they run anyway; and in each run of the tests once against each other.
    if (encrypted or place.type != "file") and (SOAK or encrypted is not (place.type == "mem"))
]

MODULES: Final = (
    "conditional_put",
    "copy_object",
    "delete_objects",
    "get_object",
    "get_object_attributes",
    "get_object_part",
    "locked_uploads",
    "manual_versioning",
    "multipart",
    "multipart_checksums",
    "object_lock",
    "odd_values",
    "payload_forms",
    "post_object",
    "put_object",
    "put_version",
    "rename_object",
    "restore_object",
    "storage_classes",
    "tagging",
    "versioned_deletes",
    "versioned_reads",
    "versioned_writes",
)
"""Those of ``tests/api`` that store objects and read them."""

OF_PLAIN_OBJECTS: Final = (
    # In a bucket with a default encryption, AWS lets an object be copied onto itself.
    "copy_object.py::test_a_copy_to_itself_must_change_something",
    "storage_classes.py::test_an_object_is_copied_onto_itself_to_change_it",
    "versioned_reads.py::test_a_former_version_becomes_the_latest_by_a_copy_onto_itself",
    # What a server without master keys answers, and all headers of an object that is not encrypted.
    "post_object.py::test_fields_that_no_object_can_have[fields5-code5]",
    "put_object.py::test_a_header_that_is_refused"
    "[{'x-amz-server-side-encryption': 'AES256'}-501-NotImplemented]",
    "put_object.py::test_an_object_without_headers",
)
"""Tests that do not hold where everything is encrypted."""


@pytest.mark.timeout(SECONDS_MAX + 60)
@pytest.mark.parametrize(
    ("place", "encrypted"),
    TESTED,
    ids=[f"{place.name}{', encrypted' * encrypted}" for place, encrypted in TESTED],
)
def test_the_object_suite_passes(place: Place, encrypted: bool, tmp_path: Path) -> None:
    folder = tmp_path / "server"
    with server(place, folder, is_default=True, encrypted=encrypted) as running:
        kept = {name: value for name, value in os.environ.items() if name[:7] != "PYTEST_"}
        environ = {**kept, "TWOFOLD_ENDPOINT": running.front.url}
        modules = [f"tests/api/test_{name}.py" for name in MODULES]
        left_out = OF_PLAIN_OBJECTS if encrypted else ()
        options = [f"--deselect=tests/api/test_{name}" for name in left_out]
        options += ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist"]
        finished = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *modules],
            cwd=REPOSITORY,
            env=environ,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
    assert finished.returncode == 0, finished.stdout[-8000:]
    assert " passed" in finished.stdout
