"""What a user's or a session's own policies give, and their limits. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from s3front.auth.identity import Rights
from s3front.authz.access import Asked
from s3front.authz.reasons import Decision, Layer, Reason, Why
from s3front.policies.judge import judge
from s3front.policies.policy import NamedPolicy
from s3front.policies.verdict import Effect


def _layers(rights: Rights) -> Sequence[tuple[Layer, Sequence[NamedPolicy]]]:
    boundary = () if rights.boundary is None else (rights.boundary,)
    return (
        (Layer.IDENTITY, rights.policies),
        (Layer.BOUNDARY, boundary),
        (Layer.SESSION, rights.session or ()),
    )


def denied_by(rights: Rights, asked: Asked) -> Decision | None:
    """What one of the caller's own policies denies."""
    for layer, policies in _layers(rights):
        for named in policies:
            verdict = judge(named.policy, asked)
            if verdict.effect is Effect.DENY:
                return Decision(
                    False,
                    Reason(Why.POLICY_DENIES, layer, named.name, verdict.statement, asked.action),
                )
    return None


def given_by(rights: Rights, asked: Asked) -> Decision:
    """What the caller's own policies give, within their limits; that none denies is known."""
    found = _allowing(rights.policies, asked)
    if found is None:
        return Decision(False, Reason(Why.NOTHING_ALLOWS, Layer.IDENTITY, action=asked.action))
    beyond = limited(rights, asked)
    if beyond is not None:
        return beyond
    name, statement = found
    return Decision(True, Reason(Why.POLICY_ALLOWS, Layer.IDENTITY, name, statement, asked.action))


def limited(rights: Rights, asked: Asked) -> Decision | None:
    """That a boundary or the policies of a session do not let it pass."""
    boundary, session = rights.boundary, rights.session
    if boundary is not None and _allowing((boundary,), asked) is None:
        return Decision(
            False, Reason(Why.NOT_WITHIN, Layer.BOUNDARY, boundary.name, action=asked.action)
        )
    if session is not None and _allowing(session, asked) is None:
        return Decision(False, Reason(Why.NOT_WITHIN, Layer.SESSION, action=asked.action))
    return None


def _allowing(policies: Sequence[NamedPolicy], asked: Asked) -> tuple[str, str] | None:
    """The first policy that allows it, and its statement."""
    for named in policies:
        verdict = judge(named.policy, asked)
        if verdict.effect is Effect.ALLOW:
            return named.name, verdict.statement
    return None
