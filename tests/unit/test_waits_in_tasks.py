"""What needs a task asks for one: handlers run in none (``shared.loop.eager``).

``asyncio.timeout`` and its like raise RuntimeError where there is no task, and only where the code
before them did not happen to wait in one, so that a test may miss it. This one finds such uses in
the source. The way out is the first of these that fits:

1. ``await in_a_task()`` (``shared.loop.eager``) in the same function, before. It costs a task, so
   it belongs behind what usually ends without waiting.
2. A deadline that needs no task: a future that ``loop.call_at`` or a ``Watch`` fails.
3. Where the function always runs in a task, or every caller awaits ``in_a_task`` first: a line in
   ``IN_TASKS`` that says why.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cache

from tests.servers import REPOSITORY

NEED_A_TASK = {"current_task", "timeout", "timeout_at", "wait_for", "TaskGroup"}
"""Of asyncio. (``wait_for`` needs one from Python 3.12 on.)"""

ONE_OF_THEM = re.compile("|".join(NEED_A_TASK))
"""What a file has in it that is worth to be parsed."""

ASKS = "in_a_task"

IN_TASKS = {
    # Not called by handlers.
    "s3front/iam/following.py:Following._ask": "a task that it makes",
    "s3front/iam/provider_documents.py:ProviderDocuments.keys": "a task of ProviderKeys",
    "s3front/process/identity_parts.py:IdentityParts.close": "the end of the process",
    "s3front/process/place_looks.py:PlaceLooks.*": "a task that it makes",
    "s3front/rpc/rpc_client.py:RpcClient._ask_what_it_can": "the connector's task",
    "s3front/rpc/rpc_connection.py:connect": "the connector's task",
    "s3front/rpc/rpc_connection.py:Connection.close": "the end of the process",
    "s3front/work/*": "background work: each worker is a task",
    "shared/http1/server.py:HttpServer.close": "the end of the process",
    "shared/loop/eager.py:in_a_task": "it is what asks",
    "shared/rpc/streams.py:Producer._wait_for_room": "a stream's task",
    "dmd/data/data_service.py:DataService.wait_idle": "the end of the process",
    "dmd/rpc/dispatch.py:Dispatcher.drain": "the end of the process",
    "dmd/rpc/lean_server.py:LeanServer.close": "the end of the process",
    "dmd/rpc/stock_server.py:*": "python-socketio's tasks",
    # Key services are asked by ``ResilientKeys``, which asks for a task.
    "s3front/keys/*": "ResilientKeys._ask, or a task of their own",
    # Places are asked by ``ResilientStore._ask`` and ``GuardedBody``, which ask for a task.
    "s3front/locations/resilience.py:ResilientStore._answer": "ResilientStore._ask",
    "s3front/locations/resilience.py:ResilientStore.look": "the task of a look, or a command's",
    "s3front/locations/aws_credentials.py:*": "a task that it makes",
    "s3front/locations/azure.py:*": "ResilientStore._ask",
    "s3front/locations/bootstrap.py:*": "ResilientStore._ask",
    "s3front/locations/http_client.py:*": "ResilientStore._ask",
}
"""File and function, or all that begins like it, and in whose task it runs."""


def test_whatever_needs_a_task_asks_for_one() -> None:
    wrong = [use for use in uses_without_asking() if not any(map(use.startswith, _begins()))]
    assert not wrong, f"await in_a_task() before: {', '.join(wrong)} (see {__file__})"


def test_no_exception_is_left_over() -> None:
    found = uses_without_asking()
    assert not [name for name in _begins() if not any(use.startswith(name) for use in found)]


def test_a_use_is_found_however_it_is_written() -> None:
    source = """
import asyncio
from asyncio import timeout as limit

async def bare(): await asyncio.wait_for(x(), 1)
async def named():
    async with limit(1): ...
async def asked():
    await in_a_task()
    async with asyncio.timeout(1): ...
async def asked_elsewhere():
    await eager.in_a_task()
    def inner(): asyncio.current_task()
async def asked_too_late():
    async with asyncio.timeout(1): await in_a_task()
"""
    found = [name for name, _ in _uses(ast.parse(source))]
    assert found == ["bare", "named", "asked_elsewhere.inner", "asked_too_late"]


def _begins() -> list[str]:
    return [name.removesuffix("*") for name in IN_TASKS]


@cache
def uses_without_asking() -> Sequence[str]:
    """File and function of each."""
    return [
        f"{path.relative_to(REPOSITORY)}:{function}"
        for half in ("s3front", "dmd", "shared")
        for path in sorted((REPOSITORY / half).rglob("*.py"))
        if ONE_OF_THEM.search(text := path.read_text())
        for function, _ in _uses(ast.parse(text))
    ]


def _uses(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Qualified function and line of each use that is not behind an ``await in_a_task()``."""
    imported = {
        name.asname or name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "asyncio"
        for name in node.names
        if name.name in NEED_A_TASK
    }
    yield from _uses_in(tree, "", imported)


def _uses_in(scope: ast.AST, name: str, imported: set[str]) -> Iterator[tuple[str, int]]:
    own: list[ast.AST] = list(ast.iter_child_nodes(scope))
    asks, needs = [], []
    while own:
        node = own.pop(0)
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _uses_in(node, f"{name}.{node.name}".removeprefix("."), imported)
            continue
        if isinstance(node, ast.Call):
            called = node.func
            if ASKS in (getattr(called, "attr", None), getattr(called, "id", None)):
                asks.append(node.lineno)
            elif _needs_a_task(called, imported):
                needs.append(node.lineno)
        own += ast.iter_child_nodes(node)
    if needs and not any(line < min(needs) for line in asks):
        yield name, min(needs)


def _needs_a_task(called: ast.expr, imported: set[str]) -> bool:
    if isinstance(called, ast.Name):
        return called.id in imported
    return (
        isinstance(called, ast.Attribute)
        and called.attr in NEED_A_TASK
        and isinstance(called.value, ast.Name)
        and called.value.id == "asyncio"
    )
