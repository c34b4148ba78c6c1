"""Messages with fields that are named like those of the envelope: such a name is the message's own."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import AliasChoices, AliasPath, Field, computed_field
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from compat.layers import InMemoryChannelLayer, register_channel_layer, unregister_channel_layer
from compat.typed import AsyncJsonWebsocketConsumer, BaseMessage, PingMessage, PongMessage, Topic, ws_handler
from compat.typed.asyncapi import document
from compat.typed.client import Client, ClientError, connect
from compat.typed.codegen import client_module, write_client
from compat.typed.testing import WebsocketCommunicator
from tests.support.servers import Address, LiveServer
from tests.unit.typed.room import Note
from tests.unit.typed.test_codegen_javascript import SOCKET
from tests.unit.typed.test_consumer import PONG, talk


class Post(BaseMessage):
    """Its fields have the names of the whole envelope, with types that the envelope does not have."""

    action: Literal["post"] = "post"
    payload: None = None
    topic: str = ""
    ref: list[int] = []
    seq: str = ""
    version: str = ""


class Release(BaseMessage):
    action: Literal["release"] = "release"
    payload: None = None
    version: str = "2.3"


class Posts(AsyncJsonWebsocketConsumer):
    @ws_handler
    async def post(self, message: Post) -> Post:
        return message

    @ws_handler
    async def ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()

    @ws_handler
    async def note(self, message: Note) -> Release:
        return Release()


class CamelPosts(Posts):
    camelize = True


class SeenPosts(Posts):
    async def send_json(self, content: Any, close: bool | int = False) -> None:
        await super().send_json(content, close)


class KindPosts(Posts):
    discriminator_field = "kind"


class PostTopic(Topic):
    pattern = "posts:{name}"

    @ws_handler
    async def note(self, message: Note) -> Release:
        return Release()


class SeenPostTopic(PostTopic):
    pattern = "seen:{name}"

    async def send_json(self, content: Any, close: bool | int = False) -> None:
        await super().send_json(content, close)


class Hub(AsyncJsonWebsocketConsumer):
    topics = [PostTopic, SeenPostTopic]

    @ws_handler
    async def note(self, message: Note) -> Post:
        return POST


ALL: list[type[AsyncJsonWebsocketConsumer[Any]]] = [Posts, CamelPosts, SeenPosts, KindPosts]
POST = Post(topic="news", ref=[7], seq="last", version="1.2")


def form(consumer: Any, content: dict[str, Any]) -> dict[str, Any]:
    return {consumer.discriminator_field if key == "action" else key: value for key, value in content.items()}


@pytest.mark.parametrize("consumer", ALL)
@pytest.mark.parametrize(
    "names", [("topic",), ("ref",), ("version", "seq"), ("topic", "ref", "seq", "version")]
)
async def test_a_message_keeps_its_fields(
    layer: InMemoryChannelLayer, consumer: type[Posts], names: tuple[str, ...]
) -> None:
    post = form(consumer, Post(**POST.model_dump(include={*names})).model_dump())
    client = await talk(consumer)
    assert await client.ask({key: value for key, value in post.items() if value}) == post
    await client.leave()


@pytest.mark.parametrize("consumer", ALL)
async def test_other_messages_have_their_envelope(layer: InMemoryChannelLayer, consumer: type[Posts]) -> None:
    client = await talk(consumer)
    ping = form(consumer, {"action": "ping"})
    assert await client.ask({**ping, "ref": "7"}) == {**form(consumer, PONG), "version": 1, "ref": "7"}
    lost = await client.ask({**ping, "topic": "news"})
    assert (lost["topic"], lost["payload"]["reason"]) == ("news", "not_subscribed")
    assert (await client.ask({**ping, "version": "x"}))["payload"][0]["loc"] == ["version"]
    await client.leave()


@pytest.mark.parametrize("consumer", ALL)
async def test_the_envelope_writes_over_no_field(layer: InMemoryChannelLayer, consumer: type[Posts]) -> None:
    client = await talk(consumer)
    release = form(consumer, Release().model_dump())
    assert await client.ask(form(consumer, {"action": "note", "ref": "7"})) == {**release, "ref": "7"}
    await client.leave()


@pytest.mark.parametrize("name", ["posts:a", "seen:a"])
async def test_a_topic_leaves_fields_as_they_are(layer: InMemoryChannelLayer, name: str) -> None:
    client = await talk(Hub)
    subscribed = await client.ask({"action": "subscribe", "topic": name, "ref": "1"})
    assert (subscribed["version"], subscribed["ref"]) == (1, "1")
    answer = await client.ask({"action": "note", "topic": name, "ref": "2"})
    assert answer == {**Release().model_dump(), "topic": name, "ref": "2"}
    assert await client.ask({"action": "note", "ref": "2"}) == POST.model_dump()
    await client.leave()


def test_a_field_topic_beside_topics_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Both\.post takes Post, which has a field 'topic'.*alias=\"about\""):

        class Both(Posts):
            topics = [PostTopic]

    with pytest.raises(TypeError, match=r"Inner\.post takes Post, which has a field 'topic'"):

        class Inner(Topic):
            pattern = "inner:{name}"

            @ws_handler
            async def post(self, message: Post) -> None: ...


async def test_a_field_that_is_named_otherwise_on_the_wire(layer: InMemoryChannelLayer) -> None:
    class Renamed(BaseMessage):
        action: Literal["renamed"] = "renamed"
        payload: None = None
        topic: str = Field("", alias="about")
        first: str = Field("", validation_alias=AliasChoices("one", "ref"))
        second: int = Field(0, validation_alias=AliasPath("seq", 0))

        @computed_field  # type: ignore[prop-decorator]
        @property
        def version(self) -> str:
            return "computed"

    class Consumer(AsyncJsonWebsocketConsumer):
        topics = [PostTopic]

        @ws_handler
        async def renamed(self, message: Renamed) -> Renamed:
            return message

    client = await talk(Consumer)
    sent = {"action": "renamed", "about": "x", "ref": "a", "seq": [3], "version": 1}
    answer = {"about": "x", "first": "a", "second": 3, "version": "computed"}
    assert await client.ask(sent) == {"action": "renamed", "payload": None, **answer}
    assert (await client.ask({"action": "renamed", "topic": "posts:a"}))["topic"] == "posts:a"
    await client.leave()


async def test_the_communicator_leaves_fields_as_they_are(layer: InMemoryChannelLayer) -> None:
    async with WebsocketCommunicator(Posts.as_asgi(), "/", consumer=Posts) as client:
        await client.send_message(POST)
        assert await client.receive_message(Post) == POST
        await client.send_message(Note(), ref="7")
        assert await client.receive_message(Release) == Release()
        with pytest.raises(ValueError, match="Post has a field 'ref' of its own"):
            await client.send_message(POST, ref="7")


# Clients

APP = Starlette(routes=[WebSocketRoute("/posts", Posts.as_asgi()), WebSocketRoute("/hub", Hub.as_asgi())])


@pytest.fixture(scope="module")
def server() -> Iterator[Address]:
    register_channel_layer("default", InMemoryChannelLayer())
    with LiveServer(APP) as live:
        yield live
    unregister_channel_layer("default")


async def test_the_client_leaves_fields_as_they_are(server: Address) -> None:
    client: Client
    async with connect(Posts, server.ws("/posts"), proxy=None) as client:
        await client.send(POST)
        assert await client.receive() == POST
        assert await client.request(Note(), Release) == Release()
        with pytest.raises(ClientError, match="has a field 'ref' of its own"):
            await client.request(POST, Post)
    async with connect(Hub, server.ws("/hub"), proxy=None) as client:
        topic = await client.subscribe_to(PostTopic, name="a")
        assert await topic.request(Note(), Release) == Release()
        await client.send(Note())
        assert await client.receive() == POST, "its topic is none of the connection's"


async def test_a_generated_client_leaves_fields_as_they_are(
    server: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_client(document(APP), tmp_path / "posts_client")
    monkeypatch.syspath_prepend(str(tmp_path))
    import posts_client as made  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

    async with made.PostsChannel.connect(server.ws("")) as client:
        await client.send(made.Post(**POST.model_dump()))
        assert (await client.receive()).model_dump() == POST.model_dump()
        assert (await client.request(made.Note(), made.Release)).version == "2.3"
        with pytest.raises(made.ClientError, match="has a field 'ref' of its own"):
            await client.request(made.Post(), made.Post)
    async with made.HubChannel.connect(server.ws("")) as client:
        topic = await client.subscribe(made.HubPostTopic, name="a")
        assert (await topic.request(made.Note(), made.Release)).version == "2.3"
        await client.send(made.Note())
        assert (await client.receive()).model_dump() == POST.model_dump()


SCRIPT = """
import assert from "node:assert/strict";
import { sockets } from "./socket.mjs";
import * as made from "./posts.mjs";

const post = JSON.parse(process.argv[2]);
const release = { action: "release", payload: null, version: "2.3" };
const got = [];
const posts = new made.PostsChannel({ base: "wss://example.org" });
posts.onPost((message) => got.push(message));
posts.onRelease((message) => got.push(message));
sockets.at(-1).receive(post);
sockets.at(-1).receive({ ...release, ref: "7" });
const hub = new made.HubChannel({ base: "wss://example.org" });
hub.onPost((message) => got.push(message));
const topic = new made.HubPostTopic(hub, { name: "a" });
topic.onRelease((message) => got.push(message));
sockets.at(-1).receive(post);
sockets.at(-1).receive({ ...release, topic: "posts:a", seq: 3 });
assert.deepEqual(got, [post, release, post, release]);
topic._send(release);
assert.deepEqual(sockets.at(-1).sent, [{ ...release, topic: "posts:a" }]);
"""


def test_a_client_in_javascript_leaves_fields_as_they_are(tmp_path: Path) -> None:
    program = shutil.which("node")
    if program is None:
        pytest.skip("this test needs node")
    (tmp_path / "socket.mjs").write_text(SOCKET, encoding="utf-8")
    (tmp_path / "posts.mjs").write_text(client_module(document(APP), socket="./socket.mjs"), encoding="utf-8")
    (tmp_path / "run.mjs").write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run(
        [program, "run.mjs", json.dumps(POST.model_dump())],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
