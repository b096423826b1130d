from __future__ import annotations

import pytest

from s3front.keys.troubles import disabled, invalid_state, not_found

SECRET = "5e" * 32


def test_the_key_is_named() -> None:
    assert not_found("a-key").message == "Key 'a-key' does not exist"
    assert "é" not in not_found("é").message
    pending = invalid_state("a-key", "arn:a-key is pending deletion.")
    assert pending.message == "a-key is pending deletion."


@pytest.mark.parametrize("key_id", [SECRET, f"arn:scality:kms:internal:file_kms:key/{SECRET}"])
def test_a_name_that_is_a_key_is_not_shown(key_id: str) -> None:
    """As those of the original's ``file`` KMS are."""
    for error in (not_found(key_id), disabled(key_id, ""), invalid_state(key_id, "")):
        assert SECRET not in f"{error.message} {error!r} {error}"
