"""``s3front keys encrypt-objects``, ``jobs`` and ``cancel``, as typer declares them: jobs that
background work does (``s3front.work.encryption_jobs``). Exit codes as ``s3front keys`` has them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, NoReturn

import msgspec
import typer

from s3front import cli
from s3front.command_answers import (
    ATTENTION_EXIT,
    CANNOT_ASK_EXIT,
    Json,
    Result,
    ask_metadata,
    print_json,
)
from s3front.metadata import gateway
from s3front.metadata.bucket_store import BucketStore
from s3front.metadata.gateway import ChangedError, MetadataGateway
from s3front.work.encryption_jobs import JOB_PREFIX, RATE_BYTES, Job, job_key, parse_job
from shared.config import Config, ConfigError, load_config
from shared.process.problems import exit_with_problem
from shared.process.readable_log import printable
from shared.records.names import KEY_JOBS
from shared.records.times import now, to_iso

_MIB: Final = 1024 * 1024
_REQUEST_ID: Final = "key-jobs"

Bucket = Annotated[str, typer.Argument(metavar="BUCKET")]


def add_job_commands(app: typer.Typer) -> None:
    """Give them to ``s3front keys``."""
    app.command(name="encrypt-objects")(encrypt_objects)
    app.command()(jobs)
    app.command()(cancel)


def encrypt_objects(
    bucket: Bucket,
    decrypt: Annotated[
        bool, typer.Option("--decrypt", help="Store them plain; of a bucket without encryption.")
    ] = False,
    rate: Annotated[
        int, typer.Option(min=1, max=100_000, metavar="MIB", help="MiB a second, at most.")
    ] = RATE_BYTES // _MIB,
) -> None:
    """Store the objects that a bucket has again, encrypted as its default encryption says (AES256
    where it says nothing), versions and locked ones included. Background work does it.

    What a client's own key protects stays as it is.
    """
    config = _configured()
    job = Job(bucket=bucket, decrypt=decrypt, rate=rate * _MIB, began=to_iso(now()))
    reason = _asked(config, lambda metadata: _begin(metadata, job, config))
    if reason is not None:
        _refuse(reason)
    typer.echo(printable(f"begun: s3front keys jobs shows how far {bucket} is"))


def jobs(json: Json = False) -> None:
    """Show the jobs that there were, one a bucket.

    Exit code 1: one is refused, or has failures.
    """
    found = _asked(_configured(), _all_jobs)
    if json:
        print_json([msgspec.to_builtins(job) for job in found])
    else:
        for job in found:
            typer.echo(printable(_line(job)))
    well = all(job.state != "refused" and not job.failed for job in found)
    raise typer.Exit(0 if well else ATTENTION_EXIT)


def cancel(bucket: Bucket) -> None:
    """End the job of a bucket. What it has done stays done."""
    reason = _asked(_configured(), lambda metadata: _cancel(metadata, bucket))
    if reason is not None:
        _refuse(reason)
    typer.echo("cancelled")


async def _begin(metadata: MetadataGateway, job: Job, config: Config) -> str | None:
    """Why a job cannot be done, else None."""
    bucket = await BucketStore(metadata).read(job.bucket, _REQUEST_ID)
    if bucket is None:
        return f"there is no bucket {job.bucket}"
    if job.decrypt and config.global_encryption_enabled:
        return "all new objects are encrypted (globalEncryptionEnabled)"
    if job.decrypt and bucket.record.demands_encryption:
        return "the bucket demands encryption; delete its encryption configuration first"
    key = job_key(job.bucket)
    (found,) = await metadata.get_each([(KEY_JOBS, key)], _REQUEST_ID)
    before = None if found is None else parse_job(found.document)
    if before is not None and before.state == "running":
        return "a job of the bucket is running; s3front keys cancel ends it"
    requirement = gateway.is_absent(KEY_JOBS, key)
    if found is not None and found.revision is not None:
        requirement = gateway.has_revision(KEY_JOBS, key, found.revision)
    operation = gateway.put(KEY_JOBS, key, msgspec.json.encode(job).decode())
    try:
        await metadata.commit([operation], [requirement], _REQUEST_ID)
    except ChangedError:
        return "somebody else has begun one at the same time"
    return None


async def _all_jobs(metadata: MetadataGateway) -> list[Job]:
    bounds = {"gte": JOB_PREFIX, "lt": JOB_PREFIX[:-1] + chr(ord(JOB_PREFIX[-1]) + 1)}
    keys = await metadata.keys(KEY_JOBS, bounds, _REQUEST_ID)
    read = await metadata.get_each([(KEY_JOBS, key) for key in keys], _REQUEST_ID)
    parsed = (parse_job(entry.document) for entry in read if entry is not None)
    return [job for job in parsed if job is not None]


async def _cancel(metadata: MetadataGateway, bucket: str) -> str | None:
    key = job_key(bucket)
    while True:
        (found,) = await metadata.get_each([(KEY_JOBS, key)], _REQUEST_ID)
        job = None if found is None else parse_job(found.document)
        if found is None or found.revision is None or job is None or job.state != "running":
            return f"no job of {bucket} is running"
        ended = msgspec.structs.replace(job, state="cancelled", finished=to_iso(now()))
        operation = gateway.put(KEY_JOBS, key, msgspec.json.encode(ended).decode())
        try:
            requires = [gateway.has_revision(KEY_JOBS, key, found.revision)]
            await metadata.commit([operation], requires, _REQUEST_ID)
        except ChangedError:
            continue  # it has come a page further
        return None


def _line(job: Job) -> str:
    kind = "decrypt" if job.decrypt else "encrypt"
    told = f"{job.bucket:<24}{kind:<9}{job.state:<10}"
    told += f"{job.stored:,} of {job.records:,} records stored again, {job.bytes:,} bytes"
    if job.failed:
        told += f", {job.failed:,} failed (s3front work status)"
    return f"{told}: {job.reason}" if job.reason else told


def _asked(config: Config, question: Callable[[MetadataGateway], Awaitable[Result]]) -> Result:
    return asyncio.run(ask_metadata(config, question))


def _configured() -> Config:
    try:
        return load_config()
    except (ConfigError, OSError) as error:
        exit_with_problem(cli.PROGRAM, error, CANNOT_ASK_EXIT)


def _refuse(reason: str) -> NoReturn:
    exit_with_problem(cli.PROGRAM, reason, ATTENTION_EXIT)
