"""Logs: what a line holds, and what becomes one."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp.http_exceptions import BadStatusLine

from shared.config.values import Secret
from shared.process.logs import LEVELS, configure_logging, get_logger

ROOT = Path(__file__).parents[4]


class Log:
    """A configured log, and the lines that were written to it."""

    def __init__(self, level: str) -> None:
        self._file = io.BytesIO()
        configure_logging("dmd-data", level, self._file)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._file.getvalue().splitlines()]

    def line(self) -> dict[str, Any]:
        (line,) = self.lines()
        return line


@pytest.fixture
def configure() -> Iterator[Callable[[str], Log]]:
    """Configures logging for one test, and takes it back."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield Log
    logging.captureWarnings(False)
    root.handlers = handlers
    root.setLevel(level)


@pytest.fixture
def log(configure: Callable[[str], Log]) -> Log:
    return configure("info")


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Fields(msgspec.Struct):
    bucket: str | None
    size_bytes: int
    duration_ms: float


class TestLineOfAStruct:
    FIELDS = Fields('gr\u00fc\u00dfe\n"', 3, 0.25)

    @pytest.mark.parametrize("bound", [{}, {"request_id": "4f2a"}])
    def test_is_that_of_its_members(self, log: Log, bound: dict[str, str]) -> None:
        logger = get_logger("store").bind(**bound)
        logger.info("read", **msgspec.structs.asdict(self.FIELDS))
        logger.info_of("read", self.FIELDS)
        expected, line = log.lines()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
        expected.pop("time")
        assert list(line.items()) == list(expected.items())

    def test_is_for_people_where_the_others_are(
        self, configure: Callable[[str], Log], tmp_path: Path
    ) -> None:
        configure("info")
        with (tmp_path / "log").open("wb") as file:
            configure_logging("dmd-data", "info", file, layout="text")
            get_logger().info_of("read", Fields("photos", 3, 0.25))
        line = (tmp_path / "log").read_text()
        assert line.endswith(" dmd-data read bucket=photos size_bytes=3 duration_ms=0.25\n")

    def test_of_text_that_is_no_unicode_is_written_all_the_same(self, log: Log) -> None:
        get_logger().info_of("read", Fields("\udcff", 3, 0.25))
        assert log.line()["bucket"] == "\udcff"

    def test_is_not_written_below_its_level(self, configure: Callable[[str], Log]) -> None:
        log = configure("warn")
        get_logger().info_of("read", self.FIELDS)
        assert not log.lines()


class FewBytes(io.RawIOBase):
    """A file that takes three bytes at a time, or none at first."""

    def __init__(self, *, first: int | None = 3) -> None:
        self.taken = b""
        self._next: int | None = first

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int | None:
        size, self._next = self._next, 3
        if size is not None:
            self.taken += bytes(data[:size])
        return None if size is None else min(size, len(data))


@pytest.mark.parametrize("first", [3, 0, None])
def test_a_line_is_written_whole_where_the_system_takes_a_part(
    configure: Callable[[str], Log], first: int | None
) -> None:
    configure("info")
    raw = FewBytes(first=first)
    configure_logging("dmd-data", "info", io.BufferedWriter(raw))
    get_logger().info("read", key="k" * 100)
    assert json.loads(raw.taken)["key"] == "k" * 100


class TestLine:
    def test_has_its_own_fields_first_and_in_order(self, log: Log) -> None:
        get_logger("store").info("blob written", size_bytes=3)
        line = log.line()
        assert list(line) == ["time", "level", "name", "pid", "event", "size_bytes"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
        assert line == {
            "level": "info",
            "name": "dmd-data.store",
            "pid": os.getpid(),
            "event": "blob written",
            "size_bytes": 3,
        }

    def test_of_a_logger_without_a_name_has_that_of_the_process(self, log: Log) -> None:
        get_logger().info("started")
        assert log.line()["name"] == "dmd-data"

    def test_carries_what_was_bound(self, log: Log) -> None:
        logger = get_logger("store").bind(request_id="4f2a")
        logger.bind(bucket="photos").info("read")
        logger.info("done")
        read, done = log.lines()
        assert (read["request_id"], read["bucket"]) == ("4f2a", "photos")
        assert done["request_id"] == "4f2a"
        assert "bucket" not in done

    def test_fields_of_an_event_cannot_take_the_place_of_its_own(self, log: Log) -> None:
        get_logger("store").info("x", name="forged", level="forged", time="forged", pid=0)
        line = log.line()
        assert line["name"] == "dmd-data.store"
        assert line["level"] == "info"
        assert "forged" not in (line["time"], line["level"])
        assert line["pid"] == os.getpid()

    def test_is_one_line_whatever_the_text(self, log: Log) -> None:
        get_logger().info("read", key='a\nb"c\r{}\u2028')
        assert log.line()["key"] == 'a\nb"c\r{}\u2028'

    def test_with_an_exception_has_its_traceback_as_one_string(self, log: Log) -> None:
        try:
            raise OSError("disk on fire")
        except OSError:
            get_logger().exception("write failed", key="k")
        line = log.line()
        assert (line["level"], line["event"], line["key"]) == ("error", "write failed", "k")
        assert line["exception"].startswith("Traceback (most recent call last):\n")
        assert line["exception"].endswith("OSError: disk on fire")
        assert "exc_info" not in line

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (Path("/srv"), "/srv"),
            (b"\xff", "b'\\xff'"),
            (Secret("hunter2"), "**********"),
            (2**100, 2**100),
            ("caf\udce9", "caf\udce9"),
            ({1: "one"}, {"1": "one"}),
        ],
    )
    def test_holds_values_that_are_not_json(self, log: Log, value: Any, text: Any) -> None:
        get_logger().info("x", value=value)
        assert log.line()["value"] == text

    def test_is_written_even_when_a_value_has_no_text_at_all(self, log: Log) -> None:
        cycle: list[Any] = []
        cycle.append(cycle)
        get_logger().info("x", value=Unprintable(), cycle=cycle, size=1)
        line = log.line()
        assert (line["value"], line["cycle"], line["size"]) == ("Unprintable", "list", 1)


class TestLevels:
    @pytest.mark.parametrize("level", list(LEVELS))
    def test_less_severe_events_are_not_written(
        self, configure: Callable[[str], Log], level: str
    ) -> None:
        log = configure(level)
        logger = get_logger()
        logger.trace("x")
        logger.debug("x")
        logger.info("x")
        logger.warning("x")
        logger.error("x")
        names = ["trace", "debug", "info", "warn", "error"]
        written = names[list(LEVELS).index(level) :]
        assert [line["level"] for line in log.lines()] == written

    def test_libraries_are_held_one_level_higher(self, configure: Callable[[str], Log]) -> None:
        log = configure("debug")
        logging.getLogger("aiohttp.access").debug("noise")
        assert log.lines() == []
        log = configure("trace")
        logging.getLogger("aiohttp.access").debug("noise")
        assert log.line()["level"] == "debug"


class TestStandardLibrary:
    def test_records_become_the_same_lines(self, log: Log) -> None:
        logging.getLogger("aiohttp.server").error("bad %s", "request")
        line = log.line()
        assert list(line) == ["time", "level", "name", "pid", "event"]
        assert (line["level"], line["name"]) == ("error", "dmd-data.aiohttp.server")
        assert line["event"] == "bad request"

    def test_a_request_that_is_no_http_has_no_traceback(self, log: Log) -> None:
        try:
            raise BadStatusLine("Authorization: Bearer secret")
        except BadStatusLine:
            logging.getLogger("aiohttp.server").exception("Error handling request")
        line = log.line()
        assert (line["level"], line["event"]) == ("warn", "malformed request: BadStatusLine")
        assert "exception" not in line
        try:
            raise RuntimeError("trouble")
        except RuntimeError:
            logging.getLogger("aiohttp.server").exception("Error handling request")
        assert "trouble" in log.lines()[1]["exception"]

    @pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread")])
    async def test_a_connection_that_ends_for_want_of_memory_has_no_traceback(
        self, log: Log, error: Exception
    ) -> None:
        context = {"message": "Fatal error on transport", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)
        line = log.line()
        assert (line["level"], line["event"]) == ("error", f"out of memory: {error!r}")
        assert "exception" not in line

    @pytest.mark.parametrize("name", ["engineio.server", "socketio.server", "engineio.client"])
    def test_packets_are_written_without_what_authenticates(
        self, configure: Callable[[str], Log], name: str
    ) -> None:
        log = configure("trace")
        packet = '0/MDFile/metadata,{"secret":"needle"}'
        for text in (packet, f"4{packet}"):
            logging.getLogger(name).info("%s: Received packet %s data %s", "sid", "MESSAGE", text)
        events = [line["event"] for line in log.lines()]
        assert [event.rpartition(" ")[2] for event in events] == [
            "0/MDFile/metadata,{…}",
            "40/MDFile/metadata,{…}",
        ]

    @pytest.mark.parametrize(
        ("level", "name"),
        [(20, "info"), (25, "info"), (30, "warn"), (40, "error"), (50, "fatal"), (60, "fatal")],
    )
    def test_levels_have_our_names(self, log: Log, level: int, name: str) -> None:
        logging.getLogger("x").log(level, "x")
        assert log.line()["level"] == name

    async def test_exception_that_asyncio_reports(self, log: Log) -> None:
        loop = asyncio.get_running_loop()
        called = asyncio.Event()

        def fail() -> None:
            called.set()
            raise ValueError("lost")

        loop.call_soon(fail)
        await called.wait()
        line = log.line()
        assert line["name"] == "dmd-data.asyncio"
        assert line["exception"].endswith("ValueError: lost")

    def test_warnings_of_python(self, log: Log) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(False)
            logging.captureWarnings(True)
            warnings.warn("old", DeprecationWarning, stacklevel=1)
        assert "DeprecationWarning: old" in log.line()["event"]


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_log_goes_to_standard_output_by_default() -> None:
    done = run(
        "from shared.process.logs import configure_logging, get_logger\n"
        "logger = get_logger('early')\n"
        "configure_logging('p', 'info')\n"
        "logger.info('hello')\n"
    )
    assert json.loads(done.stdout)["name"] == "p.early"
    assert done.stderr == ""


def test_arguments_that_do_not_fit_their_format_are_no_error() -> None:
    done = run(
        "import logging\n"
        "from shared.process.logs import configure_logging\n"
        "configure_logging('p', 'info')\n"
        "logging.getLogger('x').warning('%d items', 'many')\n"
    )
    assert json.loads(done.stdout)["event"] == "%d items"
    assert done.stderr == ""


def test_socket_io_prints_nothing_of_its_own() -> None:
    done = run(
        "import logging, socketio\n"
        "from shared.process.logs import configure_logging\n"
        "configure_logging('p', 'info')\n"
        "server = socketio.AsyncServer(async_mode='asgi')\n"
        "for name in ('socketio.server', 'engineio.server'):\n"
        "    logging.getLogger(name).error('trouble')\n"
    )
    assert done.stderr == ""
    names = [json.loads(line)["name"] for line in done.stdout.splitlines()]
    assert names == ["p.socketio.server", "p.engineio.server"]


def test_reader_that_went_away_stops_the_log_and_not_the_service() -> None:
    done = run(
        "import os\n"
        "from shared.process.logs import configure_logging, get_logger\n"
        "read_fd, write_fd = os.pipe()\n"
        "os.close(read_fd)\n"
        "configure_logging('p', 'info', open(write_fd, 'wb', buffering=0))\n"
        "for _ in range(3):\n"
        "    get_logger().info('into the void')\n"
        "print('still here')\n"
    )
    assert (done.returncode, done.stdout) == (0, "still here\n")
