"""The administrative calls: which requests are such, and what they do."""

from __future__ import annotations

import uuid

import pytest

from dmd.data.administration import Command, administer, parse_command
from dmd.data.base import BlobNotFoundError
from dmd.data.errors import DataError
from dmd.data.memory_store import MemoryStore
from tests.unit.dmd.data.harness import put

KEY = "0123456789abcdef0123456789abcdef01234567"
OWNER = str(uuid.UUID(int=7))


@pytest.mark.parametrize(
    ("method", "target", "command"),
    [
        ("GET", "/DataFile?inventory", Command("GET", "inventory")),
        (
            "GET",
            "/DataFile?inventory&cursor=p1-20&count=7",
            Command("GET", "inventory", parameters={"cursor": "p1-20", "count": "7"}),
        ),
        ("GET", "/DataFile/?owners", Command("GET", "owners")),
        ("GET", "/DataFile?packed", Command("GET", "packed")),
        ("GET", "/DataFile?files", Command("GET", "files")),
        ("POST", f"/DataFile?adopt={OWNER}", Command("POST", "adopt", value=OWNER)),
        ("POST", f"/DataFile/{KEY}?quarantine", Command("POST", "quarantine", KEY)),
        ("POST", f"/DataFile/{KEY}?purge", Command("POST", "purge", KEY)),
    ],
)
def test_commands(method: str, target: str, command: Command) -> None:
    assert parse_command(method, target) == command


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/DataFile"),
        ("GET", "/DataFile?"),
        ("GET", "/DataFile?diskUsage"),
        ("GET", "/DataFile?other"),
        ("POST", "/DataFile?inventory"),
        ("PUT", "/DataFile?reclaim"),
        ("HEAD", "/DataFile?owners"),
        ("POST", "/DataFile?purge"),
        ("POST", f"/DataFile/{KEY}"),
        ("POST", f"/DataFile/{KEY}?reclaim"),
        ("POST", f"/DataFile/{KEY.upper()}?purge"),
        ("POST", "/DataFile/../lock?purge"),
        ("POST", f"/Other/{KEY}?purge"),
        ("POST", f"/DataFile{KEY}?purge"),
        ("POST", f"/DataFile//{KEY}?purge"),
        ("POST", f"/{KEY}?purge"),
    ],
)
def test_what_is_no_command(method: str, target: str) -> None:
    assert parse_command(method, target) is None


@pytest.mark.parametrize(
    "command",
    [
        Command("GET", "inventory", parameters={"count": "0"}),
        Command("GET", "inventory", parameters={"count": "10001"}),
        Command("GET", "inventory", parameters={"count": "²"}),
        Command("POST", "adopt"),
        Command("POST", "adopt", value="../x"),
    ],
)
async def test_bad_arguments(command: Command) -> None:
    with pytest.raises(DataError) as refused:
        await administer(MemoryStore(), command)
    assert refused.value.code == "InvalidInput"


async def test_a_blob_on_its_way_out() -> None:
    store = MemoryStore()
    key = await put(store, b"bytes")

    async def quarantined() -> list[bool]:
        page = (await administer(store, Command("GET", "inventory"))).document
        assert page["cursor"] is None
        assert all(blob[:2] == [key, 5] and blob[2] <= page["now"] for blob in page["blobs"])
        return [blob[3] for blob in page["blobs"]]

    with pytest.raises(BlobNotFoundError):
        await administer(store, Command("POST", "purge", key))
    assert await quarantined() == [False]
    for name, expected in (("quarantine", [True]), ("restore", [False]), ("quarantine", [True])):
        assert (await administer(store, Command("POST", name, key))).status == 204
        assert await quarantined() == expected
    assert (await administer(store, Command("POST", "purge", key))).status == 204
    assert await quarantined() == []


async def test_owners() -> None:
    store = MemoryStore()
    await administer(store, Command("POST", "adopt", value=OWNER.upper()))
    found = await administer(store, Command("GET", "owners"))
    assert (found.status, found.document) == (200, {"owners": [OWNER]})
    await administer(store, Command("POST", "disown", value=OWNER))
    assert (await administer(store, Command("GET", "owners"))).document == {"owners": []}
