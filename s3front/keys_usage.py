"""``s3front keys``: ``create``, ``add``, ``list``, ``look``, ``use``, ``rotate``, ``retire``,
``disable``, ``enable`` and ``remove``, as typer declares them.

They change the key file of the configuration, which running processes read again by themselves;
nobody has to be restarted. No secret is ever printed. Exit codes: 0, all is well, or done; 1,
something needs to be looked at, or was not done; 2, the question could not be asked, or the command
line makes no sense.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
from msgspec.structs import replace

from s3front import cli, key_service_commands
from s3front.command_answers import (
    ATTENTION_EXIT,
    CANNOT_ASK_EXIT,
    Json,
    ask_metadata,
    print_json,
)
from s3front.key_jobs_usage import add_job_commands
from s3front.keys.base import KeeperError
from s3front.keys.keepers import Keychain
from s3front.keys.keyring_file import (
    Keyring,
    MasterKey,
    create_keyring,
    disabled,
    enabled,
    is_key_id,
    locked,
    new_master_key,
    read_keyring,
    removed,
    replace_keyring,
    retired,
)
from s3front.keys.remote_keepers import CACHE_SECONDS_MAX
from s3front.keys.removal import named_by, too_early
from s3front.keys.retired_keys import RetiredKeys
from s3front.keys.used_keys import UsedKeys, missing_keys
from s3front.keys_shown import print_found, print_row, row_of
from s3front.locations.outbound import outbound
from s3front.metadata.gateway import MetadataGateway
from s3front.metadata.key_usage import KeyUsage, count_keys
from s3front.s3_errors import S3Error
from s3front.work.key_rotation import ROTATION
from shared.config import Config, ConfigError, load_config
from shared.process.logs import configure_logging, get_logger
from shared.process.problems import exit_with_problem
from shared.process.readable_log import printable
from shared.records.names import KEY_JOBS

_FILE: Final = "file"
_ADVICE: Final = (
    "Whoever loses this file loses all encrypted objects: no backup of data or metadata has it.\n"
    "Keep a copy elsewhere, where only you can read it, and give it to every host of s3front."
)

app = typer.Typer(no_args_is_help=True, help="Make, show and replace master keys.")

add_job_commands(app)

KeyId = Annotated[str, typer.Argument(metavar="ID", help="The key, as `s3front keys list` has it.")]
NewId = Annotated[
    str | None, typer.Option("--id", metavar="ID", help="Its name; by default one is made.")
]


@app.command()
def create(key_id: NewId = None) -> None:
    """Make the key file, with one master key; it never replaces one. Where another keeper is
    configured, make a master key there."""
    config = _configured()
    _check_id(key_id)
    current = config.keepers().current
    if _is_at_service(config):
        made = asyncio.run(_create_elsewhere(config, key_id or "twofold"))
        typer.echo(printable(f"made the master key {made} in the keeper {current}"))
        return
    path = _path(config)
    try:
        ring = create_keyring(path, key_id)
    except FileExistsError:
        _refuse(f"{path} is there already; s3front keys rotate makes a new key in it")
    except OSError as error:
        exit_with_problem(cli.PROGRAM, error, ATTENTION_EXIT)
    typer.echo(f"made {path}, with the master key {ring.current}")
    typer.echo(_ADVICE)


@app.command()
def add(key_id: NewId = None) -> None:
    """Make one more master key, which is not the current one: for all hosts to have it first."""
    _check_id(key_id)
    with _changed() as (ring, put):
        key = new_master_key(key_id)
        if key.id in ring.keys:
            _refuse(f"there is a key {key.id} already")
        put(ring.with_key(key))
    typer.echo(f"made the master key {key.id}; s3front keys rotate --to {key.id} begins to use it")


@app.command(name="list")
def list_keys(
    count: Annotated[
        bool, typer.Option("--count", help="Read all records, and count those of each key.")
    ] = False,
    json: Json = False,
) -> None:
    """Show the keys of the key file, how far a rotation has come, and what is missing.

    Exit code 1: keys were used that are not there.
    """
    config = _configured()
    ring = _read(config)
    rows = [] if ring is None else [row_of(ring, key) for key in ring.keys.values()]
    if not json:
        if ring is None:
            typer.echo(f"there is no key file {_path(config)}: s3front keys create makes it")
        for row in rows:
            print_row(row)
    found = asyncio.run(_asked(config, count))
    if json:
        print_json({"keys": rows, **found})
    else:
        print_found(found)
    raise typer.Exit(ATTENTION_EXIT if found["missing"] else 0)


@app.command()
def look(json: Json = False) -> None:
    """Ask all keepers of master keys that are configured whether they can be used.

    Exit code 1: one of them cannot be.
    """
    config = _configured()
    found = asyncio.run(_look_at_all(config))
    if json:
        print_json(found)
    else:
        for name, reason in found["keepers"].items():
            current = "current" if name == found["current"] else ""
            typer.echo(printable(f"{name:<10}{current:<10}{reason or 'ok'}"))
    well = all(reason is None for reason in found["keepers"].values())
    raise typer.Exit(0 if well else ATTENTION_EXIT)


@app.command()
def use(key_id: KeyId) -> None:
    """Give new objects their keys from another master key of the file. Nothing else changes."""
    with _changed() as (ring, put):
        key = _known(ring, key_id)
        if key.state != "enabled":
            _refuse(f"the key {key_id} is {key.state}")
        put(replace(ring, current=key_id))
    typer.echo(f"the current master key is {key_id}")


@app.command()
def rotate(
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="ID", help="A key that is there; by default one is made."),
    ] = None,
) -> None:
    """Have a new current master key, and retire the one before.

    Background work (`s3front work`) then wraps the keys of all objects under the old one anew; no
    object is stored again. `s3front keys list` says how far that is; then `s3front keys remove` may
    take the old one out.
    """
    if _is_at_service(config := _configured()):
        if to is not None:
            _refuse("which key is current the configuration of the service says, and not --to")
        _at_service(config, key_service_commands.rotate)
        return
    with _changed() as (ring, put):
        old = ring.current
        key = new_master_key() if to is None else _known(ring, to)
        if key.id == old:
            _refuse(f"{old} is the current key")
        if key.state != "enabled":
            _refuse(f"the key {key.id} is {key.state}")
        put(retired(replace(ring.with_key(key), current=key.id), old))
    typer.echo(f"the current master key is {key.id}; {old} is retired")
    typer.echo(_ADVICE)


@app.command()
def retire(
    key_id: Annotated[
        str, typer.Argument(metavar="NAME", help="The key, as records name it: vault:twofold:v1")
    ],
) -> None:
    """Have what is under a key of a key service wrapped anew, under the current one.

    Keys of the key file are retired by `s3front keys rotate`.
    """
    _at_service(_configured(), key_service_commands.retire, key_id)


@app.command()
def disable(key_id: KeyId) -> None:
    """Let a key do nothing: what it protects cannot be read until it is enabled again."""
    _set_state(key_id, disabled)


@app.command()
def enable(key_id: KeyId) -> None:
    """Let a key be used that was disabled."""
    _set_state(key_id, enabled)


@app.command()
def remove(
    key_id: KeyId,
    force: Annotated[
        bool,
        typer.Option("--force", help="Whatever names it: what does can never be read again."),
    ] = False,
) -> None:
    """Take the secret of a key out of the file. All records are read, and none may name it.

    Of a retired key the name stays, and means the key that has replaced it. Of a key of a service
    (`vault:twofold:v1`) it is said that it may be disabled there. What --force has removed is
    missing, for `s3front keys list`, until this is called again when nothing needs it.
    """
    config = _configured()
    if ":" in key_id:
        cache = min(config.keepers().encryption.cache_seconds, CACHE_SECONDS_MAX)
        wait = config.gc_grace_seconds + cache
        _at_service(config, key_service_commands.forget, key_id, _count, wait)
        return
    key = _known(_there(_read(config), config), key_id)
    was_removed = key.state == "removed"
    if was_removed and not asyncio.run(ask_metadata(config, partial(_is_noted, key))):
        _refuse(f"the key {key_id} was removed already")
    needed = None if force else _needed(config, key)
    if needed is not None:
        _refuse(needed)
    if not was_removed:
        with _changed() as (ring, put):
            if key_id == ring.current:
                _refuse(f"{key_id} is the current key; s3front keys rotate makes another one")
            if _known(ring, key_id) != key:
                _refuse(f"somebody else has changed the key {key_id}")
            put(removed(ring, key_id))
    if force:
        typer.echo(f"removed the secret of {key_id}")
        if (needed := _needed(config, key)) is not None:
            typer.echo(f"it is missing from now on: {needed}")
            return
    asyncio.run(ask_metadata(config, lambda metadata: UsedKeys(metadata).forget(_full(key_id))))
    typer.echo(f"removed the secret of {key_id}, which no record names")


# --- What they do --------------------------------------------------------------------------------


def _needed(config: Config, key: MasterKey) -> str | None:
    """Why something may still name a key; None when nothing can."""
    if key.state == "enabled":
        return f"the key {key.id} is in use; s3front keys rotate retires the current one"
    grace = config.gc_grace_seconds
    if too_early(key.given_until, grace):
        return (
            f"the key {key.id} was {key.state} less than {grace} s ago (gcGraceSeconds), or nobody "
            "has noted when: a request that began before may still name it"
        )
    return named_by(asyncio.run(ask_metadata(config, _count)), _full(key.id))


async def _is_noted(key: MasterKey, metadata: MetadataGateway) -> bool:
    return _full(key.id) in await UsedKeys(metadata).every()


async def _count(metadata: MetadataGateway) -> KeyUsage:
    shows = sys.stderr.isatty()

    def progress(records: int) -> None:
        if shows:
            typer.echo(f"\r{records:,} records", nl=False, err=True)

    try:
        return await count_keys(metadata, progress)
    finally:
        if shows:
            typer.echo(err=True)


async def _asked(config: Config, count: bool) -> dict[str, Any]:
    """What the metadata know of keys."""
    chain = _chain(config)

    async def ask(metadata: MetadataGateway) -> dict[str, Any]:
        used = UsedKeys(metadata)
        found: dict[str, Any] = {
            "used": sorted(await used.every()),
            "missing": sorted(await missing_keys(used, chain.keys.keepers)),
            "rotation": await _document(metadata, ROTATION),
            "retired": list(await RetiredKeys(metadata).every()),
        }
        if count:
            usage = await _count(metadata)
            found["records"] = dict(sorted(usage.records_by_key.items()))
            found["unreadable"] = usage.unreadable
        return found

    try:
        return await ask_metadata(config, ask)
    finally:
        await chain.close()


async def _document(metadata: MetadataGateway, key: str) -> dict[str, Any] | None:
    (found,) = await metadata.get_each([(KEY_JOBS, key)], "keys")
    return None if found is None else found.document


def _is_at_service(config: Config) -> bool:
    return config.keepers().current not in (_FILE, "mem")


def _at_service(config: Config, command: Callable[..., Awaitable[str]], *more: Any) -> None:
    """Do something that takes the keepers and the metadata, and print what it says."""

    async def ask() -> str:
        configure_logging(cli.PROGRAM, "fatal", sys.stderr.buffer)
        chain = _chain(config)

        async def told(metadata: MetadataGateway) -> str:
            try:
                return await command(chain.keys, metadata, *more)
            except KeeperError as error:
                _refuse(error.reason or error.message)
            except key_service_commands.RefusedError as error:
                _refuse(str(error))

        try:
            return await ask_metadata(config, told)
        finally:
            await chain.close()

    typer.echo(printable(asyncio.run(ask())))


async def _create_elsewhere(config: Config, description: str) -> str:
    configure_logging(cli.PROGRAM, "fatal", sys.stderr.buffer)
    chain = _chain(config)
    try:
        return await key_service_commands.create(chain.keys, description)
    except S3Error as error:
        _refuse(str(error.__cause__ or error))
    finally:
        await chain.close()


async def _look_at_all(config: Config) -> dict[str, Any]:
    configure_logging(cli.PROGRAM, "fatal", sys.stderr.buffer)
    chain = _chain(config)
    keepers = chain.keys.keepers
    try:
        reasons = await asyncio.gather(*(keeper.look() for keeper in keepers.values()))
    finally:
        await chain.close()
    return {
        "current": config.keepers().current,
        "keepers": dict(zip(keepers, reasons, strict=True)),
    }


def _chain(config: Config) -> Keychain:
    try:
        return Keychain(config.keepers(), get_logger(), outbound=outbound(config))
    except ConfigError as error:
        exit_with_problem(cli.PROGRAM, error, CANNOT_ASK_EXIT)


def _set_state(key_id: str, change: Callable[[Keyring, str], Keyring]) -> None:
    with _changed() as (ring, put):
        key = _known(ring, key_id)
        if key_id == ring.current:
            _refuse(f"{key_id} is the current key; s3front keys use chooses another one")
        if key.state in ("retired", "removed"):
            _refuse(f"the key {key_id} is {key.state}")
        changed = change(ring, key_id)
        put(changed)
    typer.echo(f"the key {key_id} is {changed.keys[key_id].state}")


# --- The file ------------------------------------------------------------------------------------


@contextmanager
def _changed() -> Iterator[tuple[Keyring, Callable[[Keyring], None]]]:
    """The keys of the file, and what puts others there, while nobody else changes it."""
    config = _configured()
    path = _path(config)
    try:
        if not path.parent.is_dir():
            _there(None, config)
        with locked(path):
            yield _there(_read(config), config), lambda ring: replace_keyring(path, ring)
    except OSError as error:
        exit_with_problem(cli.PROGRAM, error, ATTENTION_EXIT)


def _read(config: Config) -> Keyring | None:
    try:
        return read_keyring(_path(config))
    except ConfigError as error:
        exit_with_problem(cli.PROGRAM, error, CANNOT_ASK_EXIT)


def _there(ring: Keyring | None, config: Config) -> Keyring:
    if ring is None:
        _refuse(f"there is no key file {_path(config)}: s3front keys create makes it")
    return ring


def _known(ring: Keyring, key_id: str) -> MasterKey:
    key = ring.keys.get(key_id)
    if key is None:
        _refuse(f"there is no key {key_id}")
    return key


def _path(config: Config) -> Path:
    return config.keepers().encryption.keyring_file


def _configured() -> Config:
    try:
        config = load_config()
        config.keepers()
    except (ConfigError, OSError) as error:
        exit_with_problem(cli.PROGRAM, error, CANNOT_ASK_EXIT)
    return config


def _check_id(key_id: str | None) -> None:
    if key_id is not None and not is_key_id(key_id):
        raise typer.BadParameter("1 to 64 of the characters a-z A-Z 0-9 . _ -", param_hint="--id")


def _refuse(reason: str) -> NoReturn:
    exit_with_problem(cli.PROGRAM, reason, ATTENTION_EXIT)


def _full(key_id: str) -> str:
    """The name of a key in records."""
    return f"{_FILE}:{key_id}"
