"""What is true of every script of the layers: it touches the keys that it is given, and no others.

A cluster sends a script to the node of its keys, and serverless offers refuse one that makes up its own.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import compat
from compat.layers.redis.core import RedisChannelLayer
from tests.support.redis_cluster import shared_cluster

PACKAGE = Path(compat.__file__).parent
SCRIPTS = sorted([*PACKAGE.glob("layers/redis/*.lua"), *PACKAGE.glob("redis/streams/*.lua")])
DERIVES = {"fanout.lua"}
"""On one host only: it pushes to the queues of processes that it finds in the group."""
ARGUMENT = r"((?:[^,()\[\]]|\[[^\]]*\])+)"
CALL = re.compile(rf"redis\.p?call\({ARGUMENT}(?:, {ARGUMENT})?(?:, {ARGUMENT})?")
NAMED = re.compile(r"local ([\w, ]+) = (KEYS\[[^\]]+\](?:, KEYS\[[^\]]+\])*)")
EACH = re.compile(r"for \w+, (\w+) in ipairs\(KEYS\)")
PARTS = {"people.lua", "record.lua"}
"""Functions, which are given their keys by the scripts that contain them."""
PART = re.compile(r"(?<!function )\b(?:record|trim|person_of|write|publish)\(\s*([^,()]+)(?:, ([^,()]+))?")
PARAMETERS = re.compile(r"local function \w+\(([\w, ]*)\)")
SECOND = {"'XGROUP'", "'XINFO'"}
"""Commands that have their key after another word."""
KEYLESS = {"'TIME'"}
"""Commands without a key."""


def keys_of(text: str) -> list[str]:
    """What a script takes for keys, and has not been given as such."""
    names = {name.strip() for found in NAMED.finditer(text) for name in found[1].split(",")}
    names.update(EACH.findall(text))
    calls = [("part", one) for one, _ in PART.findall(text)] + [
        ("part", two)
        for part, (_, two) in zip(PART.finditer(text), PART.findall(text), strict=True)
        if part[0].startswith(("record", "publish"))
    ]
    calls += [(command, two if command in SECOND else one) for command, one, two in CALL.findall(text)]
    return [
        key
        for command, key in calls
        if command not in KEYLESS and key not in names and re.fullmatch(r"KEYS\[[^\]]+\]", key) is None
    ]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_names_its_keys(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    if script.name in PARTS:
        given = {name.strip() for found in PARAMETERS.finditer(text) for name in found[1].split(",")}
        assert given >= {*keys_of(text)}, "a function has its keys from its script"
        return
    assert bool(keys_of(text)) is (script.name in DERIVES), keys_of(text)


def test_what_is_made_up_is_found() -> None:
    assert keys_of("redis.call('DEL', KEYS[1])") == []
    assert keys_of("redis.call('DEL', KEYS[1] .. 'x')") == ["KEYS[1] .. 'x'"]
    assert keys_of("local key = ARGV[1] redis.call('DEL', key)") == ["key"]
    assert keys_of("local key, more = KEYS[1], KEYS[2 * i] redis.call('DEL', more)") == []
    assert keys_of("redis.call('XGROUP', 'CREATE', 'room', ARGV[1])") == ["'room'"]


def test_a_cluster_never_runs_the_one_that_derives(redis_url: str) -> None:
    assert RedisChannelLayer([redis_url]).one_script
    assert not RedisChannelLayer([shared_cluster().entry(shards=1)]).one_script
