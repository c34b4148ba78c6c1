"""Utilities that the recorded expressions do not reach: decorators, laziness, zones, engines, shortcuts."""

from __future__ import annotations

import copy
import datetime
import logging
import pickle

import pytest
from asgiref.sync import iscoroutinefunction
from django.conf.urls import handler404
from django.conf.urls.static import static
from django.core.exceptions import DisallowedRedirect, ImproperlyConfigured, SuspiciousOperation
from django.core.files import File
from django.core.paginator import EmptyPage, Paginator
from django.http import (
    FileResponse,
    Http404,
    HttpResponse,
    HttpResponsePermanentRedirect,
    HttpResponseRedirect,
    QueryDict,
)
from django.shortcuts import aget_list_or_404, aget_object_or_404, get_list_or_404, redirect, resolve_url
from django.template import Engine, TemplateDoesNotExist, engines
from django.template.engine import InvalidTemplateEngine
from django.template.library import InvalidTemplateLibrary
from django.test import RequestFactory, override_settings
from django.utils import dateformat, encoding, html, log, text, timezone, translation
from django.utils.datastructures import MultiValueDict
from django.utils.deprecation import MiddlewareMixin
from django.views.generic import RedirectView, TemplateView, View
from django.views.static import serve

factory = RequestFactory()
UTC = datetime.timezone.utc


# Decorators


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


# Laziness, text, zones


def test_text_to_bytes_and_back() -> None:
    assert encoding.force_str(b"a") == encoding.force_str("a") == "a" and encoding.force_str(5) == "5"
    assert encoding.force_bytes("é", "utf-8") == encoding.force_bytes(memoryview(b"\xc3\xa9")) == "é".encode()
    assert encoding.iri_to_uri(None) is encoding.filepath_to_uri(None) is None


def test_html_without_tags() -> None:
    assert html.strip_tags("a &nbsp; &#65; <br/>b") == "a &nbsp; &#65; b"
    with pytest.raises(SuspiciousOperation, match="do not end"):
        html.strip_tags(">" + "<a " * 50_000)
    assert html.strip_tags("<a " * 20 + "x" * 2_000 + ">b") == "b"
    with pytest.raises(SuspiciousOperation, match="after 50 times"):
        html.strip_tags("<" * 60 + "b>" * 60)
    assert html.strip_tags("<" * 40 + "b>" * 40 + "c") == "c"


def test_text_by_hand() -> None:
    with pytest.raises(ValueError, match="not in quotes"):
        text.unescape_string_literal("abc")


def test_zones() -> None:
    moment = datetime.datetime(2026, 6, 1, 12, tzinfo=UTC)
    with override_settings(TIME_ZONE="Europe/Berlin"):
        assert timezone.localtime(moment).hour == 14
    with override_settings(TIME_ZONE="Nowhere/Land"), pytest.raises(ValueError, match="pip install tzdata"):
        timezone.get_default_timezone()
    with override_settings(USE_TZ=False):
        for name, hours in (("Asia/Tokyo", 9), ("UTC", 0), ("America/Phoenix", -7)):
            with override_settings(TIME_ZONE=name):
                ahead = timezone.now() - datetime.datetime.now(UTC).replace(tzinfo=None)
                assert timezone.is_naive(timezone.now()) and round(ahead.total_seconds() / 3600) == hours


def test_format_letters_and_what_they_need() -> None:
    assert dateformat.format(datetime.date(2026, 11, 11), "jS") == "11th"
    assert [dateformat.format(datetime.date(2026, 11, day), "S") for day in (1, 2, 3, 4, 13, 21, 22, 23)] == [
        "st", "nd", "rd", "th", "th", "st", "nd", "rd",
    ]  # fmt: skip
    with pytest.raises(TypeError, match="'H' formats a time of day"):
        dateformat.format(datetime.date(2026, 11, 11), "H")
    for value in (datetime.time(1), datetime.datetime(2026, 1, 1)):
        with pytest.raises(AttributeError, match="'Y' formats a date"):
            dateformat.time_format(value, "Y")
    with pytest.raises(AttributeError, match="'Y' formats a date"):
        dateformat.format(datetime.time(1), "Y")
    assert dateformat.format(datetime.datetime(2026, 1, 1), "O|e|Z") == "+0000||0"


def test_nothing_is_translated() -> None:
    assert (
        translation.gettext("a") == translation.pgettext("menu", "a") == translation.gettext_lazy("a") == "a"
    )
    assert translation.ngettext("one", "many", 1) == "one" and translation.get_language() == "en-us"


def test_collections() -> None:
    values = MultiValueDict({"a": [1]})
    deep = copy.deepcopy(values)
    deep.setlistdefault("a").append(2)
    assert values.getlist("a") == [1] and deep.getlist("a") == [1, 2]
    query = QueryDict("a=1", mutable=True)
    del query["a"]
    query["b"] = "2"
    assert query.pop("b") == ["2"] and copy.copy(query) == query
    for change in (lambda q: q.clear(), lambda q: q.setlistdefault("a"), lambda q: q.__delitem__("a")):
        with pytest.raises(AttributeError, match="change a copy"):
            change(QueryDict("a=1"))


def test_a_query_can_be_pickled() -> None:
    for query in (QueryDict("a=1&a=2&b="), MultiValueDict({"a": ["1", "2"], "b": [""]})):
        again = pickle.loads(pickle.dumps(query))
        assert type(again) is type(query) and dict(again.lists()) == {"a": ["1", "2"], "b": [""]}
    again = pickle.loads(pickle.dumps(QueryDict("a=%E9", encoding="latin-1")))
    assert again.encoding == "latin-1" and again.urlencode() == "a=%E9"
    with pytest.raises(AttributeError, match="cannot be changed"):
        again["a"] = "1"
    assert pickle.loads(pickle.dumps(QueryDict("a=1", mutable=True))).setdefault("b", "2") == "2"


def test_log_filters() -> None:
    record = logging.makeLogRecord({"msg": "x"})
    assert not log.RequireDebugTrue().filter(record) and log.RequireDebugFalse().filter(record)
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


def test_redirects_have_a_limit_of_length() -> None:
    """The one of Django 5.2."""
    for kind in (HttpResponseRedirect, HttpResponsePermanentRedirect):
        assert len(kind("/" + "é" * 16_383).url) > 16_384
        with pytest.raises(DisallowedRedirect, match="a URL of 16385 characters is refused: at most 16384"):
            kind("/" * 16_385)
        with pytest.raises(DisallowedRedirect, match="16385 characters"):
            kind("\ud800" * 16_385)  # no text at all, which nobody looks at


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
        for name, kind in (
            ("../a.tar.xz", "application/x-xz"),
            ("a.tar.gz", "application/gzip"),
            ("/a/b.tar.Z", "application/x-compress"),
            ("b.txt", "text/plain"),
            ("b.unknown", "application/octet-stream"),
        ):
            response = FileResponse(path.open("rb"), filename=name)
            assert response["Content-Type"] == kind
            assert response["Content-Disposition"] == f'inline; filename="{name.rpartition("/")[2]}"'
            response.close()
    with pytest.raises(AttributeError):
        _ = File.__new__(File).file


# Users, views


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

    class Refuses(RedirectView):
        def get(self, request, *args, **kwargs):
            return HttpResponse(status=403)

    for method in ("get", "head", "post", "options", "delete", "put", "patch"):
        assert Refuses.as_view(url="/x/")(getattr(factory, method)("/")).status_code == 403, method
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
