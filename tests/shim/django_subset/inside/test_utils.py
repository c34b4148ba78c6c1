"""Utilities that the recorded expressions do not reach: decorators, laziness, zones, engines, shortcuts."""

from __future__ import annotations

import asyncio
import copy
import datetime
import json
import logging
import pickle

import pytest
from asgiref.sync import iscoroutinefunction
from django.conf.urls import handler404
from django.conf.urls.static import static
from django.contrib.auth import models
from django.contrib.auth.backends import BaseBackend
from django.core.exceptions import (
    ImproperlyConfigured,
    SuspiciousFileOperation,
    SynchronousOnlyOperation,
)
from django.core.files import File
from django.core.paginator import EmptyPage, Paginator
from django.core.serializers.json import DjangoJSONEncoder
from django.http import FileResponse, Http404, HttpResponse, QueryDict
from django.shortcuts import aget_list_or_404, aget_object_or_404, get_list_or_404, redirect, resolve_url
from django.template import Context, Engine, RequestContext, Template, TemplateDoesNotExist, engines
from django.template.engine import InvalidTemplateEngine
from django.template.library import InvalidTemplateLibrary
from django.test import RequestFactory, override_settings
from django.utils import dateformat, encoding, functional, html, log, text, timezone, translation
from django.utils.asyncio import async_unsafe
from django.utils.cache import add_never_cache_headers, patch_cache_control, patch_vary_headers
from django.utils.datastructures import MultiValueDict, OrderedSet
from django.utils.decorators import async_only_middleware, method_decorator, sync_only_middleware
from django.utils.deprecation import MiddlewareMixin
from django.views.decorators.common import no_append_slash
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.vary import vary_on_cookie, vary_on_headers
from django.views.generic import RedirectView, TemplateView, View
from django.views.static import serve

factory = RequestFactory()
UTC = datetime.timezone.utc


# Decorators


def test_function_decorators_on_methods() -> None:
    def noting(name):
        def decorator(view):
            def wrapper(request, *args):
                return f"{name}({view(request, *args)})"

            return wrapper

        return decorator

    class Page:
        @method_decorator([noting("outer"), noting("inner")])
        def get(self, request, extra):
            return f"{type(self).__name__} {request} {extra}"

    assert Page().get("r", "x") == "outer(inner(Page r x))"

    @method_decorator(csrf_exempt, name="dispatch")
    class Hook(View):
        def post(self, request):
            return HttpResponse("hooked")

    assert Hook.as_view().csrf_exempt and Hook.as_view()(factory.post("/")).text == "hooked"
    with pytest.raises(ValueError, match="the class Page has no method of that name"):
        method_decorator(csrf_exempt, name="nope")(Page)


def test_marks_of_middleware() -> None:
    assert sync_only_middleware(lambda get_response: None).async_capable is False
    assert async_only_middleware(lambda get_response: None).sync_capable is False


async def test_the_middleware_mixin_on_both_sides() -> None:
    class Stamp(MiddlewareMixin):
        def process_request(self, request):
            return HttpResponse("early") if request.path == "/early/" else None

        def process_response(self, request, response):
            response["X-Stamp"] = "1"
            return response

    async def answer(request):
        return HttpResponse("late")

    async_side, sync_side = Stamp(answer), Stamp(lambda request: HttpResponse("late"))
    assert iscoroutinefunction(async_side) and not iscoroutinefunction(sync_side)
    for path, expected in (("/early/", "early"), ("/", "late")):
        assert (await async_side(factory.get(path))).text == expected == sync_side(factory.get(path)).text
    assert sync_side(factory.get("/"))["X-Stamp"] == "1" and "Stamp" in repr(sync_side)
    assert MiddlewareMixin(lambda request: "bare")(factory.get("/")) == "bare"
    assert await MiddlewareMixin(answer)(factory.get("/"))
    with pytest.raises(ValueError, match="get_response"):
        MiddlewareMixin(None)


def test_headers_for_caches() -> None:
    def view(request):
        return HttpResponse()

    request = factory.get("/")
    assert vary_on_headers("Accept", "Cookie")(view)(request)["Vary"] == "Accept, Cookie"
    response = vary_on_cookie(view)(request)
    patch_vary_headers(response, ["cookie", "Origin"])
    assert response["Vary"] == "Cookie, Origin"
    patch_vary_headers(response, ["*"])
    assert response["Vary"] == "*"
    patch_cache_control(response, max_age=60, public=True)
    patch_cache_control(response, max_age=90, private=True, no_cache=False)
    assert response["Cache-Control"] == "max-age=60, private"
    add_never_cache_headers(response)
    assert "max-age=0" in response["Cache-Control"] and "no-store" in response["Cache-Control"]
    assert no_append_slash(view).should_append_slash is False


def test_blocking_code_stays_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    @async_unsafe
    def plain():
        return 1

    @async_unsafe("not here")
    def worded():
        return 2

    async def on_the_loop(function):
        return function()

    assert plain() == 1 and worded() == 2
    with pytest.raises(SynchronousOnlyOperation, match="sync_to_async"):
        asyncio.run(on_the_loop(plain))
    with pytest.raises(SynchronousOnlyOperation, match="not here"):
        asyncio.run(on_the_loop(worded))
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    assert asyncio.run(on_the_loop(plain)) == 1


# Laziness, text, zones


def test_lazy_values_are_computed_when_they_are_used() -> None:
    calls = []

    def shout(word):
        calls.append(word)
        return word.upper()

    lazy = functional.lazy(shout, str)("ab")
    assert calls == [] and f"{lazy}" == "AB" and lazy + "c" == "ABc" and "c" + lazy == "cAB"
    assert (
        lazy * 2 == "ABAB"
        and list(lazy) == ["A", "B"]
        and repr(lazy) == "'AB'"
        and lazy == lazy
        and lazy < "B"
    )
    assert functional.lazy(lambda: b"x", bytes)().__bytes__() == b"x"
    assert copy.deepcopy(lazy) is lazy
    assert json.dumps({"x": lazy}, cls=DjangoJSONEncoder) == '{"x": "AB"}'
    assert str(pickle.loads(pickle.dumps(functional.lazystr("kept")))) == "kept"
    with pytest.raises(TypeError):
        functional.keep_lazy()

    class Circle:
        @functional.classproperty
        def name(cls):
            return cls.__name__

        @functional.cached_property
        def area(self):
            return calls.append("area")

    assert Circle.name == "Circle" and isinstance(Circle.area, functional.cached_property)
    assert functional.classproperty().getter(lambda cls: 1).fget(None) == 1


def test_text_to_bytes_and_back() -> None:
    with pytest.raises(encoding.DjangoUnicodeDecodeError, match=r"You passed in b'.xff'"):
        encoding.force_str(b"\xff")
    assert encoding.force_bytes("é", "utf-8") == encoding.force_bytes(memoryview(b"\xc3\xa9")) == "é".encode()
    assert encoding.force_bytes("é".encode(), "latin-1") == b"\xe9" and encoding.force_bytes(5) == b"5"
    assert encoding.force_bytes(None, strings_only=True) is None
    assert encoding.iri_to_uri(None) is encoding.uri_to_iri(None) is encoding.filepath_to_uri(None) is None
    assert encoding.punycode("bücher.example") == "xn--bcher-kva.example"


def test_html_by_class_and_without_tags() -> None:
    @html.html_safe
    class Badge:
        def __str__(self):
            return "<b>"

    assert Template("{{ badge }}").render(Context({"badge": Badge()})) == "<b>"
    with pytest.raises(ValueError, match="defines __html__ itself"):
        html.html_safe(Badge)
    assert html.strip_tags("a &nbsp; &#65; <br/>b") == "a &nbsp; &#65; b"
    assert html.strip_tags("<" * 60 + "b>" * 60).count("b") < 60


def test_text_by_hand() -> None:
    with pytest.raises(SuspiciousFileOperation):
        text.get_valid_filename("..")
    with pytest.raises(ValueError, match="not in quotes"):
        text.unescape_string_literal("abc")
    assert str(text.Truncator("abc")) == "abc" and text.format_lazy("{} {x}", 1, x=2) == "1 2"


def test_zones() -> None:
    moment = datetime.datetime(2026, 6, 1, 12, tzinfo=UTC)
    with timezone.override("Europe/Berlin"):
        assert (
            timezone.localtime(moment).hour == 14 and timezone.get_current_timezone_name() == "Europe/Berlin"
        )
        with timezone.override(None):
            assert timezone.localtime(moment).hour == 12
    timezone.activate("Asia/Tokyo")
    assert timezone.localtime(moment).hour == 21
    timezone.deactivate()
    timezone.activate(UTC)
    assert timezone.localtime(moment).hour == 12
    timezone.deactivate()
    with override_settings(TIME_ZONE="Nowhere/Land"), pytest.raises(ValueError, match="pip install tzdata"):
        timezone.get_default_timezone()
    with override_settings(USE_TZ=False):
        assert timezone.is_naive(timezone.now())


def test_format_letters_and_what_they_need() -> None:
    assert dateformat.format(datetime.date(2026, 11, 11), "jS") == "11th"
    assert [dateformat.format(datetime.date(2026, 11, day), "S") for day in (1, 2, 3, 4, 13, 21, 22, 23)] == [
        "st", "nd", "rd", "th", "th", "st", "nd", "rd",
    ]  # fmt: skip
    with pytest.raises(TypeError, match="'H' formats a time of day"):
        dateformat.format(datetime.date(2026, 11, 11), "H")
    with pytest.raises(TypeError, match="'Y' formats a date"):
        dateformat.time_format(datetime.time(1), "Y")
    assert dateformat.format(datetime.datetime(2026, 1, 1), "O|e|Z") == "||"


def test_nothing_is_translated() -> None:
    assert (
        translation.gettext("a") == translation.pgettext("menu", "a") == translation.gettext_lazy("a") == "a"
    )
    assert translation.ngettext("one", "many", 1) == translation.npgettext("c", "one", "many", 1) == "one"
    lazy = translation.ngettext_lazy("%d message", "%d messages")
    assert (lazy % 1, lazy % 2) == ("1 message", "2 messages")
    named = translation.npgettext_lazy("c", "%(n)s thing", "%(n)s things", "n")
    assert (named % {"n": 1}, named % {"n": 3}) == ("1 thing", "3 things")
    assert translation.ngettext_lazy("one", "many", 2) == "many"
    assert translation.get_language() == "en-us" and not translation.get_language_bidi()
    assert translation.check_for_language("en-us") and translation.get_language_from_request(None) == "en-us"
    assert translation.to_locale("en-us") == "en_US" and translation.to_locale("zh-hans") == "zh_Hans"
    with translation.override("de"):
        translation.activate("de")
        translation.deactivate()
        translation.deactivate_all()
        assert translation.get_language() == "en-us"


def test_collections() -> None:
    ordered = OrderedSet([3, 1, 3])
    ordered.add(2)
    ordered.discard(9)
    ordered.remove(1)
    assert list(ordered) == [3, 2] and 3 in ordered and len(ordered) == 2 and ordered
    values = MultiValueDict({"a": [1]})
    deep = copy.deepcopy(values)
    deep.setlistdefault("a").append(2)
    assert values.getlist("a") == [1] and deep.getlist("a") == [1, 2]
    values.update([("a", 2)], b=3)
    values.update(deep)
    assert values.getlist("a") == [1, 2, 1, 2]
    with pytest.raises(TypeError, match="one mapping"):
        values.update({}, {})
    query = QueryDict("a=1", mutable=True)
    del query["a"]
    query["b"] = "2"
    assert query.pop("b") == ["2"] and copy.copy(query) == query
    query["c"] = "3"
    assert query.popitem() == ("c", ["3"])
    query.clear()
    for change in (
        lambda q: q.popitem(),
        lambda q: q.clear(),
        lambda q: q.setlistdefault("a"),
        lambda q: q.__delitem__("a"),
    ):
        with pytest.raises(AttributeError, match="change a copy"):
            change(QueryDict("a=1"))


def test_log_filters() -> None:
    record = logging.makeLogRecord({"msg": "x"})
    assert not log.RequireDebugTrue().filter(record) and log.RequireDebugFalse().filter(record)
    assert log.CallbackFilter(lambda one: one.msg == "x").filter(record)
    log.configure_logging(None, None)


def test_pages_of_a_list() -> None:
    paginator = Paginator(["a", "b", "c"], 2)
    assert [list(page) for page in paginator] == [["a", "b"], ["c"]] and list(paginator.page_range) == [1, 2]
    first = paginator.page(1)
    assert first.has_other_pages() and first[0:1] == ["a"] and not first.has_previous()
    with pytest.raises(EmptyPage, match="the last is 2"):
        paginator.page(2).next_page_number()
    with pytest.raises(EmptyPage, match="begin with 1"):
        first.previous_page_number()
    with pytest.raises(TypeError, match="int or a slice"):
        first["x"]
    assert Paginator([], 2).page(1).start_index() == 0 and paginator.page(2.0).number == 2
    assert Paginator([], 2, allow_empty_first_page=False).num_pages == 0


# Shortcuts, files


def test_redirects_find_their_target() -> None:
    class Room:
        def get_absolute_url(self):
            return "/rooms/1/"

    assert redirect(Room()).url == "/rooms/1/"
    assert redirect("/a/?b=c", permanent=True).status_code == 301
    assert resolve_url("./x") == "./x" and resolve_url("https://a.example/") == "https://a.example/"
    with pytest.raises(Exception, match="no URL pattern named 'nope'"):
        redirect("nope")


async def test_shortcuts_for_models_say_what_they_need() -> None:
    with pytest.raises(ImportError, match=r"get_list_or_404\(View\)"):
        get_list_or_404(View)
    with pytest.raises(ImportError):
        await aget_object_or_404(View())
    with pytest.raises(ImportError):
        await aget_list_or_404(View)


def test_files_below_a_folder(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.json.gz").write_bytes(b"{}")
    (tmp_path / "secret").write_text("secret")
    request = factory.get("/")
    response = serve(request, "a.json.gz", document_root=tmp_path / "in")
    assert b"".join(response.streaming_content) == b"{}" and response["Content-Encoding"] == "gzip"
    response.close()
    for path in ("../secret", "nope", "", "/../secret", "..\\secret"):
        with pytest.raises(Http404):
            serve(request, path, document_root=tmp_path / "in")
    with override_settings(DEBUG=True):
        patterns = static("/media/", document_root=tmp_path)
        assert patterns[0].resolve("media/secret").kwargs["path"] == "secret"
        assert static("https://cdn.example/") == []
    with pytest.raises(ImproperlyConfigured):
        static("")
    assert handler404.__name__ == "page_not_found"


def test_files_as_objects(tmp_path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("abc")
    with File(path.open("rb")) as file:
        assert file.name == str(path) and file.size == 3 and "x.txt" in repr(file)
        response = FileResponse(path.open("rb"))
        assert response["Content-Disposition"] == 'inline; filename="x.txt"'
        response.close()
    with pytest.raises(AttributeError):
        _ = File.__new__(File).file


# Users, views


async def test_a_backend_of_nobody() -> None:
    backend = BaseBackend()
    assert await backend.aauthenticate(None) is await backend.aget_user(1) is None
    assert models.BaseUserManager.normalize_email("Ann@EXAMPLE.org") == "Ann@example.org"
    assert models.BaseUserManager.normalize_email("nobody") == "nobody"
    with pytest.raises(AttributeError, match="no users"):
        models.UserManager().create_user()


def test_mistakes_in_class_based_views() -> None:
    class Mixed(View):
        def get(self, request): ...

        async def post(self, request): ...

    for make, error, message in (
        (lambda: Mixed.as_view(), ImproperlyConfigured, "mixes sync and async"),
        (lambda: View.as_view(get=1), TypeError, "the name of a handler"),
        (lambda: View.as_view(nope=1), TypeError, "has no attribute 'nope'"),
        (lambda: TemplateView.as_view()(factory.get("/")), ImproperlyConfigured, "needs template_name"),
    ):
        with pytest.raises(error, match=message):
            make()
    assert RedirectView.as_view()(factory.get("/")).status_code == 410
    to = RedirectView.as_view(url="/x/%(name)s/", query_string=True)
    assert to(factory.get("/?a=b"), name="y").url == "/x/y/?a=b"


# Engines


def test_engines_by_hand(tmp_path) -> None:
    (tmp_path / "a.html").write_text("{{ x }}{{ y }}")
    engine = Engine(dirs=[tmp_path])
    assert engine.get_template("a.html").render({"x": 1}) == "1"
    assert engine.render_to_string(["nope.html", "a.html"], {"x": 2}) == "2"
    assert engine.render_to_string("a.html") == "" and engine.from_string("{{ x }}").render({"x": 3}) == "3"
    with pytest.raises(TemplateDoesNotExist):
        engine.select_template(["nope.html"])
    assert list(engines) == ["django"] and engines["django"] in engines.all()
    with pytest.raises(InvalidTemplateEngine, match="'other'"):
        engines["other"]
    with pytest.raises(InvalidTemplateLibrary, match="register"):
        Engine(libraries={"bad": "json"}).from_string("{% load bad %}")


def test_context_processors() -> None:
    django = "django.template.context_processors."
    names = ["debug", "i18n", "media", "request", "static", "tz"]
    options = {"context_processors": [*(django + name for name in names), "django.contrib.sites.nope"]}
    templates = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": options}]
    source = (
        "{{ debug }} {{ LANGUAGE_CODE }} {{ MEDIA_URL }} {{ STATIC_URL }} {{ TIME_ZONE }} {{ "
        "request.method }}"
    )
    with override_settings(TEMPLATES=templates, DEBUG=True, INTERNAL_IPS=["127.0.0.1"], MEDIA_URL="m/"):
        page = Template(source).render(RequestContext(factory.get("/")))
        assert page == "True en-us /m/ /static/ UTC GET"
    templates[0]["OPTIONS"] = {"context_processors": ["mysite.nope"]}
    with override_settings(TEMPLATES=templates), pytest.raises(ImportError):
        Template("").render(RequestContext(factory.get("/")))


def test_memory_of_tags_is_per_rendering() -> None:
    template = Template(
        "{% cycle 'a' 'b' 'c' %}{% for x in xs %}{% ifchanged %}{{ x }}{% endifchanged %}{% endfor %}"
    )
    assert [template.render(Context({"xs": [1, 1]})) for _ in range(2)] == ["a1", "a1"]
    page = Template("{% cycle 'a' 'b' as c %}{% resetcycle %}{% cycle c %}")
    assert page.render(Context()) == "aa"
    with override_settings(MEDIA_URL="/m/"):
        assert Template("{% get_media_prefix %}").render(Context()) == "/m/"
