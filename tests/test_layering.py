"""Which module may import which: three rings that point inwards, no Django below the shim, light imports.

    pure      no await, no clock, no randomness, no I/O: strings and values in, strings and values out
    drivers   everything else in compat: they await Redis, ASGI servers, threads
    glue      the command line, helpers for other frameworks and for tests; and all of django_shim
"""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.paths import REPO
from tests.support.processes import child_environment

PURE = {
    "compat.converters",
    "compat.cookies",
    "compat.exceptions",
    "compat.handlers",
    "compat.lazy",
    "compat.names",
    "compat.patterns",
    "compat.types",
    "compat.layers.copies",
    "compat.layers.redis.keys",
}
GLUE = ("compat.cli", "compat.fastapi", "compat.testing", "compat.typed.testing", "django_shim")
IMPURE_LIBRARY = {"asyncio", "os", "random", "secrets", "socket", "subprocess", "threading", "time"}
FOREIGN = {"channels", "channels_redis", "daphne", "django", "django_shim"}
HEAVY = {"django", "fastapi", "jinja2", "libcst", "msgpack", "redis", "typer", "uvicorn"}


def modules() -> dict[str, Path]:
    """Every module of both packages by its dotted name (the mirrors and the subset of Django included)."""
    found = {}
    for package in ("compat", "django_shim"):
        for path in sorted((REPO / package).rglob("*.py")):
            parts = path.relative_to(REPO).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
COMPAT = sorted(name for name in MODULES if name.split(".")[0] == "compat")


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def imported(name: str) -> Iterator[str]:
    """The modules that `name` imports anywhere, functions included, what is for types alone left out."""
    for node in runtime_nodes(tree(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            module = node.module or ""
            yield module
            names = [f"{module}.{alias.name}" for alias in node.names]
            yield from (name for name in names if name in MODULES)


def runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from runtime_nodes(child)


def ring(name: str) -> int:
    """0 pure, 1 drivers, 2 glue."""
    if name in PURE:
        return 0
    return 2 if any(name == glue or name.startswith(f"{glue}.") for glue in GLUE) else 1


@pytest.mark.parametrize("name", COMPAT)
def test_imports_point_inwards(name: str) -> None:
    outwards = [other for other in imported(name) if other in MODULES and ring(other) > ring(name)]
    assert not outwards, f"{name} imports from an outer ring: {outwards}"


@pytest.mark.parametrize("name", sorted(PURE & set(MODULES)))
def test_the_pure_ring_neither_waits_nor_looks_around(name: str) -> None:
    impure = {other.split(".")[0] for other in imported(name)} & IMPURE_LIBRARY
    assert not impure, f"{name} imports {impure}"
    waits = [node for node in ast.walk(tree(name)) if isinstance(node, ast.AsyncFunctionDef | ast.Await)]
    protocol_bodies = [node for node in waits if ast.unparse(node).rstrip().endswith("...")]
    assert len(waits) == len(protocol_bodies), f"{name} awaits"


@pytest.mark.parametrize("name", COMPAT)
def test_compat_never_imports_django_or_the_shim(name: str) -> None:
    foreign = [other for other in imported(name) if other.split(".")[0] in FOREIGN]
    assert not foreign, f"{name} imports {foreign}"


@pytest.mark.parametrize("name", COMPAT)
def test_every_module_says_what_it_is_and_what_it_offers(name: str) -> None:
    assert ast.get_docstring(tree(name)), f"{name} has no docstring"
    assert any(
        isinstance(node, ast.Assign | ast.AnnAssign) and "__all__" in ast.unparse(node).split("=")[0]
        for node in tree(name).body
    ), f"{name} has no __all__"


def test_what_is_offered_exists() -> None:
    """Every name in an __all__ is there, and importing all of compat warns of nothing."""
    code = (
        "import importlib\n"
        f"for name in {COMPAT!r}:\n"
        "    module = importlib.import_module(name)\n"
        "    missing = [n for n in module.__all__ if not hasattr(module, n)]\n"
        "    assert not missing, (name, missing)\n"
        "    assert len(set(module.__all__)) == len(module.__all__), name\n"
    )
    run_python("-W", "error", "-c", code)


def test_import_compat_loads_nothing_that_it_may_not_need() -> None:
    loaded = set(run_python("-c", "import sys, compat; print(*sys.modules)").split())
    assert not HEAVY & loaded


def test_consumers_and_memory_layer_load_no_redis_client() -> None:
    code = (
        "import sys, compat.generic.websocket, compat.routing, compat.layers as layers\n"
        "layers.InMemoryChannelLayer()\n"
        "print(*sys.modules)"
    )
    assert not (HEAVY & set(run_python("-c", code).split()))


def test_the_core_depends_on_no_django() -> None:
    installed = closure("channels-compat", extras=())
    assert {"starlette", "asgiref", "redis", "msgpack"} <= installed
    assert not {"django", "channels", "channels-redis", "daphne", "twisted"} & installed


EXTRAS = ("fastapi", "server", "speed", "templates", "port", "crypto", "sessions", "metrics", "all")


@pytest.mark.parametrize("extra", EXTRAS)
def test_no_extra_but_django_brings_django(extra: str) -> None:
    installed = closure("channels-compat", extras=(extra,))
    assert not {"django", "channels", "channels-redis", "daphne"} & installed


def closure(distribution: str, extras: tuple[str, ...]) -> set[str]:
    """What is installed with a distribution: its requirements and theirs, by normalized name."""
    seen: set[tuple[str, str]] = set()
    queue = [(distribution, extra) for extra in ("", *extras)]
    while queue:
        name, extra = queue.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # a requirement for another platform
        for text in requires:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                dependency = requirement.name.lower().replace("_", "-")
                queue += [(dependency, wanted) for wanted in ("", *requirement.extras)]
    return {name for name, _ in seen} - {distribution}


def run_python(*arguments: str) -> str:
    """stdout of a fresh interpreter that has the checkout's packages."""
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=REPO, env=child_environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
