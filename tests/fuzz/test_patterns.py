"""Generated URL patterns and paths: ours match as Django's own do, and refuse what they refuse.

Patterns one by one, and trees of them: there our URLRouter takes the route that Django's resolver takes.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compat import patterns
from compat.exceptions import ImproperlyConfigured
from compat.routing import URLRouter
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
from django.urls import URLResolver, include, path, re_path
from django.urls.exceptions import Resolver404
from django.urls.resolvers import RegexPattern

KINDS = {"path": path, "re_path": re_path}


def shown(values):
    return {name: f"{type(value).__name__} {value}" for name, value in values.items()}


def one(kind, pattern, where):
    found = KINDS[kind](pattern, lambda: None).pattern.match(where)
    return found and [found[0], [str(value) for value in found[1]], shown(found[2])]


def made(tree, above=""):
    routes = []
    for number, (kind, pattern, inner) in enumerate(tree):
        name = f"{above}.{number}"
        target = (lambda: None) if inner is None else include(made(inner, name))
        routes.append(KINDS[kind](pattern, target, name=name))
        routes[-1].pattern.match("")  # a pattern that is none raises when it is first used
    return routes


def resolved(tree, where):
    try:
        found = URLResolver(RegexPattern("^"), made(tree)).resolve(where)
    except Resolver404:
        return None
    return [found.url_name, shown(found.kwargs)]


for line in sys.stdin:
    function, *arguments = json.loads(line)
    try:
        found = globals()[function](*arguments)
    except Exception:
        found = "refused"
    print(json.dumps(found), flush=True)
"""

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def django() -> Iterator[Ask]:
    """What a function of that script says."""
    command = [environment("django").python, "-c", DJANGO]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=child_environment()
    ) as child:
        assert child.stdin and child.stdout
        questions, answers = child.stdin, child.stdout

        def ask(*question: Any) -> Any:
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
        assert ours(kind, pattern, where) == django("one", kind, pattern, where)

    check()


# Trees of routes: (kind, pattern, routes within or None)

Tree = list[tuple[str, str, Any]]


def ended(prefix: str) -> str:
    """A router drops the slashes that a prefix leaves, as Channels' does: Django's include() does not."""
    return prefix if not prefix or prefix.endswith("/") else f"{prefix}/"


leaves = st.tuples(st.just("path"), routes, st.none()) | st.tuples(st.just("re_path"), regexes, st.none())
prefixes = st.tuples(
    st.just("path"), st.lists(st.sampled_from(LITERALS) | converters, max_size=2).map("".join).map(ended)
) | st.tuples(st.just("re_path"), st.sampled_from(["", "^", "^a/", r"^(?P<x>\w+)/", r"(?P<w>\d)/", "^ws/"]))


def _with_prefixes(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    nested = st.builds(lambda prefix, tree: (*prefix, tree), prefixes, inner)
    return st.lists(leaves | nested, min_size=1, max_size=4)


trees: st.SearchStrategy[Tree] = st.recursive(
    st.lists(leaves, min_size=1, max_size=4), _with_prefixes, max_leaves=8
)


class Found(Exception):
    """Ends a connection at its route."""


def router_of(tree: Tree, above: str = "") -> URLRouter:
    """The same tree for us: include() is a URLRouter within."""
    routed = []
    for number, (kind, pattern, inner) in enumerate(tree):
        name = f"{above}.{number}"
        target = found_at(name) if inner is None else router_of(inner, name)
        routed.append(getattr(patterns, kind)(pattern, target))
    return URLRouter(routed)


def found_at(name: str) -> Any:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise Found(name, scope["url_route"]["kwargs"])

    return application


def routed(tree: Tree, where: str) -> Any:
    try:
        router = router_of(tree)
    except ImproperlyConfigured:
        return "refused"
    try:
        asyncio.run(router({"type": "websocket", "path": f"/{where}"}, None, None))  # type: ignore[arg-type]
    except Found as found:
        name, kwargs = found.args
        return [name, {key: f"{type(value).__name__} {value}" for key, value in kwargs.items()}]
    except ValueError as error:
        assert "No route found" in str(error)
        return None
    raise AssertionError("neither found nor not found")


@pytest.mark.parametrize("amount", SOME)
@pytest.mark.filterwarnings("ignore")
def test_trees_of_routes_lead_where_djangos_resolver_leads(amount: settings, django: Ask) -> None:
    @amount
    @given(trees, paths.map(lambda where: re.sub("/+", "/", where).lstrip("/")))
    def check(tree: Tree, where: str) -> None:
        assert routed(tree, where) == django("resolved", tree, where)

    check()
