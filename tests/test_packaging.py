"""What is installed from the wheel is what the checkout has: every file, both commands, and it runs."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.support.clients import Client, get
from tests.support.environments import Environment
from tests.support.paths import REPO
from tests.support.processes import child_environment
from tests.support.servers import served
from tests.support.tutorial import Tutorial

PACKAGES = ("compat", "django_shim")


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    env = child_environment()
    done = subprocess.run(command, env=env, capture_output=True, text=True, input="", check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(REPO))
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel in it, and the dependencies of the one that runs the tests."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    pip("--python", str(python), "install", "--quiet", "--no-deps", str(wheel))
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return Environment("installed", folder / "bin")


def test_every_file_is_in_the_wheel(wheel: Path) -> None:
    wanted = {
        path.relative_to(REPO).as_posix()
        for package in PACKAGES
        for path in (REPO / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pth"
    }
    missing = wanted - set(zipfile.ZipFile(wheel).namelist())
    assert not missing
    assert any(name.endswith(".lua") for name in wanted) and "compat/py.typed" in wanted


def test_nothing_else_is_in_the_wheel(wheel: Path) -> None:
    """No tests, no examples: only the packages, their metadata, and the line that looks for DJANGO_SHIM."""
    roots = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    others = {root for root in roots if root not in PACKAGES and not root.endswith(".dist-info")}
    assert others == {path.name for path in REPO.glob("django_shim/bootstrap/*.pth")}


def test_both_commands_are_installed(installed: Environment, tmp_path: Path) -> None:
    for command in ("django-shim", "channels-compat"):
        done = installed.run(command, "--help", cwd=tmp_path)
        assert done.returncode == 0 and command in done.stdout, done.stderr


def test_the_wheel_runs_the_tutorial(installed: Environment, tutorial: Tutorial, tmp_path: Path) -> None:
    where = installed.run("python", "-c", "import compat, django_shim; print(compat.__file__)", cwd=tmp_path)
    assert str(installed.bin.parent) in where.stdout, where.stderr
    # uvicorn's own command is not in this environment: python -m is the same.
    command = [installed.path("django-shim"), "python", "-m", "uvicorn", "mysite.asgi:application"]
    project = tutorial.project(layer="memory")
    with served([*command, "--port", "{port}"], cwd=project, log=tmp_path / "log") as server:
        assert '"lobby"' in get(server, "/chat/lobby/").text
        with Client(server, "/ws/chat/lobby/") as client:
            client.send_json({"message": "from the wheel"})
            assert client.receive_json() == {"message": "from the wheel"}
