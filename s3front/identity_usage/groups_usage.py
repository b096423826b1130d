"""``s3front groups``, as typer declares it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from s3front.command_answers import Json, print_json
from s3front.iam.group_changes import create_group, delete_group, update_group
from s3front.iam.identity_checks import the_group
from s3front.iam.records import Group
from s3front.iam.user_changes import add_to_group, remove_from_group
from s3front.identity_usage.asking import (
    AccountOption,
    Installation,
    PathOption,
    ask,
    print_members,
    say,
)
from s3front.identity_usage.holder_commands import Name, add_policy_commands
from s3front.identity_usage.identity_documents import group_document

app = typer.Typer(no_args_is_help=True, help="Make, show and remove groups of users.")

Member = Annotated[str, typer.Argument(metavar="USER")]


@app.command()
def create(
    name: Name, account: AccountOption = None, path: PathOption = "/", json: Json = False
) -> None:
    """Make a group, of nobody."""

    async def make(installation: Installation) -> dict[str, Any]:
        found = installation.account(account)
        group = await installation.change(lambda d: create_group(d, found.id, name, path=path))
        return group_document(installation.directory, group)

    document = ask(make)
    if json:
        print_json(document)
    else:
        say(f"made the group {document['arn']}")


@app.command(name="list")
def list_groups(account: AccountOption = None, json: Json = False) -> None:
    """Show the groups of an account."""

    async def every(installation: Installation) -> list[dict[str, Any]]:
        found, directory = installation.account(account), installation.directory
        groups = directory.every(Group, f"group/{found.id}")
        return [group_document(directory, group) for group in groups]

    rows = ask(every)
    if json:
        print_json(rows)
        return
    for row in rows:
        say(f"{row['name']:<24}{row['arn']:<56}members {len(row['members'])}")


@app.command()
def show(name: Name, account: AccountOption = None, json: Json = False) -> None:
    """Show a group: its members and policies."""

    async def look(installation: Installation) -> dict[str, Any]:
        found, directory = installation.account(account), installation.directory
        return group_document(directory, the_group(directory, found.id, name))

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
    """Give a group another name or path. Its members stay."""

    async def change(installation: Installation) -> Group:
        found = installation.account(account)
        return await installation.change(
            lambda d: update_group(d, found.id, name, new_name=new_name, new_path=new_path)
        )

    say(f"the group is {ask(change).arn}")


@app.command()
def delete(name: Name, account: AccountOption = None) -> None:
    """Remove a group that has no members and policies any more."""

    async def change(installation: Installation) -> None:
        found = installation.account(account)
        await installation.change(lambda d: delete_group(d, found.id, name))

    ask(change)
    say(f"removed the group {name}")


@app.command()
def add(name: Name, user: Member, account: AccountOption = None) -> None:
    """Make a user a member."""

    async def change(installation: Installation) -> None:
        found = installation.account(account)
        await installation.change(lambda d: add_to_group(d, found.id, name, user))

    ask(change)
    say(f"{user} is a member of the group {name}")


@app.command()
def remove(name: Name, user: Member, account: AccountOption = None) -> None:
    """Let a user be a member no more."""

    async def change(installation: Installation) -> None:
        found = installation.account(account)
        await installation.change(lambda d: remove_from_group(d, found.id, name, user))

    ask(change)
    say(f"{user} is no member of the group {name}")


add_policy_commands(app, "group")
