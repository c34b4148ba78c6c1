"""What is released: built twice to the same bytes, whole, and running on each Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import compat
from tests.support.clients import Client, get
from tests.support.environments import Environment
from tests.support.paths import REPO
from tests.support.processes import child_environment
from tests.support.servers import served
from tests.support.tutorial import Tutorial

PACKAGES = ("compat", "django_shim")
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


def run(*command: str, cwd: Path | None = None, umask: int = -1, **env: str) -> str:
    """stdout of a command that must succeed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=child_environment(env),
        umask=umask,
        capture_output=True,
        text=True,
        input="",
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
    return done.stdout


def pip(*arguments: str) -> None:
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(REPO))
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode("utf-8"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel in it, and the dependencies of the one that runs the tests."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", str(folder))
    python = folder / "bin" / "python"
    pip("--python", str(python), "install", "--quiet", "--no-deps", str(wheel))
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return Environment("installed", folder / "bin")


# What is inside


def test_every_file_is_in_the_wheel(wheel: Path) -> None:
    wanted = {
        path.relative_to(REPO).as_posix()
        for package in PACKAGES
        for path in (REPO / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pth"
    }
    missing = wanted - set(zipfile.ZipFile(wheel).namelist())
    assert not missing
    assert any(name.endswith(".lua") for name in wanted)
    assert {f"{package}/py.typed" for package in PACKAGES} <= wanted


def test_nothing_else_is_in_the_wheel(wheel: Path) -> None:
    """No tests, no examples: only the packages, their metadata, and the line that looks for DJANGO_SHIM."""
    roots = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    others = {root for root in roots if root not in PACKAGES and not root.endswith(".dist-info")}
    assert others == {path.name for path in REPO.glob("django_shim/bootstrap/*.pth")}


def test_the_licence_is_named_and_inside(wheel: Path, metadata: Message) -> None:
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata.get_all("License-File") == ["LICENSE"]
    (name,) = (name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("/licenses/LICENSE"))
    assert zipfile.ZipFile(wheel).read(name) == (REPO / "LICENSE").read_bytes()


def test_the_version_has_one_place(metadata: Message, installed: Environment, tmp_path: Path) -> None:
    """``compat.__version__``; what is built, both commands and the changelog follow it."""
    version = compat.__version__
    assert metadata["Version"] == version
    assert installed.run("channels-compat", "--version", cwd=tmp_path).stdout.split()[-1] == version
    assert f"channels-compat {version}" in installed.run("django-shim", "--version", cwd=tmp_path).stdout
    headings = re.findall(r"^## (\S+?)(?:,| |$)", (REPO / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == version
    plain = (REPO / "pyproject.toml").read_text(encoding="utf-8")
    assert 'dynamic = ["version"]' in plain and not re.search(r"^version *=", plain, re.MULTILINE)


def test_the_metadata_say_what_an_index_shows(metadata: Message) -> None:
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert str(metadata.get_payload()) == (REPO / "README.md").read_text(encoding="utf-8")
    assert metadata["Requires-Python"] == f">={PYTHONS[0]}"
    classifiers = metadata.get_all("Classifier") or []
    assert {f"Programming Language :: Python :: {python}" for python in PYTHONS} <= set(classifiers)
    assert "Typing :: Typed" in classifiers


def test_the_changelog_tells_how_to_adapt() -> None:
    """Each release has its breaks first, each with a way to adapt, and then what is new."""
    text = (REPO / "CHANGELOG.md").read_text(encoding="utf-8")
    for release in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        sections = re.findall(r"^### (.+)$", release, re.MULTILINE)
        assert sections[0] == "How to adapt" and "New" in sections, release.splitlines()[0]


# The build


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with the tools that ``scripts/build`` installs."""
    folder = tmp_path_factory.mktemp("builder")
    run(sys.executable, "-m", "venv", str(folder))
    python = folder / "bin" / "python"
    run(str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q", "build>=1.2", "twine>=6")
    return python


def checkout(folder: Path) -> Path:
    """The files that git has or would add, as somebody else's checkout has them."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=REPO)
    for name in filter(None, listed.split("\0")):
        if (REPO / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPO / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def builds(builder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two: by people with different clocks, rights and time zones, of the same commit."""
    built = []
    for umask, zone, age in ((0o022, "UTC", 0), (0o077, "Asia/Kolkata", 10**8)):
        folder = checkout(tmp_path_factory.mktemp("checkout"))
        for path in (folder, *folder.rglob("*")):
            os.utime(path, (1_600_000_000 - age, 1_600_000_000 - age))
        epoch = {"SOURCE_DATE_EPOCH": "1700000000", "TZ": zone}
        run(str(builder), "-m", "build", cwd=folder, umask=umask, **epoch)
        built.append(folder / "dist")
    return built


@pytest.mark.slow
def test_two_builds_are_the_same_bytes(builds: list[Path]) -> None:
    one, other = ({path.name: path.read_bytes() for path in dist.iterdir()} for dist in builds)
    assert sorted(one) == sorted(other) and len(one) == 2
    assert [name for name in one if one[name] != other[name]] == []


@pytest.mark.slow
def test_twine_accepts_both(builder: Path, builds: list[Path]) -> None:
    files = [str(path) for path in builds[0].iterdir()]
    assert run(str(builder), "-m", "twine", "check", "--strict", *files).count("PASSED") == 2


@pytest.mark.slow
def test_the_sdist_has_what_a_packager_needs(builds: list[Path]) -> None:
    (sdist,) = builds[0].glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    inside = {member.name.partition("/")[2] for member in members}
    wanted = ("LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "pyproject.toml", "Makefile")
    assert {*wanted, "scripts/test", "tests/conftest.py", "compat/py.typed", "docs/design.md"} <= inside
    assert {member.uname for member in members} | {member.gname for member in members} <= {""}
    assert {member.mtime for member in members} == {1700000000}


def test_the_script_builds_so() -> None:
    """``make build`` is what the tests above do: the commit's time, both archives, twine's check."""
    script = (REPO / "scripts" / "build").read_text(encoding="utf-8")
    assert "git log -1 --format=%ct" in script and "SOURCE_DATE_EPOCH" in script
    assert "-m build" in script and "twine check --strict dist/*" in script


# What is installed


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


IMPORTS = """
import compat, compat.fastapi, compat.generic.websocket, compat.layers.redis.core, compat.layers.redis.pubsub
import compat.typed, compat.testing, compat.worker, compat.auth, compat.advice.unawaited, django_shim
django_shim.install()
import channels.layers, channels_redis.core, daphne, django.urls
print(compat.__file__)
"""


def interpreter(version: str) -> str | None:
    """A Python of that version: this one, one of pyenv's, or one on PATH."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [
        sys.executable,
        *map(str, sorted(pyenv.glob(f"{version}.*/bin/python"))),
        f"python{version}",
    ]
    for candidate in candidates:
        path = shutil.which(candidate)
        ask = "import sys; print('{}.{}'.format(*sys.version_info))"
        if path is None:
            continue
        done = subprocess.run([path, "-c", ask], capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:
            return path
    return None


@pytest.fixture(scope="module", params=PYTHONS)
def fresh(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Environment]:
    """The wheel with its extras [server] and [templates], installed as a user does, on each Python."""
    version = request.param
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    folder = tmp_path_factory.mktemp(f"python{version}")
    run(python, "-m", "venv", str(folder))
    inside = Environment(f"python {version}", folder / "bin")
    install = ("-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    run(inside.python, *install, f"{wheel}[server,templates]")
    yield inside
    shutil.rmtree(folder)


@pytest.mark.slow
def test_on_each_python_it_imports_and_its_commands_answer(fresh: Environment, tmp_path: Path) -> None:
    done = fresh.run("python", "-W", "error", "-c", IMPORTS, cwd=tmp_path)
    assert done.returncode == 0 and str(fresh.bin.parent) in done.stdout, done.stderr
    for command in ("django-shim", "channels-compat"):
        answer = fresh.run(command, "--help", cwd=tmp_path)
        assert answer.returncode == 0 and command in answer.stdout, answer.stderr
    installed = fresh.run("python", "-m", "pip", "check", cwd=tmp_path)
    assert installed.returncode == 0, installed.stdout


@pytest.mark.slow
def test_on_each_python_the_tutorials_first_step_echoes(
    fresh: Environment, tutorial: Tutorial, tmp_path: Path
) -> None:
    command = [fresh.path("django-shim"), "uvicorn", "mysite.asgi:application", "--port", "{port}"]
    with served(command, cwd=tutorial.project(step="echo"), log=tmp_path / "log") as server:
        assert '"lobby"' in get(server, "/chat/lobby/").text
        with Client(server, "/ws/chat/lobby/") as client:
            client.send_json({"message": "hello"})
            assert client.receive_json() == {"message": "hello"}
