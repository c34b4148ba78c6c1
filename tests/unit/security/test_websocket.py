"""Origin validators: which pages may connect, what the others get, and what the log says to do about it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, cast
from urllib.parse import urlparse

import pytest

from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.layers import InMemoryChannelLayer, channel_layers
from compat.patterns import path
from compat.routing import ProtocolTypeRouter, URLRouter
from compat.security.websocket import AllowedHostsOriginValidator, OriginValidator, WebsocketDenier
from compat.settings import settings
from compat.testing.websocket import WebsocketCommunicator
from tests.support.apps import App
from tests.support.clients import Client, Refused
from tests.support.environments import environment, in_each
from tests.support.logs import Records, recorded
from tests.support.paths import REPO
from tests.support.servers import LiveServer

# pattern, origin, whether it matches
FACTS = [
    ("*", None, True),
    ("*", "null", True),
    ("*", "http://any.example", True),
    ("a.com", None, False),
    ("a.com", "", False),
    ("a.com", "null", False),
    ("a.com", "a.com", False),  # a bare host is no origin
    ("a.com", "http://a.com", True),
    ("a.com", "https://a.com:8443", True),
    ("a.com", "capacitor://a.com", True),
    ("a.com", "http://A.COM", True),
    ("A.com", "http://a.com", True),
    ("a.com", "http://b.a.com", False),
    ("a.com", "http://a.com.evil.example", False),
    ("a.com", "http://xa.com", False),
    ("a.com", "http://a.com@evil.example", False),
    ("a.com", "http://evil.example/a.com", False),
    (".a.com", "http://a.com", True),
    (".a.com", "http://b.a.com:8000", True),
    (".a.com", "http://c.b.a.com", True),
    (".a.com", "http://xa.com", False),
    ("localhost", "http://localhost:8000", True),
    ("127.0.0.1", "http://127.0.0.1:8000", True),
    ("[::1]", "http://[::1]:8000", True),
    ("[::1]", "http://[::2]", False),
    ("::1", "http://[::1]:8000", True),
    ("http://a.com", "http://a.com", True),
    ("http://a.com", "http://a.com:80", True),
    ("http://a.com:80", "http://a.com", True),
    ("http://a.com", "http://a.com:8000", False),
    ("http://a.com", "https://a.com", False),
    ("https://a.com", "https://a.com:443", True),
    ("https://a.com", "https://a.com:80", False),
    ("ws://a.com", "http://a.com", False),
    ("ws://a.com:80", "ws://a.com", True),
    ("HTTP://A.com", "http://a.com", True),
    ("http://.a.com", "http://b.a.com", True),
    ("http://.a.com:8000", "http://b.a.com:8000", True),
    ("http://.a.com", "https://b.a.com", False),
    ("capacitor://localhost", "capacitor://localhost", True),
    ("capacitor://localhost", "http://localhost", False),
    ("http://", "http://a.com", False),
    ("*.a.com", "http://b.a.com", False),
    ("localhost:8000", "http://localhost:8001", False),
    ("localhost:8000", "app://localhost", False),
    ("127.0.0.1:8000", "http://127.0.0.1:8000", True),
    ("[::1]:8000", "http://[::1]:8000", True),
    (".a.com:8000", "https://b.a.com:8000", True),
    ("a.com:8000", "http://a.com:0", False),
    ("", "http://a.com", False),
]

# Where Channels has another answer: a port counts if it is written, and no URL is an exception.
DIFFERENT = [
    ("localhost:8000", "http://localhost:8000", True),
    ("localhost:80", "http://localhost", True),
    ("localhost:443", "wss://localhost", True),
    (".a.com:8000", "https://b.a.com", False),
    ("127.0.0.1:8000", "http://127.0.0.1:8001", False),
    ("[::1]:8000", "http://[::1]", False),
    ("http://a.com", "http://a.com:99999", False),
    ("http://a.com", "http://a.com:x", False),
    ("http://a.com:99999", "http://a.com", False),
    ("a.com", "http://[::1", False),
    ("*", "http://[::1", True),
    ("[::1", "http://a.com", False),
]


@pytest.fixture(autouse=True)
def own_settings() -> Iterator[None]:
    with settings.override(CHANNEL_LAYERS={}):
        yield


@pytest.fixture
def log() -> Iterator[Records]:
    with recorded() as records:
        yield records


def headers(origin: str | None) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"server")] + ([] if origin is None else [(b"origin", origin.encode())])


async def admits(validator: Any, origin: str | None) -> bool:
    communicator = WebsocketCommunicator(validator, "/chat/", headers=headers(origin))
    connected, code = await communicator.connect()
    assert code == (None if connected else 1000)
    await communicator.disconnect()
    return connected


def validator(patterns: Sequence[str]) -> OriginValidator:
    return OriginValidator(AsyncWebsocketConsumer.as_asgi(), patterns)


# A pattern with a port and no scheme is for that port of that host, whatever the host looks like.


@pytest.mark.parametrize("host", ["localhost", "example.com", "127.0.0.1", "[::1]"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_faults_projects_09_a_port_without_a_scheme(host: str, scheme: str) -> None:
    checked = validator([f"{host}:9000"])
    assert await admits(checked, f"{scheme}://{host}:9000")
    for other in (f"{scheme}://{host}:9001", f"{scheme}://{host}", f"{scheme}://example.org:9000", None):
        assert not await admits(checked, other)


@pytest.mark.parametrize(("pattern", "origin", "matches"), [*FACTS, *DIFFERENT])
async def test_patterns(pattern: str, origin: str | None, matches: bool) -> None:
    assert await admits(validator([pattern]), origin) is matches
    assert await admits(validator(["other.example", pattern]), origin) is matches


async def test_no_pattern_admits_nobody() -> None:
    assert not await admits(validator([]), "http://a.com")
    assert not await admits(validator([]), None)


async def test_the_last_origin_header_counts() -> None:
    pair = [*headers("http://evil.example"), *headers("http://a.com")]
    communicator = WebsocketCommunicator(validator(["a.com"]), "/", headers=pair)
    assert (await communicator.connect())[0]
    await communicator.disconnect()


async def test_an_origin_in_latin1() -> None:
    communicator = WebsocketCommunicator(validator(["a.com"]), "/", headers=[(b"origin", b"http://\xe9.com")])
    assert (await communicator.connect()) == (False, 1000)
    await communicator.disconnect()


@pytest.mark.parametrize("kind", ["http", "lifespan", "channel"])
async def test_a_scope_that_is_no_websockets(kind: str) -> None:
    nothing: Any = (None, None)
    with pytest.raises(ValueError, match="You cannot use OriginValidator on a non-WebSocket connection"):
        await validator(["*"])({"type": kind, "asgi": {}, "headers": []}, *nothing)


async def test_a_scope_without_headers_has_no_origin() -> None:
    nothing: Any = (None, None)
    assert await OriginValidator(App("reached"), ["*"])({"type": "websocket"}, *nothing) == "reached"


def test_the_methods_that_subclasses_use() -> None:
    origin = urlparse("https://a.com:8443/")
    check = validator(["https://a.com:8443"])
    assert (check.allowed_origins, check.get_origin_port(origin)) == (["https://a.com:8443"], 8443)
    assert check.get_origin_port(urlparse("wss://a.com")) == 443
    assert check.get_origin_port(urlparse("app://a.com")) is None
    assert check.valid_origin(origin) and check.validate_origin(origin)
    assert check.match_allowed_origin(origin, ".a.com") and not check.match_allowed_origin(None, "a.com")
    assert not check.valid_origin(None)


async def test_a_subclass_may_have_its_own_rule() -> None:
    class Mine(OriginValidator):
        def valid_origin(self, parsed_origin: Any) -> bool:
            return parsed_origin is not None and parsed_origin.path == "/mine"

    mine = Mine(AsyncWebsocketConsumer.as_asgi(), [])
    assert await admits(mine, "x:/mine") and not await admits(mine, "http://a.com")


class ByExpressions(OriginValidator):
    def match_allowed_origin(self, parsed_origin: Any, pattern: Any) -> bool:
        return bool(pattern.match(parsed_origin.geturl()))


class Alone(OriginValidator):
    def valid_origin(self, parsed_origin: Any) -> bool:
        return parsed_origin is not None and parsed_origin.hostname == "a.com"


class WithoutOrigins(Alone):
    def __init__(self, application: Any) -> None:
        self.application = application


@pytest.mark.parametrize(
    "check",
    [
        ByExpressions(AsyncWebsocketConsumer.as_asgi(), cast(Any, [re.compile(r"http://\w\.com$")])),
        Alone(AsyncWebsocketConsumer.as_asgi(), cast(Any, None)),
        Alone(AsyncWebsocketConsumer.as_asgi(), {"http://b.com"}),  # type: ignore[arg-type]
        WithoutOrigins(AsyncWebsocketConsumer.as_asgi()),
    ],
)
async def test_what_a_subclass_has_for_origins_is_its_own(check: OriginValidator, log: Records) -> None:
    """Was: the log line of the refusal failed, and the client got an error of the server."""
    assert await admits(check, "http://a.com") and not await admits(check, "http://evil.example")
    (line,) = log.messages()
    assert "its Origin 'http://evil.example' is not allowed" in line


def test_allowed_origins_is_a_list() -> None:
    with pytest.raises(TypeError, match=r"write \['http://a.com'\]"):
        validator("http://a.com")
    assert validator("*").allowed_origins == "*"


def test_a_consumers_class_in_the_place_of_an_application() -> None:
    with pytest.raises(TypeError, match=r"Write WebsocketConsumer\.as_asgi\(\)"):
        OriginValidator(WebsocketConsumer, ["*"])
    with pytest.raises(TypeError, match=r"Write WebsocketConsumer\.as_asgi\(\)"):
        AllowedHostsOriginValidator(WebsocketConsumer)


# AllowedHostsOriginValidator


@pytest.mark.parametrize(
    ("given", "admitted", "refused"),
    [
        ({"ALLOWED_HOSTS": ["a.com"], "DEBUG": True}, ["http://a.com"], ["http://localhost", None]),
        ({"ALLOWED_HOSTS": (".a.com",)}, ["https://b.a.com:1"], ["http://b.com"]),
        (
            {"ALLOWED_HOSTS": [], "DEBUG": True},
            ["http://localhost:8000", "http://127.0.0.1", "http://[::1]:8000"],
            ["http://a.com", None],
        ),
        ({"ALLOWED_HOSTS": [], "DEBUG": False}, [], ["http://localhost", "http://a.com", None]),
        ({"ALLOWED_HOSTS": None, "DEBUG": True}, ["http://localhost"], ["http://a.com"]),
        ({"ALLOWED_HOSTS": ["*"]}, ["http://a.com", None], []),
        ({"ALLOWED_HOSTS": "a.com"}, ["http://a.com"], ["http://a"]),
        ({}, [], ["http://localhost"]),
    ],
)
async def test_allowed_hosts(
    given: dict[str, Any], admitted: list[str | None], refused: list[str | None]
) -> None:
    """One validator, made before the settings are: they are read at each handshake."""
    with settings.override(**given):
        for origin in admitted:
            assert await admits(ALLOWED_HOSTS, origin), origin
        for origin in refused:
            assert not await admits(ALLOWED_HOSTS, origin), origin


ALLOWED_HOSTS = AllowedHostsOriginValidator(AsyncWebsocketConsumer.as_asgi())


def test_allowed_origins_of_allowed_hosts_looks_like_a_list() -> None:
    assert type(ALLOWED_HOSTS) is OriginValidator
    with settings.override(ALLOWED_HOSTS=["a.com", "b.com"]):
        allowed = ALLOWED_HOSTS.allowed_origins
        assert allowed == ["a.com", "b.com"]
        assert (allowed[0], allowed[1:], len(allowed), list(allowed)) == (
            "a.com",
            ["b.com"],
            2,
            ["a.com", "b.com"],
        )
        assert repr(allowed) == "['a.com', 'b.com']"
        assert "b.com" in allowed
    assert allowed != ["a.com", "b.com"]


# Refusals


async def test_the_denier_is_a_consumer_that_may_be_changed() -> None:
    class Later(WebsocketDenier):
        async def connect(self) -> None:
            await self.close(code=4403)

    assert issubclass(WebsocketDenier, AsyncWebsocketConsumer)
    for app, code in ((WebsocketDenier(), 1000), (WebsocketDenier.as_asgi(), 1000), (Later.as_asgi(), 4403)):
        communicator = WebsocketCommunicator(app, "/")
        assert await communicator.connect() == (False, code)
        await communicator.disconnect()


class Counting(InMemoryChannelLayer):
    channels_made = 0

    async def new_channel(self, prefix: str = "specific.") -> str:
        self.channels_made += 1
        return await super().new_channel(prefix)


async def test_a_refused_client_costs_the_layer_nothing() -> None:
    layer = Counting()
    before = channel_layers.set("default", layer)
    try:
        assert not await admits(validator(["a.com"]), "http://b.com")
        assert layer.channels_made == 0
        assert await admits(validator(["a.com"]), "http://a.com")
        assert layer.channels_made == 1
    finally:
        channel_layers.set("default", before)


REASONS = [
    # allowed, origin, what the line says
    (
        ["a.com"],
        "http://b.com",
        "its Origin 'http://b.com' is not allowed; allowed_origins is 'a.com'. Add 'http://b.com' to",
    ),
    ([], "http://b.com", "allowed_origins is empty. Add 'http://b.com' to allow it."),
    (
        ["a.com"],
        None,
        "it has no Origin header. Browsers send one; another client can send that of this host, such as "
        "'Origin: https://example.com'. Only '*' in allowed_origins allows clients without one, but it also ",
    ),
    (["a.com"], "null", "its Origin 'null' has no host. Only '*' in allowed_origins allows it."),
    (["a.com"], "http://[::1", "its Origin 'http://[::1' has no host."),
    (["*.a.com"], "http://b.a.com", "For a domain and its subdomains write '.a.com', not '*.a.com'."),
    ([f"{n}.com" for n in range(20)], "http://b.com", "'7.com' and 12 more."),
]


@pytest.mark.parametrize(("allowed", "origin", "says"), REASONS)
async def test_one_line_says_what_to_do(
    allowed: list[str], origin: str | None, says: str, log: Records
) -> None:
    assert not await admits(validator(allowed), origin)
    [line] = log.messages()
    assert line.startswith("compat.security WARNING websocket '/chat/' refused with 403: ")
    assert says in line


async def test_the_line_names_the_setting(log: Records) -> None:
    with settings.override(ALLOWED_HOSTS=[], DEBUG=False):
        assert not await admits(ALLOWED_HOSTS, "http://localhost:8000")
    [line] = log.messages()
    assert line.endswith("ALLOWED_HOSTS is empty, and DEBUG is False. Add 'localhost' to allow it.")


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    class Echo(WebsocketConsumer):
        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            self.send(text_data=text_data)

    sockets = AllowedHostsOriginValidator(URLRouter([path("chat/", Echo.as_asgi())]))
    with LiveServer(ProtocolTypeRouter({"websocket": sockets})) as server:
        yield server


@pytest.mark.parametrize("origin", [None, "http://evil.example", "null", "http://evil.example\tx"])
def test_behind_a_server(server: LiveServer, origin: str | None, log: Records) -> None:
    with settings.override(DEBUG=True):
        with pytest.raises(Refused) as refused:
            Client(server, "/chat/", origin=origin)
        assert refused.value.status == 403
        with Client(server, "/chat/") as client:
            client.send("and everybody else goes on")
            assert client.receive() == "and everybody else goes on"
    [line] = log.messages()
    assert line.startswith("compat.security WARNING websocket '/chat/' refused with 403: ")


def test_a_foreign_page_learns_nothing_of_which_paths_there_are(server: LiveServer, log: Records) -> None:
    with settings.override(DEBUG=True):
        with pytest.raises(Refused) as refused:
            Client(server, "/nope/", origin="http://evil.example")
        assert refused.value.status == 403
        with pytest.raises(Refused) as refused:
            Client(server, "/nope/")
        assert refused.value.status == 404
    assert [line.split()[0] for line in log.messages()] == ["compat.security", "compat.routing"]


# Side by side with Channels

SIDE_BY_SIDE = """
import asyncio, importlib, json, logging, sys
from django.conf import settings
settings.configure()
logging.disable()
security = importlib.import_module(sys.argv[1] + ".security.websocket")

async def admitted(pattern, origin):
    messages = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1006}]
    outcome = []
    async def receive():
        return messages.pop(0)
    async def send(message):
        outcome.append(message["type"] != "websocket.close")
    async def app(scope, receive, send):
        outcome.append(True)
    headers = [] if origin is None else [(b"origin", origin.encode())]
    validator = security.OriginValidator(app, [pattern])
    try:
        await validator({"type": "websocket", "path": "/", "headers": headers}, receive, send)
    except Exception as error:
        return type(error).__name__
    return outcome[0]

print(json.dumps([asyncio.run(admitted(pattern, origin)) for pattern, origin, _ in json.load(sys.stdin)]))
"""


def answers(*command: str, where: str) -> list[Any]:
    cases = json.dumps([*FACTS, *DIFFERENT])
    done = environment(where).run(*command, "-c", SIDE_BY_SIDE, "channels", cwd=REPO, stdin=cases)
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(sys.version_info < (3, 11), reason="urlparse() of 3.10 takes '127.0.0.1:' for a scheme")
def test_the_facts_are_those_of_channels() -> None:
    theirs = answers("python", where="channels")
    assert theirs[: len(FACTS)] == [matches for _, _, matches in FACTS]
    for case, their_answer in zip(DIFFERENT, theirs[len(FACTS) :], strict=True):
        assert their_answer != case[2], f"{case} is no difference"


@pytest.mark.parametrize("where", in_each())
def test_the_shim_in_every_environment(where: str) -> None:
    ours = answers("python", "-m", "django_shim", "python", where=where)
    assert ours == [matches for _, _, matches in [*FACTS, *DIFFERENT]]
