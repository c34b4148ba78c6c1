"""channels.generic.http under the HTTP communicator."""

from channels.exceptions import StopConsumer
from channels.generic.http import AsyncHttpConsumer
from channels.testing import ApplicationCommunicator, HttpCommunicator


class Recording(AsyncHttpConsumer):
    ended = []

    async def handle(self, body):
        await self.send_response(201, body.upper(), headers={b"X-One": b"1"})

    async def disconnect(self):
        self.ended.append(type(self).__name__)


class Streaming(Recording):
    async def handle(self, body):
        await self.send_headers(headers=[(b"x", b"y")])
        for part in (b"a", b"", b"b"):
            await self.send_body(part, more_body=True)
        await self.send_body(b"")


class Failing(Recording):
    async def handle(self, body):
        raise ZeroDivisionError


class TextBody(Recording):
    async def handle(self, body):
        await self.send_response(200, "text")


class Unwritten(AsyncHttpConsumer):
    pass


class OwnLoop(Recording):
    """Overrides http_request, as servers of events do: it goes on after the request has come."""

    async def http_request(self, message):
        await self.send_headers()
        await self.send_body(b"opened", more_body=True)

    async def tick(self, message):
        await self.send_body(message["text"].encode(), more_body=True)
        raise StopConsumer


async def script(tell):
    for cls in (Recording, Streaming, Failing, TextBody, Unwritten):
        Recording.ended.clear()
        most = 5 if cls in (Recording, Streaming) else 1
        await tell.awaits(
            cls.__name__, HttpCommunicator(cls.as_asgi(), "post", "/p%20q/?a=1", b"body").get_response(most)
        )
        tell("disconnect() ran for", Recording.ended)
    communicator = ApplicationCommunicator(Recording.as_asgi(), {"type": "http"})
    for part in (b"one ", b"two ", b""):
        await communicator.send_input({"type": "http.request", "body": part, "more_body": bool(part)})
    tell("in parts", [await communicator.receive_output(), await communicator.receive_output()])
    await tell.awaits("ends", communicator.wait())
    Recording.ended.clear()
    communicator = ApplicationCommunicator(Recording.as_asgi(), {"type": "http"})
    await communicator.send_input({"type": "http.request", "body": b"half", "more_body": True})
    await communicator.send_input({"type": "http.disconnect"})
    await tell.awaits("left half way", communicator.wait())
    tell("disconnect() ran for", Recording.ended)
    communicator = ApplicationCommunicator(OwnLoop.as_asgi(), {"type": "http"})
    await communicator.send_input({"type": "http.request"})
    tell("opened", [await communicator.receive_output(), await communicator.receive_output()])
    await communicator.send_input({"type": "tick", "text": "now"})
    tell("a tick", await communicator.receive_output())
    await tell.awaits("ends", communicator.wait())
    tell.calls("body must be bytes", HttpCommunicator, Recording.as_asgi(), "GET", "/", "text")
    scope = HttpCommunicator(Recording.as_asgi(), "get", "/caf%C3%A9/?q=%20", headers=[(b"a", b"b")]).scope
    tell("scope", sorted(scope.items()))
