"""camelCase: the names of fields and nothing else, in and out."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, RootModel, computed_field

from compat.typed import BaseMessage
from compat.typed.camel import reader, to_camel, translator, written


class Deep(BaseModel):
    first_name: str
    free_data: dict[str, Any] = {}


class Tree(BaseModel):
    own_name: str
    sub_trees: list[Tree] = []
    by_name: dict[str, Tree] = {}
    best_of: Tree | None = None
    either_one: Deep | Tree | None = None
    with_alias: int = Field(0, alias="aliased_name")
    noted: Annotated[Deep | None, Field(description="…")] = None
    a_pair: tuple[Deep, int] | None = None


class Message(BaseMessage):
    action: Literal["message"] = "message"
    payload: Tree | None
    some_thing: int = 0


WIRE = {
    "action": "message",
    "someThing": 1,
    "payload": {
        "ownName": "root",
        "subTrees": [{"ownName": "leaf"}],
        "byName": {"snake_key": {"ownName": "kept"}},
        "bestOf": {"ownName": "best"},
        "eitherOne": {"firstName": "Ada", "freeData": {"snake_case": {"other_key": 1}, "camelCase": 2}},
        "aliased_name": 7,
        "noted": {"firstName": "Bob"},
        "aPair": [{"firstName": "Eve"}, 3],
    },
}


@pytest.mark.parametrize(
    ("name", "camel"),
    [("room_name", "roomName"), ("_private_one", "_privateOne"), ("x", "x"), ("a_b_c", "aBC"), ("__", "__")],
)
def test_names(name: str, camel: str) -> None:
    assert to_camel(name) == camel


def test_read_and_written_again() -> None:
    message = Message.model_validate(reader(Message)(WIRE))
    assert message.payload is not None
    assert message.payload.sub_trees[0].own_name == "leaf"
    assert list(message.payload.by_name) == ["snake_key"]
    assert isinstance(message.payload.either_one, Deep)
    assert message.payload.either_one.free_data == {"snake_case": {"other_key": 1}, "camelCase": 2}
    assert message.payload.with_alias == 7

    dumped = message.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    assert written(message, dumped) == {key: value for key, value in WIRE.items() if key != "action"}


def test_python_names_are_read_as_well() -> None:
    message = Message.model_validate(reader(Message)({"payload": {"own_name": "x"}, "some_thing": 2}))
    assert message.some_thing == 2


def test_what_is_no_object_is_left_to_validation() -> None:
    read = reader(Message)
    assert read([1]) == [1]
    assert read({"payload": "text"}) == {"payload": "text"}
    assert reader(int)({"aB": 1}) == {"aB": 1}


def test_an_instance_inside_any_is_written_by_its_own_class() -> None:
    class Holder(BaseMessage):
        action: Literal["holder"] = "holder"
        payload: Any

    holder = Holder(payload=[Deep(first_name="Ada")])
    assert written(holder, holder.model_dump(mode="json"))["payload"] == [
        {"firstName": "Ada", "freeData": {}}
    ]


class Item(BaseModel):
    user_name: str


class Items(RootModel[list["Items | Item"]]):
    """It refers to itself."""


class ByName(RootModel[dict[str, "Item"]]):
    pass


class Stock(BaseMessage):
    action: Literal["stock"] = "stock"
    payload: Items | ByName


@pytest.mark.parametrize(
    "payload", [[{"userName": "ada"}], [[{"userName": "bob"}]], {"a_key": {"userName": "eve"}}]
)
def test_inside_a_root_model(payload: Any) -> None:
    message = Stock.model_validate(reader(Stock)({"action": "stock", "payload": payload}))
    assert "user_name" in repr(message)
    assert written(message, message.model_dump(mode="json"))["payload"] == payload


class Comment(BaseModel):
    user_name: str
    all_replies: list["Comment"]  # noqa: UP037 - the name of a class within brackets


def test_a_name_in_a_field_of_a_base_of_another_module() -> None:
    elsewhere: Any = type("Elsewhere", (Comment,), {"__module__": "json"})
    wire = {"userName": "ada", "allReplies": [{"userName": "bob", "allReplies": []}]}
    names = {"user_name": "ada", "all_replies": [{"user_name": "bob", "all_replies": []}]}
    assert reader(elsewhere)(wire) == names


@pytest.mark.parametrize("text", ["unknown", "metres per second"])
def test_a_text_within_brackets_that_is_no_name(text: str) -> None:
    assert reader(types.GenericAlias(list, (text,)))(["1"]) == ["1"]


class Aliased(BaseModel):
    other_tree: Tree = Field(alias="other-tree")
    a_deep: Deep = Field(serialization_alias="out")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def same_deep(self) -> Deep:
        return self.a_deep


class Named(BaseMessage):
    action: Literal["named"] = "named"
    payload: Aliased | None


def test_both_ways_without_an_instance() -> None:
    payload = {"other-tree": {"own_name": "x"}, "a_deep": {"first_name": "Ada"}}
    for message in (
        Message.model_validate(reader(Message)(WIRE)),
        Named.model_validate({"payload": payload}),
    ):
        plain = message.model_dump(mode="json", by_alias=True)
        wire = written(message, plain)
        assert wire != plain
        assert translator([type(message)], to_wire=True)(plain) == wire
        assert translator([type(message)], to_wire=False)(wire) == plain


def test_a_model_under_an_alias_is_read() -> None:
    wire = {"payload": {"other-tree": {"ownName": "x"}, "aDeep": {"firstName": "Ada"}}}
    payload = Named.model_validate(reader(Named)(wire)).payload
    assert payload is not None and (payload.other_tree.own_name, payload.a_deep.first_name) == ("x", "Ada")
