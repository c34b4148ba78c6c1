"""Settings that last as long as a test."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction

from compat.settings import override

from ..apps import apps
from ..conf import Overriding, settings
from ..core.signals import setting_changed

__all__ = [
    "modify_settings",
    "override_settings",
    "setup_test_environment",
    "teardown_test_environment",
]


class override_settings:
    """Other settings for a ``with`` block, a function (sync or async), or a SimpleTestCase class.

    Sends ``setting_changed`` for each when they begin and when they end.
    """

    def __init__(self, **kwargs: Any) -> None:
        self.options = kwargs
        self._active: list[Overriding] = []

    def enable(self) -> None:
        """Begin. What a receiver of the signal raises ends it again, and goes to the caller."""
        self._active.append(Overriding(self.options))
        if "INSTALLED_APPS" in self.options:
            try:
                apps.set_installed_apps(self.options["INSTALLED_APPS"])
            except Exception:
                apps.unset_installed_apps()
                self._active.pop().end()
                raise
        try:
            for name, value in self.options.items():
                setting_changed.send(sender=type(settings), setting=name, value=value, enter=True)
        except BaseException:  # a ``with`` block that has not begun does not end
            self._end()
            raise

    def disable(self) -> None:
        """End, and tell all receivers of the signal; raise the first exception that one of them raises."""
        for result in self._end():
            if isinstance(result, Exception):
                raise result

    def _end(self) -> list[Any]:
        """End; return what the receivers of the signal return or raise."""
        if "INSTALLED_APPS" in self.options:
            apps.unset_installed_apps()
        self._active.pop().end()
        results: list[Any] = []
        for name in self.options:
            value = getattr(settings, name, None)
            told = setting_changed.send_robust(sender=type(settings), setting=name, value=value, enter=False)
            results += [result for _, result in told]
        return results

    def __enter__(self) -> None:
        self.enable()

    def __exit__(self, *exc_info: object) -> None:
        self.disable()

    def __call__(self, decorated: Any) -> Any:
        return (
            self.decorate_class(decorated)
            if isinstance(decorated, type)
            else self._decorate_function(decorated)
        )

    def decorate_class(self, cls: Any) -> Any:
        """For every test of the class."""
        from .testcases import SimpleTestCase

        if not issubclass(cls, SimpleTestCase):
            raise ValueError(f"override_settings decorates SimpleTestCase classes; {cls.__name__} is none")
        self.save_options(cls)
        return cls

    def save_options(self, cls: Any) -> None:
        """Leave them on the class, where its ``setUpClass`` finds them."""
        cls._overridden_settings = {**(cls._overridden_settings or {}), **self.options}

    def _decorate_function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inner(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        @functools.wraps(function)
        async def async_inner(*args: Any, **kwargs: Any) -> Any:
            with self:
                return await function(*args, **kwargs)

        return async_inner if iscoroutinefunction(function) else inner


class modify_settings(override_settings):
    """Lists with items added or removed: ``modify_settings(MIDDLEWARE={"append": "…", "remove": ["…"]})``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.operations: list[tuple[str, dict[str, Any]]] = list(args[0] if args else kwargs.items())

    def enable(self) -> None:
        """Begin."""
        self.options = {}
        for name, operations in self.operations:
            value = list(self.options.get(name, getattr(settings, name, [])))
            for action, items in operations.items():
                value = _modified(value, action, [items] if isinstance(items, str) else list(items))
            self.options[name] = value
        super().enable()

    def save_options(self, cls: Any) -> None:
        """Leave them on the class, where its ``setUpClass`` finds them."""
        cls._modified_settings = [*(cls._modified_settings or ()), *self.operations]


def _modified(value: list[Any], action: str, items: list[Any]) -> list[Any]:
    missing = [item for item in items if item not in value]
    if action == "append":
        return value + missing
    if action == "prepend":
        return missing + value
    if action == "remove":
        return [item for item in value if item not in items]
    raise ValueError(f"Unsupported action: {action}")


_environment = contextlib.ExitStack()


def setup_test_environment(debug: bool | None = None) -> None:
    """As test runners do: DEBUG off, and the host ``testserver`` allowed."""
    hosts = [*settings.ALLOWED_HOSTS, "testserver"]
    _environment.enter_context(override(DEBUG=bool(debug), ALLOWED_HOSTS=hosts))


def teardown_test_environment() -> None:
    """Undo it."""
    _environment.close()
