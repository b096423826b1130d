"""What a policy says to a question. Pure.

What takes more work than a decision may be (``s3front.policies.work``) is not judged to the end:
from there on no Allow applies, and each Deny on the action does.
"""

from __future__ import annotations

from typing import Final

from s3front.policies.policy import Policy
from s3front.policies.question import Question
from s3front.policies.statements import Statement
from s3front.policies.verdict import NOTHING, Effect, How, Verdict
from s3front.policies.work import OutOfWorkError

TOO_MUCH_WORK: Final = " (too much work to judge)"
"""Stands behind the name of a statement that denies for this reason."""


def judge(policy: Policy, question: Question) -> Verdict:
    """A statement that denies wins; of those that allow, the one that names the caller most
    closely, and of several such the first."""
    about = policy.compiled.about(question.action)
    statements = about.statements
    if not statements:
        return NOTHING
    work = question.work
    work.left -= about.steps
    if work.left < 0:
        return _not_judged(statements[0], NOTHING)
    names, resource = question.names, question.resource
    best = NOTHING
    for statement in statements:
        try:
            how = statement.how(question, names, resource)
        except OutOfWorkError:
            return _not_judged(statement, best)
        if how is None:
            continue
        if statement.deny:
            return Verdict(Effect.DENY, statement.name)
        if best is NOTHING or how > best.how:
            best = Verdict(Effect.ALLOW, statement.name, how)
            if how is How.ITSELF:
                break
    return best


def _not_judged(statement: Statement, best: Verdict) -> Verdict:
    """What it comes to when there is no more work left for this statement and those after it, of
    which none denies unless it does."""
    if statement.deny:
        return Verdict(Effect.DENY, f"{statement.name}{TOO_MUCH_WORK}")
    return best
