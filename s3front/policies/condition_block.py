"""The conditions of a statement: all of them have to hold. Pure.

Rules (IAM user guide, "Creating a condition with multiple keys or values", "Multivalued context
keys", "Condition operators"):

1. Of the values of a policy one has to fit; of an operator that negates, none may.
2. A key that the request does not have fits nothing: an operator that negates holds, as do
   ``…IfExists`` and ``ForAllValues:``.
3. Of several values of a request, each has to fit with ``ForAllValues:``, one with
   ``ForAnyValue:`` and without either.
4. What cannot be compared (an address that is none, a variable without a value) fits nothing;
   where an operator negates, it lets nothing through: an Allow does not apply, a Deny does.

A test raises OutOfWorkError when there is too much to compare (``s3front.policies.work``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from s3front.policies.condition_operators import OPERATORS, Comparison
from s3front.policies.question import Question
from s3front.policies.work import COMPARISON

Test = Callable[[Question], bool]

FOR_ALL: Final = "forallvalues:"
FOR_ANY: Final = "foranyvalue:"
IF_EXISTS: Final = "ifexists"
NULL: Final = "null"


def tests_of(block: Any, *, deny: bool, variables: bool) -> list[Test] | None:
    """The tests of a ``Condition`` as it stands in a policy. What cannot be understood is left out
    of a Deny, which then denies more; an Allow with it is None, and gives nothing."""
    if not isinstance(block, Mapping):
        return [] if deny else None
    tests: list[Test] = []
    for operator, keys in block.items():
        entries = keys.items() if isinstance(keys, Mapping) else [(None, None)]
        for key, values in entries:
            try:
                tests.append(condition_test(operator, key, values, deny=deny, variables=variables))
            except ValueError:
                if not deny:
                    return None
    return tests


def texts_of(values: Any) -> list[str]:
    """The values of a key as text: one, or a list of them. Raises ``ValueError`` for others."""
    entries = values if isinstance(values, list) else [values]
    texts: list[str] = []
    for value in entries:
        if isinstance(value, bool):
            texts.append("true" if value else "false")
        elif isinstance(value, str | int | float):
            texts.append(str(value))
        else:
            raise ValueError(values)
    return texts


def condition_test(operator: str, key: Any, values: Any, *, deny: bool, variables: bool) -> Test:
    if not isinstance(key, str):
        raise ValueError(key)
    texts = texts_of(values)
    name = operator.lower()
    every, one = name.startswith(FOR_ALL), name.startswith(FOR_ANY)
    name = name.removeprefix(FOR_ALL).removeprefix(FOR_ANY)
    if name == NULL:
        return _null(key, texts)
    missing = name.endswith(IF_EXISTS)
    found = OPERATORS.get(name.removesuffix(IF_EXISTS))
    if found is None:
        raise ValueError(operator)
    compare = found.make(texts, variables)
    if every:
        return _for_all(key, compare, found.negated, deny)
    return (
        _for_any(key, compare, found.negated, missing, deny)
        if one
        else _plain(key, compare, found.negated, missing, deny)
    )


def _null(key: str, texts: list[str]) -> Test:
    wanted = {text.lower() for text in texts}
    if not wanted <= {"true", "false"}:
        raise ValueError(texts)

    def test(question: Question) -> bool:
        return ("false" if question.values(key) else "true") in wanted

    return test


def _plain(key: str, compare: Comparison, negated: bool, missing: bool, deny: bool) -> Test:
    if not negated:

        def test(question: Question) -> bool:
            values = question.values(key)
            if not values:
                return missing
            if len(values) == 1:
                return compare(values[0], question) is True
            question.work.spend(COMPARISON * len(values))
            return True in [compare(value, question) for value in values]

        return test

    def test_not(question: Question) -> bool:
        values = question.values(key)
        if not values:
            return True
        if len(values) == 1:
            answer = compare(values[0], question)
            return deny if answer is None else not answer
        question.work.spend(COMPARISON * len(values))
        answers = [compare(value, question) for value in values]
        if True in answers:
            return False
        return deny or None not in answers

    return test_not


def _for_any(key: str, compare: Comparison, negated: bool, missing: bool, deny: bool) -> Test:
    def test(question: Question) -> bool:
        values = question.values(key)
        if not values:
            return missing
        question.work.spend(COMPARISON * len(values))
        if negated:
            return any(_not(compare(value, question), deny) for value in values)
        return any(compare(value, question) for value in values)

    return test


def _for_all(key: str, compare: Comparison, negated: bool, deny: bool) -> Test:
    def test(question: Question) -> bool:
        values = question.values(key) or ()
        question.work.spend(COMPARISON * len(values))
        if negated:
            return all(_not(compare(value, question), deny) for value in values)
        return all(compare(value, question) for value in values)

    return test


def _not(answer: bool | None, deny: bool) -> bool:
    return deny if answer is None else not answer
