"""The options of both commands: what they set, and what is refused in one sentence."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner, Result

import dmd.cli
import dmd.daemon_usage
import s3front.cli
import s3front.front_usage
from shared.config import load_config
from shared.process.command_line import plain_options

APPS: dict[Any, typer.Typer] = {dmd.cli: dmd.daemon_usage.app, s3front.cli: s3front.front_usage.app}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Result]]:
    """Runs a command that stops where it would become another program."""
    before = dict(os.environ)
    monkeypatch.chdir(tmp_path)
    for name in [*os.environ]:
        if name.startswith(("S3", "METADATA_", "DATA_", "LISTEN_", "LOG_")):
            monkeypatch.delenv(name)

    def become(children: Any, **_: Any) -> None:
        typer.echo(" ".join(child.name for child in children))
        raise typer.Exit

    def replace(_program: str, argv: list[str]) -> None:
        typer.echo(" ".join(argv[2:]))
        raise typer.Exit

    for module in (dmd.cli, s3front.cli):
        monkeypatch.setattr(module, "replace_with_supervisor", become)
    monkeypatch.setattr(s3front.cli, "bind_sockets", lambda _: [])
    monkeypatch.setattr(os, "execv", replace)

    def run(program: Any, *arguments: str, environ: dict[str, str] | None = None) -> Result:
        with monkeypatch.context() as patched:
            for name, value in (environ or {}).items():
                patched.setenv(name, value)
            return CliRunner().invoke(APPS[program], list(arguments), env={"TERM": "dumb"})

    yield run
    # A command sets variables for what it becomes.
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.parametrize("program", [dmd.cli, s3front.cli])
@pytest.mark.parametrize("arguments", [["--version"], ["start", "--version"]])
def test_the_version(run: Callable[..., Result], program: Any, arguments: list[str]) -> None:
    result = run(program, *arguments)
    assert result.exit_code == 0
    name, version = result.output.split()
    assert name == "Twofold"
    assert version[0].isdigit()


def test_options_of_the_daemon(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    result = run(
        dmd.cli,
        *("start", "--host", "127.0.0.2", "--metadata-port", "1990", "--data-port=1991"),
        *("--data", "new/one"),
        environ={"S3DATAPATH": "elsewhere", "METADATA_PORT": "5"},
    )
    assert result.output.split() == ["dmd-metadata", "dmd-data"], result.output
    for name in ("localData", "localMetadata"):
        assert (tmp_path / "new" / "one" / name).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"S3_DATA_DIR": "d"}, ["d/localData", "d/localMetadata"]),
        ({"S3_DATA_DIR": "d", "S3DATAPATH": "own"}, ["d/localMetadata"]),
        ({"S3DATAPATH": "own"}, []),
        ({}, []),
    ],
)
def test_only_what_is_in_the_data_directory_is_made(
    run: Callable[..., Result], tmp_path: Path, environ: dict[str, str], expected: list[str]
) -> None:
    assert run(dmd.cli, "start", environ=environ).exit_code == 0
    made = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("**/local*"))
    assert made == expected


def test_a_part_makes_its_own_directory_and_has_one_port(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    result = run(dmd.cli, "start", "metadata", "--port", "1990", "--data", "d")
    assert "dmd.metadata" in result.output
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["localMetadata"]
    assert run(dmd.cli, "start", "--memory", "--data", "none").exit_code == 0
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("program", "arguments", "reason"),
    [
        (dmd.cli, ["start", "--port", "1990"], "use --metadata-port and --data-port"),
        (dmd.cli, ["start", "--host", "a b"], "'a b' is not a host name or IP address"),
        (dmd.cli, ["start", "--data-port", "0"], "greater than or equal to 1"),
        (s3front.cli, ["start", "--port", "70000"], "less than or equal to 65535"),
        (s3front.cli, ["start", "--host", "http://x"], "is not a host name or IP address"),
        (s3front.cli, ["start", "--data", "d"], "a front-end keeps nothing on disk"),
    ],
)
def test_what_is_refused(
    run: Callable[..., Result], program: Any, arguments: list[str], reason: str
) -> None:
    result = run(program, *arguments)
    assert result.exit_code == 2
    assert reason in " ".join(result.output.replace("│", " ").split())


def test_options_of_the_front_end(run: Callable[..., Result]) -> None:
    keys = {"SCALITY_ACCESS_KEY_ID": "key", "SCALITY_SECRET_ACCESS_KEY": "secret"}
    options = ("--host", "127.0.0.1", "--port", "8001", "--workers", "2")
    result = run(s3front.cli, "start", *options, environ=keys)
    assert result.output.split() == ["s3front-1", "s3front-2", "s3front-work"]
    assert load_config().listen_addresses == (("127.0.0.1", 8001),)


def test_background_work_beside_front_ends_and_alone(
    run: Callable[..., Result], typed: Callable[..., bool], capsys: pytest.CaptureFixture[str]
) -> None:
    os.environ |= {"SCALITY_ACCESS_KEY_ID": "key", "SCALITY_SECRET_ACCESS_KEY": "secret"}
    assert run(s3front.cli, "start", "--no-work").output.split() == ["s3front-1"]
    assert run(s3front.cli, "work").output.split() == ["s3front-work"]
    assert not typed(s3front.cli, "start", "--no-work")
    assert not typed(s3front.cli, "work")
    assert capsys.readouterr().out.split() == ["s3front-1", "s3front-work"]


@pytest.mark.parametrize("program", [dmd.cli, s3front.cli])
def test_what_is_read_without_typer_is_what_typer_declares(program: Any) -> None:
    command: Any = typer.main.get_command(APPS[program])
    declared = {
        option.opts[0]: option.is_flag
        for option in command.commands["start"].params
        if option.param_type_name == "option" and not option.hidden and not option.is_eager
    }
    known = {name: reader is None for name, reader in program.START_OPTIONS.items()}
    assert {name: flag for name, flag in declared.items() if name != "--help"} == known


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, run: Callable[..., Result]) -> Callable[..., bool]:
    """Runs a command as a shell does; whether typer was needed."""

    def typed(program: Any, *arguments: str) -> bool:
        called: list[bool] = []
        monkeypatch.setattr(dmd.daemon_usage, "run", lambda: called.append(True))
        monkeypatch.setattr(s3front.front_usage, "app", lambda: called.append(True))
        monkeypatch.setattr("sys.argv", ["x", *arguments])
        with contextlib.suppress(typer.Exit):
            program.main()
        return bool(called)

    return typed


def test_a_plain_start_is_the_same_without_typer(
    typed: Callable[..., bool], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    os.environ |= {"SCALITY_ACCESS_KEY_ID": "key", "SCALITY_SECRET_ACCESS_KEY": "secret"}
    options = ("--host", "127.0.0.1", "--port=8001", "--workers", "2")
    assert not typed(s3front.cli, "start", *options)
    assert load_config().listen_addresses == (("127.0.0.1", 8001),)
    assert not typed(dmd.cli, "start", "--metadata-port=1990", "--data", "d", "--standby")
    assert load_config().metadata_daemon.port == 1990
    assert (tmp_path / "d" / "localData").is_dir()
    assert not typed(dmd.cli, "start", "data", "--port", "1991", "--memory")
    assert load_config().data_daemon.port == 1991
    printed = capsys.readouterr().out.split()
    assert printed[:3] == ["s3front-1", "s3front-2", "s3front-work"]
    assert printed[3:5] == ["dmd-metadata", "dmd-data"]
    assert printed[5:] == ["dmd.data", "--memory"]


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        (dmd.cli, []),
        (dmd.cli, ["--version"]),
        (dmd.cli, ["gc"]),
        (dmd.cli, ["start", "--help"]),
        (dmd.cli, ["start", "--port", "1990"]),
        (dmd.cli, ["start", "--memory", "data"]),
        (dmd.cli, ["start", "neither"]),
        (dmd.cli, ["start", "data", "--host", "a b"]),
        (s3front.cli, []),
        (s3front.cli, ["start", "--workers", "257"]),
        (s3front.cli, ["start", "--data", "d"]),
    ],
)
def test_typer_explains_everything_else(
    typed: Callable[..., bool], program: Any, arguments: list[str]
) -> None:
    assert typed(program, *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port"],
        ["--port", "--flag"],
        ["--port="],
        ["--port", "1", "--port", "2"],
        ["--flag=1"],
        ["--por", "1"],
        ["value"],
        ["--flag", "--", "--flag"],
    ],
)
def test_what_has_to_be_explained_is_left_to_typer(arguments: list[str]) -> None:
    assert plain_options(arguments, {"--port": int, "--flag": None}) is None
