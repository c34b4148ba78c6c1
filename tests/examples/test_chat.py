"""The example chat: the same conversation, whatever it runs on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.examples.conftest import DJANGO, EXAMPLES, FASTAPI, Chat, Kind, Person
from tests.support.clients import Client, Refused, get
from tests.support.servers import worker_options
from tests.support.waiting import until_async

Names = Callable[[], str]


def test_people_hear_each_other(chat: Chat, free_name: Names) -> None:
    room = free_name()
    with chat.enter(room, "Ada") as ada:
        with chat.enter(room, "Grace") as grace:
            ada.says("  hello <b>Grace</b>\nhow are you?  ")
            said = ("said", "Ada", "hello <b>Grace</b>\nhow are you?")
            assert ada.hears() == said
            assert grace.hears() == said
        ada.says("nobody here")
        assert ada.hears() == ("said", "Ada", "nobody here")


OURS = [FASTAPI, DJANGO[0], *(pytest.param(kind, marks=pytest.mark.slow) for kind in DJANGO[1:3])]


# On the real Channels nobody knows who is there.
@pytest.mark.parametrize("chat", OURS, ids=lambda kind: kind.name, indirect=True, scope="session")
async def test_pages_see_who_comes_and_who_leaves(chat: Chat, free_name: Names) -> None:
    room = free_name()
    with chat.enter(room, "Ada"):
        async with (
            chat.watching(f"/ws/rooms/{room}/?name=Eve", f"room.{room}") as inside,
            chat.watching("/ws/lobby/", "in-any-room") as lobby,
        ):

            def seen() -> tuple[list[str], list[str]]:
                return names_of(inside.people, room), names_of(lobby.people, room)

            await until_async(lambda: seen() == (["Ada", "Eve"],) * 2, "who is there")
            with chat.enter(room, "Grace"):
                await until_async(lambda: seen() == (["Ada", "Eve", "Grace"],) * 2, "who comes")
                for _ in range(5):  # while frames are on their way to them
                    chat.enter(room, "Alan").drop()
            await until_async(lambda: seen() == (["Ada", "Eve"],) * 2, "who leaves")
            assert lobby.refused == ""


async def test_a_tab_is_the_same_person_when_it_comes_again(fastapi_chat: Chat, free_name: Names) -> None:
    room = free_name()
    with fastapi_chat.enter(room, "Eve") as eve:
        first = fastapi_chat.enter(room, "Ada&key=her-own")
        async with fastapi_chat.watching(f"/ws/rooms/{room}/?key=mine", f"room.{room}") as presence:
            first.close()
            with fastapi_chat.enter(room, "Grace&key=her-own") as again:
                assert again.me["id"] == first.me["id"] != eve.me["id"]
                await until_async(lambda: "Grace" in names_of(presence.people, room), "her new name")
                assert len(presence.people) == 3


def names_of(people: Mapping[str, Any], room: str) -> list[str]:
    metas = [meta for person in people.values() for meta in person["metas"]]
    return sorted(meta["name"] for meta in metas if meta["room"] == room)


def test_rooms_do_not_hear_each_other(chat: Chat, free_name: Names) -> None:
    with chat.enter(free_name(), "Ada") as ada, chat.enter(free_name(), "Grace") as grace:
        grace.says("not for Ada")
        assert grace.hears() == ("said", "Grace", "not for Ada")
        ada.says("not for Grace")
        assert ada.hears() == ("said", "Ada", "not for Grace")


@pytest.mark.parametrize("content", [{}, {"text": "   "}, {"text": 5}, {"text": None}, "text", [], 7])
def test_a_frame_that_says_nothing_is_answered(chat: Chat, free_name: Names, content: object) -> None:
    with chat.enter(free_name(), "Ada") as ada:
        ada.send_json(content)
        assert ada.hears()[0] == "problem"
        ada.says("still here")
        assert ada.hears() == ("said", "Ada", "still here")


def test_a_message_may_be_long_but_not_too_long(chat: Chat, free_name: Names) -> None:
    with chat.enter(free_name(), "Ada") as ada:
        ada.says("é" * 2000)
        assert ada.hears() == ("said", "Ada", "é" * 2000)
        ada.says("é" * 2001)
        assert ada.hears() == ("problem", "At most 2000 characters at a time.")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("%20Ada%20%20Lovelace%0A", "Ada Lovelace"),
        ("%E2%80%8Bx%00", "x"),
        ("y" * 60, "y" * 24),
        ("Zo%C3%AB", "Zoë"),
    ],
)
def test_names_are_tidied(chat: Chat, free_name: Names, given: str, shown: str) -> None:
    with chat.enter(free_name(), given) as person:
        assert person.me["name"] == shown


def test_without_a_name_one_is_a_guest(chat: Chat, free_name: Names) -> None:
    with chat.enter(free_name(), "") as person:
        assert re.fullmatch("Guest [0-9a-f]{4}", person.me["name"])


def test_a_page_of_another_site_opens_no_socket(chat: Chat, free_name: Names) -> None:
    for path in (f"/ws/rooms/{free_name()}/", "/ws/lobby/"):
        with pytest.raises(Refused) as refused:
            Client(chat.server, path, origin="http://evil.example")
        assert refused.value.status == 403


def test_the_pages(chat: Chat, free_name: Names) -> None:
    room = free_name()
    lobby = get(chat.server, "/")
    assert lobby.status_code == 200
    assert lobby.headers["content-type"] == "text/html; charset=utf-8"
    onward = get(chat.server, f"/rooms/?room={room}")
    assert onward.status_code == 302
    assert httpx.URL(onward.headers["location"]).path == f"/rooms/{room}/"
    page = get(chat.server, f"/rooms/{room}/")
    assert page.status_code == 200
    assert f'"socket": "/ws/rooms/{room}/"' in page.text
    for document in (lobby, page):
        files = re.findall(r'(?:src|href)="(/static/[^"]+)"', document.text)
        assert len(files) == 3
        for file in files:
            assert get(chat.server, file).status_code == 200
    assert get(chat.server, "/static/chat/chat.css").headers["content-type"].startswith("text/css")
    assert "javascript" in get(chat.server, "/static/chat/room.js").headers["content-type"]


def test_nobody_serves_this(chat: Chat) -> None:
    assert get(chat.server, "/nowhere").status_code == 404
    assert get(chat.server, "/static/chat/nothing.css").status_code == 404
    assert get(chat.server, "/static/../settings.py").status_code == 404
    if chat.kind.name != "real Channels":  # which answers 500
        with pytest.raises(Refused) as refused:
            Client(chat.server, "/ws/nowhere/")
        assert refused.value.status in (403, 404)


def test_a_room_without_a_name_is_asked_for_again(chat: Chat) -> None:
    page = get(chat.server, "/rooms/?room=%20")
    assert page.status_code == 400
    assert "Which room?" in page.text


# What each of the two does with names of its own


@pytest.mark.parametrize(
    ("typed", "suggestion"),
    [("caf%C3%A9", "cafe"), ("a/b", "a-b"), ("x" * 200, "x" * 40), ("%E6%97%A5%E6%9C%AC", ""), ("!!", "")],
)
def test_django_explains_what_a_room_may_be_called(django_chat: Chat, typed: str, suggestion: str) -> None:
    page = get(django_chat.server, f"/rooms/?room={typed}")
    assert page.status_code == 400
    assert "Room names are made of a to z" in page.text
    assert (f"How about “{suggestion}”?" in page.text) == bool(suggestion)
    if "/" not in typed:
        assert get(django_chat.server, f"/rooms/{typed}/").status_code == 404


def test_django_escapes_what_was_typed(django_chat: Chat) -> None:
    page = get(django_chat.server, "/rooms/?room=%3Cscript%3Ealert(1)%3C/script%3E%22'")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "<script>alert" not in page.text


def test_django_knows_what_was_meant(django_chat: Chat) -> None:
    for path in ("/rooms/?room=Book%20Club", "/rooms/Book%20Club/"):
        onward = get(django_chat.server, path)
        assert (onward.status_code, onward.headers["location"]) == (302, "/rooms/book-club/")
    onward = get(django_chat.server, "/rooms/lobby")
    assert (onward.status_code, onward.headers["location"]) == (301, "/rooms/lobby/")


@pytest.mark.parametrize("room", ["caf%C3%A9", "%E6%97%A5%E6%9C%AC", "a%20b", "x" * 40])
def test_fastapi_takes_any_name(fastapi_chat: Chat, room: str) -> None:
    onward = get(fastapi_chat.server, f"/rooms/?room={room}")
    assert onward.status_code == 302
    assert httpx.URL(onward.headers["location"]).raw_path.decode() == f"/rooms/{room}/"
    assert get(fastapi_chat.server, f"/rooms/{room}/").status_code == 200
    with fastapi_chat.enter(room, "Ada") as ada, fastapi_chat.enter(room, "Grace") as grace:
        grace.says("hello")
        assert ada.hears() == ("said", "Grace", "hello")


@pytest.mark.parametrize("room", ["x" * 41, "a/b", ".", ".."])
def test_fastapi_refuses_what_is_no_part_of_a_path(fastapi_chat: Chat, room: str) -> None:
    assert get(fastapi_chat.server, f"/rooms/?room={room}").status_code == 400


def test_an_endpoint_speaks_to_a_room(fastapi_chat: Chat, free_name: Names) -> None:
    room = free_name()
    url = fastapi_chat.server.http(f"/api/rooms/{room}/messages")
    with httpx.Client(trust_env=False, timeout=15) as client:
        with fastapi_chat.enter(room, "Ada") as ada:
            sent = client.post(url, json={"text": "Dinner is ready", "name": "Kitchen"})
            assert sent.status_code == 202
            assert ada.hears() == ("said", "Kitchen", "Dinner is ready")
        assert client.post(url, json={"text": ""}).status_code == 422
        assert client.post(url, json={"text": "x" * 2001}).status_code == 422
        documents = client.get(fastapi_chat.server.http("/openapi.json")).json()["paths"]
    assert "/api/rooms/{room}/messages" in documents


# The two side by side


def test_the_port_changed_one_line_of_the_consumers() -> None:
    files = [(EXAMPLES / folder / "chat" / "consumers.py") for folder in ("django_port", "fastapi_port")]
    before, after = (file.read_text(encoding="utf-8").splitlines() for file in files)
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert [old.replace("from channels.", "from compat.") for old, _ in changed] == [
        new for _, new in changed
    ]
    assert len(changed) == 1


def test_the_django_project_imports_django_channels_and_asgiref_alone() -> None:
    standard = {"hashlib", "os", "sys", "re", "time", "uuid", "json", "pathlib", "unicodedata", "urllib"}
    for file in (EXAMPLES / "django_port").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        roots = re.findall(r"^\s*(?:from|import) +([\w.]+)", text, flags=re.MULTILINE)
        ours = {root.partition(".")[0] for root in roots} - {"", "chat", "chatsite"} - standard
        assert ours <= {"django", "channels", "asgiref"}, file


@pytest.mark.parametrize("kind", [FASTAPI, *DJANGO[:3]], ids=lambda kind: kind.name)
async def test_two_workers_share_their_rooms_through_redis(
    kind: Kind, tmp_path: Path, redis_url: str, free_name: Names
) -> None:
    room = free_name()
    env = {"REDIS_URL": redis_url}
    with kind.serve(tmp_path / "server.log", *worker_options(2), env=env) as server:
        people: list[Person] = []
        names = [f"p{number}" for number in range(8)]  # both workers have somebody but once in 128 runs
        try:
            people.extend(Person(server, room, name) for name in names)
            people[0].says("hello")
            assert [person.hears() for person in people] == [("said", "p0", "hello")] * 8
            async with Chat(kind, server).watching("/ws/lobby/", "in-any-room") as lobby:
                await until_async(lambda: names_of(lobby.people, room) == names, "everybody")
        finally:
            for person in people:
                person.close()
        assert "Traceback" not in server.log()
