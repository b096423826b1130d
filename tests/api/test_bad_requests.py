"""What no client should send: each gets its answer, changes nothing, and disturbs nobody else."""

from __future__ import annotations

import re
import ssl
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3front.auth.sigv4 import PayloadForm
from s3front.operations import routes
from tests.api.support import keys_in, md5_base64, new_name
from tests.clients_boto3 import s3_client
from tests.raw_http import (
    FOREIGNER,
    Connection,
    Response,
    Wire,
    anonymous,
    call,
    connected,
    exchange,
    random_cuts,
    service_model,
    sign,
    sign_chunked,
    wire,
)
from tests.servers import Front, wait_for

pytestmark = pytest.mark.usefixtures("undisturbed")

BODY = b"0123456789" * 7000
UNSIGNED = PayloadForm.UNSIGNED.value
EXPECT = {"Expect": "100-continue"}


def refusal(response: Response) -> tuple[int, str]:
    """Status and code."""
    return int(response.error["status"]), response.error["Code"]


def answers(front: Front, sent: bytes) -> tuple[int, str]:
    """Status and code of the answer to exact bytes, after which the connection ends."""
    with Connection(front) as connection:
        connection.send(sent)
        response = connection.receive()
        assert connection.ended()
    return refusal(response)


# --- Not HTTP -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"\x00\x00\x00\x00\r\n\r\n",
        b"\xff\xfe\xfd\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\nhello",
        b"GET / HTTP/1.1\r\nHost: x\r\na: b\r\n c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\na: b\x00c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\xff: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /b\xc3\xbccket HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /buck et HTTP/1.1\r\nHost: x\r\n\r\n",
        b"N0NSENSE /bucket/key HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=ascii,
)
def test_bytes_that_are_no_request(front: Front, sent: bytes) -> None:
    assert answers(front, sent) == (400, "BadRequest")


def test_the_answer_to_what_is_no_request(front: Front) -> None:
    with Connection(front) as connection:
        connection.send(b"hello\r\n\r\n")
        response = connection.receive()
    assert response.version == "HTTP/1.1"
    assert response.headers["Server"] == "Twofold"
    assert response.headers["Connection"] == "close"
    assert response.headers["x-amz-request-id"] == response.error["RequestId"] != ""


def put_head(*lines: bytes) -> bytes:
    return b"\r\n".join([b"PUT /bucket/key HTTP/1.1", b"Host: x", *lines, b"", b""])


@pytest.mark.parametrize(
    "sent",
    [
        put_head(b"Content-Length: -1"),
        put_head(b"Content-Length: abc"),
        put_head(b"Content-Length: +5") + b"hello",
        put_head(b"Content-Length: 5 5") + b"hello",
        put_head(b"Content-Length: 0x5") + b"hello",
        put_head(b"Content-Length: " + b"9" * 30),
        put_head(b"Content-Length: 5", b"Content-Length: 6") + b"hello!",
        put_head(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
        put_head(b"Transfer-Encoding: gzip"),
        put_head(b"Transfer-Encoding: chunked, gzip"),
        put_head(b"Transfer-Encoding: chunked") + b"zz\r\nhello\r\n0\r\n\r\n",
        put_head(b"Transfer-Encoding: chunked") + b"5\r\nhello!!0\r\n\r\n",
    ],
    ids=ascii,
)
def test_a_length_that_is_none(front: Front, sent: bytes) -> None:
    """Where one server and the next might disagree, a second request could be smuggled in."""
    assert answers(front, sent) == (400, "BadRequest")


def test_an_empty_content_length(front: Front) -> None:
    with Connection(front) as connection:
        connection.send(put_head(b"Content-Length: "))
        assert connection.receive().status in (400, 411)


TOO_LARGE = (400, "RequestHeaderSectionTooLarge")


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (wire("GET", "/" + "a" * 20_000, {"Host": "x"}), TOO_LARGE),
        (wire("GET", "/bucket?prefix=" + "a" * 20_000, {"Host": "x"}), TOO_LARGE),
        (wire("GET", "/bucket", {"Host": "x", "a": "b" * 20_000}), TOO_LARGE),
        (wire("GET", "/bucket", {"Host": "x", "a" * 20_000: "b"}), TOO_LARGE),
        (wire("GET", "/b", {"Host": "x", **{f"a{n}": "b" * 8000 for n in range(5)}}), TOO_LARGE),
        (wire("GET", "/b", {"Host": "x", **{f"a{n}": "b" for n in range(300)}}), None),
        (wire("GET", "/b", {"Host": "x", **{f"a{n}": "b" for n in range(20_000)}}), None),
    ],
    ids=["path", "query", "value", "name", "section", "many", "very many"],
)
def test_a_head_that_is_too_large(front: Front, sent: Wire, answer: tuple[int, str] | None) -> None:
    assert answers(front, bytes(sent)) in ([answer] if answer else [TOO_LARGE, (400, "BadRequest")])


def test_a_head_that_just_fits(front: Front, bucket: str) -> None:
    """The longest key, every byte escaped, and large headers."""
    target = f"/{bucket}/" + "%C3%BC" * 512
    headers = {"x-amz-meta-a": "b" * 2000, **{f"x-filler-{n}": "c" * 3000 for n in range(6)}}
    assert call(front, "PUT", target, BODY, headers).status == 200
    assert call(front, "GET", target).body == BODY


def test_tls_on_the_http_port(front: Front) -> None:
    context = ssl.create_default_context()
    hello = ssl.MemoryBIO()
    shake = context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        shake.do_handshake()
    with Connection(front) as connection:
        connection.send(hello.read())
        assert b"BadRequest" in connection.rest()


def test_http_on_the_tls_port(tls_front: Front) -> None:
    with Connection(tls_front, plain=True) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" not in connection.rest()
    assert call(tls_front, "GET", "/").status == 200


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "PROPFIND", "CONNECT", "LINK"])
def test_a_method_that_s3_does_not_have(front: Front, bucket: str, method: str) -> None:
    status, code = refusal(exchange(front, wire(method, f"/{bucket}/key", {"Host": "x"})))
    assert (status, code) in [(405, "MethodNotAllowed"), (400, "InvalidBucketName")]


def test_a_protocol_upgrade_is_not_taken_up(front: Front, bucket: str) -> None:
    headers = {"Connection": "Upgrade", "Upgrade": "websocket"}
    assert call(front, "GET", f"/{bucket}", headers=headers).status == 200


# --- Slow, cut and joined -----------------------------------------------------------------------


def test_a_request_that_trickles_in(front: Front, bucket: str) -> None:
    request = sign(front, "PUT", f"/{bucket}/key", b"body", {"x-amz-meta-a": "b"})
    assert exchange(front, request, range(1, len(bytes(request)))).status == 200
    assert call(front, "GET", f"/{bucket}/key").body == b"body"


@pytest.mark.parametrize("seed", range(5))
def test_pipelined_requests_are_answered_in_order(front: Front, bucket: str, seed: int) -> None:
    key = f"/{bucket}/key"
    requests = [
        (sign(front, "PUT", key, b"first"), 200, b""),
        (sign(front, "GET", key), 200, b"first"),
        (sign(front, "HEAD", key), 200, b""),
        (anonymous_get(key), 403, None),
        (sign(front, "PUT", key, BODY), 200, b""),
        (sign(front, "GET", key), 200, BODY),
        (sign(front, "DELETE", key), 204, b""),
        (sign(front, "GET", key), 404, None),
        (sign(front, "HEAD", key), 404, b""),
    ]
    sent = b"".join(bytes(request) for request, _, _ in requests)
    with connected(front) as connection:
        connection.send(sent, random_cuts(len(sent), 5, seed))
        for request, status, body in requests:
            response = connection.receive(request.method)
            assert response.status == status
            assert body is None or response.body == body


def anonymous_get(target: str) -> Wire:
    return wire("GET", target, {"Host": "x"})


def finished_uploads(front: Front, bucket: str) -> int:
    """How many PutObjects to the bucket have ended, by the access log."""
    pattern = f'"operation":"PutObject","bucket":"{bucket}"'
    return front.process.output.count(pattern)


@pytest.mark.usefixtures("shared_cluster")  # reads the access log
@pytest.mark.parametrize("form", PayloadForm)
@pytest.mark.parametrize("part", [0, 0.01, 0.5, 0.999])
def test_an_upload_that_breaks_off(
    front: Front, bucket: str, form: PayloadForm, part: float
) -> None:
    """The client goes away; what was there before stays."""
    assert call(front, "PUT", f"/{bucket}/key", b"before").status == 200
    request = upload_of(front, f"/{bucket}/key", form, BODY * 5, EXPECT)
    with Connection(front) as connection:
        connection.send(request.head)
        assert connection.receive_interim() == 100
        connection.send(request.body[: int(len(request.body) * part)])
    wait_for(lambda: finished_uploads(front, bucket) == 2, "the upload to end")
    assert call(front, "GET", f"/{bucket}/key").body == b"before"


def upload_of(
    front: Front, target: str, form: PayloadForm, body: bytes, headers: dict[str, str]
) -> Wire:
    """A PUT in any form."""
    if form is PayloadForm.HASHED:
        return sign(front, "PUT", target, body, headers)
    if form is PayloadForm.UNSIGNED:
        return sign(front, "PUT", target, body, headers, payload=form.value)
    return sign_chunked(front, target, body, form, headers=headers)


@pytest.mark.parametrize("part", [0, 0.5])
def test_an_upload_that_is_half_closed(
    s3: Any, plain_front: Front, bucket: str, part: float
) -> None:
    request = sign(plain_front, "PUT", f"/{bucket}/key", BODY)
    with Connection(plain_front) as connection:
        connection.send(request.head + request.body[: int(len(BODY) * part)])
        connection.half_close()
        answer = connection.rest()
    told = f"<NumberBytesExpected>{len(BODY)}</NumberBytesExpected><NumberBytesProvided>"
    assert not answer or (b"<Code>IncompleteBody</Code>" in answer and told.encode() in answer)
    assert keys_in(s3, bucket) == []


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_client_that_sends_no_more_is_answered(
    plain_front: Front, bucket: str, method: str
) -> None:
    body = b"body" if method == "PUT" else b""
    with Connection(plain_front) as connection:
        connection.send(sign(plain_front, method, f"/{bucket}/key", body))
        connection.half_close()
        assert connection.receive().status in (200, 404)


def test_a_body_that_is_longer_than_declared(front: Front, bucket: str) -> None:
    """The object is what was declared; the rest is a request, and not a good one."""
    with Connection(front) as connection:
        assert connection.exchange(sign(front, "PUT", f"/{bucket}/key", b"body")).status == 200
        connection.send(b"and more\r\n\r\n")
        assert refusal(connection.receive()) == (400, "BadRequest")
        assert connection.ended()
    assert call(front, "GET", f"/{bucket}/key").body == b"body"


@pytest.mark.parametrize("length", [1, 69_999])
def test_a_plain_body_shorter_than_its_hash_says(front: Front, bucket: str, length: int) -> None:
    request = sign(front, "PUT", f"/{bucket}/key", BODY)
    head = request.head.replace(b"Content-Length: 70000", b"Content-Length: %d" % length)
    status, _ = refusal(exchange(front, Wire("PUT", head, BODY[:length])))
    assert status in (400, 403)
    assert call(front, "HEAD", f"/{bucket}/key").status == 404


@pytest.mark.parametrize("payload", [None, UNSIGNED])
def test_a_body_of_unknown_length(front: Front, bucket: str, payload: str | None) -> None:
    body = b"4\r\nbody\r\n0\r\n\r\n"
    headers = {"Transfer-Encoding": "chunked"}
    with connected(front) as connection:
        request = sign(front, "PUT", f"/{bucket}/key", body, headers, payload=payload)
        response = connection.exchange(request)
        assert refusal(response) == (501, "NotImplemented")
        assert response.error["Header"] == "Transfer-Encoding"
        # What was not read of it is no request.
        assert connection.exchange(sign(front, "HEAD", f"/{bucket}")).status == 200
    assert call(front, "HEAD", f"/{bucket}/key").status == 404


def test_a_document_of_unknown_length(front: Front, bucket: str) -> None:
    headers = {"Transfer-Encoding": "chunked"}
    for method, target in (("POST", f"/{bucket}?delete"), ("PUT", f"/{new_name()}")):
        request = sign(front, method, target, b"3\r\n<a>\r\n0\r\n\r\n", headers, payload=UNSIGNED)
        response = exchange(front, request)
        assert refusal(response) == (501, "NotImplemented")
        assert response.error["Header"] == "Transfer-Encoding"


# --- Expect: 100-continue -----------------------------------------------------------------------


@pytest.mark.parametrize("form", PayloadForm)
def test_an_accepted_upload_is_asked_for(front: Front, bucket: str, form: PayloadForm) -> None:
    target = f"/{bucket}/key"
    request = upload_of(front, target, form, BODY, EXPECT)
    with connected(front) as connection:
        connection.send(request.head)
        assert connection.receive_interim() == 100
        connection.send(request.body)
        response = connection.receive("PUT")
        assert (response.status, response.interim) == (200, ())
        assert connection.exchange(sign(front, "GET", target)).body == BODY


def test_a_client_that_does_not_wait(front: Front, bucket: str) -> None:
    with connected(front) as connection:
        response = connection.exchange(sign(front, "PUT", f"/{bucket}/key", BODY, EXPECT))
        assert response.status == 200
        assert connection.exchange(sign(front, "GET", f"/{bucket}/key")).body == BODY


def test_an_empty_upload_is_asked_for(front: Front, bucket: str) -> None:
    """botocore misreads what follows on a connection when it gets an answer without the 100."""
    headers = {**EXPECT, "Content-Length": "0"}
    with Connection(front) as connection:
        for _ in range(2):
            connection.send(sign(front, "PUT", f"/{bucket}/key", b"", headers))
            assert connection.receive_interim() == 100
            assert connection.receive().status == 200


def test_a_document_is_asked_for(front: Front, bucket: str) -> None:
    body = b"<Delete><Object><Key>a</Key></Object></Delete>"
    headers = {**EXPECT, "Content-MD5": md5_base64(body)}
    request = sign(front, "POST", f"/{bucket}?delete", body, headers)
    with connected(front) as connection:
        connection.send(request.head)
        assert connection.receive_interim() == 100
        connection.send(request.body)
        assert connection.receive().status == 200


@pytest.mark.parametrize(
    ("target", "headers", "key", "status"),
    [
        ("/{bucket}/key", {}, FOREIGNER, 403),
        ("/{other}/key", {}, None, 404),
        ("/{bucket}/key", {"If-None-Match": "*"}, None, 412),
        ("/{bucket}/key", {"Content-MD5": "nonsense"}, None, 400),
        ("/{bucket}/key", {"x-amz-checksum-crc32": "nonsense"}, None, 400),
        ("/{bucket}/key", {"x-amz-storage-class": "NONSENSE"}, None, 400),
        ("/{bucket}/key", {"x-amz-acl": "public-read"}, None, 400),
        ("/{bucket}/key", {"x-amz-meta-a": "b" * 2048}, None, 400),
        ("/{bucket}/" + "x" * 1025, {}, None, 400),
        ("/{bucket}/key?cors", {}, None, 501),
    ],
)
def test_a_refused_upload_is_never_asked_for(
    front: Front, bucket: str, target: str, headers: dict[str, str], key: Any, status: int
) -> None:
    assert call(front, "PUT", f"/{bucket}/key", b"before").status == 200
    path = target.format(bucket=bucket, other=new_name())
    options = {"key": key} if key else {}
    request = sign(front, "PUT", path, BODY, {**EXPECT, **headers}, **options)
    with Connection(front) as connection:
        connection.send(request.head)
        response = connection.receive("PUT")
        assert (response.status, response.interim) == (status, ())
        # A body may follow or not, so nothing else can.
        assert response.headers["Connection"] == "close"
    assert call(front, "GET", f"/{bucket}/key").body == b"before"


def test_an_expectation_that_nobody_knows(front: Front, bucket: str) -> None:
    """As with AWS, it is ignored."""
    assert call(front, "PUT", f"/{bucket}/key", b"body", {"Expect": "200-ok"}).status == 200


# --- Keeping the connection ---------------------------------------------------------------------


def test_keep_alive_survives_errors(front: Front, bucket: str) -> None:
    key = f"/{bucket}/key"
    with connected(front) as connection:
        for request, status in (
            (sign(front, "GET", key), 404),
            (sign(front, "HEAD", key), 404),
            (sign(front, "GET", f"/{new_name()}"), 404),
            (sign(front, "GET", "/UPPER"), 400),
            (sign(front, "GET", f"/{bucket}/%ff"), 400),
            (sign(front, "GET", f"/{bucket}?session"), 501),
            (sign(front, "PUT", key, BODY, key=FOREIGNER), 403),
            (sign(front, "PUT", key, BODY, {"Content-MD5": md5_base64(b"")}), 400),
            (sign(front, "PUT", key), 411),
            (sign(front, "PUT", key, BODY), 200),
            (sign(front, "GET", key, headers={"Range": "bytes=70000-"}), 416),
            (sign(front, "GET", key, headers={"If-None-Match": "*"}), 304),
            (sign(front, "GET", key, headers={"If-Match": "a"}), 412),
            (sign(front, "DELETE", f"/{bucket}"), 409),
            (sign(front, "PATCH", key), 405),
        ):
            assert connection.exchange(request).status == status


def test_a_client_may_end_the_connection(front: Front) -> None:
    with Connection(front) as connection:
        response = connection.exchange(sign(front, "GET", "/", headers={"Connection": "close"}))
        assert response.status == 200
        assert connection.ended()


def test_http_1_0(front: Front, bucket: str) -> None:
    """The connection ends with the answer, which has a length all the same."""
    request = sign(front, "GET", f"/{bucket}")
    with Connection(front) as connection:
        connection.send(bytes(request).replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert connection.receive().parsed("ListObjects")["Name"] == bucket
        assert connection.ended()


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_a_body_that_nobody_reads(front: Front, bucket: str, method: str) -> None:
    """It is not taken for the next request."""
    with connected(front) as connection:
        assert connection.exchange(sign(front, method, f"/{bucket}/key", BODY)).status in (204, 404)


# --- Documents ----------------------------------------------------------------------------------

BOMB = (
    '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(12))
    + "]>"
)
EXTERNAL = '<!DOCTYPE a [<!ENTITY m SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize(
    ("document", "code"),
    [
        (BOMB + "<{root}>&m;</{root}>", "MalformedXML"),
        (EXTERNAL + "<{root}>&m;</{root}>", "MalformedXML"),
        ("<!DOCTYPE a SYSTEM 'http://127.0.0.1/'><{root}/>", "MalformedXML"),
        ("<{root}>" + "<a>" * 100_000 + "</a>" * 100_000 + "</{root}>", None),
        ("<{root} " + " ".join(f"a{n}=''" for n in range(50_000)) + "/>", None),
        ("<{root}>" + "<a/>" * 150_000 + "</{root}>", None),
        ("<{root}>" + " " * 3_000_000 + "</{root}>", "MaxMessageLengthExceeded"),
    ],
    ids=["bomb", "external", "remote", "deep", "attributes", "wide", "huge"],
)
def test_a_document_against_the_parser(
    front: Front, bucket: str, method: str, document: str, code: str | None
) -> None:
    """CreateBucket and DeleteObjects read XML; what is no such thing is refused."""
    root, target = {
        "PUT": ("CreateBucketConfiguration", f"/{new_name()}"),
        "POST": ("Delete", f"/{bucket}?delete"),
    }[method]
    body = document.replace("{root}", root).encode()
    response = call(front, method, target, body, {"Content-MD5": md5_base64(body)})
    if code is not None:
        assert refusal(response) == (400, code)
    assert response.status in (200, 400, 501)


# --- What is not there yet ----------------------------------------------------------------------

REPLACED = {"GetBucketLifecycle", "GetBucketNotification"}
"""Reads that are the same request as their successors, which are answered."""

ELSEWHERE = {"ListDirectoryBuckets", "WriteGetObjectResponse"}
"""Operations of other endpoints; sent here, one is signed for another service, and the other names
no bucket."""


def example(shape: Any) -> Any:
    """A value of botocore's shape, with no more than it requires."""
    if shape.type_name == "structure":
        wanted = (
            shape.required_members or list(shape.members)[: getattr(shape, "is_tagged_union", 0)]
        )
        return {name: example(shape.members[name]) for name in wanted}
    if shape.type_name == "list":
        return [example(shape.member)]
    if shape.type_name == "string":
        return shape.enum[0] if shape.enum else "x" * max(shape.metadata.get("min", 0), 3)
    simple = {"integer": 1, "long": 1, "boolean": True, "timestamp": 0, "blob": b"x", "map": {}}
    return simple[shape.type_name]


def operation_names() -> list[str]:
    """Everything in botocore's model of S3 that is answered here, but not yet done."""
    model = service_model()
    known = {*routes().names(), *ELSEWHERE, *REPLACED}
    return [name for name in model.operation_names if name not in known]


@pytest.fixture(scope="module")
def bare_s3(front: Front) -> Any:
    return s3_client(front, inject_host_prefix=False)


@pytest.mark.parametrize("operation", operation_names())
def test_an_operation_that_is_not_implemented(bare_s3: Any, operation: str) -> None:
    """AWS's answer to what a server does not have; never a success."""
    shape = bare_s3.meta.service_model.operation_model(operation).input_shape
    with pytest.raises(ClientError) as caught:
        bare_s3._make_api_call(operation, example(shape))
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 501
    if not operation.startswith("Head"):
        assert response["Error"]["Code"] == "NotImplemented"


@pytest.mark.parametrize("operation", sorted(ELSEWHERE))
def test_an_operation_of_another_endpoint(bare_s3: Any, operation: str) -> None:
    shape = bare_s3.meta.service_model.operation_model(operation).input_shape
    with pytest.raises(ClientError) as caught:
        bare_s3._make_api_call(operation, example(shape))
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_the_error_document_of_what_is_not_implemented(front: Front, bucket: str) -> None:
    response = anonymous(front, "PUT", f"/{bucket}?cors")
    assert re.fullmatch(
        r'<\?xml version="1.0" encoding="UTF-8"\?>\n<Error><Code>NotImplemented</Code>'
        r"<Message>A header you provided implies functionality that is not implemented: "
        rf"PUT \?cors</Message><Resource>/{bucket}</Resource>"
        r"<RequestId>[0-9A-F]{16}</RequestId><HostId>[^<]+</HostId></Error>",
        response.body.decode(),
    )
    assert response.headers["x-amz-request-id"] == response.error["RequestId"]
    assert response.headers["x-amz-id-2"] == response.error["HostId"]


@pytest.mark.usefixtures("shared_cluster")  # reads the log
def test_what_is_not_implemented_is_no_warning_and_keeps_the_connection(
    front: Front, bucket: str
) -> None:
    logged = len(front.process.output)
    with Connection(front) as connection:
        for headers in ({}, {"x-amz-acl": "public-read"}):
            for body in (b"<CORSConfiguration/>", BODY):
                request = sign(front, "PUT", f"/{bucket}?cors", body, headers)
                assert refusal(connection.exchange(request)) == (501, "NotImplemented")
        assert connection.exchange(sign(front, "HEAD", f"/{bucket}")).status == 200
    assert '"level":"warn' not in front.process.output[logged:]
