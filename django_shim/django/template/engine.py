"""The engines that TEMPLATES describes, and ``Template``, what they give.

Without TEMPLATES there is no engine, as in Django; ``Template("…")`` needs none.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compat.exceptions import ImproperlyConfigured
from compat.settings import on_change

from ..apps import apps
from ..conf import settings
from ..http import HttpRequest
from ..unserved import needs_django
from ..utils.module_loading import import_string
from ..utils.safestring import SafeString
from .context import Context
from .context_processors import csrf
from .exceptions import TemplateDoesNotExist
from .library import InvalidTemplateLibrary, Library

if TYPE_CHECKING:
    from .environment import Environment

__all__ = ["Engine", "Template", "engines"]

BACKEND = "django.template.backends.django.DjangoTemplates"
OPTIONS = {
    "autoescape",
    "builtins",
    "context_processors",
    "debug",
    "file_charset",
    "libraries",
    "loaders",
    "string_if_invalid",
}


class Template:
    """A compiled template. ``render`` takes a Context, or a dict and perhaps a request."""

    def __init__(
        self, template_string: Any, origin: Any = None, name: str | None = None, engine: Any = None
    ) -> None:
        self.engine: Engine = engine or engines.default()
        self.name = name
        self.origin = origin
        self.source: str | None = str(template_string)
        self._compiled = {self.engine.autoescape: self.engine.environment.from_source(self.source, name)}

    @classmethod
    def loaded(cls, engine: Engine, name: str) -> Template:
        """Return the template of that name."""
        template = cls.__new__(cls)
        template.engine, template.name, template.origin, template.source = engine, name, None, None
        template._compiled = {engine.autoescape: engine.environment.template(name)}
        return template

    def compiled(self, autoescape: bool) -> Any:
        """Return Jinja2's template, which escapes or does not."""
        if autoescape not in self._compiled:
            environment = self.engine.environment.escaping(autoescape)
            self._compiled[autoescape] = (
                environment.template(self.name)
                if self.source is None
                else environment.from_source(self.source, self.name)
            )
        return self._compiled[autoescape]

    def render(self, context: Any = None, request: HttpRequest | None = None) -> SafeString:
        """Return the page. A Context says whether values are escaped; with a dict the engine does."""
        autoescape = self.engine.autoescape
        if isinstance(context, Context):
            request = getattr(context, "request", None) or request
            extra = getattr(context, "processors", ())
            values = context.flatten()
            autoescape = bool(context.autoescape)
        else:
            extra, values = (), dict(context or {})
        variables = self.engine.variables(values, request, extra)
        return self.engine.environment.render(self.compiled(autoescape), variables)


class Engine:
    """One entry of TEMPLATES."""

    def __init__(
        self,
        dirs: Sequence[Any] = (),
        app_dirs: bool = False,
        context_processors: Sequence[str] = (),
        debug: bool | None = None,
        loaders: Any = None,
        string_if_invalid: str = "",
        file_charset: str = "utf-8",
        libraries: Mapping[str, str] | None = None,
        builtins: Sequence[str] = (),
        autoescape: bool = True,
        name: str = "django",
    ) -> None:
        self.name = name
        self.dirs = [Path(folder) for folder in dirs]
        self.app_dirs = app_dirs or loaders is not None  # whatever the loaders were, they look into the apps
        self.context_processors = list(context_processors)
        self.autoescape = autoescape
        self._options: dict[str, Any] = {
            "encoding": file_charset,
            "auto_reload": settings.DEBUG if debug is None else debug,
            "autoescape": autoescape,
            "string_if_invalid": string_if_invalid,
        }
        self._libraries = dict(libraries or {})
        self._builtins = list(builtins)

    @functools.cached_property
    def environment(self) -> Environment:
        """Jinja2's side of it; ImportError, naming the extra, where Jinja2 is not installed."""
        try:
            from .environment import Environment
        except ModuleNotFoundError as error:
            if error.name not in ("jinja2", "markupsafe"):
                raise
            raise ImportError(
                "templates need Jinja2, which is not installed: pip install 'channels-compat[templates]'",
                name="jinja2",
            ) from error
        builtins = [(path, _library(path)) for path in self._builtins]
        return Environment(self.template_dirs(), self.template_libraries(), builtins, **self._options)

    @functools.cached_property
    def template_context_processors(self) -> list[Callable[[HttpRequest], dict[str, Any]]]:
        """The functions that ``context_processors`` names; Django's own that are not here give nothing."""
        found: list[Callable[[HttpRequest], dict[str, Any]]] = [csrf]
        for path in self.context_processors:
            try:
                found.append(import_string(path))
            except ImportError:
                if not path.startswith("django."):
                    raise
        return found

    def template_dirs(self) -> list[Path]:
        """DIRS, then the folder ``templates`` of each app."""
        return [*self.dirs, *_app_folders("templates")] if self.app_dirs else self.dirs

    def template_libraries(self) -> dict[str, Callable[[], Library]]:
        """What ``{% load %}`` can name: the modules in the apps' ``templatetags``, and OPTIONS' libraries."""
        paths = {name: path for folder in _template_tag_packages() for name, path in folder}
        paths.update(self._libraries)
        return {name: functools.partial(_library, path) for name, path in paths.items()}

    def variables(
        self,
        values: dict[str, Any],
        request: HttpRequest | None,
        extra: Sequence[Callable[[HttpRequest], Any]] = (),
    ) -> dict[str, Any]:
        """Return ``values`` with what the context processors add; ``values`` win."""
        found: dict[str, Any] = {}
        if request is not None:
            for processor in (*self.template_context_processors, *extra):
                found.update(processor(request))
        return {**found, **values}

    def from_string(self, template_code: str) -> Template:
        """Return a template made of text."""
        return Template(template_code, engine=self)

    def get_template(self, template_name: str) -> Template:
        """Return the template of that name; TemplateDoesNotExist if there is none."""
        return Template.loaded(self, template_name)

    def render_to_string(self, template_name: Any, context: Any = None) -> SafeString:
        """Return the page."""
        names = [template_name] if isinstance(template_name, str) else list(template_name)
        return self.select_template(names).render(context)

    def select_template(self, template_name_list: Sequence[str]) -> Template:
        """Return the first that exists."""
        tried: list[Any] = []
        for name in template_name_list:
            try:
                return self.get_template(name)
            except TemplateDoesNotExist as error:
                tried += error.tried
        raise TemplateDoesNotExist(", ".join(template_name_list), tried)


class Engines:
    """The engines of TEMPLATES by name; read when first needed, and again when TEMPLATES changes."""

    def __init__(self) -> None:
        self._engines: dict[str, Engine] | None = None

    def __getitem__(self, alias: str) -> Engine:
        try:
            return self._read()[alias]
        except KeyError:
            raise InvalidTemplateEngine(f"TEMPLATES has no engine named {alias!r}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def all(self) -> list[Engine]:
        """Return all of them, in order."""
        return list(self._read().values())

    def default(self) -> Engine:
        """Return the first; one with no folders if TEMPLATES is empty."""
        return next(iter(self._read().values()), None) or Engine()

    def reset(self) -> None:
        """Read TEMPLATES again."""
        self._engines = None

    def _read(self) -> dict[str, Engine]:
        if self._engines is None:
            made: dict[str, Engine] = {}
            for entry in settings.TEMPLATES:
                engine = _engine(entry)
                if engine.name in made:
                    raise ImproperlyConfigured(
                        f"TEMPLATES has two engines named {engine.name!r}: set a NAME for each."
                    )
                made[engine.name] = engine
            self._engines = made
        return self._engines


class InvalidTemplateEngine(ImproperlyConfigured):
    """There is no engine of that name."""


def _engine(entry: Mapping[str, Any]) -> Engine:
    backend = entry.get("BACKEND")
    if backend != BACKEND:
        raise ImproperlyConfigured(
            f"TEMPLATES has the BACKEND {backend!r}. {needs_django('It')} The subset has one engine: "
            f"{BACKEND!r}."
        )
    options = dict(entry.get("OPTIONS", {}))
    unknown = set(options) - OPTIONS
    if unknown:
        raise ImproperlyConfigured(f"TEMPLATES has unknown OPTIONS: {', '.join(sorted(unknown))}.")
    name = entry.get("NAME") or backend.rsplit(".", 2)[-2]
    return Engine(entry.get("DIRS", ()), bool(entry.get("APP_DIRS")), name=name, **options)


def _app_folders(name: str) -> list[Path]:
    if not apps.ready and settings.INSTALLED_APPS and not apps.loading:
        apps.populate(settings.INSTALLED_APPS)
    folders = (Path(config.path) / name for config in apps.app_configs.values())
    return [folder for folder in folders if folder.is_dir()]


def _template_tag_packages() -> Iterator[list[tuple[str, str]]]:
    """Name and dotted path of every module in each app's ``templatetags``."""
    _app_folders("templatetags")  # loads the apps, where nobody has
    served = [app.partition(".")[0] for app in settings.INSTALLED_APPS]
    for name in (*({"channels"} & {*served}), *(config.name for config in apps.app_configs.values())):
        package = f"{name}.templatetags"
        spec = importlib.util.find_spec(package)
        if spec is not None:
            found = pkgutil.iter_modules(spec.submodule_search_locations)
            yield [(module.name, f"{package}.{module.name}") for module in found]


def _library(path: str) -> Library:
    module = importlib.import_module(path)
    library = getattr(module, "register", None)
    if not isinstance(library, Library):
        raise InvalidTemplateLibrary(f"the template library {path} has no register = template.Library()")
    return library


engines = Engines()


def _forget(name: str) -> None:
    if name in ("TEMPLATES", "DEBUG", "INSTALLED_APPS"):
        engines.reset()


on_change(_forget)
