"""Virtual environments with and without Django and Channels, made once and kept in .cache/envs.

    bare      the one that runs the tests: neither Django nor channels
    django    Django
    channels  Django, channels, channels_redis and daphne, as a project that ports has them

The project is installed editable in each. An environment is named by a hash of what went into it, so that a
change of the requirements makes a new one; a lock file lets several test runs share the folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import REPO
from tests.support.processes import child_environment

__all__ = ["ENVIRONMENTS", "Environment", "environment"]

DJANGO = ("django>=5.2,<6",)
REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "django": DJANGO,
    "channels": (*DJANGO, "channels==4.3.2", "channels_redis==4.3.0", "daphne>=4.2,<5"),
}
PROJECT_EXTRAS = "server,speed,templates"
ENVIRONMENTS = ("bare", *REQUIREMENTS)
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
    """The environment of that name, made now if it is not there yet (a minute, once)."""
    if name == "bare":
        assert importlib.util.find_spec("django") is None, "the tests run where Django is not installed"
        return Environment("bare", Path(sys.executable).parent)
    requirements = REQUIREMENTS[name]
    folder = CACHE / f"{name}-{_fingerprint(requirements)}"
    with _locked(CACHE / f"{name}.lock"):
        if not (folder / "complete").exists():
            _make(folder, requirements)
    return Environment(name, folder / "bin")


def _fingerprint(requirements: tuple[str, ...]) -> str:
    # What an installed project is made of: metadata, dependencies, the hatch tables; not the tools below.
    project = (REPO / "pyproject.toml").read_text(encoding="utf-8").partition("[tool.ruff]")[0]
    parts = (sys.version, str(REPO), PROJECT_EXTRAS, project, *requirements)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _make(folder: Path, requirements: tuple[str, ...]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _run(sys.executable, "-m", "venv", str(folder))
    pip = (str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    _run(*pip, "--upgrade", "pip>=25.1")
    _run(*pip, *requirements, "--editable", f"{REPO}[{PROJECT_EXTRAS}]")
    (folder / "complete").touch()


def _run(*command: str) -> None:
    env = child_environment()
    done = subprocess.run(command, env=env, capture_output=True, text=True, input="", check=False)
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
