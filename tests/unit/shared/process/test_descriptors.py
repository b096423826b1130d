"""What the limit of open files leaves for connections."""

from __future__ import annotations

import resource

import pytest

from shared.process import descriptors


@pytest.mark.parametrize(
    ("wanted", "limit", "connections"),
    [
        (16_384, 65_536, 16_384),
        (16_384, 20_000, 15_000),
        (16_384, 1024, 768),
        (10, 1024, 10),
        (10, 1, 1),
        (16_384, resource.RLIM_INFINITY, 16_384),
    ],
)
def test_a_quarter_is_left_for_what_requests_need_besides(
    wanted: int, limit: int, connections: int
) -> None:
    assert descriptors.affordable(wanted, limit) == connections
