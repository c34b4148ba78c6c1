"""The client scripts: each plays one situation through a Recorder, for sync and for async consumers.

A script is written so that the order of its lines cannot depend on chance: it hears what it caused before
it goes on, and shows that nothing came by what came next.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.parity.recorder import Recorder

__all__ = ["CASES", "Case"]

Case = Callable[[Recorder, str], None]
"""A script: it gets the recorder and the prefix of the consumers' flavour, "/ws/sync" or "/ws/async"."""

CASES: dict[str, Case] = {}
SAID = {"type": "room.said", "text": "hello"}


def case(script: Case) -> Case:
    CASES[script.__name__.replace("_", "-")] = script
    return script


def key_of(prefix: str, name: str) -> str:
    return f"{name}-{prefix.rsplit('/', 1)[1]}"


# -- frames ----------------------------------------------------------------------------------------


@case
def text_and_binary_frames(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/echo/")
    for frame in ("hello", "", "naïve 💬 \x00", b"\x00\xff", b"", "x" * 70_000):
        r.send("a", frame)
        r.hear("a")


@case
def consumer_with_nothing_overridden(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/default/")
    r.send("a", "ignored")
    r.send("a", b"ignored")
    r.close_and_hear("a")


@case
def binary_frame_to_a_receive_without_bytes_data(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/text-only/?key={key_of(ws, 'binary')}")
    r.send("a", {"message": "fine"})
    r.hear("a")
    r.send("a", b"not text")
    r.hear("a")
    r.journal(key_of(ws, "binary"), until="disconnect")


@case
def bad_json_to_json_loads(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/text-only/?key={key_of(ws, 'bad-json')}")
    r.send("a", "{not json")
    r.hear("a")
    r.journal(key_of(ws, "bad-json"), until="disconnect")


@case
def what_send_takes(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/sending/")
    for arguments in ({"text_data": "t"}, {"bytes_data": "b"}, {"text_data": ""}, {"bytes_data": ""}):
        r.send("a", arguments)
        r.hear("a")
    r.send("a", {"text_data": "text wins", "bytes_data": "over bytes"})
    r.hear("a")
    r.send("a", {"text_data": "last", "close": 4321})
    r.hear("a", "a")


@case
def send_and_close_without_a_code(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/sending/")
    r.send("a", {"text_data": "last", "close": True})
    r.hear("a", "a")


@case
def send_of_nothing(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/sending/?key={key_of(ws, 'send-nothing')}")
    r.send("a", {})
    r.hear("a")
    r.journal(key_of(ws, "send-nothing"), until="disconnect")


@case
def json_consumer(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/json/")
    contents: tuple[object, ...] = ({"a": [1, 2.5, None, True]}, [], "text", 0, None, {"ä": "💬"})
    for content in contents:
        r.send("a", json.dumps(content))
        r.hear("a")


@case
def json_consumer_given_bad_json(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/json/?key={key_of(ws, 'json-bad')}")
    r.send("a", "{")
    r.hear("a")
    r.journal(key_of(ws, "json-bad"), until="disconnect")


@case
def json_consumer_given_bytes(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/json/")
    r.send("a", b"{}")
    r.hear("a")


@case
def json_consumer_given_an_empty_text(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/json/")
    r.send("a", "")
    r.hear("a")


# -- the handshake ---------------------------------------------------------------------------------


@case
def subprotocol_and_headers_of_accept(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/subprotocol/", subprotocols=["one", "two"])
    r.header("a", "x-parity")
    r.open("b", f"{ws}/subprotocol/")
    r.header("b", "x-parity")


@case
def close_before_accept(r: Recorder, ws: str) -> None:
    for code in (0, 1000, 4001):
        key = key_of(ws, f"refusing-{code}")
        r.open("a", f"{ws}/refusing/{code}/?key={key}")
        r.journal(key, until="disconnect")


@case
def accept_connection_raised(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/connect-raises/accept/")
    r.send("a", "still here")
    r.hear("a")


@case
def deny_connection_raised(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/connect-raises/deny/?key={key_of(ws, 'deny')}")
    r.journal(key_of(ws, "deny"), until="disconnect")


@case
def connect_neither_accepts_nor_closes(r: Recorder, ws: str) -> None:
    r.open_expecting_silence("a", f"{ws}/silent/")


@case
def connect_raises(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/connect-raises/error/?key={key_of(ws, 'connect-raises')}")
    r.journal(key_of(ws, "connect-raises"), until="disconnect")


@case
def connect_raises_stop_consumer(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/connect-raises/stop/?key={key_of(ws, 'connect-stops')}")
    r.journal(key_of(ws, "connect-stops"), until="disconnect")


@case
def unknown_path(r: Recorder, ws: str) -> None:
    r.open("a", "/nobody/serves/this/")
    r.open("a", f"{ws}/nobody/")
    r.open("a", f"{ws}/echo")
    r.open("a", f"{ws}/echo/more/")


@case
def slashes_in_front(r: Recorder, ws: str) -> None:
    r.open("a", f"/{ws}/echo/")


@case
def origins(r: Recorder, ws: str) -> None:
    host = r.server.host
    for origin in ("http://evil.example", "null", f"http://{host}.evil.example", f"http://evil.{host}"):
        r.open("a", f"{ws}/echo/", origin=origin)
    for origin in (f"https://{host}:1", "http://localhost", "http://[::1]:8000"):
        r.open("a", f"{ws}/echo/", origin=origin)
        r.close("a")


@case
def no_origin(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/echo/", origin=None)


# -- the end ---------------------------------------------------------------------------------------


@case
def close_by_the_client(r: Recorder, ws: str) -> None:
    for code in (1000, 1001, 4321):
        key = key_of(ws, f"client-{code}")
        r.open("a", f"{ws}/echo/?key={key}")
        r.close("a", code)
        r.journal(key, until="disconnect")


@case
def connection_cut(r: Recorder, ws: str) -> None:
    key = key_of(ws, "cut")
    r.open("a", f"{ws}/echo/?key={key}")
    r.drop("a")
    r.journal(key, until="disconnect")


@case
def close_by_the_consumer(r: Recorder, ws: str) -> None:
    for number, arguments in enumerate(({}, {"code": 4007}, {"code": 4007, "reason": "why"}, {"code": True})):
        key = key_of(ws, f"consumer-{number}")
        r.open("a", f"{ws}/closing/?key={key}")
        r.send("a", arguments)
        r.hear("a")
        r.journal(key, until="disconnect")


@case
def receive_raises(r: Recorder, ws: str) -> None:
    key = key_of(ws, "receive-raises")
    r.open("a", f"{ws}/receive-raises/?key={key}")
    r.send("a", "error")
    r.hear("a")
    r.journal(key, until="disconnect")


@case
def receive_raises_stop_consumer(r: Recorder, ws: str) -> None:
    key = key_of(ws, "receive-stops")
    r.open("a", f"{ws}/receive-raises/?key={key}")
    r.send("a", "stop")
    r.hear("a")
    r.journal(key, until="disconnect")


@case
def disconnect_raises(r: Recorder, ws: str) -> None:
    key = key_of(ws, "disconnect-raises")
    r.open("a", f"{ws}/disconnect-raises/?key={key}")
    r.close("a", 4001)
    r.journal(key, until="disconnect")
    r.open("a", f"{ws}/echo/")


# -- groups ----------------------------------------------------------------------------------------


@case
def rooms_are_apart(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/room/lobby/")
    r.open("b", f"{ws}/room/lobby/")
    r.open("c", f"{ws}/room/elsewhere/")
    r.send("a", SAID)
    r.hear("a", "b")
    r.send("c", {"type": "room_said", "text": "only c hears this"})
    r.hear("c")
    r.send("b", {"type": "room.said", "text": "again"})
    r.hear("a", "b")
    r.close("b")
    r.send("a", {"type": "room.said", "text": "b is gone"})
    r.hear("a")


@case
def order_within_a_room(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/room/order/")
    r.open("b", f"{ws}/room/order/")
    for number in range(5):
        r.send("a", {"type": "room.said", "text": str(number)})
    for _ in range(5):
        r.hear("a", "b")


@case
def sent_to_a_channel_by_its_name(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/room/direct/")
    r.open("b", f"{ws}/room/direct/")
    r.send("a", {"type": "room.forwards", "text": "each to itself"})
    r.hear("a", "b")


@case
def sent_before_accept(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/early/")
    r.hear("a")


@case
def sent_from_a_view(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/room/posted/")
    r.page("/post/parity_posted/")
    r.hear("a")


@case
def groups_of_the_class(r: Recorder, ws: str) -> None:
    flavour = ws.rsplit("/", 1)[1]
    for who in ("a", "b"):
        r.open(who, f"{ws}/grouped/")
        r.hear(who)
    for group in ("one", "two"):
        r.page(f"/post/parity.{flavour}.{group}/")
        r.hear("a", "b")


@case
def group_handler_raises(r: Recorder, ws: str) -> None:
    key = key_of(ws, "handler")
    r.open("a", f"{ws}/room/fails/?key={key}")
    r.send("a", {"type": "room.fails"})
    r.hear("a")
    r.journal(key, until="disconnect")


@case
def group_handler_missing(r: Recorder, ws: str) -> None:
    key = key_of(ws, "missing")
    r.open("a", f"{ws}/room/missing/?key={key}")
    r.send("a", {"type": "room.unheard_of"})
    r.hear("a")
    r.journal(key, until="disconnect")


@case
def group_handler_with_a_leading_underscore(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/room/underscore/")
    r.send("a", {"type": "_room_said", "text": "x"})
    r.hear("a")


@case
def group_message_without_a_type(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/room/typeless/")
    r.send("a", {"text": "x"})
    r.hear("a")


@case
def group_handler_closes(r: Recorder, ws: str) -> None:
    key = key_of(ws, "kicked")
    r.open("a", f"{ws}/room/kicked/?key={key}")
    r.send("a", {"type": "room.closes", "code": 4321})
    r.hear("a")
    r.journal(key, until="disconnect")


@case
def room_name_that_makes_a_bad_group_name(r: Recorder, ws: str) -> None:
    for number, room in enumerate(("caf%C3%A9", "x" * 200)):
        key = key_of(ws, f"bad-room-{number}")
        r.open("a", f"{ws}/room/{room}/?key={key}")
        r.journal(key, until="disconnect")


@case
def layer_alias_that_is_not_configured(r: Recorder, ws: str) -> None:
    if r.open("a", f"{ws}/other-alias/"):
        r.send("a", "which layer?")
        r.hear("a")


# -- the scope -------------------------------------------------------------------------------------


@case
def scope_of_a_plain_connection(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/scope/?q=1&q=2", headers={"Cookie": "one=1; two=zw%C3%B6lf; bad"})
    r.hear_json("a")


@case
def url_parameters(r: Recorder, ws: str) -> None:
    r.open("a", f"{ws}/scope/7/a-word/")
    r.hear_json("a", "path", "args", "kwargs")
    r.open("b", f"{ws}/positional/word/12/")
    r.hear_json("b", "path", "args", "kwargs")
    r.open("c", f"{ws}/scope/x/a-word/")
