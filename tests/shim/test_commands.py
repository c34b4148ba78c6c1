"""Commands that Django finds in the folders of the mirrors, and Daphne's where the real one is missing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.shim.running import SHIMMED, run_code, write
from tests.support.clients import Client, get, shows
from tests.support.environments import Environment, environment, in_each
from tests.support.files import replace_in_the_same_second
from tests.support.processes import UNCOVERED, Process, free_port
from tests.support.servers import Server, served, worker_options
from tests.support.waiting import until

HELD_UP = """
import pathlib, time
from django.utils import autoreload
def hold_up(**kwargs):
    end = time.monotonic() + 2
    while time.monotonic() < end and not pathlib.Path("changed").exists():
        time.sleep(0.02)
autoreload.autoreload_started.connect(hold_up)
"""
"""Settings of a machine that is busy when the reloader begins: for 2 s, or until a file is changed."""

OWN_RELOADER = """
import time
from django.utils import autoreload
from django_shim.with_django.management.commands import runserver
class Reloader(autoreload.StatReloader):
    def tick(self):
        while True:
            time.sleep(0.1)
            yield
autoreload.get_reloader = Reloader
runserver.LOOK_S = 600
"""
"""Settings of a project whose reloader looks at the files in a way of its own."""

MANAGE = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
from django.core.management import execute_from_command_line
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
"""
SETTINGS = """
SECRET_KEY = "only for this test"
DEBUG = True
ALLOWED_HOSTS = []
INSTALLED_APPS = ["daphne", "channels", "django.contrib.staticfiles"]
MIDDLEWARE = []
ROOT_URLCONF = "mysite.urls"
STATIC_URL = "static/"
STATICFILES_DIRS = ["assets"]
ASGI_APPLICATION = "mysite.asgi.application"
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
DATABASES = {}
"""
URLS = """
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("", lambda request: HttpResponse("page 1"))]
"""
ASGI = """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
from django.core.asgi import get_asgi_application
from channels.generic.websocket import WebsocketConsumer
from channels.consumer import SyncConsumer
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from django.urls import path

class Echo(WebsocketConsumer):
    def receive(self, text_data):
        self.send(text_data=text_data)

class Printer(SyncConsumer):
    def print_it(self, event):
        print("printed", event["text"], flush=True)

application = ProtocolTypeRouter({
    "http": get_asgi_application(),
    "websocket": URLRouter([path("echo/", Echo.as_asgi())]),
    "channel": ChannelNameRouter({"printer": Printer.as_asgi()}),
})
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "site.css").write_text("body {}", encoding="utf-8")
    return write(tmp_path, manage=MANAGE, mysite__settings=SETTINGS, mysite__urls=URLS, mysite__asgi=ASGI)


@contextmanager
def runserver(env: Environment, project: Path, *options: str, bytecode: bool = False) -> Iterator[Server]:
    command = [env.path("django-shim"), "manage.py", "runserver", "127.0.0.1:{port}", *options]
    variables = {"PYTHONDONTWRITEBYTECODE": "" if bytecode else "1"}
    with served(command, cwd=project, log=project / "log", env=variables) as server:
        yield server


def assert_serves(server: Server) -> None:
    assert get(server, "/").text == "page 1"
    with Client(server, "/echo/") as client:
        client.send("hello")
        assert client.receive() == "hello"


@pytest.mark.parametrize("options", [worker_options(2), ["--reload"]], ids=["workers", "reload"])
@pytest.mark.parametrize("name", ["bare", "channels"])
def test_trap_03_uvicorns_workers_and_its_reloader_inherit_the_shim(
    name: str, options: list[str], project: Path
) -> None:
    env = environment(name)
    command = [env.path("django-shim"), "uvicorn", "mysite.asgi:application", "--port", "{port}", *options]
    with served(command, cwd=project, log=project / "log") as server:
        assert_serves(server)
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("name", ["django", "channels"])
def test_apps_and_commands_are_found_where_django_looks(name: str, project: Path) -> None:
    env = environment(name)
    done = env.run("django-shim", "manage.py", "check", cwd=project)
    assert done.returncode == 0, done.stderr
    listed = env.run("django-shim", "manage.py", "help", cwd=project).stdout
    assert "[channels]" in listed and "runworker" in listed and "[daphne]" in listed
    code = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
import django
django.setup()
from django.apps import apps
config = apps.get_app_config("channels")
print(config.verbose_name, config.path)
"""
    verbose_name, path = run_code(env, code, project).split()
    assert verbose_name == "Channels" and path.endswith("django_shim/packages/channels")


@pytest.mark.parametrize("name", in_each())
def test_runserver_serves_pages_and_sockets(name: str, project: Path) -> None:
    with runserver(environment(name), project, "--noreload") as server:
        assert_serves(server)
    assert "Traceback" not in server.log()


def test_runserver_serves_static_files_in_debug(project: Path) -> None:
    with runserver(environment("django"), project, "--noreload") as server:
        assert get(server, "/static/site.css").text == "body {}"
    with runserver(environment("django"), project, "--noreload", "--nostatic") as server:
        assert get(server, "/static/site.css").status_code == 404


def test_runserver_reloads_when_a_file_changes(project: Path) -> None:
    with runserver(environment("django"), project) as server:
        assert_serves(server)
        (project / "mysite" / "urls.py").write_text(URLS.replace("page 1", "page 2"), encoding="utf-8")
        until(lambda: shows(server, "page 2"), "the changed page is served", deadline_s=30)


def test_runserver_works_with_a_manage_py_without_a_guard(bare: Environment, project: Path) -> None:
    """Was: the server process, which runs manage.py once more, also ran the command. Django's starts anew."""
    write(project, manage=MANAGE.replace('if __name__ == "__main__":\n    ', ""))
    with runserver(bare, project) as server:
        assert_serves(server)
    assert "Traceback" not in server.log() and server.log().count("Serving ") == 1


def test_faults_tests_runserver_reloads_a_file_of_the_same_size_and_second(project: Path) -> None:
    with runserver(environment("django"), project, bytecode=True) as server:
        assert_serves(server)
        urls = project / "mysite" / "urls.py"
        until(lambda: list(urls.parent.glob("__pycache__/urls.*.pyc")), "the bytecode of urls.py is written")
        replace_in_the_same_second(urls, URLS.replace("page 1", "page 2"))
        until(lambda: shows(server, "page 2"), "the changed page is served", deadline_s=30)


def test_runserver_serves_nobody_before_the_reloader_has_looked_at_the_files(project: Path) -> None:
    """Was: a change made as soon as the page was there came before Django's first look, and was missed."""
    write(project, mysite__settings=SETTINGS + HELD_UP)
    with runserver(environment("django"), project) as server:
        assert_serves(server)
        (project / "mysite" / "urls.py").write_text(URLS.replace("page 1", "page 2"), encoding="utf-8")
        (project / "changed").touch()
        until(lambda: shows(server, "page 2"), "the changed page is served", deadline_s=30)


def test_runserver_waits_for_no_look_of_a_reloader_that_looks_in_its_own_way(project: Path) -> None:
    write(project, mysite__settings=SETTINGS + OWN_RELOADER)
    with runserver(environment("django"), project) as server:
        assert_serves(server)


def test_runserver_without_the_configured_redis_says_so_first_and_serves(project: Path) -> None:
    layer = f"""CHANNEL_LAYERS = {{"default": {{
    "BACKEND": "channels_redis.core.RedisChannelLayer",
    "CONFIG": {{"hosts": [("127.0.0.1", {free_port()})]}},
}}}}
"""
    write(project, mysite__settings=SETTINGS + layer)
    with runserver(environment("django"), project, "--noreload") as server:
        assert_serves(server)
    first = server.log().splitlines()[0]
    assert "cannot be reached" in first and "memory" in first and "redis-server" in first


def test_runserver_noasgi_is_djangos_own(project: Path) -> None:
    with runserver(environment("django"), project, "--noreload", "--noasgi") as server:
        assert get(server, "/").text == "page 1"
        assert "WSGI" in get(server, "/").headers["server"]


@pytest.mark.parametrize("name", ["django", "channels"])
def test_runserver_without_asgi_application_says_what_to_write(name: str, project: Path) -> None:
    write(project, mysite__settings=SETTINGS.replace("ASGI_APPLICATION", "OTHER"))
    done = environment(name).run("django-shim", "manage.py", "runserver", "--noreload", cwd=project)
    assert done.returncode == 1 and "You have not set ASGI_APPLICATION" in done.stderr


@pytest.mark.parametrize("options", [["--noreload"], []], ids=["noreload", "reload"])
def test_runserver_on_a_port_that_is_taken_says_so(options: list[str], project: Path) -> None:
    with runserver(environment("django"), project, "--noreload") as server:
        done = environment("django").run(
            "django-shim", "manage.py", "runserver", f"127.0.0.1:{server.port}", *options, cwd=project
        )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"CommandError: cannot listen on 127.0.0.1:{server.port}: " in done.stderr


def test_the_order_of_apps_is_checked(project: Path) -> None:
    swapped = SETTINGS.replace('["daphne", "channels", ', "[").replace('files"]', 'files", "daphne"]')
    write(project, mysite__settings=swapped)
    done = environment("django").run("django-shim", "manage.py", "check", cwd=project)
    assert done.returncode == 1 and "daphne.E001" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
@pytest.mark.parametrize("name", in_each())
def test_runworker_takes_messages_from_redis(
    name: str, project: Path, redis_url: str, number: signal.Signals
) -> None:
    env = environment(name)
    layer = f"""CHANNEL_LAYERS = {{"default": {{
    "BACKEND": "channels_redis.core.RedisChannelLayer",
    "CONFIG": {{"hosts": [{redis_url!r}], "prefix": "runworker-{name}"}},
}}}}
"""
    write(project, mysite__settings=SETTINGS + layer)
    send = """
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
async_to_sync(get_channel_layer().send)("printer", {"type": "print.it", "text": "from the shell"})
"""
    run_code(env, send, project, {"DJANGO_SHIM": "1", "DJANGO_SETTINGS_MODULE": "mysite.settings"})
    command = [env.path("django-shim"), "manage.py", "runworker", "printer"]
    with Process(command, cwd=project, log=project / "log", env=UNCOVERED) as worker:
        worker.wait_log("printed from the shell")
        worker.send_signal(number)
        assert worker.wait() == 0


@pytest.mark.parametrize("name", in_each())
def test_runworker_without_a_layer(name: str, project: Path) -> None:
    write(project, mysite__settings=SETTINGS + "CHANNEL_LAYERS = {}\n")
    done = environment(name).run("django-shim", "manage.py", "runworker", "printer", cwd=project)
    assert done.returncode == 1 and "You do not have any CHANNEL_LAYERS configured." in done.stderr


@pytest.mark.parametrize("name", ["bare", "django"])
def test_runworker_warns_of_a_channel_without_a_consumer(name: str, project: Path) -> None:
    """It begins, as upstream's does."""
    layer = f"""CHANNEL_LAYERS = {{"default": {{
    "BACKEND": "channels_redis.core.RedisChannelLayer",
    "CONFIG": {{"hosts": ["redis://127.0.0.1:{free_port()}"]}},
}}}}
"""
    write(project, mysite__settings=SETTINGS + layer)
    done = environment(name).run("django-shim", "manage.py", "runworker", "printers", cwd=project)
    assert "no application for 'printers'; there are 'printer'. Did you mean 'printer'?" in done.stderr
    assert "CommandError: channel layer 'default' cannot use Redis" in done.stderr


@pytest.mark.parametrize("name", in_each())
def test_runworker_without_redis_says_so_in_a_line(name: str, project: Path) -> None:
    away = f"redis://127.0.0.1:{free_port()}"
    layer = f"""CHANNEL_LAYERS = {{"default": {{
    "BACKEND": "channels_redis.core.RedisChannelLayer",
    "CONFIG": {{"hosts": [{away!r}]}},
}}}}
"""
    write(project, mysite__settings=SETTINGS + layer)
    done = environment(name).run("django-shim", "manage.py", "runworker", "printer", cwd=project)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "CommandError: channel layer 'default' cannot use Redis at 127.0.0.1:" in done.stderr


@pytest.mark.parametrize("name", in_each())
def test_trap_05_the_daphne_command_serves(name: str, project: Path) -> None:
    env = environment(name)
    command = [
        env.path("django-shim"),
        "daphne",
        "-p",
        "{port}",
        "-b",
        "127.0.0.1",
        "mysite.asgi:application",
    ]
    with served(command, cwd=project, log=project / "log") as server:
        assert_serves(server)
        assert get(server, "/").headers["server"] == "daphne"


LIVE = """
import asyncio, urllib.request
from daphne.testing import DaphneProcess

async def application(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["root_path"].encode()})

def get_application():
    return application

def broken():
    raise RuntimeError("no application today")

if __name__ == "__main__":
    options = {"kwargs": {"root_path": "/x"}, "setup": print, "teardown": print}
    process = DaphneProcess("127.0.0.1", get_application, **options)
    process.start()
    assert process.ready.wait(30)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    assert opener.open(f"http://127.0.0.1:{process.port.value}/x/").read() == b"/x"
    process.terminate()
    process.join(30)
    failing = DaphneProcess("127.0.0.1", broken)
    failing.start()
    error, text = failing.errors.get(timeout=30)
    assert isinstance(error, RuntimeError) and "no application today" in text
    failing.join(30)
    print("done")
"""


@pytest.mark.parametrize("name", ["bare", "django"])
def test_trap_05_daphne_process_serves_in_a_process(name: str, tmp_path: Path) -> None:
    write(tmp_path, live=LIVE)
    done = environment(name).run("django-shim", "live.py", cwd=tmp_path)
    assert done.stdout.endswith("done\n"), done.stdout + done.stderr


ENDPOINTS = """
import os, socket, stat
from daphne.endpoints import build_endpoint_description_strings as build, listen

assert build() == [] and build(unix_socket="/s", file_descriptor=3) == ["unix:/s", "fd:fileno=3"]
assert build("127.0.0.1", 80) == ["tcp:port=80:interface=127.0.0.1"]
assert build("[::1]", 80) == [r"tcp:port=80:interface=\\:\\:1"]
for arguments in (("127.0.0.1",), (None, 80)):
    try:
        build(*arguments)
    except ValueError:
        continue
    raise AssertionError
with listen("tcp:port=0:interface=127.0.0.1") as sock, listen("tcp:0") as other:
    assert sock.getsockname()[0] == "127.0.0.1"
    assert other.getsockname()[0] == "0.0.0.0" and other.getsockname()[1]
with listen("unix:sock:mode=600") as sock:
    assert sock.family == socket.AF_UNIX and stat.S_IMODE(os.stat("sock").st_mode) == 0o600
    with listen(f"fd:fileno={sock.dup().detach()}") as same:
        assert same.getsockname() == "sock"
try:
    listen("ssl:443:privateKey=a")
except ValueError as error:
    assert "uvicorn" in str(error)
"""


def test_trap_05_endpoints_are_daphnes(bare: Environment, tmp_path: Path) -> None:
    run_code(bare, ENDPOINTS, tmp_path)


UNIX_SOCKET = """
import os, socket, stat, threading
from daphne.server import Server

async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": repr(scope["client"]).encode()})

def client_seen():
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect("sock")
        sock.sendall(b"GET / HTTP/1.0\\r\\nhost: a\\r\\nx-forwarded-for: 192.0.2.1\\r\\n\\r\\n")
        return b"".join(iter(lambda: sock.recv(4096), b"")).decode()

with socket.socket(socket.AF_UNIX) as killed:
    killed.bind("sock")
started = threading.Event()
options = {"ready_callable": started.set, "proxy_forwarded_address_header": "X-Forwarded-For"}
server = Server(application, ["unix:sock"], False, **options)
thread = threading.Thread(target=server.run, daemon=True)
thread.start()
assert started.wait(20)
assert stat.S_IMODE(os.stat("sock").st_mode) == 0o666
print("192.0.2.1" in client_seen())
try:
    Server(application, ["unix:sock"], False).run()
except OSError:
    pass
else:
    raise AssertionError("a second server has taken the socket away")
client_seen()
server.stop()
thread.join(20)
assert not os.path.exists("sock")
"""


@pytest.mark.parametrize(("trusted", "seen"), [({}, "True"), ({"FORWARDED_ALLOW_IPS": "192.0.2.9"}, "False")])
def test_a_unix_socket_is_for_everyone_and_goes_with_its_server(
    trusted: dict[str, str], seen: str, bare: Environment, tmp_path: Path
) -> None:
    assert run_code(bare, UNIX_SOCKET, tmp_path, {**SHIMMED, **trusted}).split()[-1] == seen


COMMAND_LINE = """
import argparse, logging
from daphne.cli import CommandLineInterface
from daphne.server import Server

class Kept:
    abort_start = False

    def __init__(self, **options):
        self.options = options

    def run(self):
        pass

class OwnServer(CommandLineInterface):
    server_class = Kept

def options(*arguments):
    command = OwnServer()
    command.run([*arguments, "channels:__version__"])
    return command.server.options

assert options()["endpoints"] == ["tcp:port=8000:interface=127.0.0.1"]
assert options("-e", "unix:/b", "-u", "/a")["endpoints"] == ["unix:/a", "unix:/b"]
assert options()["proxy_forwarded_address_header"] is None
trusting = options("--proxy-headers", "--proxy-headers-host", "X-Real-IP")
assert trusting["proxy_forwarded_address_header"] == "X-Real-IP"
assert trusting["proxy_forwarded_port_header"] == "X-Forwarded-Port"
try:
    options("--proxy-headers-host", "X-Real-IP")
except argparse.ArgumentError as error:
    assert error.argument_name == "--proxy-headers-host" and "--proxy-headers has to be" in error.message
else:
    raise AssertionError
Server(None, ["tcp:0"], proxy_forwarded_address_header="X-Real-IP")
"""


def test_the_daphne_command_is_open_to_subclasses(bare: Environment, tmp_path: Path) -> None:
    write(tmp_path, own=COMMAND_LINE)
    done = bare.run("django-shim", "own.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "X-Real-IP: uvicorn reads only X-Forwarded-For" in done.stderr
