"""Which folder may import from which: rooms in a row, no Django below the shim, light imports.

    values      types, names, exceptions; a clock, settings, counters, the seam to a framework
    redis       the Redis client                      advice      what is said about mistakes
    client      clients of resumable connections
    engine      what runs a consumer                  layers      channel layers
    resume      connections that outlive sockets      fallback    requests in place of sockets
    consumer    consumers, their security             routing     routers, sessions, authentication
    testing     communicators                         typed       typed consumers, the connection manager
    cli         the command line                      (and all of django_shim)

A room imports from those before it in the list, and from itself, inside of functions and for types alone too.
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

ROOMS = (
    (
        "clock",
        "codes",
        "cookies",
        "db",
        "exceptions",
        "forks",
        "integration",
        "json_size",
        "lazy",
        "logs",
        "metrics",
        "names",
        "settings",
        "subprotocols",
        "tickets",
        "timings",
        "tracing",
        "types",
        "utils",
    ),
    ("redis", "advice", "client"),
    ("patterns",),
    ("engine",),
    ("layers",),
    ("resume",),
    ("fallback",),
    ("closing", "consumer", "fleet", "generic", "limits", "middleware", "otel", "presence", "security"),
    ("auth", "prometheus", "routing", "sessions", "tokens", "worker"),
    ("session_cookies", "session_layer", "session_memory"),
    ("configured", "fastapi", "health", "live", "publish", "testing"),
    ("manager", "typed"),
    ("cli",),
)
PURE = {
    "compat.advice.handlers",
    "compat.client.exchange",
    "compat.client.frames",
    "compat.client.timing",
    "compat.exceptions",
    "compat.names",
    "compat.patterns.converters",
    "compat.patterns",
    "compat.cookies",
    "compat.lazy",
    "compat.types",
    "compat.layers.copies",
    "compat.layers.redis.keys",
}
MOST_LINES, FEWEST_LINES = 350, 25
PUBLIC_NAMES = {
    "compat.limits",
    "compat.session_cookies",
    "compat.session_layer",
    "compat.session_memory",
    "compat.tokens",
    "django_shim.pytest_plugin",
}
"""Modules that are there for their documented name alone."""
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
    """The modules that `name` imports anywhere: in functions, and for types alone, too."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names]
            modules = [name for name in names if name in MODULES]
            yield from modules or [module]


def room(name: str) -> int:
    """The number of a module's room; the package itself is the last."""
    part = name.split(".")[1] if "." in name else ""
    return next((number for number, parts in enumerate(ROOMS) if part in parts), len(ROOMS))


def test_every_module_has_a_room() -> None:
    assert [name for name in COMPAT if room(name) == len(ROOMS)] == ["compat"]


@pytest.mark.parametrize("name", COMPAT)
def test_imports_point_to_rooms_before(name: str) -> None:
    ours = (other for other in imported(name) if other.startswith("compat."))
    later = [other for other in ours if room(other) > room(name)]
    assert not later, f"{name} imports from a later room: {later}"


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


def lines(name: str) -> int:
    return len(MODULES[name].read_text(encoding="utf-8").splitlines())


def test_no_module_is_long() -> None:
    ours = [name for name in MODULES if not name.startswith("django_shim.django.")]
    long = {name: lines(name) for name in ours if lines(name) > MOST_LINES}
    assert not long, f"more than {MOST_LINES} lines: {long}; divide them by idea"


def test_no_module_is_short() -> None:
    """A mirror and the subset of Django follow other packages, and an alias is as short as it can be."""
    ours = [name for name in MODULES if not name.startswith(("django_shim.django.", "django_shim.packages."))]
    files = [name for name in ours if MODULES[name].stem not in ("__init__", "__main__")]
    short = {name: lines(name) for name in files if name not in PUBLIC_NAMES and lines(name) < FEWEST_LINES}
    assert not short, f"fewer than {FEWEST_LINES} lines: {short}; put them where they are used"


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


EXTRAS = ("fastapi", "server", "speed", "templates", "port", "crypto", "sessions", "metrics", "client", "all")


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
