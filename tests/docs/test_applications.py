"""The applications that pages show as files: each is served as the page says, and talked to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.docs.pages import lay_out
from tests.examples.conftest import EXAMPLES
from tests.support.clients import Client, Refused, get
from tests.support.environments import Environment
from tests.support.processes import Process
from tests.support.servers import Server, served, worker_options
from tests.support.waiting import until

DJANGO_PORT = EXAMPLES / "django_port"


@contextmanager
def application(
    page: str,
    bare: Environment,
    folder: Path,
    *command: str,
    env: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """The page's main.py (or another command), served from a folder with the page's files."""
    lay_out(page, folder)
    command = command or ("channels-compat", "runserver", "main:app", "--noreload")
    arguments = [bare.path(command[0]), *command[1:], "--port", "{port}"]
    with served(arguments, cwd=folder, log=folder / "server.log", env=env) as server:
        yield server
        assert "Traceback" not in server.log()


def post(server: Server, path: str) -> Any:
    answer = httpx.post(server.http(path), trust_env=False, timeout=15)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_room_of_the_readme(bare: Environment, tmp_path: Path) -> None:
    with application("README", bare, tmp_path) as server:
        with Client(server, "/ws/room/") as one, Client(server, "/ws/room/") as other:
            one.send("hello")
            assert [one.receive(), other.receive()] == ["hello", "hello"]
        with pytest.raises(Refused):
            Client(server, "/ws/room/", origin="http://evil.example")


def test_the_room_of_the_five_minutes(bare: Environment, tmp_path: Path) -> None:
    with application("start", bare, tmp_path) as server:
        assert "<title>A room</title>" in get(server, "/kitchen").text
        with Client(server, "/ws/kitchen") as one, Client(server, "/ws/kitchen") as other:
            with Client(server, "/ws/hall") as elsewhere:
                one.send_json({"text": "hello"})
                assert one.receive_json() == other.receive_json() == {"text": "hello"}
                post(server, "/kitchen?text=tea")
                assert one.receive_json() == other.receive_json() == {"text": "tea"}
                post(server, "/hall?text=coats")
                assert elsewhere.receive_json() == {"text": "coats"}
        for room in ("caf%C3%A9", "x" * 200, "compat.user.7"):  # no names of groups, or not of a room's
            with Client(server, f"/ws/{room}") as one:
                post(server, f"/{room}?text=tea")
                assert one.receive_json() == {"text": "tea"}
        with pytest.raises(Refused):
            Client(server, "/ws/kitchen", origin="http://evil.example")


def test_the_four_ways_of_the_fastapi_page(bare: Environment, tmp_path: Path) -> None:
    with application("fastapi", bare, tmp_path) as server:
        with Client(server, "/ws/one/a/") as listener:
            for path in ("/ws/two/a/", "/api/ws/three/a/", "/ws/four/a/"):
                with Client(server, path) as client:
                    client.send_json({"from": path})
                    assert client.receive_json() == listener.receive_json() == {"from": path}
            post(server, "/rooms/a?text=hi")
            assert listener.receive_json() == {"text": "hi"}
        with pytest.raises(Refused):
            Client(server, "/ws/one/a/", origin="http://evil.example")


def test_a_project_inside_a_fastapi_app(bare: Environment, tmp_path: Path) -> None:
    with application("porting", bare, tmp_path, env={"PYTHONPATH": str(DJANGO_PORT)}) as server:
        assert get(server, "/health").json() == "well"
        assert "Every room has a door" in get(server, "/").text
        assert get(server, "/static/chat/chat.css").status_code == 200
        assert get(server, "/openapi.json").status_code == 200
        with Client(server, "/ws/rooms/a/?name=Ada") as ada:
            assert ada.receive_json()["you"]["name"] == "Ada"
            post(server, "/rooms/a?text=tea")
            assert ada.receive_json()["text"] == "tea"
        with pytest.raises(Refused):
            Client(server, "/ws/rooms/a/", origin="http://evil.example")


def test_the_typed_chat(bare: Environment, tmp_path: Path) -> None:
    with application("typed", bare, tmp_path) as server:
        with Client(server, "/ws/chat") as one, Client(server, "/ws/chat") as other:
            for client in (one, other):  # whoever has been answered is in the group
                client.send_json({"action": "ping"})
                assert client.receive_json() == {"action": "pong", "payload": None}
            one.send_json({"action": "say", "payload": {"text": "hello"}})
            said = {"action": "said", "payload": {"text": "hello"}}
            assert one.receive_json() == other.receive_json() == said
            post(server, "/announce?text=tea")
            said = {"action": "said", "payload": {"text": "tea"}}
            assert one.receive_json() == other.receive_json() == said
            one.send_json({"action": "say", "payload": {}})
            assert one.receive_json()["payload"][0]["loc"] == ["say", "payload", "text"]
        assert get(server, "/asyncapi/").status_code == 200


def test_the_lobby_of_the_manager(bare: Environment, tmp_path: Path) -> None:
    with application("manager", bare, tmp_path, "uvicorn", "main:app") as server:
        with Client(server, "/ws/ann") as ann, Client(server, "/ws/bob") as bob:
            bob.send_json({"type": "say", "data": "hi"})
            for client in (ann, bob):
                assert client.receive_json() == {"type": "said", "data": "hi", "from": "bob"}
            post(server, "/announce?message=x")
            assert bob.receive_json()["message"] == "x" == ann.receive_json()["message"]
            bob.close()
            assert ann.receive_json() == {"type": "left", "from": "bob"}
        assert get(server, "/status").status_code == 403


ROOMS = {
    "consumers": ('{"text": "%s"}', '{"text": "%s"}'),
    "typed_room": ('{"action": "say", "payload": "%s"}', '{"action": "said", "payload": "%s"}'),
    "managed": ('{"type": "say", "data": "%s"}', '{"type": "said", "data": "%s"}'),
}
"""The module of each of the three: what a client sends, and what all clients receive."""


@pytest.mark.parametrize("module", ROOMS)
def test_the_same_room_three_times(module: str, bare: Environment, tmp_path: Path) -> None:
    sent, received = ROOMS[module]

    def hears(client: Client, text: str) -> None:
        while client.receive_json() != json.loads(received % text):
            pass

    command = ("channels-compat", "runserver", f"{module}:app", "--noreload")
    with application("which", bare, tmp_path, *command) as server:
        with Client(server, "/ws/") as one, Client(server, "/ws/") as other:
            for client in (one, other):  # a client that hears itself is in the group
                client.send(sent % "hello")
                hears(client, "hello")
            one.send(sent % "tea")
            hears(one, "tea")
            hears(other, "tea")
        with pytest.raises(Refused):
            Client(server, "/ws/", origin="http://evil.example")
        if module == "typed_room":
            assert get(server, "/asyncapi/").status_code == 200


def test_a_session_cookie(bare: Environment, tmp_path: Path) -> None:
    with application("howto/auth", bare, tmp_path) as server:
        with pytest.raises(Refused):
            Client(server, "/ws/")
        answer = httpx.post(server.http("/login/1"), trust_env=False, timeout=15)
        with Client(server, "/ws/", headers={"Cookie": f"session={answer.cookies['session']}"}) as ada:
            assert ada.receive_json() == {"hello": "Ada"}


def test_the_tests(bare: Environment, tmp_path: Path) -> None:
    lay_out("howto/tests", tmp_path)
    done = bare.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^3 passed", done.stdout, re.M)


@pytest.mark.slow
def test_several_workers(bare: Environment, tmp_path: Path, redis_url: str) -> None:
    command = ("uvicorn", "main:app", *worker_options(2))
    env = {"REDIS_URL": redis_url}
    with application("howto/workers", bare, tmp_path, *command, env=env) as server:
        clients = [Client(server, "/ws/") for _ in range(4)]
        heard = set()
        clients[0].send_json([1])  # nobody is closed
        for number, client in enumerate(clients):
            client.send_json({"number": number})
            answers = [other.receive_json() for other in clients]
            assert {answer["number"] for answer in answers} == {number}
            heard |= {answer["worker"] for answer in answers}
        assert heard
        for client in clients:
            client.close()


def test_progress_from_a_task(bare: Environment, tmp_path: Path, redis_url: str) -> None:
    env = {"REDIS_URL": redis_url}
    task = "import tasks; tasks.report('7')"
    with application("howto/celery", bare, tmp_path, "uvicorn", "main:app", env=env) as server:
        with Client(server, "/ws/jobs/7") as watcher:
            assert watcher.receive_json() == {"job": "7"}
            done = bare.run("python", "-c", task, cwd=tmp_path, env=env)
            assert (done.returncode, done.stderr) == (0, "")
            assert [watcher.receive_json()["done"] for _ in range(4)] == [25, 50, 75, 100]


def test_a_job_without_celery(bare: Environment, tmp_path: Path, redis_url: str) -> None:
    env = {"REDIS_URL": redis_url}
    lay_out("howto/celery", tmp_path)
    send = (
        "import layers; from compat.layers import get_channel_layer; "
        "get_channel_layer().send_sync('thumbnails', {'type': 'make', 'name': 'cat.png'})"
    )
    command = [bare.path("channels-compat"), "worker", "thumbnails", "--app", "jobs:application"]
    with Process(command, cwd=tmp_path, log=tmp_path / "worker.log", env=env) as worker:
        done = bare.run("python", "-c", send, cwd=tmp_path, env=env)
        assert (done.returncode, done.stderr) == (0, "")
        until(lambda: "making cat.png" in worker.log(), "the worker has the job")


def test_notes_in_a_database(bare: Environment, tmp_path: Path) -> None:
    with application("howto/sqlalchemy", bare, tmp_path) as server:
        with Client(server, "/ws/") as ada, Client(server, "/ws/") as bob:
            assert ada.receive_json() == bob.receive_json() == {"notes": []}
            ada.send_json({"text": "milk"})
            assert ada.receive_json() == bob.receive_json() == {"added": "milk"}
        with Client(server, "/ws/") as carl:
            assert carl.receive_json() == {"notes": ["milk"]}


TRIED = {
    "README": test_the_room_of_the_readme,
    "fastapi": test_the_four_ways_of_the_fastapi_page,
    "howto/auth": test_a_session_cookie,
    "howto/celery": test_progress_from_a_task,
    "howto/sqlalchemy": test_notes_in_a_database,
    "howto/tests": test_the_tests,
    "howto/workers": test_several_workers,
    "manager": test_the_lobby_of_the_manager,
    "porting": test_a_project_inside_a_fastapi_app,
    "start": test_the_room_of_the_five_minutes,
    "typed": test_the_typed_chat,
    "which": test_the_same_room_three_times,
}
"""Which page's files are tried by which test; test_ports.py has those below port/."""
