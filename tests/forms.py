"""Forms as browsers send them: policies, signatures of both versions, and multipart bodies."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from s3front.auth.signing import sign_string, signing_key
from s3front.auth.sigv4 import AccessKey, Credential
from tests.raw_http import OWNER, Wire, wire

BOUNDARY = "----boundary"


def policy_of(
    fields: Mapping[str, str], bucket: str, *extra: Any, expires_seconds: float = 60
) -> str:
    """A policy that lets these fields pass, and ``extra`` conditions."""
    expiration = datetime.now(UTC) + timedelta(seconds=expires_seconds)
    conditions = [{"bucket": bucket}, *({name: text} for name, text in fields.items()), *extra]
    document = {"expiration": f"{expiration:%Y-%m-%dT%H:%M:%S.000Z}", "conditions": conditions}
    return base64.b64encode(json.dumps(document).encode()).decode()


def signed_v4(
    fields: Mapping[str, str], bucket: str, *extra: Any, key: AccessKey = OWNER, **options: Any
) -> dict[str, str]:
    """The fields with a policy that names them all, and its signature."""
    now = datetime.now(UTC)
    credential = Credential(key.access_key, f"{now:%Y%m%d}", key.region)
    named = {
        **fields,
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": f"{key.access_key}/{credential.scope}",
        "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}",
    }
    policy = policy_of(named, bucket, *extra, **options)
    derived = signing_key(key.secret, credential.date, key.region)
    return {**named, "policy": policy, "x-amz-signature": sign_string(derived, policy)}


def signed_v2(
    fields: Mapping[str, str],
    bucket: str,
    *extra: Any,
    key: AccessKey = OWNER,
    digest: str = "sha1",
    **options: Any,
) -> dict[str, str]:
    """The same in Signature Version 2."""
    policy = policy_of(fields, bucket, *extra, **options)
    signature = base64.b64encode(hmac.digest(key.secret.encode(), policy.encode(), digest)).decode()
    return {
        **fields,
        "AWSAccessKeyId": key.access_key,
        "policy": policy,
        "signature": signature,
    }


def form_body(
    fields: Mapping[str, str],
    file: bytes | None,
    after: Sequence[tuple[str, str]] = (),
    *,
    filename: str = "a.txt",
) -> bytes:
    """The body of a form; ``after`` are fields behind the file."""
    parts = [_part(f'name="{name}"', text.encode()) for name, text in fields.items()]
    if file is not None:
        parts.append(_part(f'name="file"; filename="{filename}"', file, "text/plain"))
    parts += [_part(f'name="{name}"', text.encode()) for name, text in after]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def _part(disposition: str, body: bytes, content_type: str | None = None) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n"
    if content_type is not None:
        head += f"Content-Type: {content_type}\r\n"
    return head.encode() + b"\r\n" + body + b"\r\n"


def form_request(
    host: str, target: str, body: bytes, headers: Mapping[str, str] | None = None
) -> Wire:
    """The request that carries a form."""
    declared = {
        "Host": host,
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Content-Length": str(len(body)),
        **(headers or {}),
    }
    return wire("POST", target, declared, body)
