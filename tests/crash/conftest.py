"""Fixtures of the crash tests: stages on which operations are cut short."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.stage import Stage, stage_in
from tests.faults.processes import FILE_POINTS
from tests.servers import TWO_HOPS


@pytest.fixture(scope="module")
def packing_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Small blobs are packed by the data daemon, before their commit."""
    with stage_in(tmp_path_factory.mktemp("packing"), TWO_HOPS) as stage:
        yield stage


@pytest.fixture(scope="module")
def one_hop_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Small blobs come with their commit, and are packed by the metadata daemon."""
    with stage_in(tmp_path_factory.mktemp("one-hop"), {}) as stage:
        stage.running.works = False
        stage.running.work.kill()
        yield stage


@pytest.fixture(scope="module")
def file_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Every blob is a file."""
    settings = {"dataDaemon": {"packedSizeMaxBytes": 0}}
    with stage_in(tmp_path_factory.mktemp("files"), settings) as stage:
        yield stage


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Stage:
    """Where small blobs come to the fail-point of the test; started when a test asks for it."""
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    point = parameters["armed"].point if "armed" in parameters else parameters.get("point")
    name = "file_stage" if point in FILE_POINTS else "packing_stage"
    chosen: Stage = request.getfixturevalue(name)
    # Nobody does background work until the test wants it.
    chosen.running.works = False
    chosen.running.work.kill()
    return chosen
