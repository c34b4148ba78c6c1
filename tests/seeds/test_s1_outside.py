"""S1-38 to S1-61: events from another process and over HTTP, after idle time; documents; the page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import pytest
import yaml  # type: ignore[import-untyped]  # it comes with mkdocs

from tests.examples.conftest import EXAMPLES, FASTAPI
from tests.examples.test_showcase import send_from_outside
from tests.examples.test_showcase_browser import Page
from tests.seeds.test_s1_consumers import ADDRESSES, analytics, chat, notification, until_pong
from tests.support.browser import Browser
from tests.support.clients import Client, get
from tests.support.paths import REPO
from tests.support.processes import child_environment
from tests.support.seed_app import SeedApp
from tests.support.servers import Server
from tests.support.waiting import until

Src = Callable[[str], Any]

EVENTS = [
    "user_login:john_doe",
    "page_view:/dashboard",
    "button_click:export_data",
    "session_duration:1234",
    "error:api_timeout",
]
STDOUT = """\
=== External Messaging with Centralized Layers ===

🎯 Running: Chat Message
✅ Chat message sent!

🎯 Running: Reliable Message
✅ Reliable message sent!

🎯 Running: Notification
✅ Notification sent!

🎯 Running: Analytics Events
✅ Sent 5 analytics events!

🎯 Running: Periodic Announcements
⏰ Starting periodic announcements...
✅ Sent announcement #1
✅ Sent announcement #2
✅ Sent announcement #3
✅ Periodic announcements complete!

=== All Examples Complete! ===
"""


class Listener(threading.Thread):
    """Reads a socket on a thread of its own."""

    def __init__(self, server: Server, address: str) -> None:
        super().__init__(daemon=True)
        self.client = Client(server, f"/ws/{address}")
        self.client.send_json({"action": "ping"})
        until_pong(self.client)
        self.frames: list[Any] = []
        self.came_at: list[float] = []
        """When each of the frames came, in seconds of time.monotonic()."""
        self.pongs = 0
        self.start()

    def run(self) -> None:
        for text in self.client.connection:
            frame = json.loads(text)
            if frame["action"] == "pong":
                self.pongs += 1
            else:
                self.came_at.append(time.monotonic())
                self.frames.append(frame)

    def heard(self, count: int) -> list[Any]:
        until(lambda: len(self.frames) >= count, f"{count} frames have come")
        return self.frames

    def heard_all(self) -> list[Any]:
        """The frames that have come before the answer to a ping that is sent now."""
        before = self.pongs
        self.client.send_json({"action": "ping"})
        until(lambda: self.pongs > before, "the pong")
        return self.frames


@dataclass
class Run:
    """One run of the external sender, when it began, and what each socket heard of it."""

    began: float
    returncode: int
    stdout: str
    stderr: str
    listeners: dict[str, Listener]


def idle(listeners: dict[str, Listener], seconds: float) -> None:
    """Nothing happens on any socket for so long; all of them stay open."""
    over = threading.Event()
    over.wait(seconds)
    for listener in listeners.values():
        assert listener.client.close_code is None and listener.is_alive()


@pytest.fixture(
    scope="module", params=[6, pytest.param(15, marks=pytest.mark.slow)], ids=lambda s: f"idle {s} s"
)
def sender(request: pytest.FixtureRequest, typed_app: SeedApp) -> Iterator[Run]:
    """The external sender in a process of its own, after sockets that other libraries lose have been idle."""
    with typed_app.serve(log=f"idle{request.param}.log") as server:
        listeners = {address: Listener(server, address) for address in ADDRESSES.values()}
        for listener in listeners.values():
            listener.frames.clear()
        idle(listeners, request.param)
        began = time.monotonic()
        done = typed_app.run("-m", "src.external_sender")
        yield Run(began, done.returncode, done.stdout, done.stderr, listeners)
        for listener in listeners.values():
            listener.client.close()


def test_S1_41_S1_42_S1_48_S1_49_a_script_runs_and_ends_in_order(sender: Run) -> None:
    assert (sender.returncode, sender.stderr) == (0, "")
    assert sender.stdout == STDOUT


def test_S1_39_S1_40_S1_43_S1_44_S1_45_what_it_sends_reaches_each_class(sender: Run) -> None:
    assert sender.listeners["chat"].heard(1)[0] == chat("🔔 System announcement: Welcome to the chat!")
    assert sender.listeners["reliable"].heard(1)[0] == chat(
        "🔒 Important: System maintenance scheduled for tonight"
    )
    assert sender.listeners["notifications"].heard(1)[0] == notification(
        "🚨 Alert: High CPU usage detected on server", "system"
    )


def test_S1_46_five_events_come_in_their_order(sender: Run) -> None:
    analytics_listener = sender.listeners["analytics"]
    assert analytics_listener.heard(5) == [analytics(event) for event in EVENTS]
    # Sent 0.1 s apart, after three pauses of 0.5 s: the last one cannot come before, but any may be late.
    assert analytics_listener.came_at[4] - sender.began >= 1.8
    assert analytics_listener.heard_all() == [analytics(event) for event in EVENTS]


def test_S1_47_periodic_announcements(sender: Run) -> None:
    first, third = chat("⏰ Hourly chat announcement #1"), chat("⏰ Hourly chat announcement #3")
    second = notification("🔔 System status update #2", "periodic")
    chats, notifications = sender.listeners["chat"], sender.listeners["notifications"]
    chats.heard(3)
    notifications.heard(2)
    # Nothing else, and nothing to anybody else.
    assert chats.heard_all()[1:] == [first, third]
    assert notifications.heard_all()[1:] == [second]
    assert len(sender.listeners["reliable"].heard_all()) == 1
    # They are sent 1 s apart, and the first one after 2.5 s: none can come before, but any may be late.
    came_at = (chats.came_at[1], notifications.came_at[1], chats.came_at[2])
    for at, earliest in zip(came_at, (2.4, 3.4, 4.4), strict=True):
        assert at - sender.began >= earliest


def test_S1_50_what_fails_is_told_and_the_rest_goes_on(typed_app: SeedApp) -> None:
    done = typed_app.run("-m", "src.external_sender", REDIS_URL="redis://127.0.0.1:1")
    assert done.returncode == 0, done.stderr
    errors = re.findall(r"^❌ Error in (.+?): (.+)$", done.stdout, re.MULTILINE)
    assert [name for name, _ in errors] == [
        "Chat Message",
        "Reliable Message",
        "Notification",
        "Analytics Events",
        "Periodic Announcements",
    ]
    assert all("127.0.0.1:1" in text for _, text in errors)
    assert done.stdout.endswith("=== All Examples Complete! ===\n")


def test_S1_51_a_sender_of_ones_own(typed_app: SeedApp, typed_server: Server) -> None:
    (typed_app.folder / "send_custom.py").write_text(
        "import asyncio\n"
        "from src.apps.showcase.consumer import ChatConsumer as Chat\n"
        "from src.apps.showcase.messages import SystemNotify\n"
        "from src.layers import setup_layers\n"
        "async def send():\n"
        "    setup_layers()\n"
        "    await Chat.broadcast_event(SystemNotify(payload='Custom message!'))\n"
        "    print('Message sent!')\n"
        "asyncio.run(send())\n"
    )
    listener = Listener(typed_server, "chat")
    done = typed_app.run("send_custom.py")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Message sent!\n", "")
    until(lambda: chat("Custom message!") in listener.frames, "it has come")
    listener.client.close()


@pytest.mark.parametrize(("path", "address"), [("notify", "chat"), ("notify-sync", "reliable")])
def test_S1_52_endpoints_send_too(typed_server: Server, path: str, address: str) -> None:
    listener = Listener(typed_server, address)
    with httpx.Client(trust_env=False, timeout=15) as client:
        assert client.post(typed_server.http(f"/{path}/hello")).status_code == 200
    until(lambda: chat("hello") in listener.frames, "it has come")
    listener.client.close()


# Documents


@pytest.mark.parametrize("address", ["/asyncapi/", "/asyncapi"])
def test_S1_54_the_page(typed_server: Server, address: str) -> None:
    answer = get(typed_server, address)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")
    assert "/ws/room/{room_name}" in answer.text


def test_S1_53_S1_56_S1_58_the_document(typed_server: Server) -> None:
    made = get(typed_server, "/asyncapi.json").json()
    assert made["asyncapi"] == "3.0.0"
    assert {channel["address"] for channel in made["channels"].values()} == {
        "/ws/room/{room_name}",
        *(f"/ws/{address}" for address in ADDRESSES.values()),
    }
    assert {name for name in made["operations"] if name.startswith("analytics")} == {
        "analytics_handle_ping",
        "analytics_handle_analytics",
        "analytics_system_notify_analytic",
        "analytics_notices",
    }
    operation = made["operations"]["notifications_handle_notification"]
    assert operation["messages"] == [{"$ref": "#/channels/notifications/messages/NotificationMessage"}]
    assert operation["reply"]["messages"] == [
        {"$ref": "#/channels/notifications/messages/NotificationBroadcastMessage"}
    ]
    payload = made["components"]["schemas"]["NotificationPayload"]
    assert payload["required"] == ["message"]
    assert payload["properties"]["type"] == {"default": "user", "title": "Type", "type": "string"}
    assert get(typed_server, "/asyncapi.yaml").text.startswith('asyncapi: "3.0.0"\n')


def test_S1_55_the_document_of_the_example() -> None:
    code = (
        "import main; from compat.typed.asyncapi import document, to_yaml; print(to_yaml(document(main.app)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=EXAMPLES / "fastapi_port",
        env=child_environment({"PYTHONPATH": str(REPO)}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    for address in ("system", "room/{room_name}", "background_jobs", *ADDRESSES.values()):
        assert f"/ws/{address}\n" in done.stdout.replace('"', "")


def test_S1_57_it_changes_with_the_code(typed_app: SeedApp) -> None:
    path = typed_app.src / "apps" / "room_chat" / "consumer.py"
    original = path.read_text(encoding="utf-8")
    try:
        path.write_text(original.replace("Handle ping requests", "Are you there?"), encoding="utf-8")
        with typed_app.serve(log="changed.log") as server:
            made = get(server, "/asyncapi.json").json()
        assert made["operations"]["room_chat_handle_ping"]["summary"] == "Are you there?"
    finally:
        path.write_text(original, encoding="utf-8")


# The page with four streams


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("example") / "server.log"
    with FASTAPI.serve(log, env={"REDIS_URL": redis_url}) as server:
        yield server


def test_S1_59_S1_60_the_page_shows_four_streams_at_once(
    example: Server, chromium: Browser, redis_url: str
) -> None:
    first = chromium.current_window_handle
    page = Page(chromium, example.http("/showcase/streams/"))
    try:
        page.is_connected()
        assert page.find("#status").text == "4 of 4 connected"
        page.find("#text").send_keys("Good morning\n")
        page.shows("#chat .people span", ["Good morning"])
        page.shows("#reliable .people span", ["Good morning"])
        assert not page.texts("#notifications .line") and not page.texts("#analytics .line")
        assert send_from_outside(redis_url=redis_url).returncode == 0
        for stream, count in (("chat", 1), ("reliable", 1), ("notifications", 1), ("analytics", 5)):
            until(partial(shows, page, stream, count), f"{stream} shows it")
    finally:
        page.front()
        chromium.close()
        chromium.switch_to.window(first)


def shows(page: Page, stream: str, count: int) -> bool:
    return len(page.texts(f"#{stream} .events")) == count


@pytest.mark.slow
def test_S1_61_uvicorn_reloads_with_all_four_sockets_open(typed_app: SeedApp) -> None:
    with typed_app.serve("--reload", log="reload-four.log") as server:
        before = [Client(server, f"/ws/{address}") for address in ADDRESSES.values()]
        for client in before:
            client.send_json({"action": "ping"})
            until_pong(client)
        messages = typed_app.src / "apps" / "showcase" / "messages.py"
        messages.write_text(messages.read_text(encoding="utf-8") + "\nRELOADED = True\n", encoding="utf-8")
        for client in before:
            assert client.wait_closed()[0] in (1001, 1006, 1012)
        for address in ADDRESSES.values():
            again = until(partial(connected, server, address), f"{address} is served again", deadline_s=60)
            assert again is not None
            again.send_json({"action": "ping"})
            until_pong(again)
            again.close()
        assert "Traceback" not in server.log()


def connected(server: Server, address: str) -> Client | None:
    try:
        return Client(server, f"/ws/{address}")
    except OSError:
        return None


def test_S1_61_the_compose_file_starts_the_redis_that_the_application_takes() -> None:
    """That this Redis answers is shown in test_S0_60."""
    services = yaml.safe_load((EXAMPLES / "fastapi_port" / "docker-compose.yml").read_text())["services"]
    assert services["web"]["command"][:2] == ["uvicorn", "main:app"]
    assert services["web"]["environment"]["REDIS_URL"] == "redis://redis:6379"
    assert "profiles" not in services["redis"]  # "docker compose up -d" starts it
