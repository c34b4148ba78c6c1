"""The project's own tests, as `manage.py test` finds them: communicators, and a live server."""

import json

from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from channels.testing import ChannelsLiveServerTestCase, WebsocketCommunicator
from django.contrib.auth.models import User
from django.test import Client, TestCase, TransactionTestCase
from django.urls import path
from websockets.sync.client import connect

from notes.consumers import Counting, Writing
from notes.models import Note

application = AuthMiddlewareStack(
    URLRouter([path("count/", Counting.as_asgi()), path("write/", Writing.as_asgi())])
)


def as_user(where, user):
    client = Client()
    client.force_login(user)
    cookie = client.cookies["sessionid"].value
    return WebsocketCommunicator(application, where, headers=[(b"cookie", f"sessionid={cookie}".encode())])


class InATransaction(TestCase):
    """A sync and an async consumer see what the test has not committed."""

    @classmethod
    def setUpTestData(cls):
        cls.eva = User.objects.create_user("eva")
        Note.objects.create(author=cls.eva, text="of the class")

    async def test_a_sync_consumer_counts(self):
        await Note.objects.acreate(author=self.eva, text="of the test")
        communicator = await self.connected("/count/")
        assert await communicator.receive_json_from(15) == {"count": 2, "mine": 2}
        await communicator.disconnect(timeout=15)

    async def test_an_async_consumer_writes(self):
        communicator = await self.connected("/write/")
        await communicator.send_json_to({"text": "of the consumer"})
        await communicator.send_json_to({"text": "once more"})
        await communicator.disconnect(timeout=15)
        assert await Note.objects.filter(text="of the consumer", author=self.eva).aexists()

    async def test_nobody_is_refused(self):
        assert (await WebsocketCommunicator(application, "/count/").connect(15))[0] is False

    async def connected(self, where):
        from asgiref.sync import sync_to_async

        communicator = await sync_to_async(as_user)(where, self.eva)
        assert (await communicator.connect(15))[0] is True
        return communicator


class NothingIsLeft(TransactionTestCase):
    def test_the_rows_of_the_others_are_gone(self):
        assert not Note.objects.exists() and not User.objects.exists()


class Live(ChannelsLiveServerTestCase):
    """The server has the test's database, and hears by the layer what is written in the test."""

    def test_a_note_written_here_is_counted_there(self):
        eva = User.objects.create_user("eva")
        client = Client()
        client.force_login(eva)
        headers = {"Cookie": f"sessionid={client.cookies['sessionid'].value}", "Origin": self.live_server_url}
        with connect(
            f"{self.live_server_ws_url}/ws/count/", additional_headers=headers, proxy=None
        ) as socket:
            assert json.loads(socket.recv(15)) == {"count": 0, "mine": 0}
            Note.objects.create(author=eva, text="from the test")
            assert json.loads(socket.recv(15)) == {"count": 1, "mine": 1}
