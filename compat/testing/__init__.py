"""Communicators run an ASGI application in a test without a server: they send messages and read its answers.

    communicator = WebsocketCommunicator(ChatConsumer.as_asgi(), "/ws/chat/lobby/")
    connected, subprotocol = await communicator.connect()
    await communicator.send_json_to({"message": "hello"})
    assert await communicator.receive_json_from() == {"message": "hello"}
    await communicator.disconnect()

Names and behaviour are those of ``channels.testing``. An exception in the application reaches the test.
"""

from __future__ import annotations

from typing import Any

from compat.testing.application import ApplicationCommunicator
from compat.testing.http import HttpCommunicator
from compat.testing.websocket import WebsocketCommunicator

__all__ = ["ApplicationCommunicator", "HttpCommunicator", "WebsocketCommunicator"]


def __getattr__(name: str) -> Any:
    if name == "ChannelsLiveServerTestCase":
        raise ImportError(
            "ChannelsLiveServerTestCase is a test case of Django: install Django, call "
            "django_shim.install(), and import it from channels.testing."
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
