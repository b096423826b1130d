"""Version IDs: their order, and the forms in which S3 shows them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.version_id import (
    TICKS_PER_MILLISECOND,
    decode,
    encode,
    infinite,
    make,
    next_tick,
    tick_of,
)

# What CloudServer's own code makes of them (reference/dmd-wire.md, section 7).
VECTORS = [
    ("98204666944465999999RG001  ", "aIBG064SeSC300000000001I4j3QKItW"),
    ("98204666944465999998PARIS  ", "aIBG064SeSC200000000001FsCrDlvIk"),
    ("98204666944465999999RG00100", "aIBG064SeSC300000000001I4j3QKJyg"),
    ("99999999999999999999RG001  ", "aUKYOzaUKYOz00000000001I4j3QKItW"),
    (
        "98204666944465999999RG001  0",
        "39383230343636363934343436353939393939395247303031202030",
    ),
]
TICK = 1795333055534 * TICKS_PER_MILLISECOND

groups = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=7)
ticks = st.integers(0, 10**20 - 1)


@pytest.mark.parametrize(("internal", "external"), VECTORS)
def test_the_forms_are_those_of_the_original(internal: str, external: str) -> None:
    assert encode(internal) == external
    assert decode(external) == internal


def test_the_hexadecimal_form_of_a_plain_id_is_understood_too() -> None:
    external = "393832303436363639343434363539393939393952473030312020"
    assert decode(external) == VECTORS[0][0]


@pytest.mark.parametrize(
    ("external", "reason"),
    [
        ("abc", "cannot decode a version ID of 3 characters"),
        ("", "of 0 characters"),
        ("0" * 32, "is not length 27"),
        ("z" * 32, "is not length 27|decode"),
        ("-" * 32, "no digit of base 62"),
        ("é" * 32, "no digit of base 62"),
        ("g" * 56, "neither base 62 nor hexadecimal"),
        ("3" * 57, "neither base 62 nor hexadecimal"),
        ("33 3" * 10, "neither base 62 nor hexadecimal"),
        ("ff" * 28, "decode"),
    ],
)
def test_what_is_no_version_id_is_refused(external: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        decode(external)


@pytest.mark.parametrize("tick", [0, 1, TICK])
def test_an_id_has_its_tick(tick: int) -> None:
    assert tick_of(make(tick, "RG001")) == tick_of(make(tick, "RG2", "info")) == tick


@pytest.mark.parametrize(
    "text", ["", "1", "9820466694446599999", "x" * 27, "00000000000000000001RG001  "]
)
def test_what_no_clock_shows_has_no_tick(text: str) -> None:
    assert tick_of(text) is None


def test_an_id_has_moment_position_group_and_info() -> None:
    assert make(TICK, "RG001") == "98204666944465999999RG001  "
    assert make(TICK + 1, "PARIS", "17") == "98204666944465999998PARIS  17"
    assert make(TICK, "LONGER-NAME") == "98204666944465999999LONGER-"


def test_the_infinite_id_is_older_than_any_other() -> None:
    assert infinite("RG001") == "99999999999999999999RG001  "
    assert make(next_tick(0, 0), "RG001") < infinite("RG001")


def test_time_goes_on_when_the_clock_does() -> None:
    assert next_tick(TICK, 1795333055535) == TICK + TICKS_PER_MILLISECOND


@pytest.mark.parametrize("now_ms", [1795333055534, 1795333055533, 0])
def test_time_never_goes_back(now_ms: int) -> None:
    assert next_tick(TICK, now_ms) == TICK + 1


def test_a_full_millisecond_runs_over_into_the_next() -> None:
    last = TICK + TICKS_PER_MILLISECOND - 1
    assert make(next_tick(last, 1795333055534), "RG001") == "98204666944464999999RG001  "


@given(st.lists(st.integers(0, 10**13), min_size=2, max_size=20))
def test_a_later_id_sorts_before_an_earlier_one(clock: list[int]) -> None:
    made = []
    last = 0
    for now_ms in clock:
        last = next_tick(last, now_ms)
        made.append(make(last, "RG001"))
    assert sorted(made, reverse=True) == made
    assert len(set(made)) == len(made)


@given(ticks, groups, st.sampled_from(["", "0", "123456", "é"]))
def test_every_id_comes_back(tick: int, group: str, info: str) -> None:
    internal = make(tick, group, info)
    external = encode(internal)
    assert len(external) == 32 if not info else len(external) > 32
    assert decode(external) == internal


def test_an_id_that_base_62_cannot_hold_is_written_in_hexadecimal() -> None:
    for internal in ("9" * 20 + "\0" * 7, "9" * 19 + "x" * 8, "9" * 20 + "é" * 7):
        assert decode(encode(internal)) == internal


@given(st.text(max_size=80))
def test_any_text_is_decoded_or_refused_with_a_value_error(text: str) -> None:
    try:
        internal = decode(text)
    except ValueError:
        return
    assert decode(encode(internal)) == internal
