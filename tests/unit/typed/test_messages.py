"""Messages: a Literal action, or a TypeError that says what is missing."""

from __future__ import annotations

import abc
import enum
from typing import Any, Generic, Literal, TypeVar

import pytest
from pydantic import ValidationError

from compat.typed import BaseMessage, CompleteMessage, ErrorMessage, PingMessage, PongMessage
from compat.typed.messages import literal_values
from tests.unit.typed.room import Line, Say

T = TypeVar("T")


def test_messages_have_the_actions_of_the_protocol() -> None:
    assert PingMessage().model_dump() == {"action": "ping", "payload": None}
    assert PongMessage().model_dump() == {"action": "pong", "payload": None}
    assert CompleteMessage().action == "complete"
    assert ErrorMessage(payload=[]).action == "error"
    assert literal_values(Say, "action") == ("say",)


def test_a_payload_is_validated() -> None:
    assert Say(payload=Line(text="hello")).payload.text == "hello"
    with pytest.raises(ValidationError):
        Say.model_validate({"payload": {"text": 3}})


def test_a_message_without_an_action_fails_where_it_is_made() -> None:
    with pytest.raises(TypeError, match=r"Nameless needs an action that is a Literal of strings.*Any"):

        class Nameless(BaseMessage):
            payload: str


@pytest.mark.parametrize("annotation", [str, int, Any, Literal[1], Literal["a", 2]])
def test_an_action_that_is_no_literal_of_strings_fails_as_well(annotation: Any) -> None:
    with pytest.raises(TypeError, match="needs an action"):
        type("Wrong", (BaseMessage,), {"__annotations__": {"action": annotation}, "__module__": __name__})


def test_a_base_class_for_messages_names_abc() -> None:
    class RoomMessage(BaseMessage, abc.ABC):
        payload: Line

    class Entered(RoomMessage):
        action: Literal["entered"] = "entered"

    assert Entered(payload=Line(text="x")).action == "entered"
    with pytest.raises(TypeError, match="needs an action"):

        class Left(RoomMessage):
            pass


def test_an_action_is_inherited_and_may_have_several_values() -> None:
    class Move(BaseMessage):
        action: Literal["left", "right"]
        payload: None = None

    class QuickMove(Move):
        """The same action, said otherwise."""

    assert literal_values(QuickMove, "action") == ("left", "right")


def test_an_action_may_be_of_a_string_enum() -> None:
    class Kind(str, enum.Enum):
        OPEN = "open"

    class Open(BaseMessage):
        action: Literal[Kind.OPEN] = Kind.OPEN
        payload: None = None

    assert literal_values(Open, "action") == ("open",)
    assert Open().model_dump(mode="json")["action"] == "open"


def test_generic_messages() -> None:
    class Wrapped(BaseMessage, Generic[T]):
        action: Literal["wrapped"] = "wrapped"
        payload: T

    assert Wrapped[int](payload=3).payload == 3
    with pytest.raises(ValidationError):
        Wrapped[int].model_validate({"payload": "three"})
