"""What stops a command from starting is one line on standard error, and exit code 78."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from shared.process.supervisor import EX_CONFIG
from tests.api.installation import Installation, occupied_port
from tests.servers import Tls

METADATA, DATA, BOTH = ("dmd", "start", "metadata"), ("dmd", "start", "data"), ("dmd", "start")
FRONT = ("s3front", "start")


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path)
    yield installation
    installation.stop_all()


def assert_one_line(installation: Installation, argv: tuple[str, ...], *words: str) -> None:
    """The command ends with 78, and its only line names what is wrong."""
    finished = installation.run(*argv)
    assert finished.returncode == EX_CONFIG, finished
    (line,) = finished.stderr.splitlines()
    assert line.startswith(f"{argv[0]}: ")
    for word in words:
        assert word in line, (word, line)
    assert "Traceback" not in finished.stdout + finished.stderr
    assert all(json.loads(text)["time"] for text in finished.stdout.splitlines())


# --- Ports and directories -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "variable", "attribute"),
    [
        (METADATA, "METADATA_PORT", "metadata_port"),
        (DATA, "DATA_PORT", "data_port"),
        (BOTH, "METADATA_PORT", "metadata_port"),
        (FRONT, "S3_PORT", "port"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_port_taken(
    installation: Installation, argv: tuple[str, ...], variable: str, attribute: str
) -> None:
    with occupied_port() as listener:
        port = listener.getsockname()[1]
        setattr(installation, attribute, port)
        installation.write_config()
        advice = f"{variable} chooses another port"
        assert_one_line(
            installation, argv, f"cannot listen on 127.0.0.1:{port}: ", "in use", advice
        )


@pytest.mark.parametrize(("argv", "section"), [(METADATA, "metadataDaemon"), (DATA, "dataDaemon")])
def test_address_of_another_machine(
    installation: Installation, argv: tuple[str, ...], section: str
) -> None:
    # TEST-NET-1 (RFC 5737): nobody's.
    installation.settings[section] = {"bindAddress": "192.0.2.1"}
    installation.write_config()
    assert_one_line(installation, argv, "192.0.2.1", "assign")


def test_name_of_no_machine(installation: Installation) -> None:
    installation.settings["listenOn"] = ["no-such-host.invalid:8000"]
    installation.write_config()
    assert_one_line(installation, FRONT, "no-such-host.invalid")


@pytest.mark.parametrize("argv", [METADATA, DATA, BOTH])
def test_a_data_directory_that_cannot_be_made(
    installation: Installation, tmp_path: Path, argv: tuple[str, ...]
) -> None:
    """The file system says why; people need to know of which setting."""
    for name in ("S3DATAPATH", "S3METADATAPATH"):
        installation.environ.pop(name)
    file = tmp_path / "file"
    file.touch()
    for folder, reason in (("/proc/twofold", "No such file"), (str(file), "Not a directory")):
        installation.environ["S3_DATA_DIR"] = folder
        assert_one_line(installation, argv, folder, "--data", "S3_DATA_DIR", f": {reason}")


@pytest.mark.parametrize(("argv", "attribute"), [(METADATA, "metadata"), (DATA, "data")])
def test_directory_missing(
    installation: Installation, argv: tuple[str, ...], attribute: str
) -> None:
    directory = getattr(installation, attribute)
    directory.rmdir()
    assert_one_line(installation, argv, str(directory), "director")
    assert not directory.exists()


@pytest.mark.parametrize(
    ("argv", "attribute", "section"),
    [(METADATA, "metadata", "metadata_port"), (DATA, "data", "data_port")],
)
def test_directory_of_another_daemon(
    installation: Installation, argv: tuple[str, ...], attribute: str, section: str
) -> None:
    installation.start(*argv)
    setattr(installation, section, 0)
    with occupied_port() as listener:
        setattr(installation, section, listener.getsockname()[1])
    installation.write_config()
    assert_one_line(installation, argv, str(getattr(installation, attribute)), "another")


def test_metadata_of_the_original(installation: Installation) -> None:
    (installation.metadata / "rootDB").mkdir()
    assert_one_line(installation, METADATA, str(installation.metadata), "LevelDB")


# --- config.json and the environment -------------------------------------------------------------


@pytest.mark.parametrize("argv", [BOTH, FRONT], ids=" ".join)
def test_unknown_key(installation: Installation, argv: tuple[str, ...]) -> None:
    installation.settings["metadataClient"] = {"prot": 9990}
    installation.write_config()
    assert_one_line(installation, argv, "config.json", "metadataClient.prot", "did you mean port?")


@pytest.mark.parametrize("argv", [BOTH, FRONT], ids=" ".join)
def test_no_json(installation: Installation, argv: tuple[str, ...]) -> None:
    installation.config.write_text('{\n  "port": 8000,\n}')
    assert_one_line(installation, argv, "config.json", "line 3", "JSON")


@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        (BOTH, "LOG_LEVEL", "loud"),
        (BOTH, "LISTEN_ADDR", "a b"),
        (FRONT, "S3BACKEND", "cdmi"),
        (FRONT, "SSL", "TRUE"),
    ],
)
def test_bad_environment_variable(
    installation: Installation, argv: tuple[str, ...], name: str, value: str
) -> None:
    installation.environ[name] = value
    assert_one_line(installation, argv, "environment", name)


def test_no_accounts(installation: Installation) -> None:
    installation.authdata.unlink()
    assert_one_line(installation, FRONT, "S3AUTH_CONFIG", str(installation.authdata))
    del installation.environ["S3AUTH_CONFIG"]
    assert_one_line(installation, FRONT, "conf/authdata.json", "SCALITY_ACCESS_KEY_ID")


def test_accounts_that_are_no_json(installation: Installation) -> None:
    installation.authdata.write_text("accounts:")
    assert_one_line(installation, FRONT, "authdata.json", "JSON")


def test_an_unknown_key_of_an_account(installation: Installation) -> None:
    document = json.loads(installation.authdata.read_text())
    document["accounts"][1]["e-mail"] = document["accounts"][1]["email"]
    installation.authdata.write_text(json.dumps(document))
    assert_one_line(installation, FRONT, "authdata.json", "accounts[1].e-mail", "email")


# --- Certificates --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Certificates:
    """A key and a certificate as files of the test's own."""

    key: Path
    certificate: Path

    def encrypt_key(self) -> None:
        key = serialization.load_pem_private_key(self.key.read_bytes(), None)
        encrypted = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
        self.key.write_bytes(encrypted)


SPOILT: dict[str, Callable[[Certificates], object]] = {
    "no key": lambda files: files.key.unlink(),
    "no certificate": lambda files: files.certificate.unlink(),
    "encrypted key": Certificates.encrypt_key,
    "no PEM": lambda files: files.certificate.write_text("certificate"),
    "key of another": lambda files: files.key.write_text(files.certificate.read_text()),
}
EXPECTED = {"no key": "tls.key", "no certificate": "tls.crt", "encrypted key": "encrypted"}


@pytest.mark.parametrize(
    ("argv", "section", "key"),
    [
        (METADATA, "metadataDaemon", "certFilePaths"),
        (DATA, "dataDaemon", "certFilePaths"),
        (BOTH, "dataDaemon", "certFilePaths"),
        (FRONT, "metadataClient", "tls"),
        (FRONT, "dataClient", "tls"),
    ],
)
def test_certificates_between_the_halves(
    installation: Installation,
    tls: Tls,
    tmp_path: Path,
    argv: tuple[str, ...],
    section: str,
    key: str,
) -> None:
    authority = tmp_path / "authority.crt"
    authority.write_text("no PEM")
    paths = {"ca": str(authority)}
    if key == "certFilePaths":
        paths |= {"key": str(tls.key), "cert": str(tls.certificate)}
    installation.settings[section] = {key: paths}
    installation.write_config()
    assert_one_line(installation, argv, "config.json", f"{section}.{key}.ca", "no certificate")
    authority.unlink()
    assert_one_line(installation, argv, "config.json", f"{section}.{key}.ca", "no file")


@pytest.mark.parametrize("argv", [BOTH, METADATA, FRONT], ids=" ".join)
def test_a_bad_secret(installation: Installation, tmp_path: Path, argv: tuple[str, ...]) -> None:
    installation.settings["daemonSecret"] = "sh0rt!"
    installation.write_config()
    assert_one_line(installation, argv, "config.json", "daemonSecret", "16")
    assert "sh0rt!" not in installation.run(*argv).stderr
    del installation.settings["daemonSecret"]
    installation.write_config()
    installation.environ["DAEMON_SECRET_FILE"] = str(tmp_path / "absent")
    assert_one_line(installation, argv, "environment", "DAEMON_SECRET_FILE", "absent")


@pytest.mark.parametrize("what", SPOILT)
def test_certificates(installation: Installation, tls: Tls, tmp_path: Path, what: str) -> None:
    files = Certificates(tmp_path / "tls.key", tmp_path / "tls.crt")
    files.key.write_bytes(tls.key.read_bytes())
    files.certificate.write_bytes(tls.certificate.read_bytes())
    installation.use_tls(Tls(files.key, files.certificate, tls.authority))
    SPOILT[what](files)
    assert_one_line(installation, FRONT, "config.json", "certFilePaths", EXPECTED.get(what, ""))
