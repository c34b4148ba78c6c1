"""The development server as people start it: what it prints, what it serves, how it fails and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from compat.cli.runserver import CannotServe, serve
from tests.support.clients import Client, Refused, shows
from tests.support.environments import Environment
from tests.support.files import replace_in_the_same_second
from tests.support.processes import Process, free_port
from tests.support.redis_server import RedisServer
from tests.support.servers import Address, Server, served
from tests.support.waiting import until

CONSUMER = """
from compat.generic.websocket import AsyncWebsocketConsumer
from compat.routing import ProtocolTypeRouter, URLRouter
from compat.patterns import path


class Room(AsyncWebsocketConsumer):
    groups = ["room"]

    async def receive(self, text_data=None, bytes_data=None):
        await self.channel_layer.group_send("room", {"type": "said", "text": text_data})

    async def said(self, event):
        await self.send(text_data=event["text"])


async def page(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"VERSION"})


application = ProtocolTypeRouter({"http": page, "websocket": URLRouter([path("ws/", Room.as_asgi())])})
"""

REDIS = """
CHANNEL_LAYERS = {{
    "default": {{
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {{"hosts": [("127.0.0.1", {port})]}},
    }},
}}
ASGI_APPLICATION = "site_app.application"
"""


MEMORY = 'CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}\n'


class Project:
    """A folder with an application and settings, and the commands that serve it."""

    def __init__(self, folder: Path, bare: Environment) -> None:
        self.folder = folder
        self.bare = bare
        self.write("site_app.py", CONSUMER)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(textwrap.dedent(text), encoding="utf-8")

    def settings(self, text: str) -> Mapping[str, str]:
        self.write("site_settings.py", text)
        return {"COMPAT_SETTINGS_MODULE": "site_settings"}

    @contextmanager
    def serve(self, *arguments: str, env: Mapping[str, str]) -> Iterator[Server]:
        command = [self.bare.path("channels-compat"), "runserver", "--port", "{port}", *arguments]
        with served(command, cwd=self.folder, log=self.folder / "server.log", env=env) as server:
            yield server

    def fail(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        command = ("channels-compat", "runserver", "--port", "0", *arguments)
        return self.bare.run(*command, cwd=self.folder, env=env)


@pytest.fixture
def project(tmp_path: Path, bare: Environment) -> Project:
    return Project(tmp_path, bare)


def talks(server: Address) -> None:
    """Two sockets hear what one of them says."""
    with Client(server, "/ws/") as one, Client(server, "/ws/") as other:
        one.send("hello")
        assert one.receive() == "hello"
        assert other.receive() == "hello"


def test_a_redis_that_is_away_is_replaced_by_memory_and_the_first_line_says_so(project: Project) -> None:
    port = free_port()
    with project.serve("--noreload", env=project.settings(REDIS.format(port=port))) as server:
        first, serving, application, layer = server.log().splitlines()[:4]
        assert first.startswith(
            f'Redis at 127.0.0.1:{port} cannot be reached, so layer "default" is in memory'
        )
        assert f"redis-server --port {port}" in first
        assert serving.split() == ["Serving", server.http("/"), "(Ctrl-C", "ends", "it)"]
        assert application.split() == ["Application", "site_app:application"]
        assert "default: InMemoryChannelLayer" in layer
        assert f"while Redis at 127.0.0.1:{port} is away" in layer
        talks(server)
        assert "Traceback" not in server.log()


@pytest.mark.parametrize(("setting", "is_served"), [("", True), ("CHANNEL_FALLBACK = False\n", False)])
def test_a_client_whose_websocket_is_blocked_can_come_in(
    project: Project, setting: str, is_served: bool
) -> None:
    text = f'{MEMORY}{setting}ASGI_APPLICATION = "site_app.application"\n'
    with project.serve("--noreload", env=project.settings(text)) as server:
        headers = {
            "Origin": server.origin,
            "Channels-Transport": "poll",
            "Channels-Protocols": "channels.resume.v1",
        }
        answer = httpx.post(server.http("/ws/"), headers=headers, trust_env=False)
        assert ("hello" in answer.text, answer.text == "VERSION") == (is_served, not is_served)


def test_the_replacement_is_still_there_after_a_reload(project: Project) -> None:
    with project.serve(env=project.settings(REDIS.format(port=free_port()))) as server:
        assert server.log().startswith("Redis at 127.0.0.1:")
        talks(server)
        edit(server, project, "second version")
        talks(server)
        assert server.log().count("Serving  ") == 2


def edit(server: Server, project: Project, text: str) -> None:
    """Change the application, and wait for the page that says ``text``."""
    project.write("site_app.py", CONSUMER.replace("VERSION", text))
    until(lambda: shows(server, text), "the new page", deadline_s=30)


WATCHED = """
import os, pathlib, sys, threading
{watchfiles}
import uvicorn.supervisors.basereload as basereload
from compat.cli.runserver import serve


class First:
    exitcode = None
    pid = os.getpid()

    def start(self):
        pathlib.Path("site_app.py").write_text("changed while the server starts")
        print("started", flush=True)

    def terminate(self):
        pass

    def join(self):
        pass


class Second(First):
    def start(self):
        print("started anew", flush=True)
        os._exit(0)


processes = iter([First(), Second()])
basereload.get_subprocess = lambda **arguments: next(processes)
threading.Timer(40, os._exit, (1,)).start()
serve("site_app:application", port=0)
"""
WATCHING = {"watchfiles": "", "polling": "sys.modules['watchfiles'] = None"}


@pytest.mark.parametrize("how", WATCHING)
def test_faults_tests_runserver_reloads_for_a_change_while_the_server_starts(
    how: str, project: Project
) -> None:
    code = WATCHED.format(watchfiles=WATCHING[how])
    done = project.bare.run("python", "-c", code, cwd=project.folder)
    assert done.stdout == "started\nstarted anew\n", done.stderr
    assert "detected changes in 'site_app.py'" in done.stderr


PAGE = """
from words import WORD

async def application(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": WORD})
"""
BY_POLLING = "import sys; sys.modules['watchfiles'] = None; from compat.cli import main; main()"


@pytest.mark.parametrize("how", ["watchfiles", pytest.param("polling", marks=pytest.mark.slow)])
def test_faults_tests_runserver_reloads_a_file_of_the_same_size_and_second(
    how: str, project: Project
) -> None:
    project.write("site_app.py", PAGE)
    project.write("words.py", "WORD = b'one'")
    start = {"watchfiles": [project.bare.path("channels-compat")], "polling": ["-c", BY_POLLING]}[how]
    python = [] if how == "watchfiles" else [project.bare.python]
    command = [*python, *start, "runserver", "site_app:application", "--port", "{port}"]
    env = {"PYTHONDONTWRITEBYTECODE": ""}
    with served(command, cwd=project.folder, log=project.folder / "server.log", env=env) as server:
        assert shows(server, "one")
        replace_in_the_same_second(project.folder / "words.py", "WORD = b'two'")
        until(lambda: shows(server, "two"), "the changed word", deadline_s=30)


def test_a_redis_that_answers_is_used(project: Project, redis_port: int) -> None:
    with project.serve("--noreload", env=project.settings(REDIS.format(port=redis_port))) as server:
        lines = server.log().splitlines()
        assert lines[0].startswith("Serving")
        assert f"default: RedisChannelLayer at 127.0.0.1:{redis_port}" in lines[2]
        talks(server)


def test_a_redis_that_has_come_back_is_used_after_the_next_reload(
    project: Project, redis_server: RedisServer
) -> None:
    redis_server.stop()
    with project.serve(env=project.settings(REDIS.format(port=redis_server.port))) as server:
        assert "in memory" in server.log()
        redis_server.start()
        edit(server, project, "with Redis")
        assert f"default: RedisChannelLayer at 127.0.0.1:{redis_server.port}" in server.log()
        talks(server)


def test_under_plain_uvicorn_it_is_an_error_and_never_memory(project: Project) -> None:
    port = free_port()
    env = project.settings(REDIS.format(port=port))
    command = [project.bare.path("uvicorn"), "site_app:application", "--port", "{port}"]
    with served(command, cwd=project.folder, log=project.folder / "uvicorn.log", env=env) as server:
        with pytest.raises(Refused):
            Client(server, "/ws/")
        log = server.process.wait_log(f"127.0.0.1:{port}")
        assert "redis-server" in log
        assert "memory" not in log


def test_layers_that_the_application_configures_itself_are_replaced_too(project: Project) -> None:
    project.settings(REDIS.format(port=free_port()))
    project.write(
        "site_app.py",
        "import site_settings\nfrom compat.settings import configure\n"
        f"configure(CHANNEL_LAYERS=site_settings.CHANNEL_LAYERS)\n{CONSUMER}",
    )
    with project.serve("site_app:application", "--noreload", env={}) as server:
        assert server.log().startswith("Redis at 127.0.0.1:")
        talks(server)


def test_layers_that_are_registered_by_hand_are_replaced_too(project: Project) -> None:
    layer = f'RedisChannelLayer(hosts=[("127.0.0.1", {free_port()})])'
    project.write(
        "site_app.py",
        "from compat.layers import RedisChannelLayer, register_channel_layer\n"
        f'register_channel_layer("default", {layer})\n{CONSUMER}',
    )
    with project.serve("site_app:application", "--noreload", env={}) as server:
        assert server.log().startswith("Redis at 127.0.0.1:")
        talks(server)


def test_sockets_that_any_page_can_open_are_named(project: Project) -> None:
    with project.serve("site_app:application", "--noreload", env=project.settings(MEMORY)) as server:
        assert "Origin       not checked for '/ws/': pages of any site" in server.log()
    checked = CONSUMER.replace("Room.as_asgi()", "AllowedHostsOriginValidator(Room.as_asgi())")
    validator = "from compat.security.websocket import AllowedHostsOriginValidator\n"
    project.write("site_app.py", validator + checked)
    env = project.settings(MEMORY + 'ALLOWED_HOSTS = ["127.0.0.1"]\n')
    (project.folder / "server.log").unlink()
    with project.serve("site_app:application", "--noreload", env=env) as server:
        assert "Origin" not in server.log()
        talks(server)


def test_without_layers_it_says_so_and_a_consumer_still_answers_its_own_client(project: Project) -> None:
    project.write(
        "site_app.py",
        CONSUMER.replace('groups = ["room"]', "").replace(
            'self.channel_layer.group_send("room", {"type": "said", "text": text_data})',
            "self.send(text_data)",
        ),
    )
    with project.serve("site_app:application", "--noreload", env={}) as server:
        assert "CHANNEL_LAYERS is empty" in server.log()
        with Client(server, "/ws/") as client:
            client.send("echo")
            assert client.receive() == "echo"


@pytest.mark.parametrize("reload", ["--reload", "--noreload"])
def test_ctrl_c_ends_it_cleanly_with_sockets_open(project: Project, reload: str) -> None:
    with project.serve("site_app:application", reload, env=project.settings(MEMORY)) as server:
        with Client(server, "/ws/") as client:
            # What a terminal does: the signal goes to the whole group, the server process included.
            os.killpg(server.process.pid, signal.SIGINT)
            assert client.wait_closed()[0] == 1012
            assert server.process.wait() == 0
        assert "Traceback" not in server.log()


def test_a_port_that_is_taken_is_said_with_the_cure(project: Project) -> None:
    with project.serve("site_app:application", "--noreload", env=project.settings(MEMORY)) as server:
        failed = project.fail("site_app:application", "--port", str(server.port))
    assert failed.returncode == 1
    assert f"cannot listen on 127.0.0.1:{server.port}: address already in use" in failed.stderr
    assert f"such as {server.port + 1}" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_several_workers_need_redis(project: Project, redis_port: int) -> None:
    arguments = ("site_app:application", "--noreload", "--workers", "2")
    refused = project.fail(*arguments, env=project.settings(MEMORY))
    assert refused.returncode == 1
    assert 'layer "default" is in memory, where each process has its own' in refused.stderr
    with project.serve(*arguments, env=project.settings(REDIS.format(port=redis_port))) as server:
        assert "2 processes" in server.log()
        server.process.wait_log("Application startup complete")
        talks(server)


def test_several_workers_and_a_redis_that_is_away(project: Project) -> None:
    port = free_port()
    env = project.settings(REDIS.format(port=port))
    refused = project.fail("--noreload", "--workers", "2", env=env)
    assert refused.returncode == 1
    assert f"Redis at 127.0.0.1:{port} cannot be reached" in refused.stderr


LIFESPAN = """
async def application(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_lifespan_that_fails_has_an_exit_code(project: Project, workers: str) -> None:
    """Was, with several workers: 0."""
    project.write("site_app.py", LIFESPAN)
    failed = project.fail("site_app:application", "--noreload", "--workers", workers)
    assert failed.returncode == 3, failed.stderr
    assert "no database" in failed.stderr and "Traceback" not in failed.stderr


def test_several_workers_do_not_reload(project: Project) -> None:
    refused = project.fail("site_app:application", "--workers", "2")
    assert refused.returncode == 1
    assert "--noreload" in refused.stderr


def test_a_runner_may_have_replaced_the_main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """Was: under ``coverage run``, serve() returned at once, as in a process that a server has started."""
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    with pytest.raises(CannotServe, match="--noreload"):
        serve("site_app:application", workers=2)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "no application was given"),
        (("nowhere:app",), "there is no module 'nowhere'"),
        (("site_app:nothing",), "has no 'nothing'"),
        (("site_app",), "does not name an application"),
    ],
)
def test_an_application_that_cannot_be_found_is_named(
    project: Project, arguments: tuple[str, ...], text: str
) -> None:
    failed = project.fail(*arguments, "--noreload")
    assert failed.returncode == 1
    assert text in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_mistake_of_the_application_shows_its_own_traceback(project: Project) -> None:
    project.write("site_app.py", "def application():\n    pass\n\nlen(5)\n")
    failed = project.fail("site_app:application", "--noreload")
    assert failed.returncode != 0
    assert "site_app.py" in failed.stderr
    assert "object of type 'int' has no len()" in failed.stderr


def test_a_wrong_layer_is_an_error_at_start(project: Project) -> None:
    env = project.settings(
        'CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChanelLayer"}}\n'
    )
    failed = project.fail("site_app:application", "--noreload", env=env)
    assert failed.returncode == 1
    assert "did you mean 'channels.layers.InMemoryChannelLayer'" in failed.stderr


def test_without_typer_the_error_names_the_extra(bare: Environment, tmp_path: Path) -> None:
    code = "import sys; sys.modules['typer'] = None; from compat.cli import main; main()"
    failed = bare.run("python", "-c", code, cwd=tmp_path)
    assert failed.returncode == 1
    assert "pip install 'channels-compat[server]'" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_the_version(bare: Environment, tmp_path: Path) -> None:
    shown = bare.run("channels-compat", "--version", cwd=tmp_path)
    assert shown.stdout.startswith("channels-compat 0.")


def test_the_layers_command_says_which_servers_answer(project: Project, redis_port: int) -> None:
    env = project.settings(REDIS.format(port=redis_port))
    shown = project.bare.run("channels-compat", "layers", cwd=project.folder, env=env)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith(f"default: RedisChannelLayer at 127.0.0.1:{redis_port}\n    Redis ")

    away = free_port()
    env = project.settings(REDIS.format(port=away))
    shown = project.bare.run("channels-compat", "layers", cwd=project.folder, env=env)
    assert shown.returncode == 1
    assert f"wrong: channel layer 'default' cannot use Redis at 127.0.0.1:{away}: " in shown.stdout


def test_sigterm_ends_it_as_well(project: Project) -> None:
    with project.serve("site_app:application", env=project.settings(MEMORY)) as server:
        process: Process = server.process
        assert process.stop(signal.SIGTERM) in (0, -signal.SIGTERM)
        assert "Traceback" not in server.log()
