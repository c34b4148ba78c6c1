"""channels.db and the ORM in consumers. Only with the real Django."""

import threading

from channels.consumer import AsyncConsumer, SyncConsumer
from channels.db import aclose_old_connections, database_sync_to_async
from channels.testing import ApplicationCommunicator
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connection, transaction


class Async(AsyncConsumer):
    @database_sync_to_async
    def rows(self, prefix=""):
        return sorted(Group.objects.filter(name__startswith=prefix).values_list("name", flat=True))

    @database_sync_to_async
    def fails(self):
        with transaction.atomic():
            Group.objects.create(name="rolled back")
            raise ZeroDivisionError

    async def test_adds(self, message):
        await Group.objects.acreate(name=message["name"])
        await self.send({"type": "rows", "rows": await self.rows()})

    async def test_counts(self, message):
        found = [name async for name in Group.objects.values_list("name", flat=True)]
        await self.send({"type": "rows", "rows": [await self.rows("b"), sorted(found)]})

    async def test_fails(self, message):
        await self.fails()


class Sync(SyncConsumer):
    def test_adds(self, message):
        with transaction.atomic():
            group = Group.objects.create(name=message["name"])
            transaction.on_commit(lambda: self.send({"type": "committed", "name": group.name}))
        self.send({"type": "rows", "rows": Group.objects.count()})


def thread():
    connection.ensure_connection()
    return threading.get_ident()


async def script(tell):
    await database_sync_to_async(call_command)("migrate", verbosity=0)
    await database_sync_to_async(Group.objects.all().delete)()
    one = ApplicationCommunicator(Async.as_asgi(), {"type": "test"})
    for name in ("a", "b"):
        await one.send_input({"type": "test.adds", "name": name})
        tell("added", await one.receive_output(10))
    await one.send_input({"type": "test.counts"})
    tell("counted", await one.receive_output(10))
    await one.send_input({"type": "test.fails"})
    await tell.awaits("fails", one.wait(10))
    tell("rolled back", await Group.objects.acount())
    two = ApplicationCommunicator(Sync.as_asgi(), {"type": "test"})
    await two.send_input({"type": "test.adds", "name": "c"})
    tell("in a transaction", [await two.receive_output(10), await two.receive_output(10)])
    two.stop(exceptions=False)
    idents = [await database_sync_to_async(thread)() for _ in range(3)]
    tell("one thread", len(set(idents)))
    tell("not this one", threading.get_ident() in idents)
    elsewhere = await database_sync_to_async(thread, thread_sensitive=False)()
    tell("another thread", elsewhere in idents)
    await tell.awaits("aclose_old_connections", aclose_old_connections())
    await tell.awaits("a generator is no coroutine", database_sync_to_async(lambda: [1, 2])())
    tell.calls("a coroutine function", database_sync_to_async, script)
