"""What the parameters of IAM's calls may be, by their names. Pure.

Names that are to be made are checked by ``s3front.iam.identity_checks``, those that are looked for
here: a longer one cannot be anybody's. Source: IAM API reference, the parameters of each call.
"""

from __future__ import annotations

import re
from typing import Final

from s3front.query_api.call_parameters import Rule

_OF_NAMES: Final = re.compile(r"[\w+=,.@-]+", re.ASCII)
_TOLD: Final = "It must contain only alphanumeric characters and/or the following: +=,.@_-"

USER_NAME: Final = Rule(1, 128, _OF_NAMES, _TOLD)
GROUP_NAME: Final = Rule(1, 128, _OF_NAMES, _TOLD)
ROLE_NAME: Final = Rule(1, 64, _OF_NAMES, _TOLD)
POLICY_NAME: Final = Rule(1, 128, _OF_NAMES, _TOLD)
ARN: Final = Rule(20, 2048)
DOCUMENT: Final = Rule(1, 131_072, re.compile("[\t\n\r\x20-\xff]+"))
DESCRIPTION: Final = Rule(0, 1000)
PATH: Final = Rule(
    1,
    512,
    re.compile("/|/[!-~]+/"),
    "It must begin and end with / and contain only alphanumeric characters and/or / characters.",
)
PATH_PREFIX: Final = Rule(
    1,
    512,
    re.compile("/[!-\x7f]*"),
    "It must begin with / and contain only alphanumeric characters and/or / characters.",
)
MARKER: Final = Rule(1, 2048, re.compile("[\x20-\xff]+"))
ACCESS_KEY_ID: Final = Rule(1, 128, re.compile(r"\w+", re.ASCII))
STATUS: Final = Rule(values=("Active", "Inactive"))
ALIAS: Final = Rule(3, 63)
VERSION_ID: Final = Rule(1, 64, re.compile(r"v[1-9][0-9]*(\.[A-Za-z0-9-]*)?"))
SCOPE: Final = Rule(values=("All", "AWS", "Local"))
USAGE: Final = Rule(values=("PermissionsPolicy", "PermissionsBoundary"))
ENTITY: Final = Rule(values=("User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"))
URL: Final = Rule(1, 255)
THUMBPRINT: Final = Rule(40, 40)
TAG_KEY: Final = Rule(1, 128)
