"""An async consumer that writes, a sync one that counts, and a worker's that shouts."""

from asgiref.sync import async_to_sync
from channels.auth import get_user
from channels.consumer import SyncConsumer
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer

from notes.models import Note


class Writing(AsyncJsonWebsocketConsumer):
    groups = ["notes"]

    async def connect(self):
        if self.scope["user"].is_anonymous:
            await self.close(code=4001)
        else:
            await self.accept()

    async def receive_json(self, content):
        user = await get_user(self.scope)
        if content.get("shout"):
            event = {"type": "shout", "user": user.pk, "text": content["text"]}
            await self.channel_layer.send("shouts", event)
        else:
            await self.write(user, content["text"])

    @database_sync_to_async
    def write(self, user, text):
        Note.objects.create(author=user, text=text)

    async def note_written(self, event):
        await self.send_json({"text": event["text"], "author": event["author"]})


class Counting(JsonWebsocketConsumer):
    groups = ["notes"]

    def connect(self):
        if self.scope["user"].is_anonymous:
            return self.close(code=4001)
        self.accept()
        self.note_written({})

    def note_written(self, event):
        self.send_json({"count": Note.objects.count(), "mine": self.scope["user"].note_set.count()})


class Shouting(SyncConsumer):
    def shout(self, event):
        Note.objects.create(author_id=event["user"], text=event["text"].upper())
        async_to_sync(self.channel_layer.group_send)("shouted", {"type": "nobody.listens"})
