"""``resolve`` and ``reverse``, and the two things they depend on: the root URLconf and the script prefix."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from compat.patterns import ResolverMatch

from ..utils.http import urlencode
from .exceptions import NoReverseMatch, Resolver404
from .resolvers import URLResolver, get_resolver
from .reversing import Candidate, quoted

__all__ = [
    "get_script_prefix",
    "get_urlconf",
    "is_valid_path",
    "resolve",
    "reverse",
    "set_script_prefix",
    "set_urlconf",
]

_urlconf: ContextVar[Any] = ContextVar("django_urlconf", default=None)
_prefix: ContextVar[str] = ContextVar("django_script_prefix", default="/")


def resolve(path: str, urlconf: Any = None) -> ResolverMatch:
    """Return the view for ``path`` (with its leading slash); Resolver404 if there is none."""
    return get_resolver(urlconf or get_urlconf()).resolve(path)


def is_valid_path(path: str, urlconf: Any = None) -> Any:
    """Return the match of ``path``, or False."""
    try:
        return resolve(path, urlconf)
    except Resolver404:
        return False


def reverse(
    viewname: Any,
    urlconf: Any = None,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    current_app: str | None = None,
    *,
    query: Any = None,
    fragment: str | None = None,
) -> str:
    """Return the path of a view by its name (``"chat:room"``) or the view itself, percent-encoded.

    ``args`` or ``kwargs``, not both. ``current_app`` chooses among several instances of one app. Raises
    NoReverseMatch, with the patterns of that name or the nearest names there are.
    """
    if args and kwargs:
        raise ValueError("reverse() takes args or kwargs, not both")
    args, kwargs = args or (), kwargs or {}
    resolver = get_resolver(urlconf or get_urlconf())
    prefixes, view = [Candidate((), "")], viewname
    if isinstance(viewname, str):
        *namespaces, view = viewname.split(":")
        resolver, prefixes = _descend(resolver, namespaces, current_app)
    candidates = resolver.reverser.candidates(view)
    for prefix in prefixes:
        for candidate in candidates:
            path = (prefix + candidate).fill(args, kwargs)
            if path is not None:
                return _with_tail(quoted(get_script_prefix() + path), query, fragment)
    raise NoReverseMatch(
        _no_match(viewname, view, resolver, [p + c for p in prefixes for c in candidates], args, kwargs)
    )


def _descend(
    root: URLResolver, namespaces: Sequence[str], current_app: str | None
) -> tuple[URLResolver, list[Candidate]]:
    """Return the resolver of the innermost namespace, and what stands in front of it."""
    resolver, prefixes = root, [Candidate((), "")]
    current = current_app.split(":")[::-1] if current_app else []
    gone: list[str] = []
    for name in namespaces:
        wanted = current.pop() if current else None
        instances = resolver.app_names.get(name)
        if instances:
            name = wanted if wanted in instances else name if name in instances else instances[0]
        if name != wanted:
            current = []
        if name not in resolver.namespaces:
            inside = f" inside '{':'.join(gone)}'" if gone else ""
            raise NoReverseMatch(f"there is no namespace '{name}'{inside}")
        below, resolver = resolver.namespaces[name]
        prefixes = [above + one for above in prefixes for one in below]
        gone.append(name)
    return resolver, prefixes


def _with_tail(path: str, query: Any, fragment: str | None) -> str:
    if query:
        path += f"?{query if isinstance(query, str) else urlencode(query, doseq=True)}"
    return path if fragment is None else f"{path}#{quoted(fragment)}"


def _no_match(
    viewname: Any, view: Any, resolver: URLResolver, tried: list[Candidate], args: Any, kwargs: Any
) -> str:
    if not tried:
        names = resolver.reverser.names()
        near = difflib.get_close_matches(str(view), names, n=3)
        hint = f" Nearest: {', '.join(near)}." if near else f" There are: {', '.join(names) or 'none'}."
        return f"there is no URL pattern named '{view}' (looking for '{viewname}').{hint}"
    given = (
        f"keyword arguments '{dict(kwargs)}'"
        if kwargs
        else f"arguments '{tuple(args)}'"
        if args
        else "an empty list of arguments"
    )
    shown = [str(candidate) for candidate in tried]
    return f"the URL pattern '{viewname}' does not take {given}. Its patterns: {shown}"


def get_script_prefix() -> str:
    """Return the path at which the application is mounted, with a slash at its end."""
    return _prefix.get()


def set_script_prefix(prefix: str) -> None:
    """Set it for the current request."""
    _prefix.set(prefix if prefix.endswith("/") else f"{prefix}/")


def get_urlconf(default: Any = None) -> Any:
    """Return the root URLconf of the current request, if it has one of its own."""
    return _urlconf.get() or default


def set_urlconf(urlconf_name: Any) -> None:
    """Use another root URLconf in the current request; None for ROOT_URLCONF."""
    _urlconf.set(urlconf_name)
