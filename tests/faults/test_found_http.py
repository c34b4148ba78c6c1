"""HTTP of the subset of Django under attack: bodies, headers, query strings, file names, numbers.

One site is served by uvicorn, with the subset and, for comparison, with the real Django. Beside the site runs
a watch on its event loop; ``/__stats`` tells the longest time (s) without a turn, and the memory (MiB).
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.shim.running import run_code, write
from tests.support.environments import Environment, environment
from tests.support.servers import Server, served
from tests.support.waiting import until

SITE = {
    "mysite__settings": """
        import os
        DEBUG = os.environ.get("SITE_DEBUG") == "1"
        SECRET_KEY = "x" * 50
        ALLOWED_HOSTS = ["127.0.0.1"]
        ROOT_URLCONF = "mysite.urls"
        INSTALLED_APPS = ["django.contrib.staticfiles"]
        STATIC_URL = "static/"
        STATICFILES_DIRS = ["assets"]
        TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
        MIDDLEWARE = [
            "django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"
        ]
    """,
    "mysite__urls": """
        import time
        from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
        from django.template import engines
        from django.urls import path
        from django.views.decorators.csrf import csrf_exempt

        def form(request):
            return JsonResponse({
                "fields": {name: [value[:100] for value in values] for name, values in request.POST.lists()},
                "files": {name: [(f.name, f.size) for f in files] for name, files in request.FILES.lists()},
            })

        async def async_form(request):
            return form(request)

        def query(request):
            return JsonResponse(dict(request.GET.lists()))

        def body(request):
            return JsonResponse({"length": len(request.body)})

        async def async_body(request):
            return body(request)

        def stream(request):
            length = 0
            while piece := request.read(65536):
                length += len(piece)
            return JsonResponse({"length": length})

        def unread(request):
            return HttpResponse("ok")

        def failing(request):
            request.FILES
            raise RuntimeError("after the form was read")

        def slow(request):
            request.FILES
            time.sleep(0.5)
            return HttpResponse("ok")

        def blocking(request):
            def pieces():
                yield b"first"
                time.sleep(5)
                yield b"last"
            return StreamingHttpResponse(pieces())

        urlpatterns = [
            path("", unread),
            path("blocking/", blocking),
            path("checked/", form),
            path("query/", query),
            path("async-checked/", async_form),
            *(
                path(f"{view.__name__}/", csrf_exempt(view))
                for view in (form, async_form, body, async_body, stream, unread, failing, slow)
            ),
        ]
    """,
    "mysite__asgi": """
        import asyncio, contextlib, json, os, time
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
        from django.core.asgi import get_asgi_application
        project = get_asgi_application()
        worst, watching, escaped = 0.0, None, []

        async def watch():  # in processor time: others may use the processor too
            global worst
            last = time.thread_time()
            while True:
                await asyncio.sleep(0.001)
                now = time.thread_time()
                worst, last = max(worst, now - last), now

        def memory(name):
            with open("/proc/self/status") as file:
                return next(int(line.split()[1]) for line in file if line.startswith(name)) / 1024

        def open_files():
            for fd in os.listdir("/proc/self/fd"):
                with contextlib.suppress(FileNotFoundError):  # a thread has closed it meanwhile
                    yield os.readlink(f"/proc/self/fd/{fd}")

        async def application(scope, receive, send):
            global worst, watching
            watching = watching or asyncio.ensure_future(watch())
            if scope["path"] != "/__stats":
                try:
                    return await project(scope, receive, send)
                except BaseException as error:
                    escaped.append(repr(error))
                    raise
            answer = {
                "stall": worst, "peak": memory("VmHWM"), "escaped": escaped,
                "files": [name for name in open_files() if name.startswith("/tmp") and "log" not in name],
            }
            worst = 0.0
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")  # the peak begins anew
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
    """,
}

TOKEN = {"Cookie": f"csrftoken={'a' * 32}", "X-CSRFToken": "a" * 32}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=BOUNDARY", **TOKEN}
FORM = {"Content-Type": "application/x-www-form-urlencoded", **TOKEN}
FIELD = b'Content-Disposition: form-data; name="a"'
FILE = b'Content-Disposition: form-data; name="f"; filename="a.txt"'
END = b"--BOUNDARY--\r\n"
VIEWS = ["checked", "async-checked", "form", "async_form"]
"""With and without the check of the CSRF token, which reads the form too."""


def part(head: bytes, content: bytes = b"v") -> bytes:
    return b"--BOUNDARY\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Site:
    """The site, served."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
        deadline_s: float = 60.0,
    ) -> Answer:
        """One request. A body in pieces is sent chunked, without a Content-Length."""
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=deadline_s)
        begin = time.perf_counter()
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), time.perf_counter() - begin)
        finally:
            connection.close()

    def stats(self) -> Any:
        """Of the time since the last call."""
        answer = self.ask("GET", "/__stats")
        assert answer.status == 200, self.server.log()[-2000:]
        return answer.json


@contextmanager
def site(name: str, folder: Path, **env: str) -> Iterator[Site]:
    """The site in the environment ``name``; where Django is not installed, the subset serves it."""
    write(folder, **{key: _dedented(text) for key, text in SITE.items()})
    (folder / "assets").mkdir(exist_ok=True)
    (folder / "assets" / "a.css").write_text("body {}", encoding="utf-8")
    where = environment(name)
    prefix = [where.path("django-shim")] if name == "bare" else []
    command = [*prefix, where.path("uvicorn"), "mysite.asgi:application", "--port", "{port}"]
    with served(command, cwd=folder, log=folder / f"{name}.log", env=env) as server:
        yield Site(server)


def _dedented(text: str) -> str:
    import textwrap

    return textwrap.dedent(text)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site("bare", tmp_path_factory.mktemp("ours")) as running:
        yield running


HOSTILE_BODIES: dict[str, Callable[[int], bytes]] = {
    "parameters": lambda size: part(b"Content-Disposition: form-data; name=a" + b";" * size) + END,
    "quotes": lambda size: part(b"Content-Disposition: form-data; name=a" + b';x="' * (size // 4)) + END,
    "headers": lambda size: part(FIELD + b"\r\nX: y" * (size // 6)) + END,
    "no end of a header": lambda size: b"--BOUNDARY\r\n" + b"x" * size,
    "no value": lambda size: b"--BOUNDARY\r\nX:" + b" " * size,
    "fields": lambda size: part(FIELD, b"") * (size // 60) + END,
    "files": lambda size: part(FILE, b"") * (size // 80) + END,
    "parts without headers": lambda size: b"--BOUNDARY\r\n\r\n\r\n" * (size // 16) + END,
    "boundaries": lambda size: b"--BOUNDARY\r\n" * (size // 12) + END,
    "a boundary, almost": lambda size: part(FILE, b"\r\n--BOUNDAR!" * (size // 12)) + END,
    "carriage returns": lambda size: part(FILE, b"\r" * size) + END,
    "preamble": lambda size: b"\r\n" + b"-" * size + END,
    "epilogue": lambda size: part(FIELD) + END + b"\r\n--BOUNDARY" * (size // 12),
}


@pytest.mark.parametrize("view", ["checked", "async_form"])
def test_faults_security_h1_no_body_stops_the_event_loop(ours: Site, view: str) -> None:
    """Was: 39 s for a multipart header of 256 KiB."""
    for name, made in HOSTILE_BODIES.items():
        ours.stats()
        answer = ours.ask("POST", f"/{view}/", made(2**18), MULTIPART)
        stats = ours.stats()
        assert answer.status in (200, 400), name
        assert stats["stall"] < 1.5 and answer.seconds < 15, (name, stats, answer.seconds)
        assert not stats["escaped"]


def test_faults_security_h1_time_grows_with_the_size(ours: Site) -> None:
    for name, made in HOSTILE_BODIES.items():
        small = min(ours.ask("POST", "/form/", made(2**17), MULTIPART).seconds for _ in range(2))
        large = min(ours.ask("POST", "/form/", made(2**20), MULTIPART).seconds for _ in range(2))
        assert large < 8 * 4 * max(small, 0.02), (name, small, large)


@pytest.mark.parametrize(
    ("head", "name"), [("Content-Type", "quotes"), ("Content-Type", "parameters"), ("Cookie", "backslashes")]
)
def test_faults_security_h1_headers_of_the_request_too(ours: Site, head: str, name: str) -> None:
    """A Cookie of 60 kB took 20 s before Python 3.12.6, a Content-Type 0.5 s."""
    value = {
        "quotes": "application/x-www-form-urlencoded" + ';x="' * 15_000,
        "parameters": "application/x-www-form-urlencoded" + ";" * 60_000,
        "backslashes": 'a="' + "\\" * 60_000 + '"',
    }[name]
    ours.stats()
    assert ours.ask("POST", "/form/", b"a=1", {**FORM, head: value}).status == 200
    assert ours.stats()["stall"] < 0.4


def test_faults_security_h1_chunks_of_one_byte(ours: Site) -> None:
    body = part(FIELD) + part(FILE, b"x" * 5_000) + END
    answer = ours.ask("POST", "/checked/", (bytes([byte]) for byte in body), MULTIPART)
    assert answer.json == {"fields": {"a": ["v"]}, "files": {"f": [["a.txt", 5_000]]}}


def test_faults_security_h1_one_field_more_than_allowed(ours: Site) -> None:
    """Django's limits, each at its edge."""
    for head, most in ((FIELD, 1_000), (FILE, 100)):
        assert ours.ask("POST", "/form/", part(head) * most + END, MULTIPART).status == 200
        assert ours.ask("POST", "/form/", part(head) * (most + 1) + END, MULTIPART).status == 400
    room = 2_621_440 - len("a") - len("&=")
    assert ours.ask("POST", "/form/", part(FIELD, b"x" * room) + END, MULTIPART).status == 200
    assert ours.ask("POST", "/form/", part(FIELD, b"x" * (room + 1)) + END, MULTIPART).status == 400
    half = part(FIELD, b"x" * (room // 2 + 10))
    assert ours.ask("POST", "/form/", half + half + END, MULTIPART).status == 400


def pieces(total_mib: int, head: bytes = b"", tail: bytes = b"") -> Iterator[bytes]:
    yield head or b""
    for _ in range(total_mib * 16):
        yield b"x" * 2**16
    yield tail


UPLOAD = b"--BOUNDARY\r\n" + FILE + b"\r\n\r\n"


@pytest.mark.parametrize("view", ["checked", "async_form"])
def test_faults_security_h2_an_upload_is_not_held_in_memory(ours: Site, view: str) -> None:
    """Was: four times the upload, and its time on the event loop."""
    ours.ask("POST", f"/{view}/", part(FILE) + END, MULTIPART)
    ours.stats()
    before = ours.stats()["peak"]
    answer = ours.ask("POST", f"/{view}/", pieces(48, UPLOAD, b"\r\n" + END), MULTIPART)
    assert answer.json["files"] == {"f": [["a.txt", 48 * 2**20]]}
    stats = ours.stats()
    assert stats["peak"] - before < 24 and stats["stall"] < 1.0
    assert not stats["files"]


def test_faults_security_h2_a_body_without_a_length_is_bounded_too(ours: Site) -> None:
    """Chunked, DATA_UPLOAD_MAX_MEMORY_SIZE was not looked at."""
    ours.stats()
    before = ours.stats()["peak"]
    assert ours.ask("POST", "/form/", pieces(16, b"a="), FORM).status == 400
    for view in ("body", "async_body"):
        assert ours.ask("POST", f"/{view}/", pieces(16), {"Content-Type": "text/plain"}).status == 400
    big_field = b"--BOUNDARY\r\n" + FIELD + b"\r\n\r\n"
    assert ours.ask("POST", "/form/", pieces(16, big_field, b"\r\n" + END), MULTIPART).status == 400
    # What is read as a stream has no limit, as in Django; what nobody reads costs no memory either.
    assert ours.ask("POST", "/stream/", pieces(16)).json == {"length": 2**24}
    assert ours.ask("POST", "/unread/", pieces(16)).status == 200
    stats = ours.stats()
    assert stats["peak"] - before < 16 and not stats["files"]


def test_faults_security_h2_files_are_closed_however_the_request_ends(ours: Site) -> None:
    upload = UPLOAD + b"x" * 3_000_000 + b"\r\n" + END
    assert ours.ask("POST", "/failing/", upload, MULTIPART).status == 500
    assert ours.ask("POST", "/form/", upload[:-20], MULTIPART).status == 400
    for path, sent in (("/form/", upload[: len(upload) // 2]), ("/slow/", upload)):
        connection = http.client.HTTPConnection(ours.server.host, ours.server.port, timeout=10)
        connection.putrequest("POST", path)
        for name, value in {**MULTIPART, "Content-Length": str(len(upload))}.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(sent)
        connection.close()  # the client leaves: in the middle of its body, or of the view
    until(lambda: not ours.stats()["files"], "every temporary file is closed")
    assert not ours.stats()["escaped"]


def test_faults_security_h2_a_request_that_is_refused_has_its_form_unread(
    bare: Environment, tmp_path: Path
) -> None:
    """Without the cookie, or from elsewhere; with the cookie the form is what the token is looked for in."""
    code = """
        from django.conf import settings
        settings.configure(SECRET_KEY="x", ALLOWED_HOSTS=["testserver"])
        from django.http import HttpResponse
        from django.middleware.csrf import CsrfViewMiddleware
        from django.test import RequestFactory

        check = CsrfViewMiddleware(lambda request: HttpResponse())
        for cookie, origin in (("", ""), ("x" * 32, "http://elsewhere"), ("x" * 32, ""), ("x" * 32, "null")):
            request = RequestFactory().post("/", {"a": "b"})
            request.COOKIES["csrftoken"] = cookie
            if origin:
                request.META["HTTP_ORIGIN"] = origin
            check.process_request(request)
            print(check.reads_form(request, lambda: None), end=" ")
            print(check.process_view(request, lambda: None, (), {}).status_code, request._form is not None)
    """
    printed = run_code(bare, dedent(code), tmp_path).splitlines()
    assert printed == ["False 403 False", "False 403 False", "True 403 True", "False 403 False"]


def test_faults_security_h2_an_installation_without_the_parser_says_so(
    bare: Environment, tmp_path: Path
) -> None:
    code = """
        import sys
        sys.modules["python_multipart"] = None
        from django.conf import settings
        settings.configure(SECRET_KEY="x")
        from django.core.exceptions import ImproperlyConfigured
        from django.test import RequestFactory

        try:
            RequestFactory().post("/", {"a": "b"}).POST
        except ImproperlyConfigured as error:
            print(error)
    """
    printed = run_code(bare, dedent(code), tmp_path)
    assert "python-multipart, which is not installed: pip install 'channels-compat[templates]'" in printed


@pytest.mark.slow
def test_faults_security_h2_as_fast_and_as_small_as_django(tmp_path: Path) -> None:
    """300 MiB, and the hostile bodies: at most twice the time and the memory of the real Django."""
    bodies: dict[str, Any] = {
        **{key: lambda made=made: made(2**19) for key, made in HOSTILE_BODIES.items()},
        "300 MiB": lambda: UPLOAD + b"x" * (300 * 2**20) + b"\r\n" + END,
    }
    for name in ("django", "bare"):
        (tmp_path / name).mkdir()
    with site("django", tmp_path / "django") as real, site("bare", tmp_path / "bare") as ours:
        for key, body in bodies.items():
            content = body()
            for one in (real, ours):
                one.ask("POST", "/checked/", part(FILE) + END, MULTIPART)
                one.stats()
            # In turns, so that what else the machine does concerns both.
            rounds = [
                [one.ask("POST", "/checked/", content, MULTIPART).seconds for one in (real, ours)]
                for _ in range(3)
            ]
            real_s, ours_s = map(min, zip(*rounds, strict=True))
            real_peak, ours_peak = (one.stats()["peak"] for one in (real, ours))
            assert ours_s < 2 * real_s + 0.05 and ours_peak < 2 * real_peak, (key, real_s, ours_s)


BAD_CHARSETS = [
    *("zlib", "idna", "undefined", "rot13", "hex", "base64", "bz2", "quopri", "uu", "punycode"),
    *("unicode_escape", "utf-7", "utf-16", "nope"),
]


@pytest.mark.parametrize("charset", BAD_CHARSETS)
def test_faults_security_m7_no_charset_breaks_out(ours: Site, charset: str) -> None:
    """Was: a traceback out of the application for any request with a %-escape. Django: 200 for these two."""
    headers = {**TOKEN, "Content-Type": f"text/plain; charset={charset}"}
    assert ours.ask("GET", "/query/?a=%41%e9", None, headers).json == {"a": ["A\ufffd"]}
    assert ours.ask("GET", "/?a=%41%e9", None, headers).status == 200
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=BOUNDARY"):
        body = part(FIELD, b"%41\xe9") + END if "multipart" in kind else b"a=%41%e9"
        for view in VIEWS:
            answer = ours.ask(
                "POST", f"/{view}/", body, {**TOKEN, "Content-Type": f"{kind}; charset={charset}"}
            )
            assert answer.status in (200, 400), view
    assert not ours.stats()["escaped"]


@pytest.mark.parametrize("name", ["punycode", "idna", "base64", "unicode_escape"])
def test_no_codec_of_a_clients_choice_takes_quadratic_time(ours: Site, name: str) -> None:
    """Was: minutes in which no websocket of the process was served."""
    ours.stats()
    body = part(FIELD, b"a" * 2_000_000) + END
    headers = {**TOKEN, "Content-Type": f"multipart/form-data; boundary=BOUNDARY; charset={name}"}
    for view in ("checked", "async_form"):
        assert ours.ask("POST", f"/{view}/", body, headers).status in (200, 400)
    extended = {"Content-Type": f"x/y; a*={name}''" + "9" * 50_000}
    assert ours.ask("GET", "/", None, extended).status in (200, 400)
    stats = ours.stats()
    assert stats["stall"] < 1.0 and not stats["escaped"]


def test_streams_that_block_do_not_keep_others_waiting(ours: Site) -> None:
    """Was: a handful of them took all threads of the event loop, for ever if they never went on."""
    waiting = []
    for _ in range(40):
        connection = http.client.HTTPConnection(ours.server.host, ours.server.port, timeout=10)
        connection.request("GET", "/blocking/")
        answer = connection.getresponse()
        assert answer.read(5) == b"first"
        waiting.append(connection)
    began = ours.ask("GET", "/nothing/")
    assert began.status == 404 and began.seconds < 4, "before the streams go on"
    for connection in waiting:
        connection.close()  # in the middle of a piece
    assert not ours.stats()["escaped"]


def test_a_path_forges_no_line_of_the_log(ours: Site) -> None:
    assert ours.ask("GET", "/x%0AERROR%20forged%1b").status == 404
    log = ours.server.process.log()
    assert "/x\\nERROR forged\\x1b" in log and "\nERROR forged" not in log


def test_faults_security_m7_too_many_query_fields(ours: Site) -> None:
    many, too_many = "a&" * 999 + "a", "a&" * 1_000 + "a"
    assert ours.ask("GET", f"/query/?{many}").status == 200
    assert ours.ask("GET", f"/query/?{too_many}").status == 400
    assert ours.ask("GET", f"/?{too_many}").status == 200  # nobody asks for GET, as with Django
    assert ours.ask("POST", "/form/", too_many.encode(), FORM).status == 400
    assert not ours.stats()["escaped"]


def test_faults_security_m7_file_names_of_any_length(ours: Site, tmp_path: Path) -> None:
    for length, status in ((255, 200), (256, 200), (3_000, 200), (100_000, 400)):
        head = b'Content-Disposition: form-data; name=f; filename="' + b"n" * length + b'.txt"'
        answer = ours.ask("POST", "/form/", part(head) + END, MULTIPART)
        assert answer.status == status
        if status == 200:
            ((name, size),) = answer.json["files"]["f"]
            assert (len(name), name[-4:], size) == (255, ".txt", 1)
    with site("bare", tmp_path, SITE_DEBUG="1") as debug:
        assert debug.ask("GET", "/static/a.css").status == 200
        for name in ("n" * 256, "n" * 5_000, "a/" * 2_000, "%00", "a%00.css", "%2e%2e/mysite/settings.py"):
            assert debug.ask("GET", f"/static/{name}").status == 404, name[:20]
        assert not debug.stats()["escaped"]


def test_faults_security_small_static_files_answer_allowed_hosts_only(tmp_path: Path) -> None:
    with site("bare", tmp_path, SITE_DEBUG="1") as debug:
        for host, status in (("127.0.0.1", 200), ("evil.example", 400), ("127.0.0.1.evil.example", 400)):
            for method in ("GET", "HEAD"):
                assert debug.ask(method, "/static/a.css", headers={"Host": host}).status == status, host


IN_THE_SUBSET = "import django_shim; django_shim.install()\nfrom django.conf import settings\n"


def test_faults_security_m8_repeated_headers_take_linear_time(tmp_path: Path) -> None:
    """200,000 of one name: was 4 s. A server hands on what it was sent; uvicorn itself takes fewer."""
    code = (
        IN_THE_SUBSET
        + "settings.configure()\n"
        + "import io, time\n"
        + "from django.core.handlers.asgi import ASGIRequest\n"
        + "for name in (b'x-a', b'cookie'):\n"
        + "    headers = [(name, b'a' * 20)] * 200_000\n"
        + "    scope = {'type': 'http', 'method': 'GET', 'path': '/', 'headers': headers}\n"
        + "    begin = time.process_time()\n"
        + "    request = ASGIRequest(scope, io.BytesIO())\n"
        + "    request.headers, request.COOKIES\n"
        + "    assert time.process_time() - begin < 2, name\n"
        + "    between = len('; ') if name == b'cookie' else len(',')\n"
        + "    assert len(request.headers[name.decode()]) == 200_000 * (20 + between) - between\n"
    )
    run_code(environment("bare"), code, tmp_path)


NUMBERS = """
from decimal import Decimal
import time
settings.configure(TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}])
import django; django.setup()
from django.template import engines
values = ["1e1000000", "-1e1000000", "1e-1000000", "1e999999999", Decimal("1e1000000"), Decimal("1e-1000000"),
          1e300, 1e-300, "1" * 100_000, "0." + "1" * 100_000, "inf", "nan"]
filters = ["", "|floatformat", "|floatformat:0", "|floatformat:2", "|floatformat:'-2g'", "|floatformat:1000",
           "|floatformat:100000000000000000000", "|pluralize", "|center:30", "|ljust:30", "|rjust:30",
           "|truncatechars:9", "|truncatewords:9", "|wordwrap:9", "|stringformat:'s'", "|stringformat:'.3f'",
           "|addslashes", "|title", "|slugify", "|striptags", "|linebreaks", "|date:'Y'", "|join:','"]
for name in filters:
    template = engines["django"].from_string("{{ x%s }}" % name)
    for value in values:
        begin = time.process_time()
        template.render({"x": value})
        assert time.process_time() - begin < 2, (name, value)
def shown(value, name=""):
    return engines["django"].from_string("{{ x%s }}" % name).render({"x": value})
assert shown("1e1000000", "|floatformat") == "1e1000000" == shown("1e1000000", "|floatformat:2")
assert shown("1e30", "|floatformat:2") == "1" + "0" * 30 + ".00"
assert shown(Decimal("1e30"), "|floatformat:2") == "1" + "0" * 30 + ".00"
assert shown(Decimal("1e1000000")) == "1e+1000000" and shown(1e300) == "1e+300"
assert shown("1e199", "|floatformat") == "1" + "0" * 199 and shown("1e200", "|floatformat") == "1e200"
assert shown("1234567.891", "|floatformat:'2g'") == "1,234,567.89"
assert shown("-0.001", "|floatformat:2") == "0.00" and shown("-1234.5", "|floatformat:'g'") == "-1,234.5"
"""


def test_faults_security_m6_no_number_takes_seconds(tmp_path: Path) -> None:
    """``{{ text|floatformat }}`` of 1e1000000 took 23 s, and 1e30 with two places raised."""
    run_code(environment("bare"), IN_THE_SUBSET + NUMBERS, tmp_path)


def test_faults_security_small_redirects_with_invisible_characters_in_front(tmp_path: Path) -> None:
    code = IN_THE_SUBSET + (
        "settings.configure()\n"
        "from django.utils.http import url_has_allowed_host_and_scheme as allowed\n"
        "for code in (0x00, 0x1f, 0x7f, 0x80, 0x9f, 0xad, 0x600, 0x200b, 0x200e, 0x2028, 0x202e, 0x2060,\n"
        "             0xfeff, 0xd800, 0xe000, 0xe0001, 0x378):\n"
        "    for url in ('//evil.example', 'https://evil.example', 'javascript:alert(1)', '/ok'):\n"
        "        fine = url == '/ok' and not chr(code).strip()  # white space goes\n"
        "        assert allowed(chr(code) + url, {'good.example'}) == fine, (hex(code), url)\n"
        "assert allowed('/ok', None) and allowed('https://good.example/', {'good.example'})\n"
    )
    run_code(environment("bare"), code, tmp_path)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
def test_faults_tests_mutant_only_four_methods_need_no_csrf_token(ours: Site, method: str) -> None:
    assert ours.ask(method, "/checked/").status == 403
    assert ours.ask(method, "/checked/", headers=TOKEN).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
def test_faults_tests_mutant_and_these_are_they(ours: Site, method: str) -> None:
    assert ours.ask(method, "/checked/").status == 200


def test_faults_tests_table_of_django_paths(tmp_path: Path) -> None:
    """``(?:foo|bar)`` outside of an argument cannot be reversed in Django, and was here."""
    code = (
        "import sys\n"
        "from django.conf import settings\nsettings.configure(ROOT_URLCONF='__main__')\n"
        "import django; django.setup()\n"
        "from django.urls import re_path, reverse, NoReverseMatch\n"
        "regexes = [r'^alt/(?:foo|bar)/$', r'^(?P<x>foo|bar)/$', r'^(foo|bar)/$', r'^a|b$',\n"
        "           r'^x/(?:a|b)?/$', r'^v/[a|b]/$', r'^u/\\|/$', r'^t/(?:a(?:b|c))?d$',\n"
        "           r'^r/(a(?:b|c))/$', r'^w/(?:(?P<x>a|b)/)?$']\n"
        "urlpatterns = [re_path(regex, print, name=str(i)) for i, regex in enumerate(regexes)]\n"
        "for i, regex in enumerate(regexes):\n"
        "    for args in ([], ['foo'], ['ab'], ['a']):\n"
        "        try: print(reverse(str(i), args=args))\n"
        "        except NoReverseMatch: print('-')\n"
    )
    real = run_code(environment("django"), code, tmp_path, {})
    assert (
        run_code(environment("bare"), "import django_shim; django_shim.install()\n" + code, tmp_path) == real
    )


ASK_FOR_PATHS = """
import asyncio, sys
from mysite.asgi import application

async def send(message):
    print(message.get("status", ""))

async def ask(path):
    messages = [{"type": "http.request"}]

    async def receive():
        return messages.pop() if messages else await asyncio.Event().wait()

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b""}
    scope["headers"] = [(b"host", b"127.0.0.1")]
    await application(scope, receive, send)

for path in sys.argv[1:]:
    asyncio.run(ask(path))
"""
"""Asks the application of ``mysite.asgi`` for the paths of the command line."""


def test_faults_newcomer_10_static_files_beside_django_are_spoken_of(tmp_path: Path) -> None:
    """``django-shim uvicorn`` beside the real Django served the admin without CSS, without a word."""
    write(tmp_path, **{key: _dedented(text) for key, text in SITE.items()}, ask=ASK_FOR_PATHS)

    def said(*paths: str, debug: str = "1") -> str:
        variables = {"DJANGO_SHIM": "1", "SITE_DEBUG": debug}
        done = environment("django").run("python", "ask.py", *paths, cwd=tmp_path, env=variables)
        assert done.returncode == 0, done.stderr
        return done.stderr

    told = said("/static/a.css", "/static/b.css")
    assert told.count("mysite.asgi serves no static files, as") == 1 and "manage.py runserver" in told
    assert "admin" not in told, "this project has none"
    # Workers and commands import the module, but serve no HTTP.
    assert "static files" not in said() + said("/form/") + said("/static/a.css", debug="0")
    settings = tmp_path / "mysite" / "settings.py"
    text = settings.read_text(encoding="utf-8")
    apps = ["admin", "auth", "contenttypes", "messages", "sessions"]
    settings.write_text(
        f"{text}\nINSTALLED_APPS += [f'django.contrib.{{app}}' for app in {apps}]\n", encoding="utf-8"
    )
    assert "serves no static files (the admin has no CSS)" in said("/static/a.css")
    (tmp_path / "mysite" / "asgi.py").write_text(
        "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')\n"
        "from django.core.asgi import get_asgi_application\n"
        "from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler\n"
        "application = ASGIStaticFilesHandler(get_asgi_application())\n",
        encoding="utf-8",
    )
    assert "static files" not in said("/static/a.css")
