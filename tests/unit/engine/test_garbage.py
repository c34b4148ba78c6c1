"""``CHANNEL_GC``: what lasts is frozen, and cycles of it are found all the same. Each in a process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

BEFORE_3_14 = pytest.mark.skipif(sys.version_info >= (3, 14), reason="the collector works in small steps")

START = """
import gc, weakref
from compat.engine.draining import drain
from compat.metrics import starting

before = gc.get_threshold(), len(gc.callbacks), gc.get_freeze_count()
starting()
starting()
"""

CYCLES = """
class Node:
    pass

def cycle():
    node = Node()
    node.itself = node
    return node

kept = []
def last(count):  # so many objects that stay
    kept.extend([index] for index in range(count))

last(250_000)
frozen = gc.get_freeze_count()
assert frozen > 200_000, frozen
for _ in range(3):  # a cycle is frozen, and its last reference goes
    node = cycle()
    watched = weakref.ref(node)
    last(50_000)
    del node
    last(2 * len(kept))  # so it is thawed at least once
    assert watched() is None
print("found")
"""

BY_HAND = """
class Node:
    pass

kept = [[index] for index in range(600_000)]
for _ in range(3):
    node = Node()
    node.itself = node
    watched = weakref.ref(node)
    kept += [[index] for index in range(100_000)]  # it is frozen
    del node
    gc.collect()
    assert watched() is None
    assert gc.get_freeze_count() > 600_000
print("found")
"""

CHURN = """
found = []
def note(phase, info):
    if phase == "start" and info["generation"] == 2:
        found.append(gc.get_freeze_count())

kept = [[index] for index in range(600_000)]
gc.callbacks.append(note)
for _ in range(40):  # what comes goes again: nothing of it lasts
    came = [[index] for index in range(100_000)]
    del came
assert all(found), found  # never thawed
print("flat")
"""


def run(program: str, said: str | None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "CHANNEL_GC"}
    if said is not None:
        environment["CHANNEL_GC"] = said
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


@pytest.mark.parametrize("said", [None, "", " ", "0", "off"])
def test_without_it_the_collector_is_left_alone(said: str | None) -> None:
    program = START + "print(before == (gc.get_threshold(), len(gc.callbacks), gc.get_freeze_count()))"
    assert run(program, said).stdout == "True\n"


@BEFORE_3_14
@pytest.mark.parametrize("said", ["1", "true", " ON "])
def test_with_it_the_collector_is_set_up_once(said: str) -> None:
    program = START + "print(before[0] != gc.get_threshold(), len(gc.callbacks) - before[1])"
    assert run(program, said).stdout == "True 1\n"


@BEFORE_3_14
def test_cycles_of_what_was_frozen_are_found_each_time() -> None:
    done = run(START + CYCLES, "1")
    assert done.stdout == "found\n", done.stderr


@BEFORE_3_14
def test_a_collection_by_hand_is_one_of_everything() -> None:
    done = run(START + BY_HAND, "1")
    assert done.stdout == "found\n", done.stderr


@BEFORE_3_14
def test_what_comes_and_goes_thaws_nothing() -> None:
    done = run(START + CHURN, "1")
    assert done.stdout == "flat\n", done.stderr


def test_the_setting_says_so_too() -> None:
    program = "from compat.settings import configure\nconfigure(CHANNEL_GC=True)\n" + START
    program += "print(before[0] != gc.get_threshold())"
    assert run(program, None).stdout == f"{sys.version_info < (3, 14)}\n"


def test_another_value_is_refused() -> None:
    done = run(START, "sometimes")
    assert "CHANNEL_GC must be True or False; found 'sometimes'" in done.stderr
