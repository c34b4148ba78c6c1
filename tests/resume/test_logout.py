"""A logout ends the connections of its session that wait for their client, in every process."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from compat.layers import get_channel_layer, register_channel_layer, unregister_channel_layer
from compat.layers.memory import InMemoryChannelLayer
from compat.layers.redis import RedisChannelLayer
from compat.metrics import Throttle
from compat.redis.loops import background
from compat.resume import logouts
from compat.resume.logouts import HOMES, belong, logged_out, mark_of
from compat.session_memory import MemorySession
from compat.settings import override, settings
from tests.resume.place import Place, name, placed
from tests.resume.test_workers import layer_of
from tests.support.layers import moving, unique_prefix
from tests.support.resuming import Resuming
from tests.support.waiting import until_async

SLOW = pytest.mark.slow
Headers = Mapping[str, str]
Heard = Callable[[], Awaitable[list[str]]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with placed(tmp_path_factory.mktemp("logouts")) as place:
        yield place


@pytest.fixture
async def place(running: Place) -> AsyncIterator[Place]:
    yield running
    running.no_failure()


async def logged_in(place: Place, user: str = "ann") -> dict[str, str]:
    """The headers of a browser whose user has logged in."""
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=30) as browser:
        answer = await browser.get(place.server.http("/login"), params={"user": user})
        assert answer.status_code == 200, answer.text
        (cookie,) = browser.cookies.jar
        return {"Cookie": f"{cookie.name}={cookie.value}"}


async def log_out(place: Place, headers: Headers) -> None:
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=30) as browser:
        answer = await browser.get(place.server.http("/logout"), headers=dict(headers))
        assert answer.status_code == 200


@pytest.mark.parametrize("flavour", ["async", "plain", pytest.param("sync", marks=SLOW)])
async def test_a_logout_ends_what_waits_for_its_user(place: Place, flavour: str) -> None:
    headers, who = await logged_in(place), name("out")
    client = await place.open(f"session/{flavour}", who, headers=headers)
    client.cut()
    await place.parked(1)
    before = (await place.resumable())["lost"].get("logout", 0)
    await log_out(place, headers)
    assert await place.code(who) == 1006
    assert (await place.resumable())["lost"]["logout"] == before + 1
    assert await client.back() == "" and client.why == "user"
    await client.leave()


async def test_another_session_of_the_user_is_left_alone(place: Place) -> None:
    phone, laptop = await logged_in(place), await logged_in(place)
    clients: list[Resuming] = []
    for headers in (phone, laptop):
        client = await place.open("session/async", name("both"), headers=headers)
        client.cut()
        clients.append(client)
    await place.parked(2)
    await log_out(place, phone)
    await place.parked(1)
    assert await clients[0].back() == "" and clients[0].why == "user"
    assert await clients[1].back() == "all"
    for client in clients:
        await client.leave()


async def test_a_connection_with_its_client_stays_and_waits_for_nobody_later(place: Place) -> None:
    headers, who = await logged_in(place), name("open")
    client = await place.open("session/async", who, headers=headers)
    await log_out(place, headers)
    for number in (1, 2):
        await client.send(f"echo {number}")
        assert await client.numbers(1) == [number]
    client.cut()
    assert await place.code(who) == 1006
    assert not place.notes("parked", who)


async def test_one_who_logs_in_again_gets_a_new_connection(place: Place) -> None:
    """The ticket is the same user's, but the connection has ended with the session."""
    headers, who = await logged_in(place), name("again")
    client = await place.away("session/async", who, headers=headers)
    await log_out(place, headers)
    assert await place.code(who) == 1006
    client.headers = await logged_in(place)
    assert await client.back() == "" and client.why == "logout"
    await client.leave()


async def test_who_has_not_logged_in_or_is_known_otherwise_is_left_alone(place: Place) -> None:
    session = await logged_in(place)
    keyed = await place.away("session/asked", name("keyed"), headers={**session, "X-Key": "three"})
    nobody = await place.away("session/async", name("nobody"))
    await log_out(place, session)
    assert await nobody.back() == "all"
    keyed.headers = {"X-Key": "three"}
    assert await keyed.back() == "all"
    for client in (keyed, nobody):
        await client.leave()


@pytest.mark.parametrize("kind", ["queue", "pubsub", pytest.param("streams", marks=SLOW)])
async def test_a_logout_in_another_process(kind: str, redis_url: str, tmp_path: Path) -> None:
    layer = layer_of(kind, redis_url)
    with ExitStack() as stack:
        home, other = (stack.enter_context(placed(tmp_path, **layer)) for _ in range(2))
        headers, who = await logged_in(other), name("elsewhere")
        client = await home.open("session/async", who, headers=headers)
        assert await client.back(to=other.server) == "all"  # by a relay, whose end it notices as well
        client.cut()
        await home.noted("parked", who)
        stays = await home.away("session/async", name("stays"), headers=await logged_in(home))
        await log_out(other, headers)
        assert await home.code(who) == 1006
        assert await client.back(to=other.server) == "" and client.why == "user"
        assert await stays.back(to=other.server) == "all"
        for one in (client, stays):
            await one.leave()
        for server in (home, other):
            server.no_failure()


def layers_of(layer: Mapping[str, str]) -> dict[str, Any]:
    """CHANNEL_LAYERS of a process on the layer that servers with this environment have."""
    config = {"hosts": [layer["RESUME_REDIS"]], "prefix": layer["RESUME_PREFIX"]}
    return {"default": {"BACKEND": layer["RESUME_LAYER"], "CONFIG": config}}


@pytest.fixture
async def heard(redis_url: str) -> AsyncIterator[Heard]:
    """This process is on a queue layer: returns the sessions that another one hears of next."""
    with override(CHANNEL_LAYERS=layers_of(layer_of("queue", redis_url))):
        layer: Any = get_channel_layer()
        mailbox = await layer.new_channel()
        await layer.group_add(HOMES, mailbox)

        async def next_sessions() -> list[str]:
            sessions: list[str] = (await layer.receive(mailbox))["sessions"]
            return sessions

        yield next_sessions


async def test_a_logout_in_a_thread_of_a_process_without_connections(redis_url: str, tmp_path: Path) -> None:
    layer = layer_of("queue", redis_url)
    with placed(tmp_path, **layer) as home:
        headers, who = await logged_in(home), name("thread")
        await home.away("session/async", who, headers=headers)
        key = headers["Cookie"].partition("=")[2]
        with override(CHANNEL_LAYERS=layers_of(layer)):
            await asyncio.to_thread(logged_out, key)
            assert await home.code(who) == 1006
        home.no_failure()


async def test_another_session_of_the_user_takes_over(place: Place) -> None:
    """Was: the session of its first link counted for ever: the end of that one ended it, and not of this."""
    first, second, who = await logged_in(place), await logged_in(place), name("moved")
    client = await place.away("session/async", who, headers=first)
    client.headers = second
    assert await client.back() == "all"
    await log_out(place, first)
    await client.send("echo 1")
    assert await client.numbers(1) == [1]
    client.cut()
    await place.noted("parked", who, 2)
    assert not place.notes("disconnect", who)
    await log_out(place, second)
    assert await place.code(who) == 1006


async def test_a_logout_is_over_when_the_user_is_back(place: Place) -> None:
    """The old link looks alive at the logout; by the next cut the user has logged in again."""
    headers, who = await logged_in(place), name("back")
    client = await place.open("session/async", who, headers=headers)
    await log_out(place, headers)
    client.headers = await logged_in(place)
    assert await client.back() == "all"
    client.cut()
    await place.noted("parked", who)
    assert await client.back() == "all"
    await client.leave()


async def test_the_session_moves_over_a_relay(redis_url: str, tmp_path: Path) -> None:
    layer = layer_of("queue", redis_url)
    with ExitStack() as stack:
        home, other = (stack.enter_context(placed(tmp_path, **layer)) for _ in range(2))
        first, second, who = await logged_in(home), await logged_in(other), name("relayed")
        client = await home.open("session/async", who, headers=first)
        client.headers = second
        assert await client.back(to=other.server) == "all"
        client.cut()
        await home.noted("parked", who)
        await log_out(other, first)
        assert await client.back(to=other.server) == "all"
        client.cut()
        await log_out(other, second)
        assert await home.code(who) == 1006


async def test_a_user_whom_a_function_knows_is_left_alone(place: Place) -> None:
    """Their session says nothing of who they are."""
    session, who = await logged_in(place), name("token")
    cookie = {"Cookie": f"{session['Cookie']}; token=eva"}
    client = await place.away("token/async", who, headers=cookie)
    await log_out(place, session)
    assert await client.back() == "all"
    await client.leave()


async def test_a_user_whom_a_middleware_further_in_knows_is_left_alone(place: Place) -> None:
    """As that of a token is: the session names somebody else."""
    session, who = await logged_in(place), name("further")
    client = await place.away("further/async", who, headers=session)
    await log_out(place, session)
    assert await client.back() == "all"
    await client.leave()


@pytest.mark.parametrize("layers", [["oops"], {"default": {}}, {1: {}, "a": {}}], ids=str)
def test_a_logout_does_not_fail_with_the_layers(layers: Any) -> None:
    with override(CHANNEL_LAYERS=layers):
        session = MemorySession()
        session["user"] = "ann"
        session.save()
        session.flush()
        assert session.is_empty()


def test_what_cannot_be_read_is_deleted_all_the_same() -> None:
    removed: list[str] = []

    class Corrupt(MemorySession):
        def read(self, key: str) -> Any:
            raise ValueError("no JSON")

        def remove(self, key: str) -> None:
            removed.append(key)

    Corrupt("a key of a session").flush()
    assert removed == ["a key of a session"]


SCRIPT = """
import asyncio
from compat.settings import configure
from compat.session_memory import MemorySession
configure(CHANNEL_LAYERS={layers!r})
s = MemorySession()
s["user"] = "ann"
s.save()
key = s.session_key
{call}
print(key)
"""


@pytest.mark.parametrize("call", ["s.flush()", "asyncio.run(s.aflush())"])
async def test_a_script_that_ends_has_told_of_it(heard: Heard, call: str) -> None:
    script = SCRIPT.format(layers=settings.CHANNEL_LAYERS, call=call)
    command = (sys.executable, "-c", script)
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    assert await heard() == [mark_of(done.stdout.strip())]


async def test_many_logouts_are_told_together(heard: Heard) -> None:
    """Was: a message of each, which overflowed the mailboxes that the links between processes need."""
    keys = [f"session-{number}" for number in range(3000)]
    for key in keys:
        logged_out(key)
    sessions: list[str] = []
    while len(sessions) < len(keys):
        sessions += await heard()
    assert sessions == list(map(mark_of, keys))


class Stuck:
    """Somebody's layer, over which others hear, and which does not answer."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.released = asyncio.Event()

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        self.asked.append(message["sessions"])
        await self.released.wait()

    def release(self) -> None:
        background.loop.call_soon_threadsafe(self.released.set)


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    layer = Stuck()
    register_channel_layer("stuck", layer)
    yield layer
    layer.release()
    unregister_channel_layer("stuck")


async def test_a_layer_that_does_not_answer_holds_up_no_other(heard: Heard, stuck: Stuck) -> None:
    """Was: all layers were told at once, so the next logouts waited for the slowest."""
    keys = ("one", "two", "three")
    for key in keys:
        logged_out(key)
        assert await heard() == [mark_of(key)]
    assert stuck.asked == [[mark_of("one")]]
    stuck.release()
    rest = [mark_of(key) for key in keys[1:]]
    await until_async(lambda: stuck.asked[1:] == [rest], "it is told of the rest")


def asked_last(layer: Stuck, key: str) -> bool:
    return layer.asked[-1:] == [[mark_of(key)]]


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What others were not told, however soon after another such line."""
    monkeypatch.setattr(logouts, "_throttle", Throttle(0.0))
    return lambda: [line for line in caplog.messages if line.startswith("other processes were not told")]


async def test_a_layer_that_never_answers_is_given_up(
    stuck: Stuck, warnings: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logouts, "TELL_S", 0.2)
    for key in ("one", "two"):
        logged_out(key)
        await until_async(partial(asked_last, stuck, key), f"it is told of {key}")
    await until_async(lambda: len(warnings()) == 2, "both were given up")
    assert all("of 1 logouts" in line and "no answer within 0.2 s" in line for line in warnings())


async def test_not_all_wait_for_a_layer_that_does_not_answer(
    stuck: Stuck, warnings: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logouts, "MOST_WAITING", 3)
    keys = ("one", "two", "three", "four")
    for key in keys:
        logged_out(key)
    await until_async(lambda: len(warnings()) == 1, "one is not told")
    assert "of 1 logouts" in warnings()[0] and "too many wait" in warnings()[0]
    stuck.release()
    told = list(map(mark_of, keys[:3]))
    await until_async(lambda: [key for keys in stuck.asked for key in keys] == told, "the others are told")


def test_others_are_not_told_the_key() -> None:
    """It is as good as a password."""
    assert len(mark_of("a-key")) == 32 and mark_of("a-key") != mark_of("a-kez")
    assert "a-key" not in mark_of("a-key")


async def test_a_key_that_somebody_has_made_up_is_told_to_nobody(heard: Heard) -> None:
    """Else each request to a page that logs out would be work for every process."""
    real = MemorySession()
    real["user"] = "ann"
    real.save()
    key = str(real.session_key)
    for method in ("flush", "delete", "aflush", "adelete"):
        for first in ("is_empty", "clear"):
            session = MemorySession("a key that nobody has")
            getattr(session, first)()
            done = getattr(session, method)()
            assert done is None or await done is None
    await MemorySession(key).aflush()
    assert await heard() == [mark_of(key)]


async def test_a_mailbox_joins_on_a_moving_layer_once(redis_url: str) -> None:
    """Joining again while one of the two layers is away would take it out of both."""
    layer = moving(RedisChannelLayer([redis_url], prefix=unique_prefix()), InMemoryChannelLayer(), "old")
    mailbox = await layer.new_channel()
    await asyncio.wait_for(belong(layer, mailbox), 30)
    await layer.group_send(HOMES, {"type": "hello"})
    assert await layer.receive(mailbox) == {"type": "hello"}
    await layer.close_pools()


async def test_a_logout_does_not_wait_for_redis(
    caplog: pytest.LogCaptureFixture, unused_tcp_port: int
) -> None:
    hosts = [f"redis://127.0.0.1:{unused_tcp_port}"]
    broken = {"BACKEND": "compat.no_such_module.Layer"}
    away = {"BACKEND": "compat.layers.redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": hosts}}
    with override(CHANNEL_LAYERS={"broken": broken, "default": away}), caplog.at_level(logging.WARNING):
        logged_out("a key of a session that is no more")
        await until_async(lambda: "were not told of 1 logouts" in caplog.text, "it is logged")
