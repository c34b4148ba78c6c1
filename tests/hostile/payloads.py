"""What a stranger with access to Redis, or another program on it, writes behind a layer's back.

`Target` names a room with a member on one layer; an entry writes into Redis, and the room must go on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgpack  # type: ignore[import-untyped]
from redis import Redis

from compat.layers.redis.keys import RESERVED_KEY, Keys
from tests.hostile.corpus import Payload, named

__all__ = ["PAYLOADS", "Target"]

QUEUE, PUBSUB = ("queue", "queue-json"), ("pubsub", "pubsub-json")
EVERY = (*QUEUE, *PUBSUB)
Value = Callable[["Target"], bytes]


@dataclass
class Target:
    """A room on a layer: `alias` of CHANNEL_LAYERS, the prefix of its keys, and its group."""

    redis: Redis
    alias: str
    keys: Keys
    group: str

    @property
    def json(self) -> bool:
        return self.alias.endswith("-json")

    @property
    def random(self) -> bytes:
        """What stands in front of a message in a queue: 12 bytes that nobody reads."""
        return b"" if self.alias in PUBSUB else b"0" * 12

    def packed(self, message: Any) -> bytes:
        """The message as the layer's serializer writes it."""
        return self.random + (json.dumps(message).encode() if self.json else _packed(message))

    def channel(self) -> str:
        """The channel of a member (queue layer)."""
        members: Any = self.redis.zrange(self.keys.group(self.group), 0, 0)
        return str(members[0].decode())

    def deliver(self, body: bytes) -> None:
        """Put bytes where the member's process reads: its queue, or the topic of the group."""
        if self.alias in PUBSUB:
            self.redis.publish(self.keys.topic(self.group), body)
        else:
            self.redis.zadd(self.keys.queue(self.channel()), {body: time.time()})


def _packed(value: Any) -> bytes:
    packed: Any = msgpack.packb(value)
    return bytes(packed)


def bytes_(value: Value, target: Target) -> None:
    target.deliver(value(target))


def message(content: Any, target: Target) -> None:
    """A message to the member, as far as the layer says who that is within the message."""
    if target.alias in QUEUE and isinstance(content, dict) and RESERVED_KEY not in content:
        content = {**content, RESERVED_KEY: [target.channel()]}
    target.deliver(target.packed(content))


def nested(depth: int) -> Value:
    """Lists in lists, written by hand: packers refuse that depth themselves."""

    def value(target: Target) -> bytes:
        if target.json:
            return target.random + b'{"type": "said", "content": ' + b"[" * depth + b"]" * depth + b"}"
        head = b"\x82" + _packed("type") + _packed("said") + _packed("content")
        return target.random + head + b"\x91" * depth + b"\x90"

    return value


def nested_for_member(depth: int, target: Target) -> None:
    body = nested(depth)(target)
    if target.alias in QUEUE:
        names = [target.channel()]
        if target.json:
            body = body[:-1] + f', "{RESERVED_KEY}": {json.dumps(names)}}}'.encode()
        else:
            at = len(target.random)
            body = body[:at] + b"\x83" + body[at + 1 :] + _packed(RESERVED_KEY) + _packed(names)
    target.deliver(body)


_BYTES: dict[str, Value] = {
    "nothing": lambda target: b"",
    "prefix alone": lambda target: target.random,
    "one byte": lambda target: b"\xc1",
    "text": lambda target: target.random + b"nothing",
    "never used byte": lambda target: target.random + b"\xc1",
    "truncated map": lambda target: target.random + b"\x83\xa4type",
    "truncated JSON": lambda target: target.random + b'{"type": "said", ',
    "list": lambda target: target.packed([1, 2]),
    "number": lambda target: target.packed(5),
    "null": lambda target: target.packed(None),
    "string": lambda target: target.packed("text"),
    "map of 2**32": lambda target: target.random + b"\xdf\xff\xff\xff\xff",
    "list of 2**32": lambda target: target.random + b"\xdd\xff\xff\xff\xff",
    "string of 2**32": lambda target: target.random + b"\xdb\xff\xff\xff\xff",
    "extension": lambda target: target.random + b"\xc7\x01\x7fx",
    "timestamp": lambda target: target.random + b"\xd6\xff\x00\x00\x00\x00",
    "integer keys": lambda target: target.random + b"\x81\x01\x02",
    "list as key": lambda target: target.random + b"\x81\x90\x02",
    "two messages": lambda target: target.packed({"type": "said"}) + b"\x80{}",
    "JSON not UTF-8": lambda target: target.random + b'{"type": "\xff"}',
    "JSON of UTF-16": lambda target: target.random + '{"type": "said"}'.encode("utf-16"),
    "integer of 5,000 digits": lambda target: target.random + b"9" * 5000,
    "5 MB of nothing": lambda target: target.random + b"\xc0" * 5_000_000,
    "nesting of 100,000, nameless": nested(100_000),
}
_MESSAGES: dict[str, Any] = {
    "type missing": {},
    "type a number": {"type": 5},
    "type a list": {"type": [1]},
    "type null": {"type": None},
    "type empty": {"type": ""},
    "type unknown": {"type": "nobody.handles"},
    "type private": {"type": "_said"},
    "type a dunder": {"type": "__init__"},
    "type of an attribute": {"type": "scope"},
    "type of a method": {"type": "send"},
    "type of the socket": {"type": "websocket.receive", "text": "1"},
    "type that disconnects": {"type": "websocket.disconnect", "code": "x"},
    "content missing": {"type": "said"},
    "content of 5 MB": {"type": "said", "content": "x" * 5_000_000},
}
_NAMES: dict[str, Any] = {
    "a number": 5,
    "null": None,
    "an object": {"a": 1},
    "a list of numbers": [1, 2],
    "a list of lists": [["a"]],
    "a list of objects": [{"a": 1}],
    "a string": "specific.other!x",
    "a float": 1.5,
    "100,000 names": [f"specific.x!{number}" for number in range(100_000)],
}


def wrong_kind(target: Target) -> None:
    """The key of a group's members is a string now."""
    key = target.keys.group(f"{target.group}-of-another-kind")
    target.redis.set(key, b"nothing")


def member_of_bytes(target: Target) -> None:
    target.redis.zadd(target.keys.group(target.group), {b"\xff\xfe": 1e12})


def member_of_no_name(target: Target) -> None:
    names = ("", "!", "a b", "specific.!", "x" * 5000, "specific.gone!x", "plain")
    target.redis.zadd(target.keys.group(target.group), dict.fromkeys(names, 1e12))


def score(value: str, target: Target) -> None:
    body = target.packed({"type": "said", "content": "1", RESERVED_KEY: [target.channel()]})
    target.redis.zadd(target.keys.queue(target.channel()), {body: value})


def payload(name: str, once: str, write: Callable[[Target], None], layers: Sequence[str]) -> Payload:
    return Payload(name=f"payload {name}", once=once, write=write, layers=layers)


PAYLOADS = named(
    [
        *(
            payload(f"{name}", "bytes that are no message", partial(bytes_, value), EVERY)
            for name, value in _BYTES.items()
        ),
        *(
            payload(name, "a message that is no event", partial(message, content), EVERY)
            for name, content in _MESSAGES.items()
        ),
        *(
            payload(
                f"receivers are {name}",
                "ended the reader of the whole process",
                partial(message, {"type": "said", "content": "1", RESERVED_KEY: names}),
                QUEUE,
            )
            for name, names in _NAMES.items()
        ),
        *(
            payload(
                f"excluded are {name}",
                "ended the process's only subscription",
                partial(message, {"type": "said", "content": "1", "__exclude__": names}),
                PUBSUB,
            )
            for name, names in _NAMES.items()
        ),
        *(
            payload(
                f"nesting of {depth}",
                "RecursionError in the copy of each member, or in its frame",
                partial(nested_for_member, depth),
                EVERY,
            )
            for depth in (400, 500, 900, 1100, 5000, 100_000)
        ),
        payload("group of another kind", "WRONGTYPE where somebody joins", wrong_kind, QUEUE),
        payload("member not UTF-8", "a member that is no name", member_of_bytes, QUEUE),
        payload("members without a name", "members that nobody can be", member_of_no_name, QUEUE),
        *(
            payload(f"score {value}", "a time that is none", partial(score, value), QUEUE)
            for value in ("inf", "-inf", "-1", "1e300", "0")
        ),
    ]
)
