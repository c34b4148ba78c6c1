"""S4-28 to S4-32, S4-37, S4-38 and S4-61 to S4-75: the application of the seed, served, on both backends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.seeds.s4 import EXAMPLE, Person, seed_project, served_app
from tests.support.clients import Client, get
from tests.support.paths import acceptance_material
from tests.support.processes import Process, child_environment
from tests.support.servers import Server, served
from tests.support.waiting import until

Names = Callable[[], str]
JOURNAL = """
import functools
from example.consumers import ChatConsumer


def noting(name):
    original = getattr(ChatConsumer, name)

    @functools.wraps(original)
    async def noted(self, *args):
        print("journal:", name, self.user_id, *args, flush=True)
        await original(self, *args)

    setattr(ChatConsumer, name, noted)


noting("disconnect")
noting("on_disconnect")
from main import *  # noqa: E402, F403
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = seed_project(tmp_path_factory.mktemp("seed"))
    (project / "journal.py").write_text(JOURNAL, encoding="utf-8")
    return project


@pytest.fixture(scope="module", params=["memory", "redis"])
def app(
    request: pytest.FixtureRequest, project: Path, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The application; at the end nothing in its log may be a traceback."""
    log = tmp_path_factory.mktemp("log") / "server.log"
    settings = {"BACKEND_TYPE": request.param, "REDIS_CHANNEL_PREFIX": f"seed-{request.param}:"}
    with served_app(project, log, redis_url, **settings) as server:
        yield server
    assert "Traceback" not in log.read_text(), log.read_text()


def post(server: Server, path: str, **options: Any) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=15) as client:
        return client.post(server.http(path), **options)


def test_the_application_is_the_seeds_but_for_its_import_lines(project: Path) -> None:
    original = acceptance_material() / "acceptance" / "apps" / "fastapi_channels_example" / "main.py"
    pairs = zip(
        original.read_text().splitlines(), (project / "main.py").read_text().splitlines(), strict=True
    )
    changed = [(before, after) for before, after in pairs if before != after]
    assert len(changed) == 4
    for before, after in changed:
        assert after == before.replace("from fastapi_channels", "from compat.manager")


def test_S4_28_text_and_bytes_frames(app: Server, free_name: Names) -> None:
    with Person(app, free_name()) as alice:
        alice.does("ping")
        alice.hear("pong")
        alice.send(b"\x00\x01")
        assert "binary" in alice.hear("error")["message"]  # it got to the consumer, which knows no such type
        alice.does("ping")
        alice.hear("pong")


def test_S4_29_a_close_leads_to_one_disconnect(
    project: Path, redis_url: str, tmp_path: Path, free_name: Names
) -> None:
    log = tmp_path / "server.log"
    uvicorn = str(Path(sys.executable).parent / "uvicorn")
    with served(
        [uvicorn, "journal:app", "--port", "{port}"], cwd=project, log=log, env={"REDIS_URL": redis_url}
    ) as server:
        ends: list[Callable[[Person], None]] = [Person.close, lambda person: person.close(4001), Person.drop]
        for index, end in enumerate(ends):
            name = f"u{index}"
            person = Person(server, name)
            person.joins("room")
            end(person)
            server.process.wait_log(f"journal: on_disconnect {name} 1000")
        until(lambda: get(server, "/api/rooms/x/messages").status_code == 200, "the server goes on")
    lines = [line for line in log.read_text().splitlines() if line.startswith("journal:")]
    assert sorted(lines) == sorted(
        f"journal: {what} u{index} 1000" for what in ("disconnect", "on_disconnect") for index in range(3)
    )
    assert "Traceback" not in log.read_text()


def test_S4_30_errors_that_end_a_connection_and_errors_that_do_not(
    project: Path, redis_url: str, tmp_path: Path, free_name: Names
) -> None:
    (project / "failing.py").write_text(
        "from compat.manager.exceptions import AuthenticationError, MessageError\n"
        "from example.consumers import ChatConsumer, KINDS\n"
        "async def out(self, data): raise AuthenticationError('Who are you?')\n"
        "async def no(self, data): raise MessageError('Not now')\n"
        "async def broken(self, data): raise KeyError('x')\n"
        "KINDS.update(out=out, no=no, broken=broken)\n"
        "async def connect(self):\n"
        "    await original(self)\n"
        "    if self.user_id == 'halfway': raise MessageError('Halfway')\n"
        "original, ChatConsumer.connect = ChatConsumer.connect, connect\n"
        "from main import *\n",
        encoding="utf-8",
    )
    uvicorn = str(Path(sys.executable).parent / "uvicorn")
    with served(
        [uvicorn, "failing:app", "--port", "{port}"],
        cwd=project,
        log=tmp_path / "server.log",
        env={"REDIS_URL": redis_url},
    ) as server:
        with Person(server, free_name()) as person:
            person.does("no")
            assert person.hear("error")["message"] == "Not now"
            person.does("ping")
            person.hear("pong")
            person.does("out")
            assert person.wait_closed()[0] == 1008
        with Person(server, "halfway") as person:  # out of connect() the endpoint answers, as printed
            assert person.hear("error")["message"] == "Halfway"
        with Person(server, free_name()) as person:  # S4-31: any other exception
            person.does("broken")
            assert person.wait_closed()[0] == 1011


def test_S4_31_any_other_exception_is_disconnect_1011(project: Path, redis_url: str, tmp_path: Path) -> None:
    (project / "broken.py").write_text(
        "from journal import *\n"
        "def breaking(where):\n"
        "    original = getattr(ChatConsumer, where)\n"
        "    async def broken(self, *args):\n"
        "        if self.user_id == where: raise KeyError('x')\n"
        "        await original(self, *args)\n"
        "    setattr(ChatConsumer, where, broken)\n"
        "breaking('connect')\n"
        "breaking('receive')\n",
        encoding="utf-8",
    )
    log = tmp_path / "server.log"
    uvicorn = str(Path(sys.executable).parent / "uvicorn")
    command = [uvicorn, "broken:app", "--port", "{port}"]
    with served(command, cwd=project, log=log, env={"REDIS_URL": redis_url}) as server:
        with Person(server, "staying") as staying:
            staying.joins("room")
            for where in ("connect", "receive"):
                with Client(server, f"/ws/{where}") as broken:
                    if where == "receive":
                        assert broken.receive_json()["type"] == "welcome"
                        broken.send_json({"type": "ping", "data": {}})
                    assert broken.wait_closed()[0] == 1011
                server.process.wait_log(f"journal: on_disconnect {where} 1011")
            staying.does("ping")
            staying.hear("pong")  # the others go on
    ends = [line for line in log.read_text().splitlines() if line.startswith("journal:") and " 1011" in line]
    assert ends == [
        f"journal: {what} {where} 1011"
        for where in ("connect", "receive")
        for what in ("disconnect", "on_disconnect")
    ]


def test_S4_31_a_frame_that_is_no_json_is_no_reason_to_end(app: Server, free_name: Names) -> None:
    with Person(app, free_name()) as person:
        person.send("\ud7ff{not json")
        assert person.hear("error")["error_code"] == "INVALID_JSON"
        person.does("ping")
        person.hear("pong")


def test_S4_32_after_the_end_nobody_is_in_the_room(app: Server, free_name: Names) -> None:
    room = free_name()
    with Person(app, free_name()) as staying:
        assert staying.joins(room) == [staying.name]
        with Person(app, free_name()) as leaving:
            assert set(leaving.joins(room)) == {staying.name, leaving.name}
            assert staying.hear("user_joined")["user_id"] == leaving.name
        left = staying.hear("user_left")
        assert left["user_id"] == leaving.name and left["users"] == [staying.name]


def test_S4_37_the_fourth_message_is_refused_with_a_hint_and_the_socket_stays_open(
    app: Server, free_name: Names
) -> None:
    with Person(app, free_name()) as person:
        person.joins(free_name())
        for _ in range(2):
            person.does("nonsense")
            person.hear("error")
        person.does("nonsense")
        refused = person.hear("error")
        assert refused["error_code"] == "RATE_LIMIT_EXCEEDED" and refused["retryable"]
        assert 0 < refused["details"]["retry_after"] <= 60
        person.does("ping")
        person.hear("pong")


def test_S4_38_excluded_types_do_not_count(app: Server, free_name: Names) -> None:
    room = free_name()
    with Person(app, free_name()) as person:
        person.joins(room)
        for _ in range(5):
            person.does("ping")
            person.hear("pong")
            person.does("list_rooms")
            person.hear("rooms_list")
            person.does("typing_start", room=room)
            person.does("typing_stop", room=room)
        for kind in (
            "welcome",
            "room_users",
            "message_history",
        ):  # a client may send them; nothing knows them
            person.does(kind)
            assert person.hear("error")["error_code"] == "MESSAGE_ERROR"
        person.send_json({"type": "pong"})
        for text in ("one", "two"):
            person.does("chat_message", room=room, text=text)
            assert person.hear("chat_message")["text"] == text


def test_S4_61_the_page(app: Server) -> None:
    page = get(app, "/")
    assert page.status_code == 200 and page.text == (EXAMPLE / "template.html").read_text(encoding="utf-8")


def test_S4_62_the_history_of_a_room(app: Server, free_name: Names) -> None:
    room = free_name()
    with Person(app, free_name()) as person:
        person.joins(room)
        for text in ("one", "two"):
            person.does("chat_message", room=room, text=text)
            person.hear("chat_message")
    answer = get(app, f"/api/rooms/{room}/messages").json()
    assert set(answer) == {"room", "messages", "count"} and (answer["room"], answer["count"]) == (room, 2)
    assert [message["text"] for message in answer["messages"]] == ["one", "two"]
    assert get(app, f"/api/rooms/{room}/messages?limit=1").json()["messages"][0]["text"] == "two"
    for limit in (0, 1001, -5):
        refused = get(app, f"/api/rooms/{room}/messages?limit={limit}")
        assert refused.status_code == 400
        assert refused.json()["detail"] == "Limit must be between 1 and 1000"


def test_S4_68_CORS_of_the_seeds_app(app: Server) -> None:
    answer = get(app, "/api/rooms/x/messages", Origin="http://elsewhere.example")
    assert answer.headers["access-control-allow-origin"] in ("*", "http://elsewhere.example")


def test_S4_69_the_lifespan_starts_the_tasks_and_ends_in_order(
    project: Path, redis_url: str, tmp_path: Path, free_name: Names
) -> None:
    (project / "lifespan.py").write_text(
        "import functools\n"
        "from compat.manager import ConnectionManager\n"
        "from example.database import ChatDatabase\n"
        "def noting(cls, name):\n"
        "    original = getattr(cls, name)\n"
        "    def noted(self, *args):\n"
        "        print('journal:', name, flush=True)\n"
        "        return original(self, *args)\n"
        "    setattr(cls, name, functools.wraps(original)(noted))\n"
        "noting(ConnectionManager, 'start_tasks')\n"
        "noting(ConnectionManager, 'stop_tasks')\n"
        "noting(ChatDatabase, 'close')\n"
        "from main import *\n",
        encoding="utf-8",
    )
    log = tmp_path / "server.log"
    uvicorn = str(Path(sys.executable).parent / "uvicorn")
    command = [uvicorn, "lifespan:app", "--port", "{port}"]
    with served(command, cwd=project, log=log, env={"REDIS_URL": redis_url}) as server:
        person = Person(server, free_name())
        person.joins("room")
    assert person.wait_closed()[0] == 1012  # uvicorn's own; and then stop_tasks and db.close
    text = log.read_text()
    steps = (
        "journal: start_tasks",
        "Application startup complete",
        "journal: stop_tasks",
        "journal: close",
        "Application shutdown complete",
    )
    places = [text.index(step) for step in steps]
    assert places == sorted(places), text
    assert all(text.count(step) == 1 for step in steps) and "Traceback" not in text


def test_S4_70_run_as_a_script(project: Path, redis_url: str, tmp_path: Path) -> None:
    text = (project / "main.py").read_text(encoding="utf-8")
    assert 'uvicorn.run(app, host="0.0.0.0", port=8000)' in text
    # The same call with a port of our own: 8000 may be anybody's, and 0.0.0.0 is no business of a test.
    script = "import uvicorn, runpy, sys\nrun = uvicorn.run\ndef noted(app, host, port):\n"
    script += "    print('run', type(app).__name__, host, port)\nuvicorn.run = noted\n"
    script += "runpy.run_path('main.py', run_name='__main__')\n"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=project,
        env=child_environment({"REDIS_URL": redis_url}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "run FastAPI 0.0.0.0 8000", done.stderr


# The example app in our own hand: the endpoints that the seed's README lists and its main.py leaves out


@pytest.fixture(scope="module", params=["memory", "redis"])
def own(
    request: pytest.FixtureRequest, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """examples/fastapi_port/manager_chat, served."""
    folder = tmp_path_factory.mktemp("own")
    settings = {
        "BACKEND_TYPE": request.param,
        "REDIS_CHANNEL_PREFIX": f"own-{request.param}:",
        "CHAT_DATABASE": str(folder / "chat.sqlite3"),
        "CHAT_DEBUG": "1",
        "SERVER_INSTANCE_ID": "server-own",
    }
    with served_app(EXAMPLE, folder / "server.log", redis_url, **settings) as server:
        server.backend = request.param  # type: ignore[attr-defined]
        yield server
    assert "Traceback" not in (folder / "server.log").read_text()


def test_S4_63_announce(own: Server, free_name: Names) -> None:
    with Person(own, free_name()) as one, Person(own, free_name()) as two:
        answer = post(own, "/api/announce", params={"message": "Maintenance"})
        assert answer.json() == {"status": "sent", "message": "Maintenance"}
        for person in (one, two):
            assert person.hear("announcement")["message"] == "Maintenance"


def test_S4_64_a_message_to_a_room(own: Server, free_name: Names) -> None:
    room = free_name()
    with Person(own, free_name()) as person:
        person.joins(room)
        answer = post(own, f"/api/room/{room}/message", params={"user_id": "bot", "text": "hello"})
        assert answer.json() == {"status": "sent", "room": room, "user_id": "bot", "text": "hello"}
        heard = person.hear("chat_message")
        assert (heard["user_id"], heard["text"], heard["room"]) == ("bot", "hello", room)
    assert get(own, f"/api/rooms/{room}/messages").json()["messages"][-1]["text"] == "hello"


def test_S4_65_a_notification_to_a_user(own: Server, free_name: Names) -> None:
    name = free_name()
    with Person(own, name) as one, Person(own, name) as two, Person(own, free_name()) as other:
        answer = post(own, f"/api/user/{name}/notification", params={"message": "hi"}).json()
        assert {key: answer[key] for key in ("status", "user_id", "message")} == {
            "status": "sent",
            "user_id": name,
            "message": "hi",
        }
        assert answer["connections"] == 2
        assert one.hear("notification")["message"] == "hi" == two.hear("notification")["message"]
        other.does("ping")
        other.hear("pong")


def test_S4_66_a_message_to_a_group(own: Server, free_name: Names) -> None:
    group = free_name()
    with Person(own, free_name()) as person:
        person.joins(group)
        answer = post(own, f"/api/group/{group}/message", json={"text": "hello", "n": 1})
        assert answer.json() == {"status": "sent", "group": group, "data": {"text": "hello", "n": 1}}
        heard = person.hear("group_message")
        assert (heard["text"], heard["n"], heard["group"]) == ("hello", 1, group)


def test_S4_67_status(own: Server, free_name: Names) -> None:
    def connections() -> Any:
        return get(own, "/api/status").json()["active_connections"]

    until(lambda: connections() == 0, "those of other tests have left")
    before = get(own, "/api/status").json()
    backend = own.backend  # type: ignore[attr-defined]
    assert before["backend_type"] == backend == before["backend"]
    assert before["server_instance_id"] == "server-own"
    with Person(own, free_name()), Person(own, free_name()):
        until(lambda: connections() == 2, "two more")
    assert get(own, "/status").status_code == 200  # CHAT_DEBUG


def test_S4_71_S4_72_from_another_process(own: Server, redis_url: str, free_name: Names) -> None:
    """A process of its own, with no event loop, on the same Redis."""
    if own.backend != "redis":  # type: ignore[attr-defined]
        pytest.skip("another process is reached through Redis")
    room = free_name()

    def external(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "example.external_events", *arguments],
            cwd=EXAMPLE,
            env=child_environment({"REDIS_URL": redis_url, "REDIS_CHANNEL_PREFIX": "own-redis:"}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0 and done.stderr == "", done.stderr
        return done.stdout

    with Person(own, free_name()) as person:
        person.joins(room)
        external("broadcast", "Hello all")
        heard = person.hear("announcement")
        assert (heard["message"], heard["source"]) == ("Hello all", "external_event")
        external("room", room, "42 %")
        assert person.hear("background_update")["data"] == "42 %"
        assert external("user", person.name, "done").strip() == "1 connections"
        assert person.hear("notification")["message"] == "done"


@pytest.mark.slow  # a worker of Celery takes some seconds to start
@pytest.mark.parametrize("pool", ["solo", "prefork", "threads"])
def test_S4_73_from_a_celery_task(
    own: Server, redis_url: str, tmp_path: Path, free_name: Names, pool: str
) -> None:
    """The way that docs/manager.md gives, in a real worker with each of its pools."""
    if own.backend != "redis":  # type: ignore[attr-defined]
        pytest.skip("another process is reached through Redis")
    queue = free_name()
    (tmp_path / "tasks.py").write_text(
        "from celery import Celery\n"
        "from celery.signals import worker_ready\n"
        "from compat.manager import ConnectionManager, WSConfig\n"
        "from example.external_events import notify_user, tell_room\n"
        f"app = Celery('tasks', broker={redis_url!r})\n"
        f"app.conf.task_default_queue = {queue!r}\n"
        "app.conf.worker_hijack_root_logger = False\n"
        "ConnectionManager(ws_config=WSConfig(BACKEND_TYPE='redis'))\n"
        "@app.task\n"
        "def report(room, user, number):\n"
        "    tell_room(room, number)\n"
        "    return notify_user(user, f'number {number}')\n",
        encoding="utf-8",
    )
    env = {
        "REDIS_URL": redis_url,
        "REDIS_CHANNEL_PREFIX": "own-redis:",
        "PYTHONPATH": f"{EXAMPLE}:{tmp_path}",
    }
    worker = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", pool, "--concurrency", "2"]
    log = tmp_path / "worker.log"
    room = free_name()
    with (
        Person(own, free_name()) as person,
        Process([*worker, "--loglevel", "INFO"], cwd=tmp_path, log=log, env=env) as process,
    ):
        person.joins(room)
        process.wait_log("ready.")
        code = f"from tasks import report\nfor n in range(20): report.delay({room!r}, {person.name!r}, n)"
        sent = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=child_environment(env),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert sent.returncode == 0, sent.stderr
        updates: set[int] = set()
        notes: set[str] = set()
        while len(updates) + len(notes) < 40:
            frame = person.receive_json()
            if frame["type"] == "background_update":
                updates.add(frame["data"])
            elif frame["type"] == "notification":
                notes.add(frame["message"])
        assert updates == set(range(20)) and notes == {f"number {number}" for number in range(20)}
    assert "Traceback" not in log.read_text(), log.read_text()


@pytest.mark.parametrize("kind", ["memory", pytest.param("redis", marks=pytest.mark.slow)])
def test_S4_73_from_a_sqlalchemy_event(redis_url: str, tmp_path: Path, free_name: Names, kind: str) -> None:
    """The example's hook on a real session, committed by a sync endpoint (a thread) and an async one."""
    (tmp_path / "saving.py").write_text(
        "from contextlib import asynccontextmanager\n"
        "from compat.manager import ConnectionManager, WSConfig\n"
        "from example.external_events import on_commit\n"
        "from fastapi import FastAPI, WebSocket\n"
        "from sqlalchemy import create_engine, event, text\n"
        "from sqlalchemy.orm import Session\n"
        "from sqlalchemy.pool import StaticPool\n"
        "manager = ConnectionManager(ws_config=WSConfig())\n"
        "options = {'connect_args': {'check_same_thread': False}, 'poolclass': StaticPool}\n"
        "engine = create_engine('sqlite://', **options)\n"
        "event.listen(Session, 'after_commit', on_commit)\n"
        "@asynccontextmanager\n"
        "async def lifespan(app):\n"
        "    await manager.start_tasks()\n"
        "    yield\n"
        "    await manager.stop_tasks()\n"
        "app = FastAPI(lifespan=lifespan)\n"
        "def save():\n"
        "    with Session(engine) as session:\n"
        "        session.execute(text('select 1'))\n"
        "        session.commit()\n"
        "@app.post('/thread')\n"
        "def thread(): save()\n"
        "@app.post('/loop')\n"
        "async def loop(): save()\n"
        "@app.websocket('/ws/{user_id}')\n"
        "async def socket(websocket: WebSocket, user_id: str):\n"
        "    connection = await manager.connect(websocket=websocket, user_id=user_id)\n"
        "    await manager.send_personal(connection.channel_name, {'type': 'here'})\n"
        "    async for _ in websocket.iter_text(): pass\n",
        encoding="utf-8",
    )
    env = {
        "REDIS_URL": redis_url,
        "BACKEND_TYPE": kind,
        "REDIS_CHANNEL_PREFIX": f"{free_name()}:",
        "PYTHONPATH": f"{EXAMPLE}:{tmp_path}",
    }
    log = tmp_path / "server.log"
    uvicorn = str(Path(sys.executable).parent / "uvicorn")
    command = [uvicorn, "saving:app", "--port", "{port}"]
    with served(command, cwd=tmp_path, log=log, env=env) as server, Client(server, "/ws/ada") as client:
        assert client.receive_json() == {"type": "here"}
        for path in ("/thread", "/loop"):
            assert post(server, path).status_code == 200
            heard = client.receive_json()
            assert (heard["type"], heard["message"]) == ("announcement", "Something was saved")
    assert "Traceback" not in log.read_text(), log.read_text()


def test_what_a_person_can_do(own: Server, free_name: Names) -> None:
    room, secret = free_name(), free_name()
    with Person(own, free_name()) as alice, Person(own, free_name()) as bob:
        alice.does("create_room", room_name=room)
        assert alice.hear("room_created")["is_public"] is True
        for kind in ("room_joined", "room_users", "message_history"):
            alice.hear(kind)
        bob.does("create_room", room_name=room)
        assert "already" in bob.hear("error")["message"]
        bob.does("create_room", room=secret, is_public=False)
        for kind in ("room_created", "room_joined", "room_users", "message_history"):
            bob.hear(kind)
        bob.joins(room)
        alice.hear("user_joined")
        bob.does("list_rooms")
        listed = {one["name"]: one["user_count"] for one in bob.hear("rooms_list")["rooms"]}
        assert listed[room] == 2 and secret not in listed
        alice.does("typing_start", room=room)
        alice.does("typing_start", room=room)
        assert bob.hear("user_typing_start")["user_id"] == alice.name
        alice.does("typing_stop", room=room)
        assert bob.hear("user_typing_stop")["user_id"] == alice.name
        alice.does("chat_message", room=room, text="  hello ")
        assert alice.hear("chat_message")["text"] == "hello" == bob.hear("chat_message")["text"]
        alice.does("private_message", target_user_id=bob.name, text="psst")
        assert bob.hear("private_message")["from_user_id"] == alice.name
        assert alice.hear("private_message_sent")["to_user_id"] == bob.name
        alice.does("private_message", target_user_id="nobody", text="psst")
        assert alice.hear("error")["retryable"] is True
        bob.does("file_message", room=room, filename="a.txt", mime_type="text/plain", file_data="aGk=")
        assert alice.hear("file_message")["file_size"] == 2
        bob.hear("file_message")
        bob.does("get_message_history", room=room, limit=10)
        assert [one["type"] for one in bob.hear("message_history")["messages"]] == [
            "chat_message",
            "file_message",
        ]
        bob.does("get_room_users", room=room)
        assert set(bob.hear("room_users")["users"]) == {alice.name, bob.name}
        bob.does("leave_room", room=room)
        assert bob.hear("room_left")["room"] == room
        assert alice.hear("user_left")["users"] == [alice.name]
        for kind, data in (
            ("chat_message", {"room": room, "text": "x"}),
            ("chat_message", {"room": secret, "text": " "}),
            ("join_room", {"room": "x" * 51}),
            ("join_room", {}),
            ("file_message", {"room": secret, "filename": "x", "file_data": "%"}),
            ("get_message_history", {"room": secret, "limit": 0}),
            ("nonsense", {}),
        ):
            bob.does(kind, **data)
            bob.hear("error")
        bob.send_json({"type": "join_room", "data": "x"})
        bob.hear("error")
