"""``manage.py runserver`` on the real Django, whose reloader runs manage.py anew with our server in it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.shim.running import write
from tests.support.clients import Client, get, shows
from tests.support.environments import environment
from tests.support.processes import Process, free_port
from tests.support.servers import Server, served
from tests.support.waiting import until

MANAGE = """
import os, sys
def main():
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
if __name__ == "__main__":
    main()
"""
SETTINGS = """
from pathlib import Path
BASE = Path(__file__).parent
SECRET_KEY = "only for this test"
DEBUG = True
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["daphne", "channels", "mysite.apps.Site"]
ROOT_URLCONF = "mysite.urls"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [BASE / "templates"]}]
ASGI_APPLICATION = "mysite.asgi.application"
DATABASES = {}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"django.utils.autoreload": {"handlers": ["console"], "level": "DEBUG"}},
}
"""
APPS = """
import os
from pathlib import Path
from django.apps import AppConfig
from django.utils.autoreload import StatReloader, autoreload_started

StatReloader.SLEEP_TIME = 0.1
DATA = Path(__file__).parent / "data"
SCHEDULERS = []

def watch(sender, **kwargs):
    sender.watch_dir(DATA, "*.yaml")

class Site(AppConfig):
    name = "mysite"
    def ready(self):
        autoreload_started.connect(watch)
        if os.environ.get("RUN_MAIN") == "true":
            SCHEDULERS.append("scheduler")
"""
URLS = """
import time, shared
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import path
from mysite.apps import DATA, SCHEDULERS

FRUITS = (DATA / "fruits.yaml").read_text()

def text(value):
    return lambda request: HttpResponse(str(value))

def slow(request):
    (DATA / "slow").touch()
    time.sleep(60)

urlpatterns = [
    path("", lambda request: render(request, "page.html")),
    path("fruits", text(FRUITS)),
    path("schedulers", text(SCHEDULERS)),
    path("shared", text(shared.TEXT)),
    path("slow", slow),
]
"""
ASGI = """
from django.core.asgi import get_asgi_application
from channels.generic.websocket import WebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

class Echo(WebsocketConsumer):
    def receive(self, text_data):
        self.send(text_data=text_data)

application = ProtocolTypeRouter({
    "http": get_asgi_application(),
    "websocket": URLRouter([path("echo/", Echo.as_asgi())]),
})
"""


def make(folder: Path, **files: str) -> Path:
    """Write the project and a folder ``elsewhere`` with a module that the project uses."""
    for path, text in (("templates/page.html", "page 1"), ("data/fruits.yaml", "plum")):
        (folder / "mysite" / path).parent.mkdir(parents=True)
        (folder / "mysite" / path).write_text(text, encoding="utf-8")
    ours = {"manage": MANAGE, "mysite__settings": SETTINGS, "mysite__apps": APPS, "mysite__urls": URLS}
    return write(folder, **{**ours, "mysite__asgi": ASGI, "elsewhere__shared": "TEXT = 'old'\n", **files})


def command(project: Path, port: object = "{port}") -> list[str]:
    return [environment("django").path("django-shim"), str(project / "manage.py"), "runserver", str(port)]


def variables(project: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(project / "elsewhere")}


@contextmanager
def runserver(project: Path) -> Iterator[Server]:
    """Run the server from a folder that is not the project's."""
    cwd = project / "somewhere"
    cwd.mkdir()
    with served(command(project), cwd=cwd, log=project / "log", env=variables(project)) as server:
        yield server


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("autoreload"))


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[Server]:
    with runserver(project) as server:
        yield server


def change(process: Process, path: Path, text: str) -> None:
    """Change a file that Django's reloader has seen since the last restart: it looks from time to time."""

    def seen() -> bool:
        last_start = process.log().rpartition("with glob *.yaml")[2]
        return f"File {path} first seen" in last_start

    until(seen, f"the reloader has seen {path}")
    path.write_text(text, encoding="utf-8")


def test_faults_autoreload_a_changed_template_is_shown(server: Server, project: Path) -> None:
    assert shows(server, "page 1")
    with Client(server, "/echo/") as client:
        change(server.process, project / "mysite" / "templates" / "page.html", "page 2")
        until(lambda: shows(server, "page 2"), "the changed template is shown", deadline_s=30)
        client.send("the server was not restarted for it")
        assert client.receive() == "the server was not restarted for it"


def test_faults_autoreload_ready_sees_run_main(server: Server) -> None:
    until(lambda: shows(server, "['scheduler']", "/schedulers"), "the scheduler is started")


def test_faults_autoreload_receivers_watch_files_of_their_own(server: Server, project: Path) -> None:
    assert shows(server, "plum", "/fruits")
    change(server.process, project / "mysite" / "data" / "fruits.yaml", "pear")
    until(lambda: shows(server, "pear", "/fruits"), "it is restarted for a watched file", deadline_s=30)


def test_faults_autoreload_code_outside_the_current_folder_is_watched(server: Server, project: Path) -> None:
    until(lambda: shows(server, "old", "/shared"), "the server is up", deadline_s=30)
    change(server.process, project / "elsewhere" / "shared.py", "TEXT = 'new'\n")
    until(lambda: shows(server, "new", "/shared"), "the server is restarted", deadline_s=30)


def test_faults_autoreload_the_server_runs_what_manage_py_installs(tmp_path: Path) -> None:
    # As django-configurations: manage.py installs an importer, without which the settings are not complete.
    manage = MANAGE.replace("def main():", "def main():\n    sys.installed = True")
    settings = SETTINGS + "import sys\nassert sys.installed, 'settings importer was not installed'\n"
    with runserver(make(tmp_path, manage=manage, mysite__settings=settings)) as server:
        assert shows(server, "page 1")


def test_faults_autoreload_manage_py_needs_no_guard(tmp_path: Path) -> None:
    manage = MANAGE.replace('if __name__ == "__main__":\n    main()', "main()")
    with runserver(make(tmp_path, manage=manage)) as server:
        assert shows(server, "page 1")


def test_faults_autoreload_a_mistake_at_the_start_is_shown_and_can_be_mended(tmp_path: Path) -> None:
    project = make(tmp_path, mysite__asgi="application = (\n")
    port = free_port()
    log, env = tmp_path / "log", variables(project)
    with Process(command(project, port), cwd=project, log=log, env=env) as process:
        process.wait_log("SyntaxError: '(' was never closed")
        change(process, project / "mysite" / "asgi.py", ASGI)
        process.wait_listening(port, deadline_s=30)
        assert shows(Server(process, port), "page 1")


def test_faults_autoreload_watches_from_the_moment_at_which_the_application_is_loaded(tmp_path: Path) -> None:
    # Django's second look would come after the deadline of this test.
    apps = APPS.replace("SLEEP_TIME = 0.1", "SLEEP_TIME = 60")
    project = make(tmp_path, mysite__apps=apps, mysite__asgi="import time\ntime.sleep(0.5)\n" + ASGI)
    with runserver(project) as server:
        server.process.wait_log(f"File {project / 'mysite' / 'asgi.py'} first seen")


def test_faults_autoreload_a_restart_ends_sockets_and_waits_for_no_thread(tmp_path: Path) -> None:
    project = make(tmp_path)
    with runserver(project) as server, Client(server, "/echo/") as client:
        client.send("hello")
        assert client.receive() == "hello"
        waiting = threading.Thread(target=ask_slow_page, args=[server], daemon=True)
        waiting.start()
        until((project / "mysite" / "data" / "slow").exists, "a thread of the server is busy")
        change(server.process, project / "mysite" / "asgi.py", ASGI + "# changed\n")
        assert client.wait_closed()[0] == 1012
        what = "the server is back, long before the thread has ended"
        until(lambda: shows(server, "page 1"), what, deadline_s=30)
        again = Client(server, "/echo/")
        os.killpg(server.process.pid, signal.SIGINT)  # as a terminal does for Ctrl-C
        assert server.process.wait(deadline_s=30) == 0
        assert again.wait_closed()[0] in (1006, 1012)  # Django's parent kills its child after 0.25 s
        waiting.join(10)


def ask_slow_page(server: Server) -> None:
    try:
        get(server, "/slow")
    except httpx.TransportError:  # its server is restarted
        return
