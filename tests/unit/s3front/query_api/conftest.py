"""What tests of calls share."""

from __future__ import annotations

import pytest

from tests.unit.s3front.iam.test_session_service import KEYS
from tests.unit.s3front.query_api.query_service import QueryService


@pytest.fixture
def iam() -> QueryService:
    """A front-end with a master key, over metadata in memory."""
    return QueryService(KEYS)
