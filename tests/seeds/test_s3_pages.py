"""S3-01 to S3-11: the tutorial's pages and URLs, with no Django installed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.e2e.windows import DEADLINE_S
from tests.seeds.conftest import Run
from tests.support.browser import Browser
from tests.support.clients import Client, Refused, get
from tests.support.environments import Environment
from tests.support.servers import Server, served
from tests.support.tutorial import Tutorial
from tests.support.waiting import until

FASTAPI_MAIN = """
from fastapi import FastAPI

import django_shim

app = FastAPI()


@app.get("/api/hello")
async def hello() -> dict[str, str]:
    return {"hello": "from FastAPI"}


django_shim.mount(app, "mysite.settings")


@app.get("/api/later")
async def later() -> dict[str, str]:
    return {"added": "after the mount"}
"""


def test_S3_01_room_page_is_the_template_with_json_script(room: Server, project: Path) -> None:
    template = (project / "chat/templates/chat/room.html").read_text(encoding="utf-8")
    script = '<script id="room-name" type="application/json">"lobby"</script>'
    expected = template.replace('{{ room_name|json_script:"room-name" }}', script)
    assert get(room, "/chat/lobby/").text == expected != template


def test_S3_01_json_script_escapes_what_could_end_the_script(room: Server) -> None:
    page = get(room, "/chat/%3Cb%3E%26/").text
    assert '<script id="room-name" type="application/json">"\\u003Cb\\u003E\\u0026"</script>' in page


def test_S3_02_index_page_renders(room: Server, project: Path) -> None:
    template = (project / "chat/templates/chat/index.html").read_text(encoding="utf-8")
    page = get(room, "/chat/")
    assert page.text == template
    assert page.headers["content-type"] == "text/html; charset=utf-8"


def test_S3_03_room_page_renders_its_context(room: Server) -> None:
    for name in ("lobby", "another"):
        page = get(room, f"/chat/{name}/").text
        found = re.search(r'id="room-name" type="application/json">(.*?)</script>', page)
        assert found and json.loads(found[1]) == name


def test_S3_04_render_resolves_without_django(run: Run, bare: Environment, project: Path) -> None:
    plain = bare.run("python", "-c", "import django", cwd=project)
    assert "No module named 'django'" in plain.stderr
    assert run("from django.shortcuts import render; print(render.__name__)") == "render"


def test_S3_05_path_resolves_and_names_routes(run: Run) -> None:
    code = (
        "import django; django.setup()\n"
        "from django.urls import path, reverse\n"
        "import chat.urls\n"
        "assert [p.name for p in chat.urls.urlpatterns] == ['index', 'room']\n"
        "print(reverse('index'), reverse('room', args=['lobby']))"
    )
    assert run(code) == "/chat/ /chat/lobby/"


def test_S3_06_path_passes_room_name_as_a_keyword(run: Run) -> None:
    code = (
        "import django; django.setup()\n"
        "from django.urls import resolve\n"
        "match = resolve('/chat/lobby/')\n"
        "print(match.func.__name__, match.args, match.kwargs)"
    )
    assert run(code) == "room () {'room_name': 'lobby'}"


def test_S3_07_the_project_behind_a_fastapi_app(
    tutorial: Tutorial, bare: Environment, tmp_path: Path
) -> None:
    project = tutorial.project(layer="memory")
    (project / "main.py").write_text(FASTAPI_MAIN, encoding="utf-8")
    command = [bare.path("uvicorn"), "main:app", "--port", "{port}"]
    with served(command, cwd=project, log=tmp_path / "log") as server:
        assert get(server, "/api/hello").json() == {"hello": "from FastAPI"}
        assert get(server, "/api/later").json() == {"added": "after the mount"}
        assert get(server, "/openapi.json").json()["paths"].keys() == {"/api/hello", "/api/later"}
        assert get(server, "/chat/").status_code == 200
        assert '"lobby"' in get(server, "/chat/lobby/").text
        with Client(server, "/ws/chat/lobby/") as client:
            client.send_json({"message": "hello"})
            assert client.receive_json() == {"message": "hello"}


def test_S3_08_pages_answer_200_and_the_log_is_empty(room: Server) -> None:
    assert get(room, "/chat/").status_code == 200
    page = get(room, "/chat/lobby/")
    assert page.status_code == 200
    assert re.search(r'<textarea id="chat-log"[^>]*></textarea>', page.text)


def test_S3_08_missing_slash_redirects_and_unknown_page_is_404(room: Server) -> None:
    redirect = get(room, "/chat/lobby")
    assert (redirect.status_code, redirect.headers["location"]) == (301, "/chat/lobby/")
    assert get(room, "/nobody/serves/this/").status_code == 404


def test_S3_09_page_script_connects_sends_shows_and_logs_the_close(
    tutorial: Tutorial, bare: Environment, chromium: Browser, tmp_path: Path
) -> None:
    command = [bare.path("django-shim"), "uvicorn", "mysite.asgi:application", "--port", "{port}"]
    with served(command, cwd=tutorial.project(layer="memory"), log=tmp_path / "log") as server:
        chromium.get(server.http("/chat/lobby/"))
        wait_open(chromium)
        assert chromium.execute_script("return chatSocket.url") == server.ws("/ws/chat/lobby/")
        chromium.find_element("id", "chat-message-input").send_keys("hello")
        chromium.find_element("id", "chat-message-submit").click()
        until(
            lambda: log_of(chromium) == "hello\n",
            "the message and a newline in the log",
            deadline_s=DEADLINE_S,
        )
        assert '"WebSocket /ws/chat/lobby/" [accepted]' in server.log()
    closed = "Chat socket closed unexpectedly"
    until(
        lambda: closed in console_of(chromium),
        "the page says that its socket was closed",
        deadline_s=DEADLINE_S,
    )


def test_S3_10_enter_sends_and_clears_and_the_input_has_the_focus(room: Server, chromium: Browser) -> None:
    chromium.get(room.http("/chat/enterkey/"))
    wait_open(chromium)
    focused = chromium.switch_to.active_element
    assert focused.get_attribute("id") == "chat-message-input"
    focused.send_keys("by Enter\ue007")
    until(lambda: log_of(chromium) == "by Enter\n", "the message in the log", deadline_s=DEADLINE_S)
    assert focused.get_property("value") == ""


def wait_open(chromium: Browser) -> None:
    """Until the page's socket is open."""
    until(
        lambda: chromium.execute_script("return chatSocket.readyState") == 1,
        "the page's socket is open",
        deadline_s=DEADLINE_S,
    )


def console_of(chromium: Browser) -> str:
    """What the page has written to the console since this was asked last."""
    return str(chromium.get_log("browser"))  # type: ignore[no-untyped-call]  # Selenium's gap


def log_of(chromium: Browser) -> str:
    return str(chromium.find_element("id", "chat-log").get_property("value"))


def test_S3_11_a_socket_that_no_route_takes_is_refused_in_one_line(room: Server) -> None:
    before = len(room.log())
    with pytest.raises(Refused) as refused:
        Client(room, "/ws/before-there-was-a-route/")
    assert refused.value.status in (403, 404)
    log = room.process.wait_log("ws/before-there-was-a-route/' refused")
    assert "Traceback" not in log[before:]
