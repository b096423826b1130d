"""Fixtures of the tests with real S3 programs."""

from __future__ import annotations

import pytest

from tests.servers import Front


@pytest.fixture(scope="module", params=["http", "https"])
def endpoint(request: pytest.FixtureRequest, front: Front, tls_front: Front) -> Front:
    """The shared server over HTTP, then over HTTPS."""
    return front if request.param == "http" else tls_front
