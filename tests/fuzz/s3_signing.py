"""Signatures and framings of every kind, right and wrong, around a ``Shape``."""

from __future__ import annotations

import hashlib
import hmac
import time
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final
from urllib.parse import quote

from s3front.auth import sigv2, sigv4
from s3front.auth.sigv4 import AccessKey, PayloadForm, RequestHead, StreamKey, fold_headers
from tests.aws_chunked import STREAMING_FORMS, Style, encode
from tests.forms import form_body, form_request, signed_v2, signed_v4
from tests.fuzz import odd
from tests.fuzz.s3_shapes import KEYS, Shape, World
from tests.raw_http import FOREIGNER, OWNER, Wire, host_of, wire
from tests.servers import Front

_KINDS: Final = {
    "v4": 55,
    "chunked": 12,
    "presigned v4": 10,
    "v2": 6,
    "presigned v2": 4,
    "form": 5,
    "anonymous": 3,
    "odd": 5,
}
_WRONG_KEYS: Final = (
    FOREIGNER,
    AccessKey("accessKey1", "wrong", "us-east-1"),
    AccessKey("nobody", "x", "us-east-1"),
    AccessKey("", "", ""),
    AccessKey("ä/ÿ", "x", "eu-west-1"),
)
_AUTHORIZATIONS: Final = (
    *("", "AWS", "AWS ", "AWS a", "AWS a:b", "AWS4-HMAC-SHA256", "Basic YTpi", "Bearer x"),
    "AWS4-HMAC-SHA256 Credential=,SignedHeaders=,Signature=",
    "AWS4-HMAC-SHA256 Credential=accessKey1/20240101/us-east-1/s3/aws4_request,"
    "SignedHeaders=host;x-amz-date,Signature=0",
    "AWS4-HMAC-SHA256 Credential=a/b/c/d/e/f/g, SignedHeaders=;;;, Signature=ä",
    "AWS4-ECDSA-P256-SHA256 Credential=accessKey1/20240101/s3/aws4_request",
)
_HARMLESS_METHODS: Final = frozenset(("GET", "HEAD", "PUT", "POST", "DELETE"))


@dataclass(frozen=True)
class Attempt:
    """A request as bytes. ``plain``: its framing is right, and one answer comes to it."""

    wire: Wire
    plain: bool


def attempt(chance: Random, front: Front, world: World, shape: Shape) -> Attempt:
    """Sign a shape somehow, and frame it, mostly as it should be."""
    kind = chance.choices(list(_KINDS), list(_KINDS.values()))[0]
    if kind == "form":
        return Attempt(_form(chance, front, world), plain=True)
    headers = [("Host", host_of(front)), *shape.headers]
    if chance.random() < 0.01:
        headers[0] = ("Host", odd.pick(chance, ("a.localhost", "[::1]", "b:c:d"), odd.text, 0.5))
    body, target = shape.body, f"{shape.path}?{shape.query}" if shape.query else shape.path
    head = RequestHead(shape.method, shape.path, shape.query, _folded(headers))
    key = OWNER if chance.random() < 0.95 else chance.choice(_WRONG_KEYS)
    if kind == "v4":
        headers += _signed_v4(chance, head, key, body)
    elif kind == "chunked":
        added, body = _chunked(chance, head, key, body)
        headers += added
    elif kind == "presigned v4":
        target = f"{shape.path}?{_presigned_v4(chance, head, key)}"
    elif kind == "v2":
        headers += _signed_v2(head, key)
    elif kind == "presigned v2":
        target = f"{shape.path}?{_presigned_v2(chance, head, key)}"
    elif kind == "odd":
        headers.append(("Authorization", chance.choice(_AUTHORIZATIONS)))
    return _framed(chance, shape.method, target, headers, body)


def _folded(headers: list[tuple[str, str]]) -> dict[str, str]:
    return fold_headers(headers)


def _now(chance: Random) -> datetime:
    now = datetime.now(UTC)
    if chance.random() < 0.97:
        return now
    return chance.choice(
        (now - timedelta(days=8), now + timedelta(days=1), datetime(1900, 1, 1, tzinfo=UTC))
    )


def _signed_v4(
    chance: Random, head: RequestHead, key: AccessKey, body: bytes
) -> list[tuple[str, str]]:
    payload = hashlib.sha256(body).hexdigest()
    if chance.random() < 0.3:
        odd_payloads = ("", "x", "0" * 64, *(form.value for form in PayloadForm))
        likely = ("UNSIGNED-PAYLOAD",)
        payload = odd.pick(chance, likely, lambda c: c.choice(odd_payloads), 0.2)
    signed = sigv4.sign_request(head, key, _now(chance), payload)
    return _altered(chance, list(signed.headers.items()))


def _altered(chance: Random, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers of a signature, seldom with one damaged, doubled, or left out."""
    if chance.random() < 0.95:
        return headers
    index = chance.randrange(len(headers))
    name, text = headers[index]
    bad = odd.damaged(chance, text.encode()).decode("utf-8", "replace")
    changed = (name, bad.replace("\r", "").replace("\n", ""))
    return chance.choice(
        (
            [*headers[:index], changed, *headers[index + 1 :]],
            [*headers, headers[index]],
            headers[:index] + headers[index + 1 :],
        )
    )


def _chunked(
    chance: Random, head: RequestHead, key: AccessKey, body: bytes
) -> tuple[list[tuple[str, str]], bytes]:
    form = chance.choice(STREAMING_FORMS)
    trailers: dict[str, str] = {}
    if form is not PayloadForm.STREAMING_SIGNED:
        name = odd.pick(chance, ("x-amz-checksum-crc32", "x-amz-checksum-sha256"), odd.text, 0.05)
        trailers = {name: odd.pick(chance, ("AAAAAA==",), odd.text, 0.1)}
    declared = odd.pick(chance, (str(len(body)),), lambda c: c.choice(odd.NUMBERS), 0.06)
    added = [
        ("Content-Encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", declared),
        *([("x-amz-trailer", ",".join(trailers))] if trailers else []),
    ]
    added = [(name, text.replace("\n", "").replace("\r", "")) for name, text in added]
    all_headers = {**head.headers, **_folded(added)}
    full = RequestHead(head.method, head.raw_path, head.raw_query, all_headers)
    signed = sigv4.sign_request(full, key, datetime.now(UTC), form.value)
    coded = _coded(chance, body, form, signed.stream, trailers)
    return [*added, *_altered(chance, list(signed.headers.items()))], coded


def _coded(
    chance: Random, body: bytes, form: PayloadForm, stream: StreamKey, trailers: dict[str, str]
) -> bytes:
    style = Style(chance.choice((1, 100, 8192, 65536)), chance.random() < 0.2)
    if style.chunk_bytes < 8192:
        body = body[:2000]
    safe = {name: text.encode("utf-8", "replace").decode() for name, text in trailers.items()}
    safe = {name.encode("utf-8", "replace").decode(): text for name, text in safe.items()}
    coded = encode(body, form, stream, safe, style)
    return odd.damaged(chance, coded) if chance.random() < 0.2 else coded


def _presigned_v4(chance: Random, head: RequestHead, key: AccessKey) -> str:
    seconds = odd.pick(chance, (60,), lambda c: c.choice((0, -1, 604801, 10**30)), 0.05)
    query = sigv4.presign(head, key, _now(chance), seconds)
    if chance.random() < 0.06:
        query = odd.damaged(chance, query.encode()).decode("ascii", "replace")
        query = "".join(c if "!" <= c <= "~" else "%20" for c in query)
    return query


def _signed_v2(head: RequestHead, key: AccessKey) -> list[tuple[str, str]]:
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
    headers = sigv2.trimmed_headers([*head.headers.items(), ("x-amz-date", date)])
    dated = sigv2.RequestHead(head.method, head.raw_path, head.raw_query, headers)
    text = sigv2.authorization(dated, key.access_key, key.secret)
    return [("x-amz-date", date), ("Authorization", text)]


def _presigned_v2(chance: Random, head: RequestHead, key: AccessKey) -> str:
    expires = str(int(time.time()) + 60)
    if chance.random() < 0.05:
        expires = chance.choice(odd.NUMBERS)
    old = sigv2.RequestHead(head.method, head.raw_path, head.raw_query, head.headers)
    text = sigv2.string_to_sign(old, expires).encode("utf-8", "surrogateescape")
    secret = key.secret.encode("utf-8", "surrogateescape")
    signature = quote(b64encode(hmac.digest(secret, text, "sha1")).decode(), safe="")
    name = quote(key.access_key.encode("utf-8", "surrogateescape"), safe="")
    added = f"AWSAccessKeyId={name}&Expires={quote(expires)}&Signature={signature}"
    return f"{head.raw_query}&{added}" if head.raw_query else added


def _form(chance: Random, front: Front, world: World) -> Wire:
    bucket = chance.choice(world.buckets)
    names = ("acl", "Content-Type", "x-amz-meta-a", "success_action_status", "tagging", "x-odd")
    fields = {"key": odd.pick(chance, (*KEYS[:4], "${filename}"), odd.text, 0.2)}
    for name in names:
        if chance.random() < 0.2:
            fields[name] = odd.text(chance)
    fields = {name: _encodable(text) for name, text in fields.items()}
    sign = chance.choice((signed_v4, signed_v2, lambda fields, _bucket: fields))
    body = form_body(sign(fields, bucket), odd.blob(chance)[:100_000])
    if chance.random() < 0.2:
        body = odd.damaged(chance, body)
    return form_request(host_of(front), f"/{bucket}", body)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _framed(
    chance: Random, method: str, target: str, headers: list[tuple[str, str]], body: bytes
) -> Attempt:
    """The request line, the headers and the body, of which seldom one contradicts another."""
    plain = method in _HARMLESS_METHODS and target.isascii() and "#" not in target
    kind = chance.randrange(50)
    length = str(len(body))
    if kind == 0:
        body = b"".join(b"%x\r\n%b\r\n" % (len(body), body) for _ in range(1) if body)
        body += b"0\r\n\r\n"
        headers.append(("Transfer-Encoding", "chunked"))
    elif kind == 1:
        plain = False
        headers.append(("Content-Length", chance.choice((*odd.NUMBERS[:16], "", "-"))))
    elif kind == 2:
        plain = False
        headers += [("Content-Length", length), ("Transfer-Encoding", odd.text(chance))]
    elif kind == 3:
        plain = False
    elif body or method in ("PUT", "POST"):
        headers.append(("Content-Length", length))
    plain = plain and not any(name == "Upgrade" for name, _ in headers)
    sent = wire_of(method, target, headers, body)
    if kind == 4:
        return Attempt(Wire(method, odd.damaged(chance, sent.head), body), plain=False)
    return Attempt(sent, plain)


def wire_of(method: str, target: str, headers: list[tuple[str, str]], body: bytes) -> Wire:
    """The request as bytes; headers may be repeated."""
    lines = "".join(f"{name}: {text}\r\n" for name, text in headers)
    bare = wire(method, target, {}, body)
    return Wire(method, bare.head[:-2] + lines.encode("utf-8", "surrogateescape") + b"\r\n", body)
