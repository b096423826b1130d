"""What is said to whoever has started the server."""

from __future__ import annotations

import pytest

from s3front.process.greeting import greeting
from shared.config import load_accounts, load_config
from tests.servers import REPOSITORY


def greeted(**environ: str) -> str:
    config = load_config(environ=environ, directory=REPOSITORY)
    return greeting(config, load_accounts(config))


def test_the_stock_configuration() -> None:
    assert greeted().splitlines() == [
        "Twofold serves S3 on http://localhost:8000 "
        "(access key accessKey1, its secret is in conf/authdata.json)",
        "Its names: localhost, 127.0.0.1, s3.docker.test, cloudserver-front, lb "
        "(more: ENDPOINT=nas.lan), and every IP address",
    ]


@pytest.mark.parametrize(
    ("host", "url"), [("10.0.0.1", "10.0.0.1"), ("::1", "[::1]"), ("::", "localhost")]
)
def test_the_address(host: str, url: str) -> None:
    assert f" http://{url}:8001 " in greeted(S3_HOST=host, S3_PORT="8001")


def test_the_names_that_were_added() -> None:
    text = greeted(ENDPOINT="*.nas.lan")
    assert "lb, nas.lan (more" in text
    many = greeted(ENDPOINT=",".join(f"s{number}.lan" for number in range(20)))
    assert "s2.lan and 17 more (more" in many


def test_no_secret_is_said() -> None:
    text = greeted(SCALITY_ACCESS_KEY_ID="myKey", SCALITY_SECRET_ACCESS_KEY="mySecret")
    assert "(access key myKey)" in text
    assert "mySecret" not in text
