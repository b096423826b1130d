"""The statements of a policy, made ready to be asked. Pure.

A policy has been checked when it was set, here or by another server, which may know elements that
this one does not. What cannot be understood gives nothing in an Allow; in a Deny it is taken for
whatever denies most. Nothing raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from s3front.policies.condition_block import Test, tests_of
from s3front.policies.condition_operators import in_partition
from s3front.policies.policy_variables import VariablePatterns, patterns_of
from s3front.policies.question import CallerNames, Question
from s3front.policies.statement_principals import Principals, principals_of_element
from s3front.policies.verdict import How

WITH_VARIABLES: Final = "2012-10-17"
"""The version of the language that has them."""

_ACTIONS_REMEMBERED: Final = 256


class Statement(msgspec.Struct, frozen=True):
    """One statement. ``principals`` is None of a caller's own policy; ``resources`` of one that
    names none; ``but`` what each of the three is negated by: ``NotPrincipal``…"""

    name: str
    deny: bool
    principals: Principals | None
    but_principals: bool
    actions: VariablePatterns | None
    but_actions: bool
    resources: VariablePatterns | None
    but_resources: bool
    tests: tuple[Test, ...]

    def concerns(self, action: str) -> bool:
        """Whether it is about an action, in lower case."""
        if self.actions is None:
            return True
        return self.actions.fixed.matched_by(action) is not self.but_actions

    def how(self, question: Question, names: CallerNames, resource: str) -> How | None:
        """By what it names the caller, where it applies to a question on an action of its; None
        where it does not apply."""
        how = How.UNNAMED
        if self.principals is not None:
            named = self._named(names)
            if named is None:
                return None
            how = named
        if self.resources is not None:
            covered = self.resources.matched_by(resource, question)
            if self.but_resources:
                if covered or (covered is None and not self.deny):
                    return None
            elif not covered:
                return None
        for test in self.tests:
            if not test(question):
                return None
        return how

    def _named(self, names: CallerNames) -> How | None:
        principals = self.principals
        assert principals is not None
        if not self.but_principals:
            return principals.how(names)
        # An Allow keeps out whomever it names at all, a Deny lets off whom it names whole.
        left_out = principals.whole(names) if self.deny else principals.how(names) is not None
        return None if left_out else How.EVERYBODY


class CompiledPolicy:
    """The statements of a policy, those that deny first. Statements on an action are looked up
    once; what is remembered of that is bounded."""

    __slots__ = ("_about", "statements")

    def __init__(self, statements: list[Statement]) -> None:
        self.statements = sorted(statements, key=lambda statement: not statement.deny)
        self._about: dict[str, tuple[Statement, ...]] = {}

    def about(self, action: str) -> tuple[Statement, ...]:
        """The statements on an action, those that deny first, else as they are written."""
        found = self._about.get(action)
        if found is None:
            folded = action.lower()
            found = tuple(each for each in self.statements if each.concerns(folded))
            if len(self._about) < _ACTIONS_REMEMBERED:
                self._about[action] = found
        return found


def compile_policy(document: Any, names_principals: bool, names_resources: bool) -> CompiledPolicy:
    """A document as a policy of resources, which names principals, or as one of identities."""
    if not isinstance(document, Mapping) or "Statement" not in document:
        return CompiledPolicy([_ALL_DENIED])
    variables = document.get("Version") == WITH_VARIABLES
    written = document["Statement"]
    statements = []
    for index, each in enumerate(written if isinstance(written, list) else [written]):
        statement = _statement(each, index, variables, (names_principals, names_resources))
        if statement is not None:
            statements.append(statement)
    return CompiledPolicy(statements)


_ALL_DENIED: Final = Statement("statement[0]", True, None, False, None, False, None, False, ())
"""In the place of what cannot be read at all."""


def _statement(
    written: Any, index: int, variables: bool, names: tuple[bool, bool]
) -> Statement | None:
    """A statement; None for an Allow of which something cannot be understood."""
    if not isinstance(written, Mapping):
        return _ALL_DENIED
    sid = written.get("Sid")
    name = sid if isinstance(sid, str) and sid else f"statement[{index}]"
    deny = written.get("Effect") != "Allow"
    understood = deny or not written.keys() - _ELEMENTS
    principals, but_principals = None, False
    names_principals, names_resources = names
    if names_principals:
        but_principals = "NotPrincipal" in written
        element = written.get("NotPrincipal" if but_principals else "Principal")
        principals, known = principals_of_element(element)
        if not known and deny and not but_principals:
            principals = Principals(everybody=True)
        understood = understood and known and not (but_principals and "Principal" in written)
    elif "Principal" in written or "NotPrincipal" in written:
        understood = False
    actions, but_actions, known = _patterns(written, "Action", folded=True)
    understood = understood and known
    resources, but_resources = None, False
    if names_resources:
        resources, but_resources, known = _patterns(written, "Resource", variables=variables)
        understood = understood and known
    elif "Resource" in written or "NotResource" in written:
        understood = False
    tests = tests_of(written.get("Condition", {}), deny=deny, variables=variables)
    if tests is None or not (deny or understood):
        return None
    return Statement(
        name,
        deny,
        principals,
        but_principals,
        actions,
        but_actions,
        resources,
        but_resources,
        tuple(tests),
    )


_ELEMENTS: Final = frozenset(
    (
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    )
)


def _patterns(
    written: Mapping[str, Any], name: str, *, folded: bool = False, variables: bool = False
) -> tuple[VariablePatterns | None, bool, bool]:
    """Those of an element or of its negation, which of the two it is, and whether it was
    understood. What was not is None, and so all there are."""
    but = f"Not{name}" in written
    if but and name in written:
        return None, False, False
    values = written.get(f"Not{name}" if but else name)
    texts = values if isinstance(values, list) else [values]
    known = [in_partition(text) for text in texts if isinstance(text, str)]
    if not texts or (len(known) < len(texts) and not but):
        return None, False, False
    if folded:
        known = [text.lower() for text in known]
    return patterns_of(known, variables=variables), but, len(known) == len(texts)
