"""The connection of compat with the real Django: its settings, its database connections, its users.

``register()`` tells compat where to find them. Django is imported only when compat needs it, and only if the
process uses the real one: it is loaded and configured, or DJANGO_SETTINGS_MODULE is set and Django can be
imported. So the order of ``install()``, ``import django`` and changes of ``sys.path`` does not matter.
"""

# mypy: disable-error-code="import-not-found"
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

import os
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django_shim.finder import real_spec, require_compat, serves_subset

require_compat()

from compat import integration  # noqa: E402 - require_compat() first explains a project's own compat.py
from compat.settings import changed, settings  # noqa: E402
from django_shim.with_django.db import DjangoDatabase  # noqa: E402

if TYPE_CHECKING:
    from django_shim.with_django.auth import DjangoUsers

__all__ = ["DjangoIntegration", "django_settings", "in_use", "register", "unregister", "watch_logouts"]

FORWARDER = "django_shim.with_django"


class DjangoIntegration:
    """The ``compat.integration.Integration`` of Django."""

    def __init__(self) -> None:
        self.connections = DjangoDatabase()
        self.forwards_changes = self.watches_logouts = False

    @property
    def database(self) -> DjangoDatabase | None:
        # This is called for every message, so the cheap conditions are first.
        if not self.connections.watching and ("django.db" not in sys.modules or not in_use()):
            return None
        return self.connections

    @property
    def users(self) -> DjangoUsers | None:
        return self._users if in_use() else None

    @cached_property
    def _users(self) -> DjangoUsers:
        from django_shim.with_django.auth import DjangoUsers

        watch_logouts()
        return DjangoUsers()


def register() -> None:
    """Register Django's settings, connections and users with compat; a second call does nothing."""
    settings.add_source(django_settings)
    integration.register(_integration)


def unregister() -> None:
    """Undo ``register``."""
    settings.remove_source(django_settings)
    integration.unregister(_integration)
    _integration.connections.unwatch()
    if _integration.forwards_changes:
        from django.core.signals import setting_changed

        setting_changed.disconnect(dispatch_uid=FORWARDER)
        _integration.forwards_changes = False
    if _integration.watches_logouts:
        from django.contrib.auth.signals import user_logged_out

        user_logged_out.disconnect(dispatch_uid=FORWARDER)
        _integration.watches_logouts = False
        _integration.__dict__.pop("_users", None)  # whose making watches


def in_use() -> bool:
    """Return True if this process uses the real Django, which has settings or knows their module."""
    if serves_subset():
        return False
    named = bool(os.environ.get("DJANGO_SETTINGS_MODULE"))
    conf = getattr(sys.modules.get("django.conf"), "settings", None)
    if conf is not None:
        return named or bool(conf.configured)
    return named and real_spec("django") is not None


def watch_logouts() -> None:
    """End what waits for a user whom Django logs out; a second call does nothing.

    Each process notices its own logouts, and tells the others. The subset of Django has none.
    """
    if in_use():
        from django.contrib.auth.signals import user_logged_out

        user_logged_out.connect(_logged_out, dispatch_uid=FORWARDER)
        _integration.watches_logouts = True


def _logged_out(*, request: Any = None, **_: Any) -> None:
    # Django empties the session afterwards, but not if this raises. Without a request it is that of a
    # websocket (``auth``).
    session = getattr(request, "session", None)
    if session is None:
        return
    from compat.resume.logouts import logged_out  # which few processes need
    from django_shim.with_django.auth import key_of_user

    if key := key_of_user(session):
        logged_out(key)


def django_settings() -> Any:
    """Return ``django.conf.settings`` as a source of settings, or None if Django is not in use."""
    if not in_use():
        return None
    from django import conf

    if not _integration.forwards_changes:
        from django.core.signals import setting_changed

        setting_changed.connect(_forward_change, dispatch_uid=FORWARDER)  # sent by override_settings
        _integration.forwards_changes = True
        settings.forget()  # what was found before Django was in use
    return conf.settings


def _forward_change(*, setting: str, **_: Any) -> None:
    changed(setting)


_integration = DjangoIntegration()
