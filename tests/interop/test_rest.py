"""The debugging interface: calls as HTTP requests (reference/dmd-wire.md, section 10)."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from dmd.errors import StartupError
from dmd.metadata.daemon import MetadataDaemon, MetadataSettings
from dmd.metadata.engines.base import EngineFatalError
from shared.rpc.streams import StreamSettings
from tests.interop.daemons import metadata_process
from tests.servers import free_port
from tests.unit.dmd.metadata.support import RecordingLog

METADATA = "/MDFile/metadata"
LOG = "/MDFile/recordLog"


class Rest:
    """Requests to the interface of one daemon."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def post(self, body: Any, path: str = METADATA) -> requests.Response:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return requests.post(self.url + path, data=data, timeout=20)

    def call(self, name: str, arguments: list[Any], sub: list[str]) -> str:
        """The body that answers a call."""
        response = self.post({"call": name, "args": {"rpcArgs": arguments, "subLevel": sub}})
        assert response.status_code == 200
        return response.text


@pytest.fixture(scope="module")
def rest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rest]:
    port = free_port()
    folder = tmp_path_factory.mktemp("rest")
    with metadata_process(folder, {"enabled": True}, restEnabled=True, restPort=port):
        yield Rest(port)


def test_a_call_answers_with_its_result(rest: Rest, sub: list[str]) -> None:
    assert rest.call("put", ["k", '{"a":1}', {}], sub) == '{"result":null}\n'
    assert rest.call("get", ["k", {}], sub) == '{"result":"{\\"a\\":1}"}\n'


def test_a_stream_is_an_array(rest: Rest, sub: list[str]) -> None:
    assert rest.call("createReadStream", [{}], sub) == '{"result":[]}\n'
    operations = [
        {"type": "put", "subLevel": sub, "key": f"{number:04}", "value": "v"}
        for number in range(1000)
    ]
    rest.call("batch", [operations], [])
    assert rest.call("createReadStream", [{"limit": 1}], sub) == (
        '{"result":[{"key":"0000","value":"v"}]}\n'
    )
    streamed = json.loads(rest.call("createReadStream", [{"values": False}], sub))
    assert streamed["result"] == [operation["key"] for operation in operations]


def test_the_record_log_has_its_array_within(rest: Rest, sub: list[str]) -> None:
    rest.call("put", ["k", "{}", {}], sub)
    whole = rest.post(
        {"call": "readRecords", "args": {"rpcArgs": [{}], "logName": "s3-recordlog"}}, LOG
    )
    result = whole.json()["result"]
    assert result["info"]["end"] == len(result["log"])
    assert result["log"][-1]["db"] == sub[0]
    empty = rest.post({"call": "readRecords", "args": {"rpcArgs": [], "logName": "none"}}, LOG)
    assert empty.text == '{"result":{"info":{"start":null,"end":null},"log":[]}}\n'


@pytest.mark.parametrize(
    ("path", "body", "status", "expected"),
    [
        (
            METADATA,
            {"call": "get", "args": {"subLevel": ["none"], "rpcArgs": ["k", {}]}},
            404,
            {"error": "ObjNotFound", "message": "This object does not exist"},
        ),
        (
            METADATA,
            {"args": {}},
            400,
            {"error": "InvalidArgument", "message": 'missing "call" JSON attribute'},
        ),
        (
            "/other",
            {"call": "get"},
            400,
            {"error": "InvalidArgument", "message": "unknown service in URL /other"},
        ),
        (
            METADATA,
            b"",
            400,
            {"error": "MissingRequestBodyError", "message": "Request Body is empty"},
        ),
        (
            METADATA,
            b"{",
            400,
            {"error": "InvalidArgument", "message": "the request body is not JSON"},
        ),
        (
            METADATA,
            [],
            400,
            {"error": "InvalidArgument", "message": "the request body is not a JSON object"},
        ),
        (
            METADATA,
            {"call": "getManifest", "args": {"rpcArgs": []}},
            400,
            {"error": "InvalidArgument", "message": "subLevel must be an array of strings"},
        ),
        (
            METADATA,
            {"call": "getUUID"},
            400,
            {"error": "InvalidArgument", "message": "rpcArgs must be an array"},
        ),
    ],
)
def test_errors_have_a_status_a_name_and_a_text(
    rest: Rest, path: str, body: Any, status: int, expected: dict[str, str]
) -> None:
    response = rest.post(body, path)
    assert response.status_code == status
    assert response.text == json.dumps(expected, separators=(",", ":")) + "\n"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_posts_are_served(rest: Rest, method: str) -> None:
    response = requests.request(method, rest.url + METADATA, timeout=20)
    assert (response.status_code, response.json()["error"]) == (405, "MethodNotAllowed")


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = MetadataSettings(None, "127.0.0.1", 0, StreamSettings(), rest_port=port)
        with pytest.raises(StartupError, match=f"cannot listen on 127.0.0.1:{port}"):
            await MetadataDaemon.start(
                settings, RecordingLog(), lambda error: pytest.fail(str(error))
            )


async def test_without_the_setting_there_is_no_interface() -> None:
    settings = MetadataSettings(None, "127.0.0.1", 0, StreamSettings())
    daemon = await MetadataDaemon.start(settings, RecordingLog(), _unexpected)
    assert daemon.rest_port is None
    await daemon.close()


def _unexpected(error: EngineFatalError) -> None:
    raise AssertionError(error)
