"""``s3front policies``, as typer declares it: managed policies, and their versions."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from s3front.command_answers import Json, print_json
from s3front.iam import quotas
from s3front.iam.aws_policies import AWS_POLICIES
from s3front.iam.change import Change
from s3front.iam.directory import Directory
from s3front.iam.identity_checks import the_policy
from s3front.iam.policy_changes import (
    create_policy,
    create_policy_version,
    delete_policy,
    delete_policy_version,
    set_default_version,
    the_version,
)
from s3front.iam.records import ManagedPolicy, PolicyVersion
from s3front.identity_usage.asking import (
    AccountOption,
    Installation,
    PathOption,
    PolicyFile,
    ask,
    policy_arn,
    print_members,
    read_policy,
    say,
    say_document,
)
from s3front.identity_usage.holder_commands import ManagedName, Name
from s3front.identity_usage.identity_documents import policy_document

app = typer.Typer(no_args_is_help=True, help="Make, show and remove managed policies.")

VersionId = Annotated[str, typer.Argument(metavar="VERSION", help="Such as v2.")]


@app.command()
def create(
    name: Name,
    file: PolicyFile,
    account: AccountOption = None,
    path: PathOption = "/",
    description: Annotated[str, typer.Option(metavar="TEXT")] = "",
    json: Json = False,
) -> None:
    """Make a managed policy, which users, groups and roles can be given by `attach`."""
    text = read_policy(file)

    async def make(installation: Installation) -> dict[str, Any]:
        found = installation.account(account)
        policy = await installation.change(
            lambda d: create_policy(d, found.id, name, text, path=path, description=description)
        )
        return policy_document(installation.directory, policy)

    document = ask(make)
    if json:
        print_json(document)
    else:
        say(f"made the policy {document['arn']}")


@app.command(name="list")
def list_policies(
    account: AccountOption = None,
    aws: Annotated[bool, typer.Option("--aws", help="Those of AWS's own instead.")] = False,
    json: Json = False,
) -> None:
    """Show the managed policies of an account."""

    async def every(installation: Installation) -> list[dict[str, Any]]:
        directory = installation.directory
        if aws:
            return [policy_document(directory, policy) for policy in AWS_POLICIES]
        found = installation.account(account)
        policies = directory.every(ManagedPolicy, f"policy/{found.id}")
        return [policy_document(directory, policy) for policy in policies]

    rows = ask(every)
    if json:
        print_json(rows)
        return
    for row in rows:
        say(f"{row['arn']:<64}{row['defaultVersion']:<5}attached {len(row['attachedTo'])}")


@app.command()
def show(
    policy: ManagedName,
    account: AccountOption = None,
    version: Annotated[
        str | None, typer.Option(metavar="VERSION", help="By default the one in force.")
    ] = None,
    json: Json = False,
) -> None:
    """Show a policy, and the text of a version."""

    async def look(installation: Installation) -> dict[str, Any]:
        found, directory = installation.account(account), installation.directory
        shown = the_policy(directory, found.id, policy_arn(directory, found.id, policy))
        text = the_version(shown, version or shown.default).text
        return {**policy_document(directory, shown), "policy": text}

    document = ask(look)
    if json:
        print_json(document)
        return
    text = document.pop("policy")
    print_members(document)
    say_document(text)


@app.command()
def put(policy: ManagedName, file: PolicyFile, account: AccountOption = None) -> None:
    """Give a policy a new text, in force at once. Of five versions the oldest that is not in force
    goes."""
    text = read_policy(file)

    async def change(installation: Installation) -> PolicyVersion:
        found = installation.account(account)
        arn = policy_arn(installation.directory, found.id, policy)
        return await installation.change(lambda d: _put(d, found.id, arn, text))

    say(f"version {ask(change).id} of the policy {policy} is in force")


@app.command()
def use(policy: ManagedName, version: VersionId, account: AccountOption = None) -> None:
    """Put a version into force."""

    async def change(installation: Installation) -> None:
        found = installation.account(account)
        arn = policy_arn(installation.directory, found.id, policy)
        await installation.change(lambda d: set_default_version(d, found.id, arn, version))

    ask(change)
    say(f"version {version} of the policy {policy} is in force")


@app.command(name="delete-version")
def delete_version(policy: ManagedName, version: VersionId, account: AccountOption = None) -> None:
    """Remove a version that is not in force."""

    async def change(installation: Installation) -> None:
        found = installation.account(account)
        arn = policy_arn(installation.directory, found.id, policy)
        await installation.change(lambda d: delete_policy_version(d, found.id, arn, version))

    ask(change)
    say(f"removed version {version} of the policy {policy}")


@app.command()
def delete(policy: ManagedName, account: AccountOption = None) -> None:
    """Remove a policy that nobody has, with all of its versions."""

    async def change(installation: Installation) -> None:
        found = installation.account(account)
        arn = policy_arn(installation.directory, found.id, policy)
        await installation.change(lambda d: delete_policy(d, found.id, arn, versions=True))

    ask(change)
    say(f"removed the policy {policy}")


def _put(directory: Directory, account_id: str, arn: str, text: str) -> Change[PolicyVersion]:
    policy = the_policy(directory, account_id, arn)
    oldest = next((each.id for each in policy.versions if each.id != policy.default), None)
    instead_of = oldest if len(policy.versions) >= quotas.POLICY_VERSIONS_MAX else None
    return create_policy_version(
        directory, account_id, arn, text, set_as_default=True, instead_of=instead_of
    )
