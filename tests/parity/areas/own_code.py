"""What people override and wrap: consumers' own plumbing, middleware of three kinds, threads, layers."""

import functools
import threading

from asgiref.sync import async_to_sync
from channels.consumer import AsyncConsumer, SyncConsumer
from channels.db import database_sync_to_async
from channels.exceptions import DenyConnection, StopConsumer
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from channels.layers import InMemoryChannelLayer, channel_layers
from channels.middleware import BaseMiddleware
from channels.routing import ChannelNameRouter, URLRouter
from channels.testing import WebsocketCommunicator
from django.urls import path


async def talk(tell, name, app, *sent, expect=1, address="/", **scope):
    """Open, send each text, read ``expect`` answers, and leave."""
    communicator = WebsocketCommunicator(app, address)
    communicator.scope.update(scope)
    await tell.awaits(f"{name} opens", communicator.connect(5))
    for text in sent:
        await communicator.send_to(text_data=text)
    for _ in range(expect):
        await tell.awaits(f"{name} gets", communicator.receive_from(5))
    await tell.awaits(f"{name} leaves", communicator.disconnect(timeout=5))


class Answering(AsyncJsonWebsocketConsumer):
    """Errors are answered and not raised: the usual reason for a dispatch() of one's own."""

    async def dispatch(self, message):
        try:
            await super().dispatch(message)
        except StopConsumer:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a handler raises
            await self.send_json({"error": type(error).__name__, "type": message["type"]})

    async def receive_json(self, content):
        await self.send_json(10 // content["by"])


class Counting(JsonWebsocketConsumer):
    count = 0

    def dispatch(self, message):
        self.count += 1
        return super().dispatch(message)

    def receive_json(self, content):
        self.send_json([content, self.count])


class Called(AsyncWebsocketConsumer):
    async def __call__(self, scope, receive, send):
        async def louder(message):
            await send({**message, "text": message["text"] + "!"} if "text" in message else message)

        scope["room"] = "lobby"
        return await super().__call__(scope, receive, louder)

    async def receive(self, text_data):
        await self.send(f"{text_data} in {self.scope['room']}")


class Admitted:
    async def connect(self):
        if not self.scope.get("admitted"):
            raise DenyConnection
        await super().connect()


class Doubled:
    async def receive_json(self, content, **kwargs):
        await super().receive_json(content * 2, **kwargs)


class Echo(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content, **kwargs):
        await self.send_json([content, kwargs])

    async def receive(self, text_data=None, bytes_data=None, **kwargs):
        await super().receive(text_data, bytes_data, more=1)


class Mixed(Admitted, Doubled, Echo):
    pass


def noting(handler):
    @functools.wraps(handler)
    def around(self, *args, **kwargs):
        self.noted = handler.__name__
        return handler(self, *args, **kwargs)

    return around


class Decorated(AsyncWebsocketConsumer):
    double = database_sync_to_async(lambda self, text: text * 2)

    @noting
    async def receive(self, text_data=None, bytes_data=None):
        await self.send(f"{await self.double(text_data)} {self.noted}")


class Ticking(WebsocketConsumer):
    """A thread of its own that sends to the client and to the consumer.

    ``connect`` waits for it: what another thread puts into the memory layer of Channels does not wake the
    loop, and is only seen when something else does, here the return of ``connect``.
    """

    def connect(self):
        self.accept()
        thread = threading.Thread(target=self.tick)
        thread.start()
        thread.join()

    def tick(self):
        for number in range(3):
            self.send(f"tick {number}")
        async_to_sync(self.channel_layer.send)(self.channel_name, {"type": "last.tick"})

    def last_tick(self, event):
        self.send("last")


class Raw(SyncConsumer):
    def websocket_connect(self, event):
        self.send({"type": "websocket.accept"})

    def websocket_receive(self, event):
        self.send({"type": "websocket.send", "text": event["text"]})

    def websocket_disconnect(self, event):
        raise StopConsumer


class Room(AsyncWebsocketConsumer):
    async def receive(self, text_data):
        await self.send(f"{text_data} {self.scope['url_route']['kwargs']} {self.scope.get('by')}")


class Classic(BaseMiddleware):
    def __init__(self, inner):
        self.inner = inner

    async def __call__(self, scope, receive, send):
        scope["by"] = "a BaseMiddleware"
        return await super().__call__(scope, receive, send)


class Plain:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        return await self.app(dict(scope, by="a plain class"), receive, send)


def as_function(inner):
    async def app(scope, receive, send):
        return await inner({**scope, "by": "a function"}, receive, send)

    return app


class TwoCalls:
    """As for Channels 2: called with the scope, then with the rest. Works as the outermost."""

    def __init__(self, inner):
        self.inner = inner

    def __call__(self, scope):
        return functools.partial(self.inner, {**scope, "by": "two calls"})


class Job(AsyncConsumer):
    async def job_run(self, message):
        await self.send({"type": "done", "scope": sorted(self.scope)})


async def a_worker_s_scope(tell):
    sent = []
    messages = [{"type": "job.run"}]

    async def receive():
        if messages:
            return messages.pop()
        raise StopConsumer

    async def send(message):
        sent.append(message)

    router = ChannelNameRouter({"jobs": Job.as_asgi()})
    await tell.awaits("worker", router({"type": "channel", "channel": "jobs"}, receive, send))
    tell("worker sent", sent)


async def script(tell):
    channel_layers.set("default", InMemoryChannelLayer())
    await talk(tell, "dispatch", Answering.as_asgi(), '{"by": 0}', "{}", "{", '{"by": 5}', expect=4)
    await talk(tell, "sync dispatch", Counting.as_asgi(), '"x"')
    await talk(tell, "call", Called.as_asgi(), "hello")
    await talk(tell, "mixins", Mixed.as_asgi(), '"ab"', admitted=True)
    await talk(tell, "mixins", Mixed.as_asgi(), expect=0)
    await talk(tell, "decorated", Decorated.as_asgi(), "ab")
    await talk(tell, "thread", Ticking.as_asgi(), expect=4)
    await talk(tell, "raw", Raw.as_asgi(), "ab")
    routes = URLRouter([path("<slug:room>/", Room.as_asgi())])
    for middleware in (Classic, Plain, as_function, TwoCalls):
        await talk(tell, middleware.__name__, middleware(routes), "hi", address="/a-b/")
    await a_worker_s_scope(tell)
