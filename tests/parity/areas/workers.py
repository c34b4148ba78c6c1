"""channels.worker and the router in front of its consumers."""

import asyncio
import queue

from channels.consumer import AsyncConsumer, SyncConsumer
from channels.layers import InMemoryChannelLayer
from channels.routing import ChannelNameRouter, ProtocolTypeRouter
from channels.worker import Worker

HEARD = queue.SimpleQueue()


class Counting(AsyncConsumer):
    """One instance per channel, kept for all messages of that channel."""

    def __init__(self):
        self.count = 0

    async def count_one(self, message):
        self.count += 1
        HEARD.put(("async", self.scope["type"], self.scope["channel"], self.count, message.get("n")))

    async def count_fails(self, message):
        raise ZeroDivisionError

    async def count_answers(self, message):
        await self.send({"type": "x"})


class Plain(SyncConsumer):
    def count_one(self, message):
        HEARD.put(("sync", self.scope["channel"], message.get("n")))


async def heard(count):
    return [await asyncio.to_thread(HEARD.get, True, 5) for _ in range(count)]


async def script(tell):
    tell.calls("no layer", Worker, None, ["a"], None)
    layer = InMemoryChannelLayer()
    router = ProtocolTypeRouter(
        {"channel": ChannelNameRouter({"a": Counting.as_asgi(), "b": Plain.as_asgi()})}
    )
    worker = Worker(router, ["a", "b"], layer)
    tell("max_applications", worker.max_applications)
    task = asyncio.ensure_future(worker.arun())
    for n in range(3):
        await layer.send("a", {"type": "count.one", "n": n})
    tell("heard", await heard(3))
    await layer.send("b", {"type": "count.one", "n": "b"})
    tell("heard", await heard(1))
    for kind in ("count.fails", "count.answers", "count.unheard_of"):
        await layer.send("a", {"type": kind})
        await asyncio.sleep(0.9)  # upstream looks for consumers that have failed ten times a second
        await layer.send("a", {"type": "count.one"})
        tell(f"after {kind}", await heard(1))
    tell("still works", not task.done())
    task.cancel()
    await asyncio.wait([task])
    await tell.awaits("sends", worker.application_send({"channel": "a"}, {}))
