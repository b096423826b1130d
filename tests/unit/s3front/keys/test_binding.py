"""A data key is bound to its context."""

from __future__ import annotations

import hashlib
import hmac

from s3front.keys.binding import bound_secret, canonical

KEY = bytes(range(32))


def test_the_secret_is_as_the_document_says() -> None:
    context = {"b": "2", "a": "ü"}
    text = b'{"a":"\xc3\xbc","b":"2"}'

    assert canonical(context) == text
    assert bound_secret(KEY, context) == hmac.digest(KEY, b"twofold context 1" + text, "sha256")


def test_another_context_or_key_is_another_secret() -> None:
    contexts = [{}, {"a": "b"}, {"a": "c"}, {"b": "a"}, {"a": "b", "c": ""}, {"a": 'b","c":"'}]
    keys = [KEY, hashlib.sha256(KEY).digest()]

    assert len({bound_secret(key, context) for key in keys for context in contexts}) == 12


def test_the_order_of_a_context_is_no_part_of_it() -> None:
    assert bound_secret(KEY, {"a": "1", "b": "2"}) == bound_secret(KEY, {"b": "2", "a": "1"})


def test_text_that_is_no_unicode_is_bound_as_well() -> None:
    assert canonical({"a": "\udc80"}) == b'{"a":"\xed\xb2\x80"}'
