"""Running the jobs of ``dmd`` as an operator would."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import fork_server
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
    finished = fork_server.run("dmd", arguments, environ, 100)
    assert "Traceback" not in finished.stderr, finished.stderr
    return Finished(finished.returncode, finished.stdout, finished.stderr)
