"""How the versions of a DeleteObjects are put into commits."""

from __future__ import annotations

import itertools

import pytest

from s3front.objects.versioning import LATEST, NULL, Version
from s3front.operations.delete_objects import _COMMIT_KEYS_MAX, _Entry, _slices

V1, V2 = Version("1"), Version("2")


def entries(*named: tuple[str, Version]) -> list[_Entry]:
    return [_Entry(key, version) for key, version in named]


def test_keys_fill_a_commit() -> None:
    wanted = entries(*((str(number), LATEST) for number in range(2 * _COMMIT_KEYS_MAX + 1)))
    slices = _slices(wanted)
    assert [len(slice_) for slice_ in slices] == [_COMMIT_KEYS_MAX, _COMMIT_KEYS_MAX, 1]
    assert [*itertools.chain(*slices)] == wanted


@pytest.mark.parametrize(
    ("versions", "commits"),
    [
        ((V1, V2), 1),
        ((LATEST, V1), 2),
        ((V1, LATEST), 2),
        ((V1, V2, LATEST, NULL), 3),
        ((LATEST, V1, V2, NULL), 3),
    ],
)
def test_the_latest_and_the_null_version_of_a_key_are_alone(
    versions: tuple[Version, ...], commits: int
) -> None:
    slices = _slices(entries(*(("a", version) for version in versions)))
    assert len(slices) == commits
    assert [entry.version for slice_ in slices for entry in slice_] == list(versions)


def test_keys_that_are_mixed_take_as_many_commits_as_one_of_them() -> None:
    named = [(f"{number}", version) for number in range(30) for version in (LATEST, V1, NULL)]
    assert [len(slice_) for slice_ in _slices(entries(*named))] == [30, 30, 30]
