"""Settings, and how tests change them; the tools for tests."""

from __future__ import annotations

import gc
import unittest

import pytest
from channels.layers import channel_layers
from django.apps import apps
from django.conf import LazySettings, Overriding, global_settings, settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.test import Client, RequestFactory, SimpleTestCase, TestCase, TransactionTestCase
from django.test.client import encode_multipart
from django.test.utils import (
    modify_settings,
    override_settings,
    setup_test_environment,
    teardown_test_environment,
)

from compat.settings import settings as source

DJANGO_DEFAULTS = {
    "APPEND_SLASH": True,
    "AUTHENTICATION_BACKENDS": ["django.contrib.auth.backends.ModelBackend"],
    "SESSION_COOKIE_NAME": "sessionid",
    "SESSION_COOKIE_PATH": "/",
    "SESSION_COOKIE_DOMAIN": None,
    "SESSION_COOKIE_SECURE": False,
    "SESSION_COOKIE_HTTPONLY": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
    "SESSION_SAVE_EVERY_REQUEST": False,
    "SESSION_ENGINE": "django.contrib.sessions.backends.db",
    "USE_TZ": True,
    "LANGUAGE_CODE": "en-us",
    "DEFAULT_CHARSET": "utf-8",
    "X_FRAME_OPTIONS": "DENY",
    "CHANNEL_THREADS": 24,
}


@pytest.mark.parametrize("name", DJANGO_DEFAULTS)
def test_what_a_project_leaves_out_has_djangos_default(name: str) -> None:
    source.reset()
    source.configure(DEBUG=False)
    try:
        assert getattr(settings, name) == DJANGO_DEFAULTS[name]
        assert not settings.is_overridden(name)
    finally:
        source.adopt(**CONFIGURED)


CONFIGURED = dict(source._values)


def test_the_settings_object() -> None:
    assert settings.configured and "conf" in repr(settings).lower()
    assert "DEBUG" in dir(settings)
    assert settings.STATIC_URL == "/static/" and settings.is_overridden("DEBUG")
    with pytest.raises(
        AttributeError, match="there is no setting 'CHANEL_LAYERS'; did you mean CHANNEL_LAYERS"
    ):
        _ = settings.CHANEL_LAYERS
    with pytest.raises(AttributeError, match="upper case"):
        _ = settings.debug
    with pytest.raises(RuntimeError, match="comes too late"):
        settings.configure()
    assert getattr(settings, "NOPE", 5) == 5 and not hasattr(settings, "NOPE")
    with override_settings(SECRET_KEY=""), pytest.raises(ImproperlyConfigured, match="SECRET_KEY"):
        _ = settings.SECRET_KEY
    with override_settings(STATIC_URL="https://cdn.example.com/"):
        assert settings.STATIC_URL == "https://cdn.example.com/"


def test_without_any_settings_the_first_look_says_what_to_set() -> None:
    source.reset()
    try:
        assert not settings.configured
        with pytest.raises(
            ImproperlyConfigured, match=r"settings\.DEBUG cannot be read: no settings are named"
        ):
            _ = settings.DEBUG
        with pytest.raises(ImproperlyConfigured, match="DJANGO_SETTINGS_MODULE"):
            LazySettings()._setup()
        settings.configure(MINE=1)
        assert settings.MINE == 1 and settings.DEBUG is False
    finally:
        source.reset()
        source.adopt(**CONFIGURED)
    settings._setup()


def test_setting_one_is_seen_by_channels() -> None:
    settings.CHANNEL_LAYERS = {"other": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    assert set(settings.CHANNEL_LAYERS) == {"other"}
    settings.CHANNEL_LAYERS = CONFIGURED["CHANNEL_LAYERS"]
    assert "default" in channel_layers.configs


def test_what_is_changed_in_a_block_ends_with_it() -> None:
    """As with Django 5.2."""
    key, layers = settings.SECRET_KEY, channel_layers.configs
    with override_settings(MINE=1):
        del settings.SECRET_KEY, settings.CHANNEL_LAYERS, settings.APPEND_SLASH, settings.NOBODYS
        settings.MINE = 2
        with override_settings(SECRET_KEY="inner"):
            assert (settings.SECRET_KEY, settings.MINE) == ("inner", 2)
            del settings.MINE
            assert not hasattr(settings, "MINE")
        assert settings.MINE == 2 and channel_layers.configs == {}
        for name in ("SECRET_KEY", "CHANNEL_LAYERS", "APPEND_SLASH"):
            assert not hasattr(settings, name) and settings.is_overridden(name)
        with pytest.raises(AttributeError, match="'SECRET_KEY' was deleted"):
            _ = settings.SECRET_KEY
        settings.SECRET_KEY = "set again"
        assert settings.SECRET_KEY == "set again"
    assert not hasattr(settings, "MINE") and settings.APPEND_SLASH
    assert settings.SECRET_KEY == key and channel_layers.configs == layers


def test_an_override_lasts_until_it_is_disabled() -> None:
    override_settings(MINE=1).enable()
    override = override_settings(MINE=2)
    override.enable()
    gc.collect()
    assert settings.MINE == 2
    override.disable()
    assert settings.MINE == 1
    Overriding.active[-1].end()
    assert not hasattr(settings, "MINE")


def test_what_has_been_read_is_kept_until_a_setting_changes() -> None:
    def read() -> object:
        first, kept = settings.MINE, vars(settings).get("MINE")
        assert first == kept == settings.MINE
        return first

    settings.MINE = 1
    seen = [read()]
    with override_settings(MINE=2):
        seen.append(read())
        with source.override(MINE=3):
            seen.append(read())
        source.configure(MINE=4)
        seen.append(read())
    seen.append(read())
    assert seen == [1, 2, 3, 2, 4]
    del settings.MINE
    assert not hasattr(settings, "MINE")
    with pytest.raises(AttributeError, match="'MINE' was not configured"):
        del settings.MINE


def test_a_value_that_a_change_overtakes_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = LazySettings._found

    def overtaken(name: str) -> object:
        value = look_up(name)
        settings.MINE = "new"  # as another thread may set it at this moment
        return value

    settings.MINE = "old"
    monkeypatch.setattr(LazySettings, "_found", staticmethod(overtaken))
    assert settings.MINE == "old"
    monkeypatch.undo()
    assert settings.MINE == "new"
    del settings.MINE


def test_override_settings_sends_a_signal_and_channels_hears_of_it() -> None:
    heard: list[tuple[str, object, bool]] = []

    def receiver(setting, value, enter, **named):
        heard.append((setting, value, enter))

    setting_changed.connect(receiver)
    before = channel_layers["default"]
    layers = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 7}}}
    with override_settings(CHANNEL_LAYERS=layers, MINE="x"):
        assert channel_layers["default"].capacity == 7 and settings.MINE == "x"
    assert channel_layers["default"] is not before and not hasattr(settings, "MINE")
    setting_changed.disconnect(receiver)
    assert [(name, enter) for name, _, enter in heard] == [
        ("CHANNEL_LAYERS", True),
        ("MINE", True),
        ("CHANNEL_LAYERS", False),
        ("MINE", False),
    ]
    assert heard[1][1] == "x" and heard[3][1] is None


def test_an_override_that_a_receiver_stops_is_over() -> None:
    heard: list[tuple[str, bool]] = []

    def receiver(setting: str, enter: bool, **named: object) -> None:
        heard.append((setting, enter))
        if setting == "SECOND":
            raise LookupError("not this one" if enter else "nor that it ends")

    setting_changed.connect(receiver)
    apps_before = [config.name for config in apps.get_app_configs()]
    try:
        with pytest.raises(LookupError, match="not this one"):
            override_settings(DEBUG=True, SECOND=2, INSTALLED_APPS=["channels"]).enable()
    finally:
        setting_changed.disconnect(receiver)
    assert not settings.DEBUG and not hasattr(settings, "SECOND")
    assert [config.name for config in apps.get_app_configs()] == apps_before
    assert heard == [
        *(("DEBUG", True), ("SECOND", True)),
        *(("DEBUG", False), ("SECOND", False), ("INSTALLED_APPS", False)),
    ]


def test_what_receivers_raise_at_the_end_is_raised_when_all_are_told() -> None:
    """As with Django 5.2."""
    heard: list[tuple[str, bool]] = []

    def receiver(setting: str, enter: bool, **named: object) -> None:
        heard.append((setting, enter))
        if not enter:
            raise LookupError(setting)

    setting_changed.connect(receiver)
    try:
        with pytest.raises(LookupError, match="FIRST"), override_settings(FIRST=1, SECOND=2):
            assert settings.SECOND == 2
    finally:
        setting_changed.disconnect(receiver)
    assert not hasattr(settings, "FIRST") and not hasattr(settings, "SECOND")
    assert heard == [("FIRST", True), ("SECOND", True), ("FIRST", False), ("SECOND", False)]


@override_settings(MINE=1)
def test_override_as_a_decorator() -> None:
    assert settings.MINE == 1


@override_settings(MINE=2)
async def test_override_as_a_decorator_of_a_coroutine() -> None:
    assert settings.MINE == 2


def test_override_takes_only_test_cases_as_classes() -> None:
    with pytest.raises(ValueError, match="SimpleTestCase"):
        override_settings(MINE=1)(type("X", (), {}))


def test_modify_settings() -> None:
    with override_settings(LIST=["a", "b"]):
        with modify_settings(LIST={"append": "c", "prepend": ["z", "a"], "remove": "b"}):
            assert settings.LIST == ["z", "a", "c"]
        assert settings.LIST == ["a", "b"]
        with pytest.raises(ValueError, match="Unsupported action"):
            modify_settings(LIST={"nope": "c"}).enable()


def test_the_test_environment() -> None:
    with override_settings(DEBUG=True, ALLOWED_HOSTS=[]):
        setup_test_environment()
        assert settings.DEBUG is False and settings.ALLOWED_HOSTS == ["testserver"]
        teardown_test_environment()
        assert settings.DEBUG is True


# Test cases


@override_settings(FROM_CLASS="class")
@modify_settings(MIDDLEWARE={"remove": ["django.middleware.csrf.CsrfViewMiddleware"]})
class Case(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.shared = "shared"

    def test_sync(self):
        assert self.shared == "shared" and settings.FROM_CLASS == "class"
        assert "django.middleware.csrf.CsrfViewMiddleware" not in settings.MIDDLEWARE
        response = self.client.get("/hello/x/")
        self.assertContains(response, "hello", count=1)
        self.assertNotContains(response, "bye")
        with self.settings(FROM_CLASS="block"):
            assert settings.FROM_CLASS == "block"
        with self.modify_settings(MIDDLEWARE={"append": "x"}):
            assert settings.MIDDLEWARE[-1] == "x"

    async def test_async(self):
        self.assertContains(await self.async_client.get("/async/1/"), "async 2")

    def test_redirects(self):
        self.assertRedirects(self.client.get("/redirect/"), "/hello/there/")
        self.assertRedirects(self.client.get("/moved/"), "/", status_code=301, fetch_redirect_response=False)

    def test_failures(self):
        response = self.client.get("/hello/x/")
        for check in (
            lambda: self.assertContains(response, "nope"),
            lambda: self.assertContains(response, "hello", count=2),
            lambda: self.assertContains(response, "hello", status_code=404),
            lambda: self.assertNotContains(response, "hello"),
            lambda: self.assertRedirects(response, "/"),
        ):
            with self.assertRaises(AssertionError):
                check()
        for method in (self.assertContains, self.assertNotContains):
            with self.assertRaisesRegex(ImportError, "html=True, .* needs the real Django"):
                method(response, "<p>hello</p>", html=True)


def test_the_test_case() -> None:
    result = unittest.TestResult()
    unittest.TestLoader().loadTestsFromTestCase(Case).run(result)
    assert result.testsRun == 4 and result.wasSuccessful(), result.failures + result.errors
    assert not hasattr(settings, "FROM_CLASS")
    assert issubclass(TransactionTestCase, SimpleTestCase)


def test_what_a_client_gives_back() -> None:
    client = Client(headers={"x-something": "1"}, HTTP_USER_AGENT="agent")
    response = client.get("/headers/")
    assert (response.json()["x"], response.json()["user_agent"]) == ("1", "agent")
    assert response.client is client and response.request.path == "/headers/"
    assert response.resolver_match.func.__name__ == "headers"
    with pytest.raises(ValueError, match="the response is not JSON"):
        client.get("/").json()
    client.get("/cookies/")
    assert client.cookies["colour"].value == "dark blue" and "old" not in client.cookies
    assert client.get("/cookies/").json() == {"colour": "dark blue"}


def test_methods_of_the_factory() -> None:
    factory = RequestFactory()
    for method in ("get", "head", "post", "put", "patch", "delete", "options"):
        assert getattr(factory, method)("/x/").method == method.upper()
    assert (
        factory.get("/x/", {"a": "1"}).GET["a"] == factory.get("/x/", query_params={"a": "1"}).GET["a"] == "1"
    )
    assert factory.get("/x/", QUERY_STRING="b=2").GET["b"] == "2"
    with pytest.raises(TypeError, match="is None, which a form cannot say"):
        encode_multipart("x", {"a": None})


def test_defaults_are_listed() -> None:
    assert global_settings.DEBUG is False and all(
        name.isupper()
        for name in vars(global_settings)
        if name[0].isalpha() and name not in ("annotations", "Any")
    )
