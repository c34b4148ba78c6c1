"""Clients for documents that are odd, or wrong: what is written can be imported, or nothing is."""

from __future__ import annotations

import copy
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import RootModel, TypeAdapter
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from compat.typed import AsyncJsonWebsocketConsumer, BaseMessage, ws_handler
from compat.typed.asyncapi import document
from compat.typed.codegen import CannotGenerate, client_module, write_client
from tests.unit.typed import things

DOCUMENT = json.loads(json.dumps(document(things.app)))
SCHEMA = next(name for name, one in DOCUMENT["components"]["schemas"].items() if one.get("properties"))


def changed(change: Callable[[Any], None]) -> Any:
    odd = copy.deepcopy(DOCUMENT)
    change(odd)
    return odd


def with_field(name: str, schema: Any) -> Any:
    return changed(lambda odd: odd["components"]["schemas"][SCHEMA]["properties"].update({name: schema}))


def described(text: str) -> Any:
    return changed(lambda odd: odd["components"]["schemas"][SCHEMA].update(description=text))


@pytest.mark.parametrize(
    "odd",
    [
        [],
        None,
        "asyncapi",
        changed(lambda odd: odd.pop("info")),
        changed(lambda odd: odd.update(channels=[1])),
        changed(lambda odd: odd.update(components={"schemas": None})),
        changed(lambda odd: next(iter(odd["operations"].values())).update(messages=[{"$ref": "#/x/y/z"}])),
        with_field("extra", schema=True),
    ],
)
def test_what_is_no_document_is_refused_and_nothing_is_written(odd: Any, tmp_path: Path) -> None:
    with pytest.raises(CannotGenerate):
        write_client(odd, tmp_path / "client")
    with pytest.raises(CannotGenerate):
        client_module(odd)
    assert not list(tmp_path.iterdir())


def test_a_text_that_cannot_be_encoded_leaves_no_part_of_a_package(tmp_path: Path) -> None:
    with pytest.raises(CannotGenerate, match="surrogates not allowed"):
        write_client(described("a\ud800b"), tmp_path / "client")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "odd",
    [
        described("a\0b"),
        with_field("x²", {"type": "string"}),
        with_field("extra", {"type": "number", "default": float("nan")}),
        with_field("extra", {"type": "string", "pattern": "^(?!x)y"}),
        with_field("extra", {"type": "string", "minLength": "x"}),
        with_field("extra", {"enum": ["a", None, 1.5, {"x": 1}]}),
    ],
    ids=["nul", "superscript", "nan", "look-ahead", "limit", "object"],
)
def test_what_is_odd_can_be_imported(
    odd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    name = "odd_" + request.node.callspec.id.replace("-", "_")
    write_client(odd, tmp_path / name)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert importlib.import_module(name).__all__
    assert client_module(odd)


def test_a_parameter_of_an_address_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = changed(lambda odd: next(iter(odd["channels"].values())).update(address="/ws/{room-id}/"))
    write_client(odd, tmp_path / "odd_address")
    monkeypatch.syspath_prepend(str(tmp_path))
    made = importlib.import_module("odd_address.channels")
    (channel,) = (one for one in vars(made).values() if getattr(one, "address", "") == "/ws/{room-id}/")
    assert channel.url("ws://a.example", {"room-id": "a b"}) == "ws://a.example/ws/a%20b/"
    channel.connect("ws://a.example", room_id="lobby")
    assert '${encodeURIComponent(parameters["room-id"])}' in client_module(odd)


def test_two_received_messages_may_share_an_action(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class One(BaseMessage):
        action: Literal["a"] = "a"
        payload: int

    class Several(BaseMessage):
        action: Literal["a", "b"] = "b"
        payload: str

    class Sharing(AsyncJsonWebsocketConsumer):
        @ws_handler(output_type=One | Several)
        async def one(self, message: One) -> None: ...

    made = document(Starlette(routes=[WebSocketRoute("/ws/", Sharing.as_asgi())]))
    write_client(json.loads(json.dumps(made)), tmp_path / "sharing_an_action")
    monkeypatch.syspath_prepend(str(tmp_path))
    incoming = importlib.import_module("sharing_an_action.channels").SharingChannel.incoming
    for message in ({"action": "a", "payload": 1}, {"action": "a", "payload": "x"}):
        assert incoming.validate_python(message).model_dump() == message


@pytest.mark.parametrize("name", ["kind", "@type", "msg-type", "schema", "json", "object", "copy", "class"])
def test_any_name_for_what_identifies_a_message(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    class First(BaseMessage):
        action: Literal["first"] = "first"

    class Second(BaseMessage):
        action: Literal["second"] = "second"

    class Named(AsyncJsonWebsocketConsumer):
        discriminator_field = name

        @ws_handler
        async def first(self, message: First) -> First | Second:
            return message

    made = document(Starlette(routes=[WebSocketRoute("/ws/", Named.as_asgi())]))
    package = f"named_{abs(hash(name))}"
    write_client(json.loads(json.dumps(made)), tmp_path / package)
    monkeypatch.syspath_prepend(tmp_path)
    client = importlib.import_module(package)
    channel = next(
        one for one in vars(client).values() if isinstance(getattr(one, "incoming", None), TypeAdapter)
    )
    assert type(channel.incoming.validate_python({name: "second", "payload": None})).__name__ == "Second"


def test_an_alias_of_itself_is_refused(tmp_path: Path) -> None:
    class Tree(RootModel["list[Tree | str]"]):
        pass

    Tree.model_rebuild(_types_namespace={"Tree": Tree})

    class Planted(BaseMessage):
        action: Literal["planted"] = "planted"
        payload: Tree

    class Planting(AsyncJsonWebsocketConsumer):
        @ws_handler
        async def planted(self, message: Planted) -> None: ...

    made = document(Starlette(routes=[WebSocketRoute("/ws/", Planting.as_asgi())]))
    with pytest.raises(CannotGenerate, match="'Tree' refers to itself"):
        write_client(json.loads(json.dumps(made)), tmp_path / "client")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("address", "parameters", "path"),
    [
        ("ws/chat", {}, "/ws/chat"),
        ("/ws/[0-9]{4}/", {"4": "1/2"}, "/ws/[0-9]1%2F2/"),
        ("/ws/{room.id}/", {"room.id": 7}, "/ws/7/"),
        ("/ws/{team}/{room}/{team}/", {"team": 1, "room": 2}, "/ws/1/2/1/"),
    ],
)
def test_an_address_may_be_odd(
    address: str, parameters: dict[str, object], path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Was: another host, an IndexError, a KeyError."""
    monkeypatch.syspath_prepend(tmp_path)
    name = f"odd_{abs(hash(address))}"
    write_client(
        changed(lambda odd: next(iter(odd["channels"].values())).update(address=address)), tmp_path / name
    )
    channels = importlib.import_module(f"{name}.channels")
    (found,) = [
        one for one in vars(channels).values() if getattr(one, "address", "").strip("/") == address.strip("/")
    ]
    assert found.url("wss://example.org", parameters, {"a": "b"}) == f"wss://example.org{path}?a=b"
