"""``django.conf.settings``: the project's settings with Django's defaults beneath them.

Where they come from and how they change is ``compat.settings``' affair; this adds the defaults of
``global_settings`` and the manners of Django's object.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

from compat.exceptions import ImproperlyConfigured
from compat.settings import MISSING, override
from compat.settings import settings as source

from . import global_settings

__all__ = ["ENVIRONMENT_VARIABLE", "LazySettings", "settings"]

ENVIRONMENT_VARIABLE = "DJANGO_SETTINGS_MODULE"

BELOW_THE_PREFIX = ("STATIC_URL", "MEDIA_URL")
"""Settings that mean something else in each request, so they are not kept."""


class Overriding:
    """What one ``override_settings`` puts in place of other settings, until ``end()``.

    What is set or deleted meanwhile belongs to it, and ends with it.
    """

    active: list[Overriding] = []  # noqa: RUF012 - of the process; it also holds those that nobody else does

    def __init__(self, values: dict[str, Any]) -> None:
        self._ends = contextlib.ExitStack()
        self.deleted: set[str] = set()
        self._ends.enter_context(override(**values))
        self.active.append(self)

    def set(self, name: str, value: Any) -> None:
        self.deleted.discard(name)
        self._ends.enter_context(override(**{name: value}))

    def delete(self, name: str) -> None:
        self.deleted.add(name)
        self._ends.enter_context(override(**{name: MISSING}))

    def end(self) -> None:
        self.active.remove(self)
        self._ends.close()


def is_deleted(name: str) -> bool:
    """Return True for a setting without a value that was deleted inside of an ``override_settings``."""
    return not source.is_set(name) and any(name in one.deleted for one in Overriding.active)


class LazySettings:
    """Settings as attributes, looked up when they are first read.

    A value is kept as an attribute of the object, so that the next one who reads it calls nothing;
    ``compat.settings`` takes these attributes away whenever a setting changes.
    AttributeError for a name that neither the project nor Django has; ImproperlyConfigured if no settings
    module is named and nothing was configured.
    """

    def __init__(self) -> None:
        source.copies.append(self.__dict__)

    def __getattr__(self, name: str) -> Any:
        if name == "SETTINGS_MODULE":
            return os.environ.get(ENVIRONMENT_VARIABLE)
        if not name.isupper():
            raise AttributeError(f"settings have upper case names; there is no {name!r}")
        self._require_source(name)
        snapshot = source.snapshot
        value = self._found(name)
        if name == "SECRET_KEY" and not value:
            raise ImproperlyConfigured("SECRET_KEY is empty: set it to a long random text")
        if name in BELOW_THE_PREFIX and value is not None:
            return _below_the_prefix(value)
        self.__dict__[name] = value
        if source.snapshot is not snapshot:  # a setting has changed since, perhaps this one
            self.__dict__.pop(name, None)
        return value

    @staticmethod
    def _found(name: str) -> Any:
        if is_deleted(name):
            raise AttributeError(f"the setting {name!r} was deleted inside of an override_settings()")
        if source.is_set(name) or not hasattr(global_settings, name):
            return getattr(source, name)  # AttributeError names the nearest
        return getattr(global_settings, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if Overriding.active:
            Overriding.active[-1].set(name, value)
        else:
            source.adopt(**{name: value})

    def __delattr__(self, name: str) -> None:
        if Overriding.active:
            Overriding.active[-1].delete(name)
        else:
            source.withdraw(name)

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *(name for name in dir(global_settings) if name.isupper())]

    def __repr__(self) -> str:
        module = os.environ.get(ENVIRONMENT_VARIABLE)
        return f'<LazySettings "{module}">' if module else "<LazySettings [configured in code or not at all]>"

    @property
    def configured(self) -> bool:
        """True when the settings come from somewhere."""
        return source.configured

    def configure(self, default_settings: Any = global_settings, **options: Any) -> None:
        """Settings without a module; RuntimeError when there are settings already."""
        if source.configured:
            raise RuntimeError("settings.configure() comes too late: there are settings already")
        given = (
            {"DEBUG": False}  # the others are beneath anyway
            if default_settings is global_settings
            else {name: getattr(default_settings, name) for name in dir(default_settings) if name.isupper()}
        )
        source.adopt(**{**given, **options})

    def is_overridden(self, setting: str) -> bool:
        """Does the project give it a value of its own?"""
        return source.is_set(setting) or is_deleted(setting)

    def _setup(self, name: str | None = None) -> None:
        """Load the settings module now."""
        self._require_source(name)
        source.is_set("DEBUG")  # a look-up loads the module

    def _require_source(self, name: str | None) -> None:
        if not source.configured:
            what = f"settings.{name}" if name else "the settings"
            raise ImproperlyConfigured(
                f"{what} cannot be read: no settings are named. Set {ENVIRONMENT_VARIABLE}, to "
                "'mysite.settings' for example, or call settings.configure() first."
            )


def _below_the_prefix(url: str) -> str:
    """``static/`` means: below the place where the project is mounted. What is absolute stays."""
    from ..urls import get_script_prefix

    return url if url.startswith(("http://", "https://", "/")) else f"{get_script_prefix()}{url}"


settings: Any = LazySettings()
