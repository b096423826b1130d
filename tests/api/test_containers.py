"""The container files, as far as that can be tested without a container engine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

import dmd.daemon_usage
import s3front.front_usage
from shared.config import load_config
from tests.clients.awscli import require_awscli
from tests.servers import REPOSITORY, Front, free_port

DEPLOY = REPOSITORY / "deploy"
PROGRAMS = {"dmd": dmd.daemon_usage.app, "s3front": s3front.front_usage.app}


# --- Dockerfile ----------------------------------------------------------------------------------


def instructions(keyword: str) -> list[str]:
    """The arguments of every instruction of one kind, continuation lines joined."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    lines = (line.partition(" ") for line in text.splitlines())
    return [rest.strip() for word, _, rest in lines if word == keyword]


def working_directory() -> str:
    """Where the commands run, in the last stage."""
    return instructions("WORKDIR")[-1]


def sources() -> list[str]:
    """What is copied from the checkout."""
    copied = [arguments.split() for arguments in instructions("COPY") if "--from" not in arguments]
    return [path for words in copied for path in words[:-1] if not path.startswith("--")]


def test_what_the_image_copies_is_in_the_repository() -> None:
    assert {"dmd", "s3front", "shared", "config.json", "conf/authdata.json"} <= set(sources())
    for path in sources():
        assert (REPOSITORY / path).exists(), path


def test_what_the_image_copies_is_sent_to_the_engine() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert {line[1:] for line in lines if line.startswith("!")} == set(sources())


def test_the_image_runs_both_halves() -> None:
    command = json.loads(instructions("CMD")[-1])
    assert command == ["sh", "/opt/twofold/bin/start-both.sh"]
    assert instructions("COPY")[-1].endswith("deploy/start-both.sh /opt/twofold/bin/start-both.sh")


def test_ports_and_directories_are_those_of_the_configuration() -> None:
    config = load_config(environ={}, directory=REPOSITORY)
    assert instructions("EXPOSE") == [str(config.port)]
    folders = {path.relative_to(REPOSITORY) for path in (config.data_path, config.metadata_path)}
    volumes = {Path(path).relative_to(working_directory()) for path in _volumes()}
    assert volumes == folders


def _volumes() -> list[str]:
    return instructions("VOLUME")[0].split()


def test_any_user_may_write_the_volumes() -> None:
    names = {Path(path).name for path in _volumes()}
    (made,) = (line for line in instructions("RUN") if "mkdir" in line)
    match = re.fullmatch(r"mkdir (.*) && chmod 0777 (.*)", made)
    assert match
    assert set(match[1].split()) == set(match[2].split()) == names


def test_the_health_check_tells_a_served_port_from_a_silent_one(plain_front: Front) -> None:
    (check,) = instructions("HEALTHCHECK")
    command = json.loads(check.partition("CMD ")[2])
    assert command[0] == "python"
    for port, healthy in ((plain_front.port, True), (free_port(), False)):
        arguments = [word.replace(":8000/", f":{port}/") for word in command[1:]]
        finished = subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
        assert (finished.returncode == 0) is healthy, finished.stderr


# --- compose.yaml --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """compose.yaml as a document."""
    return document_of("compose.yaml")


def document_of(name: str) -> dict[str, Any]:
    """A YAML file as a document. The parser is the one that aws-cli brings along."""
    program = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"
    finished = subprocess.run(
        [str(require_awscli() / "python"), "-c", program],
        input=(DEPLOY / name).read_bytes(),
        capture_output=True,
        check=True,
    )
    document: dict[str, Any] = json.loads(finished.stdout)
    return document


def environment_of(service: dict[str, Any]) -> dict[str, str]:
    """A service's variables, when the caller of compose has set none."""
    default = re.compile(r"\$\{\w+:-(.*?)\}")
    return {name: default.sub(r"\1", value) for name, value in service["environment"].items()}


@pytest.mark.parametrize("name", ["dmd", "s3front"])
def test_the_commands_are_understood(compose: dict[str, Any], name: str) -> None:
    program, *arguments = compose["services"][name]["command"]
    assert program == name
    group: Any = typer.main.get_command(PROGRAMS[program])
    # Parses, and raises for what the command does not know; it runs nothing.
    group.commands[arguments[0]].make_context(arguments[0], arguments[1:])


def test_the_halves_find_each_other(compose: dict[str, Any]) -> None:
    services = compose["services"]
    daemon = load_config(environment_of(services["dmd"]), REPOSITORY)
    front = load_config(environment_of(services["s3front"]), REPOSITORY)
    assert front.metadata_client.host in services
    assert front.data_client.host in services
    assert daemon.metadata_daemon.bind_address == daemon.data_daemon.bind_address == "0.0.0.0"  # noqa: S104
    assert front.metadata_client.port == daemon.metadata_daemon.port
    assert front.data_client.port == daemon.data_daemon.port
    assert front.listen_addresses == (("", 8000),)
    assert front.credentials is None
    assert daemon.warnings == front.warnings == ()


def test_every_variable_has_an_effect(compose: dict[str, Any]) -> None:
    """A misspelt one would be ignored."""
    values = {
        "LISTEN_ADDR": "192.0.2.1",
        "METADATA_HOST": "elsewhere",
        "DATA_HOST": "elsewhere",
        "ENDPOINT": "s3.example.com",
        "LOG_LEVEL": "debug",
    }
    unchanged = load_config({}, REPOSITORY)
    for service in compose["services"].values():
        for name in service["environment"]:
            if name.startswith("SCALITY_"):
                continue
            assert load_config({name: values[name]}, REPOSITORY) != unchanged, name
    keys = {
        name: "value" for name in compose["services"]["s3front"]["environment"] if "KEY" in name
    }
    assert load_config(keys, REPOSITORY).credentials is not None


def test_only_the_front_end_can_be_reached_from_outside(compose: dict[str, Any]) -> None:
    services, networks = compose["services"], compose["networks"]
    assert "ports" not in services["dmd"]
    assert services["dmd"]["networks"] == ["daemons"]
    assert networks["daemons"] == {"internal": True}
    assert set(services["s3front"]["networks"]) == set(networks)
    assert services["s3front"]["ports"] == ["8000:8000"]


def test_the_data_is_in_named_volumes(compose: dict[str, Any]) -> None:
    mounts = dict(mount.split(":") for mount in compose["services"]["dmd"]["volumes"])
    assert set(mounts) == set(compose["volumes"])
    assert set(mounts.values()) == set(_volumes())


def test_the_daemon_s_health_check_runs(compose: dict[str, Any], front: Front) -> None:
    kind, program, *arguments = compose["services"]["dmd"]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "python")
    for port, healthy in ((front.port, True), (free_port(), False)):
        words = [word.replace("9990, 9991", f"{port}, {port}") for word in arguments]
        finished = subprocess.run([sys.executable, *words], capture_output=True, check=False)
        assert (finished.returncode == 0) is healthy, finished.stderr


# --- compose.secret.yaml -------------------------------------------------------------------------


def test_both_halves_are_given_the_secret_by_file(compose: dict[str, Any], tmp_path: Path) -> None:
    added = document_of("compose.secret.yaml")
    assert set(added["services"]) == set(compose["services"])
    (name,) = added["secrets"]
    secret = tmp_path / name
    secret.write_text("secret-of-the-daemons\n")
    for service in added["services"].values():
        assert service["secrets"] == [name]
        ((variable, place),) = service["environment"].items()
        assert place == f"/run/secrets/{name}"
        config = load_config({variable: str(secret)}, REPOSITORY)
        assert config.shared_secret.values == ("secret-of-the-daemons",)
