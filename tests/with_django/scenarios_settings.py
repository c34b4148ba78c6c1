"""Whose settings and whose sessions are in force."""

# mypy: disable-error-code="import-not-found, misc, untyped-decorator"
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

import asyncio
from typing import Any
from unittest import mock

from tests.with_django.running import main, nothing, scope_inside, visit


def scenario_settings_are_djangos() -> None:
    from compat.settings import override
    from compat.settings import settings as ours

    assert ours.configured
    assert ours.ALLOWED_HOSTS == ["example.org"] and ours.SESSION_COOKIE_NAME == "sessionid"
    assert ours.SESSION_ENGINE == "django.contrib.sessions.backends.db"
    with override(ALLOWED_HOSTS=["b"]):
        assert ours.ALLOWED_HOSTS == ["b"]


def scenario_override_settings_reaches_compat_and_announces_itself() -> None:
    from django.test import override_settings

    from compat.layers import get_channel_layer
    from compat.settings import on_change

    before = get_channel_layer()
    heard: list[str] = []
    on_change(heard.append)
    with override_settings(CHANNEL_LAYERS={"other": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}):
        assert get_channel_layer() is None and get_channel_layer("other") is not None
    assert heard == ["CHANNEL_LAYERS", "CHANNEL_LAYERS"]
    assert get_channel_layer() is not None and get_channel_layer() is not before


def scenario_unregistered_django_is_not_asked() -> None:
    import django_shim
    from compat import integration
    from compat.settings import settings as ours

    assert ours.is_set("SECRET_KEY") and integration.users() is not None
    django_shim.uninstall()
    assert not ours.is_set("SECRET_KEY") and integration.users() is None


def scenario_unconfigured_django_is_not_in_use() -> None:
    """Installed, even loaded, but without settings: a project of ours beside it must not notice."""
    import django.conf

    from compat import auth, integration
    from compat.settings import settings as ours

    assert not django.conf.settings.configured
    assert not ours.configured and integration.users() is None and integration.database() is None
    scope = asyncio.run(scope_inside(auth.AuthMiddlewareStack, []))
    assert type(scope["user"]._wrapped) is auth.AnonymousUser


async def scenario_sessions_of_every_engine_come_back_by_their_cookie() -> None:
    from django.test import override_settings

    async def count(scope: Any) -> None:
        await scope["session"].aset("visits", await scope["session"].aget("visits", 0) + 1)

    for name in ("db", "cache", "cached_db", "file", "signed_cookies"):
        with override_settings(SESSION_ENGINE=f"django.contrib.sessions.backends.{name}"):
            cookie, _ = await visit(count)
            cookie, scope = await visit(count, cookie)
            assert await scope["session"].aget("visits") == 2, name
            assert type(scope["session"]._wrapped).__module__.endswith(name)
            assert await visit(nothing, cookie) == ("", mock.ANY)


async def scenario_a_session_deleted_meanwhile_is_djangos_suspicious_operation() -> None:
    from django.contrib.sessions.models import Session
    from django.core.exceptions import SuspiciousOperation

    async def log_out_elsewhere(scope: Any) -> None:
        await scope["session"].asave()
        await Session.objects.all().adelete()

    try:
        await visit(log_out_elsewhere)
    except SuspiciousOperation:
        return
    raise AssertionError("saved what was deleted")


def scenario_errors_that_are_ours_and_djangos_travel_between_processes() -> None:
    import pickle

    from django.core.exceptions import SuspiciousOperation as Theirs

    from compat.advice.familiar import familiar
    from compat.sessions import SuspiciousOperation

    error = pickle.loads(pickle.dumps(familiar(SuspiciousOperation, Theirs.__module__)("why")))
    assert isinstance(error, Theirs) and isinstance(error, SuspiciousOperation) and str(error) == "why"


if __name__ == "__main__":
    main(__name__)
