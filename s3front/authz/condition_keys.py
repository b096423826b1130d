"""What a request tells to the conditions of a policy, by the names that AWS has for it. Pure.

Nothing is computed before a key is asked for: most requests are decided without any.

Sources: Service authorization reference, "Condition keys for Amazon S3"; IAM user guide, "AWS
global condition context keys".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from s3front.auth.identity import Principal
from s3front.authz.principal_keys import of_principal
from s3front.port.request import Request

_OF_HEADERS: Final = {
    "aws:referer": "Referer",
    "aws:useragent": "User-Agent",
    "s3:if-match": "If-Match",
    "s3:if-none-match": "If-None-Match",
    "s3:object-lock-legal-hold": "x-amz-object-lock-legal-hold",
    "s3:object-lock-mode": "x-amz-object-lock-mode",
    "s3:object-lock-retain-until-date": "x-amz-object-lock-retain-until-date",
}
_HEADER_PREFIX: Final = "s3:x-amz-"
"""Of keys that are headers by their own names."""

_OF_PARAMETERS: Final = {
    "s3:delimiter": "delimiter",
    "s3:max-keys": "max-keys",
    "s3:prefix": "prefix",
    "s3:versionid": "versionId",
}
_REQUEST_TAG: Final = "s3:requestobjecttag/"


class ConditionKeys(msgspec.Struct, frozen=True):
    """Of one request; ``query`` has its decoded parameters."""

    request: Request
    query: Mapping[str, str]
    principal: Principal

    @property
    def is_secure(self) -> bool:
        """Whether the request came over TLS."""
        return self.request.secure

    def of_version(self, version_id: str | None) -> ConditionKeys:
        """The same of another object, of which the request names this version, or none."""
        query = {} if version_id is None else {"versionId": version_id}
        return msgspec.structs.replace(self, query=query)

    def values(self, key: str) -> tuple[str, ...] | None:
        """The same, as policies ask for it."""
        value = self.value(key)
        return of_principal(self.principal, key) if value is None else (value,)

    def value(self, key: str) -> str | None:
        """What a request says of a key, in any case (but for the names of tags); None: nothing."""
        lower = key.lower()
        if lower.startswith(_REQUEST_TAG):
            return self._tag(key[len(_REQUEST_TAG) :])
        if lower.startswith(_HEADER_PREFIX):
            return self.request.headers.get(lower.removeprefix("s3:"))
        if lower in _OF_HEADERS:
            return self.request.headers.get(_OF_HEADERS[lower])
        if lower in _OF_PARAMETERS:
            return self.query.get(_OF_PARAMETERS[lower])
        match lower:
            case "aws:sourceip":
                return self.request.peer
            case "aws:securetransport":
                return "true" if self.request.secure else "false"
        return None

    def _tag(self, name: str) -> str | None:
        """The value that an upload gives to a tag."""
        pairs = parse_qsl(self.request.headers.get("x-amz-tagging", ""), keep_blank_values=True)
        return dict(pairs).get(name)
