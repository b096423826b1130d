"""``s3front access-keys``, as typer declares it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer

from s3front.command_answers import Json, print_json
from s3front.iam.access_key_changes import (
    NewKey,
    create_access_key,
    delete_access_key,
    new_access_key,
    update_access_key,
)
from s3front.iam.identity_checks import the_user
from s3front.iam.last_used import last_use, last_uses
from s3front.iam.records import AccessKey, KeyStatus, User
from s3front.iam.sealing_keys import replaced, sealed_key
from s3front.identity_usage.asking import (
    AccountOption,
    Installation,
    ask,
    print_members,
    refuse,
    say,
)
from s3front.identity_usage.identity_documents import access_key_document
from shared.records.times import from_iso

app = typer.Typer(
    no_args_is_help=True, help="Make, show, disable and replace access keys of users and accounts."
)

_SPAN: Final = re.compile(r"([0-9]{1,5})([dhm])\Z")
_UNITS: Final = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
_SECRET_CHARACTERS_MAX: Final = 1024

KeyId = Annotated[str, typer.Argument(metavar="ACCESS-KEY")]
UserOption = Annotated[
    str | None,
    typer.Option("--user", metavar="NAME", help="A user; by default the account itself, its root."),
]
DescriptionOption = Annotated[str, typer.Option("--description", metavar="TEXT")]
ExpiresOption = Annotated[
    str | None,
    typer.Option(
        "--expires", metavar="WHEN", help="In 90d, 12h or 30m, or a time: 2027-01-31T12:00Z."
    ),
]


@app.command()
def create(
    user: UserOption = None,
    account: AccountOption = None,
    description: DescriptionOption = "",
    expires: ExpiresOption = None,
    access_key: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Take this ID, and the secret of standard input: a key that comes from elsewhere.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Make an access key, and show its secret: this once, as nobody can show it again.

    A user may have two, and so may an account itself.
    """
    given = None if access_key is None else (access_key, _read_secret())
    end = _moment(expires)

    async def make(installation: Installation) -> NewKey:
        found = installation.account(account)
        if user is not None:
            the_user(installation.directory, found.id, user)
        new = await new_access_key(
            installation.keys, found.id, user, given=given, expires=end, description=description
        )
        return await installation.change(lambda d: create_access_key(d, new))

    _show_new(ask(make), json)


@app.command(name="list")
def list_keys(
    user: UserOption = None,
    account: AccountOption = None,
    json: Json = False,
) -> None:
    """Show the keys of an account and of all its users, or of one user."""

    async def every(installation: Installation) -> list[dict[str, Any]]:
        found = installation.account(account)
        records = list(_keys_of(installation, found.id, user))
        uses = await last_uses(installation.metadata, [record.id for record in records])
        directory = installation.directory
        return [access_key_document(directory, each, uses.get(each.id)) for each in records]

    rows = ask(every)
    if json:
        print_json(rows)
        return
    for row in rows:
        used = f"used {row['lastUsed']}" if row["lastUsed"] else "never used"
        end = f"  expires {row['expires']}" if row["expires"] else ""
        say(f"{row['accessKeyId']:<24}{row['user'] or '(root)':<24}{row['status']:<10}{used}{end}")


@app.command()
def show(key: KeyId, json: Json = False) -> None:
    """Show whose a key is, its status, and when it was used last."""

    async def look(installation: Installation) -> dict[str, Any]:
        record = _known(installation, key)
        used = await last_use(installation.metadata, record.id)
        return access_key_document(installation.directory, record, used)

    document = ask(look)
    if json:
        print_json(document)
    else:
        print_members(document)


@app.command()
def update(
    key: KeyId,
    description: Annotated[str | None, typer.Option(metavar="TEXT")] = None,
    expires: ExpiresOption = None,
) -> None:
    """Give a key another description, or another end."""
    end = _moment(expires)

    async def change(installation: Installation) -> AccessKey:
        record = _known(installation, key)
        user = _user_of(installation, record)
        return await installation.change(
            lambda d: update_access_key(
                d, record.account, user, key, description=description, expires=end
            )
        )

    end_text = ask(change).expires
    say(f"the access key {key} is good {f'until {end_text}' if end_text else 'always'}")


@app.command()
def disable(key: KeyId) -> None:
    """Let nobody sign with a key, within a second."""
    _set_status(key, "Inactive")


@app.command()
def enable(key: KeyId) -> None:
    """Let a key be used again that was disabled."""
    _set_status(key, "Active")


@app.command()
def delete(key: KeyId) -> None:
    """Remove a key."""

    async def change(installation: Installation) -> None:
        record = _known(installation, key)
        user = _user_of(installation, record)
        await installation.change(lambda d: delete_access_key(d, record.account, user, key))

    ask(change)
    say(f"removed the access key {key}")


@app.command()
def rotate(
    key: KeyId,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the old key as it is, to be disabled later.")
    ] = False,
    expires: ExpiresOption = None,
    json: Json = False,
) -> None:
    """Make another key for whom a key belongs to, show its secret, and disable the old one."""
    end = _moment(expires)

    async def make(installation: Installation) -> NewKey:
        record = _known(installation, key)
        user = _user_of(installation, record)
        new = await new_access_key(
            installation.keys,
            record.account,
            user,
            expires=end,
            description=record.description,
        )
        made = await installation.change(lambda d: create_access_key(d, new))
        if not keep:
            await installation.change(
                lambda d: update_access_key(d, record.account, user, key, status="Inactive")
            )
        return made

    _show_new(ask(make), json)
    if not json:
        say(f"the access key {key} is {'as it was' if keep else 'disabled'}")


def _show_new(new: NewKey, json: bool) -> None:
    if json:
        print_json(
            {
                "accessKeyId": new.record.id,
                "secretAccessKey": new.secret,
                "user": new.user,
                "account": new.record.account,
                "expires": new.record.expires,
            }
        )
        return
    whose = "the account itself" if new.user is None else f"the user {new.user}"
    say(f"made an access key of {whose}; its secret is shown this once")
    say(f"access key: {new.record.id}")
    say(f"secret key: {new.secret}")


def _set_status(key: str, status: KeyStatus) -> None:
    async def change(installation: Installation) -> None:
        record = _known(installation, key)
        user = _user_of(installation, record)
        await installation.change(
            lambda d: update_access_key(d, record.account, user, key, status=status)
        )

    ask(change)
    say(f"the access key {key} is {'enabled' if status == 'Active' else 'disabled'}")


def _known(installation: Installation, key: str) -> AccessKey:
    record = installation.directory.access_key(key)
    if record is None:
        if installation.directory.knows_access_key(key):
            refuse(f"the access key {key} is one of the configuration, which has to be changed")
        refuse(f"there is no access key {key}")
    return record


def _user_of(installation: Installation, record: AccessKey) -> str | None:
    """The name of the user whose key it is, None of an account's."""
    if record.user_id is None:
        return None
    user = installation.directory.user_by_id(record.user_id)
    return None if user is None else user.name


def _keys_of(installation: Installation, account_id: str, user: str | None) -> Iterator[AccessKey]:
    directory = installation.directory
    ids: list[str] = []
    if user is not None:
        ids += the_user(directory, account_id, user).access_keys
    else:
        account = directory.account(account_id)
        ids += () if account is None else account.access_keys
        for each in directory.every(User, f"user/{account_id}"):
            ids += each.access_keys
    for key_id in ids:
        record = directory.access_key(key_id)
        if record is not None:
            yield record


def _read_secret() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Secret key", hide_input=True))
    return sys.stdin.readline(_SECRET_CHARACTERS_MAX).rstrip("\r\n")


def _moment(text: str | None) -> datetime | None:
    """The time that ``--expires`` means, which is to come: a key that is good no more is
    disabled."""
    if text is None:
        return None
    now, span = datetime.now(UTC), _SPAN.match(text)
    try:
        moment = from_iso(text) if span is None else now + int(span[1]) * _UNITS[span[2]]
    except ValueError as error:
        raise typer.BadParameter("such as 90d, or a time", param_hint="--expires") from error
    if moment <= now:
        raise typer.BadParameter("is over already", param_hint="--expires")
    return moment


@app.command(name="replace-session-key")
def replace_session_key(
    end_sessions: Annotated[
        bool, typer.Option("--end-sessions", help="End all sessions that there are.")
    ] = False,
) -> None:
    """Seal the tokens of new sessions, of all accounts, by another key.

    Sessions that there are go on until they end, or are over at once.
    """

    async def replace(installation: Installation) -> int:
        entry = await sealed_key(installation.keys)
        return await installation.change(
            lambda d: replaced(d, entry, datetime.now(UTC), end_sessions=end_sessions)
        )

    kept = ask(replace)
    if end_sessions:
        say("session tokens have another key, and all sessions that there were are over")
    else:
        say(f"session tokens have another key; {kept} before it are kept for sessions there are")
