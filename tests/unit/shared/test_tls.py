"""Contexts of TLS from files, and what is said about files that are of no use."""

from __future__ import annotations

import contextlib
import datetime
import re
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import structs

from shared.config import ConfigError
from shared.config.model import CertFilePaths, ClientTls
from shared.tls import client_context, explain, port_context, refusal, renew, server_context
from tests.servers import Tls, make_tls
from tests.unit.dmd.metadata.support import RecordingLog

FILE, KEY = "config.json", "dataDaemon.certFilePaths"
DAY = datetime.timedelta(days=1)


@pytest.fixture
def files(tmp_path: Path) -> Tls:
    return make_tls(tmp_path)


def paths_of(files: Tls) -> CertFilePaths:
    return CertFilePaths(key=files.key, cert=files.certificate)


def certificate(folder: Path, begins: datetime.timedelta, ends: datetime.timedelta) -> Tls:
    """A certificate whose dates lie so far from now."""
    now = datetime.datetime.now(datetime.UTC)
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", not_before=now + begins, not_after=now + ends)
    files = Tls(folder / "dated.key", folder / "dated.crt", folder / "dated-ca.crt")
    issued.private_key_pem.write_to_path(str(files.key))
    issued.cert_chain_pems[0].write_to_path(str(files.certificate))
    authority.cert_pem.write_to_path(str(files.authority))
    return files


def encrypt(path: Path) -> None:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"password")
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )


def test_a_server_speaks_nothing_older_than_tls_1_2(files: Tls) -> None:
    context = server_context(paths_of(files), FILE, KEY)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert port_context(None, FILE, KEY, RecordingLog()) is None


def test_a_client_verifies_certificate_and_host_name(files: Tls) -> None:
    for tls in (ClientTls(), ClientTls(ca=files.authority)):
        context = client_context(tls, FILE, "dataClient.tls")
        assert context is not None
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert client_context(None, FILE, "dataClient.tls") is None


def test_a_client_trusts_the_named_authority_alone(files: Tls) -> None:
    context = client_context(ClientTls(ca=files.authority), FILE, "dataClient.tls")
    assert context is not None
    assert len(context.get_ca_certs()) == 1


SPOILT: dict[str, tuple[Callable[[Tls], object], str, str]] = {
    "key gone": (lambda files: files.key.unlink(), "key", "cannot be read: No such file"),
    "cert gone": (lambda files: files.certificate.unlink(), "cert", "cannot be read: No such file"),
    "key encrypted": (lambda files: encrypt(files.key), "key", "the key is encrypted"),
    "key no PEM": (lambda files: files.key.write_text("key"), "key", "no private key in PEM"),
    "cert no PEM": (lambda files: files.certificate.write_text("x"), "cert", "no certificate"),
    "cert binary": (lambda files: files.certificate.write_bytes(b"\xff"), "cert", "no certificate"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_bad_file_is_named(files: Tls, what: str) -> None:
    spoil, name, reason = SPOILT[what]
    spoil(files)
    with pytest.raises(ConfigError) as caught:
        server_context(paths_of(files), FILE, KEY)
    assert (caught.value.file, caught.value.key) == (FILE, f"{KEY}.{name}")
    assert reason in caught.value.reason
    path = files.key if name == "key" else files.certificate
    assert str(path) in caught.value.reason


def test_the_key_of_another_certificate_is_refused(files: Tls, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = make_tls(tmp_path / "other")
    with pytest.raises(ConfigError, match=r"certFilePaths\.key: .* is not the key of"):
        server_context(paths_of(replace(files, key=other.key)), FILE, KEY)


def test_authorities_that_are_no_certificates_are_refused(files: Tls) -> None:
    with pytest.raises(ConfigError, match=r"dataClient\.tls\.ca: .* no certificate in PEM"):
        client_context(ClientTls(ca=files.key), FILE, "dataClient.tls")
    paths = CertFilePaths(key=files.key, cert=files.certificate, ca=files.key)
    with pytest.raises(ConfigError, match=r"certFilePaths\.ca: .* no certificate in PEM"):
        server_context(paths, FILE, KEY)


def test_a_certificate_that_is_out_of_date_is_a_warning(files: Tls, tmp_path: Path) -> None:
    for begins, ends, reason in (
        (-2 * DAY, -DAY, "certificate has expired"),
        (DAY, 2 * DAY, "certificate is not yet valid"),
    ):
        log = RecordingLog()
        dated = certificate(tmp_path, begins, ends)
        context = port_context(paths_of(dated), FILE, KEY, log)
        assert context is not None
        assert log.events == ["clients will refuse the certificate"]
        assert refusal(context, dated.certificate) == reason
    log = RecordingLog()
    assert port_context(paths_of(files), FILE, KEY, log) is not None
    assert log.events == []


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """One in memory; raises what the client says."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = (
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(4):
        for side in sides:
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    assert sides[0].version() is not None


def test_intermediate_certificates_may_be_in_ca(tmp_path: Path) -> None:
    root = trustme.CA()
    between = root.create_child_ca()
    issued = between.issue_cert("localhost")
    files = Tls(tmp_path / "leaf.key", tmp_path / "leaf.crt", tmp_path / "root.crt")
    issued.private_key_pem.write_to_path(str(files.key))
    issued.cert_chain_pems[0].write_to_path(str(files.certificate))
    root.cert_pem.write_to_path(str(files.authority))
    between.cert_pem.write_to_path(str(tmp_path / "between.crt"))
    client = client_context(ClientTls(ca=files.authority), FILE, "dataClient.tls")
    assert client is not None
    paths = paths_of(files)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server_context(paths, FILE, KEY), client)
    paths = structs.replace(paths, ca=tmp_path / "between.crt")
    handshake(server_context(paths, FILE, KEY), client)


def test_a_self_signed_certificate_is_its_own_authority(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = CertFilePaths(key=tmp_path / "self.key", cert=tmp_path / "self.crt")
    paths.cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    log = RecordingLog()
    server = port_context(paths, FILE, KEY, log)
    client = client_context(ClientTls(ca=paths.cert), FILE, "dataClient.tls")
    assert server is not None
    assert client is not None
    handshake(server, client)
    assert log.events == []


def test_a_certificate_is_renewed_in_place_and_a_bad_one_is_not(files: Tls, tmp_path: Path) -> None:
    log = RecordingLog()
    context = port_context(paths_of(files), FILE, KEY, log)
    assert context is not None
    (tmp_path / "other").mkdir()
    other = make_tls(tmp_path / "other")
    renew(context, paths_of(other), FILE, KEY, log)
    assert refusal(context, other.certificate) is None
    assert refusal(context, files.certificate) is not None
    files.key.write_text("broken")
    with pytest.raises(ConfigError):
        renew(context, paths_of(files), FILE, KEY, log)
    assert refusal(context, other.certificate) is None


def test_a_port_does_not_change_between_plain_and_tls(files: Tls) -> None:
    log = RecordingLog()
    renew(None, None, FILE, KEY, log)
    assert log.events == []
    renew(None, paths_of(files), FILE, KEY, log)
    renew(server_context(paths_of(files), FILE, KEY), None, FILE, KEY, log)
    assert log.events == ["a port changes between plain and TLS when it is restarted"] * 2


def test_errors_of_tls_are_explained_without_file_names_of_the_library() -> None:
    incoming = ssl.MemoryBIO()
    incoming.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    client = ssl.create_default_context().wrap_bio(incoming, ssl.MemoryBIO(), server_hostname="x")
    with pytest.raises(ssl.SSLError) as caught:
        client.do_handshake()
    assert re.fullmatch(r"no TLS with this port: [a-z ]+", explain(caught.value))
    assert explain(OSError(111, "Connection refused")) == "[Errno 111] Connection refused"
