"""``Context``: the variables a template is given, in layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..http import HttpRequest

__all__ = ["Context", "RequestContext", "make_context"]


class Context:
    """A stack of dicts that reads as one; ``push()`` adds a layer and, in a ``with`` block, takes it off
    again.
    """

    def __init__(
        self,
        dict_: Any = None,
        autoescape: bool = True,
        use_l10n: bool | None = None,
        use_tz: bool | None = None,
    ) -> None:
        self.autoescape = autoescape
        self.use_l10n, self.use_tz = use_l10n, use_tz
        self.dicts: list[dict[str, Any]] = [{"True": True, "False": False, "None": None}]
        if dict_ is not None:
            self.update(dict_)

    def __repr__(self) -> str:
        return repr(self.dicts)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.dicts[::-1])

    def __getitem__(self, key: str) -> Any:
        for layer in self:
            if key in layer:
                return layer[key]
        raise KeyError(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self.dicts[-1][key] = value

    def __delitem__(self, key: str) -> None:
        del self.dicts[-1][key]

    def __contains__(self, key: str) -> bool:
        return any(key in layer for layer in self.dicts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Context) and self.flatten() == other.flatten()

    __hash__ = None  # type: ignore[assignment]  # a mapping

    def get(self, key: str, otherwise: Any = None) -> Any:
        """Return the variable, or ``otherwise``."""
        return self[key] if key in self else otherwise

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the variable; ``default`` is set first if it is not there."""
        if key not in self:
            self[key] = default
        return self[key]

    def push(self, /, *args: Any, **kwargs: Any) -> _Layer:
        """Return a new layer."""
        self.dicts.append(dict(*args, **kwargs))
        return _Layer(self)

    def pop(self) -> dict[str, Any]:
        """Take the top layer off."""
        if len(self.dicts) == 1:
            raise IndexError("there is no layer left to take off")
        return self.dicts.pop()

    def update(self, other_dict: Any) -> _Layer:
        """Return a new layer with ``other_dict``."""
        return self.push(other_dict.flatten() if isinstance(other_dict, Context) else other_dict)

    def flatten(self) -> dict[str, Any]:
        """Return all variables in one dict."""
        return {key: value for layer in self.dicts for key, value in layer.items()}

    def new(self, values: Any = None) -> Context:
        """Return a context of the same kind with other variables."""
        return Context(values, self.autoescape)


class _Layer:
    def __init__(self, context: Context) -> None:
        self.context = context

    def __enter__(self) -> Context:
        return self.context

    def __exit__(self, *exc_info: object) -> None:
        self.context.pop()


class RequestContext(Context):
    """A context that also gets what the context processors make of the request."""

    def __init__(
        self,
        request: HttpRequest | None,
        dict_: Any = None,
        processors: list[Callable[[HttpRequest], dict[str, Any]]] | None = None,
        use_l10n: bool | None = None,
        use_tz: bool | None = None,
        autoescape: bool = True,
    ) -> None:
        super().__init__(dict_, autoescape, use_l10n, use_tz)
        self.request = request
        self.processors = tuple(processors or ())


def make_context(
    context: dict[str, Any] | None, request: HttpRequest | None = None, **kwargs: Any
) -> Context:
    """Return a RequestContext if there is a request, else a Context; TypeError for what is no dict."""
    if context is not None and not isinstance(context, dict):
        raise TypeError(f"a context is a dict, not {type(context).__name__}")
    return Context(context, **kwargs) if request is None else RequestContext(request, context, **kwargs)
