"""What is derived from a value is computed once for each."""

from __future__ import annotations

import msgspec
import pytest

from shared.records.derived import derived, remembered


class _Number(msgspec.Struct, frozen=True, dict=True):
    value: int
    calls: list[str]

    @derived
    def inverse(self) -> float:
        self.calls.append("inverse")
        return 1 / self.value


def doubled(number: _Number) -> int:
    number.calls.append("doubled")
    return 2 * number.value


def halved(number: _Number) -> float:
    number.calls.append("halved")
    return number.value / 2


def test_a_derived_property_is_computed_once() -> None:
    number = _Number(2, [])
    assert [number.inverse, number.inverse] == [0.5, 0.5]
    assert number.calls == ["inverse"]


def test_a_remembered_function_is_called_once_for_each_value() -> None:
    number, other = _Number(2, []), _Number(3, [])
    assert [remembered(number, function) for function in (doubled, halved, doubled)] == [4, 1, 4]
    assert remembered(other, doubled) == 6
    assert (number.calls, other.calls) == (["doubled", "halved"], ["doubled"])


def test_what_raises_is_asked_again() -> None:
    number = _Number(0, [])
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            _ = number.inverse
    assert number.calls == ["inverse", "inverse"]


def test_what_was_derived_is_no_part_of_the_value() -> None:
    number, other = _Number(2, []), _Number(2, [])
    assert number.inverse == 0.5
    number.calls.clear()
    assert number == other
    assert msgspec.structs.replace(number, value=4).inverse == 0.25
