"""``python -m tests.walks [NAME...]``: the calls between modules that requests make, to draw
from."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.walks.requests_walked import REQUESTS, prepare
from tests.walks.traced_servers import traced_servers


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="twofold-walks-") as folder,
        traced_servers(Path(folder)) as servers,
    ):
        prepare(servers.s3)
        for name in sys.argv[1:] or REQUESTS:
            REQUESTS[name](servers.s3)  # whatever only the first one does
            print(f"\n{name}")
            seen = set()
            for call in servers.walk(lambda name=name: REQUESTS[name](servers.s3)):  # type: ignore[misc]
                edge = (call.caller, call.module, call.function)
                if call.caller != call.module and edge not in seen:
                    seen.add(edge)
                    print(f"  {call.caller or '(loop)'} -> {call.module}: {call.function}")


if __name__ == "__main__":
    main()
