"""``s3front why`` and ``s3front simulate``, as typer declares them: why a request was refused, and
what would be decided on one that nobody sent.

Exit codes: 0, found, or allowed; 1, not found, or refused; 2, the question could not be asked, or
the command line makes no sense.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Final, NoReturn

import msgspec
import typer

from s3front import cli
from s3front.authz.access import arn
from s3front.authz.reasons import Decision
from s3front.command_answers import (
    ATTENTION_EXIT,
    CANNOT_ASK_EXIT,
    Json,
    Result,
    ask_metadata,
    print_json,
)
from s3front.iam.callers import caller_named
from s3front.iam.directory import Directory
from s3front.iam.following import Following
from s3front.iam.iam_errors import IamError
from s3front.iam.simulation import Simulated
from s3front.metadata.bucket_store import BucketStore
from s3front.metadata.gateway import MetadataGateway
from s3front.metadata.object_store import ObjectStore, record_of
from s3front.metadata.refusal_store import RefusalStore
from s3front.objects.versioning import Version
from shared import version_id
from shared.config import Config, ConfigError, load_accounts, load_config
from shared.process.logs import get_logger
from shared.process.problems import exit_with_problem
from shared.process.readable_log import printable

_REQUEST_ID: Final = "access"
_VERSION: Final = "s3:versionid"


def add_access_commands(app: typer.Typer) -> None:
    """Give them to ``s3front``."""
    app.command()(why)
    app.command()(simulate)


def why(
    request_id: Annotated[
        str, typer.Argument(metavar="REQUEST-ID", help="As an error and the access log name it.")
    ],
    json: Json = False,
) -> None:
    """Say why a request was refused: which statement, grant or missing permission it was.

    Refusals are known for an hour; of very many at once, not all.
    """
    config = _configured()
    wanted = request_id.strip().upper()
    found = _asked(config, lambda metadata: RefusalStore(metadata).find(wanted))
    if found is None:
        exit_with_problem(
            cli.PROGRAM, f"{printable(wanted)}: no refused request is known by this ID", 1
        )
    if json:
        print_json(msgspec.to_builtins(found))
        return
    who = "anybody, without a signature" if found.caller == "*" else found.caller
    for line in (
        found.reason,
        f"who:       {who}, from {found.peer}",
        f"what:      {found.operation}: {found.action} on {found.resource}",
        f"when:      {found.time}",
    ):
        typer.echo(printable(line))


def simulate(
    caller: Annotated[
        str,
        typer.Argument(
            metavar="CALLER",
            help="The ARN of a user, role or account, an access key of one that is stored, or "
            "'anonymous'.",
        ),
    ],
    action: Annotated[str, typer.Argument(metavar="ACTION", help="Such as s3:GetObject.")],
    resource: Annotated[str, typer.Argument(metavar="RESOURCE", help="Such as bucket/key.")],
    context: Annotated[
        list[str] | None,
        typer.Option(
            "--context", metavar="KEY=VALUE", help="A condition key; may be given repeatedly."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Say whether a request would be allowed, and why, on buckets, objects and identities as they
    are at present. Nothing is changed, and nothing is sent.

    Exit code 1: it would be refused.
    """
    config = _configured()
    keys = _keys(context or ())
    whole = resource if resource.startswith("arn:") or resource == "*" else arn(resource)
    try:
        decision = _asked(
            config,
            lambda metadata: _decide(metadata, config, caller, (action, whole), keys),
        )
    except IamError as error:
        _refuse(error.message)
    if json:
        print_json(
            {
                "allowed": decision.allowed,
                "reason": decision.reason.text,
                **msgspec.to_builtins(decision.reason),
            }
        )
    else:
        typer.echo(
            printable(f"{'allowed' if decision.allowed else 'refused'}: {decision.reason.text}")
        )
    raise typer.Exit(0 if decision.allowed else ATTENTION_EXIT)


async def _decide(
    metadata: MetadataGateway,
    config: Config,
    caller: str,
    asked: tuple[str, str],
    keys: Mapping[str, Sequence[str]],
) -> Decision:
    """Raises IamError and S3Error."""
    directory = Directory(load_accounts(config))
    await Following(metadata, directory, get_logger()).refresh()
    principal = caller_named(directory, caller)
    action, resource = asked
    question = Simulated(principal, action, resource, keys, directory)
    bucket_name, _, key = resource.partition(":::")[2].partition("/")
    if not bucket_name or action in ("s3:CreateBucket", "s3:ListAllMyBuckets"):
        return question.decision()
    objects = ObjectStore(
        metadata,
        BucketStore(metadata),
        version_id.infinite(config.replication_group_id),
    )
    wanted = keys.get(_VERSION)
    version = Version.parse(wanted[0] if wanted else None)
    bucket, current = await objects.read(bucket_name, key or None, _REQUEST_ID, version)
    if bucket is None:
        raise IamError("NoSuchEntity", f"There is no bucket {bucket_name}.")
    return msgspec.structs.replace(
        question, bucket=bucket.record, object=record_of(current)
    ).decision()


def _keys(stated: Sequence[str]) -> dict[str, list[str]]:
    """Condition keys by their names in lower case; several of one name are several values."""
    keys: dict[str, list[str]] = {}
    for each in stated:
        name, equals, value = each.partition("=")
        if not equals or ":" not in name:
            _refuse(f"--context {each}: must be KEY=VALUE, such as aws:SourceIp=10.0.0.1")
        keys.setdefault(name.lower(), []).append(value)
    return keys


def _configured() -> Config:
    try:
        return load_config()
    except ConfigError as error:
        exit_with_problem(cli.PROGRAM, error, CANNOT_ASK_EXIT)


def _asked(config: Config, question: Callable[[MetadataGateway], Awaitable[Result]]) -> Result:
    try:
        return asyncio.run(ask_metadata(config, question))
    except ConfigError as error:
        exit_with_problem(cli.PROGRAM, error, CANNOT_ASK_EXIT)


def _refuse(reason: str) -> NoReturn:
    exit_with_problem(cli.PROGRAM, printable(reason), CANNOT_ASK_EXIT)
