"""What an application says of clients that come back: what is understood, and how a mistake is explained."""

from __future__ import annotations

from typing import Any

import pytest

from compat.exceptions import ImproperlyConfigured, InvalidChannelLayerError
from compat.generic.websocket import AsyncWebsocketConsumer
from compat.resume import Resumable
from compat.resume.rules import is_allowed, principal_of
from compat.resume.wire import PROTOCOL
from compat.types import Receive, Scope, Send


class Keyless:
    """One that shows only its address in memory."""


class Chat(AsyncWebsocketConsumer):
    @classmethod
    async def resume_key(cls, scope: Scope) -> Any:
        return scope["key"]

    @staticmethod
    def resume_allowed(scope: Scope) -> bool:
        return bool(scope["allowed"])


class Mistaken(AsyncWebsocketConsumer):
    def resume_key(self, scope: Scope) -> int:
        return 1

    async def resume_allowed(self, scope: Scope) -> bool:
        return True


async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("it is not reached")


@pytest.mark.parametrize("key", ["ada", "who says < at 0x7f00>", b"ada", 7, ("ada", 7), None])
async def test_whose_a_connection_is(key: Any) -> None:
    assert await principal_of(Chat, {"key": key}) == repr(key)


@pytest.mark.parametrize("user", ["ada", b"ada", 7, None])
async def test_without_a_key_of_its_own_it_is_its_users(user: Any) -> None:
    assert await principal_of(AsyncWebsocketConsumer, {"user": user}) == repr(user)


@pytest.mark.parametrize("key", [Keyless(), ("ada", Keyless())])
async def test_an_address_in_memory_is_explained(key: Any) -> None:
    """Was: the client never came back to its connection, without a word."""
    with pytest.raises(TypeError, match=r"resume_key\(scope\) has returned .*Keyless.*return a str, bytes"):
        await principal_of(Chat, {"key": key})


@pytest.mark.parametrize("allowed", [True, False])
async def test_who_may_come_back(allowed: bool) -> None:
    assert await is_allowed(Chat, {"allowed": allowed}) is allowed


async def test_a_method_that_is_none_of_the_class_is_explained() -> None:
    with pytest.raises(TypeError, match=r"Mistaken\.resume_key\(scope\) .*write @classmethod above it"):
        await principal_of(Mistaken, {})
    with pytest.raises(TypeError, match=r"Mistaken\.resume_allowed\(scope\) .*write @classmethod above it"):
        await is_allowed(Mistaken, {})


def test_a_time_that_is_no_number() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"Resumable\(seconds=…\) must be a number.*'5m'"):
        Resumable(endpoint, seconds="5m")  # type: ignore[arg-type]


async def test_a_layer_that_is_not_configured() -> None:
    """Was: clients came back to connections of their own process only."""
    scope = {"type": "websocket", "path": "/", "headers": [], "subprotocols": [PROTOCOL]}
    with pytest.raises(InvalidChannelLayerError, match=r"Resumable\(alias='jobs'\).*configured: none"):
        await Resumable(endpoint, alias="jobs")(scope, endpoint, endpoint)  # type: ignore[arg-type]
