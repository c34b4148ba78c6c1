"""The chat's two consumers: one for each person in a room, one for each visitor of the lobby.

Neither keeps a list of who is where. The channel layer knows it, by its option "presence", and the pages
watch it with socket.presence(group): see the settings, and static/chat/socket.js. So it is the same in one
process and in several, and right when a process has died.
"""

import hashlib
import time
import uuid
from urllib.parse import parse_qs

from asgiref.sync import async_to_sync
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer

from .rooms import EVERYBODY, clean_name, group_of, problem_with

MAX_TEXT = 2000


class RoomConsumer(JsonWebsocketConsumer):
    """A person in a room. Its methods are plain ``def``: they run in threads and may block."""

    def connect(self):
        self.room = self.scope["url_route"]["kwargs"]["room"]
        self.group = group_of(self.room)
        if problem_with(self.room):
            self.close()
            return
        self.member = {"id": id_of(self.scope), "name": name_of(self.scope), "room": self.room}
        self.scope["member"] = self.member  # what presence tells of this person
        for group in (self.group, EVERYBODY):
            async_to_sync(self.channel_layer.group_add)(group, self.channel_name)
        self.accept()
        self.send_json({"kind": "welcome", "room": self.room, "you": self.member})

    def disconnect(self, code):
        for group in (self.group, EVERYBODY):
            async_to_sync(self.channel_layer.group_discard)(group, self.channel_name)

    def receive_json(self, content):
        text = content.get("text") if isinstance(content, dict) else None
        if not isinstance(text, str) or not text.strip():
            self.send_json({"kind": "problem", "text": 'Send {"text": "…"} with something in it.'})
        elif len(text) > MAX_TEXT:
            self.send_json({"kind": "problem", "text": f"At most {MAX_TEXT} characters at a time."})
        else:
            said = {"member": self.member, "text": text.strip(), "at": round(time.time() * 1000)}
            async_to_sync(self.channel_layer.group_send)(self.group, {"type": "member.said", **said})

    def member_said(self, event):
        self.send_json({"kind": "said", "member": event["member"], "text": event["text"], "at": event["at"]})


class LobbyConsumer(AsyncJsonWebsocketConsumer):
    """A visitor of the lobby, whose page may watch who is in any room. Nobody sees the visitors."""

    groups = [EVERYBODY]


def id_of(scope):
    """Return who somebody is, a hash of the key that their tab keeps: who knows it is the same person."""
    key = asked(scope, "key") or uuid.uuid4().hex
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def name_of(scope):
    """Return the name of the account, else the name in the socket's URL, else a guest's."""
    user = scope.get("user")
    if user is not None and user.is_authenticated:
        return clean_name(user.get_username())
    return clean_name(asked(scope, "name")) or f"Guest {uuid.uuid4().hex[:4]}"


def asked(scope, name):
    """Return a value of the socket's URL, or ""."""
    return parse_qs(scope["query_string"].decode()).get(name, [""])[0]
