"""How ``s3front keys list`` shows keys, and how far a rotation is."""

from __future__ import annotations

from typing import Any

import typer

from s3front.keys.keyring_file import Keyring, MasterKey
from shared.process.readable_log import printable


def row_of(ring: Keyring, key: MasterKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "current": key.id == ring.current,
        "state": key.state,
        "created": key.created,
        "retired": key.retired,
        "disabled": key.disabled,
        "replacedBy": key.replaced_by,
    }


def print_row(row: dict[str, Any]) -> None:
    mark = "current" if row["current"] else row["state"]
    line = f"{row['id']:<24}{mark:<10}{row['created']}"
    if row["replacedBy"]:
        line += f"  replaced by {row['replacedBy']}"
    typer.echo(printable(line))


def print_found(found: dict[str, Any]) -> None:
    for key, records in found.get("records", {}).items():
        typer.echo(printable(f"records under {key}: {records:,}"))
    if found.get("unreadable"):
        typer.echo(f"records that cannot be read: {found['unreadable']:,}")
    for key in found["retired"]:
        typer.echo(printable(f"retired: {key}"))
    if rotation := found["rotation"]:
        typer.echo(printable(f"rotation: {rotation_line(rotation)}"))
    for key in found["missing"]:
        typer.echo(printable(f"MISSING: {key}: what it protects cannot be read"))


def rotation_line(rotation: dict[str, Any]) -> str:
    """How far it has come, in words."""
    counts = (
        f"{rotation.get('rewrapped', 0):,} of {rotation.get('records', 0):,} records re-wrapped"
    )
    if failed := rotation.get("failed"):
        counts += f", {failed:,} failed (see s3front work status)"
    if rotation.get("finished"):
        return f"{counts}, finished {rotation['finished']}"
    return f"{counts}, at {rotation.get('bucket') or 'the first bucket'}"
