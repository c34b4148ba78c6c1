"""The settings: their sources, their defaults, and overrides for tests.

A name is looked up, in this order, in ``override()`` (innermost first), ``configure()``, the registered
sources (the shim registers Django's settings), the module named by ``COMPAT_SETTINGS_MODULE`` or
``DJANGO_SETTINGS_MODULE``, and the defaults below. No module is imported before the first look-up. Values
are kept in a snapshot until a setting changes; only those of a source are read each time.

    >>> from compat.settings import configure, settings
    >>> configure(CHANNEL_LAYERS={"default": {"BACKEND": "compat.layers.InMemoryChannelLayer"}})
    >>> settings.CHANNEL_LAYERS["default"]["BACKEND"]
    'compat.layers.InMemoryChannelLayer'
    >>> settings.reset()
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

from compat.exceptions import ImproperlyConfigured

__all__ = [
    "DEFAULTS",
    "MISSING",
    "MODULE_VARIABLES",
    "Settings",
    "changed",
    "configure",
    "load_module",
    "on_change",
    "override",
    "reset",
    "settings",
]

MODULE_VARIABLES = ("COMPAT_SETTINGS_MODULE", "DJANGO_SETTINGS_MODULE")
"""Environment variables that name the settings module; the first one that is set counts."""

DEFAULTS: Mapping[str, Any] = {
    "ALLOWED_HOSTS": [],
    "ASGI_APPLICATION": None,
    "AUTHENTICATION_BACKENDS": [],
    "CHANNEL_HEARTBEAT": None,
    "CHANNEL_IDLE_TIMEOUT": None,
    "CHANNEL_FALLBACK": False,
    "CHANNEL_FAST": True,
    "CHANNEL_GC": False,
    "CHANNEL_HANDSHAKE_SECONDS": 3,
    "CHANNEL_LAYERS": {},
    "CHANNEL_LOG_JSON": False,
    "CHANNEL_MAX_CONNECTIONS": None,
    "CHANNEL_MAX_CONNECTIONS_PER_CLIENT": None,
    "CHANNEL_MAX_CONNECTIONS_PER_USER": None,
    "CHANNEL_MAX_MESSAGES_PER_SECOND": None,
    "CHANNEL_MAX_MESSAGE_SIZE": None,
    "CHANNEL_ORIGIN_CHECK": True,
    "CHANNEL_READY_SECONDS": 10,
    "CHANNEL_RESUME_SECONDS": 120,
    "CHANNEL_THREADS": 24,
    "CHANNEL_UNKNOWN_MESSAGE": "raise",
    "DEBUG": False,
    "DRAIN_SECONDS": 0,
    "SECRET_KEY": "",
    "SECRET_KEY_FALLBACKS": [],
    "SESSION_CHANNEL_LAYER": "default",
    "SESSION_COOKIE_AGE": 60 * 60 * 24 * 7 * 2,
    "SESSION_COOKIE_DOMAIN": None,
    "SESSION_COOKIE_HTTPONLY": True,
    "SESSION_COOKIE_NAME": "sessionid",
    "SESSION_COOKIE_PATH": "/",
    "SESSION_COOKIE_SAMESITE": "Lax",
    "SESSION_COOKIE_SECURE": False,
    "SESSION_ENGINE": "compat.session_memory",
    "SESSION_EXPIRE_AT_BROWSER_CLOSE": False,
    "SESSION_SAVE_EVERY_REQUEST": False,
}
"""Every setting that compat reads, with its default (Django's own default for settings of Django)."""

SWITCHES = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}
"""What an environment variable may say to turn a setting on or off."""

MISSING: Any = object()
"""No value: with it, ``override()`` hides those of all sources."""

Source = Callable[[], "object | None"]


class Settings:
    """The settings of this process as attributes.

    ``settings.NAME`` raises AttributeError, with the most similar setting, if no source has the name. Names
    are upper case, as in Django.
    """

    def __init__(self) -> None:
        self._overrides: list[dict[str, Any]] = []
        self._values: dict[str, Any] = {}
        self.snapshot: dict[str, Any] = {}
        """The values that have been looked up. Each change of a setting replaces the dict."""
        self._kept: dict[str | tuple[str, ...], Any] = {}
        self.copies: list[dict[str, Any]] = []
        """Caches of values in other modules; each change of a setting empties them."""
        self._adopted: set[str] = set()
        self._sources: list[Source] = []
        self._module: ModuleType | None = None
        self._listeners: list[Callable[[str], None]] = []

    def __getattr__(self, name: str) -> Any:
        if not name.isupper():
            raise AttributeError(f"settings have upper case names; there is no {name!r}")
        value = self._look_up(name)
        if value is not MISSING:
            return value
        if name in DEFAULTS:
            return DEFAULTS[name]
        near = difflib.get_close_matches(name, DEFAULTS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise AttributeError(f"there is no setting {name!r}{hint}")

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of ``name``, else its default in ``DEFAULTS``, else ``default``."""
        value = self._look_up(name)
        return DEFAULTS.get(name, default) if value is MISSING else value

    def kept(self, name: str) -> Any:
        """Return ``get(name)`` from a cache that lasts until any setting changes, for values of a source
        too.
        """
        try:
            return self._kept[name]
        except KeyError:
            return self._kept.setdefault(name, self.get(name))

    def is_on(self, name: str) -> bool:
        """Return the setting ``name``, which is on or off; an environment variable of this name goes first.

        Raises ImproperlyConfigured if it is not a bool.
        """
        said = os.environ.get(name, "").strip()
        value = SWITCHES.get(said.lower(), said) if said else self.kept(name)
        if not isinstance(value, bool):
            raise ImproperlyConfigured(f"{name} must be True or False; found {value!r}")
        return value

    def seconds(self, name: str) -> float:
        """Return the setting ``name``, a number of seconds; raise ImproperlyConfigured if it is not, or below
        0.
        """
        value = self.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
            raise ImproperlyConfigured(f"{name} must be a number of seconds, 0 or more; found {value!r}")
        return float(value)

    def all_none(self, names: tuple[str, ...]) -> bool:
        """Return True if all of ``names`` are None; cached as by ``kept``."""
        try:
            return bool(self._kept[names])
        except KeyError:
            return bool(self._kept.setdefault(names, all(self.get(name) is None for name in names)))

    def is_set(self, name: str) -> bool:
        """Return True if a source other than the defaults has ``name``."""
        return self._look_up(name) is not MISSING

    def names(self) -> set[str]:
        """Return the names that a source other than the defaults has, also those that nothing here reads."""
        found = next((one for source in self._sources if (one := source()) is not None), self._module)
        if found is None and (named := module_name()):
            found = self.load_module(named)
        here = {name for values in (self._values, *self._overrides) for name in values}
        return here if found is None else here | {name for name in dir(found) if name.isupper()}

    @property
    def configured(self) -> bool:
        """True if there is a source of settings: values, a registered source, or a settings module."""
        if self._values or self._overrides or self._module is not None:
            return True
        return any(source() is not None for source in self._sources) or bool(module_name())

    def configure(self, **values: Any) -> None:
        """Set values for the rest of the process; raise ImproperlyConfigured for a name in lower case."""
        for name in values:
            if not name.isupper():
                raise ImproperlyConfigured(
                    f"configure({name}=…): settings have upper case names, such as {name.upper()}"
                )
        self._values.update(values)
        self._adopted.difference_update(values)
        for name in values:
            self.changed(name)

    def withdraw(self, name: str) -> None:
        """Undo ``configure()`` for ``name``; raise AttributeError if it was not configured."""
        if name not in self._values:
            raise AttributeError(f"the setting {name!r} was not configured in code; there is nothing to undo")
        del self._values[name]
        self._adopted.discard(name)
        self.changed(name)

    def adopt(self, **values: Any) -> None:
        """Set values that were configured for a framework: ``configure()``, but ``chosen`` stays False."""
        self.configure(**values)
        self._adopted.update(values)

    def chosen(self, name: str) -> bool:
        """Return True if ``name`` is set for compat itself, and not for a framework that is used with it.

        ``configure()``, ``override()`` and the module that COMPAT_SETTINGS_MODULE names are for compat;
        sources and DJANGO_SETTINGS_MODULE are for a framework.
        """
        if any(name in values for values in self._overrides):
            return True
        if name in self._values:
            return name not in self._adopted
        own = os.environ.get(MODULE_VARIABLES[0])
        if not own or any(source() is not None for source in self._sources):
            return False
        return hasattr(self._module or self.load_module(own), name)

    @contextlib.contextmanager
    def override(self, **values: Any) -> Iterator[None]:
        """Replace values inside a ``with`` block or a decorated function."""
        self._overrides.append(values)
        try:
            self._announce(values)
            yield
        finally:
            self._overrides[:] = [one for one in self._overrides if one is not values]
            self._announce(values)

    def add_source(self, source: Source) -> None:
        """Ask ``source()`` for an object with settings as attributes (None: not now), before the module."""
        if source not in self._sources:
            self._sources.append(source)
        self.forget()

    def remove_source(self, source: Source) -> None:
        """Undo ``add_source``."""
        if source in self._sources:
            self._sources.remove(source)
        self.forget()

    def load_module(self, name: str) -> ModuleType:
        """Import the settings module ``name``, and read from it; raise ImproperlyConfigured if it does not
        exist.
        """
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
                raise  # the module exists, but imports a module that does not
            raise ImproperlyConfigured(
                f"the settings module {name!r} cannot be imported: {error}. It is named by "
                f"{' or '.join(MODULE_VARIABLES)}; check its spelling, and that its folder is on sys.path."
            ) from error
        self._module = module
        self.forget()
        return module

    def on_change(self, callback: Callable[[str], None]) -> None:
        """Call ``callback(name)`` whenever a setting has changed."""
        if callback not in self._listeners:
            self._listeners.append(callback)

    def changed(self, name: str) -> None:
        """Tell the listeners that ``name`` has changed; sources call this for changes of their own."""
        self.forget()
        for callback in tuple(self._listeners):
            callback(name)

    def forget(self) -> None:
        """Drop the snapshot, as a change does: every setting is looked up anew."""
        self.snapshot, self._kept = {}, {}
        for copy in self.copies:
            copy.clear()

    def reset(self) -> None:
        """Remove values, overrides and the loaded module (sources and listeners stay)."""
        names = {*self._values, *(name for values in self._overrides for name in values)}
        self._overrides.clear()
        self._values.clear()
        self._adopted.clear()
        self._module = None
        self._announce(names | {"CHANNEL_LAYERS"})

    def _announce(self, names: Any) -> None:
        for name in names:
            self.changed(name)

    def _look_up(self, name: str) -> Any:
        # The dict is taken first: what a change overtakes is stored in the one that the change has dropped.
        snapshot = self.snapshot
        try:
            return snapshot[name]
        except KeyError:
            value, lasting = self._asked(name)
        if lasting:
            snapshot[name] = value
        return value

    def _asked(self, name: str) -> tuple[Any, bool]:
        """Return the value, or ``MISSING``, and whether it stays so until ``forget()``."""
        for values in reversed(self._overrides):
            if name in values:
                return values[name], True
        if name in self._values:
            return self._values[name], True
        for source in self._sources:
            found = source()
            if found is not None:
                # A source stands for the settings module: what it lacks, the module lacks too.
                return getattr(found, name, MISSING), False
        module = self._module
        if module is None and (named := module_name()):
            module = self.load_module(named)
        return getattr(module, name, MISSING), module is not None


def module_name() -> str | None:
    """Return the settings module that the environment names, or None."""
    return next((os.environ[variable] for variable in MODULE_VARIABLES if os.environ.get(variable)), None)


settings = Settings()
"""The settings that everything reads."""

configure = settings.configure
override = settings.override
on_change = settings.on_change
changed = settings.changed
load_module = settings.load_module
reset = settings.reset
