"""The tutorial's chat as a person sees it: two windows in one room and one in another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.windows import Window, opened
from tests.support.browser import Browser
from tests.support.choices import slow_but
from tests.support.environments import environment
from tests.support.servers import Server, served
from tests.support.tutorial import Tutorial

COMMANDS = {
    "uvicorn": ("uvicorn", "mysite.asgi:application", "--port", "{port}"),
    "runserver": ("python", "manage.py", "runserver", "127.0.0.1:{port}"),
}


STACKS = ("bare-uvicorn-memory", "bare-runserver-redis", "django-runserver-memory")


@pytest.fixture(params=slow_but(STACKS[1:], STACKS))
def server(
    request: pytest.FixtureRequest, tutorial: Tutorial, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    name, how, layer = request.param.split("-")
    env = environment(name)
    port = request.getfixturevalue("redis_port") if layer == "redis" else 6379
    project = tutorial.project(layer=layer, redis_port=port)
    command = [env.path("django-shim"), *COMMANDS[how]]
    with served(command, cwd=project, log=tmp_path_factory.mktemp("e2e") / "log") as server:
        yield server


def enter(window: Window, room: str) -> None:
    """From the index page into a room, by typing its name."""
    window.type("room-name-input", f"{room}\n")
    window.wait(lambda: window.front().current_url.endswith(f"/chat/{room}/"), f"the page of {room}")
    window.wait(lambda: window.run("chatSocket.readyState") == 1, "the page's socket is open")


def test_S3_54_two_windows_in_the_lobby_and_one_elsewhere(server: Server, chromium: Browser) -> None:
    index = server.http("/chat/")
    with opened(chromium, index, index, index) as (first, second, other):
        for window, room in ((first, "lobby"), (second, "lobby"), (other, "elsewhere")):
            enter(window, room)
            assert window.text("chat-log") == ""
        second.type("chat-message-input", "hello\n")
        for window in (first, second):
            window.wait_text("chat-log", "hello\n")
        first.type("chat-message-input", "naïve … <b>&")
        first.find("chat-message-submit").click()
        for window in (first, second):
            window.wait_text("chat-log", "naïve … <b>&\n")
        other.type("chat-message-input", "nobody here\n")
        other.wait_text("chat-log", "nobody here\n")
        assert [window.text("chat-log") for window in (first, second, other)] == [
            "hello\nnaïve … <b>&\n",
            "hello\nnaïve … <b>&\n",
            "nobody here\n",
        ]
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("layer", slow_but(("redis",), ["memory", "redis"]))
def test_history_H1_who_comes_later_sees_what_was_said(
    request: pytest.FixtureRequest, tutorial: Tutorial, tmp_path: Path, chromium: Browser, layer: str
) -> None:
    """With two lines in the settings, and none of the chat changed."""
    port = request.getfixturevalue("redis_port") if layer == "redis" else 6379
    project = tutorial.project(layer=layer, redis_port=port)
    with (project / "mysite" / "settings.py").open("a", encoding="utf-8") as settings:
        settings.write(
            '\nCHANNEL_LAYERS["default"].setdefault("CONFIG", {})["history"] = {"chat_*": {"on_join": 50}}\n'
        )
    command = [environment("bare").path("django-shim"), *COMMANDS["uvicorn"]]
    with served(command, cwd=project, log=tmp_path / "log") as server:
        index = server.http("/chat/")
        with opened(chromium, index, index) as (first, second):
            enter(first, "later")
            said = [f"message {number}" for number in range(60)]
            for text in said:
                first.type("chat-message-input", f"{text}\n")
            first.wait_text("chat-log", "".join(f"{text}\n" for text in said))
            enter(second, "later")
            second.wait_text("chat-log", "".join(f"{text}\n" for text in said[10:]))
            first.type("chat-message-input", "and now\n")
            second.wait_text("chat-log", "".join(f"{text}\n" for text in [*said[10:], "and now"]))
        assert "Traceback" not in server.log()
