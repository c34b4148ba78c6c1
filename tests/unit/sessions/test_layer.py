"""Sessions beside a channel layer: known to every process, saved by a websocket, ended by a logout."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync

from compat.auth import AuthMiddlewareStack, login, logout
from compat.exceptions import ImproperlyConfigured, LayerUnavailable
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.layers import InMemoryChannelLayer, channel_layers, get_channel_layer
from compat.layers.values import MemoryValues
from compat.routing import ProtocolTypeRouter
from compat.sessions.layer import LayerSession
from compat.sessions.store import KeyValueSession
from compat.settings import override
from compat.testing import HttpCommunicator, WebsocketCommunicator
from tests.support.clients import Client, Refused, get
from tests.support.layers import ReceiveOnlyLayer, unique_prefix
from tests.support.logs import recorded
from tests.support.processes import free_port
from tests.support.servers import LiveServer

ENGINE = {"SESSION_ENGINE": "compat.session_layer", "AUTHENTICATION_BACKENDS": [f"{__name__}.Backend"]}


class User:
    is_authenticated = True

    def __init__(self, pk: int) -> None:
        self.pk = pk


class Backend:
    async def get_user(self, user_id: str) -> User:
        return User(int(user_id))


@pytest.fixture(params=["core.RedisChannelLayer", "pubsub.RedisPubSubChannelLayer"])
def prefix(request: pytest.FixtureRequest, redis_url: str) -> Iterator[str]:
    """Sessions in Redis, beside either layer."""
    config: dict[str, Any] = {"hosts": [redis_url], "prefix": unique_prefix()}
    entry = {"BACKEND": f"compat.layers.redis.{request.param}", "CONFIG": config}
    with override(CHANNEL_LAYERS={"default": entry}, **ENGINE):
        yield config["prefix"]


class Saving(AsyncWebsocketConsumer):
    """Counts in the session, and saves it: which a session in a cookie cannot."""

    async def receive(self, text_data: str) -> None:
        session = self.scope["session"]
        await session.aset("count", await session.aget("count", 0) + 1)
        await session.asave()
        await self.send(f"{self.scope['user'].pk} {session['count']}")


class SyncSaving(WebsocketConsumer):
    def receive(self, text_data: str) -> None:
        session = self.scope["session"]
        session["count"] = session.get("count", 0) + 1
        session.save()
        self.send(f"{self.scope['user'].pk} {session['count']}")


async def page(cookie: str, act: Any) -> str:
    """The session cookie after a request in which `act(scope)` was done; "" where it is deleted."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await act(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    headers = [(b"cookie", f"sessionid={cookie}".encode())] if cookie else []
    response = await HttpCommunicator(AuthMiddlewareStack(app), "GET", "/", headers=headers).get_response(15)
    (set_cookie,) = (value.decode() for name, value in response["headers"] if name == b"Set-Cookie")
    return set_cookie.partition(";")[0].removeprefix("sessionid=").strip('"')


async def say(consumer: Any, cookie: str) -> str:
    headers = [(b"cookie", f"sessionid={cookie}".encode())]
    communicator = WebsocketCommunicator(AuthMiddlewareStack(consumer.as_asgi()), "/", headers=headers)
    assert (await communicator.connect(15))[0]
    await communicator.send_to(text_data="count")
    heard = await communicator.receive_from(15)
    await communicator.disconnect(timeout=15)
    return str(heard)


async def test_a_login_a_websocket_that_saves_and_a_logout(prefix: str, redis_url: str) -> None:
    cookie = await page("", lambda scope: login(scope, User(7)))
    assert [await say(consumer, cookie) for consumer in (Saving, SyncSaving, Saving)] == ["7 1", "7 2", "7 3"]
    channel_layers.backends.clear()  # another process has a layer of its own, and nothing in its memory
    assert await say(SyncSaving, cookie) == "7 4"
    with redis.Redis.from_url(redis_url) as client:
        (key,) = client.keys(f"{prefix}:value:*")
        assert 0 < client.ttl(key) <= 1209600
        assert await page(cookie, logout) == ""
        assert client.exists(key) == 0
    assert (await say(Saving, cookie)).startswith("None ")


def test_blocking_code_without_a_loop(prefix: str) -> None:
    session = LayerSession()
    session["a"] = 1
    session.save()
    assert LayerSession(session.session_key)["a"] == 1
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(LayerSession(session.session_key)["a"]))
    thread.start()
    thread.join(15)
    assert found == [1]
    session.delete()
    assert async_to_sync(LayerSession().aexists)(str(session.session_key)) is False


async def test_blocking_forms_where_a_loop_runs_name_the_async_ones(prefix: str) -> None:
    session = LayerSession("a-key-of-somebody")
    with pytest.raises(RuntimeError, match=r"await session\.aget"):
        session.get("a")


async def test_data_that_is_no_json_is_refused_when_it_is_saved(prefix: str) -> None:
    session = LayerSession()
    await session.aset("when", object())
    with pytest.raises(ValueError, match="must be JSON"):
        await session.asave()


async def test_the_layer_is_chosen_by_its_alias() -> None:
    memory = {"BACKEND": "compat.layers.InMemoryChannelLayer"}
    layers = {"default": {"BACKEND": f"{ReceiveOnlyLayer.__module__}.ReceiveOnlyLayer"}, "mine": memory}
    with override(CHANNEL_LAYERS=layers, **ENGINE):
        with pytest.raises(ImproperlyConfigured, match=r"'default'.*ReceiveOnlyLayer stores no values"):
            await LayerSession().asave()
        with override(SESSION_CHANNEL_LAYER="nobody"):
            with pytest.raises(ImproperlyConfigured, match=r"'nobody'.*configured: 'default', 'mine'"):
                await LayerSession().asave()
        with override(SESSION_CHANNEL_LAYER="mine"):
            await LayerSession().asave()
            layer = get_channel_layer("mine")
            assert isinstance(layer, InMemoryChannelLayer) and len(layer.key_values._kept) == 1


async def test_a_store_of_ones_own(redis_url: str) -> None:
    """redis-py's client is one, as it is."""
    from redis.asyncio import Redis

    async with Redis.from_url(redis_url) as client:

        class Own(KeyValueSession):
            prefix = f"{unique_prefix()}:"

            def store(self) -> Any:
                return client

        session = Own()
        await session.aset("a", ["ä", None])
        await session.asave()
        assert await Own(session.session_key).aget("a") == ["ä", None]
        await session.aflush()
        assert not await client.keys(f"{Own.prefix}*")
    with pytest.raises(NotImplementedError, match=r"KeyValueSession has no store\(\)"):
        await KeyValueSession().asave()


async def test_values_in_memory_end_with_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(MemoryValues, "clock", staticmethod(lambda: now))
    values = MemoryValues()
    assert await values.set("a", "1", ex=10)
    now += 9
    assert await values.get("a") == "1"
    now += 2
    assert await values.get("a") is None and not await values.set("a", "2", ex=10, xx=True)
    now += 60
    await values.set("b", "1", ex=10)
    assert list(values._kept) == ["b"]


async def test_many_at_once_share_a_connection(prefix: str) -> None:
    sessions = [LayerSession() for _ in range(50)]
    await asyncio.gather(*(session.aset("n", n) for n, session in enumerate(sessions)))
    await asyncio.gather(*(session.asave() for session in sessions))
    again = await asyncio.gather(*(LayerSession(session.session_key).aget("n") for session in sessions))
    assert again == list(range(50))


def test_while_redis_is_away_nobody_is_let_in_and_the_log_says_why() -> None:
    entry = {
        "BACKEND": "compat.layers.redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [f"redis://127.0.0.1:{free_port()}"]},
    }

    async def page(scope: Any, receive: Any, send: Any) -> None: ...

    app = ProtocolTypeRouter(
        {"http": AuthMiddlewareStack(page), "websocket": AuthMiddlewareStack(Saving.as_asgi())}
    )
    cookie = {"Cookie": "sessionid=somebody-s-session"}
    with override(CHANNEL_LAYERS={"default": entry}, **ENGINE), recorded() as records:
        with LiveServer(app) as server:
            with pytest.raises(Refused) as refused:
                Client(server, "/ws/", headers=cookie)
            assert refused.value.status == 503
            assert get(server, "/page/", **cookie).status_code == 503
    (line,) = records.messages()
    assert line.startswith("compat.layers WARNING") and "Start redis-server there" in line, "once"


async def test_in_a_test_the_error_is_raised() -> None:
    entry = {
        "BACKEND": "compat.layers.redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [f"redis://127.0.0.1:{free_port()}"]},
    }
    with override(CHANNEL_LAYERS={"default": entry}, **ENGINE):
        with pytest.raises(LayerUnavailable):
            await say(Saving, "somebody-s-session")
