"""The README's first upload, as it is written there."""

from __future__ import annotations

import subprocess
from pathlib import Path

from shared.config import load_config
from tests.clients.awscli import AwsCli
from tests.servers import REPOSITORY, Front

_URL = "http://localhost:8000"
_INDENT = "    "


def commands_of(section: str) -> str:
    """The indented lines of one section of the README."""
    text = (REPOSITORY / "README.md").read_text()
    lines = text.partition(f"## {section}\n")[2].partition("\n## ")[0].splitlines()
    return "\n".join(line[len(_INDENT) :] for line in lines if line.startswith(_INDENT))


def test_the_url_is_that_of_the_stock_configuration() -> None:
    assert load_config(environ={}, directory=REPOSITORY).port == 8000
    assert _URL in commands_of("Start")


def test_the_first_upload_works(front: Front, tmp_path: Path) -> None:
    script = commands_of("First upload")
    uploading = [line for line in script.splitlines() if line.startswith("aws ")]
    assert uploading
    # Older versions of the program know no variable for it.
    assert all(line.startswith(f"aws --endpoint-url {_URL} s3 ") for line in uploading)
    # The commands themselves say everything that concerns S3.
    aws = AwsCli(front, tmp_path)
    finished = subprocess.run(
        ["sh", "-eux", "-c", script.replace(_URL, front.url)],
        env={name: aws.environ[name] for name in ("PATH", "HOME")},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    size = str((REPOSITORY / "README.md").stat().st_size)
    assert finished.stdout.splitlines()[-1].split()[2:] == [size, "README.md"]
    aws.s3("rb", "--force", "s3://photos")
