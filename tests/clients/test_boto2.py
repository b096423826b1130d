"""boto2, which signs in Version 2: programs that nobody has changed for years still use it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.support import new_name
from tests.clients.program import BUILD, DEADLINE_SECONDS, require
from tests.servers import ACCESS_KEY, SECRET_KEY, Front

_SCRIPT = Path(__file__).parent / "boto2_session.py"


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="boto2 needs Python 3.11 or older")
def test_boto2(front: Front) -> None:
    python = require(BUILD / "pyclients" / "bin" / "python")
    arguments = ["localhost", str(front.port), ACCESS_KEY, SECRET_KEY, new_name()]
    finished = subprocess.run(
        # -P: the script's folder is no place to import from.
        [str(python), "-P", str(_SCRIPT), *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout) == {
        "body": "body",
        "presigned": "body",
        "type": "text/plain",
        "metadata": "grün",
        "sizes": {"a b/ü+%.txt": 4, "copy": 4, "parts": 5 * 2**20 + 1},
        "errors": 0,
    }
