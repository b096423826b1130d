"""A directory to put configuration files in, and a way to load what is there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.config import Config, ConfigError, load_config


class Installation:
    """A configuration directory, and the environment of the process that is started in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, name: str, content: object) -> Path:
        """Writes a file: a string as it is, anything else as JSON."""
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def load(self, environ: Mapping[str, str] | None = None) -> Config:
        return load_config(environ or {}, self.directory)

    def settings(self, **keys: Any) -> Config:
        """Loads a config.json of these keys."""
        self.write("config.json", keys)
        return self.load()

    def refusal(self, environ: Mapping[str, str] | None = None, **keys: Any) -> str:
        """The message that refuses a config.json of these keys, or this environment."""
        if keys:
            self.write("config.json", keys)
        with pytest.raises(ConfigError) as caught:
            self.load(environ)
        message = str(caught.value)
        assert "\n" not in message
        return message


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path)
