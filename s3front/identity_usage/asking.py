"""What the commands about identities share: they ask the metadata, and say what came of it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from s3front import cli
from s3front.command_answers import ATTENTION_EXIT, CANNOT_ASK_EXIT, Result, ask_metadata
from s3front.iam.change import Decide
from s3front.iam.directory import Directory
from s3front.iam.following import Following
from s3front.iam.iam_errors import IamError
from s3front.iam.records import Account, ManagedPolicy, policy_key
from s3front.iam.store import IdentityStore
from s3front.keys.base import KeeperError
from s3front.keys.keepers import Keychain
from s3front.keys.sealing import Keys
from s3front.locations.outbound import outbound
from s3front.metadata.gateway import MetadataGateway
from s3front.s3_errors import S3Error
from shared.config import ConfigError, load_accounts, load_config
from shared.process.logs import get_logger
from shared.process.problems import exit_with_problem
from shared.process.readable_log import printable

POLICY_BYTES_MAX: Final = 256 * 1024
AccountOption = Annotated[
    str | None,
    typer.Option(
        "--account",
        metavar="ACCOUNT",
        help="Name, ID, alias or canonical ID; not needed where there is one account.",
    ),
]
PathOption = Annotated[str, typer.Option("--path", metavar="PATH", help="Such as /division/team/.")]
TagOptions = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="KEY=VALUE", help="A tag; may be given several times."),
]
PolicyFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="The policy, as JSON; - is standard input.")
]


class Installation:
    """What a command works with."""

    def __init__(
        self, metadata: MetadataGateway, directory: Directory, store: IdentityStore, keys: Keys
    ) -> None:
        self.metadata = metadata
        self.directory = directory
        self.keys = keys
        self._store = store

    async def change(self, decide: Decide[Result]) -> Result:
        """Raises IamError, S3Error."""
        return await self._store.change(decide, "command")

    def account(self, named: str | None) -> Account:
        """The account that ``--account`` means; None: the only one that there is."""
        if named is None:
            accounts = list(self.directory.accounts())
            if len(accounts) == 1:
                return accounts[0]
            some = ", ".join(account.name for account in accounts[:5])
            refuse(f"there are {len(accounts)} accounts: say which by --account ({some})")
        meant = accounts_named(self.directory, named)
        if not meant:
            refuse(f"there is no account {named}")
        if len(meant) > 1:
            ids = ", ".join(account.id for account in meant)
            refuse(f"{named} may be one of several accounts: say which by its ID ({ids})")
        return meant[0]


def accounts_named(directory: Directory, named: str) -> Sequence[Account]:
    """The accounts that something may mean: an ID or canonical ID, which nobody can choose, means
    one; a name, e-mail address or alias may be another's besides, who has chosen it."""
    by_id = directory.account(named) or directory.account_by_canonical_id(named)
    if by_id is not None:
        return [by_id]
    found = [account for account in directory.accounts() if account.name == named]
    found += [
        account
        for account in (directory.account_by_email(named), directory.account_by_alias(named))
        if account is not None
    ]
    return list({account.id: account for account in found}.values())


def ask(question: Callable[[Installation], Awaitable[Result]]) -> Result:
    """What comes of a question; ends the command when it is refused, or cannot be asked."""
    try:
        config = load_config()
        accounts = load_accounts(config)
        described = config.keepers()
    except (ConfigError, OSError) as error:
        exit_with_problem(cli.PROGRAM, error, CANNOT_ASK_EXIT)

    async def told(metadata: MetadataGateway) -> Result:
        log = get_logger()
        directory = Directory(accounts)
        store = IdentityStore(directory, Following(metadata, directory, log))
        chain = Keychain(described, log, metadata, outbound(config))
        try:
            await directory.refresh()
            return await question(Installation(metadata, directory, store, chain.keys))
        except IamError as error:
            refuse(error.message)
        except KeeperError as error:
            refuse(error.reason or error.message)
        except S3Error as error:
            if error.code != "NotImplemented":
                raise  # it is the metadata daemon that does not answer
            refuse(error.message)
        finally:
            await chain.close()

    try:
        return asyncio.run(ask_metadata(config, told))
    except ConfigError as error:
        exit_with_problem(cli.PROGRAM, error, CANNOT_ASK_EXIT)


def refuse(reason: str) -> NoReturn:
    """End the command: it was not done."""
    exit_with_problem(cli.PROGRAM, printable(reason), ATTENTION_EXIT)


def say(text: str) -> None:
    """Print a line, whatever is in it."""
    typer.echo(printable(text))


def say_document(text: str) -> None:
    """Print JSON, whatever is in it."""
    typer.echo(shown_document(text))


def shown_document(text: str) -> str:
    """JSON without what a terminal would act upon; the same document, as such characters stand in
    its strings alone."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else json.dumps(character)[1:-1]
        for character in text.replace("\r", "")
    )


def read_policy(path: Path) -> str:
    """The text of a policy."""
    try:
        if str(path) == "-":
            content = sys.stdin.buffer.read(POLICY_BYTES_MAX + 1)
        else:
            with path.open("rb") as file:
                content = file.read(POLICY_BYTES_MAX + 1)
        if len(content) > POLICY_BYTES_MAX:
            raise typer.BadParameter(f"more than {POLICY_BYTES_MAX} bytes", param_hint="FILE")
        return content.decode()
    except OSError as error:
        exit_with_problem(cli.PROGRAM, error, CANNOT_ASK_EXIT)
    except UnicodeDecodeError as error:
        raise typer.BadParameter("is not UTF-8", param_hint="FILE") from error


def tags_of(options: Sequence[str] | None) -> list[tuple[str, str]]:
    """The tags of a command line."""
    pairs = []
    for option in options or ():
        key, is_there, value = option.partition("=")
        if not is_there:
            raise typer.BadParameter("KEY=VALUE is needed", param_hint="tag")
        pairs.append((key, value))
    return pairs


def policy_arn(directory: Directory, account_id: str, named: str) -> str:
    """The ARN of a managed policy that may be named by its name alone: one of the account, else one
    of AWS's."""
    if named.startswith("arn:"):
        return named
    own = directory.identities.get(ManagedPolicy, policy_key(account_id, named))
    return f"arn:aws:iam::aws:policy/{named}" if own is None else own.arn


def print_members(document: Mapping[str, Any]) -> None:
    """Print what is known of something, a line each."""
    for name, value in document.items():
        shown = value
        if isinstance(value, Mapping):
            shown = ", ".join(f"{key}={each}" for key, each in value.items())
        elif isinstance(value, list):
            shown = ", ".join(map(str, value))
        if shown not in (None, ""):
            say(f"{name + ':':<22}{shown}")
