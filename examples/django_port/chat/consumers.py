"""The chat's two consumers: one for each person in a room, one for each visitor of the lobby.

No process stores who is in a room. A consumer that needs to know sends a roll call to a group, and every
member answers on its channel. So the chat works the same in one process and in several, and a process that
ends leaves no data to clean up.
"""

import time
import uuid
from urllib.parse import parse_qs

from asgiref.sync import async_to_sync
from channels.exceptions import ChannelFull
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer

from .rooms import clean_name, group_of

EVERYBODY = "in-any-room"  # the group of all consumers in rooms
VISITORS = "in-the-lobby"  # the group of all consumers of the lobby
MAX_TEXT = 2000


class RoomConsumer(JsonWebsocketConsumer):
    """A person in a room. Its methods are plain ``def``: they run in threads and may block."""

    def connect(self):
        self.room = self.scope["url_route"]["kwargs"]["room"]
        self.group = group_of(self.room)
        self.member = {"id": uuid.uuid4().hex[:12], "name": name_of(self.scope)}
        self.accept()
        self.send_json({"kind": "welcome", "room": self.room, "you": self.member})
        for group in (self.group, EVERYBODY):
            async_to_sync(self.channel_layer.group_add)(group, self.channel_name)
        self.tell(self.group, "member.joined", reply_to=self.channel_name)
        self.tell(VISITORS, "room.joined")

    def disconnect(self, code):
        for group in (self.group, EVERYBODY):
            async_to_sync(self.channel_layer.group_discard)(group, self.channel_name)
        self.tell(self.group, "member.left")
        self.tell(VISITORS, "room.left")

    def receive_json(self, content):
        text = content.get("text") if isinstance(content, dict) else None
        if not isinstance(text, str) or not text.strip():
            self.send_json({"kind": "problem", "text": 'Send {"text": "…"} with something in it.'})
        elif len(text) > MAX_TEXT:
            self.send_json({"kind": "problem", "text": f"At most {MAX_TEXT} characters at a time."})
        else:
            self.tell(self.group, "member.said", text=text.strip())

    # Events of the room's group

    def member_joined(self, event):
        self.send_json({"kind": "joined", "member": event["member"], "at": event["at"]})
        if event["reply_to"] != self.channel_name:
            self.answer(event["reply_to"], "member.present")

    def member_present(self, event):
        self.send_json({"kind": "present", "member": event["member"]})

    def member_left(self, event):
        self.send_json({"kind": "left", "member": event["member"], "at": event["at"]})

    def member_said(self, event):
        self.send_json({"kind": "said", "member": event["member"], "text": event["text"], "at": event["at"]})

    # Events of the group EVERYBODY

    def roll_call(self, event):
        self.answer(event["reply_to"], "room.joined")

    def tell(self, group, type, **more):
        """Send an event about this person to every member of ``group``."""
        async_to_sync(self.channel_layer.group_send)(group, self.event(type, **more))

    def answer(self, channel, type):
        """Send an event about this person to one channel; if it is full, the event is lost."""
        try:
            async_to_sync(self.channel_layer.send)(channel, self.event(type))
        except ChannelFull:
            pass

    def event(self, type, **more):
        now_ms = round(time.time() * 1000)
        return {"type": type, "room": self.room, "member": self.member, "at": now_ms, **more}


class LobbyConsumer(AsyncJsonWebsocketConsumer):
    """A visitor of the lobby. Its methods are ``async def``: they are cheap, and must not block."""

    groups = [VISITORS]

    async def connect(self):
        await self.accept()
        roll_call = {"type": "roll.call", "reply_to": self.channel_name}
        await self.channel_layer.group_send(EVERYBODY, roll_call)

    async def room_joined(self, event):
        await self.send_json({"kind": "joined", "room": event["room"], "member": event["member"]})

    async def room_left(self, event):
        await self.send_json({"kind": "left", "room": event["room"], "member": event["member"]})


def name_of(scope):
    """Return the name of the account, else the name in the socket's URL, else a guest's."""
    user = scope.get("user")
    if user is not None and user.is_authenticated:
        return user.get_username()
    wanted = parse_qs(scope["query_string"].decode()).get("name", [""])[0]
    return clean_name(wanted) or f"Guest {uuid.uuid4().hex[:4]}"
