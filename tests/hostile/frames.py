"""Websocket handshakes, and frames that follow a good one."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import quote

from tests.hostile.corpus import Frames, Handshake, handshake, named
from tests.hostile.wire import frame

__all__ = ["FRAMES", "HANDSHAKES", "SITE_HANDSHAKES", "TEXTS"]

KIB, MIB = 1 << 10, 1 << 20
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def shake(target: str | bytes, *lines: str | bytes, origin: str = "http://localhost") -> Callable[[], bytes]:
    return partial(handshake, target, *lines, origin=origin)


_HANDSHAKES: dict[str, Callable[[], bytes]] = {
    "room of NUL": shake("/room/memory/%00/"),
    "room of a surrogate": shake("/room/memory/%ED%A0%80/"),
    "room not UTF-8": shake("/room/queue/%ff%fe/"),
    "room with encoded slash": shake("/room/pubsub/a%2Fb/"),
    "room with newlines": shake("/room/queue/%0d%0aA:b/"),
    "room with escape": shake("/room/memory/%1b[2J/"),
    "room of 5,000": shake("/room/queue/" + "x" * 5000 + "/"),
    "room of astral letters": shake("/room/pubsub/" + quote("\U0001f4a5" * 300) + "/"),
    "room of percents": shake("/room/memory/%25%25%s/"),
    "room of a bang": shake("/room/queue/specific.x!y/"),
    "no route, escape": shake("/%1b]0;title%07/nowhere/"),
    "no route, newlines": shake("/nowhere%0aERROR:%20all%20is%20lost"),
    "no route of 50,000": shake("/" + "a/" * 4000),
    "user of NUL": shake("/manager/%00/"),
    "user of newlines": shake("/manager/%0a%0d/"),
    "user of 5,000": shake("/manager/" + "u" * 5000 + "/"),
    "user of stars": shake("/manager/***[a-z]%3f/"),
    "user like a group": shake("/manager/__broadcast__/"),
    "subprotocols of 3,000": shake("/room/memory/p/", "Sec-WebSocket-Protocol: " + ", ".join("p" * 2500)),
    "subprotocols of commas": shake("/room/memory/p/", "Sec-WebSocket-Protocol: " + "," * 8000),
    "subprotocol with newline": shake("/room/memory/p/", b"Sec-WebSocket-Protocol: a\x0bb"),
    "subprotocol latin-1": shake("/room/memory/p/", b"Sec-WebSocket-Protocol: \xe9"),
    "subprotocol quoted": shake("/room/memory/p/", 'Sec-WebSocket-Protocol: "a,b"'),
    "subprotocol twice": shake("/room/queue/p/", "Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b"),
    "subprotocol empty": shake("/room/memory/p/", "Sec-WebSocket-Protocol: "),
    "cookies of 5,000": shake("/session/", "Cookie: " + "; ".join(f"a{n}={n}" for n in range(700))),
    "cookie of a quote": shake("/session/", 'Cookie: sessionid="' + "\\" * 5000),
    "cookie latin-1": shake("/session/", b"Cookie: sessionid=\xff\xfe"),
    "session of 8,000": shake("/session/", "Cookie: sessionid=" + "a" * 8000),
    "session of a key of Redis": shake("/session/", "Cookie: sessionid=*"),
    "session of dots": shake("/session/", "Cookie: sessionid=../../x"),
    "origin null": shake("/echo/", origin="null"),
    "origin broken": shake("/echo/", origin="http://["),
    "origin of ports": shake("/echo/", origin="http://localhost:" + "9" * 5000),
    "origin latin-1": shake("/echo/", b"Origin: http://\xe9", origin=""),
    "origin twice": shake("/echo/", "Origin: http://evil.example"),
    "no origin": shake("/echo/", origin=""),
    "query not UTF-8": shake(b"/echo/?\xff=%ff"),
    "query of 30,000 fields": shake("/echo/?" + "a&" * 4000),
    "version 99": lambda: handshake("/echo/").replace(b"Version: 13", b"Version: 99"),
    "key short": lambda: handshake("/echo/").replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"eA=="),
    "key missing": lambda: handshake("/echo/").replace(b"Sec-WebSocket-Key", b"X-Key"),
    "key twice": shake("/echo/", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
    "POST": lambda: handshake("/echo/").replace(b"GET ", b"POST "),
    "HTTP/1.0": lambda: handshake("/echo/").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "absolute URL": shake("http://evil.example/echo/"),
    "asterisk": shake("*"),
    "extension unknown": shake("/echo/", "Sec-WebSocket-Extensions: x-nothing; a=b"),
    "extension of many": shake("/echo/", "Sec-WebSocket-Extensions: " + "permessage-deflate, " * 390 + "x"),
    "window of 99 bits": shake("/echo/", f"{DEFLATE}; server_max_window_bits=99"),
    "window of letters": shake("/echo/", f"{DEFLATE}; client_max_window_bits=x"),
    "headers of 120": shake("/echo/", *(f"X-{n}: 1" for n in range(120))),
    "header of 8,000": shake("/echo/", "X: " + "a" * 8000),
}
HANDSHAKES = named(
    Handshake(name=f"handshake {name}", once="a handshake that no browser makes", data=data)
    for name, data in _HANDSHAKES.items()
)
HANDSHAKES += named(
    Handshake(
        name=f"handshake {name}, abandoned",
        once="uvicorn's websockets-sansio neither answers nor closes; the client leaves",
        data=data,
        abandoned=True,
    )
    for name, data in {
        "of 60,000 characters": shake("/" + "a" * 60_000),
        "with a header of 60,000": shake("/echo/", "X: " + "a" * 60_000),
        "with 3,000 headers": shake("/echo/", *(f"X-{n}: 1" for n in range(3000))),
        "that does not end": lambda: handshake("/echo/")[:-2],
    }.items()
)
SITE_HANDSHAKES = named(
    Handshake(name=f"handshake of the site {name}", once="the same on the project", data=data)
    for name, data in {
        "foreign origin": shake("/ws/echo/", origin="http://evil.example"),
        "origin null": shake("/ws/echo/", origin="null"),
        "origin broken": shake("/ws/echo/", origin="http://["),
        "origin of ports": shake("/ws/echo/", origin="http://localhost:" + "9" * 5000),
        "origin not a name": shake("/ws/echo/", origin="http://localhost%00.evil.example"),
        "session forged": shake("/ws/session/", "Cookie: sessionid=" + "a" * 4000 + ":1:2"),
        "session latin-1": shake("/ws/session/", b"Cookie: sessionid=\xff"),
        "session compressed": shake("/ws/session/", "Cookie: sessionid=.eJw" + "A" * 4000 + ":1:2"),
        "no route": shake("/ws/nowhere/%1b[2J/"),
        "room of a surrogate": shake("/ws/room/%ED%A0%80/"),
        "page": shake("/query/"),
    }.items()
)


def deep(opening: str, closing: str, depth: int, inside: str = "1") -> str:
    return opening * depth + inside + closing * depth


NESTED = {
    "lists of 900": deep("[", "]", 900),
    "lists of 5,000": deep("[", "]", 5000),
    "lists of 100,000": deep("[", "]", 100_000),
    "lists that do not end": "[" * 100_000,
    "objects of 480": deep('{"a":', "}", 480),
    "objects of 900": deep('{"a":', "}", 900),
    "objects of 5,000": deep('{"a":', "}", 5000),
    "objects that do not end": '{"a":' * 50_000,
}
"""Nesting: json's own limit is the interpreter's, others' are their own."""

TEXTS: Mapping[str, str] = {
    **NESTED,
    "empty": "",
    "no JSON": "nothing",
    "null": "null",
    "number": "1",
    "string": '"text"',
    "list": "[]",
    "object": "{}",
    "NaN": '{"action":"count","payload":NaN}',
    "Infinity": "[Infinity, -Infinity, NaN]",
    "1e400": "1e400",
    "integer of 5,000 digits": "9" * 5000,
    "integer of 5,000 digits inside": '{"action":"count","payload":' + "9" * 5000 + "}",
    "integer of 500,000 digits": "9" * 500_000,
    "integer of 4,300 digits": "9" * 4300,
    "negative zero": "-0",
    "duplicate keys": '{"action":"say","action":"count","payload":1,"payload":{"name":"a"}}',
    "half of a pair": '"\\ud800"',
    "half of a pair as key": '{"\\udfff":1,"action":"say"}',
    "half of a pair in a field": '{"action":"say","payload":{"name":"\\ud800"}}',
    "half of a pair in the type": '{"type":"\\ud800","data":1}',
    "NUL": '"\\u0000"',
    "escapes": '"\\u001b[2J\\u0007"',
    "newlines": '{"action":"a\\nERROR root: all is lost","type":"a\\nERROR root: all is lost"}',
    "long action": '{"action":"' + "a" * 200_000 + '"}',
    "long type": '{"type":"' + "a" * 200_000 + '","data":1}',
    "action is a list": '{"action":["say"]}',
    "action is an object": '{"action":{"a":1}}',
    "action is a number": '{"action":1e309}',
    "action is null": '{"action":null}',
    "type is a list": '{"type":[1]}',
    "type is an object": '{"type":{"a":1}}',
    "type is null": '{"type":null}',
    "type of a handler": '{"type":"websocket.disconnect","code":1000}',
    "type with underscore": '{"type":"_private"}',
    "say without payload": '{"action":"say"}',
    "say wrong": '{"action":"say","payload":{"name":5,"amount":"x","children":5}}',
    "say many wrong": json.dumps(
        {"action": "say", "payload": {"name": "a", "children": [{"amount": "x"}] * 20_000}}
    ),
    "say deep": '{"action":"say","payload":'
    + deep('{"name":"a","children":[', "]}", 300, '{"name":"b"}')
    + "}",
    "say deeper": '{"action":"say","payload":'
    + deep('{"name":"a","children":[', "]}", 20_000, '{"name":"b"}')
    + "}",
    "count of 5,000 digits as text": '{"action":"count","payload":"' + "9" * 5000 + '"}',
    "count of a float": '{"action":"count","payload":1e308}',
    "many keys": json.dumps({f"k{n}": n for n in range(50_000)}),
    "colliding keys": json.dumps({str(n * (2**61 - 1)): 1 for n in range(10_000)}),
    "topic": '{"topic":"news:a","action":"subscribe"}',
    "topic of NUL": '{"topic":"news:\\u0000","action":"subscribe"}',
    "topic of half a pair": '{"topic":"news:\\ud800","action":"subscribe"}',
    "topic of 200,000": '{"topic":"news:' + "a" * 200_000 + '","action":"subscribe"}',
    "topic unknown": '{"topic":"' + "x" * 100_000 + '","action":"subscribe"}',
    "topic of a list": '{"topic":["news:a"],"action":"subscribe"}',
    "topic of an object": '{"topic":{"a":1},"action":"subscribe"}',
    "topic of newline": '{"topic":"news:a\\n","action":"subscribe"}',
    "topic without action": '{"topic":"news:a"}',
    "topic action of a list": '{"topic":"news:a","action":[]}',
    "topic twice": '{"topic":"news:a","topic":"news:b","action":"subscribe"}',
    "ref of an object": '{"action":"say","payload":{"name":"a"},"ref":' + deep("[", "]", 200) + "}",
    "seq huge": '{"action":"say","payload":{"name":"a"},"seq":' + "9" * 4000 + "}",
    "join nothing": '{"type":"join"}',
    "join a list": '{"type":"join","data":[1]}',
    "join an object": '{"type":"join","data":{"a":1}}',
    "join 200,000": '{"type":"join","data":"' + "g" * 200_000 + '"}',
    "join half a pair": '{"type":"join","data":"\\ud800"}',
    "join a name of the manager's own": '{"type":"join","data":"__broadcast__"}',
    "leave what was not joined": '{"type":"leave","data":"nothing"}',
    "say without a group": '{"type":"say","data":{}}',
    "say to a list": '{"type":"say","data":{"group":[1]}}',
    "say with another type": '{"type":"say","data":{"group":"g","type":"disconnect"}}',
    "metadata of a list": '{"type":"x","metadata":[1]}',
    "ttl NaN": '{"type":"x","ttl_seconds":NaN}',
    "ttl huge": '{"type":"x","ttl_seconds":1e308}',
    "ttl of 5,000 digits": '{"type":"x","ttl_seconds":' + "9" * 4000 + "}",
    "priority of a list": '{"type":"x","priority":[1]}',
    "priority huge": '{"type":"x","priority":' + "9" * 4000 + "}",
    "pong with more": '{"type":"pong","data":' + deep("[", "]", 500) + "}",
    "reserved keys of a layer": '{"__asgi_channel__":["specific.x!y"],"a":1}',
    "reserved keys of another kind": '{"__asgi_channel__":5,"a":1}',
    "exclude of a number": '{"__exclude__":5,"a":1}',
    "exclude of an object": '{"__exclude__":{"a":1},"a":1}',
    "exclude of everybody": '{"__exclude__":"specific","a":1}',
}
"""Text frames for consumers that read JSON."""

JSON = ("/json/", "/syncjson/", "/typed/", "/topics/", "/manager/eva/")
LAYERS = ("memory", "queue", "queue-json", "pubsub", "pubsub-json")
ROOMS = tuple(f"/room/{alias}/x/" for alias in LAYERS)
RELAYS = tuple(f"/relay/{alias}/" for alias in LAYERS)


def _paths(name: str, number: int) -> tuple[str, ...]:
    """Every consumer; of the layers all for what is hard to copy or to send on, else each in turn."""
    if name in NESTED or "pair" in name or "reserved" in name or "exclude" in name:
        return (*JSON, *ROOMS, *RELAYS)
    return (*JSON, ROOMS[number % len(ROOMS)], RELAYS[number % len(RELAYS)])


def bomb(size: int) -> bytes:
    """A compressed message of `size` zeros."""
    deflated = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflated.compress(b"0" * size) + deflated.flush(zlib.Z_SYNC_FLUSH)
    return packed[:-4]


_RAW: dict[str, Callable[[], bytes]] = {
    "not masked": lambda: frame(TEXT, b"a", mask=None),
    "text not UTF-8": lambda: frame(TEXT, b"\xff\xfe"),
    "text of a surrogate": lambda: frame(TEXT, b"\xed\xa0\x80"),
    "text cut in a letter": lambda: frame(TEXT, b"\xc3", final=False) + frame(0, b"\xa9"),
    "text overlong": lambda: frame(TEXT, b"\xc0\xaf"),
    "reserved bits": lambda: frame(TEXT, b"a", reserved=7),
    "compressed without leave": lambda: frame(TEXT, bomb(100), reserved=4),
    "opcode 3": lambda: frame(3, b"a"),
    "opcode 15": lambda: frame(15, b"a"),
    "continuation of nothing": lambda: frame(0, b"a"),
    "text in a text": lambda: frame(TEXT, b"a", final=False) + frame(TEXT, b"b"),
    "ping too long": lambda: frame(PING, b"x" * 126),
    "ping in pieces": lambda: frame(PING, b"x", final=False),
    "close of one byte": lambda: frame(CLOSE, b"\x03"),
    "close 1005": lambda: frame(CLOSE, b"\x03\xed"),
    "close 65535": lambda: frame(CLOSE, b"\xff\xff"),
    "close 0": lambda: frame(CLOSE, b"\x00\x00"),
    "close not UTF-8": lambda: frame(CLOSE, b"\x03\xe8\xff"),
    "close twice": lambda: frame(CLOSE, b"\x03\xe8") * 2,
    "text after the close": lambda: frame(CLOSE, b"\x03\xe8") + frame(TEXT, b"a") * 100,
    "length of 2**63": lambda: frame(BINARY, b"a", length=2**63 - 1),
    "length with the top bit": lambda: frame(BINARY, b"a", length=2**64 - 1),
    "longer than the limit": lambda: frame(BINARY, b"a", length=1 << 30),
    "1,000,000 in pieces of 100": lambda: (
        frame(TEXT, b"a", final=False) + frame(0, b"a" * 100, final=False) * 10_000 + frame(0, b"")
    ),
    "100,000 empty pieces": lambda: (
        frame(TEXT, b"", final=False) + frame(0, b"", final=False) * 100_000 + frame(0, b"")
    ),
    "10,000 pings": lambda: frame(PING, b"x") * 10_000,
    "10,000 pongs": lambda: frame(PONG, b"x") * 10_000,
    "10,000 tiny texts": lambda: frame(TEXT, b"1") * 10_000,
    "HTTP instead": lambda: b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS instead": lambda: bytes.fromhex("16030100a5010000a10303") + b"x" * 200,
}
FRAMES = named(
    [
        *(
            Frames(
                name=f"frames {name}",
                once="what the protocol forbids, or allows by the thousand",
                paths=("/echo/",),
                data=data,
            )
            for name, data in _RAW.items()
        ),
        *(
            Frames(
                name=f"frames {name} for a sync consumer",
                once="the same where a thread handles it",
                paths=("/sync/",),
                data=_RAW[name],
            )
            for name in ("text not UTF-8", "close of one byte", "10,000 tiny texts", "text after the close")
        ),
        *(
            Frames(
                name=f"text {name}",
                once="JSON that is hard to read, to check, to copy or to send on",
                paths=_paths(name, number),
                data=partial(lambda text: frame(TEXT, text.encode()) + frame(TEXT, b'"1"'), text),
            )
            for number, (name, text) in enumerate(TEXTS.items())
        ),
        *(
            Frames(
                name=f"binary {name}",
                once="bytes where text is expected",
                paths=JSON,
                data=partial(frame, BINARY, content),
            )
            for name, content in {
                "not UTF-8": b"\xff\xfe\x00",
                "JSON": b'{"type":"x"}',
                "empty": b"",
                "UTF-16": '{"action":"count","payload":1}'.encode("utf-16"),
            }.items()
        ),
    ]
)
