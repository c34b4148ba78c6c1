"""channels.generic.websocket: the ASGI messages that go out, hooks, groups, and JSON of one's own."""

from channels.exceptions import AcceptConnection, DenyConnection
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from channels.layers import get_channel_layer
from channels.testing import ApplicationCommunicator
from django.test import override_settings

CALLS = (
    ("accept", {}),
    ("accept", {"subprotocol": "s"}),
    ("accept", {"headers": [(b"a", b"b")]}),
    ("accept", {"headers": []}),
    ("send", {"text_data": "t"}),
    ("send", {"text_data": ""}),
    ("send", {"bytes_data": b"b"}),
    ("send", {"bytes_data": b""}),
    ("send", {"text_data": "t", "bytes_data": b"b"}),
    ("send", {"text_data": "t", "close": True}),
    ("send", {"text_data": "t", "close": 4001}),
    ("send", {"text_data": "t", "close": 0}),
    ("close", {}),
    ("close", {"code": True}),
    ("close", {"code": 0}),
    ("close", {"code": 4001}),
    ("close", {"code": 4001, "reason": "r"}),
    ("close", {"reason": ""}),
    ("send_json", {"content": {"ä": [1, None, 2.5]}}),
    ("send_json", {"content": None, "close": 4002}),
)
HEARD = []


class Sync(JsonWebsocketConsumer):
    groups = ["websocket.class"]

    def connect(self):
        HEARD.append(("connect", self.groups))

    def call_it(self, message):
        getattr(self, message["name"])(**message["arguments"])
        self.base_send({"type": "done"})

    def receive_json(self, content, **kwargs):
        HEARD.append(("json", content, kwargs))
        self.base_send({"type": "done"})

    def disconnect(self, code):
        HEARD.append(("disconnect", code))


class Async(AsyncJsonWebsocketConsumer):
    groups = ["websocket.class"]

    async def connect(self):
        HEARD.append(("connect", self.groups))

    async def call_it(self, message):
        await getattr(self, message["name"])(**message["arguments"])
        await self.base_send({"type": "done"})

    async def receive_json(self, content, **kwargs):
        HEARD.append(("json", content, kwargs))
        await self.base_send({"type": "done"})

    async def disconnect(self, code):
        HEARD.append(("disconnect", code))


class SyncOwn(Sync):
    @classmethod
    def decode_json(cls, text_data):
        return ["decoded", text_data]

    @classmethod
    def encode_json(cls, content):
        return f"<{content}>"

    def receive(self, text_data=None, bytes_data=None, **kwargs):
        super().receive(text_data=text_data or bytes_data.decode(), bytes_data=None, extra=1)


class AsyncOwn(Async):
    @classmethod
    async def decode_json(cls, text_data):
        return ["decoded", text_data]

    @classmethod
    async def encode_json(cls, content):
        return f"<{content}>"

    async def receive(self, text_data=None, bytes_data=None, **kwargs):
        await super().receive(text_data=text_data or bytes_data.decode(), bytes_data=None, extra=1)


async def outputs(communicator):
    """What goes out until the consumer says that it is done."""
    found = []
    while True:
        message = await communicator.receive_output(5)
        if message == {"type": "done"}:
            return found
        found.append(sorted(message.items()))


async def started(cls):
    communicator = ApplicationCommunicator(cls.as_asgi(), {"type": "websocket", "path": "/"})
    await communicator.send_input({"type": "websocket.connect"})
    return communicator


async def messages(tell, cls):
    communicator = await started(cls)
    for name, arguments in CALLS:
        await communicator.send_input({"type": "call.it", "name": name, "arguments": arguments})
        tell(f"{name} {arguments}", await outputs(communicator))
    for frame in ({"text": '{"a": 1}'}, {"text": "[]", "bytes": None}):
        await communicator.send_input({"type": "websocket.receive", **frame})
        tell(f"frame {frame}", await outputs(communicator))
    tell("in the group", len(get_channel_layer().groups.get("websocket.class", ())))
    await communicator.send_input({"type": "websocket.disconnect", "code": 1001})
    await tell.awaits("ends", communicator.wait(5))
    tell("in the group", len(get_channel_layer().groups.get("websocket.class", ())))
    tell("heard", HEARD)
    for frame in ({"bytes": b"{}"}, {"text": ""}, {"text": "{"}):
        communicator = await started(cls)
        await communicator.send_input({"type": "websocket.receive", **frame})
        HEARD.clear()
        await tell.awaits(f"bad frame {frame}", communicator.wait(5))
        await left(tell)
    communicator = await started(cls)
    await communicator.send_input({"type": "call.it", "name": "send", "arguments": {}})
    HEARD.clear()
    await tell.awaits("send of nothing", communicator.wait(5))
    await left(tell)
    HEARD.clear()


async def left(tell):
    """What an error has left, and then nothing."""
    tell("after an error", [HEARD, len(get_channel_layer().groups.get("websocket.class", ()))])
    await get_channel_layer().flush()


async def own_json(tell, cls):
    communicator = await started(cls)
    await communicator.send_input({"type": "call.it", "name": "send_json", "arguments": {"content": 1}})
    tell("own json", await outputs(communicator))
    for frame in ({"text": "t"}, {"bytes": b"b"}):
        await communicator.send_input({"type": "websocket.receive", **frame})
        tell("own json", await outputs(communicator))
    communicator.stop(exceptions=False)
    tell("heard", HEARD)
    HEARD.clear()


async def script(tell):
    for cls in (Sync, Async):
        tell("of", cls.__name__)
        await messages(tell, cls)
    for cls in (SyncOwn, AsyncOwn):
        tell("of", cls.__name__)
        await own_json(tell, cls)
    for base in (WebsocketConsumer, AsyncWebsocketConsumer):
        await defaults(tell, base)


async def defaults(tell, base):
    tell("of", base.__name__)
    tell("arguments are swallowed", base("a", 1, b=2).groups)
    for error in (AcceptConnection, DenyConnection):
        cls = type("Raising", (base,), {"connect": raising(base, error)})
        communicator = await started(cls)
        tell(error.__name__, await communicator.receive_output(5))
        communicator.stop(exceptions=False)
    communicator = await started(base)
    tell("accepts", await communicator.receive_output(5))
    await communicator.send_input({"type": "websocket.receive", "text": "ignored"})
    await communicator.send_input({"type": "websocket.disconnect", "code": 1000})
    await tell.awaits("ends", communicator.wait(5))
    with override_settings(CHANNEL_LAYERS={}):
        communicator = await started(type("Grouped", (base,), {"groups": ["websocket.class"]}))
        await tell.awaits("groups without a layer", communicator.wait(5))


def raising(base, error):
    def connect(self):
        raise error

    async def aconnect(self):
        raise error

    chosen = connect if base is WebsocketConsumer else aconnect
    chosen.__name__ = "connect"
    return chosen
