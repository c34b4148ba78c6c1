"""Virtual environments that differ in what is installed, made once and kept in .cache/envs.

    bare      the one that runs the tests: neither Django nor channels
    django    Django
    channels  Django, channels, channels_redis and daphne, as a project that ports has them
    peers     fast-channels and Chanx, whose apps the pages of docs/port begin with
    upstream  what the extra [channels-redis] brings, and the tools that run these tests there
    kubernetes
              what knows the schemas of Kubernetes' objects
    hypercorn, daphne, granian, uvicorn-0.30, uvicorn-0.35
              another server, with nothing else but what tests.resume.app imports
    redis-N, redis-N-hiredis (REDIS_PY)
              the newest redis-py N, without and with its parser in C, and the same tools

The project is installed editable in each. An environment is named by a hash of what went into it, so that a
change of the requirements makes a new one; a lock file lets several test runs share the folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.choices import slow_but
from tests.support.paths import REPO
from tests.support.processes import child_environment
from tests.support.watched import HOOK

__all__ = [
    "ENVIRONMENTS",
    "REDIS_PY",
    "Environment",
    "environment",
    "in_each",
    "locked",
    "package",
    "watch_processes_of",
]


@dataclass(frozen=True)
class Recipe:
    """What an environment is made of."""

    requirements: tuple[str, ...]
    extras: str = "server,speed,templates"
    """Of this project."""
    since: tuple[int, int] = (3, 10)
    """The first version of Python on which it can be made."""


ENVIRONMENTS = ("bare", "django", "channels")
"""Those that a project may be run in."""


def in_each(names: Sequence[str] = ENVIRONMENTS) -> list[Any]:
    """The environments as parameters; "django" is slow, because "channels" has all that is in it."""
    return slow_but(("bare", "channels"), names)


DJANGO = ("django>=5.2,<6",)
TOOLS = (
    *("pytest>=9", "pytest-asyncio>=0.24", "pytest-timeout>=2.3"),
    *("httpx>=0.27", "hypothesis>=6.100", "selenium>=4.20"),
)
"""What tests/conftest.py and the tests of the layers import."""

REDIS_PY = tuple(f"redis-{major}{parser}" for major in (5, 6, 7, 8) for parser in ("", "-hiredis"))


def _redis_py(name: str) -> Recipe:
    _, major, *parser = name.split("-")
    requirements = (*TOOLS, f"redis>={major},<{int(major) + 1}", *(f"{package}>=3" for package in parser))
    return Recipe(requirements, extras="server,crypto")


OLD_FASTAPI = ("0.123.10", "0.124.0", "0.124.4")
"""Versions that read the annotations of dependencies each in its own way."""

RECIPES = {
    "django": Recipe(DJANGO),
    "channels": Recipe((*DJANGO, "channels==4.3.2", "channels_redis==4.3.0", "daphne>=4.2,<5")),
    # Chanx does not say that it needs the last two.
    "peers": Recipe(
        ("fastapi>=0.115", "fast-channels[redis]==1.1.0", "chanx==2.13.0", "pyhumps>=3.8", "structlog>=25"),
        since=(3, 11),
    ),
    "upstream": Recipe(TOOLS, extras="server,crypto,channels-redis"),
    # Not the extra [server]: newer versions of typer bring pydantic.
    "without-pydantic": Recipe((), extras="speed"),
    "pydantic-1": Recipe(("pydantic<2",), extras="speed"),
    "kubernetes": Recipe(("kubernetes-validate>=1.30", "pyyaml>=6"), extras=""),
    "hypercorn": Recipe(("hypercorn>=0.17",), extras="manager"),
    "daphne": Recipe(("daphne>=4.1",), extras="manager"),
    "granian": Recipe(("granian>=2.8",), extras="manager"),
    "uvicorn-0.30": Recipe(("uvicorn>=0.30,<0.31", "websockets>=12", "wsproto"), extras="manager"),
    "uvicorn-0.35": Recipe(("uvicorn>=0.35,<0.36", "websockets>=12", "wsproto"), extras="manager"),
    **{name: _redis_py(name) for name in REDIS_PY},
    **{f"fastapi-{version}": Recipe((f"fastapi=={version}",), extras="manager") for version in OLD_FASTAPI},
}
CACHE = REPO / ".cache" / "envs"


@dataclass(frozen=True)
class Environment:
    """A virtual environment: `run()` runs one of its commands, `path()` names it."""

    name: str
    bin: Path

    @property
    def python(self) -> str:
        return self.path("python")

    def path(self, command: str) -> str:
        return str(self.bin / command)

    def run(
        self,
        *command: str,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        deadline_s: float = 60.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of this environment to its end; the exit code is the caller's to judge."""
        return subprocess.run(
            [self.path(command[0]), *command[1:]],
            cwd=cwd,
            env=child_environment(env),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=deadline_s,
            check=False,
        )


def environment(name: str) -> Environment:
    """The environment of that name, made if it is not there yet (a minute, once), or the test is skipped."""
    if name == "bare":
        assert importlib.util.find_spec("django") is None, "the tests run where Django is not installed"
        return Environment("bare", Path(sys.executable).parent)
    recipe = RECIPES[name]
    if sys.version_info < recipe.since:
        pytest.skip(f"the packages of {name!r} need Python {'.'.join(map(str, recipe.since))}")
    folder = CACHE / f"{name}-{_fingerprint(recipe)}"
    with locked(CACHE / f"{name}.lock"):
        if not (folder / "complete").exists():
            _make(folder, recipe)
        watch_processes_of(folder)
    return Environment(name, folder / "bin")


def watch_processes_of(folder: Path) -> None:
    """Let the processes of the virtual environment in ``folder`` be watched where they are told to be."""
    (packages,) = folder.glob("lib/python*/site-packages")
    hook = packages / "tests_watch.pth"
    if not hook.exists() or hook.read_text(encoding="utf-8") != HOOK:
        hook.write_text(HOOK, encoding="utf-8")


def package(requirement: str) -> Path:
    """A folder with that one package, such as "asgiref==3.8.1", to put on PYTHONPATH."""
    folder = CACHE / requirement.replace("==", "-")
    with locked(CACHE / f"{folder.name}.lock"):
        if not folder.exists():
            _install("--no-deps", "--target", str(folder), requirement)
    return folder


def _fingerprint(recipe: Recipe) -> str:
    # What an installed project is made of: metadata, dependencies, the hatch tables; not the tools below.
    project = (REPO / "pyproject.toml").read_text(encoding="utf-8").partition("[tool.ruff]")[0]
    parts = (sys.version, str(REPO), recipe.extras, project, *recipe.requirements)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _make(folder: Path, recipe: Recipe) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _run(sys.executable, "-m", "venv", "--without-pip", str(folder))
    extras = f"[{recipe.extras}]" if recipe.extras else ""
    _install(*recipe.requirements, "--editable", f"{REPO}{extras}", into=folder)
    (folder / "complete").touch()


def _install(*what: str, into: Path | None = None) -> None:
    """Install with the pip of these tests; what is imported is compiled then."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    if into is not None:
        pip += ["--python", str(into / "bin" / "python")]
    _run(*pip, "install", "--quiet", "--no-compile", *what)


def _run(*command: str) -> None:
    env = child_environment()
    with _beyond_the_time_limit():
        done = subprocess.run(command, env=env, capture_output=True, text=True, input="", check=False)
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}"


@contextmanager
def _beyond_the_time_limit() -> Iterator[None]:
    """What is installed once does not count as time of the test that needs it first (pytest-timeout's)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    left_s, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left_s)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until no other test run has the lock file ``path``, and hold it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        with _beyond_the_time_limit():  # another lane may be installing
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
