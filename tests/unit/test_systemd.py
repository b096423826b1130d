"""The units for systemd, as far as that can be tested without it."""

from __future__ import annotations

import shlex
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import typer.main

import dmd.daemon_usage
import s3front.front_usage
from shared.config import load_config
from shared.process.program import STOP_SECONDS_MAX
from shared.process.supervisor import EX_CONFIG, EX_DATAERR, STOP_TIMEOUT_SECONDS
from tests.servers import REPOSITORY

UNITS = sorted((REPOSITORY / "deploy" / "systemd").glob("*.service"))
PROGRAMS: dict[str, Any] = {"dmd": dmd.daemon_usage.app, "s3front": s3front.front_usage.app}


def unit_of(path: Path) -> ConfigParser:
    parser = ConfigParser(strict=True, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names have capitals
    parser.read(path)
    return parser


@pytest.fixture(params=UNITS, ids=lambda path: path.stem)
def service(request: pytest.FixtureRequest) -> dict[str, str]:
    return dict(unit_of(request.param)["Service"])


def test_there_is_a_unit_for_each_half_and_for_background_work() -> None:
    assert [path.stem for path in UNITS] == ["twofold-dmd", "twofold-s3front", "twofold-work"]
    for path in UNITS:
        assert unit_of(path)["Install"]["WantedBy"] == "multi-user.target"


def test_the_command_is_one_that_the_program_has(service: dict[str, str]) -> None:
    program, *arguments = shlex.split(service["ExecStart"])
    group: Any = typer.main.get_command(PROGRAMS[Path(program).name])
    command = group.commands[arguments[0]]
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in arguments[1:] if word.startswith("--")} <= known


def test_the_processes_are_told_and_waited_for_as_they_expect(service: dict[str, str]) -> None:
    assert service["Type"] == "notify"
    assert service["ExecReload"].endswith(" -HUP $MAINPID")
    # The supervisor tells its children itself, and waits for them.
    assert service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) > STOP_TIMEOUT_SECONDS > STOP_SECONDS_MAX
    # A wrong configuration, or a damaged store, is the same after another start.
    given_up = set(map(int, service["RestartPreventExitStatus"].split()))
    assert EX_CONFIG in given_up
    assert (EX_DATAERR in given_up) is ("dmd start" in service["ExecStart"])


def test_both_find_the_same_socket(service: dict[str, str]) -> None:
    name, _, value = service["Environment"].partition("=")
    config = load_config(environ={name: value}, directory=REPOSITORY)
    assert config.data_client.socket_path == config.data_daemon.socket_path == Path(value)
