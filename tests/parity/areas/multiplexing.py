"""Applications inside a consumer, as multiplexers have them, and routers inside routers inside middleware."""

import asyncio

from channels.auth import AuthMiddlewareStack
from channels.consumer import AsyncConsumer, get_handler_name
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
)
from channels.middleware import BaseMiddleware
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.testing import WebsocketCommunicator
from django.urls import path, re_path


class Multiplexer(AsyncJsonWebsocketConsumer):
    """{"stream": …, "payload": …} for one of several applications, each with its own receive() and send()."""

    applications = {}

    async def connect(self):
        self.queues, self.tasks = {}, []
        for stream, app in self.applications.items():
            self.queues[stream] = queue = asyncio.Queue()
            scope = {**self.scope, "stream": stream}
            self.tasks.append(asyncio.ensure_future(app(scope, queue.get, self.sending(stream))))
            queue.put_nowait({"type": "websocket.connect"})
        await self.accept()

    def sending(self, stream):
        async def send(message):
            if message["type"] == "websocket.send":
                await self.send_json({"stream": stream, "payload": message["text"]})
            else:
                await self.send_json({"stream": stream, get_handler_name(message): sorted(message)})

        return send

    async def receive_json(self, content, **kwargs):
        queue = self.queues.get(content["stream"])
        if queue is None:
            raise ValueError("unknown stream")
        queue.put_nowait({"type": "websocket.receive", "text": content["payload"]})

    async def disconnect(self, code):
        for queue in self.queues.values():
            queue.put_nowait({"type": "websocket.disconnect", "code": code})
        done, pending = await asyncio.wait(self.tasks, timeout=5)
        LEFT.append((len(done), len(pending)))


LEFT = []


class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await self.send(f"{self.scope['stream']} {text_data}")

    async def disconnect(self, code):
        LEFT.append(("echo", code))


class SyncEcho(JsonWebsocketConsumer):
    def receive_json(self, content, **kwargs):
        self.send_json({"upper": content.upper()})

    def disconnect(self, code):
        LEFT.append(("sync", code))


class Grouped(AsyncJsonWebsocketConsumer):
    groups = ["multiplexed"]

    async def receive_json(self, content, **kwargs):
        await self.channel_layer.group_send("multiplexed", {"type": "told", "text": content})

    async def told(self, event):
        await self.send_json(event["text"])


class Adds(BaseMiddleware):
    async def __call__(self, scope, receive, send):
        scope["added"] = [*scope.get("added", []), len(scope.get("url_route", {}).get("kwargs", {}))]
        return await super().__call__(scope, receive, send)


class Where(AsyncJsonWebsocketConsumer):
    async def connect(self):
        await self.accept()
        route = self.scope["url_route"]
        await self.send_json(
            [route["kwargs"], list(route["args"]), self.scope.get("added"), self.scope["path"]]
        )


class Frames(AsyncConsumer):
    """The raw consumer: every message by hand."""

    async def websocket_connect(self, message):
        await self.send({"type": "websocket.accept", "subprotocol": "raw"})

    async def websocket_receive(self, message):
        await self.send({"type": "websocket.send", "text": "".join(sorted(message))})
        await self.send({"type": "websocket.close", "code": 4009})


async def script(tell):
    Multiplexer.applications = {"a": Echo.as_asgi(), "b": SyncEcho.as_asgi(), "c": Grouped.as_asgi()}
    communicator = WebsocketCommunicator(Multiplexer.as_asgi(), "/")
    await tell.awaits("connect", communicator.connect())
    accepted = [await communicator.receive_json_from() for _ in range(3)]
    tell("accepted", sorted(map(str, accepted)))
    for stream, payload in (("a", "one"), ("b", '"two"'), ("c", '"three"'), ("a", "four")):
        await communicator.send_json_to({"stream": stream, "payload": payload})
        await tell.awaits(f"{stream} {payload}", communicator.receive_json_from(5))
    await tell.awaits("disconnect", communicator.disconnect(timeout=10))
    tell("left", sorted(map(str, LEFT)))
    communicator = WebsocketCommunicator(Multiplexer.as_asgi(), "/")
    await communicator.connect()
    await communicator.send_json_to({"stream": "nobody", "payload": ""})
    await tell.awaits("unknown stream", communicator.wait(5))
    await nested(tell)
    communicator = WebsocketCommunicator(Frames.as_asgi(), "/")
    await tell.awaits("raw", communicator.connect())
    await communicator.send_to(text_data="x")
    tell("raw frame", [await communicator.receive_from(), await communicator.receive_output()])
    communicator.stop(exceptions=False)


async def nested(tell):
    inner = URLRouter([path("<slug:c>/", Where.as_asgi()), re_path(r"^(\d+)/(\d+)/$", Where.as_asgi())])
    middle = URLRouter([re_path(r"^n(?P<b>\d+)/", inner), path("end/", Where.as_asgi(), {"given": "kwarg"})])
    urls = URLRouter([path("<int:a>/", middle), re_path(r"^auth/$", Adds(Adds(Where.as_asgi())))])
    app = ProtocolTypeRouter({"websocket": AuthMiddlewareStack(Adds(urls))})
    found = ("/1/n2/x/", "/1/n2/3/4/", "/1/end/", "/auth/")
    for where in (*found, "/1/", "/1/n2/", "/x/end/", "/1/n2/x/more/"):
        communicator = WebsocketCommunicator(app, where)
        await tell.awaits(f"connect {where}", communicator.connect(5 if where in found else 1))
        if not communicator.future.done():
            await tell.awaits(f"found {where}", communicator.receive_json_from())
            communicator.stop(exceptions=False)
