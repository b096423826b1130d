"""Form uploads (POST Object): who sent the form, and what it says, as a request.

The signature covers the policy, and the policy the fields, so all of them are read before anybody
is known; the file is not. Signature Version 4 and 2; a form without any of their fields is
anonymous.

Source: Amazon S3 API reference, "Browser-based uploads using POST".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from msgspec.structs import replace
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.auth import sigv2, sigv4_policy
from s3front.auth.authenticate import is_signed, only_one_signature
from s3front.auth.credential_sources import Credentials, known
from s3front.auth.identity import UNSIGNED, Identity
from s3front.auth.post_policy import SizeRange, check_policy, parse_policy
from s3front.auth.sigv4_claim import missing_field, policy_claim
from s3front.bodies.html_form import FormFile, read_form
from s3front.objects.object_record import STANDARD_HEADERS, USER_METADATA_PREFIX
from s3front.port.header_text import has_control, is_name, line_of, unrepresentable
from s3front.port.request import Request
from s3front.port.target import Target, check_key
from s3front.s3_errors import S3Error

_V4: Final = ("x-amz-signature", "x-amz-algorithm", "x-amz-credential")
_V2: Final = ("AWSAccessKeyId", "Signature")
_OF_THE_SIGNATURE: Final = frozenset(
    (
        "authorization",
        "awsaccesskeyid",
        "key",
        "policy",
        "signature",
        "x-amz-credential",
        "x-amz-security-token",
        "x-amz-signature",
    )
)
"""Fields that describe neither the object nor the reply. How and when the form was signed is left
in, as conditions of policies ask for it."""

_RENAMED: Final = {"acl": "x-amz-acl"}
_IGNORED: Final = "x-ignore-"
# Text of any kind; what others hold becomes headers of replies.
_NO_HEADERS: Final = frozenset(("tagging",))
_DESCRIBING: Final = frozenset(("acl", "content-md5", "content-type", *STANDARD_HEADERS))


@dataclass(frozen=True, slots=True)
class FormUpload:
    """``request`` has the fields of the form as its headers, and the file as its body; ``target``
    has the form's key."""

    request: Request
    target: Target
    identity: Identity


async def read_upload(
    request: Request, target: Target, credentials: Credentials, now: datetime
) -> FormUpload:
    """Read a form up to its file, verify who signed it, and that its policy lets it pass.

    Raises what ``read_form``, ``parse_policy`` and ``check_policy`` do; InvalidArgument for a field
    that is missing or unfit; what ``Credentials.find`` does, InvalidAccessKeyId and
    SignatureDoesNotMatch.
    """
    assert target.bucket is not None
    if is_signed(request, target):
        raise only_one_signature("Authorization", request.headers.get("Authorization", ""))
    form = await read_form(request)
    fields = form.fields
    if "key" not in fields:
        raise missing_field("key")
    identity, sizes = UNSIGNED, SizeRange()
    if "policy" in fields or any(name.lower() in fields for name in (*_V4, *_V2)):
        identity = await _identity(fields, credentials)
        policy = parse_policy(fields["policy"])
        check_policy(policy, fields, target.bucket, now)
        sizes = policy.sizes
    elif "x-amz-security-token" in fields:
        raise missing_field("policy")
    key = fields["key"]
    if not key:
        raise S3Error(
            "InvalidArgument",
            "User key must have a length greater than 0.",
            {"ArgumentName": "key", "ArgumentValue": ""},
        )
    check_key(key)
    # The host stays that of the form's request, whatever its fields are called.
    described = replace(
        request,
        headers=_headers(fields),
        folded=None,
        body=FormFile(form, sizes),
        hosts=(request.host,),
    )
    return FormUpload(described, replace(target, key=key), identity)


async def _identity(fields: Mapping[str, str], credentials: Credentials) -> Identity:
    if any(name in fields for name in _V4):
        if any(name.lower() in fields for name in _V2):
            raise only_one_signature("Signature", fields.get("signature", ""))
        claim = policy_claim(fields)
        access_key = claim.credential.access_key
        signer = known(await credentials.find(access_key, claim.security_token), access_key)
        sigv4_policy.verify_policy(claim, signer.secret)
        signer.used("s3", claim.credential.region)
        return Identity(signer.principal)
    for name in ("policy", *_V2):
        if not fields.get(name.lower()):
            raise missing_field(name)
    access_key, token = fields["awsaccesskeyid"], fields.get("x-amz-security-token")
    signer = known(await credentials.find(access_key, token), access_key)
    sigv2.verify_policy(fields["policy"], access_key, fields["signature"], signer.secret)
    signer.used()
    return Identity(signer.principal)


def _headers(fields: Mapping[str, str]) -> CIMultiDictProxy[str]:
    """The fields that describe the object and the reply, by the names that headers have.

    A field whose name or value no header can have is refused if it is known, else left out. User
    metadata may have any value.
    """
    headers = CIMultiDict[str]()
    for field, value in fields.items():
        if field in _OF_THE_SIGNATURE or field.startswith(_IGNORED):
            continue
        text = value.strip(" \t\r\n")
        if field in _NO_HEADERS or (field.startswith(USER_METADATA_PREFIX) and is_name(field)):
            headers[field] = text
        elif is_name(field) and not has_control(text):
            headers[_RENAMED.get(field, field)] = line_of(field, text)
        elif field.startswith("x-amz-") or field in _DESCRIBING:
            raise unrepresentable(field, value)
    return CIMultiDictProxy(headers)
