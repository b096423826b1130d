"""How many there may be. Those of AWS (IAM user guide, "IAM and AWS STS quotas"), the highest that
an account of AWS's can have; of users twice as many. Pure."""

from __future__ import annotations

from typing import Final

USERS_MAX: Final = 10_000
GROUPS_MAX: Final = 500
ROLES_MAX: Final = 5_000
POLICIES_MAX: Final = 5_000
PROVIDERS_MAX: Final = 100
"""OpenID Connect providers; these five are of an account."""

IDENTITY_BYTES_MAX: Final = 64 * 1024 * 1024
"""Memory that all identities of an account take in each front-end, as texts. Ten thousand users of
five policies each take less than half of it."""

ACCOUNTS_MAX: Final = 10_000

ACCESS_KEYS_MAX: Final = 2
"""Of a user, and of an account itself."""

GROUPS_OF_USER_MAX: Final = 10
ATTACHED_MAX: Final = 20
"""Managed policies that are attached to a user, group or role."""

POLICY_VERSIONS_MAX: Final = 5
TAGS_MAX: Final = 50
CLIENT_IDS_MAX: Final = 100
THUMBPRINTS_MAX: Final = 5

POLICY_SIZE_MAX: Final = 6_144
"""Characters of a managed policy, without white space; so are the next ones."""
INLINE_SIZE_MAX: Final = {"user": 2_048, "group": 5_120, "role": 10_240}
"""All inline policies of one together."""
TRUST_SIZE_MAX: Final = 4_096

NAME_CHARACTERS_MAX: Final = {"user": 64, "group": 128, "role": 64, "policy": 128}
PATH_CHARACTERS_MAX: Final = 512
DESCRIPTION_CHARACTERS_MAX: Final = 1_000
TAG_KEY_CHARACTERS_MAX: Final = 128
TAG_VALUE_CHARACTERS_MAX: Final = 256

SESSION_SECONDS_MIN: Final = 3_600
SESSION_SECONDS_MAX: Final = 43_200
"""What the longest session of a role may be set to."""
