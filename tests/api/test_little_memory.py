"""A front-end that may have no more memory: no request waits for ever, and it serves on."""

from __future__ import annotations

import json
import resource
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.raw_http import call
from tests.servers import Front, cluster, wait_for

SPARE_BYTES = 8 * 1024 * 1024
SIZES = (1000, 300_000, 20_000_000)
AT_ONCE = 8


def address_space_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmSize:")) * 1024


def serving(front: Front) -> list[int]:
    """The processes that serve S3. Background work may be starting still: without memory that ends
    it, and it is begun again, which is no matter of uploads."""
    lines = [json.loads(line) for line in front.process.output.splitlines()]
    started = {line["child_pid"]: line["child"] for line in lines if "child_pid" in line}
    return [pid for pid, child in started.items() if child != "s3front-work"]


def outcome(front: Front, target: str, size: int) -> int:
    """The status of an upload, 0 for one whose process ended: its supervisor starts another."""
    try:
        return call(front, "PUT", target, bytes(size)).status
    except ConnectionError:
        return 0


def test_uploads_are_told_to_slow_down(tmp_path: Path) -> None:
    with cluster(tmp_path, supervised=True) as running, ThreadPoolExecutor(AT_ONCE) as clients:
        front = running.fronts[0]
        assert call(front, "PUT", "/bucket").status == 200
        for pid in serving(front):
            most = address_space_bytes(pid) + SPARE_BYTES
            resource.prlimit(pid, resource.RLIMIT_AS, (most, most))
        answers: Counter[int] = Counter()
        for size in SIZES:
            sent = [
                clients.submit(outcome, front, f"/bucket/{size}-{number}", size)
                for number in range(AT_ONCE)
            ]
            answers.update(each.result() for each in sent)
        assert {200, 503} <= set(answers) <= {200, 503, 0}
        # One more process may end, of what was asked before.
        wait_for(lambda: outcome(front, "/bucket/small", 5) == 200, "the front-end to serve on")
        assert call(front, "GET", "/bucket/small").body == bytes(5)
        assert "Traceback" not in front.process.output
