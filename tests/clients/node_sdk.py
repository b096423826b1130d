"""Runs the programs of ``tests/clients/node`` with the packages that ``make clients`` installs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.clients.program import BUILD, require
from tests.clients.sdk import Sdk
from tests.servers import Front

_SCRIPTS = Path(__file__).parent / "node"


@contextmanager
def node_sdk(script: str, front: Front, environ: Mapping[str, str] | None = None) -> Iterator[Sdk]:
    """An SDK in Node.js, of the environment that runs the tests."""
    node = shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")
    assert node is not None, "node is missing: install the project's [dev] dependencies"
    modules = require(BUILD / "node-clients" / "node_modules")
    argv = [node, str(_SCRIPTS / script)]
    with Sdk.running(argv, front, {"NODE_PATH": str(modules), **(environ or {})}) as sdk:
        yield sdk
