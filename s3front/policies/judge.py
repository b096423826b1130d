"""What a policy says to a question. Pure."""

from __future__ import annotations

from s3front.policies.policy import Policy
from s3front.policies.question import Question
from s3front.policies.verdict import NOTHING, Effect, How, Verdict


def judge(policy: Policy, question: Question) -> Verdict:
    """A statement that denies wins; of those that allow, the one that names the caller most
    closely, and of several such the first."""
    statements = policy.compiled.about(question.action)
    if not statements:
        return NOTHING
    names, resource = question.names, question.resource
    best = NOTHING
    for statement in statements:
        how = statement.how(question, names, resource)
        if how is None:
            continue
        if statement.deny:
            return Verdict(Effect.DENY, statement.name)
        if best is NOTHING or how > best.how:
            best = Verdict(Effect.ALLOW, statement.name, how)
            if how is How.ITSELF:
                break
    return best
