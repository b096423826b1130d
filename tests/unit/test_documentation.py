"""The documentation names all that users can set, call or run, and its links lead somewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from msgspec.structs import fields

from s3front.authz.condition_keys import KEYS
from s3front.locations.registry import TYPES
from s3front.operations import routes
from s3front.query_api.families import SERVICES
from shared.config import Settings
from shared.config import environment as environment_module
from shared.config import loader as loader_module
from tests.servers import REPOSITORY

DOCUMENTS = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    *REPOSITORY.glob("docs/*.md"),
]
CONFIGURATION = (REPOSITORY / "docs" / "configuration.md").read_text()
ACCESS = (REPOSITORY / "docs" / "access.md").read_text()
_VARIABLE = re.compile(
    r'"((?:S3|DMD|SCALITY|REDIS|HEALTHCHECKS|LISTEN|DAEMON|DATA|METADATA|ENDPOINT|SSL|LOG|'
    r'REPLICATION|RECORDLOG)[A-Z0-9_]*)"'
)


def config_keys() -> list[str]:
    """Every key of config.json, and those of the sections that name a daemon."""
    keys = []
    for field in fields(Settings):
        keys.append(field.encode_name)
        if field.name.endswith(("daemon", "client", "record_log")):
            keys += [part.encode_name for part in fields(field.type)]
    return keys


def variables() -> set[str]:
    """Every environment variable that the configuration reads."""
    found: set[str] = set()
    for module in (environment_module, loader_module):
        assert module.__file__ is not None
        found |= set(_VARIABLE.findall(Path(module.__file__).read_text()))
    return found - {"REDIS_HOST", "REDIS_PORT"}  # read, but without effect in this version


@pytest.mark.parametrize("key", config_keys())
def test_every_configuration_key_is_documented(key: str) -> None:
    assert re.search(rf"[`\"]{re.escape(key)}[`\"]", CONFIGURATION)


@pytest.mark.parametrize("name", sorted(variables()))
def test_every_variable_is_documented(name: str) -> None:
    assert f"`{name}`" in CONFIGURATION


@pytest.mark.parametrize("key", sorted(KEYS))
def test_every_condition_key_is_documented(key: str) -> None:
    assert f"`{key}`" in ACCESS.lower()


@pytest.mark.parametrize("name", TYPES)
def test_every_type_of_locations_is_documented(name: str) -> None:
    assert f"\n| `{name}` |" in CONFIGURATION.partition("## locationConfig.json")[2]


def test_every_operation_is_in_the_compatibility_table() -> None:
    text = (REPOSITORY / "docs" / "compatibility.md").read_text()
    missing = [name for name in routes().names() if name not in text]
    assert missing == []


def test_every_call_is_in_the_compatibility_document() -> None:
    text = (REPOSITORY / "docs" / "compatibility.md").read_text()
    calls = [name for service in SERVICES.values() for name in service.calls]
    assert [name for name in calls if re.search(rf"[ |]{name}[, ]", text) is None] == []


def test_every_client_that_is_tested_is_in_the_compatibility_document() -> None:
    clients = REPOSITORY / "tests" / "clients"
    packages = json.loads((clients / "node" / "package.json").read_text())["dependencies"]
    requirements = (clients / "requirements.txt").read_text()
    names = [*packages, *re.findall(r"^([a-z0-9-]+)", requirements, re.MULTILINE)]
    names += [module.parent.name for module in (clients / "go").glob("*/go.mod")]
    known = {"s5cmd", "restic", "s3cmd", "minio", "@aws-sdk/client-s3"}
    assert {"boto3", "aws-cli", *names} >= known
    text = (REPOSITORY / "docs" / "compatibility.md").read_text()
    assert [name for name in ("boto3", "aws-cli", *names) if name not in text] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_make_target_that_is_documented_exists() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z_-]+):", makefile, re.MULTILINE))
    named = {
        target
        for document in DOCUMENTS
        for target in re.findall(r"^    make ([a-z_-]+)", document.read_text(), re.MULTILINE)
    }
    assert named
    assert named <= targets
