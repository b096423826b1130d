"""TLS and the shared secret on all ports, with real processes from end to end."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import trustme
from boto3.s3.transfer import TransferConfig

from shared.daemon_secret import REFUSAL
from tests.api.installation import Installation
from tests.api.support import code_of, new_name
from tests.clients_boto3 import s3_client
from tests.raw_http import Connection, anonymous, call, sign
from tests.servers import Front, Process, Tls, make_tls, wait_for

SECRET, OTHER = "secret-of-the-daemons", "another-secret-of-theirs"
MIB = 1024 * 1024
HANDSHAKE_SECONDS = 20.0
ABSENT = "/DataFile/" + "0" * 40
PORTS = ["port", "metadata_port", "data_port"]
NAMESPACE = "/MDFile/metadata"


@dataclass
class Secured:
    """An installation whose processes log all that they can."""

    installation: Installation
    dmd: Process | None = None
    front: Front | None = None

    def output(self) -> str:
        return "".join(process.output for process in self.installation._started)

    def assert_quiet(self) -> None:
        """No process has written a secret, a traceback or an error."""
        for line in self.output().splitlines():
            assert SECRET not in line
            assert OTHER not in line
            assert "Traceback" not in line
            assert '"level":"error"' not in line

    def health(self) -> tuple[int, str | None]:
        """Status and reason of the front-end's health check."""
        assert self.front is not None
        response = anonymous(self.front, "GET", "/_/healthcheck")
        return response.status, json.loads(response.body)["metadata"].get("reason")

    def hang_up(self, process: Process, event: str, count: int = 1) -> None:
        """SIGHUP; waits until so many children have said what came of it."""
        before = process.output.count(event)
        os.kill(process.pid, signal.SIGHUP)
        wait_for(lambda: process.output.count(event) >= before + count, event)


def secure(installation: Installation, tls: Tls, authority: Path | None = None) -> None:
    """Let both daemon ports speak TLS, and the front-end trust this authority."""
    paths = {"key": str(tls.key), "cert": str(tls.certificate)}
    trusted = {"tls": {"ca": str(authority or tls.authority)}}
    installation.settings |= {
        "metadataDaemon": {"certFilePaths": paths},
        "dataDaemon": {"certFilePaths": paths},
        "metadataClient": trusted,
        "dataClient": trusted,
    }
    installation.write_config()


@pytest.fixture
def unstarted(tmp_path: Path) -> Iterator[Secured]:
    """With a secret, and without TLS; not started."""
    environ = {"LOG_LEVEL": "trace", "DEBUG": "socket.io*"}
    secured = Secured(Installation(tmp_path, {"daemonSecret": SECRET}, environ))
    yield secured
    secured.installation.stop_all()


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, tls: Tls) -> Iterator[Secured]:
    """All three ports with TLS, and a secret: leave it running."""
    folder = tmp_path_factory.mktemp("secured")
    environ = {"LOG_LEVEL": "trace", "DEBUG": "socket.io*"}
    installation = Installation(folder, {}, environ)
    (folder / "daemon-secret").write_text(f"{SECRET}\n")
    installation.settings["daemonSecretFile"] = "daemon-secret"
    installation.environ["DAEMON_SECRET_FILE"] = str(folder / "daemon-secret")
    secure(installation, tls)
    installation.use_tls(tls)
    running = Secured(installation)
    try:
        running.dmd, running.front = installation.start_both(tls=tls)
        yield running
    finally:
        installation.stop_all()


def start(secured: Secured, tls: Tls | None = None) -> None:
    """Start both halves, of which the front-end need not find the daemon."""
    installation = secured.installation
    secured.dmd = installation.start("dmd", "start")
    process = installation.start("s3front", "start")
    secured.front = Front(process, installation.port, tls)


# --- From end to end -----------------------------------------------------------------------------


def test_objects_go_in_and_out(secured: Secured) -> None:
    assert secured.front is not None
    s3, bucket = s3_client(secured.front), new_name()
    s3.create_bucket(Bucket=bucket)
    small, large = b"small", random.Random(5).randbytes(20 * MIB)
    s3.put_object(Bucket=bucket, Key="small", Body=small)
    path = secured.installation.folder / "large"
    path.write_bytes(large)
    s3.upload_file(str(path), bucket, "large", Config=TransferConfig(multipart_chunksize=8 * MIB))
    assert s3.get_object(Bucket=bucket, Key="small")["Body"].read() == small
    assert s3.get_object(Bucket=bucket, Key="large")["Body"].read() == large
    part = s3.get_object(Bucket=bucket, Key="large", Range=f"bytes={9 * MIB}-{10 * MIB}")
    assert part["Body"].read() == large[9 * MIB : 10 * MIB + 1]
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [entry["Key"] for entry in listed] == ["large", "small"]
    s3.delete_object(Bucket=bucket, Key="small")
    assert code_of(s3.get_object, Bucket=bucket, Key="small") == (404, "NoSuchKey")
    assert secured.health() == (200, None)
    lines = [json.loads(line) for line in secured.output().splitlines() if line.startswith("{")]
    serving = {line["event"]: line for line in lines if line["event"].startswith("serving")}
    for event in ("serving data", "serving metadata"):
        assert (serving[event]["tls"], serving[event]["secret"]) == (True, True)
    secured.assert_quiet()


def test_the_secret_alone_is_enough_on_plain_ports(unstarted: Secured) -> None:
    unstarted.dmd, unstarted.front = unstarted.installation.start_both()
    assert call(unstarted.front, "PUT", "/bucket").status == 200
    assert call(unstarted.front, "PUT", "/bucket/key", b"data" * MIB).status == 200
    assert call(unstarted.front, "GET", "/bucket/key").body == b"data" * MIB
    assert unstarted.dmd.stop() == 0
    assert unstarted.front.process.stop() == 0
    unstarted.assert_quiet()


# --- The secret on the data port -----------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "Bearer " + OTHER, "Basic " + SECRET, SECRET])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
def test_the_data_port_refuses_who_does_not_know_it(
    secured: Secured, tls: Tls, method: str, header: str | None
) -> None:
    url = f"https://127.0.0.1:{secured.installation.data_port}{ABSENT}"
    headers = {} if header is None else {"Authorization": header}
    response = requests.request(
        method, url, headers=headers, verify=str(tls.authority), timeout=HANDSHAKE_SECONDS
    )
    assert response.status_code == 403
    assert response.json() == {"errorType": "AccessDenied", "errorMessage": REFUSAL}
    headers = {"Authorization": f"Bearer {SECRET}"}
    response = requests.request(
        "GET", url, headers=headers, verify=str(tls.authority), timeout=HANDSHAKE_SECONDS
    )
    assert response.status_code == 404
    secured.assert_quiet()


def test_it_refuses_before_the_body_is_sent(secured: Secured, tls: Tls) -> None:
    context = ssl.create_default_context(cafile=tls.authority)
    address = ("127.0.0.1", secured.installation.data_port)
    with (
        socket.create_connection(address, HANDSHAKE_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(b"PUT /DataFile/ HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 403"


# --- Those who speak the wrong language ----------------------------------------------------------


@pytest.mark.parametrize("name", PORTS)
@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\xaa" * 99],
)
def test_plain_clients_of_a_tls_port_fail_cleanly(secured: Secured, name: str, sent: bytes) -> None:
    port = getattr(secured.installation, name)
    with socket.create_connection(("127.0.0.1", port), HANDSHAKE_SECONDS) as plain:
        plain.sendall(sent)
        if not sent:
            plain.close()  # a health probe
        else:
            plain.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                assert not plain.recv(100).startswith(b"HTTP/1.1 2")
    assert secured.health() == (200, None)
    secured.assert_quiet()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.parametrize("name", PORTS)
def test_old_versions_of_tls_are_refused(
    secured: Secured, name: str, version: ssl.TLSVersion
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = context.maximum_version = version
    address = ("127.0.0.1", getattr(secured.installation, name))
    with (
        socket.create_connection(address, HANDSHAKE_SECONDS) as plain,
        pytest.raises((ssl.SSLError, ConnectionResetError)),
    ):
        context.wrap_socket(plain)
    secured.assert_quiet()


def test_tls_clients_of_plain_ports_fail_cleanly(unstarted: Secured) -> None:
    unstarted.dmd, unstarted.front = unstarted.installation.start_both()
    for name in PORTS:
        address = ("127.0.0.1", getattr(unstarted.installation, name))
        with (
            socket.create_connection(address, HANDSHAKE_SECONDS) as plain,
            pytest.raises((ssl.SSLError, ConnectionResetError)),
        ):
            ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")
    assert unstarted.health() == (200, None)
    unstarted.assert_quiet()


# --- A front-end that is not let in, or does not trust --------------------------------------------


def until_unhealthy(secured: Secured, *words: str) -> None:
    """Wait for the reason, in the health check and in the log."""

    wait_for(lambda: secured.health()[1] is not None, "a reason")
    status, reason = secured.health()
    assert status == 503
    assert all(word in str(reason) for word in words), reason
    assert secured.front is not None
    log = secured.front.process
    wait_for(lambda: "cannot reach the metadata daemon" in log.output, "the reason in the log")
    assert all(word in log.output for word in words)
    assert call(secured.front, "GET", "/").status == 503


def test_a_front_end_with_a_wrong_secret_says_so_until_it_has_the_right_one(
    unstarted: Secured,
) -> None:
    installation = unstarted.installation
    unstarted.dmd = installation.start("dmd", "start")
    installation.settings["daemonSecret"] = [OTHER, SECRET]
    installation.write_config()
    unstarted.front = Front(installation.start("s3front", "start"), installation.port)
    until_unhealthy(unstarted, REFUSAL)
    installation.settings["daemonSecret"] = [SECRET]
    installation.write_config()
    unstarted.hang_up(unstarted.front.process, "configuration reloaded")
    unstarted.front.wait()
    assert call(unstarted.front, "PUT", "/bucket").status == 200
    assert call(unstarted.front, "PUT", "/bucket/key", b"data").status == 200
    unstarted.assert_quiet()


def test_a_front_end_that_does_not_trust_the_daemon_says_so_until_it_does(
    unstarted: Secured, tls: Tls, tmp_path: Path
) -> None:
    trusted = tmp_path / "trusted.crt"
    trustme.CA().cert_pem.write_to_path(str(trusted))
    secure(unstarted.installation, tls, trusted)
    start(unstarted)
    assert unstarted.front is not None
    until_unhealthy(unstarted, "certificate is refused", "unable to get local issuer certificate")
    trusted.write_bytes(tls.authority.read_bytes())
    unstarted.hang_up(unstarted.front.process, "configuration reloaded")
    unstarted.front.wait()
    assert call(unstarted.front, "PUT", "/bucket").status == 200
    assert call(unstarted.front, "PUT", "/bucket/key", b"data").status == 200
    unstarted.assert_quiet()


def test_data_is_not_sent_to_a_daemon_that_is_not_trusted(
    unstarted: Secured, tls: Tls, tmp_path: Path
) -> None:
    untrusted = tmp_path / "untrusted.crt"
    trustme.CA().cert_pem.write_to_path(str(untrusted))
    installation = unstarted.installation
    secure(installation, tls)
    installation.settings["dataClient"] = {"tls": {"ca": str(untrusted)}}
    installation.write_config()
    unstarted.dmd, unstarted.front = installation.start_both()
    assert call(unstarted.front, "PUT", "/bucket").status == 200
    assert call(unstarted.front, "PUT", "/bucket/key", b"data").status == 503
    assert "the server's certificate is refused" in unstarted.front.process.output
    unstarted.assert_quiet()


def test_the_certificate_must_be_for_the_host_that_is_configured(
    unstarted: Secured, tmp_path: Path
) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("dmd.example.com")
    tls = Tls(tmp_path / "tls.key", tmp_path / "tls.crt", tmp_path / "ca.crt")
    issued.private_key_pem.write_to_path(str(tls.key))
    issued.cert_chain_pems[0].write_to_path(str(tls.certificate))
    authority.cert_pem.write_to_path(str(tls.authority))
    secure(unstarted.installation, tls)
    start(unstarted)
    until_unhealthy(unstarted, "certificate is refused", "mismatch")
    unstarted.assert_quiet()


@pytest.mark.parametrize("half", ["daemon", "front-end"])
def test_one_half_with_tls_and_the_other_without(unstarted: Secured, tls: Tls, half: str) -> None:
    secure(unstarted.installation, tls)
    names = ("Client", "Daemon") if half == "daemon" else ("Daemon", "Client")
    for section in (f"metadata{names[0]}", f"data{names[0]}"):
        del unstarted.installation.settings[section]
    unstarted.installation.write_config()
    start(unstarted)
    reason = "perhaps the port speaks TLS" if half == "daemon" else "no TLS with this port"
    until_unhealthy(unstarted, reason)
    unstarted.assert_quiet()


# --- Renewal -------------------------------------------------------------------------------------


def authority_of(port: int, *authorities: Path) -> Path:
    """Which of these authorities the certificate of a port is from."""
    for authority in authorities:
        context = ssl.create_default_context(cafile=authority)
        with (
            socket.create_connection(("127.0.0.1", port), HANDSHAKE_SECONDS) as plain,
            contextlib.suppress(ssl.SSLCertVerificationError),
        ):
            context.wrap_socket(plain, server_hostname="localhost").close()
            return authority
    raise AssertionError("the certificate is of another authority")


def test_certificates_are_renewed_without_a_connection_lost(
    unstarted: Secured, tmp_path: Path
) -> None:
    for name in ("used", "new"):
        (tmp_path / name).mkdir()
    used, new = make_tls(tmp_path / "used"), make_tls(tmp_path / "new")
    old_authority = tmp_path / "old-ca.crt"
    old_authority.write_bytes(used.authority.read_bytes())
    # While some ports have the old certificate and others the new one, both must be trusted.
    used.authority.write_bytes(old_authority.read_bytes() + new.authority.read_bytes())
    installation = unstarted.installation
    secure(installation, used)
    installation.use_tls(used)
    dmd, front = installation.start_both(tls=used, workers=2)
    unstarted.dmd, unstarted.front = dmd, front
    ports = [getattr(installation, name) for name in PORTS]
    authorities = (old_authority, new.authority)
    assert [authority_of(port, *authorities) for port in ports] == [old_authority] * 3

    data = random.Random(6).randbytes(3 * MIB)
    assert call(front, "PUT", "/bucket").status == 200
    upload = sign(front, "PUT", "/bucket/key", data)
    with Connection(front) as busy:
        busy.send(upload.head + data[:MIB])
        used.key.write_bytes(new.key.read_bytes())
        used.certificate.write_bytes(new.certificate.read_bytes())
        unstarted.hang_up(dmd, "secrets and certificates reloaded", 2)
        unstarted.hang_up(front.process, "configuration reloaded", 3)  # and its work
        assert [authority_of(port, *authorities) for port in ports] == [new.authority] * 3
        busy.send(data[MIB:])
        assert busy.receive("PUT").status == 200
        assert busy.exchange(sign(front, "GET", "/bucket/key")).body == data

    used.key.write_text("broken")
    unstarted.hang_up(dmd, "reload refused", 2)
    unstarted.hang_up(front.process, "reload refused", 2)
    assert [authority_of(port, *authorities) for port in ports] == [new.authority] * 3
    assert f"certFilePaths.key: {used.key} holds no private key" in front.process.output
