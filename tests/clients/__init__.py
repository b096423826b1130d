"""Tests with real S3 programs."""

import pytest

# Its assertions explain themselves like those of the test modules.
pytest.register_assert_rewrite("tests.clients.sdk")
