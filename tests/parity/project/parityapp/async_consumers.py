"""The consumers of parityapp.sync_consumers in their async form, one for one."""

import json

from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer

from parityapp import journal
from parityapp.sync_consumers import REASONS


class Echo(AsyncWebsocketConsumer):
    """Sends back what comes, and keeps a journal."""

    async def connect(self):
        journal.note(self.scope, "connect")
        await self.accept()

    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data=text_data, bytes_data=bytes_data)

    async def disconnect(self, code):
        journal.note(self.scope, "disconnect", code)


class Default(AsyncWebsocketConsumer):
    """Nothing overridden."""


class TextOnly(Echo):
    """Knows text frames alone, as the tutorial's consumer does."""

    async def receive(self, text_data):
        await self.send(text_data=json.dumps({"message": json.loads(text_data)["message"]}))


class ConnectRaises(Echo):
    """Raises in connect() what the URL names; before that it joins a group."""

    async def connect(self):
        journal.note(self.scope, "connect")
        await self.channel_layer.group_add("parity.connect-raises", self.channel_name)
        raise REASONS[self.scope["url_route"]["kwargs"]["reason"]]("in connect")


class ReceiveRaises(Echo):
    """Raises in receive() what the frame names."""

    async def receive(self, text_data=None, bytes_data=None):
        raise REASONS[text_data]("in receive")


class DisconnectRaises(Echo):
    """Raises in disconnect(), after the journal has it."""

    async def disconnect(self, code):
        await super().disconnect(code)
        raise RuntimeError("in disconnect")


class Silent(Echo):
    """Neither accepts nor refuses."""

    async def connect(self):
        journal.note(self.scope, "connect")


class Refusing(Echo):
    """Closes before it accepts, with the code in the URL if that is not 0."""

    async def connect(self):
        code = self.scope["url_route"]["kwargs"]["code"]
        await self.close(code=code or None)


class Closing(Echo):
    """Closes when told, as told: the frame holds the arguments of close()."""

    async def receive(self, text_data=None, bytes_data=None):
        await self.close(**json.loads(text_data))


class Sending(Echo):
    """Calls send() with the arguments in the frame; "bytes_data" is given as text."""

    async def receive(self, text_data=None, bytes_data=None):
        arguments = json.loads(text_data)
        if arguments.get("bytes_data") is not None:
            arguments["bytes_data"] = arguments["bytes_data"].encode()
        await self.send(**arguments)


class Subprotocol(Echo):
    """Takes the last subprotocol that is offered, and adds a header of its own."""

    async def connect(self):
        offered = self.scope["subprotocols"]
        await self.accept(subprotocol=offered[-1] if offered else None, headers=[(b"x-parity", b"yes")])


class Json(AsyncJsonWebsocketConsumer):
    """Sends back what comes, decoded and encoded."""

    async def receive_json(self, content, **kwargs):
        await self.send_json({"got": content})

    async def disconnect(self, code):
        journal.note(self.scope, "disconnect", code)


class Scope(AsyncJsonWebsocketConsumer):
    """Tells what is in its scope."""

    async def connect(self):
        await self.accept()
        user = self.scope["user"]
        await self.send_json(
            {
                "keys": " ".join(sorted(self.scope)),
                "path": self.scope["path"],
                "query_string": self.scope["query_string"].decode(),
                "args": list(self.scope["url_route"]["args"]),
                "kwargs": self.scope["url_route"]["kwargs"],
                "user": [str(user), user.is_anonymous, user.is_authenticated, user.id, user.username],
                "cookies": self.scope["cookies"],
                "session_key": self.scope["session"].session_key,
            }
        )


class Room(Echo):
    """A chat room, written the tutorial's way: the group is named by the room."""

    async def connect(self):
        journal.note(self.scope, "connect")
        self.group = f"parity_{self.scope['url_route']['kwargs']['room']}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, code):
        await super().disconnect(code)
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive(self, text_data=None, bytes_data=None):
        event = json.loads(text_data)
        await self.channel_layer.group_send(self.group, event)

    async def room_said(self, event):
        await self.send(text_data=event["text"])

    async def room_fails(self, event):
        raise RuntimeError("in a group handler")

    async def room_closes(self, event):
        await self.close(code=event["code"])

    async def room_forwards(self, event):
        await self.channel_layer.send(self.channel_name, {"type": "room_said", "text": event["text"]})


class EarlyRoom(Room):
    """Joins, is sent to, and only then accepts."""

    async def connect(self):
        self.group = "parity_early"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.channel_layer.group_send(self.group, {"type": "room.said", "text": "before accept"})
        await self.accept()


class Grouped(Echo):
    """Lets the class attribute join and leave."""

    groups = ["parity.async.one", "parity.async.two"]

    async def connect(self):
        await self.accept()
        await self.send(text_data=",".join(self.groups))

    async def room_said(self, event):
        await self.send(text_data=event["text"])


class OtherAlias(Echo):
    """Asks for a layer that is not configured, and uses none."""

    channel_layer_alias = "elsewhere"

    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data=repr(self.channel_layer))
