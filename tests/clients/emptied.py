"""What is left in both stores of a bucket that was emptied: nothing."""

from __future__ import annotations

from s3front.work.workers import WORKERS
from tests.api.jobs import dmd
from tests.faults.stores import assert_settled
from tests.servers import Cluster
from tests.unit.dmd.data.harness import files_in

_OF_THE_BUCKET = ("the bucket", "its entry in the list of its owner", "that list")
_OF_A_WORKER = ("its lease", "the epoch of that", "its status")


def assert_nothing_is_left(running: Cluster, bucket: str) -> None:
    """The cluster holds this one bucket, and nothing of what was ever in it.

    The daemons run, they delete without a delay (``deleteDelaySeconds``), and the data directory
    knows its metadata (``dmd gc --adopt``). Empty segments of small blobs may be there.
    """
    stores = assert_settled(running)
    assert stores.objects == {bucket: {}}
    assert stores.uploads == {bucket: {}}
    assert stores.blobs == set()
    collected = dmd(running, "gc", "--json", "--apply")
    assert collected.code == 0, collected.errors
    tallies = {name: found for name, found in collected.document.items() if name != "applied"}
    assert not any(tally["blobs"] for tally in tallies.values()), tallies
    checked = dmd(running, "check", "--json")
    assert (checked.code, checked.document["garbage"]["blobs"]) == (0, 0), checked.output
    counted = dmd(running, "stats", "--json").document
    assert counted["buckets"].keys() == {bucket}
    assert not any(counted["total"].values()), counted
    assert counted["records"] <= len(_OF_THE_BUCKET) + len(_OF_A_WORKER) * len(WORKERS)
    data = running.folder / "data"
    assert [path for path in files_in(data) if path.parent != data / "packed"] == []
