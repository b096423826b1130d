"""Versions over the wire, as the Socket.IO clients of others see them: the manual's 7.1.3 and the
cases that were seen on the original (reference/dmd-wire.md, section 6)."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.interop.raw_client import RawClient
from tests.interop.stock_clients import StockClient

INFINITE = "99999999999999999999RG001  "
EARLIER = "98204666944465999998RG001  "
LATER = "98204666944465999990RG001  "


async def put(
    client: StockClient, sub: list[str], value: str, options: dict[str, Any], key: str = "k"
) -> str:
    """Put a version; its ID, out of the text of the answer."""
    answer = await client.result("put", [key, value, options], sub)
    version_id: str = json.loads(answer)["versionId"]
    assert answer == f'{{"versionId":"{version_id}"}}'
    return version_id


async def rows(client: StockClient, sub: list[str]) -> dict[str, str]:
    """All keys and values of a sub-level."""
    return {item["key"]: item["value"] for item in await client.items({}, sub)}


async def test_versions_of_one_object_are_kept_and_listed(
    client: StockClient, sub: list[str]
) -> None:
    first = await put(client, sub, '{"n":1}', {"versioning": True})
    second = await put(client, sub, '{"n":2}', {"versioning": ""})
    assert second < first
    assert await client.items({}, sub) == [
        {"key": "k", "value": f'{{"n":2,"versionId":"{second}"}}'},
        {"key": f"k\0{second}", "value": f'{{"n":2,"versionId":"{second}"}}'},
        {"key": f"k\0{first}", "value": f'{{"n":1,"versionId":"{first}"}}'},
    ]
    assert await client.result("get", ["k", {"versionId": first}], sub) == (
        f'{{"n":1,"versionId":"{first}"}}'
    )


async def test_the_version_before_is_the_master_after_a_deletion(
    client: StockClient, sub: list[str]
) -> None:
    first = await put(client, sub, '{"n":1}', {"versioning": True})
    second = await put(client, sub, '{"n":2}', {"versioning": True})
    assert await client.result("del", ["k", {"versionId": second}], sub) == (
        f'{{"versionId":"{second}"}}'
    )
    value = f'{{"n":1,"versionId":"{first}"}}'
    assert await rows(client, sub) == {"k": value, f"k\0{first}": value}
    await client.result("del", ["k", {"versionId": first}], sub)
    assert await rows(client, sub) == {}
    assert (await client.error("get", ["k", {}], sub))["type"] == "ObjNotFound"


async def test_a_suspended_bucket_has_its_null_version_in_the_master(
    client: StockClient, sub: list[str]
) -> None:
    first = await put(client, sub, '{"isNull":true}', {"versionId": ""})
    second = await put(client, sub, '{"isNull":true}', {"versionId": ""})
    assert second < first
    assert await rows(client, sub) == {"k": f'{{"isNull":true,"versionId":"{second}"}}'}


async def test_a_null_version_is_preserved_as_the_manual_has_it(
    client: StockClient, sub: list[str]
) -> None:
    # The manual's 7.1.4, case 3: (3A), (3B), (4A), (4B).
    null = await put(client, sub, '{"v":"B","isNull":true}', {"versionId": ""})
    master = await client.result("get", ["k", {}], sub)
    await put(client, sub, master, {"versionId": null})
    assert await rows(client, sub) == {"k": master, f"k\0{null}": master}
    value = json.dumps({"v": "C", "nullVersionId": null})
    second = await put(client, sub, value, {"versioning": True})
    assert set(await rows(client, sub)) == {"k", f"k\0{null}", f"k\0{second}"}
    await client.result("del", ["k", {"versionId": null}], sub)
    assert set(await rows(client, sub)) == {"k", f"k\0{second}"}
    third = await put(client, sub, '{"v":"D","isNull":true}', {"versionId": ""})
    found = await rows(client, sub)
    assert set(found) == {"k", f"k\0{second}"}
    assert json.loads(found["k"]) == {"v": "D", "isNull": True, "versionId": third}


async def test_a_legacy_put_on_a_record_without_versions(
    client: StockClient, sub: list[str]
) -> None:
    await client.result("put", ["p", '{"n":0}', {}], sub)
    assert await put(client, sub, '{"n":1}', {"versionId": LATER}, key="p") == LATER
    assert await rows(client, sub) == {
        "p": f'{{"n":1,"nullVersionId":"{INFINITE}"}}',
        f"p\0{LATER}": '{"n":1}',
        f"p\0{INFINITE}": f'{{"n":0,"versionId":"{INFINITE}","isNull":true}}',
    }


async def test_a_put_with_null_keys_on_a_record_without_versions(
    client: StockClient, sub: list[str]
) -> None:
    await client.result("put", ["q", '{"n":0}', {}], sub)
    await put(client, sub, '{"n":1}', {"versionId": LATER, "isNull": False}, key="q")
    null = await client.result("get", ["q", {"versionId": "null"}], sub)
    assert json.loads(null) == {
        "n": 0,
        "versionId": INFINITE,
        "isNull": True,
        "isNull2": True,
    }
    assert set(await rows(client, sub)) == {"q", "q\0", f"q\0{LATER}"}
    assert await client.result("del", ["q", {"versionId": "null"}], sub) == ('{"versionId":"null"}')
    assert set(await rows(client, sub)) == {"q", f"q\0{LATER}"}


async def test_an_older_version_from_elsewhere_leaves_the_master(
    client: StockClient, sub: list[str]
) -> None:
    await put(client, sub, f'{{"versionId":"{LATER}"}}', {"versionId": LATER})
    await put(client, sub, f'{{"versionId":"{EARLIER}"}}', {"versionId": EARLIER})
    assert await client.result("get", ["k", {}], sub) == f'{{"versionId":"{LATER}"}}'
    assert set(await rows(client, sub)) == {"k", f"k\0{LATER}", f"k\0{EARLIER}"}


async def test_a_placeholder_of_a_foreign_daemon_is_repaired_when_it_is_read(
    client: StockClient, sub: list[str]
) -> None:
    await client.result("put", [f"k\0{EARLIER}", '{"n":1}', {}], sub)
    placeholder = f'{{ "isPHD": true, "versionId": "{LATER}" }}'
    await client.result("put", ["k", placeholder, {}], sub)
    assert (await rows(client, sub))["k"] == placeholder
    assert await client.result("get", ["k", {}], sub) == '{"n":1}'
    assert await rows(client, sub) == {"k": '{"n":1}', f"k\0{EARLIER}": '{"n":1}'}


async def test_a_batch_answers_with_version_ids(client: StockClient, sub: list[str]) -> None:
    operations = [
        {
            "type": "put",
            "subLevel": sub,
            "key": "k",
            "value": "{}",
            "options": {"versioning": True},
        },
        {"type": "put", "subLevel": sub, "key": "plain", "value": "{}"},
    ]
    requires = [{"subLevel": sub, "key": "k", "absent": True}]
    result = await client.result("batch", [operations, {"requires": requires}], [])
    made, none = result["versionIds"]
    assert none is None
    assert set(await rows(client, sub)) == {"k", f"k\0{made}", "plain"}


async def test_the_frame_that_answers_a_new_version(raw: RawClient, sub: list[str]) -> None:
    await raw.call(3, "put", ["k", '{"x":1}', {"versioning": True}], sub)
    frame = (await raw.next()).removeprefix("43/MDFile/metadata,3")
    assert re.fullmatch(r'\[null,"\{\\"versionId\\":\\"\d{20}RG001  \d+\\"\}"\]', frame)


async def test_the_frames_that_answer_known_versions(raw: RawClient, sub: list[str]) -> None:
    await raw.call(1, "put", ["k", "{}", {"versionId": EARLIER}], sub)
    answer = f'1[null,"{{\\"versionId\\":\\"{EARLIER}\\"}}"]'
    assert await raw.next() == f"43/MDFile/metadata,{answer}"
    await raw.call(2, "del", ["k", {"versionId": "null"}], sub)
    assert await raw.next() == '43/MDFile/metadata,2[null,"{\\"versionId\\":\\"null\\"}"]'
    await raw.call(3, "get", ["k", {"versionId": LATER}], sub)
    assert await raw.next() == (
        '43/MDFile/metadata,3[{"is_arsenal_error":true,"code":404,'
        '"description":"This object does not exist","type":"ObjNotFound"}]'
    )


async def test_a_short_list_of_arguments_is_refused(raw: RawClient, sub: list[str]) -> None:
    short: list[list[Any]] = [[], ["k"], ["k", None, {"versioning": True}]]
    for number, arguments in enumerate(short):
        await raw.call(number, "put", arguments, sub)
        assert '"type":"InvalidArgument"' in await raw.next()
