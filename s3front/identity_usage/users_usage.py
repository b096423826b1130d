"""``s3front users``, as typer declares it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from s3front.command_answers import Json, print_json
from s3front.iam.change import Change
from s3front.iam.directory import Directory
from s3front.iam.identity_checks import the_user
from s3front.iam.records import Record, User
from s3front.iam.user_changes import create_user, delete_user, update_user
from s3front.identity_usage.asking import (
    AccountOption,
    Installation,
    PathOption,
    TagOptions,
    ask,
    policy_arn,
    print_members,
    say,
    tags_of,
)
from s3front.identity_usage.holder_commands import Name, add_policy_commands
from s3front.identity_usage.identity_documents import user_document
from s3front.metadata import gateway
from shared.records.names import IAM_LAST_USED

app = typer.Typer(no_args_is_help=True, help="Make, show and remove users of an account.")


@app.command()
def create(
    name: Name,
    account: AccountOption = None,
    path: PathOption = "/",
    tag: TagOptions = None,
    boundary: Annotated[
        str | None,
        typer.Option(metavar="POLICY", help="The managed policy that limits what others give."),
    ] = None,
    json: Json = False,
) -> None:
    """Make a user, who may nothing as yet: `attach` or `put-policy` says what, and
    `s3front access-keys create --user NAME` makes a key."""
    tags = tags_of(tag)

    async def make(installation: Installation) -> dict[str, Any]:
        found, directory = installation.account(account), installation.directory
        arn = None if boundary is None else policy_arn(directory, found.id, boundary)
        user = await installation.change(
            lambda d: create_user(d, found.id, name, path=path, tags=tags, boundary=arn)
        )
        return user_document(directory, user)

    document = ask(make)
    if json:
        print_json(document)
    else:
        say(f"made the user {document['arn']}")


@app.command(name="list")
def list_users(account: AccountOption = None, json: Json = False) -> None:
    """Show the users of an account."""

    async def every(installation: Installation) -> list[dict[str, Any]]:
        found, directory = installation.account(account), installation.directory
        return [
            user_document(directory, user) for user in directory.every(User, f"user/{found.id}")
        ]

    rows = ask(every)
    if json:
        print_json(rows)
        return
    for row in rows:
        say(f"{row['name']:<24}{row['arn']:<56}keys {len(row['accessKeys'])}")


@app.command()
def show(name: Name, account: AccountOption = None, json: Json = False) -> None:
    """Show a user: groups, policies and keys."""

    async def look(installation: Installation) -> dict[str, Any]:
        found = installation.account(account)
        directory = installation.directory
        return user_document(directory, the_user(directory, found.id, name))

    document = ask(look)
    if json:
        print_json(document)
    else:
        print_members(document)


@app.command()
def update(
    name: Name,
    account: AccountOption = None,
    new_name: Annotated[str | None, typer.Option(metavar="NAME", help="Another name.")] = None,
    new_path: Annotated[str | None, typer.Option(metavar="PATH", help="Another path.")] = None,
) -> None:
    """Give a user another name or path, and with it another ARN. Keys stay."""

    async def change(installation: Installation) -> User:
        found = installation.account(account)
        return await installation.change(
            lambda d: update_user(d, found.id, name, new_name=new_name, new_path=new_path)
        )

    say(f"the user is {ask(change).arn}")


@app.command()
def delete(
    name: Name,
    account: AccountOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="With keys, policies and memberships.")
    ] = False,
) -> None:
    """Remove a user, who may have no keys, policies and groups any more."""

    async def change(installation: Installation) -> None:
        found = installation.account(account)
        decide = _delete_with_all if force else delete_user
        await installation.change(lambda d: decide(d, found.id, name))

    ask(change)
    say(f"removed the user {name}")


def _delete_with_all(directory: Directory, account_id: str, name: str) -> Change[None]:
    user = the_user(directory, account_id, name)
    gone: dict[str, Record | None] = {user.key: None}
    for key_id in user.access_keys:
        record = directory.access_key(key_id)
        if record is not None:
            gone[record.key] = None
    forgotten = [gateway.delete(IAM_LAST_USED, key_id) for key_id in user.access_keys]
    return Change(gone, None, besides=forgotten)


add_policy_commands(app, "user")
