"""``s3front roles``, as typer declares it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from s3front.command_answers import Json, print_json
from s3front.iam import quotas
from s3front.iam.identity_checks import the_role
from s3front.iam.records import Role
from s3front.iam.role_changes import create_role, delete_role, revoke_sessions, update_trust
from s3front.identity_usage.asking import (
    AccountOption,
    Installation,
    PathOption,
    PolicyFile,
    TagOptions,
    ask,
    policy_arn,
    print_members,
    read_policy,
    say,
    tags_of,
)
from s3front.identity_usage.holder_commands import Name, add_policy_commands
from s3front.identity_usage.identity_documents import role_document

app = typer.Typer(no_args_is_help=True, help="Make, show and remove roles of an account.")


@app.command()
def create(  # noqa: PLR0913, PLR0917  # what CreateRole has
    name: Name,
    trust: Annotated[
        Path,
        typer.Option(metavar="FILE", help="The policy that says who may take it on; - is stdin."),
    ],
    account: AccountOption = None,
    path: PathOption = "/",
    description: Annotated[str, typer.Option(metavar="TEXT")] = "",
    session_seconds: Annotated[
        int, typer.Option(metavar="SECONDS", help="What a session may last.")
    ] = quotas.SESSION_SECONDS_MIN,
    tag: TagOptions = None,
    boundary: Annotated[
        str | None,
        typer.Option(metavar="POLICY", help="The managed policy that limits what others give."),
    ] = None,
    json: Json = False,
) -> None:
    """Make a role, which may nothing as yet: `attach` or `put-policy` says what."""
    tags, text = tags_of(tag), read_policy(trust)

    async def make(installation: Installation) -> dict[str, Any]:
        found, directory = installation.account(account), installation.directory
        arn = None if boundary is None else policy_arn(directory, found.id, boundary)
        role = await installation.change(
            lambda d: create_role(
                d,
                found.id,
                name,
                text,
                path=path,
                description=description,
                max_session_seconds=session_seconds,
                tags=tags,
                boundary=arn,
            )
        )
        return role_document(installation.directory, role)

    document = ask(make)
    if json:
        print_json(document)
    else:
        say(f"made the role {document['arn']}")


@app.command(name="list")
def list_roles(account: AccountOption = None, json: Json = False) -> None:
    """Show the roles of an account."""

    async def every(installation: Installation) -> list[dict[str, Any]]:
        found = installation.account(account)
        return [
            role_document(installation.directory, role)
            for role in installation.directory.every(Role, f"role/{found.id}")
        ]

    rows = ask(every)
    if json:
        print_json(rows)
        return
    for row in rows:
        say(f"{row['name']:<24}{row['arn']}")


@app.command()
def show(name: Name, account: AccountOption = None, json: Json = False) -> None:
    """Show a role: who may take it on, and its policies."""

    async def look(installation: Installation) -> dict[str, Any]:
        found = installation.account(account)
        return role_document(
            installation.directory, the_role(installation.directory, found.id, name)
        )

    document = ask(look)
    if json:
        print_json(document)
    else:
        print_members(document)


@app.command()
def trust(name: Name, file: PolicyFile, account: AccountOption = None) -> None:
    """Let others take a role on: the policy that says who, in the place of the one that it has."""
    text = read_policy(file)

    async def change(installation: Installation) -> None:
        found = installation.account(account)
        await installation.change(lambda d: update_trust(d, found.id, name, text))

    ask(change)
    say(f"the role {name} has another trust policy")


@app.command(name="revoke-sessions")
def revoke(name: Name, account: AccountOption = None) -> None:
    """End all sessions of a role that there are. New ones may begin."""

    async def change(installation: Installation) -> Role:
        found, before = installation.account(account), datetime.now(UTC)
        return await installation.change(lambda d: revoke_sessions(d, found.id, name, before))

    say(f"sessions of the role {name} that began before {ask(change).revoked_before} are over")


@app.command()
def delete(name: Name, account: AccountOption = None) -> None:
    """Remove a role that has no policies any more. Its sessions end."""

    async def change(installation: Installation) -> None:
        found = installation.account(account)
        await installation.change(lambda d: delete_role(d, found.id, name))

    ask(change)
    say(f"removed the role {name}")


add_policy_commands(app, "role")
