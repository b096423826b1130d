"""What a refused request is told. Pure."""

from __future__ import annotations

import re
from typing import Final

from s3front.authz.access import Access, arn
from s3front.authz.reasons import Layer, Reason, Why
from s3front.s3_errors import S3Error

_ACCOUNT_ID: Final = re.compile(r"[0-9]{12}\Z")

_TOLD: Final = frozenset((Why.POLICY_DENIES, Why.NOTHING_ALLOWS, Why.NOT_WITHIN, Why.HIDDEN))
"""The reasons that are for the client as well."""


class AccessDeniedError(S3Error):
    """AccessDenied, with who asked (an ARN) for which resource, and the reason, which is for
    whoever runs the server; the client is told what AWS tells: something only within its own
    account."""

    def __init__(self, access: Access, reason: Reason) -> None:
        super().__init__("AccessDenied", _told(access, reason))
        self.reason = reason
        self.caller = access.principal.arn
        self.resource = access.resource


def refusal(access: Access, reason: Reason) -> S3Error:
    """What an access is answered that is refused for a reason."""
    if reason.why is Why.NO_BUCKET:
        return S3Error("NoSuchBucket", fields={"BucketName": access.bucket_name})
    if reason.why is Why.OTHER_OWNER:
        account = access.owner_account
        wrong = next(each for each in access.expected_owners if each != account)
        if _ACCOUNT_ID.match(wrong) is None:
            return S3Error(
                "InvalidBucketOwnerAWSAccountID",
                "The value of the expected bucket owner parameter must be an AWS Account ID... "
                f"[{wrong}]",
            )
    if reason.why is Why.NO_KEY:
        _, _, key = access.resource.partition("/")
        code = "NoSuchVersion" if "Version" in access.actions[0] else "NoSuchKey"
        return S3Error(code, fields={"Key": key})
    if reason.why is Why.OWNERS_ONLY:
        return S3Error("MethodNotAllowed")
    return AccessDeniedError(access, reason)


def _told(access: Access, reason: Reason) -> str | None:
    """The message for a client, as AWS words it (Amazon S3 user guide, "Troubleshoot access denied
    errors"). Callers of other accounts are told nothing; None: the general one."""
    principal = access.principal
    owner_id = access.role_owner if access.bucket is None else access.bucket.owner_id
    if principal.is_anonymous or (owner_id and owner_id != principal.canonical_id):
        return None
    if principal.rights is None and reason.why is not Why.POLICY_DENIES:
        return None  # no policy of his own could help an account itself
    if not reason.action or reason.why not in _TOLD:
        return None
    resource = arn(access.bucket_name) if reason.why is Why.HIDDEN else access.resource
    said = (
        f"User: {principal.arn} is not authorized to perform: {reason.action} on resource: "
        f'"{resource}" '
    )
    if reason.why is Why.POLICY_DENIES:
        article = "an" if reason.layer is Layer.IDENTITY else "a"
        return f"{said}with an explicit deny in {article} {reason.layer}"
    layer = Layer.IDENTITY if reason.layer is Layer.NONE else reason.layer
    return f"{said}because no {layer} allows the {reason.action} action"
