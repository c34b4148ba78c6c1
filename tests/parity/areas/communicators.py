"""channels.testing."""

import asyncio

from channels.generic.websocket import AsyncJsonWebsocketConsumer, WebsocketConsumer
from channels.testing import ApplicationCommunicator, WebsocketCommunicator


class Echo(WebsocketConsumer):
    def connect(self):
        if self.scope["path"] == "/no":
            self.close(4001)
        elif self.scope["path"] == "/plain-no":
            self.close()
        else:
            self.accept(next(iter(self.scope["subprotocols"]), None), headers=[(b"x", b"y")])

    def receive(self, text_data=None, bytes_data=None):
        if text_data == "close":
            self.close(4002)
        elif text_data == "raise":
            raise ZeroDivisionError
        elif text_data != "silence":
            self.send(text_data, bytes_data)


class Json(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content, **kwargs):
        await self.send_json(content)


async def forever(scope, receive, send):
    await asyncio.get_running_loop().create_future()


async def talk(tell):
    communicator = WebsocketCommunicator(Echo.as_asgi(), "/", subprotocols=["a", "b"])
    await tell.awaits("connect", communicator.connect())
    tell("headers", communicator.response_headers)
    await communicator.send_to(text_data="text")
    await tell.awaits("text", communicator.receive_from())
    await communicator.send_to(bytes_data=b"bytes")
    await tell.awaits("bytes", communicator.receive_from())
    await tell.awaits("both", communicator.send_to(text_data="a", bytes_data=b"b"))
    await tell.awaits("neither", communicator.send_to())
    await tell.awaits("an empty text", communicator.send_to(text_data=""))
    await tell.awaits("nothing", communicator.receive_nothing(0.02))
    await communicator.send_to(text_data="{}")
    await tell.awaits("something", communicator.receive_nothing(2))
    await tell.awaits("json", communicator.receive_json_from())
    await communicator.send_to(bytes_data=b"{}")
    await tell.awaits("json in bytes", communicator.receive_json_from())
    await communicator.send_to(text_data="close")
    await tell.awaits("a frame where it closes", communicator.receive_from())
    await tell.awaits("disconnect", communicator.disconnect())


async def ends(tell):
    for where in ("/no", "/plain-no"):
        communicator = WebsocketCommunicator(Echo.as_asgi(), where)
        await tell.awaits(f"connect to {where}", communicator.connect())
        await tell.awaits("wait", communicator.wait(0.05))
    communicator = WebsocketCommunicator(Echo.as_asgi(), "/")
    await communicator.connect()
    await communicator.send_to(text_data="raise")
    await tell.awaits("frame of one that fails", communicator.receive_from(1))
    communicator = WebsocketCommunicator(Echo.as_asgi(), "/")
    await communicator.connect()
    await communicator.send_to(text_data="silence")
    await tell.awaits("frame of a silent one", communicator.receive_from(0.05))
    try:
        await communicator.disconnect()
    except BaseException as error:  # noqa: BLE001 - it is a CancelledError
        tell("disconnect after that", type(error).__name__)
    communicator = ApplicationCommunicator(forever, {"type": "x"})
    await tell.awaits("output", communicator.receive_output(0.05))
    communicator = ApplicationCommunicator(forever, {"type": "x"})
    await tell.awaits("wait for one that goes on", communicator.wait(0.05))
    tell("cancelled", communicator.future.cancelled())
    communicator = ApplicationCommunicator(forever, {"type": "x"})
    tell.calls("stop before start", communicator.stop)


async def script(tell):
    await talk(tell)
    await ends(tell)
    communicator = WebsocketCommunicator(Json.as_asgi(), "/")
    await communicator.connect()
    await communicator.send_json_to({"a": [1, None, "ä"]})
    await tell.awaits("json consumer", communicator.receive_json_from())
    await communicator.disconnect()
    tell.calls("path of bytes", WebsocketCommunicator, Json.as_asgi(), b"/")
    for where in ("/a%20b/?q=1&r=%C3%A4", "ws://user:pw@example.com:80/p?x#y"):
        communicator = WebsocketCommunicator(Json.as_asgi(), where, [(b"h", b"v")], ["s"], "2.3")
        tell(f"scope of {where}", sorted(communicator.scope.items()))
