"""Test runners and type checkers that meet the shim: pytest, pytest-django's order, mypy, pyright."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.shim.running import SHIMMED, run_code, write
from tests.support.environments import Environment, environment

# Trap 10: settings load before conftest.py does

EARLY = """
def pytest_load_initial_conftests(early_config, parser, args):
    import importlib
    importlib.import_module("mysite.settings")
"""


def pytest_project(folder: Path, conftest: str = "", package: str = "") -> Path:
    write(
        folder,
        early=EARLY,
        mysite__settings="import channels.layers\n",
        conftest=conftest or "\n",
        test_it="import channels.layers\ndef test(): assert channels.__version__ == '4.3.2'\n",
    )
    (folder / "mysite" / "__init__.py").write_text(package, encoding="utf-8")
    return folder


QUIET = ("-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", ".")


def test_trap_10_install_in_conftest_is_too_late_for_settings(bare: Environment, tmp_path: Path) -> None:
    """Why the other three exist."""
    pytest_project(tmp_path, conftest="import django_shim\ndjango_shim.install()\n")
    done = bare.run("python", "-m", "pytest", *QUIET, "-p", "early", cwd=tmp_path)
    assert done.returncode != 0 and "No module named 'channels'" in done.stdout + done.stderr


def test_trap_10_the_plugin_is_early_enough(bare: Environment, tmp_path: Path) -> None:
    pytest_project(tmp_path)
    plugin = ("-p", "django_shim.pytest_plugin")
    done = bare.run("python", "-m", "pytest", *QUIET, *plugin, "-p", "early", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_trap_10_so_is_the_launcher(bare: Environment, tmp_path: Path) -> None:
    pytest_project(tmp_path)
    # pytest as a command does not search the current folder, as it does with python -m.
    done = bare.run("django-shim", "pytest", *QUIET, "-p", "early", cwd=tmp_path, env={"PYTHONPATH": "."})
    assert done.returncode == 0, done.stdout + done.stderr


def test_trap_10_so_is_one_line_in_the_projects_package(bare: Environment, tmp_path: Path) -> None:
    pytest_project(tmp_path, package="import django_shim; django_shim.install()\n")
    done = bare.run("python", "-m", "pytest", *QUIET, "-p", "early", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


# Trap 12: type checkers read the folder of mirrors

TYPED = """
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.layers import get_channel_layer
from channels.exceptions import ChannelFull
from channels.auth import AuthMiddlewareStack
from channels_redis.core import RedisChannelLayer

class Chat(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()

reveal_type(ChannelFull("x"))
AuthMiddlewareStack(Chat.as_asgi())
wrong: int = get_channel_layer
"""


def typed_project(bare: Environment, folder: Path) -> Path:
    write(folder, app=TYPED)
    (folder / "pyproject.toml").write_text(
        bare.run("django-shim", "stubs", cwd=folder).stdout.replace(
            "[tool.mypy]", "[tool.mypy]\nstrict = true"
        ),
        encoding="utf-8",
    )
    return folder


def run_checker(bare: Environment, folder: Path, *command: str) -> str:
    done = bare.run("python", "-m", *command, cwd=folder, deadline_s=110)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_trap_12_mypy_sees_compats_types(bare: Environment, tmp_path: Path) -> None:
    lines = run_checker(bare, typed_project(bare, tmp_path), "mypy", "app.py").splitlines()
    assert any("compat.exceptions.ChannelFull" in line for line in lines), lines
    assert [line for line in lines if "error:" in line and "wrong" not in line and "int" not in line] == []


@pytest.mark.slow
def test_trap_12_pyright_sees_them_and_not_its_own_stubs(bare: Environment, tmp_path: Path) -> None:
    folder = typed_project(bare, tmp_path)
    said = json.loads(
        run_checker(bare, folder, "pyright", "--outputjson", "--pythonpath", bare.python, "app.py")
    )
    errors = [d["message"] for d in said["generalDiagnostics"] if d["severity"] == "error"]
    assert len(errors) == 1 and '"int"' in errors[0], errors
    (revealed,) = [d["message"] for d in said["generalDiagnostics"] if d["severity"] == "information"]
    assert "ChannelFull" in revealed


def test_trap_12_no_interpreter_without_the_shim_finds_the_folder(bare: Environment, tmp_path: Path) -> None:
    code = """
import django_shim, os, sys
packages = os.path.join(os.path.dirname(django_shim.__file__), "packages")
assert packages not in sys.path
"""
    run_code(bare, code, tmp_path, {})
    run_code(bare, code, tmp_path, SHIMMED)


# Trap 15: under Django's test runner


def test_trap_15_only_testserver_is_an_allowed_origin_under_the_test_runner(tmp_path: Path) -> None:
    code = """
import asyncio
import django
from django.conf import settings
settings.configure(DEBUG=True, ALLOWED_HOSTS=[], INSTALLED_APPS=[], CHANNEL_LAYERS={})
django.setup()
from django.test.utils import setup_test_environment
setup_test_environment(debug=False)

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.security.websocket import AllowedHostsOriginValidator
from channels.testing import WebsocketCommunicator

application = AllowedHostsOriginValidator(AsyncWebsocketConsumer.as_asgi())

async def connects(origin):
    communicator = WebsocketCommunicator(application, "/", headers=[(b"origin", origin)])
    connected, _ = await communicator.connect()
    await communicator.disconnect()
    return connected

async def main():
    print(await connects(b"http://testserver"), await connects(b"http://localhost"), await connects(b"http://a.com"))

asyncio.run(main())
"""
    for name in ("django", "channels"):
        assert run_code(environment(name), code, tmp_path).split() == ["True", "False", "False"]
