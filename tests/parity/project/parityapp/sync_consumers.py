"""The consumers in their blocking form; parityapp.async_consumers has the same ones with await."""

import json

from asgiref.sync import async_to_sync
from channels.exceptions import AcceptConnection, DenyConnection, StopConsumer
from channels.generic.websocket import JsonWebsocketConsumer, WebsocketConsumer

from parityapp import journal

REASONS = {"accept": AcceptConnection, "deny": DenyConnection, "stop": StopConsumer, "error": RuntimeError}


class Echo(WebsocketConsumer):
    """Sends back what comes, and keeps a journal."""

    def connect(self):
        journal.note(self.scope, "connect")
        self.accept()

    def receive(self, text_data=None, bytes_data=None):
        self.send(text_data=text_data, bytes_data=bytes_data)

    def disconnect(self, code):
        journal.note(self.scope, "disconnect", code)


class Default(WebsocketConsumer):
    """Nothing overridden."""


class TextOnly(Echo):
    """Knows text frames alone, as the tutorial's consumer does."""

    def receive(self, text_data):
        self.send(text_data=json.dumps({"message": json.loads(text_data)["message"]}))


class ConnectRaises(Echo):
    """Raises in connect() what the URL names; before that it joins a group."""

    def connect(self):
        journal.note(self.scope, "connect")
        async_to_sync(self.channel_layer.group_add)("parity.connect-raises", self.channel_name)
        raise REASONS[self.scope["url_route"]["kwargs"]["reason"]]("in connect")


class ReceiveRaises(Echo):
    """Raises in receive() what the frame names."""

    def receive(self, text_data=None, bytes_data=None):
        raise REASONS[text_data]("in receive")


class DisconnectRaises(Echo):
    """Raises in disconnect(), after the journal has it."""

    def disconnect(self, code):
        super().disconnect(code)
        raise RuntimeError("in disconnect")


class Silent(Echo):
    """Neither accepts nor refuses."""

    def connect(self):
        journal.note(self.scope, "connect")


class Refusing(Echo):
    """Closes before it accepts, with the code in the URL if that is not 0."""

    def connect(self):
        code = self.scope["url_route"]["kwargs"]["code"]
        self.close(code=code or None)


class Closing(Echo):
    """Closes when told, as told: the frame holds the arguments of close()."""

    def receive(self, text_data=None, bytes_data=None):
        self.close(**json.loads(text_data))


class Sending(Echo):
    """Calls send() with the arguments in the frame; "bytes_data" is given as text."""

    def receive(self, text_data=None, bytes_data=None):
        arguments = json.loads(text_data)
        if arguments.get("bytes_data") is not None:
            arguments["bytes_data"] = arguments["bytes_data"].encode()
        self.send(**arguments)


class Subprotocol(Echo):
    """Takes the last subprotocol that is offered, and adds a header of its own."""

    def connect(self):
        offered = self.scope["subprotocols"]
        self.accept(subprotocol=offered[-1] if offered else None, headers=[(b"x-parity", b"yes")])


class Json(JsonWebsocketConsumer):
    """Sends back what comes, decoded and encoded."""

    def receive_json(self, content, **kwargs):
        self.send_json({"got": content})

    def disconnect(self, code):
        journal.note(self.scope, "disconnect", code)


class Scope(JsonWebsocketConsumer):
    """Tells what is in its scope."""

    def connect(self):
        self.accept()
        user = self.scope["user"]
        self.send_json(
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

    def connect(self):
        journal.note(self.scope, "connect")
        self.group = f"parity_{self.scope['url_route']['kwargs']['room']}"
        async_to_sync(self.channel_layer.group_add)(self.group, self.channel_name)
        self.accept()

    def disconnect(self, code):
        super().disconnect(code)
        async_to_sync(self.channel_layer.group_discard)(self.group, self.channel_name)

    def receive(self, text_data=None, bytes_data=None):
        event = json.loads(text_data)
        async_to_sync(self.channel_layer.group_send)(self.group, event)

    def room_said(self, event):
        self.send(text_data=event["text"])

    def room_fails(self, event):
        raise RuntimeError("in a group handler")

    def room_closes(self, event):
        self.close(code=event["code"])

    def room_forwards(self, event):
        message = {"type": "room_said", "text": event["text"]}
        async_to_sync(self.channel_layer.send)(self.channel_name, message)


class EarlyRoom(Room):
    """Joins, is sent to, and only then accepts."""

    def connect(self):
        self.group = "parity_early"
        async_to_sync(self.channel_layer.group_add)(self.group, self.channel_name)
        event = {"type": "room.said", "text": "before accept"}
        async_to_sync(self.channel_layer.group_send)(self.group, event)
        self.accept()


class Grouped(Echo):
    """Lets the class attribute join and leave."""

    groups = ["parity.sync.one", "parity.sync.two"]

    def connect(self):
        self.accept()
        self.send(text_data=",".join(self.groups))

    def room_said(self, event):
        self.send(text_data=event["text"])


class OtherAlias(Echo):
    """Asks for a layer that is not configured, and uses none."""

    channel_layer_alias = "elsewhere"

    def receive(self, text_data=None, bytes_data=None):
        self.send(text_data=repr(self.channel_layer))
