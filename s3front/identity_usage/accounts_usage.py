"""``s3front accounts``, as typer declares it."""

from __future__ import annotations

from typing import Annotated

import typer

from s3front.authz.public_block import FULL_BLOCK
from s3front.command_answers import Json, print_json
from s3front.iam.account_changes import (
    create_account,
    create_alias,
    delete_account,
    delete_alias,
    set_account_status,
    set_public_access_block,
    update_account,
)
from s3front.iam.records import Account, AccountStatus
from s3front.identity_usage.asking import Installation, ask, print_members, say
from s3front.identity_usage.identity_documents import account_document

app = typer.Typer(no_args_is_help=True, help="Make, show and remove accounts.")

Named = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help="Name, ID, alias, e-mail or canonical ID.")
]


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    email: Annotated[str, typer.Option(help="Its e-mail address; ACLs may name it by that.")],
    account_id: Annotated[
        str | None, typer.Option("--id", metavar="12 DIGITS", help="By default one is made.")
    ] = None,
    canonical_id: Annotated[
        str | None,
        typer.Option(metavar="64 HEX DIGITS", help="Of an account that comes from elsewhere."),
    ] = None,
    service: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Make the service account of this name: lifecycle, …"),
    ] = None,
    json: Json = False,
) -> None:
    """Make an account. `s3front access-keys create --account NAME` makes a key for it."""

    async def make(installation: Installation) -> Account:
        return await installation.change(
            lambda directory: create_account(
                directory,
                name,
                email,
                account_id=account_id,
                canonical_id=canonical_id,
                service=service,
            )
        )

    account = ask(make)
    if json:
        print_json(account_document(account))
    else:
        say(f"made the account {account.name}, {account.id}")
        say(f"canonical ID: {account.canonical_id}")


@app.command(name="list")
def list_accounts(json: Json = False) -> None:
    """Show all accounts, those of the configuration first."""

    async def every(installation: Installation) -> list[Account]:
        return list(installation.directory.accounts())

    accounts = ask(every)
    if json:
        print_json([account_document(account) for account in accounts])
        return
    for account in accounts:
        marks = "configuration" if account.from_file else account.status
        say(f"{account.id}  {account.name:<24}{account.email:<32}{marks}")


@app.command()
def show(account: Named, json: Json = False) -> None:
    """Show an account, and how much it has."""

    async def look(installation: Installation) -> dict[str, object]:
        found = installation.account(account)
        identities = installation.directory.identities
        counted = {
            plural: len(identities.keys(f"{kind}/{found.id}"))
            for kind, plural in (
                ("user", "users"),
                ("group", "groups"),
                ("role", "roles"),
                ("policy", "policies"),
            )
        }
        return {**account_document(found), **counted}

    document = ask(look)
    if json:
        print_json(document)
    else:
        print_members(document)


@app.command()
def update(
    account: Named,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    email: Annotated[str | None, typer.Option(help="Another address.")] = None,
) -> None:
    """Give an account another name or address."""

    async def change(installation: Installation) -> Account:
        found = installation.account(account)
        return await installation.change(
            lambda directory: update_account(directory, found.id, name=name, email=email)
        )

    changed = ask(change)
    say(f"the account {changed.id} is {changed.name}, {changed.email}")


@app.command()
def delete(account: Named) -> None:
    """Remove an account that has no keys, users, groups, roles, policies and buckets any more."""

    async def change(installation: Installation) -> Account:
        found = installation.account(account)
        await installation.change(lambda directory: delete_account(directory, found.id))
        return found

    say(f"removed the account {ask(change).name}")


@app.command()
def suspend(account: Named) -> None:
    """Let an account, its users and its sessions do nothing, until it is activated again."""
    _set_status(account, "suspended")


@app.command()
def activate(account: Named) -> None:
    """Let a suspended account do again what it may."""
    _set_status(account, "active")


def _set_status(account: str, status: AccountStatus) -> None:
    async def change(installation: Installation) -> Account:
        found = installation.account(account)
        await installation.change(lambda directory: set_account_status(directory, found.id, status))
        return found

    say(f"the account {ask(change).name} is {status}")


@app.command()
def alias(
    account: Named,
    name: Annotated[str | None, typer.Argument(metavar="[ALIAS]")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Have no alias any more.")] = False,
) -> None:
    """Give an account an alias, in the place of the one that it has."""
    if (name is None) is not remove:
        raise typer.BadParameter("give an alias, or --remove", param_hint="ALIAS")

    async def change(installation: Installation) -> str:
        found = installation.account(account)
        if name is None:
            await installation.change(
                lambda directory: delete_alias(directory, found.id, found.alias or "")
            )
            return f"the account {found.name} has no alias"
        await installation.change(lambda directory: create_alias(directory, found.id, name))
        return f"the alias of the account {found.name} is {name}"

    say(ask(change))


@app.command(name="block-public-access")
def block_public_access(
    account: Named,
    off: Annotated[
        bool, typer.Option("--off", help="Block nothing; what buckets block stays blocked.")
    ] = False,
) -> None:
    """Let nothing in the buckets of an account be public, whatever ACLs and policies say."""
    names = FULL_BLOCK.__struct_encode_fields__
    block = None if off else dict.fromkeys(names, True)

    async def change(installation: Installation) -> Account:
        found = installation.account(account)
        await installation.change(
            lambda directory: set_public_access_block(directory, found.id, block)
        )
        return found

    state = "not blocked" if off else "blocked"
    say(f"public access to the buckets of the account {ask(change).name} is {state}")
