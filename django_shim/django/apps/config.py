"""One app: a Python package with a name, a label and a folder."""

from __future__ import annotations

import importlib
import inspect
import os
from types import ModuleType
from typing import Any

from compat.exceptions import ImproperlyConfigured

from ..core.exceptions import AppRegistryNotReady
from ..unserved import needs_django
from ..utils.module_loading import import_string, module_has_submodule

__all__ = ["APPS_MODULE_NAME", "AppConfig"]

APPS_MODULE_NAME = "apps"


class AppConfig:
    """Subclass it in ``<app>/apps.py``; ``ready()`` runs once, when all apps are loaded.

    ``name`` is the package's dotted path, ``label`` its last part unless the class says otherwise.
    """

    name: str
    label: str
    verbose_name: Any
    path: str
    default_auto_field: str = "django.db.models.BigAutoField"
    models_module: ModuleType | None = None

    def __init__(self, app_name: str, app_module: ModuleType | None) -> None:
        self.name = app_name
        self.module = app_module
        self.apps: Any = None
        if not hasattr(self, "label"):
            self.label = app_name.rpartition(".")[2]
        if not self.label.isidentifier():
            raise ImproperlyConfigured(
                f"the app {app_name!r} needs a label that is a Python name, not {self.label!r}"
            )
        if not hasattr(self, "verbose_name"):
            self.verbose_name = self.label.title()
        if not hasattr(self, "path"):
            self.path = _folder(app_module)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.label}>"

    @classmethod
    def create(cls, entry: str) -> AppConfig:
        """Return the config for an entry of INSTALLED_APPS: the path of a package or an AppConfig."""
        try:
            module = importlib.import_module(entry)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{entry}.".startswith(f"{error.name}."):
                raise  # the app is there, but imports something that is not
            return cls._from_class(entry, error)
        config = _config_class(module, entry)
        return (config or cls)(getattr(config, "name", entry), module)

    @classmethod
    def _from_class(cls, entry: str, not_a_module: ModuleNotFoundError) -> AppConfig:
        try:
            config = import_string(entry)
        except ImportError:
            raise ImproperlyConfigured(
                f"INSTALLED_APPS has {entry!r}, and there is neither a package of that name nor an AppConfig "
                f"({not_a_module}). Check its spelling; if it is a package of others, install it."
            ) from not_a_module
        if not (isinstance(config, type) and issubclass(config, AppConfig)):
            raise ImproperlyConfigured(f"INSTALLED_APPS has {entry!r}, and that is no AppConfig.")
        if not getattr(config, "name", None):
            raise ImproperlyConfigured(f"the AppConfig {entry!r} has no name: set it to the app's package")
        return config(config.name, importlib.import_module(config.name))

    def get_models(self, include_auto_created: bool = False, include_swapped: bool = False) -> list[Any]:
        """[]: there are no models without the real Django."""
        return []

    def get_model(self, model_name: str, require_ready: bool = True) -> Any:
        """Raises LookupError: there are no models without the real Django."""
        raise LookupError(needs_django(f"The model {self.label}.{model_name}"))

    def import_models(self) -> None:
        """Does nothing; see ``get_models``."""

    def ready(self) -> None:
        """Override it for what is to happen once at start."""


def _folder(module: ModuleType | None) -> str:
    paths = list(getattr(module, "__path__", []))
    if not paths and getattr(module, "__file__", None):
        paths = [os.path.dirname(str(module.__file__))]  # type: ignore[union-attr]  # not None: it has a file
    if not paths:
        raise ImproperlyConfigured(f"the app {module!r} is in no folder")
    return str(paths[0])


def _config_class(module: ModuleType, entry: str) -> type[AppConfig] | None:
    """Return the AppConfig that ``<app>/apps.py`` defines: the one marked ``default``, or the only one."""
    if not module_has_submodule(module, APPS_MODULE_NAME):
        return None
    try:
        found = importlib.import_module(f"{entry}.{APPS_MODULE_NAME}")
    except ImproperlyConfigured as error:
        raise AppRegistryNotReady(
            f"{entry}.{APPS_MODULE_NAME} needs settings while it is imported: {error}"
        ) from error
    classes = [
        one
        for _, one in inspect.getmembers(found, inspect.isclass)
        if issubclass(one, AppConfig) and one is not AppConfig and getattr(one, "default", True)
    ]
    if len(classes) > 1:
        classes = [one for one in classes if getattr(one, "default", False)]
        if len(classes) > 1:
            names = ", ".join(repr(one.__name__) for one in classes)
            raise RuntimeError(
                f"{found.__name__} has several default configs: {names}. Mark one with default = True."
            )
    return classes[0] if classes else None
