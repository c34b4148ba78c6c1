"""Publishing over HTTP: what is sent, what is refused, and who may."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal

import httpx
import pytest
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from pydantic import BaseModel, ConfigDict
from starlette.types import Message, Scope

from compat.clock import wall
from compat.consumer import AsyncConsumer
from compat.exceptions import InvalidChannelLayerError, LayerUnavailable, MessageTooLarge
from compat.layers import InMemoryChannelLayer, register_channel_layer, unregister_channel_layer
from compat.layers.presence.layer import PERSON
from compat.names import person_group
from compat.publish import MAX_BODY, MAX_MESSAGES, MAX_VALUES, bearer, router, signed
from compat.typed import AsyncJsonWebsocketConsumer, event_handler
from compat.typed.messages import BaseMessage

HELLO = {"type": "chat.message", "text": "hello"}
TOKEN = {"Authorization": "Bearer a token"}


class NewMail(BaseMessage):
    action: Literal["new_mail"] = "new_mail"
    payload: int


class Inbox(AsyncJsonWebsocketConsumer):
    @event_handler
    async def on_mail(self, event: NewMail) -> NewMail:
        return event


@pytest.fixture
def layer() -> Iterator[InMemoryChannelLayer]:
    made = InMemoryChannelLayer(capacity=3)
    register_channel_layer("default", made)
    yield made
    unregister_channel_layer("default")


def made(**options: Any) -> FastAPI:
    app = FastAPI()
    app.include_router(router(**{"authenticate": bearer("a token"), **options}), prefix="/publish")
    return app


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(made(typed={"mail_*": Inbox})) as client:
        yield client


JSON = {"Content-Type": "application/json"}


async def publish(client: httpx.AsyncClient, body: Any) -> httpx.Response:
    return await client.post("/publish", content=json.dumps(body), headers={**TOKEN, **JSON})


async def member_of(layer: InMemoryChannelLayer, group: str) -> str:
    channel = await layer.new_channel()
    await layer.group_add(group, channel)
    return channel


async def test_to_a_group(client: httpx.AsyncClient, layer: InMemoryChannelLayer) -> None:
    members = [await member_of(layer, "room") for _ in range(2)]
    answer = await publish(client, {"group": "room", "message": HELLO})
    assert (answer.status_code, answer.json()) == (200, {"published": [{"delivered": 2, "dropped": 0}]})
    for member in members:
        assert await layer.receive(member) == HELLO


async def test_to_a_channel_until_it_is_full(client: httpx.AsyncClient, layer: InMemoryChannelLayer) -> None:
    channel = await layer.new_channel()
    answer = await publish(client, [{"channel": channel, "message": {"type": "x", "n": n}} for n in range(4)])
    assert [one["dropped"] for one in answer.json()["published"]] == [0, 0, 0, 1]
    assert [(await layer.receive(channel))["n"] for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("user", [7, "7"])
async def test_to_a_user(client: httpx.AsyncClient, layer: InMemoryChannelLayer, user: Any) -> None:
    persons = await member_of(layer, person_group("7"))
    answer = await publish(client, {"user": user, "message": HELLO})
    assert answer.json() == {"published": [{"delivered": 1, "dropped": 0}]}
    assert await layer.receive(persons) == {"type": PERSON, "message": HELLO}


async def test_a_list_is_sent_in_order(client: httpx.AsyncClient, layer: InMemoryChannelLayer) -> None:
    member = await member_of(layer, "room")
    answer = await publish(client, [{"group": "room", "message": {"type": "x", "n": n}} for n in range(3)])
    assert len(answer.json()["published"]) == 3
    assert [(await layer.receive(member))["n"] for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"message": HELLO}, "found none"),
        ({"group": "a", "user": 1, "message": HELLO}, "found group, user"),
        ({"group": "a"}, "Field required"),
        ({"group": "a", "message": HELLO, "exclude": ["x"]}, "Extra inputs"),
        ({"group": "a", "message": "hello"}, "valid dictionary"),
        ({"group": "a", "message": {"text": "x"}}, "expected a 'type'"),
        ({"group": "a", "message": {"type": 5}}, "expected a 'type'"),
        ({"group": "a", "message": {"type": "compat.close", "code": 1000}}, "for the library alone"),
        ({"channel": "a", "message": {"type": "websocket.disconnect"}}, "for the library alone"),
        ({"user": "a", "message": {"type": "_private"}}, "for the library alone"),
        ({"group": "a", "message": {"type": "websocket_receive", "text": "{}"}}, "for the library alone"),
        ({"group": "a", "message": {"type": "receive.json"}}, "for the library alone"),
        ({"group": "a", "message": {"type": "close"}}, "for the library alone"),
        ({"group": "a", "message": {"type": "base.send"}}, "for the library alone"),
        ({"group": "a", "message": {"type": "topic.event"}}, "for the library alone"),
        ({"group": "a", "message": {"type": "compat_person"}}, "for the library alone"),
        ({"group": "a", "message": {"type": ".hidden"}}, "for the library alone"),
        (
            {"group": "a", "message": {"type": "typed.event", "action": "x", "text": "{}"}},
            "the library alone",
        ),
        ({"group": "a", "message": {"type": "presence.diff"}}, "for the library alone"),
        ({"user": "", "message": HELLO}, "1 to"),
        ({"user": True, "message": HELLO}, "valid"),
        ({"group": "a\ud800", "message": HELLO}, "valid unicode string"),
        ({"group": "a", "message": {"type": "websocket.\ud800"}}, "for the library alone"),
        ({"group": "compat.user.7", "message": HELLO}, "the library's own"),
        ({"group": "__broadcast__", "message": HELLO}, "the library's own"),
        ({"group": "no room", "message": HELLO}, "valid unicode string"),
        ({"channel": "no channel", "message": HELLO}, "valid unicode string"),
        ([], "expected 1 to 1000 messages, found 0"),
        ([{"group": "a", "message": HELLO}] * (MAX_MESSAGES + 1), "found 1001"),
        ("text", "expected a JSON object"),
        (None, "expected a JSON object"),
    ],
)
async def test_what_is_refused(
    client: httpx.AsyncClient, layer: InMemoryChannelLayer, body: Any, why: str
) -> None:
    member = await member_of(layer, "a")
    answer = await publish(client, body)
    assert answer.status_code == 422, answer.text
    assert why in answer.text
    await layer.group_send("a", {"type": "last"})
    assert await layer.receive(member) == {"type": "last"}, "nothing was published"


@pytest.mark.parametrize("key", ["__asgi_channel__", "__exclude__", "__compat__", "__trace__", "__"])
@pytest.mark.parametrize(
    "one",
    [
        {"group": "a", "message": HELLO},
        {"user": 7, "message": HELLO},
        {"channel": "a", "message": HELLO},
        {"group": "mail_7", "message": {"action": "new_mail", "payload": 3}},
    ],
)
async def test_what_tells_a_layer_what_to_do_is_refused(
    client: httpx.AsyncClient, layer: InMemoryChannelLayer, one: dict[str, Any], key: str
) -> None:
    member = await member_of(layer, "a")
    bad = {**one, "message": {**one["message"], key: "x"}}
    answer = await publish(client, [{"group": "a", "message": HELLO}, bad])
    assert answer.status_code == 422 and repr(key) in answer.json()["detail"][0]["msg"]
    inside = {**HELLO, "_text": {key: "x"}}
    assert (await publish(client, {"group": "a", "message": inside})).status_code == 200
    assert await layer.receive(member) == inside, "nothing was published before"


def derived(cls: type[AsyncConsumer]) -> Iterator[type[AsyncConsumer]]:
    """The consumer classes of the library that derive from one, and the class itself."""
    if cls.__module__.startswith("compat."):
        yield cls
        for subclass in cls.__subclasses__():
            yield from derived(subclass)


@pytest.mark.parametrize("consumer", list(derived(AsyncConsumer)))
async def test_no_method_of_our_consumers_is_called(
    client: httpx.AsyncClient, layer: InMemoryChannelLayer, consumer: type[AsyncConsumer]
) -> None:
    names = {name for name in dir(consumer) if not name.startswith("_")} - {*consumer._compat_no_handlers}
    for name in sorted(names):
        for kind in (name, name.replace("_", ".")):
            answer = await publish(client, {"group": "a", "message": {"type": kind}})
            assert answer.status_code == 422 and "for the library alone" in answer.text, kind


async def test_one_that_is_refused_holds_back_all(
    client: httpx.AsyncClient, layer: InMemoryChannelLayer
) -> None:
    member = await member_of(layer, "a")
    answer = await publish(client, [{"group": "a", "message": HELLO}, {"group": "a", "message": {}}])
    assert answer.status_code == 422 and ["body", 1] == answer.json()["detail"][0]["loc"]
    await layer.group_send("a", {"type": "last"})
    assert await layer.receive(member) == {"type": "last"}


@pytest.mark.parametrize("text", [b"{", b"\xff", b"[" * 100_000, b'{"group": "a", "message": ' * 10_000])
async def test_what_is_no_json(client: httpx.AsyncClient, layer: InMemoryChannelLayer, text: bytes) -> None:
    answer = await client.post(
        "/publish", content=text, headers={**TOKEN, "Content-Type": "application/json"}
    )
    assert answer.status_code in (400, 422), answer.text


async def test_a_body_of_many_mistakes_is_answered_briefly(
    client: httpx.AsyncClient, layer: InMemoryChannelLayer
) -> None:
    for body in (
        {str(number): 1 for number in range(40_000)},
        [{str(number): 1 for number in range(50)}] * MAX_MESSAGES,
        list(range(40_000)),
        {"group": "mail_1", "message": {"action": "new_mail", "payload": list(range(40_000))}},
    ):
        answer = await publish(client, body)
        assert answer.status_code == 422 and len(answer.content) < 5000, answer.text[:500]


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("text/plain", b"\xff"),
        ("multipart/form-data", b"--"),
        ("application/json", b'{"group": "a", "message": {"type": "x", "n": 1' + b"0" * 5000 + b"}}"),
        (
            "application/json",
            b'{"group": "a", "message": {"type": "x", "n": ' + b"[" * 900 + b"]" * 900 + b"}}",
        ),
        ("application/json", b'{"group": "a", "x\\ud800": "\\ud800", "message": {"type": "x"}}'),
    ],
)
async def test_whatever_a_body_is_it_is_no_error_of_ours(
    client: httpx.AsyncClient, layer: InMemoryChannelLayer, kind: str, content: bytes
) -> None:
    answer = await client.post("/publish", content=content, headers={**TOKEN, "Content-Type": kind})
    assert answer.status_code in (200, 400, 422), answer.text


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "[1, 1e999]", "-1e999", "1.8e308"])
async def test_what_json_has_no_number_for_is_refused(
    client: httpx.AsyncClient, layer: InMemoryChannelLayer, number: str
) -> None:
    for text, status in ((number, 422), (f'"{number}"', 200), ("1.7e308", 200), ("-0.5", 200)):
        content = message_of(n=0).replace(b"0", text.encode())
        answer = await client.post("/publish", content=content, headers={**TOKEN, **JSON})
        assert answer.status_code == status, answer.text


@pytest.mark.parametrize("over", [-1, 0, 1])
async def test_the_longest_body(client: httpx.AsyncClient, layer: InMemoryChannelLayer, over: int) -> None:
    start, end = b'{"group": "a", "message": {"type": "x", "text": "', b'"}}'

    async def parts() -> AsyncIterator[bytes]:  # without a Content-Length
        yield start
        yield b"x" * (MAX_BODY - len(start) - len(end) + over)
        yield end

    answer = await client.post(
        "/publish", content=parts(), headers={**TOKEN, "Content-Type": "application/json"}
    )
    assert answer.status_code == (413 if over > 0 else 200), answer.text


def message_of(**values: Any) -> bytes:
    return json.dumps({"group": "a", "message": {"type": "x", **values}}).encode()


EMPTY = sum(map(message_of(values=[]).count, (b"{", b"[", b",")))


@pytest.mark.parametrize("over", [-1, 0, 1])
@pytest.mark.parametrize("text", ["x", ",[{", '"', '\\"],', "\\", ',\\\\"\\'])
async def test_the_most_values(
    client: httpx.AsyncClient, layer: InMemoryChannelLayer, over: int, text: str
) -> None:
    numbers = [0] * (MAX_VALUES - EMPTY + over)  # each has a comma behind it
    answer = await client.post(
        "/publish", content=message_of(values=[*numbers, text * 20_000]), headers={**TOKEN, **JSON}
    )
    assert answer.status_code == (422 if over > 0 else 200), answer.text
    if over > 0:
        assert f"at most {MAX_VALUES} values" in answer.text


async def test_a_large_body_is_refused_before_it_is_parsed(
    client: httpx.AsyncClient, layer: InMemoryChannelLayer
) -> None:
    for text in (b"[" * MAX_BODY, b"0," * (MAX_BODY // 2), b'{"a":' * (MAX_BODY // 5)):  # none is JSON
        answer = await client.post("/publish", content=text, headers={**TOKEN, **JSON})
        assert answer.status_code == 422 and f"at most {MAX_VALUES} values" in answer.text


async def test_the_body_of_a_stranger_is_not_even_read(
    client: httpx.AsyncClient, layer: InMemoryChannelLayer
) -> None:
    read = []

    async def parts() -> AsyncIterator[bytes]:
        read.append(1)
        yield b"["

    for headers in ({}, {"Authorization": "Bearer another"}):
        answer = await client.post("/publish", content=parts(), headers={**JSON, **headers})
        assert (answer.status_code, read) == (401, [])


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/cloudevents+json"])
async def test_a_body_is_json(client: httpx.AsyncClient, layer: InMemoryChannelLayer, kind: str) -> None:
    content = "\ufeff".encode() + message_of(text="ä")
    answer = await client.post("/publish", content=content, headers={**TOKEN, "Content-Type": kind})
    assert answer.status_code == 200
    for other in ("text/plain", "application/x-www-form-urlencoded", "json", ""):
        answer = await client.post("/publish", content=content, headers={**TOKEN, "Content-Type": other})
        assert answer.status_code == 422 and "Content-Type" in answer.text
    for encoding in ("utf-16", "utf-32", "latin-1"):
        content = '{"group": "a", "message": {"type": "x", "text": "ä"}}'.encode(encoding)
        answer = await client.post("/publish", content=content, headers={**TOKEN, "Content-Type": kind})
        assert answer.status_code == 422 and "UTF-8" in answer.text


async def test_a_client_that_leaves_before_the_end_of_the_body_is_no_error_of_ours(
    layer: InMemoryChannelLayer,
) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in (TOKEN | JSON).items()]
    scope: Scope = {"type": "http", "method": "POST", "path": "/publish", "headers": headers}
    scope.update(query_string=b"", http_version="1.1")
    left: Message = {"type": "http.disconnect"}
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, left]
    sent = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await made()(scope, receive, send)
    assert sent[0]["status"] == 400


async def test_to_the_groups_of_a_typed_consumer(
    client: httpx.AsyncClient, layer: InMemoryChannelLayer
) -> None:
    member = await member_of(layer, "mail_7")
    mail = {"action": "new_mail", "payload": 3}
    assert (await publish(client, {"group": "mail_7", "message": mail})).status_code == 200
    event = await layer.receive(member)
    assert json.loads(event["text"]) == mail
    for wrong in ({**mail, "payload": "many"}, {"action": "other"}, HELLO):
        answer = await publish(client, [{"group": "mail_7", "message": wrong}])
        assert answer.status_code == 422, answer.text
        assert answer.json()["detail"][0]["loc"][:3] == ["body", 0, "message"]


class Exact(BaseModel):
    model_config = ConfigDict(strict=True, val_json_bytes="base64", ser_json_bytes="base64")

    when: datetime.datetime
    key: uuid.UUID
    data: bytes


class Stamped(BaseMessage):
    action: Literal["stamped"] = "stamped"
    payload: Exact


class Stamps(AsyncJsonWebsocketConsumer):
    @event_handler
    async def on_stamp(self, event: Stamped) -> None: ...


async def test_typed_messages_are_json(layer: InMemoryChannelLayer) -> None:
    """Also where a model tells JSON from Python's own values."""
    payload = {"when": "2026-01-31T12:00:00Z", "key": str(uuid.UUID(int=7)), "data": "aGk="}
    member = await member_of(layer, "stamp_7")
    async with client_of(made(typed={"stamp_*": Stamps})) as client:
        message = {"action": "stamped", "payload": payload}
        answer = await publish(client, {"group": "stamp_7", "message": message})
    assert answer.status_code == 200, answer.text
    event = Stamped.model_validate_json((await layer.receive(member))["text"])
    assert event.payload.data == b"hi"


async def test_the_documents_show_it(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    operation = document["paths"]["/publish"]["post"]
    assert {"200", "422", "503"} <= set(operation["responses"])
    schema = document["components"]["schemas"]["Publication"]
    assert set(schema["properties"]) == {"group", "user", "channel", "message"}
    assert schema["required"] == ["message"]
    assert "#/components/schemas/NewMail" in json.dumps(schema["properties"]["message"]["anyOf"])
    assert "NewMail" in document["components"]["schemas"]


def fits(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> bool:
    """Return True if an answer is as the document says, and has no keys of which that does not tell."""
    if "$ref" in schema:
        return fits(value, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)
    if "anyOf" in schema:
        return any(fits(value, one, document) for one in schema["anyOf"])
    if schema["type"] == "array":
        return isinstance(value, list) and all(fits(one, schema["items"], document) for one in value)
    if schema["type"] == "object":
        shown = schema["properties"]
        known = isinstance(value, dict) and set(schema["required"]) <= value.keys() <= shown.keys()
        return known and all(fits(one, shown[name], document) for name, one in value.items())
    return type(value) is {"string": str, "integer": int, "null": type(None)}[schema["type"]]


async def test_the_answers_are_those_of_the_documents(layer: InMemoryChannelLayer) -> None:
    hello = {"group": "a", "message": HELLO}
    app = made(typed={"mail_*": Inbox})
    told = []
    async with client_of(app) as client:
        document = (await client.get("/openapi.json")).json()
        responses = document["paths"]["/publish"]["post"]["responses"]

        async def check(status: int, answer: httpx.Response) -> None:
            schema = responses[str(status)]["content"]["application/json"]["schema"]
            assert answer.status_code == status and fits(answer.json(), schema, document), answer.text
            told.append(str(status))

        await check(200, await publish(client, [hello, {"channel": "b", "message": HELLO}]))
        await check(401, await client.post("/publish", json=hello))
        await check(413, await publish(client, "x" * MAX_BODY))
        other = {"group": "mail_1", "message": {"action": "other"}}
        for wrong in ("x", [hello, {}], [0] * (MAX_VALUES + 1), other):
            await check(422, await publish(client, wrong))
        for status, remaining, error in ((503, 1, LayerUnavailable), (422, 0, MessageTooLarge)):
            register_channel_layer("default", Away(remaining, error))
            await check(status, await publish(client, [hello, hello]))
    assert set(told) == set(responses)


@pytest.mark.parametrize(
    ("authenticate", "scheme"),
    [
        (bearer("a token"), {"type": "http", "scheme": "bearer"}),
        (
            signed(base64.b64encode(b"a secret of the test").decode()),
            {"type": "apiKey", "in": "header", "name": "webhook-signature"},
        ),
    ],
)
async def test_the_documents_say_how_to_authenticate(authenticate: Any, scheme: dict[str, str]) -> None:
    async with client_of(made(authenticate=authenticate)) as client:
        document = (await client.get("/openapi.json")).json()
    ((name, scopes),) = document["paths"]["/publish"]["post"]["security"][0].items()
    assert scopes == [] and scheme.items() <= document["components"]["securitySchemes"][name].items()


async def test_nobody_may_who_has_no_token(client: httpx.AsyncClient, layer: InMemoryChannelLayer) -> None:
    member = await member_of(layer, "a")
    body = {"group": "a", "message": HELLO}
    for wrong in (None, "", "Bearer", "Bearer a token2", "Bearer a toke", "Basic a token", "Bearer ä"):
        headers = {} if wrong is None else {"Authorization": wrong.encode("latin-1")}
        answer = await client.post("/publish", json=body, headers=headers)  # type: ignore[arg-type]
        assert answer.status_code == 401 and "www-authenticate" in answer.headers, wrong
    await layer.group_send("a", {"type": "last"})
    assert await layer.receive(member) == {"type": "last"}


SECRET = base64.b64encode(b"a secret of the test").decode()


def signature(number: str, at: str, body: bytes, key: bytes = b"a secret of the test") -> str:
    digest = hmac.new(key, f"{number}.{at}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


@pytest.mark.parametrize("prefix", ["", "whsec_"])
async def test_a_signature(layer: InMemoryChannelLayer, prefix: str) -> None:
    body, now = json.dumps({"group": "a", "message": HELLO}).encode(), str(int(wall()))
    right = {"webhook-id": "1", "webhook-timestamp": now, "webhook-signature": signature("1", now, body)}
    async with client_of(made(authenticate=signed(prefix + SECRET))) as client:

        async def status(sent: bytes = body, **changed: str) -> int:
            headers = {**right, **{f"webhook-{name}": value for name, value in changed.items()}}
            headers["content-type"] = "application/json"
            encoded = {name: value.encode("latin-1") for name, value in headers.items()}
            return (await client.post("/publish", content=sent, headers=encoded)).status_code  # type: ignore[arg-type]

        assert await status() == 200
        assert await status(signature=f"v2,x v1,AAAA {right['webhook-signature']}") == 200
        assert await status(body.replace(b"hello", b"hallo")) == 401
        assert await status(id="2") == 401
        assert await status(timestamp=str(int(now) + 1)) == 401
        for signed_by_another in ("", "v1,", "v1", signature("1", now, body, b"another"), "ä"):
            assert await status(signature=signed_by_another) == 401
        for at, expected in {
            int(now) - 290: 200,
            int(now) + 290: 200,
            int(now) - 400: 401,
            int(now) + 400: 401,
        }.items():
            assert await status(timestamp=str(at), signature=signature("1", str(at), body)) == expected, at
        for odd in ("", "now", "-1", "1e9", "²", "9" * 5000):
            assert await status(timestamp=odd, signature=signature("1", odd, body)) == 401, odd
        assert await status(id="", signature=signature("", now, body)) == 401


async def test_a_token_out_of_a_file_ends_with_a_newline(layer: InMemoryChannelLayer) -> None:
    async with client_of(made(authenticate=bearer("a token\n"))) as client:
        assert (await publish(client, {"group": "a", "message": HELLO})).status_code == 200


async def test_a_dependency_of_the_application(layer: InMemoryChannelLayer) -> None:
    def only_the_office(x_from: str = Header("")) -> None:
        if x_from != "office":
            raise HTTPException(403)

    body = {"group": "a", "message": HELLO}
    for authenticate in (only_the_office, Depends(only_the_office)):
        async with client_of(made(authenticate=authenticate)) as client:
            assert (await client.post("/publish", json=body)).status_code == 403
            assert (await client.post("/publish", json=body, headers={"X-From": "office"})).status_code == 200


async def test_a_dependency_may_read_the_body_too(layer: InMemoryChannelLayer) -> None:
    async def only_its_group(request: Request) -> None:
        if (await request.json())["group"] != "a" or not await request.body():
            raise HTTPException(403)

    member = await member_of(layer, "a")
    async with client_of(made(authenticate=only_its_group)) as client:
        assert (await publish(client, {"group": "b", "message": HELLO})).status_code == 403
        assert (await publish(client, {"group": "a", "message": HELLO})).status_code == 200
        assert await layer.receive(member) == HELLO
        for text in (b"{", b"\xff", b"[" * 40_000, b"[" * 60_000, b"1" * 5000):
            answer = await client.post("/publish", content=text, headers=JSON)
            assert answer.status_code == 422 and answer.json()["detail"][0]["loc"] == ["body"]


async def test_a_dependency_may_say_what_is_wrong_with_a_body(layer: InMemoryChannelLayer) -> None:
    async def reads(request: Request) -> None:
        try:
            await request.json()
        except ValueError as error:
            raise HTTPException(400, "The body is no JSON") from error

    async with client_of(made(authenticate=reads)) as client:
        assert (await publish(client, {"group": "a", "message": HELLO})).status_code == 200
        for text in (b"{", b"\xff", b"[" * 40_000, b"[" * 60_000):
            assert (await client.post("/publish", content=text, headers=JSON)).status_code == 400


async def test_a_dependency_may_declare_the_body(layer: InMemoryChannelLayer) -> None:
    def only_its_group(body: dict[str, Any]) -> None:
        if body["group"] != "a":
            raise HTTPException(403)

    async with client_of(made(authenticate=only_its_group)) as client:
        assert (await publish(client, {"group": "b", "message": HELLO})).status_code == 403
        assert (await publish(client, {"group": "a", "message": HELLO})).status_code == 200
        for text in (b"{", b"\xff", b"[" * 40_000, b"[" * 60_000):
            assert (await client.post("/publish", content=text, headers=JSON)).status_code == 422


async def test_a_layer_that_does_not_exist(layer: InMemoryChannelLayer) -> None:
    async with client_of(made(alias="chat")) as client:
        with pytest.raises(
            InvalidChannelLayerError, match=r"^compat\.publish\.router\(alias='chat'\): there is no"
        ):
            await publish(client, {"group": "g", "message": HELLO})


def test_it_is_never_open_by_default() -> None:
    with pytest.raises(TypeError, match="authenticate"):
        router()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="who may publish"):
        router(authenticate=None)  # type: ignore[arg-type]
    for empty in ("", " ", None):
        for by in (bearer, signed):
            with pytest.raises(ValueError, match="variable"):
                by(empty)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="variable"):
            bearer("ключ")
    with pytest.raises(ValueError, match="base64"):
        signed("no base64")
    for short in ("whsec_", base64.b64encode(b"fifteen bytes..").decode()):
        with pytest.raises(ValueError, match="16 bytes or more"):
            signed(short)
    with pytest.raises(TypeError, match="one for each layer"):
        router(authenticate=bearer("x"), alias="second", typed={"*": Inbox})
    with pytest.raises(TypeError, match="no typed consumer"):
        router(authenticate=bearer("x"), typed={"*": str})


async def test_what_makes_a_dependency_decides_nothing(layer: InMemoryChannelLayer) -> None:
    """Was: FastAPI took ``token`` for a query parameter, and admitted whoever named one."""
    for maker, written in ((bearer, r"bearer\(token\)"), (signed, r"signed\(secret\)")):
        for given in (maker, Depends(maker)):
            with pytest.raises(TypeError, match=rf"router\(\): {maker.__name__} makes .*; write {written}"):
                router(authenticate=given)

    def by_key(key: str) -> Any:
        async def decide(request: Request) -> None:
            raise HTTPException(403)

        return decide

    async with client_of(made(authenticate=by_key)) as client:
        with pytest.raises(
            TypeError, match=r"by_key decides .*decide, which nobody calls: write .*by_key\(…\)"
        ):
            await client.post("/publish?key=x", json={"group": "a", "message": HELLO})
    async with client_of(made(authenticate=by_key("x"))) as client:
        assert (await publish(client, {"group": "a", "message": HELLO})).status_code == 403


class Away(InMemoryChannelLayer):
    """A layer that sends so many messages, and then raises an error."""

    def __init__(self, remaining: int, error: type[Exception] = LayerUnavailable) -> None:
        super().__init__()
        self.remaining, self.error = remaining, error

    async def group_send(self, *args: Any, **kwargs: Any) -> Any:
        if not self.remaining:
            raise self.error("no Redis here")
        self.remaining -= 1
        return await super().group_send(*args, **kwargs)


async def test_an_outage_says_what_was_published(layer: InMemoryChannelLayer) -> None:
    register_channel_layer("default", Away(2))
    async with client_of(made()) as client:
        answer = await publish(client, [{"group": "a", "message": HELLO}] * 3)
    assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0
    assert len(answer.json()["published"]) == 2 and "Redis" not in answer.text


async def test_a_long_list_does_not_hold_the_loop(
    client: httpx.AsyncClient, layer: InMemoryChannelLayer
) -> None:
    answer = await publish(client, [{"group": "a", "message": HELLO}] * MAX_MESSAGES)
    assert len(answer.json()["published"]) == MAX_MESSAGES
