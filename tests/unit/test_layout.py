"""The rooms of the tree: who may use a module, and what its name means."""

from __future__ import annotations

from collections import defaultdict

import grimp
import pytest

_EVERY_PACKAGE = {"__init__", "__main__", "base", "cli", "errors"}
"""What a package may have of its own, and what it is for is the same in each: what it is as a
program, the protocol that its members follow, the errors that it raises."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("shared", "dmd", "s3front")


def test_a_module_of_shared_is_used_by_both_halves(graph: grimp.ImportGraph) -> None:
    halves = [
        {
            used
            for module in graph.modules
            if module.split(".")[0] == half
            for used in graph.find_upstream_modules(module)
        }
        for half in ("dmd", "s3front")
    ]
    shared = {module for module in graph.modules if module.split(".")[0] == "shared"}
    modules = {module for module in shared if not graph.find_children(module)}
    assert modules
    assert not modules - (halves[0] & halves[1])


def test_no_two_modules_share_a_name(graph: grimp.ImportGraph) -> None:
    places = defaultdict(list)
    for module in graph.modules:
        if not graph.find_children(module):
            places[module.rsplit(".")[-1]].append(module)
    several = {name: modules for name, modules in places.items() if len(modules) > 1}
    assert not {name: modules for name, modules in several.items() if name not in _EVERY_PACKAGE}
