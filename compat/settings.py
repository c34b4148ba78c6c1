"""Where settings come from, in order, and how they change under test.

A name is looked up in: ``override()`` (innermost first), ``configure()``, the registered sources (the shim
registers Django's settings), the module named by ``COMPAT_SETTINGS_MODULE`` or ``DJANGO_SETTINGS_MODULE``,
and last the defaults below. Nothing is imported before the first look-up.

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
"""Environment variables that name the settings module, first come first served."""

DEFAULTS: Mapping[str, Any] = {
    "ALLOWED_HOSTS": [],
    "ASGI_APPLICATION": None,
    "AUTHENTICATION_BACKENDS": [],
    "CHANNEL_HEARTBEAT": None,
    "CHANNEL_IDLE_TIMEOUT": None,
    "CHANNEL_HANDSHAKE_SECONDS": 3,
    "CHANNEL_LAYERS": {},
    "CHANNEL_MAX_CONNECTIONS": None,
    "CHANNEL_MAX_CONNECTIONS_PER_CLIENT": None,
    "CHANNEL_MAX_CONNECTIONS_PER_USER": None,
    "CHANNEL_MAX_MESSAGES_PER_SECOND": None,
    "CHANNEL_MAX_MESSAGE_SIZE": None,
    "CHANNEL_ORIGIN_CHECK": True,
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
"""Every setting that compat reads, with its default (Django's own where Django has the setting)."""

_MISSING: Any = object()

Source = Callable[[], "object | None"]


class Settings:
    """The settings of this process, looked up lazily as attributes.

    ``settings.NAME`` raises AttributeError, naming the nearest setting that exists, where no source has the
    name. Names are upper case, as in Django.
    """

    def __init__(self) -> None:
        self._overrides: list[dict[str, Any]] = []
        self._values: dict[str, Any] = {}
        self.kept_values: dict[str | tuple[str, ...], Any] = {}
        """What ``kept`` has looked up. Another dict after each change, so that it tells one."""
        self._adopted: set[str] = set()
        self._sources: list[Source] = []
        self._module: ModuleType | None = None
        self._listeners: list[Callable[[str], None]] = []

    def __getattr__(self, name: str) -> Any:
        if not name.isupper():
            raise AttributeError(f"settings have upper case names; there is no {name!r}")
        value = self._look_up(name)
        if value is not _MISSING:
            return value
        if name in DEFAULTS:
            return DEFAULTS[name]
        near = difflib.get_close_matches(name, DEFAULTS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise AttributeError(f"there is no setting {name!r}{hint}")

    def get(self, name: str, default: Any = None) -> Any:
        """The value of ``name``, else its default in ``DEFAULTS``, else ``default``."""
        value = self._look_up(name)
        return DEFAULTS.get(name, default) if value is _MISSING else value

    def kept(self, name: str) -> Any:
        """``get(name)``, looked up once per change of any setting: for what every connection asks."""
        try:
            return self.kept_values[name]
        except KeyError:
            return self.kept_values.setdefault(name, self.get(name))

    def all_none(self, names: tuple[str, ...]) -> bool:
        """True when all of ``names`` are None, as limits are that nobody set; looked up as by ``kept``."""
        try:
            return bool(self.kept_values[names])
        except KeyError:
            return bool(self.kept_values.setdefault(names, all(self.get(name) is None for name in names)))

    def is_set(self, name: str) -> bool:
        """True when some source gives ``name`` a value of its own."""
        return self._look_up(name) is not _MISSING

    @property
    def configured(self) -> bool:
        """True when there is any source of settings: values, a registered source, or a settings module."""
        if self._values or self._overrides or self._module is not None:
            return True
        return any(source() is not None for source in self._sources) or bool(module_name())

    def configure(self, **values: Any) -> None:
        """Set values for the rest of the process; ImproperlyConfigured for a name in lower case."""
        for name in values:
            if not name.isupper():
                raise ImproperlyConfigured(
                    f"configure({name}=…): settings have upper case names, such as {name.upper()}"
                )
        self._values.update(values)
        self._adopted.difference_update(values)
        for name in values:
            self.changed(name)

    def adopt(self, **values: Any) -> None:
        """``configure()`` for what was said to a framework beside compat: see ``chosen``."""
        self.configure(**values)
        self._adopted.update(values)

    def chosen(self, name: str) -> bool:
        """True when compat itself was told ``name``: no framework beside it was.

        By ``configure()``, ``override()`` or the module that COMPAT_SETTINGS_MODULE names; a source or
        DJANGO_SETTINGS_MODULE speaks to a framework.
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
        """Replace values inside a ``with`` block or a decorated function; nests."""
        self._overrides.append(values)
        self._announce(values)
        try:
            yield
        finally:
            self._overrides.remove(values)
            self._announce(values)

    def add_source(self, source: Source) -> None:
        """Ask ``source()`` for an object with settings as attributes (None: not now), before the module."""
        self.kept_values = {}
        if source not in self._sources:
            self._sources.append(source)

    def remove_source(self, source: Source) -> None:
        """Undo ``add_source``."""
        self.kept_values = {}
        if source in self._sources:
            self._sources.remove(source)

    def load_module(self, name: str) -> ModuleType:
        """Import the settings module ``name`` and read from it; ImproperlyConfigured if it is not found."""
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
                raise  # the module is there, but imports something that is not
            raise ImproperlyConfigured(
                f"the settings module {name!r} cannot be imported: {error}. It is named by "
                f"{' or '.join(MODULE_VARIABLES)}; check its spelling, and that its folder is on sys.path."
            ) from error
        self._module = module
        self.kept_values = {}
        return module

    def on_change(self, callback: Callable[[str], None]) -> None:
        """Call ``callback(name)`` whenever a setting has changed."""
        if callback not in self._listeners:
            self._listeners.append(callback)

    def changed(self, name: str) -> None:
        """Tell the listeners that ``name`` has changed; sources call this for changes of their own."""
        self.kept_values = {}
        for callback in tuple(self._listeners):
            callback(name)

    def reset(self) -> None:
        """Forget values, overrides and the loaded module (sources and listeners stay)."""
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
        for values in reversed(self._overrides):
            if name in values:
                return values[name]
        if name in self._values:
            return self._values[name]
        for source in self._sources:
            found = source()
            if found is not None:
                # A source stands for the settings module: what it lacks, the module lacks too.
                return getattr(found, name, _MISSING)
        module = self._module
        if module is None and (named := module_name()):
            module = self.load_module(named)
        return getattr(module, name, _MISSING) if module is not None else _MISSING


def module_name() -> str | None:
    """The settings module that the environment names, or None."""
    return next((os.environ[variable] for variable in MODULE_VARIABLES if os.environ.get(variable)), None)


settings = Settings()
"""The one instance that everything reads."""

configure = settings.configure
override = settings.override
on_change = settings.on_change
changed = settings.changed
load_module = settings.load_module
reset = settings.reset
