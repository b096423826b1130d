"""The table of mutants: each is an error that can be made in the code as it is."""

from __future__ import annotations

import pytest

from tests.mutants.table import MUTANTS, TESTS, Mutant
from tests.servers import REPOSITORY


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.file}-{mutant.mutated}")
def test_a_mutant_changes_one_place(mutant: Mutant) -> None:
    text = (REPOSITORY / mutant.file).read_text()
    assert mutant.applied(text) != text


@pytest.mark.parametrize("kind", TESTS)
def test_the_tests_of_a_kind_are_there(kind: str) -> None:
    assert all((REPOSITORY / name).is_file() for name in TESTS[kind])
    assert sum(mutant.kind == kind for mutant in MUTANTS) >= 8
