"""What a browser keeps between requests: CSRF token, session, who is logged in, messages."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from channels.auth import login as channels_login
from channels.sessions import session_store
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import get_user_model, models
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware, get_token, rotate_token
from django.template import Context, RequestContext, Template, TemplateDoesNotExist
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import path
from django.utils.deprecation import MiddlewareMixin
from django.utils.safestring import mark_safe
from django.views.csrf import csrf_failure
from django.views.decorators.csrf import csrf_protect, ensure_csrf_cookie, requires_csrf_token

from tests.shim.django_subset.inside.backends import FixedUsers

PACKAGE = "tests.shim.django_subset.inside"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
factory = RequestFactory()


# CSRF


@pytest.fixture
def strict() -> Client:
    return Client(enforce_csrf_checks=True)


def token_in(page: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert found
    return found[1]


def test_a_form_is_taken_with_the_token_of_its_page(strict: Client) -> None:
    page = strict.get("/form/")
    cookie = page.cookies["csrftoken"]
    assert (cookie["samesite"], cookie["path"], cookie["max-age"]) == ("Lax", "/", 31449600)
    assert page["Vary"] == "Cookie"
    token = token_in(page.text)
    assert len(token) == 64 and len(cookie.value) == 32
    assert strict.post("/form/", {"text": "hi", "csrfmiddlewaretoken": token}).text == "posted hi"
    assert token_in(strict.get("/form/").text) != token  # another mask each time
    assert strict.post("/form/", {"text": "hi", "csrfmiddlewaretoken": token}).text == "posted hi"


def test_a_script_sends_the_cookie_in_a_header(strict: Client) -> None:
    cookie = strict.get("/form/").cookies["csrftoken"].value
    assert strict.post("/form/", {"text": "x"}, headers={"x-csrftoken": cookie}).status_code == 200
    masked = token_in(strict.get("/form/").text)
    assert strict.post("/form/", {"text": "x"}, headers={"x-csrftoken": masked}).status_code == 200


@pytest.mark.parametrize(
    ("form", "headers", "reason"),
    [
        ({}, {}, "the request has no CSRF token"),
        ({"csrfmiddlewaretoken": "a" * 64}, {}, "the CSRF token in POST is not the cookie's"),
        ({"csrfmiddlewaretoken": "short"}, {}, "the CSRF token in POST is no token: it has a wrong length"),
        ({"csrfmiddlewaretoken": "!" * 64}, {}, "is no token"),
        ({}, {"x-csrftoken": "a" * 32}, "the CSRF token in the X-Csrftoken HTTP header is not the cookie's"),
        (
            {},
            {"origin": "http://evil.org"},
            "the form comes from http://evil.org, which is neither this site",
        ),
        ({}, {"origin": "null"}, "the form comes from null"),
    ],
)
def test_a_form_without_it_is_refused(strict: Client, caplog, form, headers, reason) -> None:
    strict.get("/form/")
    response = strict.post("/form/", {"text": "x", **form}, headers=headers)
    assert response.status_code == 403 and reason not in response.text
    assert [record.getMessage() for record in caplog.records] == [
        next(message for message in [record.getMessage() for record in caplog.records] if reason in message)
    ]
    with override_settings(DEBUG=True):
        shown = strict.post("/form/", {"text": "x", **form}, headers=headers).text
    assert html.escape(reason) in shown and "{% csrf_token %}" in shown


def test_a_form_without_the_cookie_is_refused(strict: Client, caplog) -> None:
    assert strict.post("/form/", {"text": "x", "csrfmiddlewaretoken": "a" * 64}).status_code == 403
    assert "the request has no CSRF cookie" in caplog.text


def test_trusted_origins_and_referers(strict: Client) -> None:
    token = token_in(strict.get("/form/").text)

    def status(secure: bool = True, **headers: str) -> int:
        form = {"text": "x", "csrfmiddlewaretoken": token}
        return strict.post("/form/", form, secure=secure, headers=headers).status_code

    assert status(secure=False) == 200
    assert status() == 403  # https without a Referer
    assert status(referer="https://testserver/form/") == 200
    assert status(referer="https://evil.org/") == 403
    assert status(referer="http://testserver/") == 403
    assert status(referer="nonsense") == 403
    assert status(origin="https://testserver") == 200
    assert status(origin="http://testserver") == 403
    with override_settings(CSRF_TRUSTED_ORIGINS=["https://a.org", "https://*.b.org"]):
        assert status(origin="https://a.org") == 200 and status(origin="https://x.b.org") == 200
        assert status(origin="http://x.b.org") == 403 and status(referer="https://x.b.org/y") == 200


@pytest.mark.parametrize(
    ("domain", "host", "referer", "status"),
    [
        (None, "x.b.org", "https://x.c.org/", 200),  # trusted, whatever the host is
        (".a.org", "x.a.org:8443", "https://x.a.org:8443/", 200),
        (".a.org", "x.a.org:8443", "https://y.a.org:8443/", 200),
        (".a.org", "x.a.org:8443", "https://x.a.org/", 403),
        (".a.org", "x.a.org:443", "https://y.a.org/", 200),
        (".a.org", "x.a.org:443", "https://y.b.org/", 403),
        (None, "x.a.org:8443", "https://x.a.org:8443/", 200),
        (None, "x.a.org:8443", "https://y.a.org:8443/", 403),
        (None, "x.b.org", "https://x.b.org/", 403),  # not in ALLOWED_HOSTS
    ],
)
@pytest.mark.parametrize("kept_in", ["CSRF", "SESSION"])
def test_the_referer_and_the_domain_of_the_cookie(
    domain: str | None, host: str, referer: str, status: int, kept_in: str
) -> None:
    """The statuses are those of Django 5.2."""
    others = {"CSRF_COOKIE_DOMAIN": ".z.org", "SESSION_COOKIE_DOMAIN": ".z.org"}
    own = {f"{kept_in}_COOKIE_DOMAIN": domain, "CSRF_USE_SESSIONS": kept_in == "SESSION"}
    hosts = {"ALLOWED_HOSTS": [".a.org"], "CSRF_TRUSTED_ORIGINS": ["https://*.c.org"]}
    with override_settings(**{**hosts, **others, **own}):
        middleware = CsrfViewMiddleware(lambda request: HttpResponse())
        port = host.partition(":")[2] or "443"
        headers = {"host": host, "referer": referer, "x-csrftoken": "a" * 32}
        request = factory.post("/", secure=True, headers=headers, SERVER_PORT=port)
        request.COOKIES["csrftoken"] = "a" * 32
        request.session = {"_csrftoken": "a" * 32}
        middleware.process_request(request)
        refusal = middleware.process_view(request, lambda request: None, (), {})
        assert (refusal.status_code if refusal else 200) == status


def test_exempt_and_protected_views(strict: Client) -> None:
    assert strict.post("/exempt/").text == "exempt POST"
    protected = csrf_protect(lambda request: HttpResponse("in"))
    ensured = ensure_csrf_cookie(lambda request: HttpResponse("in"))
    urls = type("urls", (), {"urlpatterns": [path("p/", protected), path("e/", ensured)]})
    with override_settings(ROOT_URLCONF=urls, MIDDLEWARE=[]):
        client = Client(enforce_csrf_checks=True)
        assert client.post("/p/").status_code == 403
        cookie = client.get("/e/").cookies["csrftoken"].value
        assert client.post("/p/", {"csrfmiddlewaretoken": cookie}).text == "in"


@override_settings(MIDDLEWARE=[])
def test_a_view_that_requires_the_token_keeps_that_of_the_cookie() -> None:
    view = requires_csrf_token(lambda request: HttpResponse(get_token(request)))
    with override_settings(ROOT_URLCONF=type("urls", (), {"urlpatterns": [path("", view)]})):
        client = Client(enforce_csrf_checks=True)
        secret = client.get("/").cookies["csrftoken"].value
        client.get("/")
        assert client.cookies["csrftoken"].value == secret and client.post("/").status_code == 200


def test_the_page_for_a_refused_form_is_the_projects_own(tmp_path: Path) -> None:
    request = factory.get("/form/")
    assert b"CSRF verification failed" in csrf_failure(request, "why").content
    (tmp_path / "403_csrf.html").write_text("ours at {{ request.path }}{{ reason }}")
    (tmp_path / "other.html").write_text("other")
    folder = {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [tmp_path]}
    own = "django.template.context_processors.request"
    with override_settings(TEMPLATES=[{**folder, "OPTIONS": {"context_processors": [own]}}]):
        answer = csrf_failure(request, "why")
        assert (answer.status_code, answer.content) == (403, b"ours at /form/")
        assert csrf_failure(request, template_name="other.html").content == b"other"
        with pytest.raises(TemplateDoesNotExist, match=r"nope\.html"):
            csrf_failure(request, template_name="nope.html")


class TakesFormsOfSandboxes(CsrfViewMiddleware):
    def process_view(self, request, callback, args, kwargs):
        if request.META.get("HTTP_ORIGIN") == "null":
            del request.META["HTTP_ORIGIN"]
        return super().process_view(request, callback, args, kwargs)


@override_settings(MIDDLEWARE=[f"{__name__}.TakesFormsOfSandboxes"])
def test_a_project_decides_before_the_check_of_a_form(strict: Client) -> None:
    form = {"text": "x", "csrfmiddlewaretoken": token_in(strict.get("/form/").text)}
    assert strict.post("/form/", form, headers={"origin": "null"}).text == "posted x"
    assert strict.post("/form/", form, headers={"origin": "https://a.example"}).status_code == 403


class Rotates(MiddlewareMixin):
    """As middleware that logs somebody in, by a header for example."""

    def process_request(self, request):
        rotate_token(request)


@pytest.mark.parametrize("in_session", [False, True])
def test_a_form_is_taken_though_middleware_gives_a_new_token(strict: Client, in_session: bool) -> None:
    """The form has the old one, as the cookie has. As with Django 5.2."""
    with override_settings(CSRF_USE_SESSIONS=in_session):
        token = token_in(strict.get("/form/").text)
        with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, f"{__name__}.Rotates"]):
            rotated = Client(enforce_csrf_checks=True)  # a client loads MIDDLEWARE once
            rotated.cookies = strict.cookies
            form = {"text": "hi", "csrfmiddlewaretoken": token}
            assert rotated.post("/form/", form).text == "posted hi"
            assert rotated.post("/form/", form).status_code == 403
            assert Client(enforce_csrf_checks=True).post("/form/", form).status_code == 403


@csrf_protect
async def protected(request: HttpRequest) -> HttpResponse:
    return HttpResponse("in")


urlpatterns = [path("form/", protected)]


@pytest.mark.parametrize("by_decorator", [False, True])
async def test_the_page_for_a_refused_form_knows_the_user(tmp_path: Path, by_decorator: bool) -> None:
    """A thread makes it: on the event loop, who it is could not be looked up."""
    csrf = "django.middleware.csrf.CsrfViewMiddleware"
    others = [one for one in settings.MIDDLEWARE if one != csrf]
    decorated = {"MIDDLEWARE": others, "ROOT_URLCONF": __name__} if by_decorator else {}
    (tmp_path / "403_csrf.html").write_text("not you, {{ user }}")
    backend = {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [tmp_path]}
    options = {"context_processors": ["django.contrib.auth.context_processors.auth"]}
    session = session_store()()
    await channels_login({"session": session}, FixedUsers().get_user("bob"))
    await session.asave()
    with override_settings(TEMPLATES=[{**backend, "OPTIONS": options}], **decorated):
        client = AsyncClient(enforce_csrf_checks=True)
        client.cookies["sessionid"] = session.session_key
        refused = await client.post("/form/", {"text": "x"})
        assert (refused.status_code, refused.text) == (403, "not you, bob")
        if by_decorator:
            client.cookies["csrftoken"] = "a" * 32
            taken = await client.post("/form/", headers={"x-csrftoken": "a" * 32})
            assert taken.text == "in"


def test_the_secret_can_live_in_the_session(strict: Client) -> None:
    with override_settings(CSRF_USE_SESSIONS=True):
        page = strict.get("/form/")
        assert "csrftoken" not in page.cookies
        form = {"text": "x", "csrfmiddlewaretoken": token_in(page.text)}
        assert strict.post("/form/", form).status_code == 200
        assert Client(enforce_csrf_checks=True).post("/form/", form).status_code == 403


class OwnSessions(SessionMiddleware):
    """A project's: its hooks run in the request's thread."""


@pytest.mark.parametrize("own", [False, True])
async def test_the_secret_can_live_in_a_session_whose_store_waits(own: bool) -> None:
    async def page(request):
        return HttpResponse(get_token(request))

    urls = type("urls", (), {"urlpatterns": [path("", page)]})
    middleware = [
        f"{__name__}.OwnSessions" if own and one == SESSIONS else one for one in settings.MIDDLEWARE
    ]
    with (
        override_settings(CSRF_USE_SESSIONS=True, SESSION_ENGINE="compat.session_layer"),
        override_settings(ROOT_URLCONF=urls, MIDDLEWARE=middleware),
    ):
        client = AsyncClient(enforce_csrf_checks=True)
        token = (await client.get("/")).text
        assert (await client.post("/", {"csrfmiddlewaretoken": token})).status_code == 200
        again = await client.get("/")
        assert again.status_code == 200 and not again.cookies  # the same secret: the session is not saved
        client.cookies["sessionid"] = "a" * 32
        assert (await client.get("/")).status_code == 200


def test_a_page_with_a_token_renews_the_cookie_and_is_for_its_client_alone(strict: Client) -> None:
    first, second = strict.get("/form/"), strict.get("/form/")
    assert second["Vary"] == "Cookie"
    assert second.cookies["csrftoken"].value == first.cookies["csrftoken"].value
    assert second.cookies["csrftoken"]["max-age"] == 31449600
    assert "csrftoken" not in strict.get("/").cookies


def test_filters_take_the_token_for_a_text() -> None:
    context = RequestContext(factory.get("/"))
    assert re.fullmatch(r"\w{64}!", Template('{{ csrf_token|add:"!" }}').render(context))


def test_a_token_without_a_request_is_warned_about() -> None:
    with override_settings(DEBUG=True), pytest.warns(UserWarning, match="csrf_token"):
        assert Template("{% csrf_token %}").render(Context()) == ""
    assert len(get_token(factory.get("/"))) == 64


# Sessions


def test_a_session_lasts_from_request_to_request(client: Client) -> None:
    first = client.get("/session/")
    cookie = first.cookies["sessionid"]
    assert (
        first.text == "1" and cookie["httponly"] and cookie["samesite"] == "Lax" and first["Vary"] == "Cookie"
    )
    assert client.get("/session/").text == "2"
    assert Client().get("/session/").text == "1"
    assert "sessionid" not in client.get("/").cookies


def test_a_websocket_finds_the_pages_session(client: Client) -> None:
    client.get("/session/")
    assert session_store()(client.cookies["sessionid"].value)["count"] == 1


def test_an_unknown_session_is_not_adopted(client: Client) -> None:
    client.cookies["sessionid"] = "a" * 32
    assert client.get("/session/").cookies["sessionid"].value != "a" * 32


def test_a_session_that_was_emptied_loses_its_cookie(client: Client) -> None:
    client.get("/session/")
    client.get("/logout/")
    assert "sessionid" not in client.cookies


@pytest.mark.parametrize("middleware", [SESSIONS, f"{__name__}.OwnSessions"])
def test_an_answer_that_fails_saves_no_session_and_one_that_was_ended_is_told(middleware: str) -> None:
    def fails(request: HttpRequest) -> HttpResponse:
        request.session["count"] = 100
        return HttpResponse(status=503)

    def ends(request: HttpRequest) -> HttpResponse:
        request.session["count"] = 100
        session_store()().delete(request.session.session_key)
        return HttpResponse()

    def count(request: HttpRequest) -> HttpResponse:
        request.session["count"] = request.session.get("count", 0) + 1
        return HttpResponse(request.session["count"])

    patterns = [path("fails/", fails), path("ends/", ends), path("", count)]
    urls = type("urls", (), {"urlpatterns": patterns})
    with override_settings(MIDDLEWARE=[middleware], ROOT_URLCONF=urls):
        client = Client(raise_request_exception=False)
        assert client.get("/").text == "1" and client.get("/fails/").status_code == 503
        assert client.get("/").text == "2" and client.get("/ends/").status_code == 400
        assert client.get("/").text == "1"


# Users


async def test_who_logged_in_on_a_websocket_is_known_to_a_page() -> None:
    client = AsyncClient()
    await client.get("/session/")
    assert (await client.get("/whoami/")).text == "AnonymousUser False"
    session = session_store()(client.cookies["sessionid"].value)
    await channels_login({"session": session}, FixedUsers().get_user("bob"))
    await session.asave()
    client.cookies["sessionid"] = session.session_key
    assert (await client.get("/whoami/")).text == "bob True"


def user_page() -> type:
    async def page(request):
        if "load" in request.GET:
            await request.auser()
        return HttpResponse(
            Template("{% if user.is_authenticated %}{{ user }}{% else %}-{% endif %}").render(
                RequestContext(request)
            )
        )

    return type("urls", (), {"urlpatterns": [path("", page)]})


@pytest.mark.parametrize("key", ["a" * 32, "no such session"])
async def test_an_async_page_of_a_stale_session_has_an_anonymous_user(key: str) -> None:
    with override_settings(ROOT_URLCONF=user_page()):
        client = AsyncClient()
        client.cookies["sessionid"] = key
        assert (await client.get("/")).text == "-"
        assert "sessionid" not in client.cookies


async def test_an_async_page_of_a_session_without_a_user_has_an_anonymous_user() -> None:
    client = AsyncClient()
    await client.get("/session/")
    with override_settings(ROOT_URLCONF=user_page()):
        assert (await client.get("/")).text == "-" and "sessionid" in client.cookies


@pytest.mark.parametrize("engine", ["compat.session_memory", "compat.session_layer"])
async def test_an_async_page_is_told_to_await_a_user_that_has_to_be_loaded(engine: str) -> None:
    with override_settings(ROOT_URLCONF=user_page(), SESSION_ENGINE=engine):
        session = session_store()()
        await channels_login({"session": session}, FixedUsers().get_user("bob"))
        await session.asave()
        client = AsyncClient()
        client.cookies["sessionid"] = session.session_key
        with pytest.raises(SynchronousOnlyOperation, match=r"await request\.auser\(\) first"):
            await client.get("/")
        assert (await client.get("/?load")).text == "bob"


def test_a_page_that_looks_for_the_user_or_the_session_varies_with_the_cookie(client: Client) -> None:
    assert client.get("/whoami/")["Vary"] == "Cookie"
    read = path("", lambda request: HttpResponse(request.session.get("a")))
    with override_settings(ROOT_URLCONF=type("urls", (), {"urlpatterns": [read]})):
        assert client.get("/")["Vary"] == "Cookie"
    assert "Vary" not in client.get("/")


def test_the_user_model_is_a_name_until_it_is_used() -> None:
    user = get_user_model()
    assert user is models.User and not isinstance(models.AnonymousUser(), user)
    with pytest.raises(AttributeError, match=r"User\.objects needs the real Django"):
        _ = user.objects
    with pytest.raises(ImportError, match=r"User\(\) needs the real Django"):
        user(username="ann")
    assert not hasattr(user, "objects")
    with override_settings(AUTH_USER_MODEL=f"{PACKAGE}.backends.User"):
        assert get_user_model().__name__ == "User" and get_user_model() is not user
    with override_settings(AUTH_USER_MODEL="accounts.Person"):
        assert get_user_model() is user


def test_user_and_permissions_in_templates() -> None:
    request = factory.get("/")
    page = Template("{{ user }}{{ user.is_authenticated }}{% if perms.app.add %}y{% else %}n{% endif %}")
    assert page.render(RequestContext(request)) == "AnonymousUserFalsen"


# Messages


def test_a_message_is_shown_once(client: Client) -> None:
    assert client.get("/message/").url == "/messages/"
    assert client.get("/messages/").text.strip() == '<li class="big success">Saved &lt;it&gt;</li>'
    assert client.get("/messages/").text.strip() == "none"


def test_a_safe_message_stays_safe_in_a_session_of_json() -> None:
    from django.contrib.messages.storage import Storage

    with override_settings(SESSION_ENGINE="compat.session_cookies"):
        session = session_store()()
        for text in (mark_safe("<b>"), "<i>"):
            Storage(session).add(messages.INFO, text)
        session.save()
        kept = Storage(session_store()(session.session_key))
    page = Template("{% for message in messages %}{{ message }}{% endfor %}")
    assert page.render(Context({"messages": kept})) == "<b>&lt;i&gt;"


def test_messages_without_their_middleware() -> None:
    request = factory.get("/")
    with pytest.raises(messages.MessageFailure, match="MessageMiddleware"):
        messages.info(request, "x")
    messages.info(request, "x", fail_silently=True)
    assert list(messages.get_messages(request)) == [] and messages.get_level(request) == 20
    assert not messages.set_level(request, 10)
    with override_settings(MIDDLEWARE=["django.contrib.messages.middleware.MessageMiddleware"]):
        with pytest.raises(ImproperlyConfigured, match="SessionMiddleware"):
            Client().get("/")


def test_levels_and_tags() -> None:
    from django.contrib.messages.storage import Storage

    request = factory.get("/")
    request._messages = Storage(session_store()())
    assert messages.set_level(request, messages.WARNING) and messages.get_level(request) == 30
    for name in ("debug", "info", "success", "warning", "error"):
        getattr(messages, name)(request, name)
    assert len(messages.get_messages(request)) == 2 and messages.get_messages(request)
    found = list(messages.get_messages(request))
    assert [(str(one), one.tags) for one in found] == [("warning", "warning"), ("error", "error")]
    assert found[0] != found[1] and found[0] == found[0]
    messages.error(request, "late")
    assert [str(one) for one in messages.get_messages(request)] == ["warning", "error", "late"]
    assert len(messages.get_messages(request)) == 3 and not Storage(request._messages.session)
    messages.set_level(request, None)
    assert messages.get_level(request) == 20
