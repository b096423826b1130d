"""``s3front create-encrypted-bucket``: makes a bucket that demands encryption, by the header that
no S3 client has (manual, 7.4). Its options are those of CloudServer's ``create_encrypted_bucket``.

It talks to a running server, as any client does. Exit codes: 0, the bucket was made; 1, it was not,
and why; 2, the command line makes no sense.
"""

from __future__ import annotations

import hashlib
import http.client
import ssl
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Final, NoReturn

import typer

from s3front import cli
from s3front.auth.sigv4 import AccessKey, RequestHead, sign_request
from s3front.command_answers import ATTENTION_EXIT
from s3front.port.target import is_new_bucket_name
from s3front.port.xml import document, element, parse
from s3front.s3_errors import S3Error
from shared.process.problems import exit_with_problem
from shared.process.readable_log import printable

_TIMEOUT_SECONDS: Final = 30.0
_ANSWER_BYTES_MAX: Final = 1024 * 1024
_HEADER: Final = "x-amz-scal-server-side-encryption"


def create_encrypted_bucket(  # noqa: PLR0913, PLR0917  # its options are the original's
    access_key: Annotated[
        str, typer.Option("--access-key", "-a", envvar="AWS_ACCESS_KEY_ID", help="Access key ID.")
    ],
    secret_key: Annotated[
        str,
        typer.Option(
            "--secret-key",
            "-k",
            envvar="AWS_SECRET_ACCESS_KEY",
            show_envvar=True,
            help="Secret access key. Others see a command line: better in the environment.",
        ),
    ],
    bucket: Annotated[str, typer.Option("--bucket", "-b", help="Name of the bucket.")],
    host: Annotated[str, typer.Option("--host", "-h", help="Host of the server.")],
    port: Annotated[int, typer.Option("--port", "-p", min=1, max=65535, help="Its port.")],
    location_constraint: Annotated[
        str | None,
        typer.Option("--location-constraint", "-l", help="Location of the bucket."),
    ] = None,
    ssl_: Annotated[
        bool,
        typer.Option(
            "--ssl", "-s", help="Speak TLS. SSL_CERT_FILE names an authority of your own."
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show the reply as well.")
    ] = False,
) -> None:
    """Make a bucket whose objects are stored encrypted.

    Its default encryption is SSE-S3: what PutBucketEncryption sets, in one request with the bucket.
    """
    if not is_new_bucket_name(bucket):
        raise typer.BadParameter("no bucket can be called so", param_hint="--bucket")
    where = f"{host}:{port}"
    key = AccessKey(access_key, secret_key)
    body = b""
    if location_constraint is not None:
        content = element("LocationConstraint", location_constraint)
        body = document("CreateBucketConfiguration", content)
    connection = _connection(host, port, secure=ssl_)
    try:
        connection.request("PUT", f"/{bucket}", body, _headers(where, bucket, body, key))
        response = connection.getresponse()
        answer = response.read(_ANSWER_BYTES_MAX)
    except (OSError, http.client.HTTPException) as error:
        _end(f"{where} does not answer: {error or type(error).__name__}")
    finally:
        connection.close()
    if verbose:
        for name, text in [("status", str(response.status)), *response.getheaders()]:
            typer.echo(printable(f"{name}: {text}"))
        typer.echo(printable(answer.decode(errors="replace")))
    if response.status != HTTPStatus.OK:
        _end(f"the bucket was not made: {_reason(response.status, answer)}")
    typer.echo(f"{bucket}: made, and encrypted")


def _end(problem: str) -> NoReturn:
    exit_with_problem(cli.PROGRAM, printable(problem), ATTENTION_EXIT)


def _connection(host: str, port: int, *, secure: bool) -> http.client.HTTPConnection:
    if not secure:
        return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    tls = ssl.create_default_context()
    return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_SECONDS, context=tls)


def _headers(where: str, bucket: str, body: bytes, key: AccessKey) -> dict[str, str]:
    sent = {"host": where, _HEADER: "AES256"}
    head = RequestHead("PUT", f"/{bucket}", "", sent)
    signed = sign_request(head, key, datetime.now(UTC), hashlib.sha256(body).hexdigest())
    return {**sent, **signed.headers, "Content-Length": str(len(body))}


def _reason(status: int, answer: bytes) -> str:
    """What an error document says, or that there was none."""
    try:
        tree = parse(answer, "Error")
    except S3Error:
        return f"the answer is {status}, of no S3 server"
    code, message = tree.findtext("Code", ""), tree.findtext("Message", "")
    return f"{status} {code}: {message}"
