"""Generated URL patterns and paths: ours match as Django's own do, and refuse what they refuse."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compat import patterns
from compat.exceptions import ImproperlyConfigured
from tests.support.environments import environment
from tests.support.processes import child_environment

FEW = settings(max_examples=300, deadline=None)
MANY = settings(max_examples=4_000, deadline=None)
SOME = [
    pytest.param(FEW, id="few"),
    pytest.param(MANY, id="many", marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
]

DJANGO = """
import json, sys
from django.conf import settings
settings.configure(ROOT_URLCONF="x")
from django.urls import path, re_path

for line in sys.stdin:
    kind, pattern, where = json.loads(line)
    try:
        found = {"path": path, "re_path": re_path}[kind](pattern, lambda: None).pattern.match(where)
    except Exception:
        found = "refused"
    if isinstance(found, tuple):
        shown = {name: f"{type(value).__name__} {value}" for name, value in found[2].items()}
        found = [found[0], [str(value) for value in found[1]], shown]
    print(json.dumps(found), flush=True)
"""

Ask = Callable[[str, str, str], Any]


@pytest.fixture(scope="module")
def django() -> Iterator[Ask]:
    """What Django's pattern of this kind makes of a path."""
    command = [environment("django").python, "-c", DJANGO]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=child_environment()
    ) as child:
        assert child.stdin and child.stdout
        questions, answers = child.stdin, child.stdout

        def ask(*question: str) -> Any:
            questions.write(json.dumps(question) + "\n")
            questions.flush()
            return json.loads(answers.readline())

        yield ask
        questions.close()


def ours(kind: str, pattern: str, where: str) -> Any:
    try:
        found = getattr(patterns, kind)(pattern, lambda: None).pattern.match(where)
    except ImproperlyConfigured:
        return "refused"
    if found is None:
        return None
    rest, args, kwargs = found
    shown = {name: f"{type(value).__name__} {value}" for name, value in kwargs.items()}
    return [rest, [str(value) for value in args], shown]


LITERALS = ["a", "b/", "-", ".", "1", "/", "ws/", "é", "a.b/", "(", "$", "^", "*", "%20", " "]
CONVERTERS = ["int", "str", "slug", "uuid", "path"]
UUID = "12345678-1234-5678-1234-567812345678"
VALUES = ["1", "007", "a", "a-b_1", "x/y", UUID, UUID.upper(), "é", "", "-1", "1" * 30, "a b", "\n"]

converters = st.builds("<{}:{}>".format, st.sampled_from(CONVERTERS), st.sampled_from("abcdef"))
odd = st.sampled_from(
    ["<n>", "<int:>", "<1a>", "<int:a b>", "<unknown:x>", "<int:a", "int:a>", "<>", "< str:a>", "<a-b>"]
)
routes = st.lists(st.sampled_from(LITERALS) | converters | converters | odd, max_size=5).map("".join)
regexes = st.lists(
    st.sampled_from(
        [
            "^",
            "a",
            "b/",
            r"(?P<x>\w+)",
            r"(?P<y>\d+)",
            r"(\d+)",
            "(a)?",
            "(?P<z>b)?",
            "/",
            ".*",
            "$",
            r"\Z",
            "a|b",
            r"\.",
            "é",
        ]
    ),
    max_size=6,
).map("".join)
paths = st.lists(st.sampled_from(LITERALS + VALUES), max_size=6).map("".join) | st.text(
    "ab1-_./é \n", max_size=12
)


@pytest.mark.parametrize("amount", SOME)
@pytest.mark.parametrize("kind", ["path", "re_path"])
def test_patterns_match_as_djangos_do(kind: str, amount: settings, django: Ask) -> None:
    @amount
    @given(routes if kind == "path" else regexes, paths)
    def check(pattern: str, where: str) -> None:
        assert ours(kind, pattern, where) == django(kind, pattern, where)

    check()
