"""The showcase on its own layers and on Redis: sockets, HTTP endpoints, another process, a worker."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.examples.conftest import EXAMPLES, FASTAPI
from tests.support.clients import Client, Refused, get
from tests.support.environments import environment
from tests.support.paths import REPO
from tests.support.processes import Process, child_environment
from tests.support.servers import Server, worker_options
from tests.support.waiting import until

FOLDER = EXAMPLES / "fastapi_port"
STREAMS = ("chat", "reliable", "notifications", "analytics")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The application as it is: layers in memory, jobs in its own process."""
    with FASTAPI.serve(tmp_path_factory.mktemp("embedded") / "server.log") as server:
        yield server
        assert "Traceback" not in server.log(), server.log()


@pytest.fixture(scope="module")
def on_redis(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Server]:
    """Two server processes and a worker, on Redis."""
    folder = tmp_path_factory.mktemp("redis")
    env = {"REDIS_URL": redis_url}
    taskiq = environment("bare").path("taskiq")
    command = [taskiq, "worker", "showcase.tasks:broker", "--workers", "1"]
    with (
        FASTAPI.serve(folder / "server.log", *worker_options(2), env=env) as server,
        Process(command, cwd=FOLDER, log=folder / "worker.log", env=env) as worker,
    ):
        until(lambda: "Listening started" in worker.log(), "the worker listens", deadline_s=30)
        yield server
        assert "Traceback" not in server.log(), server.log()


@pytest.fixture(params=["embedded", "on_redis"])
def site(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(request.param)
    return server


def post(server: Server, path: str, **body: Any) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=15) as client:
        return client.post(server.http(f"/api/showcase/{path}"), json=body)


def enter(server: Server, room: str, name: str) -> Client:
    """Somebody in a room, who has read the welcome."""
    client = Client(server, f"/ws/room/{room}?name={name}")
    welcome = client.receive_json()
    assert welcome["action"] == "welcome" and welcome["payload"]["you"]["name"] == name
    return client


def line(frame: Any) -> Any:
    return frame["action"], frame["payload"]["text"], frame["payload"]["source"]


def test_a_room(site: Server, free_name: Any) -> None:
    room, other = free_name(), free_name()
    with enter(site, room, "Ada") as ada, enter(site, other, "Alone") as alone:
        with enter(site, room, "Grace") as grace:
            assert ada.receive_json()["action"] == "came"
            grace.send_json({"action": "say", "payload": {"text": " Hello 💬 "}})
            for heard in (ada.receive_json(), grace.receive_json()):
                assert heard["action"] == "said"
                assert (heard["payload"]["who"]["name"], heard["payload"]["text"]) == ("Grace", "Hello 💬")
            ada.send_json({"action": "write"})
            assert grace.receive_json()["payload"]["name"] == "Ada"
            grace.send_json({"action": "say", "payload": {"text": ""}})
            assert grace.receive_json()["payload"][0]["type"] == "string_too_short"
            assert post(site, f"rooms/{room}/announcements", text="Closing soon").status_code == 202
            assert ada.receive_json()["payload"]["who"]["id"] == "house"
        went = ada.receive_json()
        assert (went["action"], went["payload"]["name"]) == ("went", "Grace")
        alone.send_json({"action": "ping"})
        assert alone.receive_json() == {"action": "pong", "payload": None}


def test_rooms_of_any_name(embedded: Server) -> None:
    with enter(embedded, "caf%C3%A9", "Ada") as ada, enter(embedded, "x" * 150, "Bob"):
        ada.send_json({"action": "say", "payload": {"text": "here"}})
        assert ada.receive_json()["payload"]["text"] == "here"


def test_other_sites_may_not_open_sockets(embedded: Server) -> None:
    with pytest.raises(Refused) as refusal:
        Client(embedded, "/ws/chat", origin="http://evil.example")
    assert refusal.value.status == 403


def test_streams_do_not_mix(site: Server) -> None:
    with (
        Client(site, "/ws/chat") as chat,
        Client(site, "/ws/reliable") as reliable,
        Client(site, "/ws/notifications") as notifications,
        Client(site, "/ws/analytics") as analytics,
    ):
        assert line(chat.receive_json()) == ("chat_note", "Somebody joined the chat", "system")
        chat.send_json({"action": "chat", "payload": {"text": "to the chat"}})
        reliable.send_json({"action": "reliable_chat", "payload": {"text": "to the other"}})
        assert line(chat.receive_json()) == ("chat_note", "to the chat", "people")
        assert line(reliable.receive_json()) == ("reliable_note", "to the other", "people")
        for stream, socket, action in (
            ("chat", chat, "chat_note"),
            ("reliable", reliable, "reliable_note"),
            ("notifications", notifications, "notice"),
        ):
            assert post(site, f"streams/{stream}/announcements", text=f"for {stream}").status_code == 202
            assert line(socket.receive_json()) == (action, f"for {stream}", "events")
        assert post(site, "measurements", name="page_view:/", data={"a": [1, None]}).status_code == 202
        assert analytics.receive_json() == {
            "action": "measured",
            "payload": {"name": "page_view:/", "data": {"a": [1, None]}},
        }
        for socket in (chat, reliable, notifications, analytics):
            socket.send_json({"action": "ping"})
            assert socket.receive_json() == {"action": "pong", "payload": None}


def test_what_is_wrong_with_a_request(embedded: Server) -> None:
    assert post(embedded, "streams/unknown/announcements", text="x").status_code == 422
    assert post(embedded, "streams/chat/announcements", text="").status_code == 422


def test_jobs(site: Server) -> None:
    with Client(site, "/ws/background_jobs") as mine, Client(site, "/ws/background_jobs") as others:
        mine.send_json({"action": "start_job", "payload": {"text": "a b, A.", "seconds": 0.2}})
        queued = mine.receive_json()
        assert queued["action"] == "job_queued"
        steps = [mine.receive_json() for _ in range(8)]
        assert [step["payload"]["done"] for step in steps] == [number / 8 for number in range(1, 9)]
        done = mine.receive_json()
        assert (done["action"], done["payload"]["words"]) == ("job_done", {"a": 2, "b": 1})
        assert {frame["payload"]["job_id"] for frame in (*steps, done)} == {queued["payload"]["job_id"]}

        mine.send_json({"action": "start_job", "payload": {"text": "...", "seconds": 0}})
        frames = [mine.receive_json() for _ in range(10)]
        assert (
            frames[-1]["action"] == "job_failed" and "not a single word" in frames[-1]["payload"]["problem"]
        )
        others.send_json({"action": "ping"})
        assert others.receive_json()["action"] == "pong"


def test_the_system_socket_says_who_serves(embedded: Server) -> None:
    with Client(embedded, "/ws/system") as client:
        hello = client.receive_json()["payload"]
        assert hello["pid"] == embedded.process.pid
        assert {layer["alias"] for layer in hello["layers"]} == {
            "default",
            *STREAMS[:1],
            "queue",
            "notifications",
            "analytics",
        }


def send_from_outside(*arguments: str, redis_url: str | None = None) -> subprocess.CompletedProcess[str]:
    env = {
        "PYTHONPATH": str(REPO),
        "PYTHONWARNINGS": "error",
        **({"REDIS_URL": redis_url} if redis_url else {}),
    }
    command = [sys.executable, "external_sender.py", *arguments]
    return subprocess.run(
        command,
        cwd=FOLDER,
        env=child_environment(env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_script_in_a_process_of_its_own(on_redis: Server, redis_url: str) -> None:
    sockets = {name: Client(on_redis, f"/ws/{name}") for name in STREAMS}
    assert sockets["chat"].receive_json()["payload"]["source"] == "system"
    done = send_from_outside(redis_url=redis_url)
    assert (done.returncode, done.stderr) == (0, "")
    for name in STREAMS[:3]:
        assert sockets[name].receive_json()["payload"]["text"].startswith("From outside")
    measured = [sockets["analytics"].receive_json()["payload"] for _ in range(5)]
    assert [one["data"] for one in measured] == [1, 2, 3, 4, 5]
    done = send_from_outside("notifications", "Tea is ready", redis_url=redis_url)
    assert done.stdout.split(maxsplit=1) == ["notifications", "Tea is ready\n"]
    assert sockets["notifications"].receive_json()["payload"]["text"] == "Tea is ready"
    for socket in sockets.values():
        socket.close()


def test_a_script_that_nobody_could_hear_says_so() -> None:
    done = send_from_outside()
    assert done.returncode == 2 and "REDIS_URL is not set" in done.stderr
    done = send_from_outside("chat", "x", redis_url="redis://127.0.0.1:1")
    assert (
        done.returncode == 1
        and done.stderr.startswith("the event was not sent")
        and "Traceback" not in done.stderr
    )


def test_the_documents(embedded: Server) -> None:
    made = get(embedded, "/asyncapi.json").json()
    assert {channel["address"] for channel in made["channels"].values()} == {
        "/ws/system",
        "/ws/room/{room_name}",
        "/ws/background_jobs",
        *(f"/ws/{name}" for name in STREAMS),
    }
    assert all("examples" in message for message in made["components"]["messages"].values())
    assert get(embedded, "/asyncapi/").status_code == 200
    assert get(embedded, "/asyncapi.yaml").status_code == 200


@pytest.mark.parametrize("page", ["", "room/", "streams/", "jobs/"])
def test_pages_refer_to_nothing_elsewhere(embedded: Server, page: str) -> None:
    html = get(embedded, f"/showcase/{page}").text
    assert "<h1>" in html
    for address in re.findall(r"""(?:src|href)="([^"]+)""", html):
        assert address.startswith(("/", "#")) and not address.startswith("//"), address
        if address.startswith("/") and "static" in address:
            assert get(embedded, address).status_code == 200, address


@pytest.mark.slow
def test_the_example_is_strictly_typed(tmp_path: Path) -> None:
    bin = Path(sys.executable).parent
    files = ("showcase", "external_sender.py", "layers.py")
    for command in (
        [
            "mypy",
            "--strict",
            "--python-version",
            "3.10",
            "--follow-imports=silent",
            "--cache-dir",
            str(tmp_path),
        ],
        ["pyright", "--pythonpath", sys.executable],
    ):
        done = subprocess.run(
            [str(bin / command[0]), *command[1:], *files],
            cwd=FOLDER,
            env=child_environment({"PYTHONPATH": str(REPO)}),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_compose_file_has_redis_servers_and_a_worker() -> None:
    text = (FOLDER / "docker-compose.yml").read_text()
    assert re.findall(r"^  (\w+):$", text, re.MULTILINE) == ["redis", "web", "worker"]
    command = re.search(r"^    command: (\[.*taskiq.*\])$", text, re.MULTILINE)
    assert command is not None and json.loads(command[1])[:3] == ["taskiq", "worker", "showcase.tasks:broker"]
    for package in (FOLDER / "requirements.txt").read_text().splitlines()[2:]:
        assert package in (FOLDER / "Dockerfile").read_text()
