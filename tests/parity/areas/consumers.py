"""channels.consumer, channels.exceptions, channels.utils."""

import asyncio

from channels import exceptions
from channels.consumer import AsyncConsumer, SyncConsumer, get_handler_name
from channels.testing import ApplicationCommunicator
from channels.utils import await_many_dispatch, name_that_thing
from django.test import override_settings


async def script(tell):
    for name in (
        "AcceptConnection",
        "DenyConnection",
        "StopConsumer",
        "ChannelFull",
        "InvalidChannelLayerError",
        "MessageTooLarge",
        "RequestAborted",
        "RequestTimeout",
    ):
        tell(
            f"bases of {name}",
            [base.__name__ for base in getattr(exceptions, name).__mro__ if base is not object],
        )
    for message in (
        {"type": "a.b-c"},
        {"type": "x"},
        {},
        {"type": "_x"},
        {"type": ".x"},
        {"type": "a__b"},
        {"type": 3},
    ):
        tell.calls(f"get_handler_name({message})", get_handler_name, message)

    class Base:
        async def test_stop(self, message):
            raise exceptions.StopConsumer

        async def test_fails(self, message):
            raise ZeroDivisionError

        async def test_says(self, message):
            await self.send({"type": "said", "keys": sorted(k for k in vars(self) if not k.startswith("_"))})

    class Async(Base, AsyncConsumer):
        """Documented."""

        def __init__(self, value=None):
            self.value = value

        async def test_value(self, message):
            await self.send({"type": "value", "value": self.value, "id": id(self)})

    class Sync(SyncConsumer):
        def test_says(self, message):
            self.send(
                {
                    "type": "said",
                    "alias": self.channel_layer_alias,
                    "name": self.channel_name.partition("!")[0],
                }
            )

        def test_stop(self, message):
            raise exceptions.StopConsumer

    app = Async.as_asgi(value=3)
    tell(
        "as_asgi",
        [app.__name__, app.__doc__, app.__qualname__, app.consumer_class is Async, app.consumer_initkwargs],
    )
    tell("callable", callable(app))
    ids = []
    for _ in range(2):
        communicator = ApplicationCommunicator(app, {"type": "test"})
        await communicator.send_input({"type": "test.value"})
        said = await communicator.receive_output()
        ids.append(said.pop("id"))
        tell("value", said)
        await communicator.send_input({"type": "test.stop"})
        await tell.awaits("ends", communicator.wait())
    for kind in ("test.unheard_of", "test.fails", "_test", ""):
        communicator = ApplicationCommunicator(Async(), {"type": "test"})
        await communicator.send_input({"type": kind})
        await tell.awaits(f"message {kind!r}", communicator.wait())
    instance = Async("reused")
    for _ in range(2):
        communicator = ApplicationCommunicator(instance, {"type": "test"})
        await communicator.send_input({"type": "test.value"})
        tell("reused instance", (await communicator.receive_output())["value"])
        communicator.stop()
    communicator = ApplicationCommunicator(Sync.as_asgi(), {"type": "test"})
    await communicator.send_input({"type": "test.says"})
    tell("sync", await communicator.receive_output())
    await communicator.send_input({"type": "test.stop"})
    await tell.awaits("sync ends", communicator.wait())
    for cls in (AsyncConsumer, SyncConsumer):
        tell(cls.__name__, [cls._sync, cls.channel_layer_alias, isinstance(cls, type)])

    with override_settings(CHANNEL_LAYERS={}):
        communicator = ApplicationCommunicator(Async(), {"type": "test"})
        await communicator.send_input({"type": "test.says"})
        said = await communicator.receive_output()
        tell("without a layer", [key for key in said["keys"] if key.startswith("channel")])
        communicator.stop()

    tell("names", [name_that_thing(Async), name_that_thing(instance)])
    heard, queues = [], [asyncio.Queue(), asyncio.Queue()]
    for number in range(3):
        queues[0].put_nowait(f"a{number}")
        queues[1].put_nowait(f"b{number}")

    async def dispatch(message):
        heard.append(message)
        if len(heard) == 6:
            raise exceptions.StopConsumer

    await tell.awaits("await_many_dispatch", await_many_dispatch([queue.get for queue in queues], dispatch))
    tell("its order", heard)
