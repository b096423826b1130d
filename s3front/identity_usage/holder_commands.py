"""What ``s3front users``, ``groups`` and ``roles`` have in common: their policies."""

from __future__ import annotations

from typing import Annotated

import typer

from s3front.iam.holder_changes import (
    add_tags,
    attach,
    delete_inline,
    detach,
    inline_policy,
    put_inline,
    remove_tags,
    set_boundary,
)
from s3front.iam.identity_checks import HolderKind, the_holder
from s3front.identity_usage.asking import (
    AccountOption,
    Installation,
    PolicyFile,
    ask,
    policy_arn,
    read_policy,
    say,
    say_document,
    tags_of,
)

Name = Annotated[str, typer.Argument(metavar="NAME")]
ManagedName = Annotated[
    str, typer.Argument(metavar="POLICY", help="The ARN or the name of a managed policy.")
]
InlineName = Annotated[str, typer.Argument(metavar="POLICY", help="The name of the policy.")]


def add_policy_commands(app: typer.Typer, kind: HolderKind) -> None:
    """Give the commands of such an identity ``attach``, ``detach``, ``put-policy``, ``show-policy``
    and ``delete-policy``; those of users and roles ``boundary``, ``tag`` and ``untag``."""

    @app.command(name="attach")
    def attach_policy(name: Name, policy: ManagedName, account: AccountOption = None) -> None:
        """Attach a managed policy: one of the account, or of AWS's own."""

        async def change(installation: Installation) -> str:
            found = installation.account(account)
            arn = policy_arn(installation.directory, found.id, policy)
            await installation.change(
                lambda directory: attach(directory, kind, found.id, name, arn)
            )
            return arn

        say(f"attached {ask(change)} to the {kind} {name}")

    @app.command(name="detach")
    def detach_policy(name: Name, policy: ManagedName, account: AccountOption = None) -> None:
        """Detach a managed policy."""

        async def change(installation: Installation) -> str:
            found = installation.account(account)
            arn = policy_arn(installation.directory, found.id, policy)
            await installation.change(
                lambda directory: detach(directory, kind, found.id, name, arn)
            )
            return arn

        say(f"detached {ask(change)} from the {kind} {name}")

    @app.command(name="put-policy")
    def put_policy(
        name: Name, policy: InlineName, file: PolicyFile, account: AccountOption = None
    ) -> None:
        """Give a policy of its own, in the place of one of this name."""
        text = read_policy(file)

        async def change(installation: Installation) -> None:
            found = installation.account(account)
            await installation.change(
                lambda directory: put_inline(directory, kind, found.id, name, (policy, text))
            )

        ask(change)
        say(f"the {kind} {name} has the policy {policy}")

    @app.command(name="show-policy")
    def show_policy(name: Name, policy: InlineName, account: AccountOption = None) -> None:
        """Show a policy of its own, as it was given."""

        async def look(installation: Installation) -> str:
            found = installation.account(account)
            holder = the_holder(installation.directory, kind, found.id, name)
            return inline_policy(kind, holder, policy)

        say_document(ask(look))

    @app.command(name="delete-policy")
    def delete_policy(name: Name, policy: InlineName, account: AccountOption = None) -> None:
        """Take a policy of its own away."""

        async def change(installation: Installation) -> None:
            found = installation.account(account)
            await installation.change(
                lambda directory: delete_inline(directory, kind, found.id, name, policy)
            )

        ask(change)
        say(f"the {kind} {name} has the policy {policy} no more")

    if kind != "group":
        _add_boundary_command(app, kind)
        _add_tag_commands(app, kind)


def _add_boundary_command(app: typer.Typer, kind: HolderKind) -> None:
    @app.command(name="boundary")
    def boundary(
        name: Name,
        policy: Annotated[str | None, typer.Argument(metavar="[POLICY]")] = None,
        remove: Annotated[bool, typer.Option("--remove", help="Have no boundary.")] = False,
        account: AccountOption = None,
    ) -> None:
        """Let a managed policy limit what all others give, or no policy (--remove)."""
        if (policy is None) is not remove:
            raise typer.BadParameter("give a policy, or --remove", param_hint="POLICY")

        async def change(installation: Installation) -> str:
            found = installation.account(account)
            directory = installation.directory
            arn = None if policy is None else policy_arn(directory, found.id, policy)
            await installation.change(lambda d: set_boundary(d, kind, found.id, name, arn))
            return arn or "none"

        say(f"the boundary of the {kind} {name}: {ask(change)}")


def _add_tag_commands(app: typer.Typer, kind: HolderKind) -> None:
    @app.command(name="tag")
    def tag(
        name: Name,
        tags: Annotated[list[str], typer.Argument(metavar="KEY=VALUE")],
        account: AccountOption = None,
    ) -> None:
        """Give tags, each in the place of one of its key."""
        pairs = tags_of(tags)

        async def change(installation: Installation) -> None:
            found = installation.account(account)
            await installation.change(lambda d: add_tags(d, kind, found.id, name, pairs))

        ask(change)
        say(f"tagged the {kind} {name}")

    @app.command(name="untag")
    def untag(
        name: Name,
        keys: Annotated[list[str], typer.Argument(metavar="KEY")],
        account: AccountOption = None,
    ) -> None:
        """Take tags away, as far as they are there."""

        async def change(installation: Installation) -> None:
            found = installation.account(account)
            await installation.change(lambda d: remove_tags(d, kind, found.id, name, keys))

        ask(change)
        say(f"the {kind} {name} has these tags no more")
