"""From a request to a response: views, middleware, error pages, static files, ASGI and WSGI."""

from __future__ import annotations

import asyncio
import io
import logging
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.asgi import get_asgi_application
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_finished, request_started
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.security import SecurityMiddleware
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from django.views.generic import View

from compat.sessions import session_store
from tests.shim.django_subset.inside import middleware, views

PACKAGE = "tests.shim.django_subset.inside"
debug = override_settings(DEBUG=True)


class Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def lines(self) -> list[str]:
        return [f"{record.levelname} {record.getMessage()}" for record in self.records]


@pytest.fixture
def log() -> Iterator[Records]:
    records = Records()
    logger = logging.getLogger("django")
    logger.addHandler(records)
    yield records
    logger.removeHandler(records)


@pytest.fixture
def calm() -> Client:
    """A client that shows error pages and does not raise."""
    return Client(raise_request_exception=False)


# Views


def test_views_get_their_arguments(client: Client) -> None:
    assert client.get("/hello/b%20%C3%A9/").text == "hello b é"
    assert client.get("/archive/2020/").text == "2020 all"
    assert client.get("/archive/2020/05/").text == "2020 05"
    assert client.get("/old/5/x/").text == "5 x"


async def test_sync_views_run_in_a_thread_and_async_views_on_the_loop() -> None:
    client = AsyncClient()
    assert (await client.get("/thread/")).text != threading.current_thread().name
    assert (await client.get("/async/1/")).text == f"async 2 in {threading.current_thread().name}"


async def test_a_view_that_blocks_holds_nobody_else_up() -> None:
    entered, go_on = threading.Event(), threading.Event()

    def blocking(request: Any) -> HttpResponse:
        entered.set()
        assert go_on.wait(20)
        return HttpResponse("late")

    urls = type(
        "urls", (), {"urlpatterns": [path("slow/", blocking), path("fast/", lambda r: HttpResponse("fast"))]}
    )
    with override_settings(ROOT_URLCONF=urls):
        application = ASGIHandler()
        slow = asyncio.create_task(asked(application, "/slow/"))
        await asyncio.to_thread(entered.wait, 20)
        assert (await asked(application, "/fast/")).body == b"fast"
        go_on.set()
        assert (await slow).body == b"late"


def test_class_based_views(client: Client, log: Records) -> None:
    assert client.get("/cbv/").text == "hi get" and client.post("/cbv/").text == "post"
    assert client.get("/cbv/?a=1").wsgi_request.GET["a"] == "1"
    head = client.head("/cbv/")
    assert head.status_code == 200 and head["Content-Length"] == "6"
    assert client.options("/cbv/")["Allow"] == "GET, POST, HEAD, OPTIONS"
    refused = client.put("/cbv/")
    assert refused.status_code == 405 and "GET" in refused["Allow"]
    assert log.lines == ["WARNING Method Not Allowed (PUT): /cbv/"]
    assert client.get("/async-cbv/").text == "async get"
    assert client.post("/async-cbv/").status_code == 405
    assert client.options("/async-cbv/")["Allow"] == "GET, HEAD, OPTIONS"
    assert views.AsyncThings.view_is_async and not views.Things.view_is_async and not View.view_is_async
    assert [*View.http_method_names, "link"] == View.http_method_names + ["link"]  # noqa: RUF005 - as projects write it
    assert "Generic - Site" in client.get("/generic/").text
    assert client.get("/moved/").url == "/"


def test_views_that_return_nothing_are_told_so(client: Client) -> None:
    with pytest.raises(ValueError, match=r"views\.returns_nothing returned None and no response"):
        client.get("/none/")
    with pytest.raises(ValueError, match="is there an await missing"):
        client.get("/forgot-await/")


def test_middleware_that_returns_nothing_is_told_so() -> None:
    with override_settings(MIDDLEWARE=[f"{PACKAGE}.middleware.forgetful"]):
        with pytest.raises(ValueError, match=r"the middleware .*middleware\.forgetful returned None"):
            Client().get("/")


def test_a_view_that_returns_text_is_told_so() -> None:
    urls = type("urls", (), {"urlpatterns": [path("", lambda request: "text")]})
    with override_settings(ROOT_URLCONF=urls), pytest.raises(ValueError, match=r"a str .* HttpResponse\(…\)"):
        Client().get("/")


def test_streams_and_files(client: Client) -> None:
    assert b"".join(client.get("/stream/").streaming_content) == "abé".encode()
    assert b"".join(client.get("/async-stream/").streaming_content) == b"xy"
    response = client.get("/file/")
    assert response["Content-Disposition"] == "attachment; filename*=utf-8''notes%20%C3%A9.txt"
    assert response["Content-Type"] == "text/plain" and b"".join(response.streaming_content) == b"content"


@pytest.mark.parametrize("path_", ["/", "/stream/", "/async-stream/", "/file/", "/static/rooms/style.css"])
def test_a_client_gets_no_body_for_head(client: Client, path_: str) -> None:
    with debug:
        assert client.head(path_).getvalue() == b"" and client.get(path_).getvalue()


@pytest.mark.parametrize("status", [204, 304])
def test_a_client_gets_no_body_with_a_status_that_has_none(client: Client, status: int) -> None:
    urls = type("urls", (), {"urlpatterns": [path("", lambda request: JsonResponse({}, status=status))]})
    with override_settings(ROOT_URLCONF=urls):
        assert client.get("/").content == b""


def test_forms_reach_the_view(client: Client) -> None:
    answer = client.post("/upload/", {"a": "1", "file": io.BytesIO(b"data")}).json()
    assert answer["fields"] == {"a": ["1"]}
    assert answer["files"] == {"file": [["file", 4, "application/octet-stream", "data"]]}
    with tempfile.TemporaryFile() as nameless:
        answer = client.post("/upload/", {"f.txt": nameless}).json()
    assert answer["files"] == {"f.txt": [["f.txt", 0, "application/octet-stream", ""]]}
    file = io.BytesIO(b"data")
    file.name = "d.bin"
    answer = client.post("/upload/", {"file": file}).json()
    assert answer["files"] == {"file": [["d.bin", 4, "application/octet-stream", "data"]]}
    assert client.post("/echo/", {"a": [1]}, content_type="application/json").content == b'{"a": [1]}'
    assert client.get("/json/", {"q": ["a", "b"]}).json() == {"method": "GET", "q": ["a", "b"]}


def test_redirects(client: Client) -> None:
    assert client.get("/redirect/").url == "/hello/there/"
    with pytest.raises(ImportError, match="follow, an argument of the test client, needs the real Django"):
        client.get("/redirect/", follow=True)
    with pytest.raises(AttributeError, match=r"Client\.login needs the real Django"):
        client.login(username="ann")
    assert not hasattr(client, "force_login") and not hasattr(client, "nope")


# Middleware


STYLES = [
    f"{PACKAGE}.middleware.{name}"
    for name in ("function_style", "ClassStyle", "MixinStyle", "AsyncStyle", "both", "Unused")
]


@override_settings(MIDDLEWARE=STYLES)
def test_middleware_of_the_projects_own_runs_in_every_style() -> None:
    client = Client()
    assert client.get("/").headers["X-Trace"] == "both async mixin class function "
    assert client.get("/headers/").json()["seen"] == "function"
    assert client.get("/by-process-request/").text == "process_request"
    assert client.get("/by-process-view/").text == "process_view for home {}"
    assert client.get("/lookup/").status_code == 418


@override_settings(MIDDLEWARE=STYLES)
async def test_middleware_of_every_style_under_asgi() -> None:
    answer = await asked(ASGIHandler(), "/")
    assert answer.headers[b"x-trace"] == b"both async mixin class function "


@override_settings(MIDDLEWARE=[f"{PACKAGE}.middleware.function_style", f"{PACKAGE}.middleware.failing"])
def test_what_middleware_raises_becomes_a_page_for_the_middleware_outside(log: Records) -> None:
    response = Client(raise_request_exception=False).get("/middleware-fails/")
    assert response.status_code == 500 and response["X-Trace"] == "function "
    assert log.lines == ["ERROR Internal Server Error: /middleware-fails/"]


HOOKS = [f"{PACKAGE}.middleware.{name}" for name in ("Frames", "Around", "Frames", "Fails")]


@pytest.mark.parametrize(
    ("path", "status", "trace", "told"),
    [
        ("/", 200, "fails frames around frames ", []),
        ("/by-frames/", 200, "frames ", []),
        ("/raise/404/", 404, "fails frames around frames ", ["WARNING Not Found: /raise/404/"]),
        *(
            (path, 500, "frames around frames ", [f"ERROR Internal Server Error: {path}"])
            for path in ("/request-hook-fails/", "/response-hook-fails/", "/response-hook-forgets/")
        ),
    ],
)
@pytest.mark.parametrize("on_loop", [False, True])
@override_settings(MIDDLEWARE=HOOKS)
async def test_hooks_see_what_those_inside_answer(
    path: str,
    status: int,
    trace: str,
    told: list[str],
    on_loop: bool,
    log: Records,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A project's run in threads; the subset's own, which run on the loop, do the same."""
    for kind in (middleware.Frames, middleware.Around, middleware.Fails):
        assert not kind.hooks_run_on_loop
        monkeypatch.setattr(kind, "hooks_run_on_loop", on_loop)
    answer = await asked(ASGIHandler(), path)
    assert (answer.status, answer.headers[b"x-trace"].decode()) == (status, trace)
    assert answer.headers[b"x-frame-options"] == b"DENY"
    assert log.lines == told


class FramesByPath(XFrameOptionsMiddleware):
    def get_xframe_options_value(self, request: Any, response: Any) -> str:
        return "SAMEORIGIN" if request.path == "/" else super().get_xframe_options_value(request, response)


@override_settings(MIDDLEWARE=[f"{__name__}.FramesByPath"])
def test_a_project_decides_by_the_request_who_may_show_a_page_in_a_frame(client: Client) -> None:
    assert client.get("/")["X-Frame-Options"] == "SAMEORIGIN"
    assert client.get("/json/")["X-Frame-Options"] == "DENY"


class AddsNoSlash(CommonMiddleware):
    def should_redirect_with_slash(self, request: Any) -> bool:
        return request.path != "/form" and super().should_redirect_with_slash(request)

    def get_full_path_with_slash(self, request: Any) -> str:
        return f"{super().get_full_path_with_slash(request)}#slash"


@override_settings(MIDDLEWARE=[f"{__name__}.AddsNoSlash"])
def test_a_project_decides_which_slashes_are_added(client: Client) -> None:
    assert client.get("/rooms/lobby?a=b").url == "/rooms/lobby/?a=b#slash"
    assert client.get("/form").status_code == 404


class RedirectsNobody(SecurityMiddleware):
    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        self.redirect, self.sts_seconds = False, 5


@override_settings(MIDDLEWARE=[f"{__name__}.RedirectsNobody"])
def test_a_project_has_its_own_values_of_the_settings_for_security(client: Client) -> None:
    with override_settings(SECURE_SSL_REDIRECT=True, SECURE_HSTS_PRELOAD=True):
        assert client.get("/").status_code == 200
        assert client.get("/", secure=True)["Strict-Transport-Security"] == "max-age=5; preload"


class ExemptsMore(SecurityMiddleware):
    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        self.redirect_exempt.append(re.compile("^rooms/"))

    def process_response(self, request: Any, response: Any) -> Any:
        response["X-Exempt"] = " ".join(pattern.pattern for pattern in self.redirect_exempt)
        return super().process_response(request, response)


@override_settings(
    MIDDLEWARE=[f"{__name__}.ExemptsMore"], SECURE_SSL_REDIRECT=True, SECURE_REDIRECT_EXEMPT=["^json/$"]
)
def test_a_project_adds_to_the_paths_that_are_not_redirected_to_https(client: Client) -> None:
    assert client.get("/json/")["X-Exempt"] == "^json/$ ^rooms/"
    assert [client.get(path).status_code for path in ("/json/", "/rooms/lobby/", "/")] == [200, 200, 301]


class CountsMessages(MessageMiddleware):
    def process_response(self, request: Any, response: Any) -> Any:
        response = super().process_response(request, response)
        response["X-Messages"] = str(len(request._messages))
        return response


@override_settings(
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", f"{__name__}.CountsMessages"]
)
def test_a_project_adds_to_the_middleware_of_messages(client: Client) -> None:
    assert client.get("/")["X-Messages"] == "0"


class SessionsByHeader(SessionMiddleware):
    """A mobile client has no cookies; and the cookie of the others is of their own domain."""

    def process_request(self, request: Any) -> None:
        key = request.headers.get("X-Session")
        if key is None:
            super().process_request(request)
        else:
            request.session = self.SessionStore(key)

    def process_response(self, request: Any, response: Any) -> Any:
        response = super().process_response(request, response)
        if settings.SESSION_COOKIE_NAME in response.cookies:
            response.cookies[settings.SESSION_COOKIE_NAME]["domain"] = request.get_host()
        return response


class OwnSession(session_store()):
    pass


class OwnSessions(SessionMiddleware):
    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        self.SessionStore = OwnSession


@override_settings(MIDDLEWARE=[f"{__name__}.OwnSessions"])
def test_a_project_has_a_store_of_its_own_for_sessions(client: Client) -> None:
    assert type(client.get("/").wsgi_request.session) is OwnSession


@pytest.mark.parametrize("in_session", [False, True])
@override_settings(MIDDLEWARE=[f"{__name__}.SessionsByHeader"])
def test_a_project_changes_how_sessions_come_and_go(client: Client, in_session: bool) -> None:
    with override_settings(CSRF_USE_SESSIONS=in_session):
        response = client.get("/session/")
        cookie = response.cookies[settings.SESSION_COOKIE_NAME]
        assert response.text == "1" and cookie["domain"] == "testserver"
        assert client.get("/session/").text == "2"
        assert Client().get("/session/", headers={"X-Session": cookie.value}).text == "3"
        assert Client().get("/session/").text == "1"


class NoSessionForScripts(SessionMiddleware):
    def process_request(self, request: Any) -> None:
        if request.path != "/json/":
            super().process_request(request)


def removes_session(get_response: Any) -> Any:
    def middleware(request: Any) -> Any:
        del request.session
        return get_response(request)

    return middleware


@pytest.mark.parametrize("middleware", [["NoSessionForScripts"], ["SessionMiddleware", "removes_session"]])
def test_a_project_keeps_a_request_without_a_session(client: Client, middleware: list[str]) -> None:
    with override_settings(MIDDLEWARE=[f"{__name__}.{name}" for name in middleware]):
        response = client.get("/json/")
    assert (response.status_code, response.cookies) == (200, {})


def test_middleware_of_djangos_that_is_not_served_is_left_out_and_a_wrong_name_is_not() -> None:
    with override_settings(MIDDLEWARE=["django.middleware.gzip.GZipMiddleware"]):
        assert Client().get("/").text == "home"
    with override_settings(MIDDLEWARE=["mysite.nope.Middleware"]), pytest.raises(ImportError):
        Client().get("/")
    with (
        override_settings(MIDDLEWARE=["builtins.print"]),
        pytest.raises(ImproperlyConfigured, match="returned None"),
    ):
        Client().get("/")


def test_headers_that_the_middleware_of_a_fresh_project_sets(client: Client) -> None:
    headers = client.get("/").headers
    assert {name: headers[name] for name in headers if name != "Content-Type"} == {
        "X-Frame-Options": "DENY",
        "Content-Length": "4",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    with override_settings(
        SECURE_SSL_REDIRECT=True,
        SECURE_HSTS_SECONDS=60,
        SECURE_HSTS_INCLUDE_SUBDOMAINS=True,
        SECURE_HSTS_PRELOAD=True,
        SECURE_REDIRECT_EXEMPT=[r"^json/"],
        X_FRAME_OPTIONS="sameorigin",
    ):
        assert client.get("/form/?a=b").url == "https://testserver/form/?a=b"
        assert client.get("/json/").status_code == 200
        secure = client.get("/", secure=True)
        assert secure["Strict-Transport-Security"] == "max-age=60; includeSubDomains; preload"
        assert secure["X-Frame-Options"] == "SAMEORIGIN"
        assert "Strict-Transport-Security" not in client.get("/json/")


def test_a_view_says_itself_who_may_show_it_in_a_frame(client: Client) -> None:
    framed = path("", lambda request: HttpResponse(headers={"X-Frame-Options": "SAMEORIGIN"}))
    with override_settings(ROOT_URLCONF=type("urls", (), {"urlpatterns": [framed]})):
        assert client.get("/")["X-Frame-Options"] == "SAMEORIGIN"


def test_a_missing_slash_is_added(client: Client, log: Records) -> None:
    response = client.get("/rooms/lobby?a=b")
    assert (response.status_code, response.url) == (301, "/rooms/lobby/?a=b")
    assert log.lines == []
    assert client.get("/nowhere").status_code == 404
    anything = type("urls", (), {"urlpatterns": [path("<path:anything>/", lambda request, anything: None)]})
    with override_settings(ROOT_URLCONF=anything):  # the redirect stays on this site
        assert client.get("http://testserver//evil.example").url == "/%2Fevil.example/"
    with (
        debug,
        pytest.raises(RuntimeError, match="POST /form: the path lacks its slash"),
    ):
        client.post("/form", {"text": "x"})
    with override_settings(APPEND_SLASH=False):
        assert client.get("/rooms/lobby").status_code == 404


def test_www_and_unwanted_agents(client: Client) -> None:
    with override_settings(PREPEND_WWW=True, ALLOWED_HOSTS=["*"]):
        assert client.get("/form").url == "http://www.testserver/form/"
    with override_settings(DISALLOWED_USER_AGENTS=[__import__("re").compile("Bad")]):
        assert client.get("/", headers={"user-agent": "Bad Bot"}).status_code == 403


# Error pages, one record each


def test_pages_for_errors(calm: Client, log: Records) -> None:
    answers = {what: calm.get(f"/raise/{what}/") for what in ("404", "403", "400", "500", "own404")}
    assert {what: answer.status_code for what, answer in answers.items()} == {
        "404": 404,
        "403": 403,
        "400": 400,
        "500": 500,
        "own404": 404,
    }
    assert answers["404"].text == "our own 404 for /raise/404/"
    assert answers["500"].text == "our own 500\n"
    assert "403 Forbidden" in answers["403"].text and "not yours" not in answers["403"].text
    assert log.lines == [
        "WARNING Not Found: /raise/404/",
        "WARNING Forbidden (Permission denied): /raise/403/",
        "ERROR /raise/400/: odd",
        "ERROR Internal Server Error: /raise/500/",
        "WARNING Not Found: /raise/own404/",
    ]
    assert (
        log.records[3].exc_info is not None and log.records[2].name == "django.security.SuspiciousOperation"
    )


@debug
def test_pages_for_errors_while_debug_is_on(calm: Client, log: Records) -> None:
    missing = calm.get("/no/<such>/page/")
    assert missing.status_code == 404
    for text in (
        "hello/&lt;str:name&gt;/ [name=&#x27;hello&#x27;]",
        "rooms/",
        "no/&lt;such&gt;/page/",
        f"{PACKAGE}.urls",
    ):
        assert text in missing.text, text
    assert "there is no such thing" in calm.get("/raise/404/").text
    failed = calm.get("/raise/500/")
    assert failed.status_code == 500
    for text in ("ValueError at /raise/500/", "a &lt;secret&gt; bug", "views.py", "DEBUG = False"):
        assert text in failed.text, text
    assert "Traceback" in calm.get("/raise/500/", headers={"accept": "application/json"}).text
    assert calm.get("/raise/400/").status_code == 400
    assert [line.split(":")[0] for line in log.lines] == [
        "WARNING Not Found",
        "WARNING Not Found",
        "ERROR Internal Server Error",
        "ERROR Internal Server Error",
        "ERROR /raise/400/",
    ]


def test_errors_reach_the_test_unless_it_asks_for_pages(client: Client) -> None:
    with pytest.raises(ValueError, match="bug"):
        client.get("/raise/500/")


def test_what_needs_models_says_so(client: Client) -> None:
    with pytest.raises(
        ImportError, match=r"get_object_or_404\(View\) needs the real Django.*pip install django"
    ):
        client.get("/raise/model/")


def test_an_unknown_host_is_refused(calm: Client, log: Records) -> None:
    assert calm.get("/", headers={"host": "evil.org"}).status_code == 400
    assert log.lines == ["ERROR /: the host 'evil.org' is refused: ALLOWED_HOSTS does not list 'evil.org'"]


@override_settings(
    ROOT_URLCONF=type("urls", (), {"urlpatterns": [], "handler404": lambda r, exception: 1 / 0})
)
def test_an_error_in_the_handler_of_errors(log: Records) -> None:
    assert Client(raise_request_exception=False).get("/x/").status_code == 500
    assert log.lines == ["ERROR Internal Server Error: /x/"]


@override_settings(
    ROOT_URLCONF=type(
        "urls", (), {"urlpatterns": [path("", lambda r: 1 / 0)], "handler500": lambda request: 1 / 0}
    )
)
def test_an_error_in_the_handler_of_500(log: Records) -> None:
    response = Client(raise_request_exception=False).get("/")
    assert response.status_code == 500 and "Server Error (500)" in response.text
    assert log.lines == ["ERROR the page for an error failed itself: /", "ERROR Internal Server Error: /"]


# The admin, static files


def test_the_admin_says_why_it_is_not_there(client: Client, log: Records) -> None:
    for url in ("/admin/", "/admin/login/", "/admin/rooms/room/5/change/"):
        response = client.get(url)
        assert response.status_code == 501
        assert "<pre>pip install django\npython manage.py migrate</pre>" in response.text
    assert (
        log.lines[0]
        == "WARNING Not Implemented: /admin/: the admin needs the real Django (pip install django)"
    )
    assert len(log.lines) == 3
    assert client.get("/admin/%1B[2J/").status_code == 501
    assert log.lines[3].startswith(r"WARNING Not Implemented: /admin/\x1b[2J/: the admin")
    from django.urls import reverse

    assert reverse("admin:index") == "/admin/"


@debug
def test_static_files_are_served_while_debug_is_on(log: Records) -> None:
    client = Client()
    style = client.get("/static/rooms/style.css")
    assert b"".join(style.streaming_content) == b"body { color: red }\n"
    assert style["Content-Type"] == "text/css; charset=utf-8" and style["Content-Length"] == "20"
    assert client.get("/static/rooms/app.js")["Content-Type"].split(";")[0] in (
        "text/javascript",
        "application/javascript",
    )
    assert b"".join(client.get("/static/notes.txt").streaming_content) == b"from assets\n"
    assert client.head("/static/rooms/style.css").status_code == 200
    fresh = client.get("/static/rooms/style.css", headers={"if-modified-since": style["Last-Modified"]})
    assert fresh.status_code == 304
    assert log.lines == []
    for path_ in (
        "nope.css",
        "rooms/",
        "",
        "../urls.py",
        "rooms/../../../urls.py",
        "..%2f..%2furls.py",
        "%2fetc/passwd",
        "..\\urls.py",
    ):
        assert client.get(f"/static/{path_}").status_code == 404, path_
    assert all(line.startswith("WARNING Not Found: /static/") for line in log.lines) and len(log.lines) == 8


def test_static_files_are_not_served_otherwise(client: Client) -> None:
    assert client.get("/static/rooms/style.css").status_code == 404
    with override_settings(DEBUG=True, INSTALLED_APPS=[f"{PACKAGE}.rooms"]):
        assert Client().get("/static/rooms/style.css").status_code == 404
    with override_settings(DEBUG=True, STATIC_URL="https://cdn.example.com/static/"):
        assert Client().get("/static/rooms/style.css").status_code == 404


def test_static_urls() -> None:
    from django.contrib.staticfiles import finders
    from django.contrib.staticfiles.storage import staticfiles_storage
    from django.contrib.staticfiles.urls import staticfiles_urlpatterns
    from django.templatetags.static import static

    assert static("a b.css") == "/static/a%20b.css" == staticfiles_storage.url("a b.css")
    assert finders.find("rooms/style.css").endswith("style.css") and finders.find("nope") is None
    assert len(finders.find("rooms/style.css", find_all=True)) == 1
    assert staticfiles_storage.exists("notes.txt") and staticfiles_storage.path("nope") is None
    assert staticfiles_urlpatterns() == []
    with debug:
        assert len(staticfiles_urlpatterns()) == 1


# ASGI


class Answer:
    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.messages = messages
        self.status = messages[0]["status"]
        self.headers = dict(messages[0]["headers"])
        self.body = b"".join(message.get("body", b"") for message in messages[1:])


async def asked(application: Any, path: str, *body: bytes, method: str = "GET", **scope: Any) -> Answer:
    """One request, the body in pieces; the client stays until it has the answer."""
    sent: list[dict[str, Any]] = []
    done = asyncio.Event()
    pieces = [{"type": "http.request", "body": piece, "more_body": True} for piece in body]
    pieces.append({"type": "http.request", "body": b""})

    async def receive() -> dict[str, Any]:
        if pieces:
            return pieces.pop(0)
        await done.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"testserver")],
        **scope,
    }
    await application(scope, receive, send)
    done.set()
    return Answer(sent)


async def test_the_asgi_application_answers_http() -> None:
    application = get_asgi_application()
    assert (await asked(application, "/hello/b é/")).body == "hello b é".encode()
    echoed = await asked(application, "/echo/", b"a" * 2_000_000, b"b", method="POST")
    assert echoed.status == 200 and len(echoed.body) == 2_000_001
    head = await asked(application, "/hello/x/", method="HEAD")
    assert head.body == b"" and head.headers[b"content-length"] == b"7"
    streamed = await asked(application, "/stream/")
    assert streamed.body == "abé".encode() and streamed.messages[-1] == {
        "type": "http.response.body",
        "body": b"",
        "more_body": False,
    }
    assert (await asked(application, "/stream/", method="HEAD")).body == b""
    cookies = await asked(
        application, "/cookies/", headers=[(b"host", b"testserver"), (b"cookie", b"a=1; b=2")]
    )
    assert cookies.body == b'{"a": "1", "b": "2"}'
    names = [value for name, value in cookies.messages[0]["headers"] if name == b"set-cookie"]
    assert any(value.startswith(b'colour="dark blue"; ') for value in names) and len(names) == 2


@pytest.mark.parametrize("status", [204, 304])
async def test_a_response_that_has_no_body_in_http_has_no_length(status: int) -> None:
    urls = type("urls", (), {"urlpatterns": [path("", lambda request: JsonResponse({}, status=status))]})
    with override_settings(ROOT_URLCONF=urls):
        answer = await asked(get_asgi_application(), "/")
    assert (answer.status, answer.body) == (status, b"") and b"content-length" not in answer.headers


async def test_the_asgi_application_takes_http_only() -> None:
    for kind in ("websocket", "lifespan"):
        with pytest.raises(ValueError, match=f"takes HTTP, not {kind}"):
            await get_asgi_application()({"type": kind}, None, None)  # type: ignore[arg-type]


async def test_the_asgi_application_below_a_mount() -> None:
    application = get_asgi_application()
    assert (await asked(application, "/headers/", root_path="/head")).status == 200  # of whole segments
    for path_ in ("/below/headers/", "/headers/"):  # as Django: the root is taken off, and never put before
        answer = await asked(application, path_, root_path="/below")
        assert f'"absolute": "http://testserver{path_}"'.encode() in answer.body
    with debug:
        style = await asked(application, "/below/static/rooms/style.css", root_path="/below")
        assert style.status == 200
    assert (await asked(application, "/below/redirect/", root_path="/below")).headers[
        b"location"
    ] == b"/below/hello/there/"


async def test_what_a_scope_has_is_in_meta() -> None:
    headers = [
        (b"host", b"testserver"),
        (b"x-a", b"1"),
        (b"x-a", b"2"),
        (b"x_b", b"spoofed"),
        (b"content-type", b"t/x"),
    ]
    seen = {}

    def view(request: Any) -> HttpResponse:
        seen.update(request.META)
        return HttpResponse(request.scheme)

    with override_settings(ROOT_URLCONF=type("urls", (), {"urlpatterns": [path("", view)]})):
        answer = await asked(
            get_asgi_application(),
            "/",
            headers=headers,
            client=("1.2.3.4", 5),
            server=("h", 80),
            scheme="https",
        )
    assert answer.body == b"https"
    assert (seen["HTTP_X_A"], seen["CONTENT_TYPE"], seen["REMOTE_ADDR"]) == ("1,2", "t/x", "1.2.3.4")
    assert (seen["SERVER_NAME"], seen["SERVER_PORT"]) == ("h", "80") and "HTTP_X_B" not in seen


async def test_a_request_that_cannot_be_read_is_a_400(log: Records) -> None:
    answer = await asked(get_asgi_application(), "/", query_string=b"\xff")
    assert answer.status == 400 and len(log.lines) == 1


async def test_a_client_that_leaves_while_sending_gets_nothing() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        raise AssertionError(message)

    await get_asgi_application()({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send)


async def test_a_stream_ends_when_its_reader_leaves() -> None:
    ended = asyncio.Event()

    async def view(request: Any) -> StreamingHttpResponse:
        async def endless():
            try:
                while True:
                    yield b"x"
                    await asyncio.sleep(0)
            finally:
                ended.set()

        return StreamingHttpResponse(endless())

    sent: list[Any] = []
    leave = asyncio.Event()
    first = [{"type": "http.request", "body": b""}]

    async def receive() -> dict[str, Any]:
        if first:
            return first.pop()
        await leave.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if len(sent) == 10:
            leave.set()

    with override_settings(ROOT_URLCONF=type("urls", (), {"urlpatterns": [path("", view)]})):
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"testserver")]}
        await asyncio.wait_for(get_asgi_application()(scope, receive, send), 20)
    await asyncio.wait_for(ended.wait(), 20)


def long_view(entered: asyncio.Event, ended: asyncio.Event) -> Callable[[Any], Any]:
    """An async view that tells when it begins, and when it is cancelled."""

    async def view(request: Any) -> HttpResponse:
        entered.set()
        try:
            await asyncio.sleep(20)
        finally:
            ended.set()
        return HttpResponse()

    return view


async def test_an_async_view_ends_when_its_client_leaves() -> None:
    entered, ended = asyncio.Event(), asyncio.Event()
    view = long_view(entered, ended)
    first = [{"type": "http.request", "body": b""}]

    async def receive() -> dict[str, Any]:
        if first:
            return first.pop()
        await entered.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        raise AssertionError(message)

    with override_settings(ROOT_URLCONF=type("urls", (), {"urlpatterns": [path("", view)]})):
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"testserver")]}
        await asyncio.wait_for(get_asgi_application()(scope, receive, send), 10)
    assert ended.is_set()


async def test_a_server_that_cancels_a_request_cancels_its_view() -> None:
    entered, ended = asyncio.Event(), asyncio.Event()
    view = long_view(entered, ended)

    with override_settings(ROOT_URLCONF=type("urls", (), {"urlpatterns": [path("", view)]})):
        request = asyncio.create_task(asked(get_asgi_application(), "/"))
        await entered.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
    assert ended.is_set()


async def test_signals_of_a_request() -> None:
    seen: list[str] = []

    def started(sender: Any, **named: Any) -> None:
        seen.append("started")

    async def finished(sender: Any, **named: Any) -> None:
        seen.append("finished")

    request_started.connect(started)
    request_finished.connect(finished)
    await asked(get_asgi_application(), "/")
    request_started.disconnect(started)
    request_finished.disconnect(finished)
    await asked(get_asgi_application(), "/")
    assert seen == ["started", "finished"]


async def test_the_static_files_handler_stands_in_front_of_an_application() -> None:
    from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

    application = ASGIStaticFilesHandler(get_asgi_application())
    with debug:
        assert (await asked(application, "/static/notes.txt")).body == b"from assets\n"
        assert (await asked(application, "/hello/x/")).body == b"hello x"
        for path in ("/static/notes.txt", "/hello/x/"):
            assert (await asked(application, path, query_string=b"\xff")).status == 400
        with pytest.raises(ValueError, match="websocket"):
            await application({"type": "websocket"}, None, None)


# WSGI


def test_the_settings_say_where_they_come_from() -> None:
    assert settings.SETTINGS_MODULE is None
