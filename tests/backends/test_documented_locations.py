"""docs/locations.md takes one from nothing to a location: what stands there is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from tests.backends.azurites import ACCOUNT, azurite
from tests.backends.rings import ring
from tests.backends.s3_services import SERVICES, Service, chosen
from tests.clients.awscli import require_awscli
from tests.servers import ACCESS_KEY, REGION, REPOSITORY, SECRET_KEY, Cluster, cluster

_URL = "http://localhost:8000"
_INDENT = "    "
_SECONDS = 100.0
PICTURE = os.urandom(300_000)


def blocks_of(section: str) -> list[str]:
    """The indented blocks of a section of the document."""
    text = (REPOSITORY / "docs" / "locations.md").read_text()
    lines = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0].splitlines()
    blocks = [""]
    for line in lines:
        if line.startswith(_INDENT):
            blocks[-1] += line.removeprefix(_INDENT) + "\n"
        elif blocks[-1]:
            blocks.append("")
    return [block for block in blocks if block]


def replaced(text: str, by: Mapping[str, str]) -> str:
    """Text for this machine: each thing has to stand in it."""
    for name, here in by.items():
        assert name in text, name
        text = text.replace(name, here)
    return text


def start(folder: Path, entry: str, environ: Mapping[str, str] | None = None) -> Any:
    """A cluster with a location as it is written in the document."""
    locations = folder / "locations.json"
    document = {"us-east-1": {"type": "file", "details": {}}, **json.loads(f"{{{entry}}}")}
    locations.write_text(json.dumps(document))
    return cluster(folder, environ={"S3_LOCATION_FILE": str(locations), **(environ or {})})


def run_alone(
    script: str, folder: Path, environ: Mapping[str, str] | None = None, given: str = ""
) -> str:
    """Run commands of the document in a folder that is the user's home; what they print."""
    programs = [Path(sys.executable).parent, require_awscli(), os.environ["PATH"]]
    common = {"PATH": os.pathsep.join(map(str, programs)), "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    finished = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script],
        env={**(environ or {}), **common},
        cwd=folder,
        input=given,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def run(script: str, running: Cluster, folder: Path) -> str:
    """Run commands of the document that are about the server; what they print."""
    front = running.fronts[0]
    environ = {
        **front.process.environ,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
    }
    return run_alone(script.replace(_URL, front.url), folder, environ)


def answers(service: Service) -> str:
    """What ``aws configure`` is told: keys, region, and no form of output."""
    return f"{service.access_key}\n{service.secret_key}\n{service.region}\n\n"


@pytest.mark.parametrize("name", [name for name in chosen() if name != "google"])
def test_an_s3_service(name: str, tmp_path: Path) -> None:
    prepare, entry, commands = blocks_of("aws_s3")
    (tmp_path / "cat.jpg").write_bytes(PICTURE)
    with SERVICES[name](tmp_path / "service") as service:
        url = f"http://127.0.0.1:{service.port}"
        here = replaced(prepare, {"http://10.0.0.1:9000": url})
        run_alone(here, tmp_path, given=answers(service))
        entry = replaced(
            entry,
            {
                "s3.amazonaws.com": url,
                "WHDBFKILOSDDVF78NPMQ": service.access_key,
                "87hdfGCvDS...": service.secret_key,
            },
        )
        with start(tmp_path, entry) as running:
            printed = run(commands, running, tmp_path)
            (look,) = blocks_of("Is a location in order?")
            looked = run(look, running, tmp_path)
    assert "MISSING" not in printed
    assert printed.splitlines()[-1].split()[-2:] == [str(len(PICTURE)), "cat.jpg"]
    assert looked.count("aws-test") >= len(look.splitlines())


def test_google(tmp_path: Path) -> None:
    prepare, entry, commands = blocks_of("gcp")
    (tmp_path / "cat.jpg").write_bytes(PICTURE)
    with SERVICES["google"](tmp_path / "service") as service:
        url = f"http://127.0.0.1:{service.port}"
        here = replaced(prepare, {"https://storage.googleapis.com": url})
        run_alone(here, tmp_path, given=answers(service))
        entry = replaced(
            entry,
            {
                "storage.googleapis.com": url,
                "GOOG1E...": service.access_key,
                "bGoa+V7g...": service.secret_key,
            },
        )
        with start(tmp_path, entry) as running:
            printed = run(commands, running, tmp_path)
    assert "MISSING" not in printed
    assert printed.splitlines()[-1].split()[-2:] == [str(len(PICTURE)), "cat.jpg"]


def test_azure(tmp_path: Path) -> None:
    export, make, entry, commands = blocks_of("azure")
    (tmp_path / "cat.jpg").write_bytes(PICTURE)
    (tmp_path / "azurite").mkdir()
    with azurite(tmp_path / "azurite") as there:
        where = {
            "https://zenkomeetups.blob.core.windows.net/": there.endpoint,
            '"zenkomeetups"': f'"{ACCOUNT}"',
        }
        key = replaced(export, {"auhyDo8izbuU…": f"'{there.key}'"})
        shown = run_alone(f"{key}{replaced(make, where)}env -0", tmp_path)
        exported = dict(line.partition("=")[::2] for line in shown.split("\0"))
        variables = {name: exported[name] for name in exported if "_AZURE_" in name}
        assert list(variables.values()) == [there.key]
        with start(tmp_path, replaced(entry, where), variables) as running:
            printed = run(commands, running, tmp_path)
        container: ContainerClient = there.container("zenkontainer")
        assert {blob.name: blob.size for blob in container.list_blobs()} == {
            "cat.jpg": len(PICTURE)
        }
    assert "MISSING" not in printed


def test_a_ring(tmp_path: Path) -> None:
    entry, commands = blocks_of("scality")
    (tmp_path / "cat.jpg").write_bytes(PICTURE)
    with ring(tmp_path / "ring") as there:
        first, second = there.bootstrap
        entry = replaced(entry, {"10.0.0.1:81": first, "10.0.0.2:81": second})
        with start(tmp_path, entry) as running:
            run(commands, running, tmp_path)
        assert len(there.blobs()) == 1


def test_a_folder(tmp_path: Path) -> None:
    entry, commands = blocks_of("folder")
    photos = tmp_path / "photos"
    (photos / "2026").mkdir(parents=True)
    (photos / "2026" / "cat.jpg").write_bytes(PICTURE)
    (photos / "a name with spaces").write_bytes(b"x")
    with start(tmp_path, replaced(entry, {"/srv/photos": str(photos)})) as running:
        listed = run(replaced(commands, {"/srv/photos": str(photos)}), running, tmp_path)
    assert (tmp_path / "cat.jpg").read_bytes() == PICTURE
    assert "300000 2026/cat.jpg" in listed
    assert "1 a name with spaces" in listed


@pytest.mark.parametrize("section", ["aws_s3", "azure", "gcp", "scality", "folder"])
def test_commands_name_the_server(section: str) -> None:
    """``aws`` would go to Amazon without it."""
    lines = "\n".join(blocks_of(section)).splitlines()
    asked = [line.strip() for line in lines if line.strip().startswith("aws ")]
    named = [line for line in asked if line.startswith(f"aws --endpoint-url {_URL} ")]
    there = [line for line in asked if line.startswith("aws configure ") or "--profile " in line]
    assert named
    assert sorted(named + there) == sorted(asked)
