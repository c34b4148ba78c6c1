"""Generated clients for names that meet: each keeps a class, a field and an argument of its own."""

from __future__ import annotations

import importlib
import inspect
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from compat.typed import AsyncJsonWebsocketConsumer, BaseMessage, Topic, channel, ws_handler
from compat.typed.asyncapi import document
from compat.typed.codegen import client_module, write_client
from compat.typed.codegen.channels import names_of
from compat.typed.codegen.models import RUNTIME
from compat.typed.codegen.package import ARGUMENTS


class Keys(BaseModel):
    hyphen: int = Field(alias="user-id")
    plain: int = Field(alias="user_id")
    dotted: int = Field(alias="user.id")


class UnknownMessage(BaseMessage):
    action: Literal["unknown"] = "unknown"
    payload: Keys


class TypeAlias(BaseMessage):
    action: Literal["a", "b"] = "a"


class RoomTopic(Topic):
    pattern = "room:{name}"

    @ws_handler
    async def unknown(self, message: UnknownMessage) -> UnknownMessage:
        return message


class Chat(AsyncJsonWebsocketConsumer):
    topics = [RoomTopic]

    @ws_handler
    async def unknown(self, message: UnknownMessage) -> UnknownMessage:
        return message

    @ws_handler
    async def alias(self, message: TypeAlias) -> None: ...


def named(name: str) -> Any:
    return channel(name=name)(type("Named", (Chat,), {}))


HYPHEN, UNDERSCORE, CHAT, CHAT2 = map(named, ("room-chat", "room_chat", "chat", "chat2"))
ROUTES = {
    "/ws/{query}/{headers}": HYPHEN,
    "/ws/{base_url}/{cls}/{url}": UNDERSCORE,
    "/a": CHAT,
    "/b": CHAT,
    "/c/{_id}/{id}": CHAT2,
}
DOCUMENT = document(Starlette(routes=[WebSocketRoute(path, one.as_asgi()) for path, one in ROUTES.items()]))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The package for ``DOCUMENT``."""
    folder = tmp_path_factory.mktemp("generated")
    write_client(DOCUMENT, folder / "names_that_meet")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        return importlib.import_module("names_that_meet")


def channels_of(client: Any) -> list[Any]:
    classes = [one for one in vars(client).values() if isinstance(one, type)]
    return [one for one in classes if issubclass(one, client.channels.Connection)]


def test_each_channel_has_a_class(client: Any) -> None:
    assert sorted(one.address for one in channels_of(client)) == sorted(ROUTES)


def test_each_parameter_of_a_path_is_an_argument(client: Any) -> None:
    given = {
        one.address: [name for name in inspect.signature(one.connect).parameters if name not in ARGUMENTS]
        for one in channels_of(client)
    }
    assert given["/ws/{query}/{headers}"] == ["query_", "headers_"]
    assert given["/ws/{base_url}/{cls}/{url}"] == ["base_url_", "cls_", "url"]
    assert given["/c/{_id}/{id}"] == ["id_", "id"]


def test_each_field_of_a_model_has_a_name(client: Any) -> None:
    values = {"user-id": 1, "user_id": 2, "user.id": 3}
    keys = client.Keys.model_validate(values)
    assert keys.user_id == 2
    assert keys.model_dump(by_alias=True) == values


def test_a_field_may_be_called_as_a_type_that_is_used_beside_it(tmp_path: Path) -> None:
    """Under its own name it would hide the type: its default is in the namespace of the annotations."""
    fields = {
        "uuid": {"type": "string", "format": "uuid"},
        "datetime": {"type": "string", "format": "date-time"},
        "int": {"type": "integer"},
        "str": {"type": "string", "default": "a"},
        "list": {"type": "array", "items": {"type": "string"}},
        "Keys": {"$ref": "#/components/schemas/Keys"},
        "Any": {},
    }
    told = json.loads(json.dumps(DOCUMENT))
    told["components"]["schemas"]["UnknownMessage"]["properties"].update(fields)
    write_client(told, tmp_path / "names_of_types")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        made = importlib.import_module("names_of_types").UnknownMessage_
    values: dict[str, Any] = {
        "uuid": str(UUID(int=1)),
        "datetime": "2026-01-01T00:00:00Z",
        "int": 1,
        "str": "b",
        "list": ["c"],
    }
    values |= {"Keys": {"user-id": 1, "user_id": 2, "user.id": 3}, "Any": "d"}
    message = made.model_validate({**values, "payload": values["Keys"]})
    assert (message.int_, message.str_, message.uuid_) == (1, "b", UUID(int=1))
    sent = json.loads(message.model_dump_json(by_alias=True))
    assert {name: sent[name] for name in fields} == {name: values[name] for name in fields}


def test_a_message_hides_no_class_of_the_runtime(client: Any) -> None:
    for name in RUNTIME:
        assert issubclass(getattr(client, name), client.ClientError)
    sent = client.UnknownMessage_.model_validate({"payload": {"user-id": 1, "user_id": 2, "user.id": 3}})
    assert json.loads(sent.model_dump_json())["action"] == "unknown"
    assert client.TypeAlias_(action="b", payload=None).action == "b"


def test_a_module_of_javascript_has_a_class_for_each_channel(tmp_path: Path) -> None:
    path = tmp_path / "client.mjs"
    path.write_text(client_module(DOCUMENT), encoding="utf-8")
    program = shutil.which("node")
    if program is None:
        pytest.skip("this test needs node")
    done = subprocess.run([program, "--check", str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_text_that_is_a_name_keeps_it() -> None:
    assert names_of(["room-chat", "RoomChat", "Model"], ["Model"]) == {
        "RoomChat": "RoomChat",
        "Model": "Model_",
        "room-chat": "RoomChat_",
    }
