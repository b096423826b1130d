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
from s3front.policies.policy_variables import VariablePatterns, patterns_of
from s3front.policies.question import CallerNames, Question
from s3front.policies.statement_principals import (
    NO_IDS,
    Principals,
    in_partition,
    principals_of_element,
)
from s3front.policies.verdict import How
from s3front.policies.work import CONDITION, PREFIX, STATEMENT, OutOfWorkError, Work

WITH_VARIABLES: Final = "2012-10-17"
"""The version of the language that has them."""

ELEMENTS: Final = frozenset(
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
"""What a statement may have."""

_ACTION_ROOM: Final = 16
"""What an action takes that is remembered, in places of statements."""
_ROOM_MIN: Final = 32 * _ACTION_ROOM
_ROOM_OF_STATEMENT: Final = 16
_ARN_PARTS: Final = 6


class Element(msgspec.Struct, frozen=True):
    """Actions or resources; ``but``: all others than these. Without patterns it is about all."""

    patterns: VariablePatterns | None
    but: bool = False


class Statement:
    """One statement. ``principals`` is None of a caller's own policy; ``but_principals``: all
    others than these."""

    __slots__ = (
        "_actions",
        "_but_principals",
        "_exact",
        "_others",
        "_prefixes",
        "_principals",
        "_resources",
        "_tests",
        "deny",
        "name",
        "steps",
    )

    def __init__(
        self,
        name: str,
        deny: bool,
        principals: Principals | None,
        but_principals: bool,
        actions: Element,
        resources: Element,
        tests: list[Test],
    ) -> None:
        self.name = name
        self.deny = deny
        self._principals = principals
        self._but_principals = but_principals
        self._actions = actions
        self._resources = resources
        self._tests = tests
        # What most resources are, asked without a call.
        fixed = None if resources.patterns is None or resources.but else resources.patterns.fixed
        self._exact = frozenset[str]() if fixed is None else fixed.exact
        self._prefixes: tuple[str, ...] = () if fixed is None else fixed.prefixes
        self._others = (
            fixed is None
            or not fixed.is_simple
            or (resources.patterns is not None and bool(resources.patterns.templates))
        )
        # What it takes to ask it, besides what depends on the texts that it is asked about.
        self.steps = STATEMENT + PREFIX * len(self._prefixes) + CONDITION * len(tests)

    def concerns(self, action: str) -> bool:
        """Whether it is about an action, in lower case. What takes too long to say is taken for
        what gives least."""
        patterns = self._actions.patterns
        if patterns is None:
            return True
        try:
            return patterns.fixed.matched_by(action, Work()) is not self._actions.but
        except OutOfWorkError:
            return self.deny

    def how(self, question: Question, names: CallerNames, resource: str) -> How | None:
        """By what it names the caller, where it applies to a question on an action of its; None
        where it does not apply. Raises OutOfWorkError."""
        how: How | None = How.UNNAMED
        principals = self._principals
        if principals is not None:
            how = self._all_but(names) if self._but_principals else principals.how(names)
            if how is None:
                return None
        if (
            resource not in self._exact
            and not resource.startswith(self._prefixes)
            and not (self._others and self._covers(resource, question))
        ):
            return None
        for test in self._tests:
            if not test(question):
                return None
        return how

    def _all_but(self, names: CallerNames) -> How | None:
        """An Allow keeps out whomever it names at all, a Deny lets off whom it names whole."""
        principals = self._principals
        assert principals is not None
        left_out = principals.whole(names) if self.deny else principals.how(names) is not None
        return None if left_out else How.EVERYBODY

    def _covers(self, resource: str, question: Question) -> bool:
        patterns = self._resources.patterns
        if patterns is None:
            return True
        covered = patterns.matched_by(resource, question)
        if self._resources.but:
            return not covered and (covered is not None or self.deny)
        return covered is True


class About(msgspec.Struct, frozen=True):
    """The statements of a policy on an action, those that deny first, else as they are written;
    ``steps`` is what it takes to ask all of them, besides what depends on the question."""

    statements: tuple[Statement, ...]
    steps: int


_ABOUT_NOTHING: Final = About((), 0)


class CompiledPolicy:
    """The statements of a policy, those that deny first. Statements on an action are looked up
    once; what is remembered of that is bounded, and then forgotten all at once."""

    __slots__ = ("_about", "_room", "statements")

    def __init__(self, statements: list[Statement]) -> None:
        self.statements = sorted(statements, key=lambda statement: not statement.deny)
        self._about: dict[str, About] = {}
        self._room = self._all_room

    @property
    def _all_room(self) -> int:
        return _ROOM_MIN + _ROOM_OF_STATEMENT * len(self.statements)

    def about(self, action: str) -> About:
        """The statements on an action."""
        found = self._about.get(action)
        if found is None:
            folded = action.lower()
            statements = tuple(each for each in self.statements if each.concerns(folded))
            found = _ABOUT_NOTHING
            if statements:
                found = About(statements, sum(each.steps for each in statements))
            needed = _ACTION_ROOM + len(statements)
            if self._room < needed:
                self._about.clear()
                self._room = self._all_room
            self._room -= needed
            self._about[action] = found
        return found


def compile_policy(
    document: Any,
    *,
    names_principals: bool,
    names_resources: bool,
    ids: Mapping[str, str] = NO_IDS,
) -> CompiledPolicy:
    """What a document says; ``names_principals`` where its statements have to,
    ``names_resources`` too. ``ids`` are the unique IDs of whom they mean (``Policy``)."""
    if not isinstance(document, Mapping) or "Statement" not in document:
        return CompiledPolicy([_all_denied(0)])
    reader = _Reader(
        document.get("Version") == WITH_VARIABLES, names_principals, names_resources, ids
    )
    written = document["Statement"]
    found = [
        reader.statement(each, index)
        for index, each in enumerate(written if isinstance(written, list) else [written])
    ]
    return CompiledPolicy([statement for statement in found if statement is not None])


def _all_denied(index: int) -> Statement:
    """What stands in the place of what cannot be read at all."""
    everything = Element(None)
    return Statement(f"statement[{index}]", True, None, False, everything, everything, [])


class _Reader(msgspec.Struct, frozen=True):
    variables: bool
    names_principals: bool
    names_resources: bool
    ids: Mapping[str, str]

    def statement(self, written: Any, index: int) -> Statement | None:
        """A statement; None for an Allow of which something cannot be understood."""
        if not isinstance(written, Mapping):
            return _all_denied(index)
        deny = written.get("Effect") != "Allow"
        principals, but_principals, understood = self._principals(written, deny)
        actions, known = _element(written, "Action", variables=False)
        understood = understood and known and not written.keys() - ELEMENTS
        resources = Element(None)
        if self.names_resources:
            resources, known = _element(written, "Resource", variables=self.variables)
            understood = understood and known
        elif "Resource" in written or "NotResource" in written:
            understood = False
        tests = tests_of(written.get("Condition", {}), deny=deny, variables=self.variables)
        if tests is None or not (deny or understood):
            return None
        sid = written.get("Sid")
        name = sid if isinstance(sid, str) and sid else f"statement[{index}]"
        return Statement(name, deny, principals, but_principals, actions, resources, tests)

    def _principals(
        self, written: Mapping[str, Any], deny: bool
    ) -> tuple[Principals | None, bool, bool]:
        """Those of a statement, whether it is about all others, and whether it was understood."""
        but = "NotPrincipal" in written
        if not self.names_principals:
            return None, False, not but and "Principal" not in written
        element = written.get("NotPrincipal" if but else "Principal")
        found, known = principals_of_element(element, self.ids)
        if but and "Principal" in written:
            return Principals(everybody=True), False, False
        if deny and not known and not but:
            return Principals(everybody=True), False, False
        return found, but, known


def _element(written: Mapping[str, Any], name: str, *, variables: bool) -> tuple[Element, bool]:
    """The actions or resources of a statement, and whether all were understood: those that were
    not are about everything, and leave nothing out."""
    but = f"Not{name}" in written
    if but and name in written:
        return Element(None), False
    values = written.get(f"Not{name}" if but else name)
    entries = values if isinstance(values, list) else [values]
    texts = [entry for entry in entries if isinstance(entry, str)]
    understood = bool(texts) and len(texts) == len(entries)
    if not texts or not (understood or but):
        return Element(None), False
    if name == "Action":
        return Element(patterns_of([text.lower() for text in texts], variables=False), but), (
            understood
        )
    return Element(patterns_of(map(_whole_arn, texts), variables=variables), but), understood


def _whole_arn(text: str) -> str:
    """A resource with what it lacks of an ARN: parts that are not written are any (IAM user guide,
    "IAM JSON policy elements: Resource", "Incomplete ARN")."""
    arn = in_partition(text)
    if arn.startswith("arn:") and arn.count(":") < _ARN_PARTS - 1:
        return f"{arn}:*"
    return arn
