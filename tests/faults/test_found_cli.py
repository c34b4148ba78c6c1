"""The command line over folders that somebody made to hurt: it ends, and writes and runs nothing outside."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from compat.cli.app import app
from django_shim import launcher
from tests.hostile.trees import PORTABLE, TREES, git, good
from tests.shim.running import write
from tests.support.clients import Client, Refused
from tests.support.environments import Environment, environment
from tests.support.paths import REPO
from tests.support.processes import child_environment
from tests.support.servers import served

PORTED = "from compat.layers import get_channel_layer\n"
WITHIN_S = 60.0
COMMANDS = {
    "check": ("check", "."),
    "check for GitHub": ("check", ".", "--format", "github"),
    "check as JSON": ("check", ".", "--json"),
    "port": ("port", "."),
    "port --write": ("port", ".", "--write", "--force"),
    "doctor": ("doctor", "main:app"),
    "layers": ("layers",),
}


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    yield good(tmp_path / "tree")
    # By a program without recursion: pytest's own clearing up fails on what is deeper than Python's stack.
    subprocess.run(["rm", "-rf", tmp_path / "tree"], check=True)


def run(bare: Environment, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command that ends in time, by itself and without a traceback, having shown nothing unprintable."""
    env: Mapping[str, str] = {"PYTHONWARNINGS": "default"}
    done = bare.run("channels-compat", *arguments, cwd=folder, env=env, deadline_s=WITHIN_S)
    assert done.returncode in (0, 1, 3, 4), done.stderr
    assert "Traceback" not in done.stderr
    assert_printable(done.stdout + done.stderr)
    return done


def invoke(*arguments: object) -> Any:
    """The same in this process: for what cannot end it."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert_printable(done.output)
    return done


def assert_printable(said: str) -> None:
    hidden = {char for char in said if unicodedata.category(char) in ("Cc", "Cf") and char not in "\n\t"}
    assert not hidden


def made(tree: Path, *names: str) -> Path:
    for name in names:
        TREES[name](good(tree / name))
    return tree


def test_faults_security_small_trees_are_looked_at_to_the_end(tree: Path, bare: Environment) -> None:
    names = [name for name in TREES if name != "repository"]
    made(tree, *names)
    checked = json.loads(run(bare, tree, "check", ".", "--json").stdout)
    status = {one["path"]: one["status"] for one in checked["files"]}
    assert {status[f"{name}/good.py"] for name in names} == {"runs"}
    for name in ("file_links/circle.py", "pipes/pipe.py", "devices/zero.py", "nested_code/signs.py"):
        assert status[name] == "unknown"
    run(bare, tree, "port", ".", "--write", "--force")
    assert {(tree / name / "good.py").read_text() for name in names} == {PORTED}


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", TREES)
def test_faults_security_small_trees_one_by_one(
    name: str, command: str, tree: Path, bare: Environment
) -> None:
    TREES[name](tree)
    run(bare, tree, *COMMANDS[command])
    assert (tree / "good.py").read_text() == (PORTED if command == "port --write" else PORTABLE)
    assert not (tree.parent / "was-run").exists()
    assert all(text == PORTABLE for text in outside(tree))


def outside(tree: Path) -> Iterator[str]:
    return (file.read_text() for file in (*tree.parent.glob("*.py"), *tree.parent.glob("outside/*.py")))


def test_faults_security_small_port_symlinks(tree: Path) -> None:
    TREES["file_links"](tree)
    (tree / "folders").mkdir()
    done = invoke("port", tree, "--write", "--force")
    assert list(outside(tree)) == [PORTABLE]
    assert (tree / "hard.py").read_text() == PORTED
    assert (tree / "inside.py").is_symlink()
    assert "out.py: not changed, because it is a link out of the folder" in done.stderr
    named = invoke("port", tree / "out.py", "--write", "--force")
    assert list(outside(tree)) == [PORTABLE]
    assert "it is a link to" in named.stderr


def test_faults_security_small_port_keeps_the_mode_of_a_file(tree: Path) -> None:
    (tree / "good.py").chmod(0o750)
    invoke("port", tree, "--write", "--force")
    assert (tree / "good.py").stat().st_mode & 0o777 == 0o750
    assert os.listdir(tree) == ["good.py"]


def test_faults_security_small_fsmonitor_and_what_else_git_would_run(tree: Path) -> None:
    TREES["repository"](tree)
    done = invoke("port", tree, "--write")
    assert done.exit_code == 0, done.stderr
    assert not (tree.parent / "was-run").exists(), (tree.parent / "was-run").read_text()
    assert (tree / "good.py").read_text() == PORTED
    again = invoke("port", tree, "--write")
    assert again.exit_code == 1 and "has uncommitted changes (good.py)" in again.stderr
    assert not (tree.parent / "was-run").exists()


def test_faults_security_small_the_hostile_repository_does_run_its_programs_elsewhere(tree: Path) -> None:
    TREES["repository"](tree)
    git(tree, "-c", "alias.x=status", "status")
    assert "program" in (tree.parent / "was-run").read_text()


def test_faults_security_small_a_pipe_in_the_place_of_git(tree: Path) -> None:
    TREES["pipes"](tree)
    invoke("port", tree, "--write", "--force")
    assert (tree / "good.py").read_text() == PORTED


def test_faults_security_small_terminal_escapes(tree: Path) -> None:
    TREES["names"](tree)
    TREES["text"](tree)
    shown = invoke("check", tree).stdout
    assert r"a\x1b[2J\x1b]0;title\x07\x9b31m\u202e.py" in shown and r"caf\udce9\x1b.py" in shown
    annotations = invoke("check", tree, "--format", "github").stdout
    assert not re.search("^::error file=x", annotations, re.MULTILINE)
    assert "/c%3A1%2Cline=7.py,line=1," in annotations
    assert r"-from channels.layers import get_channel_layer  # \x1b[2J" in invoke("port", tree).stdout


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "pipes/pipe.py", "pipes/none", "empty"])
def test_faults_security_small_a_path_that_is_no_project(path: str, tmp_path: Path) -> None:
    (tmp_path / "pipes").mkdir()
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipes" / "pipe.py")
    for command in ("check", "port"):
        done = invoke(command, tmp_path / path)
        assert done.exit_code == 1 and done.stderr.startswith("error: "), done.stderr
        assert "Name " in done.stderr


SELF_CONFIGURED = """
from compat.settings import configure

configure(CHANNEL_LAYERS={"own": {"BACKEND": "compat.layers.InMemoryChannelLayer"}})


async def app(scope, receive, send): ...
"""
LAYERED = 'CHANNEL_LAYERS = {"settings": {"BACKEND": "compat.layers.InMemoryChannelLayer"}}\n'
MANAGE = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""
SITE = """
SECRET_KEY = "only for this test"
DEBUG = True
INSTALLED_APPS = ["channels"]
ROOT_URLCONF = "mysite.urls"
"""
URLS = "urlpatterns = []\n"
ASGI = "from channels.routing import ProtocolTypeRouter\napplication = ProtocolTypeRouter({})\n"


def site(folder: Path, settings: str = SITE) -> Path:
    return write(folder, manage=MANAGE, mysite__settings=settings, mysite__urls=URLS, mysite__asgi=ASGI)


def test_faults_newcomer_03_layers_of_an_application_that_configures_them(
    tmp_path: Path, bare: Environment
) -> None:
    write(tmp_path, main=SELF_CONFIGURED)
    named = bare.run("channels-compat", "layers", "main:app", cwd=tmp_path)
    assert named.returncode == 0 and named.stdout.startswith("own: InMemoryChannelLayer"), named.stderr
    unnamed = bare.run("channels-compat", "layers", cwd=tmp_path)
    assert unnamed.returncode == 1 and "channels-compat layers main:app" in unnamed.stderr


def test_faults_newcomer_03_layers_of_the_settings_that_manage_py_names(
    tmp_path: Path, bare: Environment
) -> None:
    site(tmp_path, SITE + LAYERED)
    found = bare.run("channels-compat", "layers", cwd=tmp_path)
    assert found.returncode == 0 and found.stdout.startswith("settings: InMemoryChannelLayer"), found.stderr


OWN_COMPAT = (
    ("check", "."),
    ("port", "."),
    ("port", ".", "--write", "--force"),
    ("doctor", "mysite.asgi:application"),
    ("layers",),
    ("worker", "channel"),
    ("runserver", "mysite.asgi:application"),
    ("asyncapi", "mysite.asgi:application"),
    ("client", "mysite.asgi:application"),
)


@pytest.mark.parametrize("name", ["compat", "compat____init__"])
@pytest.mark.parametrize("command", OWN_COMPAT, ids=" ".join)
def test_faults_newcomer_07_a_module_compat_of_the_projects_own(
    command: tuple[str, ...], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(site(tmp_path), **{name: "VALUE = 1\n"})
    monkeypatch.chdir(tmp_path)
    done = invoke(*command)
    assert done.exit_code in (1, 4)
    said = " ".join(done.output.split())
    what = "compat.py" if name == "compat" else "compat"
    assert re.search(rf"the name 'compat' is taken: \S*{re.escape(what)} hides the package", said), said
    assert "Rename yours" in said


@pytest.mark.parametrize("django", ["bare", "django"])
@pytest.mark.parametrize("how", ["django-shim", "DJANGO_SHIM"])
def test_faults_newcomer_07_a_module_compat_under_the_shim(how: str, django: str, tmp_path: Path) -> None:
    write(site(tmp_path), compat="VALUE = 1\n")
    env = environment(django)
    first = ["django-shim"] if how == "django-shim" else []
    variables = {} if first else {"DJANGO_SHIM": "1"}
    done = env.run(*first, "python", "manage.py", "check", cwd=tmp_path, env=variables)
    assert done.returncode == 1
    assert f"the name 'compat' is taken: {tmp_path}/compat.py hides the package" in done.stderr
    assert not first or "Traceback" not in done.stderr


def test_faults_newcomer_08_without_asgi_application_a_socket_is_refused(
    tmp_path: Path, bare: Environment
) -> None:
    command = [bare.path("django-shim"), "manage.py", "runserver", "127.0.0.1:{port}", "--noreload"]
    with served(command, cwd=site(tmp_path), log=tmp_path / "log") as server:
        with pytest.raises(Refused) as refused:
            Client(server, "/ws/")
        assert refused.value.status in (403, 404)
        log = server.process.wait_log("websocket '/ws/' refused")
    assert 'ASGI_APPLICATION = "mysite.asgi.application"' in log
    assert "Traceback" not in log and "is under" not in log


def test_faults_newcomer_12_a_project_that_was_not_ported(tmp_path: Path, bare: Environment) -> None:
    site(tmp_path)
    for command in (("runserver", "--port", "0"), ("layers",)):
        done = bare.run("channels-compat", *command, "mysite.asgi:application", cwd=tmp_path)
        assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
        again = f"django-shim channels-compat {' '.join(command)} mysite.asgi:application"
        assert f"error: the project imports 'channels', which is not installed in {sys.prefix}" in done.stderr
        assert again in done.stderr


def test_faults_newcomer_12_a_worker_without_an_application(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    done = invoke("worker", "thumbnails")
    assert done.exit_code == 1 and "channels-compat worker thumbnails --app main:app" in done.output
    assert "runserver" not in done.output


def test_faults_newcomer_12_a_server_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda *arguments, **options: None)
    assert launcher.main(["uvicorn", "mysite.asgi:application"]) == 127
    assert "-m pip install 'channels-compat[server]'" in capsys.readouterr().err


MAIN = """
broken = 5


async def app(scope, receive, send): ...
"""
WRONG = {
    "channels-compat": 2,
    "channels-compat runserver": 1,
    "channels-compat runserver nowhere:app": 1,
    "channels-compat runserver main:nothing": 1,
    "channels-compat runserver main:broken": 1,
    "channels-compat runserver main": 1,
    "channels-compat runserver .main:app": 1,
    "channels-compat worker": 2,
    "channels-compat worker channel --app main:nothing": 1,
    "channels-compat worker channel --app main:app": 1,
    "channels-compat layers nowhere:app": 1,
    "channels-compat layers --settings nowhere": 1,
    "channels-compat asyncapi main:app": 1,
    "channels-compat client nothing.json": 1,
    "channels-compat check nothing": 1,
    "channels-compat port nothing --write": 1,
    "channels-compat doctor nowhere:app": 4,
    "channels-compat doctor main:app --settings nowhere": 4,
    "channels-compat nothing": 2,
    "django-shim": 2,
    "django-shim nothing": 127,
    "django-shim --nothing": 2,
    "django-shim python nothing.py": 2,
    "django-shim stubs --nothing": 2,
}


@pytest.mark.slow
@pytest.mark.parametrize("line", WRONG)
def test_faults_newcomer_wrong_command_lines_end_with_a_sentence(
    line: str, tmp_path: Path, bare: Environment
) -> None:
    write(tmp_path, main=MAIN)
    done = bare.run(*line.split(), cwd=tmp_path)
    assert done.returncode == WRONG[line], done.stderr
    assert (done.stderr + done.stdout).strip() and "Traceback" not in done.stderr


MISTAKEN = """
from compat.settings import configure

configure(CHANNEL_LAYERS={"own": {"BACKEND": "compat.layers.InMemoryChannelLayer", "CONFIG": {"capcity": 5}}})


async def app(scope, receive, send): ...
"""


@pytest.mark.parametrize("command", ["runserver main:app --noreload --port 0", "top main:app --once"])
def test_faults_newcomer_an_option_of_a_layer_that_is_wrong_gets_a_line(
    command: str, tmp_path: Path, bare: Environment
) -> None:
    """Was: a traceback, which did not name the alias."""
    write(tmp_path, main=MISTAKEN)
    done = bare.run("channels-compat", *command.split(), cwd=tmp_path)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("error: CHANNEL_LAYERS['own']: ") and "did you mean 'capacity'?" in line


@pytest.mark.parametrize("reload", ["--reload", "--noreload"])
def test_faults_newcomer_a_module_that_raises_shows_its_own_lines(
    reload: str, tmp_path: Path, bare: Environment
) -> None:
    inner = "def call():\n    raise RuntimeError('not today')\n\ncall()\n"
    write(tmp_path, main="import inner\n", inner=inner)
    done = bare.run("channels-compat", "runserver", "main:app", reload, "--port", "0", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "RuntimeError: not today"
    assert "inner.py" in done.stderr and "uvicorn" not in done.stderr and "compat/cli" not in done.stderr


def test_faults_an_error_behind_an_import_that_the_project_does_without(
    tmp_path: Path, bare: Environment
) -> None:
    """Was: only that django is not installed."""
    main = "try:\n    import django\nexcept ImportError:\n    PORT = int('eighty')\n"
    write(tmp_path, main=main)
    done = bare.run("channels-compat", "runserver", "main:app", "--noreload", "--port", "0", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ValueError: invalid literal for int() with base 10: 'eighty'"
    assert "django-shim" not in done.stderr


@pytest.mark.slow
def test_faults_newcomer_01_the_first_command_of_the_readme(tmp_path: Path) -> None:
    readme = (REPO / "README.md").read_text("utf-8")
    first = re.findall(r"^\$ (.+)$", readme, re.MULTILINE)[0]
    assert first == "pip install '/path/to/channels-compat[server,templates]'"
    assert readme.index("There is no release yet") < readme.index(first)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    arguments = first.replace("'", "").replace("/path/to/channels-compat", str(REPO)).split()
    programs = tmp_path / "venv" / "bin"
    subprocess.run([programs / arguments[0], *arguments[1:]], check=True, capture_output=True)
    shown = subprocess.run([programs / "django-shim", "--version"], capture_output=True, text=True)
    assert shown.stdout.startswith("django-shim (channels-compat 0.")


@pytest.mark.slow
def test_faults_newcomer_18_a_checkout_without_the_material_says_what_it_skips(bare: Environment) -> None:
    done = bare.run(
        *("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/seeds/test_s1_outside.py"),
        cwd=REPO,
        env={"COMPAT_SHARED": "/nowhere"},
    )
    skipped = re.search(r"(\d+) skipped", done.stdout)
    assert skipped is not None
    assert f"{skipped[1]} tests were skipped: no acceptance material" in done.stdout


@pytest.mark.slow
def test_faults_newcomer_18_make_says_what_it_does(bare: Environment) -> None:
    done = subprocess.run(
        ["make", "docs"], cwd=REPO, env=child_environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1].startswith("built: open .cache/site/index.html")
    listed = subprocess.run(["make"], cwd=REPO, capture_output=True, text=True, check=True).stdout
    assert " minutes" in listed and "as root" in listed
