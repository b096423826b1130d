"""Which proxy a cloud is reached through, and by how many connections."""

from __future__ import annotations

import pytest

from s3front.locations.origin import Pool, Proxy
from s3front.locations.outbound import Outbound, outbound
from shared.config import ConfigError
from tests.unit.shared.config.conftest import Installation


def load(
    installation: Installation, document: dict[str, object], environ: dict[str, str]
) -> Outbound:
    installation.write("config.json", document)
    return outbound(installation.load(environ), environ)


def test_without_any(installation: Installation) -> None:
    found = load(installation, {"outboundProxy": {}}, {})
    assert found.proxy("s3.amazonaws.com", 443, tls=True) is None
    assert found.pool("aws_s3") == Pool(256, None, 1)


def test_one_of_the_file_and_those_of_the_environment(installation: Installation) -> None:
    document: dict[str, object] = {"outboundProxy": {"url": "http://proxy.lan:3128"}}
    found = load(installation, document, {})
    assert found.proxy("s3.amazonaws.com", 443, tls=True) == Proxy("proxy.lan", 3128)
    assert found.proxy("s3.amazonaws.com", 80, tls=False) == Proxy("proxy.lan", 3128)
    environ = {"HTTPS_PROXY": "http://us%40er:pass%3Aw@other.lan", "http_proxy": "third.lan:99"}
    found = load(installation, document, environ)
    secure = found.proxy("s3.amazonaws.com", 443, tls=True)
    assert secure == Proxy("other.lan", 80, None, "Basic dXNAZXI6cGFzczp3")
    assert "dXNAZXI6" not in repr(secure)
    assert found.proxy("s3.amazonaws.com", 80, tls=False) == Proxy("third.lan", 99)


@pytest.mark.parametrize(
    ("exempt", "host", "is_exempt"),
    [
        ("", "localhost", True),
        ("", "127.0.0.9", True),
        ("", "s3.lan", False),
        ("s3.lan", "s3.lan", True),
        ("lan", "s3.lan", True),
        (".lan", "s3.lan", True),
        ("*.lan", "s3.lan", True),
        ("an", "s3.lan", False),
        ("other, S3.lan", "s3.LAN", True),
        ("s3.lan:443", "s3.lan", True),
        ("s3.lan:8443", "s3.lan", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("[fd00::1]:443", "fd00::1", True),
        ("fd00::/16", "fd00::7", True),
        ("*", "s3.lan", True),
    ],
)
def test_hosts_without_a_proxy(
    installation: Installation, exempt: str, host: str, is_exempt: bool
) -> None:
    environ = {"HTTPS_PROXY": "http://proxy.lan", "NO_PROXY": exempt}
    found = load(installation, {}, environ)
    assert (found.proxy(host, 443, tls=True) is None) == is_exempt


def test_connections(installation: Installation) -> None:
    agent = {"keepAlive": True, "keepAliveMsecs": 5000, "maxFreeSockets": 3, "maxSockets": 9}
    document: dict[str, object] = {"externalBackends": {"aws_s3": {"httpAgent": agent}}}
    assert load(installation, document, {}).pool("aws_s3") == Pool(3, 9, 5)
    assert load(installation, document, {}).pool("gcp") == Pool(256, None, 1)
    environ = {"AWS_S3_HTTPAGENT_KEEPALIVE": "false", "GCP_HTTPAGENT_KEEPALIVE_MAX_SOCKETS": "7"}
    assert load(installation, document, environ).pool("aws_s3") == Pool(0, 9, None)
    assert load(installation, document, environ).pool("gcp") == Pool(256, 7, 1)


@pytest.mark.parametrize(
    ("document", "environ", "message"),
    [
        (
            {"outboundProxy": {"url": "proxy.lan:3128"}},
            {},
            "config.json: outboundProxy.url: is not of the form http://host:port, or",
        ),
        (
            {"outboundProxy": {"url": "http://u:s+cret@proxy.lan:x"}},
            {},
            "config.json: outboundProxy.url: 'x' is not a port",
        ),
        (
            {"outboundProxy": {"url": "https://proxy.lan", "key": "k"}},
            {},
            "config.json: outboundProxy: needs both key and cert",
        ),
        (
            {"outboundProxy": {"url": "https://proxy.lan", "caBundle": "none.pem"}},
            {},
            "config.json: outboundProxy.caBundle: ",
        ),
        ({}, {"HTTPS_PROXY": "socks5://x"}, "environment: HTTPS_PROXY: is not of the form"),
        (
            {},
            {"HTTPS_PROXY": "https://x", "HTTPS_PROXY_CERTIFICATE": "none.pem"},
            "environment: HTTPS_PROXY_CERTIFICATE: ",
        ),
        (
            {"externalBackends": {"azure": {}}},
            {},
            "config.json: externalBackends.azure: unknown key",
        ),
        ({}, {"GCP_HTTPAGENT_KEEPALIVE_MS": "0"}, "environment: GCP_HTTPAGENT_KEEPALIVE_MS: '0'"),
    ],
)
def test_what_is_wrong_is_said(
    installation: Installation, document: dict[str, object], environ: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(installation, document, environ)
    assert message in str(caught.value)
    assert "s+cret" not in str(caught.value)
