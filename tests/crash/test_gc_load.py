"""Garbage collection, again and again, with tiny waits, beside a load of everything that writes.

No blob that a record names is ever taken out of use, not even for a moment; and in the end there is
nothing but those.
"""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

import pytest
import requests

from dmd.jobs.gc import collect, given_owner
from dmd.jobs.gc_plan import Verdict
from tests.crash.collecting import GRACE_SECONDS, SETTINGS, Collector, Repeated, data_of
from tests.faults.processes import start_again
from tests.faults.stores import assert_settled
from tests.load import Load
from tests.multipart import begin_upload, completion, send_part
from tests.raw_http import call
from tests.servers import Cluster, cluster, wait_for
from tests.unit.dmd.metadata.support import RecordingLog

SOAK = bool(os.environ.get("TWOFOLD_SOAK"))
SECONDS = 3600 if SOAK else 10
GARBAGE = (b"small garbage", b"large garbage" * 30_000)
PARTS = {1: b"1" * 5_300_000, 2: b"2" * 5_300_000, 3: b"the last one"}


class Litterer(Repeated):
    """Stores blobs that no record names."""

    def __init__(self, running: Cluster) -> None:
        super().__init__()
        self._url = f"http://127.0.0.1:{running.data_port}/DataFile/"
        self.stored: set[str] = set()

    def one_round(self) -> None:
        for body in GARBAGE:
            try:
                response = requests.put(self._url, data=body, timeout=10)
            except requests.RequestException:
                continue
            self.stored.add(response.headers["Location"].rpartition("/")[2])
        self.wait(0.3)


class SlowUploader(Repeated):
    """Uploads in parts that take longer than the grace, each of them."""

    def __init__(self, running: Cluster) -> None:
        super().__init__()
        self._send = partial(call, running.fronts[-1])

    def one_round(self) -> None:
        target = f"/slow/{self.rounds}"
        try:
            self._upload(target)
        except OSError:
            return

    def _upload(self, target: str) -> None:
        upload = begin_upload(self._send, target)
        for number, body in PARTS.items():
            while send_part(self._send, target, upload, number, body).status != 200:
                if self.wait(0.1):
                    return
            if self.wait(GRACE_SECONDS * 0.7):
                return
        done = f"{target}?uploadId={upload}"
        while (reply := self._send("POST", done, completion(PARTS))).status == 503:
            if self.wait(0.1):
                return
        assert reply.status == 200, reply.body
        self.wait(GRACE_SECONDS)
        while (reply := self._send("GET", target)).status == 503:
            if self.wait(0.1):
                return
        assert reply.body == b"".join(PARTS.values())


@pytest.mark.timeout(SECONDS + 400)
def test_no_live_blob_is_touched_and_all_garbage_is_removed(tmp_path: Path) -> None:
    with cluster(tmp_path, fronts=2, settings=SETTINGS) as running:
        assert call(running.fronts[0], "PUT", "/slow").status == 200
        owner = given_owner(running.folder / "metadata")
        data_of(running).adopt(owner)
        collector, litterer = Collector(running), Litterer(running)
        slow = SlowUploader(running)
        with Load("busy", running.fronts) as load:
            with collector, litterer, slow:
                half = time.monotonic() + SECONDS / 2
                wait_for(lambda: time.monotonic() > half, "half of the time", SECONDS)
                running.dmd_data.kill()
                start_again(running)
                wait_for(lambda: time.monotonic() > half + SECONDS / 2, "the other half", SECONDS)
                assert load.acknowledged > 20
            load.check()
            load.end()
        assert "in quarantine is needed" not in running.dmd_data.output
        assert collector.rounds > 3
        assert collector.purged > 0
        abort_uploads(running)
        stores = assert_settled(running, unowned_max=100_000)
        collect_all(running, collector)
        assert inventory(running) == stores.owned
        assert litterer.stored.isdisjoint(stores.owned)


def abort_uploads(running: Cluster) -> None:
    listed = call(running.fronts[0], "GET", "/slow?uploads").xml
    for node in listed.iterfind("Upload"):
        target = f"/slow/{node.findtext('Key')}?uploadId={node.findtext('UploadId')}"
        assert call(running.fronts[0], "DELETE", target).status == 204


def collect_all(running: Cluster, collector: Collector) -> None:
    """Collect until there is nothing left to do."""
    done = (Verdict.KEEP,)

    def clean() -> bool:
        data = data_of(running)
        try:
            report = collect(data, collector._options, RecordingLog(), lambda _count: None)
        finally:
            data.close()
        return not any(tally.blobs for name, tally in report.verdicts.items() if name not in done)

    wait_for(clean, "all garbage to be removed")


def inventory(running: Cluster) -> set[str]:
    """The keys of all blobs, in use and in quarantine."""
    data = data_of(running)
    try:
        return {blob.key.hex() for _, blobs in data.pages() for blob in blobs}
    finally:
        data.close()
