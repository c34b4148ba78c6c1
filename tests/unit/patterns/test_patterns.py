"""path() and re_path() match what Django's match: as a table of facts, and side by side with Django."""

from __future__ import annotations

import functools
import json
import re
import string
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compat.exceptions import ImproperlyConfigured
from compat.patterns import (
    RegexPattern,
    Resolver404,
    RoutePattern,
    converters,
    get_converters,
    path,
    re_path,
    register_converter,
)
from tests.support.environments import environment
from tests.support.paths import REPO
from tests.support.processes import child_environment

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def view() -> None:
    pass


ROUTES: list[tuple[str, str, Any, Any]] = [
    # route, path, what match() returns as an endpoint, and as a prefix
    ("", "", ("", (), {}), ("", (), {})),
    ("", "x", None, ("x", (), {})),
    ("chat/", "chat/", ("", (), {}), ("", (), {})),
    ("chat/", "chat", None, None),
    ("chat/", "chat/lobby/", None, ("lobby/", (), {})),
    ("chat/", "xchat/", None, None),
    ("chat/", "chat/\n", None, ("\n", (), {})),
    ("a.b+(c)$", "a.b+(c)$", ("", (), {}), ("", (), {})),
    ("a.b", "axb", None, None),
    ("<room>/", "lobby/", ("", (), {"room": "lobby"}), ("", (), {"room": "lobby"})),
    ("<room>/", "/", None, None),
    ("<room>/", "a/b/", None, ("b/", (), {"room": "a"})),
    ("<str:room>/", "café/", ("", (), {"room": "café"}), ("", (), {"room": "café"})),
    ("<room>/", f"{'x' * 200}/", ("", (), {"room": "x" * 200}), ("", (), {"room": "x" * 200})),
    ("<int:n>/", "007/", ("", (), {"n": 7}), ("", (), {"n": 7})),
    ("<int:n>/", "-7/", None, None),
    ("<int:n>/", "٣/", None, None),
    ("<slug:s>/", "a-b_9/", ("", (), {"s": "a-b_9"}), ("", (), {"s": "a-b_9"})),
    ("<slug:s>/", "é/", None, None),
    (
        "<uuid:u>/",
        f"{UUID}/",
        ("", (), {"u": uuid.UUID(UUID)}),
        ("", (), {"u": uuid.UUID(UUID)}),
    ),
    ("<uuid:u>/", f"{UUID.upper()}/", None, None),
    ("<path:p>", "a/b/c", ("", (), {"p": "a/b/c"}), ("", (), {"p": "a/b/c"})),
    ("<path:p>", "", None, None),
    ("<path:p>/x/", "a/x/x/", ("", (), {"p": "a/x"}), ("", (), {"p": "a/x"})),
    ("<int:y>/<slug:s>/", "1/a/", ("", (), {"y": 1, "s": "a"}), ("", (), {"y": 1, "s": "a"})),
    ("a<>b", "a<>b", ("", (), {}), ("", (), {})),
    ("a<b", "a<b", ("", (), {}), ("", (), {})),
]

REGEXES: list[tuple[str, str, Any]] = [
    (r"ws/chat/(?P<room>\w+)/$", "ws/chat/lobby/", ("", (), {"room": "lobby"})),
    (r"ws/chat/(?P<room>\w+)/$", "ws/chat/café/", ("", (), {"room": "café"})),
    (r"ws/chat/(?P<room>\w+)/$", f"ws/chat/{'x' * 200}/", ("", (), {"room": "x" * 200})),
    (r"ws/chat/(?P<room>\w+)/$", "ws/chat/a-b/", None),
    (r"ws/chat/(?P<room>\w+)/$", "ws/chat/lobby", None),
    (r"ws/chat/(?P<room>\w+)/$", "x/ws/chat/lobby/", None),
    (r"ws/chat/(?P<room>\w+)/$", "ws/chat/lobby/\n", None),
    (r"bar", "foo/bar/baz/", ("/baz/", (), {})),
    (r"^bar", "foo/bar", None),
    (r"", "any/thing", ("any/thing", (), {})),
    (r"^(\d+)/(\w)/$", "12/a/", ("", ("12", "a"), {})),
    (r"^(\d+)/(?P<x>\w)/$", "12/a/", ("", (), {"x": "a"})),
    (r"^a/(?:(?P<x>\d+)/)?$", "a/", ("", (), {})),
    (r"^a/(?:(\d+)/)?$", "a/", ("", (None,), {})),
    (r"^a\$", "a$", ("", (), {})),
    (r"^a\$", "a$/", None),  # it ends in "$", which is all that Django looks at
    (r"^(?P<x>a|ab)$", "ab", ("", (), {"x": "ab"})),
]


@pytest.mark.parametrize(("route", "text", "endpoint", "prefix"), ROUTES)
def test_route(route: str, text: str, endpoint: Any, prefix: Any) -> None:
    assert RoutePattern(route, is_endpoint=True).match(text) == endpoint
    assert RoutePattern(route).match(text) == prefix


@pytest.mark.parametrize(("regex", "text", "expected"), REGEXES)
def test_regex(regex: str, text: str, expected: Any) -> None:
    assert RegexPattern(regex, is_endpoint=True).match(text) == expected


def test_a_regex_that_ends_in_a_dollar_is_searched_where_it_is_a_prefix() -> None:
    assert RegexPattern(r"bar$").match("foo/bar") == ("", (), {})
    assert RegexPattern(r"bar$", is_endpoint=True).match("foo/bar") is None


@pytest.mark.parametrize(
    ("route", "says"),
    [
        ("<nope:x>/", "no converter 'nope'"),
        ("<int:2x>/", "'2x' in <int:2x> is not a Python identifier"),
        ("<int:>/", "not a Python identifier"),
        ("<:x>/", "no converter ''"),
        ("<int: x>/", "whitespace"),
        ("<a b>/", "whitespace"),
        ("<a>/<a>/", "two parameters named 'a'"),
    ],
)
def test_a_route_that_can_never_work_is_an_error_when_it_is_made(route: str, says: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=re.escape(says)):
        path(route, view)


def test_a_regex_that_does_not_compile_is_an_error_when_it_is_made() -> None:
    with pytest.raises(ImproperlyConfigured, match="not a valid regular expression"):
        re_path("(", view)


@pytest.mark.parametrize("source", [None, b"chat/", re.compile("chat/")])
@pytest.mark.parametrize("function", [path, re_path])
def test_a_pattern_is_written_as_a_str(function: Any, source: Any) -> None:
    with pytest.raises(TypeError, match="must be a str"):
        function(source, view)


def test_views_and_kwargs_are_checked() -> None:
    with pytest.raises(TypeError, match=r"view must be a callable, not 'chat\.views\.room'"):
        path("x/", "chat.views.room")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="kwargs argument must be a dict, but got list"):
        path("x/", view, [])  # type: ignore[arg-type]
    with pytest.raises(ImproperlyConfigured, match="include"):
        re_path("x/", ([], None, None))  # type: ignore[arg-type]


def test_attributes_that_others_look_at() -> None:
    route = path("room/<int:n>/", view, {"extra": 1}, name="room")
    assert (route.callback, route.default_args, route.name) == (view, {"extra": 1}, "room")
    assert route.pattern.name == "room"
    assert route.pattern._is_endpoint is True
    assert isinstance(route.pattern, RoutePattern)
    assert route.pattern._route == str(route.pattern) == "room/<int:n>/"
    assert list(route.pattern.converters) == ["n"]
    assert route.pattern.regex.pattern == route.pattern._regex
    assert repr(route) == "<URLPattern 'room/<int:n>/' [name='room']>"
    regex = re_path(r"^room/(\d+)$", view)
    assert isinstance(regex.pattern, RegexPattern)
    assert regex.pattern._regex == str(regex.pattern) == r"^room/(\d+)$"
    assert (regex.default_args, regex.name, regex.pattern.converters) == ({}, None, {})
    assert repr(regex.pattern) == r"<RegexPattern '^room/(\d+)$'>"


def test_resolve() -> None:
    route = path("room/<int:n>/<kind>/", view, {"kind": "fixed"}, name="room")
    match = route.resolve("room/7/open/")
    assert match is not None
    assert repr(route.pattern.match("room/7/open/")) == "('', (), {'n': 7, 'kind': 'open'})"
    func, args, kwargs = match
    assert (match[0], match[1], match[2]) == (func, args, kwargs)
    assert (func, args, kwargs) == (view, (), {"n": 7, "kind": "fixed"})
    assert match.captured_kwargs == {"n": 7, "kind": "open"}
    assert match.extra_kwargs == {"kind": "fixed"}
    assert (match.url_name, match.view_name, match.route) == ("room", "room", "room/<int:n>/<kind>/")
    assert route.resolve("room/x/open/") is None


class Page:
    def __call__(self) -> None:
        pass


def test_names_of_views() -> None:
    def as_view() -> None:
        pass

    as_view.view_class = Page  # type: ignore[attr-defined]
    assert path("", view).lookup_str == f"{__name__}.view"
    assert path("", functools.partial(view)).lookup_str == f"{__name__}.view"
    assert path("", Page()).lookup_str == path("", as_view).lookup_str == f"{__name__}.Page"
    match = path("", view).resolve("")
    assert match is not None
    assert match.view_name == f"{__name__}.view", "a view without a name is called by its place"
    assert repr(match).startswith(f"ResolverMatch(func={__name__}.view, args=(), kwargs={{}}, url_name=None")


@pytest.fixture
def own_converters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converters, "_registered", get_converters())


class Year:
    regex = "[0-9]{4}|now"

    def to_python(self, value: str) -> int:
        if value == "0000":
            raise ValueError("there is no year 0")
        return 2026 if value == "now" else int(value)

    def to_url(self, value: int) -> str:
        return f"{value:04}"


@pytest.mark.usefixtures("own_converters")
def test_a_converter_of_ones_own() -> None:
    register_converter(Year, "yyyy")
    route = path("<yyyy:year>/", view)
    assert route.pattern.match("now/") == ("", (), {"year": 2026})
    assert route.pattern.match("1999/") == ("", (), {"year": 1999})
    assert route.pattern.match("0000/") is None, "a ValueError of to_python means: does not match"
    assert route.pattern.converters["year"].to_url(7) == "0007"
    with pytest.warns(DeprecationWarning, match="'yyyy' exists already"):
        register_converter(Year, "yyyy")


def test_converters_make_urls() -> None:
    known = get_converters()
    assert known["int"].to_url(7) == "7"
    assert known["uuid"].to_url(uuid.UUID(UUID)) == UUID
    assert known["str"].to_url("a b") == "a b"


def test_resolver404_carries_what_was_tried() -> None:
    assert Resolver404({"path": "x/", "tried": [["a"]]}).tried == [["a"]]
    assert Resolver404({"path": "x/", "tried": []}).path == "x/"
    error = Resolver404("No route", path="x/", tried=["a"])
    assert (str(error), error.path, error.tried) == ("No route", "x/", ["a"])
    assert (Resolver404().path, Resolver404().tried) == ("", [])


# Side by side with Django

ANSWER = """
def answer(make_route, make_regex, kind, source, endpoint, text):
    try:
        match = {"route": make_route, "regex": make_regex}[kind](source, is_endpoint=endpoint).match(text)
    except Exception:  # Django finds some errors when a pattern is made, others at the first match
        return "error"
    if match is None:
        return None
    rest, args, kwargs = match
    return [rest, list(args), [[name, type(value).__name__, str(value)] for name, value in kwargs.items()]]
"""

DJANGO = f"""
import json, sys
from django.conf import settings
settings.configure()
from django.urls.resolvers import RegexPattern, RoutePattern
{ANSWER}
for line in sys.stdin:
    print(json.dumps(answer(RoutePattern, RegexPattern, *json.loads(line))), flush=True)
"""


@pytest.fixture(scope="module")
def django() -> Iterator[Any]:
    """Asks Django, in a process that goes on: django(kind, source, endpoint, text)."""
    command = [environment("channels").python, "-c", DJANGO]
    with subprocess.Popen(
        command, cwd=REPO, env=child_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None

        def ask(*case: Any) -> Any:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps(case) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask
        process.stdin.close()


def ours(*case: Any) -> Any:
    namespace: dict[str, Any] = {}
    exec(ANSWER, namespace)
    return json.loads(json.dumps(namespace["answer"](RoutePattern, RegexPattern, *case)))


TEXT = st.text(alphabet="ab1-/_.é $(\n", max_size=6)
PARAMETER = st.sampled_from(["<x>", "<str:y>", "<int:n>", "<slug:s>", "<path:p>", "<uuid:u>"])
ODD = st.sampled_from(
    ["<", ">", "<>", "<a b>", "<int:>", "<:x>", "<nope:z>", "<1x>", "<<b>", "<a:b:c>", "^", "$"]
)
ROUTE = st.lists(st.one_of(TEXT, PARAMETER, PARAMETER, st.just("/"), ODD), max_size=5).map("".join)
PIECE = st.sampled_from(["a", "b1", "12", "a-b", "é", "/", "//", "a/b", "", UUID, "x y", "\n", "$", "0"])
PATH = st.lists(PIECE, max_size=6).map("".join)
REGEX = st.lists(
    st.sampled_from(
        [
            "^",
            "$",
            r"\$",
            "a",
            "/",
            r"(\d+)",
            r"(?P<x>\w+)",
            r"(?P<y>a|b)?",
            r"(?:/(?P<z>\d))?",
            ".*",
            "(b)?",
            "(",
        ]
    ),
    max_size=5,
).map("".join)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(route=ROUTE, endpoint=st.booleans(), text=PATH)
def test_routes_agree_with_django(django: Any, route: str, endpoint: bool, text: str) -> None:
    assert ours("route", route, endpoint, text) == django("route", route, endpoint, text)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), endpoint=st.booleans())
def test_routes_agree_with_django_on_paths_that_fit(django: Any, data: st.DataObject, endpoint: bool) -> None:
    """Paths made from the route: each parameter replaced by something of its kind, or nearly so."""
    route = data.draw(
        st.lists(st.one_of(PARAMETER, st.sampled_from(["/", "a/", "-"])), max_size=4).map("".join)
    )
    text = route
    for parameter in re.findall("<[^>]+>", route):
        text = text.replace(parameter, data.draw(PIECE), 1)
    text += data.draw(st.sampled_from(["", "", "/", "x", "\n"]))
    assert ours("route", route, endpoint, text) == django("route", route, endpoint, text)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(regex=REGEX, endpoint=st.booleans(), text=st.one_of(PATH, st.text(string.printable, max_size=4)))
def test_regexes_agree_with_django(django: Any, regex: str, endpoint: bool, text: str) -> None:
    assert ours("regex", regex, endpoint, text) == django("regex", regex, endpoint, text)


@pytest.mark.parametrize(("route", "text", "endpoint", "prefix"), ROUTES)
def test_the_table_of_routes_is_djangos(
    django: Any, route: str, text: str, endpoint: Any, prefix: Any
) -> None:
    for is_endpoint in (True, False):
        assert ours("route", route, is_endpoint, text) == django("route", route, is_endpoint, text)


@pytest.mark.parametrize(("regex", "text", "expected"), REGEXES)
def test_the_table_of_regexes_is_djangos(django: Any, regex: str, text: str, expected: Any) -> None:
    assert ours("regex", regex, True, text) == django("regex", regex, True, text)
