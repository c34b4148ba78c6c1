"""A whole project on the real Django, in a browser: login, sessions, models, admin, worker."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from selenium.webdriver.common.by import By
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

from tests.e2e.windows import Window, opened
from tests.support.browser import Browser
from tests.support.clients import Client, Refused
from tests.support.environments import Environment, environment
from tests.support.processes import Process, children
from tests.support.servers import Server, served
from tests.support.waiting import until_async

SITE = Path(__file__).parent / "site"
THREADS = 24
"""The default of CHANNEL_THREADS: connections of sync consumers."""

HOPS = 4
"""Threads beside them that ask the database: asgiref's one thread, and those of views."""

BLACK = "rgba(0, 0, 0, 1)"
"""Of text that no stylesheet has coloured."""

RUNSERVER = ("django-shim", "manage.py", "runserver", "--noreload", "{port}")
USERS = """
from django.contrib.auth.models import User
for name in ("eva", "max"):
    User.objects.create_superuser(name, password=name)
"""


class Site:
    """The project with its database, its server and its worker."""

    def __init__(self, env: Environment, folder: Path, redis_url: str, prefix: str) -> None:
        self.env = env
        self.folder = folder
        self.variables = {
            "NOTES_DATABASE": str(folder / "db.sqlite3"),
            "NOTES_REDIS": redis_url,
            "NOTES_PREFIX": prefix,
        }

    def manage(self, *command: str, stdin: str = "") -> None:
        done = self.env.run(
            "django-shim", "manage.py", *command, cwd=SITE, env=self.variables, stdin=stdin, deadline_s=120
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Site:
    folder = tmp_path_factory.mktemp("site")
    site = Site(environment("django"), folder, redis_url, f"site{os.getpid()}")
    site.manage("migrate", "--verbosity", "0")
    site.manage("shell", "--no-imports", "--command", USERS)
    return site


@pytest.fixture(scope="module")
def server(site: Site) -> Iterator[Server]:
    worker = [site.env.path("django-shim"), "manage.py", "runworker", "shouts"]
    command = [site.env.path(RUNSERVER[0]), *RUNSERVER[1:]]
    with (
        served(command, cwd=SITE, log=site.folder / "server.log", env=site.variables) as server,
        Process(worker, cwd=SITE, log=site.folder / "worker.log", env=site.variables),
    ):
        yield server


def log_in(window: Window, server: Server, name: str) -> None:
    window.go(server.http("/"))
    window.type("id_username", name)
    window.type("id_password", f"{name}\n")
    window.wait_text("me", name)
    window.wait_text("state", "open")


@pytest.fixture
def click(chromium: Browser) -> Callable[[Window, str], None]:
    return lambda window, selector: window.front().find_element(By.CSS_SELECTOR, selector).click()


def test_a_day_in_the_life(server: Server, chromium: Browser, click: Callable[[Window, str], None]) -> None:
    with opened(chromium, "about:blank", "about:blank") as (one, two):
        log_in(one, server, "eva")
        two.go(server.http("/"))  # the same browser, the same session
        two.wait_text("state", "open")
        one.wait_text("count", "0 notes, 0 of them mine")

        one.type("text", "bread\n")  # an async consumer writes, a signal tells, a sync consumer counts
        for window in (one, two):
            window.wait_text("notes", "eva: bread")
            window.wait_text("count", "1 notes, 1 of them mine")

        one.type("shout", "milk\n")  # by way of the worker, another process
        two.wait_text("notes", "eva: MILK")
        two.wait_text("count", "2 notes, 2 of them mine")

        one.go(server.http("/admin/notes/note/add/"))  # by way of the admin
        one.type("id_text", "butter")
        click(one, "#id_author option[value='2']")
        click(one, "input[name=_save]")
        two.wait_text("notes", "max: butter")
        two.wait_text("count", "3 notes, 2 of them mine")
        one.wait(
            lambda: one.find("header").value_of_css_property("color") != BLACK,
            "the admin has its static files",
        )

        click(two, "#leave")
        two.wait(lambda: "/accounts/login/" in two.run("location.href"), "the login page")
    for where in ("/ws/write/", "/ws/count/"):
        with pytest.raises(Refused) as refused:
            Client(server, where)
        assert refused.value.status == 403
    log = server.log()
    assert "Traceback" not in log, log


def test_the_projects_own_tests(site: Site) -> None:
    done = site.env.run(
        "django-shim", "manage.py", "test", "--noinput", cwd=SITE, env=site.variables, deadline_s=110
    )
    assert done.returncode == 0 and "Ran 5 tests" in done.stderr, done.stdout + done.stderr


def session_cookie(server: Server, name: str) -> str:
    """Log in as a form does."""
    where = server.http("/accounts/login/")
    with httpx.Client(trust_env=False, timeout=30) as client:
        form = {"username": name, "password": name}
        form["csrfmiddlewaretoken"] = (
            client.get(where).text.partition('csrfmiddlewaretoken" value="')[2].partition('"')[0]
        )
        assert client.post(where, data=form).status_code == 302
        return f"sessionid={client.cookies['sessionid']}"


def database_connections(pid: int, database: str) -> int:
    """How many connections to the database file the processes of the server hold."""
    count = 0
    for process in (pid, *children(pid)):
        for descriptor in Path(f"/proc/{process}/fd").iterdir():
            try:
                count += os.readlink(descriptor) == database
            except OSError:  # closed meanwhile
                continue
    return count


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_thousand_connections_hold_no_more_of_the_database_than_there_are_threads(
    site: Site, server: Server
) -> None:
    headers = {"Cookie": session_cookie(server, "eva")}
    seen: list[int] = []
    watching = asyncio.Event()
    database = site.variables["NOTES_DATABASE"]

    async def watch() -> None:
        while not watching.is_set():
            seen.append(database_connections(server.process.pid, database))
            await asyncio.sleep(0.02)

    async def one(stack: AsyncExitStack) -> ClientConnection:
        opening = connect(
            server.ws("/ws/count/"),
            origin=Origin(server.origin),
            additional_headers=headers,
            proxy=None,
            open_timeout=120,
        )
        client = await stack.enter_async_context(opening)
        assert "count" in json.loads(await asyncio.wait_for(client.recv(), 120))
        return client

    watcher = asyncio.create_task(watch())
    async with AsyncExitStack() as stack:
        clients: list[ClientConnection] = []
        for _ in range(20):
            clients += await asyncio.gather(*(one(stack) for _ in range(50)))
        assert len(clients) == 1000
        writer = await stack.enter_async_context(
            connect(
                server.ws("/ws/write/"), origin=Origin(server.origin), additional_headers=headers, proxy=None
            )
        )
        for number in range(3):  # each of the thousand asks the database, all at once
            await writer.send(json.dumps({"text": f"note {number}"}))
            answers = await asyncio.wait_for(asyncio.gather(*(client.recv() for client in clients)), 240)
            assert len(answers) == 1000
    watching.set()
    await watcher
    assert max(seen) > 0, "the watcher has seen the database in use"
    assert max(seen) <= THREADS + HOPS, f"up to {max(seen)} connections to the database"
    await until_async(
        lambda: database_connections(server.process.pid, database) <= HOPS,
        "connections are given back",
        deadline_s=60,
    )
