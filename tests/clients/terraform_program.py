"""The real ``terraform`` program with its provider for AWS.

No package registry has either, so they are used where they are installed: the program in the path,
and the provider in a folder that mirrors Terraform's registry, which ``TERRAFORM_MIRROR`` names or
which is where such folders usually are.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tests.clients.program import Finished, Program
from tests.servers import ACCESS_KEY, REPOSITORY, SECRET_KEY

_PROVIDER = Path("registry.terraform.io", "hashicorp", "aws")
_CONFIGURATION = REPOSITORY / "tests" / "clients" / "terraform"


def _mirrors() -> Iterator[Path]:
    """Where a mirror may be (Terraform's documentation, "Implied local mirror directories")."""
    named = os.environ.get("TERRAFORM_MIRROR")
    if named:
        yield Path(named)
    for base in (Path.home(), Path("/usr/local/share"), Path("/usr/share")):
        yield from (base / ".terraform.d" / "plugins", base / "terraform" / "plugins")
    yield from Path("/opt").glob("*")


def missing() -> str | None:
    """What this machine lacks of it; None: nothing."""
    if shutil.which("terraform") is None:
        return "terraform is not installed"
    if _mirror() is None:
        return "no folder has Terraform's provider for AWS: set TERRAFORM_MIRROR"
    return None


def _mirror() -> Path | None:
    return next((path for path in _mirrors() if (path / _PROVIDER).is_dir()), None)


@dataclass(frozen=True)
class Terraform(Program):
    """``terraform`` on a copy of a configuration; ``name`` begins the names of all it makes."""

    deadline_seconds: ClassVar[float] = 400.0

    name: str = "terraform"

    @property
    def argv(self) -> list[str]:
        return ["terraform"]

    @property
    def settings(self) -> dict[str, str]:
        rules = self.folder / "rules.tfrc"
        mirror = json.dumps(str(_mirror()))
        rules.write_text(
            f"provider_installation {{\n  filesystem_mirror {{ path = {mirror} }}\n}}\n"
        )
        return {
            "TF_CLI_CONFIG_FILE": str(rules),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            "TF_VAR_endpoint": self.front.url,
            "TF_VAR_name": self.name,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def prepare(self, configuration: str) -> None:
        """Make one of the configurations ready to be applied."""
        shutil.copy(_CONFIGURATION / configuration, self.folder)
        self.run("init", "-no-color", "-input=false")

    def apply(self, step: str) -> None:
        self.run("apply", "-no-color", "-input=false", "-auto-approve", f"-var=step={step}")

    def plan(self, step: str) -> Finished:
        """0: nothing is to be changed, 2: something is."""
        return self.try_(
            "plan", "-no-color", "-input=false", "-detailed-exitcode", f"-var=step={step}"
        )

    def destroy(self, step: str) -> None:
        self.run("destroy", "-no-color", "-input=false", "-auto-approve", f"-var=step={step}")

    def outputs(self) -> dict[str, Any]:
        found = self.run("output", "-json").document
        return {name: output["value"] for name, output in found.items()}
