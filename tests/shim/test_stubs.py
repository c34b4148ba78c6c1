"""Types and completion through the shim, in a project that has only this package installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.environments import Environment

PROGRAM = """
from channels.auth import AuthMiddlewareStack
from channels.db import database_sync_to_async
from channels.exceptions import ChannelFull
from channels.generic.websocket import AsyncJsonWebsocketConsumer, WebsocketConsumer
from channels.layers import get_channel_layer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from channels.testing import WebsocketCommunicator
from channels_redis.core import RedisChannelLayer
from django.urls import path, re_path


class Chat(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        await self.channel_layer.group_add("room", self.channel_name)
        await self.accept()


routes = [path("ws/<int:room>/", Chat.as_asgi()), re_path("^x$", WebsocketConsumer.as_asgi())]
application = ProtocolTypeRouter(
    {"websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(routes)))}
)


async def test() -> None:
    communicator = WebsocketCommunicator(application, "/ws/1/")
    await communicator.send_json_to({"a": 1})
    try:
        await RedisChannelLayer(hosts=["redis://localhost"]).send("channel", {"type": "x"})
    except ChannelFull:
        await database_sync_to_async(print)("full")


reveal_type(ChannelFull("x"))
wrong: int = get_channel_layer
"""
WRONG = PROGRAM.splitlines().index("wrong: int = get_channel_layer") + 1


@pytest.fixture
def project(bare: Environment, tmp_path: Path) -> Path:
    """The program, and beside it what ``django-shim stubs --write`` wrote: no path of this machine in it."""
    (tmp_path / "app.py").write_text(PROGRAM, encoding="utf-8")
    done = bare.run("django-shim", "stubs", "--write", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "wrote typings/channels\n" in done.stdout and "mypy_path = 'typings'" in done.stdout
    assert sorted(path.name for path in (tmp_path / "typings").iterdir()) == [
        "channels",
        "channels_redis",
        "daphne",
        "django",
    ]
    return tmp_path


def checked(bare: Environment, folder: Path, *command: str) -> str:
    return bare.run("python", "-m", *command, cwd=folder, deadline_s=110).stdout


def test_pyright_finds_the_names_without_any_configuration(bare: Environment, project: Path) -> None:
    said = json.loads(
        checked(bare, project, "pyright", "--outputjson", "--pythonpath", bare.python, "app.py")
    )
    found = [(one["severity"], one["range"]["start"]["line"] + 1) for one in said["generalDiagnostics"]]
    assert found == [("information", WRONG - 1), ("error", WRONG)], said


def test_mypy_finds_them_by_one_line_of_configuration(bare: Environment, project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.mypy]\nstrict = true\nmypy_path = 'typings'\n")
    lines = checked(bare, project, "mypy", "app.py").splitlines()
    assert f'app.py:{WRONG - 1}: note: Revealed type is "compat.exceptions.ChannelFull"' in lines
    errors = [line for line in lines if ": error:" in line]
    assert len(errors) == 1 and errors[0].startswith(f"app.py:{WRONG}: error: Incompatible types"), lines


def test_the_folder_is_written_anew_and_nobodys_stubs_are_overwritten(
    bare: Environment, project: Path
) -> None:
    ours, theirs = project / "typings" / "channels", project / "typings" / "other"
    (ours / "layers.py").write_text("changed")
    theirs.mkdir()
    again = bare.run("django-shim", "stubs", "--write", "typings", cwd=project)
    assert again.returncode == 0 and "changed" not in (ours / "layers.py").read_text() and theirs.exists()
    (ours / "__init__.py").write_text("x: int\n")
    refused = bare.run("django-shim", "stubs", "--write", cwd=project)
    assert refused.returncode == 1 and "typings/channels is there already" in refused.stderr
    assert (ours / "__init__.py").read_text() == "x: int\n"


def test_another_folder_is_named_to_pyright_too(bare: Environment, tmp_path: Path) -> None:
    done = bare.run("django-shim", "stubs", "--write", "stubs", cwd=tmp_path)
    assert "stubPath = 'stubs' in [tool.pyright]" in done.stdout
    assert (tmp_path / "stubs" / "channels" / "layers.py").is_file()


@pytest.mark.parametrize("arguments", [["--writ"], ["--write", "a", "b"]])
def test_wrong_usage(bare: Environment, tmp_path: Path, arguments: list[str]) -> None:
    done = bare.run("django-shim", "stubs", *arguments, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("usage: django-shim stubs")
