"""The JSON of policies: what is read, and that nothing that is none takes long to refuse."""

from __future__ import annotations

import time

import pytest

from s3front.policies.policy_json import DEPTH_MAX, JsonError, read_json


def test_a_document_is_read() -> None:
    assert read_json(b'{"a": [1, "\\"]}"]}') == {"a": [1, '"]}']}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b'{"a": NaN}',
        b"\xff",
        b'{"a": 1} {}',
        b"[" * 100_000,
        b"[" * 200 + b"]" * 200,
        b'{"a":' * (DEPTH_MAX + 1) + b"1" + b"}" * (DEPTH_MAX + 1),
    ],
)
def test_what_means_nothing_or_two_things_is_refused(text: bytes) -> None:
    with pytest.raises(JsonError):
        read_json(text)


def test_brackets_in_texts_nest_nothing() -> None:
    assert read_json(b'{"a": "' + b"[{" * 1_000 + b'"}')


def test_a_text_that_does_not_end_is_refused_at_once() -> None:
    """By what it costs the processor: by the square of its length it would be minutes."""
    began = time.process_time()
    with pytest.raises(JsonError):
        read_json(b'{"' + b'\\"' * 500_000)
    assert time.process_time() - began < 5
