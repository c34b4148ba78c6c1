"""Jinja2's environment for this language: where templates are found, how they are made, what they call."""

from __future__ import annotations

import functools
import posixpath
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from pathlib import Path
from types import CodeType
from typing import Any

import jinja2
from markupsafe import Markup

from ..unserved import needs_django
from ..utils.safestring import SafeData, SafeString, mark_safe
from ..utils.timezone import template_localtime
from . import runtime
from .context import RequestContext
from .exceptions import TemplateDoesNotExist
from .filters import BUILTIN_FILTERS
from .library import FunctionTag, Library
from .parser import parse
from .tags import BUILTIN_TAGS
from .tags.libraries import function_tag

__all__ = ["Environment"]

Libraries = Mapping[str, Callable[[], Library]]


class Environment(jinja2.Environment):
    """One engine of TEMPLATES. ``libraries``: what ``{% load %}`` can name; ``builtins``: loaded without
    asking.

    ``template(name)`` finds one by name, ``from_source(text)`` makes one.
    """

    def __init__(
        self,
        dirs: Sequence[Any],
        libraries: Libraries,
        builtins: Sequence[tuple[str, Library]] = (),
        *,
        encoding: str = "utf-8",
        auto_reload: bool = False,
        autoescape: bool = True,
        string_if_invalid: str = "",
    ) -> None:
        super().__init__(
            loader=_Loader([Path(folder) for folder in dirs], encoding),
            # The tree escapes for itself, and says so by what it puts out; this escapes whatever does not.
            autoescape=True,
            undefined=runtime.Missing,
            optimized=False,  # a filter on a constant is still called each time: |random, |date
            auto_reload=auto_reload,
            cache_size=400,
        )
        self.globals.clear()
        self.autoescape_by_default = autoescape
        self.string_if_invalid = string_if_invalid
        self.libraries = libraries
        self._loaded: dict[str, Library] = {}
        self.function_tags: dict[str, FunctionTag] = {}
        self.filters.clear()
        self.filters[runtime.SUCCEEDED] = runtime.succeeded
        self.builtin_tags: dict[str, Any] = dict(BUILTIN_TAGS)
        self.builtin_filters = self.add_filters("django", BUILTIN_FILTERS)
        for name, library in builtins:
            self.builtin_filters.update(self.add_filters(name, library))
            self.builtin_tags.update(
                {one: function_tag(f"{name}.{one}", tag) for one, tag in library.tags.items()}
            )
        for name, function in runtime.FUNCTIONS.items():
            setattr(self, f"django_{name}", function)
        self.django_later = functools.partial(functools.partial, runtime.argument)
        self._offer_methods()

    def _offer_methods(self) -> None:
        """To compiled templates, which call those of their own environment."""
        self.django_parent = self._parent
        self.django_include = self._include
        self.django_include_otherwise = self._include_otherwise
        self.django_function_tag = self._function_tag

    @functools.cached_property
    def twin(self) -> Environment:
        """The same templates with the other autoescape, which is part of a template's code."""
        twin = self.overlay()
        assert isinstance(twin, Environment)
        twin.autoescape_by_default = not self.autoescape_by_default
        twin.twin = self
        twin._offer_methods()
        return twin

    def escaping(self, autoescape: bool) -> Environment:
        """Return this one or its twin."""
        return self if autoescape == self.autoescape_by_default else self.twin

    # Templates.

    def template(self, name: Any, parent: str | None = None) -> jinja2.Template:
        """Return the template of that name; TemplateDoesNotExist with the places where it was looked for."""
        return self.get_template(_plain(name), parent)

    def from_source(self, source: str, name: str | None = None) -> jinja2.Template:
        """Return a template made of text."""
        return self.template_class.from_code(
            self, self.compile_source(source, name, None), self.make_globals(None)
        )

    def compile_source(self, source: str, name: str | None, filename: str | None) -> CodeType:
        """Code of a template's source."""
        code: CodeType = self.compile(parse(source, name, self), name, filename)
        return code

    def join_path(self, template: str, parent: str) -> str:
        """``./`` and ``../`` are relative to the template that says so."""
        if not template.startswith(("./", "../")):
            return template
        return posixpath.normpath(posixpath.join(posixpath.dirname(parent), template))

    def render(self, template: jinja2.Template, values: Mapping[str, Any]) -> SafeString:
        """Return the page."""
        variables = {runtime.mangled(name): value for name, value in values.items()}
        return SafeString(template.render(variables))

    # Libraries.

    def library(self, name: str) -> Library | None:
        """Return the library of that name, or None."""
        if name not in self._loaded and name in self.libraries:
            self._loaded[name] = self.libraries[name]()
        return self._loaded.get(name)

    def library_names(self) -> list[str]:
        """Return the names that ``library`` knows."""
        return list(self.libraries)

    def library_with_tag(self, tag: str) -> str | None:
        """Return the name of a loaded library that has ``tag``, or None."""
        return next((name for name, library in self._loaded.items() if tag in library.tags), None)

    def add_filters(self, prefix: str, library: Library) -> dict[str, str]:
        """Make a library's filters callable; returns their keys by name."""
        keys = {name: f"{prefix}.{name}" for name in library.filters}
        for name, function in library.filters.items():
            if keys[name] not in self.filters:
                self.filters[keys[name]] = apply = _applied(function)
                self.filters[runtime.attempted(keys[name])] = _attempt(apply)
                self.filters[runtime.unless_invalid(keys[name])] = _unless_invalid(apply)
        return keys

    # What compiled templates call.

    def _compiled(self, template: Any) -> jinja2.Template | None:
        """Return what is in a template object, or None for a name."""
        compiled = getattr(template, "compiled", None)
        made: jinja2.Template | None = None if compiled is None else compiled(self.autoescape_by_default)
        return made

    def _parent(self, template: Any) -> Any:
        return self._compiled(template) or _plain(template)

    def _include(
        self, context: jinja2.runtime.Context, parent: str, template: Any, values: dict[str, Any], only: bool
    ) -> SafeString:
        found = self._select(template, parent)
        variables = {**({} if only else context.get_all()), **values}
        if only:
            variables.update(
                {name: context.get_all()[name] for name in ("request", "csrf_token") if name in context}
            )
        return SafeString(found.render(variables))

    def _include_otherwise(self, *arguments: Any) -> SafeString:
        return self.twin._include(*arguments)

    def _select(self, template: Any, parent: str | None = None) -> jinja2.Template:
        """Return a template object, a name, or the first of several names that exists."""
        compiled = self._compiled(template)
        if compiled is not None:
            return compiled
        if not isinstance(template, (list, tuple)):
            return self.template(template, parent)
        tried: list[Any] = []
        for name in template:
            try:
                return self.template(name, parent)
            except TemplateDoesNotExist as error:
                tried += error.tried
        raise TemplateDoesNotExist(", ".join(map(str, template)), tried)

    def _function_tag(
        self,
        context: jinja2.runtime.Context,
        key: str,
        args: list[Any],
        kwargs: dict[str, Any],
        autoescape: bool,
    ) -> Any:
        tag = self.function_tags[key]
        variables = {
            runtime.unmangled(name): value
            for name, value in context.get_all().items()
            if not name.startswith("_")
        }
        kind = _TagContext if tag.template is None else RequestContext
        given = kind(variables.get("request"), variables, autoescape=autoescape)
        result = tag.function(given, *args, **kwargs) if tag.takes_context else tag.function(*args, **kwargs)
        if tag.template is None:
            return result
        values = dict(result.flatten() if hasattr(result, "flatten") else result)
        if "csrf_token" in variables:
            values.setdefault("csrf_token", variables["csrf_token"])
        return self.render(self.escaping(autoescape)._select(tag.template), values)


class _TagContext(RequestContext):
    """What a ``simple_tag`` gets. Names are settled when a template is compiled, so it can set none."""

    def __setitem__(self, key: str, value: Any) -> None:
        if len(self.dicts) == 2:  # the constants, and the page's variables: nothing has been pushed
            raise ImportError(
                f"{needs_django(f'Setting {key!r} in the context of a simple_tag')} Or return the value and "
                f"write {{% tag as {key} %}}; a layer of the tag's own (context.push()) can be changed.",
                name="django",
            )
        super().__setitem__(key, value)


def _plain(name: Any) -> str:
    """Return a name as a plain str: a literal in a template is a SafeString, which paths reject."""
    return str.__str__(name) if isinstance(name, str) else str(name)


class _Loader(jinja2.BaseLoader):
    """Templates below folders; the first folder that has one wins."""

    def __init__(self, folders: Sequence[Path], encoding: str) -> None:
        self.folders = folders
        self.encoding = encoding

    def load(
        self, environment: jinja2.Environment, name: str, globals: MutableMapping[str, Any] | None = None
    ) -> jinja2.Template:
        assert isinstance(environment, Environment)
        file = self._find(name)
        modified = file.stat().st_mtime_ns
        code = environment.compile_source(file.read_text(encoding=self.encoding), name, str(file))

        def uptodate() -> bool:
            try:
                return file.stat().st_mtime_ns == modified and self._find(name) == file
            except (OSError, TemplateDoesNotExist):
                return False

        return environment.template_class.from_code(environment, code, globals or {}, uptodate)

    def _find(self, name: str) -> Path:
        parts = name.split("/")
        candidates = [folder / name for folder in self.folders]
        if ".." not in parts and "\\" not in name and not name.startswith("/"):
            for file in candidates:
                if file.is_file():
                    return file
        raise TemplateDoesNotExist(name, candidates)


def _applied(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a Django filter as Jinja2 calls one, with Django's rules for what stays safe."""
    is_safe = getattr(function, "is_safe", False)
    needs_autoescape = getattr(function, "needs_autoescape", False)
    expects_localtime = getattr(function, "expects_localtime", False)

    def apply(value: Any, autoescape: bool, *args: Any) -> Any:
        if isinstance(value, Markup):
            value = SafeString(value)  # Jinja2's; its methods would escape their arguments
        if expects_localtime:
            value = template_localtime(value)
        if needs_autoescape:
            result = function(value, *args, autoescape=autoescape)
        else:
            result = function(value, *args)
        return mark_safe(result) if is_safe and isinstance(value, SafeData) else result

    return apply


def _attempt(apply: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter for the operands of an ``{% if %}``: FAILED where it raises, or an earlier one has."""

    def attempt(value: Any, autoescape: bool, *args: Any) -> Any:
        if value is runtime.FAILED:
            return value
        try:
            return apply(value, autoescape, *args)
        except Exception:  # noqa: BLE001 - taken for false, as with values that cannot be compared
            return runtime.FAILED

    return attempt


def _unless_invalid(apply: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that leaves what string_if_invalid has put in place of a variable as it is.

    Its argument is then not looked up.
    """

    def unless_invalid(value: Any, autoescape: bool, *args: Any) -> Any:
        if isinstance(value, runtime.Invalid):
            return value
        found = (one() if isinstance(one, functools.partial) else one for one in args)
        return apply(value, autoescape, *found)

    return unless_invalid
