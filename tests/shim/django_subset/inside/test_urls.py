"""Paths to views and back."""

from __future__ import annotations

import contextvars

import django
import pytest
from django.core.exceptions import ImproperlyConfigured, ViewDoesNotExist
from django.http import Http404
from django.test import override_settings
from django.urls import (
    NoReverseMatch,
    Resolver404,
    ResolverMatch,
    URLPattern,
    URLResolver,
    get_callable,
    get_resolver,
    get_script_prefix,
    include,
    is_valid_path,
    path,
    re_path,
    resolve,
    reverse,
    set_script_prefix,
)
from django.urls.resolvers import RegexPattern, RoutePattern
from django.views.generic import View

from compat import patterns
from compat.routing import URLRouter
from tests.shim.django_subset.inside import urls_inner, urls_many
from tests.shim.django_subset.inside.urls_table import RESOLVED, REVERSED

PACKAGE = "tests.shim.django_subset.inside"
many = override_settings(ROOT_URLCONF=f"{PACKAGE}.urls_many")


@many
@pytest.mark.parametrize(("name", "args", "kwargs", "expected"), REVERSED)
def test_names_become_the_paths_that_django_makes(name, args, kwargs, expected) -> None:
    if expected is None:
        with pytest.raises(NoReverseMatch):
            reverse(name, args=args, kwargs=kwargs)
    else:
        assert reverse(name, args=args, kwargs=kwargs) == expected


@many
@pytest.mark.parametrize(("given", "expected"), RESOLVED)
def test_paths_lead_to_the_views_that_django_finds(given, expected) -> None:
    if expected is None:
        with pytest.raises(Resolver404):
            resolve(given)
        assert is_valid_path(given) is False
        return
    match = resolve(given)
    kwargs = {name: str(value) for name, value in match.kwargs.items()}
    assert (match.view_name, [str(arg) for arg in match.args], kwargs, match.route) == tuple(expected)
    assert is_valid_path(given).view_name == match.view_name


@many
def test_views_themselves_can_be_reversed() -> None:
    assert reverse(urls_many.cbv) == "/cbv/"
    assert reverse(urls_inner.v) == "/view/"


@many
def test_the_current_app_chooses_the_instance() -> None:
    assert reverse("poll:index", current_app="other", kwargs={"tenant": 1}) == "/other/1/"
    assert reverse("poll:index", current_app="poll") == "/polls/"
    assert reverse("poll:index", current_app="unknown") == "/polls/"


def test_query_and_fragment() -> None:
    assert (
        reverse("home", query={"a": [1, 2], "b": "x y"}, fragment="top é") == "/?a=1&a=2&b=x+y#top%20%C3%A9"
    )


def test_a_script_prefix_stands_in_front() -> None:
    set_script_prefix("/below")
    try:
        assert reverse("hello", args=["x"]) == "/below/hello/x/"
    finally:
        set_script_prefix("/")


@pytest.mark.parametrize(("name", "prefix"), [("/pre", "/pre/"), ("/pre/", "/pre/"), (None, "/")])
def test_outside_of_requests_the_prefix_is_force_script_name(name: str | None, prefix: str) -> None:
    def set_up(*given: bool) -> str:
        set_script_prefix("/before/")
        django.setup(*given)
        return get_script_prefix()

    with override_settings(FORCE_SCRIPT_NAME=name):
        assert contextvars.copy_context().run(set_up) == prefix
        assert contextvars.copy_context().run(set_up, False) == "/before/"


def test_what_cannot_be_reversed_says_why() -> None:
    with pytest.raises(NoReverseMatch, match=r"there is no URL pattern named 'helo' .*\. Nearest: hello"):
        reverse("helo")
    with pytest.raises(
        NoReverseMatch,
        match=r"'hello' does not take arguments '\(1, 2\)'\. Its patterns: \['hello/<name>/'\]",
    ):
        reverse("hello", args=[1, 2])
    with pytest.raises(NoReverseMatch, match="does not take an empty list of arguments"):
        reverse("hello")
    with pytest.raises(NoReverseMatch, match="keyword arguments"):
        reverse("hello", kwargs={"nome": 1})
    with pytest.raises(NoReverseMatch, match="there is no namespace 'nope' inside 'rooms'"):
        reverse("rooms:nope:x")
    with pytest.raises(ValueError, match="not both"):
        reverse("hello", args=[1], kwargs={"name": 2})


def test_a_path_that_leads_nowhere_says_what_was_tried() -> None:
    with pytest.raises(Resolver404) as caught:
        resolve("/rooms/no such room/")
    assert isinstance(caught.value, Http404) and isinstance(caught.value, patterns.Resolver404)
    assert caught.value.args[0]["path"] == "rooms/no such room/"
    tried = [[str(one.pattern) for one in chain] for chain in caught.value.args[0]["tried"]]
    assert ["rooms/", "<slug:room>/"] in tried and ["admin/"] in tried


def test_classes_are_those_that_the_websocket_router_knows() -> None:
    route = path("a/<int:b>/", lambda request: None, name="n")
    assert isinstance(route, URLPattern) and isinstance(route.pattern, RoutePattern)
    assert isinstance(re_path("^a$", lambda request: None).pattern, RegexPattern)
    rest, args, kwargs = route.pattern.match("a/5/")
    assert (rest, args, kwargs, route.name, route.default_args) == ("", (), {"b": 5}, "n", {})
    assert isinstance(route.resolve("a/5/"), ResolverMatch)
    with pytest.raises(ImproperlyConfigured, match=r"include\(\) is not supported in URLRouter"):
        URLRouter([path("x/", include([route]))])


def test_include_in_its_forms() -> None:
    inner = f"{PACKAGE}.urls_inner"
    assert include(inner) == (urls_inner, "poll", "poll")
    assert include(urls_inner, namespace="mine") == (urls_inner, "poll", "mine")
    assert include(([], "app")) == ([], "app", "app")
    assert include([]) == ([], None, None)
    with pytest.raises(ImproperlyConfigured, match="needs the app's name"):
        include([], namespace="x")
    with pytest.raises(ImproperlyConfigured, match="without include"):
        include(([], "a", "b"))
    with pytest.raises(ImproperlyConfigured, match="not 4 things"):
        include((1, 2, 3, 4))
    with pytest.raises(ModuleNotFoundError):
        include("nowhere.urls")
    assert path("a/", include([])).namespace is None


def test_mistakes_in_routes_are_told_when_they_are_made() -> None:
    with pytest.raises(TypeError, match=r"write View\.as_view\(\), not View\(\)"):
        path("a/", View())
    with pytest.raises(TypeError, match="neither a view nor an include"):
        path("a/", "views.index")
    with pytest.raises(TypeError, match="kwargs is a dict"):
        path("a/", lambda request: None, kwargs=[1])
    with pytest.raises(ImproperlyConfigured, match="has no patterns"):
        _ = URLResolver(RegexPattern("^/"), "json").url_patterns
    with pytest.raises(ImproperlyConfigured, match="ROOT_URLCONF is not set"):
        with override_settings(ROOT_URLCONF=None):
            resolve("/")


def test_views_by_dotted_path() -> None:
    assert get_callable(f"{PACKAGE}.views.home").__name__ == "home"
    assert get_callable(len) is len
    with pytest.raises(ViewDoesNotExist):
        get_callable(f"{PACKAGE}.views.nope")
    with pytest.raises(ViewDoesNotExist, match="cannot be called"):
        get_callable("sys.path")


def test_resolvers_by_hand() -> None:
    assert get_resolver([path("x/", lambda request: None, name="x")]).resolve("/x/").url_name == "x"
    assert "(None:None)" in repr(get_resolver())
