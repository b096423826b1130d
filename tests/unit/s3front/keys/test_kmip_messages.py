"""What is sent to a KMIP server, and what its answers mean."""

from __future__ import annotations

import pytest

from s3front.keys import kmip_messages as messages
from s3front.keys.kmip_messages import Operation, Tag, Version
from s3front.keys.kmip_ttlv import (
    Item,
    MalformedError,
    Type,
    decode,
    encode,
    enumeration,
    integer,
    octets,
    structure,
    text,
)
from s3front.keys.sealed_data_key import Mode, Sealed


def payload_of(message: bytes) -> Item:
    found = decode(message).first(Tag.BATCH_ITEM, Tag.REQUEST_PAYLOAD)
    assert found is not None
    return found


def answer(*items: Item) -> bytes:
    return encode(structure(Tag.RESPONSE_MESSAGE, [structure(Tag.BATCH_ITEM, items)]))


def test_a_request() -> None:
    """As the use cases of KMIP have it: a header with the version, and one item."""
    message = decode(messages.request(Version(1, 3), Operation.ACTIVATE, messages.of_key("7")))

    header = message.first(Tag.REQUEST_HEADER)
    assert message.tag == Tag.REQUEST_MESSAGE
    assert header is not None
    assert header.number(Tag.PROTOCOL_VERSION, Tag.PROTOCOL_VERSION_MAJOR) == 1
    assert header.number(Tag.PROTOCOL_VERSION, Tag.PROTOCOL_VERSION_MINOR) == 3
    assert header.number(Tag.BATCH_COUNT) == 1
    assert message.number(Tag.BATCH_ITEM, Tag.OPERATION) == 0x12
    assert message.text(Tag.BATCH_ITEM, Tag.REQUEST_PAYLOAD, Tag.UNIQUE_IDENTIFIER) == "7"


def attributes_of(payload: list[Item]) -> dict[str | None, object]:
    template = structure(Tag.REQUEST_PAYLOAD, payload).first(Tag.TEMPLATE_ATTRIBUTE)
    assert template is not None
    found: dict[str | None, object] = {}
    for each in template.items(Tag.ATTRIBUTE):
        value = each.first(Tag.ATTRIBUTE_VALUE)
        assert value is not None
        found[each.text(Tag.ATTRIBUTE_NAME)] = (value.type, value.value)
    return found


def test_a_new_key() -> None:
    assert attributes_of(messages.create(None, None)) == {
        "Cryptographic Algorithm": (Type.ENUMERATION, 3),
        "Cryptographic Length": (Type.INTEGER, 256),
        "Cryptographic Usage Mask": (Type.INTEGER, 0x0C),
    }


def test_a_new_key_that_is_active_and_says_what_it_is_for() -> None:
    attributes = attributes_of(messages.create(1_700_000_000, ("x-bucket", "photos")))

    assert attributes["Activation Date"] == (Type.DATE_TIME, 1_700_000_000)
    assert attributes["x-bucket"] == (Type.TEXT_STRING, "photos")


def test_authenticated_encryption_has_a_context_and_a_tag() -> None:
    sealed = Sealed(Mode.GCM, b"i" * 12, b"t" * 16, b"data")
    request = messages.request(
        Version(1, 4), Operation.DECRYPT, messages.decrypt("7", sealed, b"context")
    )
    payload = payload_of(request)

    assert payload.octets(Tag.AUTHENTICATED_DATA) == b"context"
    assert payload.octets(Tag.AUTHENTICATION_TAG) == b"t" * 16
    assert payload.octets(Tag.IV_COUNTER_NONCE) == b"i" * 12
    assert payload.number(Tag.CRYPTOGRAPHIC_PARAMETERS, Tag.BLOCK_CIPHER_MODE) == 9
    assert payload.number(Tag.CRYPTOGRAPHIC_PARAMETERS, Tag.TAG_LENGTH) == 16


def test_the_older_one_has_none_of_them() -> None:
    payload = structure(
        Tag.REQUEST_PAYLOAD, messages.encrypt("7", Mode.CBC, bytes(16), b"key", b"context")
    )

    assert payload.first(Tag.AUTHENTICATED_DATA) is None
    assert payload.number(Tag.CRYPTOGRAPHIC_PARAMETERS, Tag.BLOCK_CIPHER_MODE) == 1
    assert payload.number(Tag.CRYPTOGRAPHIC_PARAMETERS, Tag.PADDING_METHOD) == 3
    assert payload.first(Tag.CRYPTOGRAPHIC_PARAMETERS, Tag.TAG_LENGTH) is None


def test_a_good_answer() -> None:
    said = structure(Tag.RESPONSE_PAYLOAD, [octets(Tag.DATA, b"sealed")])

    reply = messages.reply(answer(enumeration(Tag.RESULT_STATUS, 0), said))

    assert reply.payload is not None
    assert reply.payload.octets(Tag.DATA) == b"sealed"


def test_a_refusal() -> None:
    reply = messages.reply(
        answer(
            enumeration(Tag.RESULT_STATUS, 1),
            enumeration(Tag.RESULT_REASON, 0x0C),
            text(Tag.RESULT_MESSAGE, "not yours"),
        )
    )

    assert (reply.payload, reply.reason, reply.message) == (None, 0x0C, "not yours")
    assert messages.reason_name(reply.reason) == "permission denied"
    assert messages.reason_name(0x777) == "reason 1911"
    assert messages.reason_name(None) == "no reason"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        encode(structure(Tag.RESPONSE_MESSAGE, [])),
        answer(),
        encode(structure(Tag.REQUEST_MESSAGE, [structure(Tag.BATCH_ITEM, [])])),
    ],
)
def test_what_is_no_answer(data: bytes) -> None:
    with pytest.raises(MalformedError):
        messages.reply(data)


@pytest.mark.parametrize(
    ("known", "best"),
    [
        ([(2, 0), (1, 4), (1, 2)], Version(1, 4)),
        ([(1, 0), (1, 2), (1, 1)], Version(1, 2)),
        ([(1, 1), (2, 0)], None),
        ([], None),
    ],
)
def test_the_best_version_that_both_know(
    known: list[tuple[int, int]], best: Version | None
) -> None:
    versions = [
        structure(
            Tag.PROTOCOL_VERSION,
            [
                integer(Tag.PROTOCOL_VERSION_MAJOR, major),
                integer(Tag.PROTOCOL_VERSION_MINOR, minor),
            ],
        )
        for major, minor in known
    ]

    assert messages.best_version(structure(Tag.RESPONSE_PAYLOAD, versions)) == best
