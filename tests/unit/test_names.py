"""Names of channels, groups and handlers."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.names import (
    get_handler_name,
    group_name,
    non_local_name,
    require_valid_channel_name,
    require_valid_group_name,
)

ALPHABET = string.ascii_letters + string.digits + "-_."


@pytest.mark.parametrize("name", ["lobby", "a.b-c_d", "x" * 99, "7"])
def test_good_group_names(name: str) -> None:
    assert require_valid_group_name(name)
    assert require_valid_channel_name(name)


@pytest.mark.parametrize(
    "name", ["", "x" * 100, "café", "a b", "a/b", "a:b", "a!b", "a\n", "٣", None, 5, b"a"]
)
def test_bad_group_names(name: object) -> None:
    with pytest.raises(
        TypeError, match="Group name must be a valid unicode string with length < 100"
    ) as caught:
        require_valid_group_name(name)
    if name:
        assert repr(name)[:20] in str(caught.value), "the error shows what was found"


def test_a_bad_name_says_which_rule_and_how_to_cure_it() -> None:
    with pytest.raises(TypeError, match=r"contains 'é'.*group_name\(text\)"):
        require_valid_group_name("chat_café")
    with pytest.raises(TypeError, match="it has 200 characters"):
        require_valid_group_name("x" * 200)


@pytest.mark.parametrize("name", ["a!", "a!b", "specific.abc!def.g-h_i"])
def test_process_local_channel_names(name: str) -> None:
    assert require_valid_channel_name(name)


@pytest.mark.parametrize("name", ["!x", "a!b!c", "a!é", "a!b\n"])
def test_bad_process_local_channel_names(name: str) -> None:
    with pytest.raises(TypeError, match="Channel name must be"):
        require_valid_channel_name(name)


def test_receiving_from_a_process_local_name_must_end_at_the_mark() -> None:
    assert require_valid_channel_name("a!", receive=True)
    with pytest.raises(TypeError, match="must end at the !"):
        require_valid_channel_name("a!b", receive=True)


def test_non_local_name() -> None:
    assert non_local_name("a!b") == "a!"
    assert non_local_name("plain") == "plain"


@given(st.text(max_size=300), st.sampled_from(["", "chat_"]))
def test_group_name_is_valid_and_stable_for_any_text(text: str, prefix: str) -> None:
    name = group_name(text, prefix)
    assert require_valid_group_name(name)
    assert group_name(text, prefix) == name


@given(st.lists(st.text(max_size=120), min_size=2, max_size=20, unique=True))
def test_group_name_keeps_different_texts_apart(texts: list[str]) -> None:
    assert len({group_name(text, "chat_") for text in texts}) == len(texts)


@given(st.text(alphabet=ALPHABET, min_size=1, max_size=90))
def test_group_name_leaves_valid_names_alone(text: str) -> None:
    assert group_name(text, "room_") == f"room_{text}"


@pytest.mark.parametrize(
    ("kind", "handler"), [("chat.message", "chat_message"), ("a.b-c", "a_b-c"), ("a__b", "a__b"), ("x", "x")]
)
def test_handler_names(kind: str, handler: str) -> None:
    assert get_handler_name({"type": kind}) == handler


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({}, "Incoming message has no 'type' attribute"),
        ({"type": "_x"}, "leading underscore"),
        ({"type": ".x"}, "leading underscore"),
        ({"type": 5}, "expected a str"),
    ],
)
def test_messages_without_a_handler_name(message: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        get_handler_name(message)
