"""Names of channels, groups and handlers."""

from __future__ import annotations

import re
import string
import time
import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.authentication import BaseUser, SimpleUser, UnauthenticatedUser

from compat.auth.users import AnonymousUser
from compat.closing import user_group
from compat.lazy import SimpleLazyObject
from compat.names import (
    RESERVED,
    client_key,
    get_handler_name,
    group_name,
    non_local_name,
    person_key,
    require_valid_channel_name,
    require_valid_group_name,
    user_key,
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


@pytest.mark.parametrize("make", ["{}", "{}!", "{}!abc"])
def test_faults_tests_names_of_channels_have_fewer_than_100_characters(make: str) -> None:
    longest = make.format("x" * (99 - len(make) + len("{}")))
    assert len(longest) == 99 and require_valid_channel_name(longest)
    with pytest.raises(TypeError, match="it has 100 characters"):
        require_valid_channel_name(f"x{longest}")


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


PREFIXES = st.sampled_from(["", "chat_", "compat.user.", "compat.topic.Run.", "é", "x" * 70, "x" * 120])
WORDS = st.text(alphabet=ALPHABET + "é!\U0001f600\ud800", max_size=120)
MADE = st.recursive(  # texts that were made of names, as an attacker makes them
    WORDS | st.text(max_size=120),
    lambda texts: (
        st.builds(group_name, texts, PREFIXES)
        | st.builds(lambda text, prefix: group_name(text, prefix).removeprefix(prefix), texts, PREFIXES)
        | st.builds(lambda text, end: text + end, texts, st.sampled_from(["\n", "-", ".", "..", "~", "\0"]))
    ),
    max_leaves=4,
)


@given(st.lists(MADE, min_size=2, max_size=10, unique=True), PREFIXES)
def test_faults_security_h3_different_texts_have_different_names(texts: list[str], prefix: str) -> None:
    names = {group_name(text, prefix) for text in texts}
    assert len(names) == len(texts)
    assert all(require_valid_group_name(name) for name in names)


@given(st.lists(st.tuples(MADE, PREFIXES), min_size=2, max_size=10, unique_by="".join))
def test_faults_security_h3_with_whatever_prefixes(pairs: list[tuple[str, str]]) -> None:
    assert len({group_name(text, prefix) for text, prefix in pairs}) == len(pairs)


@given(MADE, PREFIXES)
def test_faults_security_h3_the_name_of_a_name_is_another(text: str, prefix: str) -> None:
    name = group_name(text, prefix)
    if name != prefix + text:
        assert group_name(name) != name and re.search(r"\.\.[0-9a-f]{32}\Z", name)


def test_faults_security_h3_a_stranger_in_the_room_that_has_the_name() -> None:
    room = group_name("Café Geheim")
    assert group_name(room) != room and group_name(group_name(room)) != group_name(room)
    assert group_name("Cafe-Geheim-36777df46c97") != room


@given(MADE, MADE)
def test_faults_security_h3_nobody_chooses_the_name_of_a_users_group(user: str, text: str) -> None:
    of_a_user = user_group(user)
    for chosen in (text, of_a_user, f"compat.user.{user}", f"compat\0compat.user.{user}"):
        assert group_name(chosen) != of_a_user
        assert group_name(chosen, "room_") != of_a_user


@pytest.mark.parametrize("text", ["__broadcast__", "compat.user.7", "compat.topic.Run.é"])
def test_faults_security_m4_no_text_names_a_group_of_the_librarys_own(text: str) -> None:
    for cut in range(len(text)):
        prefix = text[:cut]
        if not prefix.startswith(RESERVED):
            name = group_name(text[cut:], prefix)
            assert name != text and require_valid_group_name(name)


def test_faults_security_h3_a_long_text_takes_no_long_time() -> None:
    """A text of combining characters in the worst order: normalizing it whole takes quadratic time."""
    text = "\u0301\u0316" * 500_000
    before = time.process_time()
    assert group_name(text) != group_name(text + "x")
    assert time.process_time() - before < 5


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


class Member(BaseUser):
    """One of a backend of Starlette's that leaves ``identity`` out."""

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def display_name(self) -> str:
        return "Ada"


class Known(Member):
    @property
    def identity(self) -> str:
        return "7f3a"


class Printed:
    is_authenticated = True

    def identity(self) -> str:
        raise AssertionError("it is no attribute")

    def __str__(self) -> str:
        return "ada at home"


class Keyless:
    is_authenticated = True


@pytest.mark.parametrize(
    ("user", "key"),
    [
        (SimpleNamespace(pk=7, id=8, is_authenticated=True), 7),
        (SimpleNamespace(pk=0, username="ada", is_authenticated=True), 0),
        (SimpleNamespace(pk="ada"), "ada"),
        (SimpleNamespace(pk=None, id=8, is_authenticated=True), 8),
        (SimpleUser("ada"), "ada"),
        (SimpleLazyObject(lambda: SimpleUser("ada")), "ada"),
        (Known(), "7f3a"),
        (Printed(), "ada at home"),
    ],
)
def test_the_key_of_a_user(user: Any, key: Any) -> None:
    assert user_key(user) == key


@pytest.mark.parametrize("user", [Keyless(), SimpleLazyObject(Keyless), SimpleUser(""), Member()])
def test_an_address_in_memory_is_no_key(user: Any) -> None:
    """Another user may have it as soon as this one is freed."""
    with pytest.raises(TypeError, match=r"has no key.*resume_key\(scope\)"):
        user_key(user)


@pytest.mark.parametrize("user", [AnonymousUser(), UnauthenticatedUser(), None, b"ada", {"pk": 7}])
def test_nobody_has_no_key(user: Any) -> None:
    with pytest.raises(TypeError, match="expected an authenticated user"):
        user_key(user)


@pytest.mark.parametrize(
    ("user", "key"),
    [
        (None, None),
        ("", None),
        (AnonymousUser(), None),
        (UnauthenticatedUser(), None),
        (SimpleNamespace(pk=7, is_authenticated=False), None),
        (SimpleNamespace(pk=7, is_authenticated=True), 7),
        (SimpleNamespace(pk=7), 7),
        (SimpleUser("ada"), "ada"),
        (SimpleLazyObject(lambda: SimpleUser("ada")), "ada"),
        ("ada", "ada"),
        ("who says < at 0x7f00>", "who says < at 0x7f00>"),
        (0, 0),
        (uuid.UUID(int=7), uuid.UUID(int=7)),
        (b"ada", b"ada"),
        ({"sub": "ada"}, "{'sub': 'ada'}"),
        (SimpleNamespace(name="ada"), "namespace(name='ada')"),
        (SimpleNamespace(id=7, name="ada"), 7),
    ],
)
def test_whose_a_connection_is(user: Any, key: Any) -> None:
    assert person_key(user) == key


@pytest.mark.parametrize("user", [object(), [object()], Keyless(), SimpleUser("")])
def test_whose_a_connection_is_cannot_be_told_by_an_address(user: Any) -> None:
    with pytest.raises(TypeError, match=r"has no key.*resume_key\(scope\)"):
        person_key(user)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("64:ff9b::c000:201", "192.0.2.1"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("2001:db8:1:2::1%eth0", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("::1", "::1"),
        ("testclient", "testclient"),
        ("not:an:address", "not:an:address"),
        ("", None),
    ],
)
def test_a_client_is_known_by_its_address(address: str, key: str | None) -> None:
    assert client_key({"client": (address, 1)}) == key


@pytest.mark.parametrize("scope", [{}, {"client": None}, {"client": []}, {"client": (None, 1)}])
def test_a_client_without_an_address(scope: Any) -> None:
    assert client_key(scope) is None
