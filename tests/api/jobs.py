"""Running the jobs of ``dmd`` as an operator would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers import Cluster

EX_CONFIG = 78


@dataclass(frozen=True)
class Finished:
    code: int
    output: str
    errors: str

    @property
    def document(self) -> Any:
        return json.loads(self.output)


def dmd(
    running: Cluster,
    *arguments: str,
    metadata: Path | None = None,
    failpoint: str = "",
) -> Finished:
    """Run a command on the cluster's metadata, or on that of a directory."""
    environ = {**running.dmd_metadata.environ, "DMD_FAILPOINT": failpoint}
    if metadata is not None:
        environ["S3METADATAPATH"] = str(metadata)
    finished = subprocess.run(
        [sys.executable, "-m", "dmd", *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "Traceback" not in finished.stderr, finished.stderr
    return Finished(finished.returncode, finished.stdout, finished.stderr)
