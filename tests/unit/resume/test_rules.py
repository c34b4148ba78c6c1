"""What an application says of clients that come back: what is understood, and how a mistake is explained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from compat.exceptions import ImproperlyConfigured, InvalidChannelLayerError
from compat.generic.websocket import AsyncWebsocketConsumer
from compat.resume import Resumable
from compat.resume.app import is_offered
from compat.resume.rules import is_allowed, principal_of
from compat.resume.wire import PROTOCOL, offer_of
from compat.typed import Credential
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


class Authenticator:
    """As of a typed consumer."""

    credentials: ClassVar[Sequence[Credential]] = ()

    def __init__(self, send_message: Any) -> None:
        self.send_message = send_message

    async def authenticate(self, scope: Any) -> bool:
        await self.send_message("welcome")
        scope["claims"] = "ann"
        return bool(scope["good"])


class Declared(Authenticator):
    credentials = (Credential("token", "cookie"), Credential("X-Who", "header"))


class Authenticated:
    compat_authenticates = True
    authenticator_class: Any = Authenticator


class DeclaredToBe(Authenticated):
    authenticator_class = Declared


class Another:
    """A class of the application's own that means something else by the name."""

    authenticator_class = "basic"


def presented(*headers: tuple[str, str], protocols: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return {"headers": raw, "subprotocols": list(protocols), **more}


@pytest.mark.parametrize("rules", [Authenticated, DeclaredToBe])
async def test_an_authenticators_client_is_who_presents_the_same(rules: type) -> None:
    """Was: whoever had the ticket, since the authenticator meets only the first link."""
    ann = [("x-token", "ann"), ("cookie", "theme=dark; token=ann"), ("x-who", "a")]
    noise = [("sec-websocket-key", "1"), ("user-agent", "2"), ("x-amzn-trace-id", "3"), ("origin", "4")]
    is_ann = await principal_of(rules, presented(*ann))
    assert is_ann == await principal_of(rules, presented(*noise, *ann))
    for place in range(len(ann)):
        other = [(name, value.replace("ann", "eve").replace("a", "b")) for name, value in ann]
        changed = [*ann[:place], other[place], *ann[place + 1 :]]
        counts = rules is DeclaredToBe or ann[place][0] != "x-who"
        assert (is_ann != await principal_of(rules, presented(*changed))) is counts, changed
    assert is_ann != await principal_of(rules, presented(*ann, protocols=["token.eve"]))
    bright = [(name, value.replace("dark", "bright")) for name, value in ann]
    assert (is_ann == await principal_of(rules, presented(*bright))) is (rules is DeclaredToBe)
    assert await principal_of(rules, presented(*ann, user="ann")) == repr("ann"), "a user says who it is"


async def test_a_long_name_of_a_header_is_not_searched_to_its_end() -> None:
    """Was: 100 names of 8 kB took 62 ms of each handshake."""
    nobody = await principal_of(Authenticated, presented())
    assert await principal_of(Authenticated, presented(("x" * 8000 + "-token", "1"))) == nobody
    assert await principal_of(Authenticated, presented(("x" * 100 + "-token", "1"))) != nobody


async def test_what_another_class_calls_so_is_left_alone() -> None:
    assert await principal_of(Another, presented()) == "None"
    assert await is_allowed(Another, presented())


@pytest.mark.parametrize("good", [True, False])
async def test_an_authenticator_is_asked_at_each_return(good: bool) -> None:
    scope = presented(good=good)
    assert await is_allowed(Authenticated, scope) is good
    assert await is_allowed(Authenticated, scope, anew=False), "frames for a link are none"
    assert "claims" not in scope, "the scope is the application's"

    class Decides(Authenticated):
        @classmethod
        def resume_allowed(cls, scope: Any) -> bool:
            return not scope["good"]

    assert await is_allowed(Decides, scope) is not good


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


TICKET = "channels.ticket.abc.3"


@pytest.mark.parametrize(
    "lines",
    [
        [PROTOCOL, TICKET, "chat"],
        [f"{PROTOCOL}, {TICKET}, chat"],
        [PROTOCOL, f"{TICKET}, chat"],
        [f"{PROTOCOL}, {TICKET}", "chat"],
    ],
)
def test_a_ticket_is_read_in_whatever_lines_it_comes(lines: list[str]) -> None:
    """Some servers give the lines of the header as they are."""
    scope: Any = {"subprotocols": lines}
    assert is_offered(scope)
    assert scope["subprotocols"] == [PROTOCOL, TICKET, "chat"]
    assert offer_of(scope["subprotocols"]) == ("abc", 3, False)
