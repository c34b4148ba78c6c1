"""Variations on the corpus, and input made from nothing: the same for the same seed."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tests.hostile.frames import FRAMES, HANDSHAKES, JSON, RELAYS, ROOMS, SITE_HANDSHAKES
from tests.hostile.multipart import MULTIPART
from tests.hostile.payloads import PAYLOADS
from tests.hostile.requests import REQUESTS
from tests.hostile.wire import frame

__all__ = ["Attack", "attack"]

LARGE = 1 << 18
"""Bytes of the largest input; what is larger is the corpus' own matter."""
TOKENS = (
    *(
        b"\x00",
        b"\r\n",
        b"\n",
        b"\r\n\r\n",
        b"%00",
        b"%0d%0a",
        b"%ff",
        b"%ED%A0%80",
        b"\xff",
        b"\xed\xa0\x80",
    ),
    *(b"; ", b'"', b"\\", b"=", b",", b":", b"/", b"//", b"../", b"%2F", b"[" * 2000, b'{"a":' * 1500),
    *(b"9" * 5000, b"1e999", b"NaN", b"-1", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"Host: evil.example\r\n", b"\x1b[2J", b"{{", b"%}", b"__class__", b"\xc1", b"\xdd\xff\xff\xff\xff"),
    *(
        b"__asgi_channel__",
        b"__exclude__",
        b'"\\ud800"',
        b"\xe2\x82\xac",
        b"A" * 10_000,
        b"--b\r\n",
        b"--b--",
    ),
)
PATHS = (*JSON, *ROOMS, *RELAYS, "/echo/", "/sync/")
LAYERS = ("queue", "queue-json", "pubsub", "pubsub-json")


class Attack(NamedTuple):
    """What one step does: to the site, to a consumer on `path`, or to a member's layer through Redis."""

    kind: str
    """"site", "handshake", "frames" or "payload"."""
    about: str
    data: bytes
    path: str = ""
    payload: int = -1
    """Index of an entry of PAYLOADS that is written as it is; -1: `data` is written."""


def attack(seed: str) -> Attack:
    """The one of that seed."""
    chance = random.Random(seed)
    return chance.choice(_KINDS)(chance)


@functools.cache
def _bases(kind: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    if kind == "site":
        for request in [*REQUESTS, *MULTIPART]:
            if not request.heavy and not request.xfail:
                data = request.data()
                found += [(request.name, one) for one in ([data] if isinstance(data, bytes) else data)]
        found += [(entry.name, entry.data()) for entry in SITE_HANDSHAKES]
    elif kind == "handshake":
        found += [(entry.name, entry.data()) for entry in HANDSHAKES]
    else:
        found += [(entry.name, entry.data()) for entry in FRAMES]
    return [(name, data) for name, data in found if len(data) <= LARGE]


def _site(chance: random.Random) -> Attack:
    about, data = chance.choice(_bases("site"))
    return Attack("site", about, _mutated(chance, data, _bases("site")))


def _handshake(chance: random.Random) -> Attack:
    about, data = chance.choice(_bases("handshake"))
    return Attack("handshake", about, _mutated(chance, data, _bases("handshake")))


def _frames(chance: random.Random) -> Attack:
    path = chance.choice(PATHS)
    if chance.random() < 0.3:  # well-formed frames around content that is not
        text = _mutated(chance, _content(chance).encode("utf-8", "surrogatepass"), [])
        return Attack("frames", "generated", frame(chance.choice((1, 2)), text), path)
    about, data = chance.choice(_bases("frames"))
    return Attack("frames", about, _mutated(chance, data, _bases("frames")), path)


def _payload(chance: random.Random) -> Attack:
    alias = chance.choice(LAYERS)
    if chance.random() < 0.5:
        number = chance.randrange(len(PAYLOADS))
        entry = PAYLOADS[number]
        return Attack("payload", entry.name, b"", chance.choice(entry.layers), number)
    body = _content(chance).encode("utf-8", "surrogatepass") if chance.random() < 0.5 else _packed(chance)
    prefix = b"" if alias.startswith("pubsub") else b"0" * 12
    return Attack("payload", "generated", prefix + _mutated(chance, body, []), alias)


_KINDS: Sequence[Callable[[random.Random], Attack]] = (_site, _site, _handshake, _frames, _frames, _payload)


def _packed(chance: random.Random) -> bytes:
    import msgpack  # type: ignore[import-untyped]

    message: dict[str, Any] = {
        "type": "said",
        "content": chance.choice((1, None, "x", b"\xff", [[]])),
        chance.choice(("__asgi_channel__", "__exclude__", "x")): chance.choice(
            (5, None, [1], "a", [["a"]], {})
        ),
    }
    packed: Any = msgpack.packb(message)
    return bytes(packed)


def _content(chance: random.Random, depth: int = 0) -> str:
    """JSON, or nearly."""
    kind = chance.randrange(4 if depth > 4 else 7)
    if kind == 0:
        return chance.choice(("1", "null", "true", "-0", "1e400", "NaN", "9" * 400, "0.1", "nul", ""))
    if kind in (1, 2, 3):
        words = ("say", "join", "subscribe", "news:a", "\\ud800", "\\u0000", "é", "a" * 300, "__broadcast__")
        return f'"{chance.choice(words)}"'
    if kind == 4:
        return "[" + ",".join(_content(chance, depth + 1) for _ in range(chance.randrange(5))) + "]"
    keys = (
        "action",
        "type",
        "payload",
        "data",
        "topic",
        "ref",
        "seq",
        "name",
        "children",
        "group",
        "__exclude__",
    )
    pairs = (f'"{chance.choice(keys)}":{_content(chance, depth + 1)}' for _ in range(chance.randrange(6)))
    return "{" + ",".join(pairs) + "}"


def _mutated(chance: random.Random, data: bytes, others: Sequence[tuple[str, bytes]]) -> bytes:
    for _ in range(chance.choice((0, 1, 1, 2, 3, 6))):
        at = chance.randrange(len(data) + 1)
        to = min(len(data), at + chance.choice((1, 2, 4, 16, 200)))
        how = chance.randrange(7)
        if how == 0:
            data = data[:at] + chance.randbytes(to - at) + data[to:]
        elif how == 1:
            data = data[:at] + data[to:]
        elif how in (2, 3):
            data = data[:at] + chance.choice(TOKENS) + data[at:]
        elif how == 4:
            data = data[:at] + data[at:to] * chance.choice((2, 10, 100)) + data[to:]
        elif how == 5 and others:
            other = chance.choice(others)[1]
            data = data[:at] + other[chance.randrange(len(other) + 1) :]
        else:
            data = data[:at]
    return data[:LARGE]
