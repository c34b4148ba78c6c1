"""AsyncAPI documents: what they say of consumers, wherever an application has them."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, Field, computed_field
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount, Router, WebSocketRoute

from compat.fastapi import include_consumers
from compat.generic.websocket import AsyncWebsocketConsumer
from compat.patterns import path, re_path
from compat.routing import ProtocolTypeRouter, URLRouter
from compat.security.websocket import OriginValidator
from compat.typed import (
    AsyncJsonWebsocketConsumer,
    BaseAuthenticator,
    BaseMessage,
    Credential,
    PingMessage,
    PongMessage,
    Topic,
    UserAuthenticator,
    channel,
    ws_handler,
)
from compat.typed.asyncapi import consumer_routes, document, to_yaml
from compat.typed.asyncapi.examples import example
from compat.types import Scope
from tests.unit.typed import things
from tests.unit.typed.room import Alert, Note, Room, Said

T = TypeVar("T")
ROOM: Any = Room.as_asgi()


class Plain(AsyncWebsocketConsumer):
    """Has no types to show."""


# Where consumers are found


def on_a_router(app: FastAPI) -> None:
    router = APIRouter()
    router.add_websocket_route("/{room}", ROOM)
    app.include_router(router, prefix="/ws/chat")


def on_a_router_in_a_router(app: FastAPI) -> None:
    inner, outer = APIRouter(), APIRouter()
    inner.add_websocket_route("/{room}", ROOM)
    outer.include_router(inner, prefix="/chat")
    app.include_router(outer, prefix="/ws")


def mounted(app: FastAPI) -> None:
    router = APIRouter()
    router.add_websocket_route("/{room}", ROOM)
    app.mount("/ws/chat", router)


def mounted_twice(app: FastAPI) -> None:
    inner = Router(routes=[Mount("/chat", app=Router(routes=[WebSocketRoute("/{room}", ROOM)]))])
    app.mount("/ws", inner)


def behind_middleware(app: FastAPI) -> None:
    app.add_middleware(GZipMiddleware)
    validated: Any = OriginValidator(ROOM, ["*"])
    app.router.routes.append(
        WebSocketRoute("/ws/chat/{room}", validated, middleware=[Middleware(GZipMiddleware)])
    )


def as_patterns(app: FastAPI) -> None:
    include_consumers(app, [path("ws/chat/<room>", ROOM)])


def as_nested_patterns(app: FastAPI) -> None:
    include_consumers(app, [path("ws/", URLRouter([re_path(r"^chat/(?P<room>\w+)$", ROOM)]))])


@pytest.mark.parametrize(
    "add",
    [
        on_a_router,
        on_a_router_in_a_router,
        mounted,
        mounted_twice,
        behind_middleware,
        as_patterns,
        as_nested_patterns,
    ],
)
def test_consumers_of_fastapi_are_found(add: Callable[[FastAPI], None]) -> None:
    app = FastAPI()
    app.router.add_websocket_route("/plain", Plain.as_asgi())
    add(app)
    (route,) = consumer_routes(app)
    assert (route.address, route.consumer, list(route.parameters)) == ("/ws/chat/{room}", Room, ["room"])


def test_consumers_of_a_protocol_router_are_found() -> None:
    pages = Starlette(routes=[WebSocketRoute("/never", ROOM)])
    application = ProtocolTypeRouter(
        {
            "http": pages,
            "websocket": OriginValidator(URLRouter([path("ws/chat/<int:room>/", ROOM)]), ["*"]),
        }
    )
    (route,) = consumer_routes(application)
    assert (route.address, dict(route.parameters)) == ("/ws/chat/{room}/", {"room": "an integer"})


def test_a_bare_consumer_and_no_consumer() -> None:
    assert [route.address for route in consumer_routes(ROOM)] == ["/"]
    assert consumer_routes(Plain.as_asgi()) == consumer_routes(object()) == consumer_routes(FastAPI()) == []


def test_parameters_say_what_they_may_be() -> None:
    app = Starlette(
        routes=[
            WebSocketRoute("/a/{number:int}/{rest:path}", ROOM),
            Mount("/b/{key:uuid}", routes=[WebSocketRoute("/{free}", ROOM)]),
        ]
    )
    first, second = consumer_routes(app)
    assert (first.address, dict(first.parameters)) == (
        "/a/{number}/{rest}",
        {"number": "an integer", "rest": "anything, slashes included"},
    )
    assert (second.address, dict(second.parameters)) == ("/b/{key}/{free}", {"key": "a UUID", "free": ""})


@pytest.mark.parametrize(
    ("expression", "address"),
    [
        (r"^ws/(?P<room>\w+)/$", "/ws/{room}/"),
        (r"^ws/(?P<room>\w+)/\Z", "/ws/{room}/"),
        (r"\Aws/(?P<room>[a-z]{2}(?:-x)?)", "/ws/{room}"),
        (r"ws\.v1/(?P<room>\w+)/?$", "/ws.v1/{room}/"),
        (r"^ws/a\$", "/ws/a$"),
    ],
)
def test_the_address_of_an_expression(expression: str, address: str) -> None:
    (route,) = consumer_routes(URLRouter([re_path(expression, ROOM)]))
    assert route.address == address


@pytest.mark.parametrize(
    "expression",
    [
        r"^ws/(?:v1/)?(?P<room>\w+)/$",
        r"^ws/(?P<room>\w+)?/$",
        r"^ws/(\w+)/$",
        r"^ws/\d/$",
        r"^ws/[ab]/$",
        r"^ws/a{2}/$",
        r"^a/$|^b/$",
    ],
)
def test_a_route_that_no_address_says_is_left_out(expression: str, caplog: pytest.LogCaptureFixture) -> None:
    plain = re_path(r"^plain/\d+/$", Plain.as_asgi())
    app = URLRouter([re_path(expression, ROOM), plain, path("ws/", ROOM)])
    assert [route.address for route in consumer_routes(app)] == ["/ws/"]
    (warning,) = caplog.records
    assert f"Room is not in the document: its route {expression!r} matches more" in warning.getMessage()


# What a document says


def documented(*consumers: Any, **kwargs: Any) -> dict[str, Any]:
    routes = [WebSocketRoute(f"/ws/{index}", one.as_asgi()) for index, one in enumerate(consumers)]
    return document(Starlette(routes=routes), **kwargs)


def test_a_document_of_a_room() -> None:
    app = FastAPI(title="House", version="2.1", description="All rooms.")
    app.router.add_websocket_route("/ws/{room}", ROOM)
    made = document(app)
    assert made["asyncapi"] == "3.0.0"
    assert made["info"] == {
        "title": "House API",
        "version": "2.1",
        "description": "All rooms.",
        "tags": [{"name": "chat"}, {"name": "rooms"}],
    }
    room = made["channels"]["room"]
    assert (room["address"], room["description"]) == ("/ws/{room}", "A room to talk in")
    assert room["tags"] == [{"name": "chat"}, {"name": "rooms"}]
    assert list(room["parameters"]) == ["room"]
    assert set(room["messages"]) == {
        "PingMessage", "Say", "Note", "Fail", "PongMessage", "Said", "ErrorMessage",
    }  # fmt: skip

    ping = made["operations"]["room_handle_ping"]
    assert (ping["action"], ping["summary"], ping["description"]) == (
        "receive",
        "Are you there?",
        "Answers a ping",
    )
    assert ping["messages"] == [{"$ref": "#/channels/room/messages/PingMessage"}]
    assert ping["reply"]["messages"] == [{"$ref": "#/channels/room/messages/PongMessage"}]
    assert made["operations"]["room_handle_say"]["tags"] == [{"name": "talk"}]
    assert made["operations"]["room_handle_say"]["reply"]["messages"] == [
        {"$ref": "#/channels/room/messages/Said"}
    ]
    alert = made["operations"]["room_on_alert"]
    assert (alert["action"], alert["x-event"]) == ("send", "Alert")
    assert made["operations"]["room_notices"]["messages"] == [
        {"$ref": "#/channels/room/messages/ErrorMessage"}
    ]

    message = made["components"]["messages"]["Say"]
    assert (message["name"], message["summary"]) == ("say", "A client says something.")
    assert message["examples"] == [
        {"payload": {"action": "say", "payload": {"text": "string", "room_name": None}}}
    ]
    schema = made["components"]["schemas"]["Say"]
    assert schema["required"] == ["action", "payload"]
    assert schema["properties"]["action"] == {"const": "say", "title": "Action", "type": "string"}
    assert made["components"]["schemas"]["Line"]["required"] == ["text"]


def test_names_are_made_where_none_are_given() -> None:
    class HTTPRoomConsumer(AsyncJsonWebsocketConsumer):
        """The first paragraph.

        The second."""

    made = documented(HTTPRoomConsumer, HTTPRoomConsumer)
    assert list(made["channels"]) == ["http_room", "http_room_2"]
    assert made["channels"]["http_room"]["description"] == "The first paragraph.\n\nThe second."
    assert made["info"] == {"title": "WebSocket API", "version": "1.0.0"}


def test_names_never_collide() -> None:
    @channel(name="a b")
    class One(Room):
        pass

    @channel(name="a_b")
    class Two(Room):
        pass

    made = documented(One, Two)
    assert list(made["channels"]) == ["a_b", "a_b_2"]
    assert len(made["operations"]) == 12


def test_what_is_sent_without_being_asked_for() -> None:
    class Emitting(AsyncJsonWebsocketConsumer):
        passthrough_events = [Alert]
        emits = [Said]
        send_completion = True

    made = documented(Emitting)
    names = {
        name: [one["$ref"].rpartition("/")[2] for one in operation["messages"]]
        for name, operation in made["operations"].items()
    }
    assert names == {
        "emitting_passed_on": ["Alert"],
        "emitting_emits": ["Said"],
        "emitting_notices": ["CompleteMessage", "GroupCompleteMessage", "EventCompleteMessage"],
    }


def test_credentials_are_security_schemes() -> None:
    class Token(BaseAuthenticator):
        credentials = (
            Credential("token", "query", "What you were given"),
            Credential("X-Token", "header"),
        )

        async def authenticate(self, scope: Scope) -> bool:
            return True

    class Guarded(Room):
        authenticator_class = Token

    made = documented(Guarded)
    assert made["components"]["securitySchemes"] == {
        "token": {"type": "httpApiKey", "name": "token", "in": "query", "description": "What you were given"},
        "X-Token": {"type": "httpApiKey", "name": "X-Token", "in": "header"},
    }
    operation = made["operations"]["guarded_handle_ping"]
    assert operation["security"] == [
        {"$ref": "#/components/securitySchemes/token"},
        {"$ref": "#/components/securitySchemes/X-Token"},
    ]
    binding = made["channels"]["guarded"]["bindings"]["ws"]
    assert binding["query"]["properties"] == {
        "token": {"type": "string", "description": "What you were given"}
    }


def test_what_an_authenticator_sends_is_documented() -> None:
    class Guarded(Room):
        authenticator_class = UserAuthenticator

    assert "AuthenticationMessage" in documented(Guarded)["channels"]["guarded"]["messages"]


def test_topics_are_channels_at_the_same_address() -> None:
    class Run(Topic):
        """A run."""

        pattern = "run:{run_id}"

        @ws_handler
        async def ping(self, message: PingMessage) -> PongMessage:
            return PongMessage()

    class Console(Room):
        topics = [Run]

    made = documented(Console, Run.as_consumer())
    assert list(made["channels"]) == ["console", "console_run", "run_run"]
    topic = made["channels"]["console_run"]
    assert topic["address"] == made["channels"]["console"]["address"]
    assert topic["x-topic"] == {
        "pattern": "run:{run_id}",
        "parameters": ["run_id"],
        "channel": "console",
        "default": False,
    }
    assert made["channels"]["run_run"]["x-topic"]["default"] is True
    subscribe = made["operations"]["console_run_subscribe"]
    assert subscribe["reply"]["messages"] == [{"$ref": "#/channels/console_run/messages/SubscribedMessage"}]


def test_names_are_as_they_are_on_the_wire() -> None:
    class Camel(Room):
        camelize = True

    class Kinds(Room):
        discriminator_field = "kind"

    schemas = documented(Camel)["components"]["schemas"]
    assert list(schemas["Line"]["properties"]) == ["text", "roomName"]
    made = documented(Kinds)
    assert made["channels"]["kinds"]["x-discriminator"] == "kind"
    assert list(made["components"]["schemas"]["Say"]["properties"]) == ["kind", "payload"]
    assert made["components"]["messages"]["Say"]["examples"][0]["payload"]["kind"] == "say"


def test_each_consumer_is_documented_in_its_own_form() -> None:
    made = document(things.app)
    schemas, channels = made["components"]["schemas"], made["channels"]

    def person(channel: str, way: str) -> Any:
        (message,) = (key for key in channels[channel]["messages"] if key.startswith(f"Meet-{way}"))
        reference = made["components"]["messages"][message]["payload"]["$ref"].rpartition("/")[2]
        payload = schemas[reference]["properties"]["payload"]["$ref"].rpartition("/")[2]
        return list(schemas[reference]["properties"]), list(schemas[payload]["properties"])

    plain = ["first_name", "best_friend", "other_one", "written_only"]
    camel = ["firstName", "bestFriend", "other_one", "writtenOnly"]
    assert person("plain", "Input") == (["action", "payload"], plain)
    assert person("camel", "Input") == (["action", "payload"], camel)
    for kinds in ("kinds", "kinds_kind"):
        assert person(kinds, "Input") == (["kind", "payload"], plain)
    written = [*camel[:3], "written_out", "nameLength"]
    assert person("camel", "Output") == (["action", "payload"], written)
    (friend,) = {
        one["$ref"] for one in schemas["Person-Input-camel"]["properties"]["bestFriend"]["anyOf"][:1]
    }
    assert friend == "#/components/schemas/Person-Input-camel"
    assert "ErrorMessage-camel" not in schemas and "ErrorMessage-kind" in schemas
    assert {id for id, channel in channels.items() if "x-discriminator" in channel} == {"kinds", "kinds_kind"}
    example = made["components"]["messages"]["Meet-Input-camel"]["examples"][0]["payload"]
    assert set(example["payload"]) >= {"firstName"} and "first_name" not in example["payload"]


def test_a_model_that_differs_by_direction_has_two_schemas() -> None:
    class Timed(BaseModel):
        at: int = 0

        @computed_field  # type: ignore[prop-decorator]
        @property
        def later(self) -> int:
            return self.at + 1

    class Tick(BaseMessage):
        action: Literal["tick"] = "tick"
        payload: Timed

    class Ticking(AsyncJsonWebsocketConsumer):
        @ws_handler
        async def tick(self, message: Tick) -> Tick:
            return message

    made = documented(Ticking)
    assert {"Tick-Input", "Tick-Output"} <= set(made["channels"]["ticking"]["messages"])


# Examples


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"


class Page(BaseModel, Generic[T]):
    items: list[T]


class Node(BaseModel):
    name: str
    children: list[Node] = []
    parent: Node | None = None


class Everything(BaseModel):
    key: uuid.UUID
    when: datetime.datetime
    day: datetime.date
    short: Annotated[str, Field(min_length=8, max_length=10)]
    small: Annotated[int, Field(gt=3, lt=9, multiple_of=4)]
    ratio: Annotated[float, Field(ge=0.1, le=0.5)]
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    page: Page[int]
    node: Node
    pair: tuple[int, str]
    several: Annotated[list[int], Field(min_length=3)]
    scores: dict[str, float]
    choice: Literal["a", "b"]
    shown: Annotated[str, Field(examples=["as shown"])]
    maybe: int | None
    anything: Any
    yes: bool


class Do(BaseMessage):
    action: Literal["do"] = "do"
    payload: Everything


class Doing(AsyncJsonWebsocketConsumer):
    @ws_handler
    async def do(self, message: Do) -> Note | None:
        return None


def test_an_example_is_valid() -> None:
    (made,) = documented(Doing)["components"]["messages"]["Do"]["examples"]
    payload = Do.model_validate(made["payload"]).payload
    assert payload.shown == "as shown" and payload.small == 4 and len(payload.several) == 3


def test_an_example_that_would_not_be_valid_is_left_out() -> None:
    class Coded(BaseMessage):
        action: Literal["coded"] = "coded"
        payload: Annotated[str, Field(pattern="^[0-9]{4}$")]

    class Coding(AsyncJsonWebsocketConsumer):
        @ws_handler
        async def coded(self, message: Coded) -> None: ...

    assert "examples" not in documented(Coding)["components"]["messages"]["Coded"]


def test_examples_of_schemas() -> None:
    assert example({"type": ["null", "integer"]}, {}) == 1
    assert example({"type": "array", "items": [{"type": "string"}, {"const": 3}]}, {}) == ["string", 3]
    assert example({"allOf": [{"$ref": "#/x/A"}]}, {"A": {"enum": ["first", "second"]}}) == "first"
    assert example({"type": "number", "exclusiveMaximum": -3}, {}) == -4
    assert example({}, {}) is None
    assert example({"anyOf": [{"type": "null"}]}, {}) is None


# YAML


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "{}\n"),
        ([], "[]\n"),
        (
            {"a": {"b": [1, {"c": None}]}, "d": [[True]]},
            "a:\n  b:\n    - 1\n    - c: null\nd:\n  - - true\n",
        ),
        ({"on": "yes", "n": "1.0", "s": "a: b", "e": ""}, '"on": "yes"\n"n": "1.0"\ns: "a: b"\ne: ""\n'),
        (["plain text", "#x", "{x}", "$ref", "line\nbreak", "🚪", " x"],
         '- plain text\n- "#x"\n- "{x}"\n- $ref\n- "line\\nbreak"\n- "🚪"\n- " x"\n'),
        ({"empty": {}, "list": []}, "empty: {}\nlist: []\n"),
    ],
)  # fmt: skip
def test_yaml(value: Any, text: str) -> None:
    assert to_yaml(value) == text


def test_a_document_is_json() -> None:
    assert json.loads(json.dumps(documented(Doing, Room))) == documented(Doing, Room)


class Comment(BaseModel):
    text: str
    reply_to: Comment | None
    """Required, although it may be null."""


class Both(BaseModel):
    terms: Annotated[list[Both], Field(min_length=1)]


class Reply(BaseMessage):
    action: Literal["reply"] = "reply"
    payload: Comment


class Endless(BaseMessage):
    action: Literal["endless"] = "endless"
    payload: Both


def test_payloads_that_require_themselves() -> None:
    class Replying(AsyncJsonWebsocketConsumer):
        @ws_handler
        async def reply(self, message: Reply) -> None: ...

        @ws_handler
        async def endless(self, message: Endless) -> None: ...

    made = document(Starlette(routes=[WebSocketRoute("/ws/", Replying.as_asgi())]))
    messages = made["components"]["messages"]
    examples = {one["name"]: one.get("examples") for one in messages.values()}
    (comment,) = examples["reply"]
    Reply.model_validate(comment["payload"])
    assert examples["endless"] is None
