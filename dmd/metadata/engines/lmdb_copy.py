"""The process that copies a store: ``python -m dmd.metadata.engines.lmdb_copy FROM TO``.

The library copies, and ends the process when it comes upon some kinds of damage; so nothing else is
in it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dmd.errors import StartupError
from dmd.metadata.engines.base import EngineError
from dmd.metadata.engines.lmdb import LmdbEngine


def _main(source: Path, target: Path) -> int:
    try:
        engine = LmdbEngine(source, read_only=True)
        try:
            engine.backup(target)
        finally:
            engine.close()
    except (EngineError, StartupError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1]), Path(sys.argv[2])))
