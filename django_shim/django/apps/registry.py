"""The registry of the apps in INSTALLED_APPS.

Only the project's own apps are loaded. Django's need Django, and what the shim itself serves (``channels``,
``daphne``, ``django_shim.with_django``) has nothing to load; both are known to be installed, no more.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from compat.exceptions import ImproperlyConfigured

from ..core.exceptions import AppRegistryNotReady
from ..unserved import needs_django
from .config import AppConfig

__all__ = ["Apps", "apps", "is_project_app"]

SHIM_APPS = {"channels", "channels_redis", "daphne", "django_shim"}


def is_project_app(entry: str) -> bool:
    """Is this entry of INSTALLED_APPS to be imported?"""
    return entry.partition(".")[0] not in {"django", *SHIM_APPS}


class Apps:
    """The apps by label, in the order of INSTALLED_APPS; filled by ``django.setup()``."""

    def __init__(self) -> None:
        self.app_configs: dict[str, AppConfig] = {}
        self.apps_ready = self.models_ready = self.ready = self.loading = False
        self._names: set[str] = set()
        self._stored: list[tuple[dict[str, AppConfig], set[str], bool, bool]] = []
        self._lock = threading.RLock()

    def populate(self, installed_apps: Iterable[str] = ()) -> None:
        """Import the apps and call each ``ready()``; once per process. RuntimeError when an app calls it."""
        if self.ready:
            return
        with self._lock:
            if self.ready:
                return
            if self.loading:
                raise RuntimeError("an app calls django.setup() while the apps are being loaded")
            self.loading = True
            try:
                self._load(list(installed_apps))
            finally:
                self.loading = False

    def _load(self, entries: list[str]) -> None:
        configs: dict[str, AppConfig] = {}
        for entry in filter(is_project_app, entries):
            config = AppConfig.create(entry)
            if config.label in configs:
                raise ImproperlyConfigured(
                    f"two apps have the label {config.label!r}: give one another, in its AppConfig"
                )
            configs[config.label] = config
            config.apps = self
        self.app_configs = configs
        self._names = {*entries, *(config.name for config in configs.values())}
        self.apps_ready = self.models_ready = True
        for config in configs.values():
            config.ready()
        self.ready = True

    def set_installed_apps(self, installed: Iterable[str]) -> None:
        """Use other apps until ``unset_installed_apps``: for tests."""
        self._stored.append((self.app_configs, self._names, self.apps_ready, self.ready))
        self.ready = False
        self.populate(installed)

    def unset_installed_apps(self) -> None:
        """Back to those before."""
        self.app_configs, self._names, ready, self.ready = self._stored.pop()
        self.apps_ready = self.models_ready = ready

    def check_apps_ready(self) -> None:
        """Raise AppRegistryNotReady before ``django.setup()``."""
        if not self.apps_ready:
            raise AppRegistryNotReady("the apps are not loaded: call django.setup() first")

    check_models_ready = check_apps_ready

    def get_app_configs(self) -> Iterable[AppConfig]:
        """Return every app of the project."""
        self.check_apps_ready()
        return self.app_configs.values()

    def get_app_config(self, app_label: str) -> AppConfig:
        """Return the app with that label; LookupError, naming the nearest mistake, if there is none."""
        self.check_apps_ready()
        try:
            return self.app_configs[app_label]
        except KeyError:
            hint = next(
                (
                    f" Its label is '{one.label}'."
                    for one in self.app_configs.values()
                    if one.name == app_label
                ),
                "",
            )
            raise LookupError(f"there is no app with the label '{app_label}'.{hint}") from None

    def get_containing_app_config(self, object_name: str) -> AppConfig | None:
        """Return the app that a dotted name lies in, the innermost if several, or None."""
        self.check_apps_ready()
        inside = [one for one in self.app_configs.values() if f"{object_name}.".startswith(f"{one.name}.")]
        return max(inside, key=lambda one: len(one.name), default=None)

    def is_installed(self, app_name: str) -> bool:
        """Is it in INSTALLED_APPS, by its full name?"""
        self.check_apps_ready()
        return app_name in self._names

    def get_models(self, include_auto_created: bool = False, include_swapped: bool = False) -> list[Any]:
        """[]: there are no models without the real Django."""
        return []

    def get_model(self, app_label: str, model_name: str | None = None, require_ready: bool = True) -> Any:
        """Raises LookupError: there are no models without the real Django."""
        name = f"{app_label}.{model_name}" if model_name else app_label
        raise LookupError(needs_django(f"The model {name}"))


apps = Apps()
