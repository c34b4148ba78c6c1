"""How far a page of the subset goes through the project's code: calls, files, and changes of file."""

from __future__ import annotations

from tests.shim.django_subset.page import PAGE
from tests.shim.running import run_code
from tests.support.environments import Environment
from tests.support.paths import REPO

WALK = """
import pathlib, sys, threading

import compat

HOME = str(pathlib.Path(compat.__file__).parents[1])
entered = []

def note(frame, event, arg):
    if event == "call" and frame.f_code.co_filename.startswith((f"{HOME}/compat/", f"{HOME}/django_shim/")):
        entered.append(frame.f_code.co_filename)

async def main():
    for _ in range(3):  # the first ones import and compile
        entered.clear()
        assert await page() == 200

threading.setprofile(note)
sys.setprofile(note)
asyncio.run(main())
sys.setprofile(None)
print(len(entered), len(set(entered)), sum(a != b for a, b in zip(entered, entered[1:])))
"""


def test_a_page_is_a_short_walk(bare: Environment) -> None:
    calls, files, changes = map(int, run_code(bare, PAGE + WALK, REPO / "bench").split())
    assert calls < 330 and files < 52 and changes < 200, (calls, files, changes)
