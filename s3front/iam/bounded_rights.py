"""How much the policies of one caller may be, all together. Pure.

To make a policy ready to be asked takes time as it takes memory, and is done on the thread that
serves everybody. Who has more policies than this may nothing, as what is not read may deny.
"""

from __future__ import annotations

from typing import Final

from s3front.auth.identity import Rights
from s3front.iam.policy_texts import ALL_DENIED
from s3front.policies.policy import NamedPolicy

RIGHTS_BYTES_MAX: Final = 8 * 1024 * 1024
"""Memory of the policies of a caller, with those of groups, boundary and session, as far as can be
said: some 200,000 characters of usual policies."""

TOO_MANY: Final = "more policies than can be judged"
"""What refusals name in the place of a policy."""


def bounded(rights: Rights) -> Rights:
    """The same, or what denies everything."""
    boundary = () if rights.boundary is None else (rights.boundary,)
    every = (*rights.policies, *boundary, *(rights.session or ()))
    if sum(named.policy.memory for named in every) <= RIGHTS_BYTES_MAX:
        return rights
    return Rights((NamedPolicy(TOO_MANY, ALL_DENIED),))
