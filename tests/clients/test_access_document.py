"""docs/access.md: its first steps and its recipes, run as they are written there, one after the
other, by a user's shell."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.api.encrypting import encrypting_cluster
from tests.clients.awscli import AwsCli
from tests.servers import REPOSITORY, Front

TEXT: Final = (REPOSITORY / "docs" / "access.md").read_text()
RUN: Final = ("First steps", "Recipes")
URL: Final = "http://localhost:8000"
REFUSED: Final = "# refused"

EXAMPLES: Final = frozenset(("s3front keys create", "s3front why 4442587FB7D0A2F9"))
"""What is done elsewhere (the server has its key), or stands for something."""

_SECONDS_MAX: Final = 400
"""``aws`` takes a second to start, and does so some sixty times."""

PRELUDE: Final = """\
set -eu
refused() {
  if "$@" > refused.txt 2>&1; then echo "was not refused: $*"; exit 1; fi
  [ ! -s refused.txt ] || grep -Eq "AccessDenied|403|InvalidAccessKeyId" refused.txt ||
    { cat refused.txt; exit 1; }
}
"""


def section(title: str) -> str:
    """The text below a heading of the second level."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## )", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def commands(text: str) -> str:
    """The indented lines of a text: what a reader types."""
    typed = [line[4:] for line in text.splitlines() if line.startswith("    ") or not line]
    return "\n".join(line for line in typed if line not in EXAMPLES)


def as_script(typed: str) -> str:
    """Commands as a script, which ends at the first that does not do what the text says."""
    lines: list[str] = []
    for line in typed.replace("\\\n", "").splitlines():
        if line.endswith(REFUSED):
            lines.append(f"refused {line.removesuffix(REFUSED)}")
        else:
            lines.append(line)
    return "\n".join(lines)


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    folder = tmp_path / "server"
    folder.mkdir()
    with encrypting_cluster(folder) as running:
        yield running.fronts[0]


@pytest.mark.timeout(_SECONDS_MAX + 60)
def test_every_recipe_does_what_is_said(front: Front, tmp_path: Path) -> None:
    aws = AwsCli(front, tmp_path)
    typed = "\n".join(commands(section(title)) for title in RUN)
    script = PRELUDE + as_script(typed).replace(URL, front.url)
    environ = {**front.process.environ, **aws.environ}
    environ["PATH"] = f"{REPOSITORY}/.venv/bin:{environ['PATH']}"
    finished = subprocess.run(
        ["sh", "-x", "-c", script],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=_SECONDS_MAX,
        check=False,
    )
    assert finished.returncode == 0, f"{finished.stdout[-2000:]}\n{finished.stderr[-6000:]}"
    printed = finished.stdout
    assert printed.count("all well") == 3
    assert '"IsPublic": true' in printed
    assert "allowed: allowed s3:GetObject by statement[1] of group/people/home" in printed
