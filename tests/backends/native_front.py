"""``python -m tests.backends.native_front [work]``: a front-end, or a process of background work,
which knows the type of locations that ``native_place`` is as well."""

from __future__ import annotations

import sys
from typing import Any, cast

from s3front.locations import registry
from s3front.process.serve import serve
from s3front.work.__main__ import main as work
from shared.config import load_config
from shared.process.program import run_process
from tests.backends.native_place import NATIVE, TYPE

if __name__ == "__main__":
    cast(dict[str, Any], registry.TYPES)[TYPE] = NATIVE
    if sys.argv[1:] == ["work"]:
        work()
    else:
        config = load_config()
        run_process(lambda: serve(config))
