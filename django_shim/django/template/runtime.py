"""What templates do while they run: look things up, show them, compare, loop, include.

The compiled templates call these functions through the environment (``environment.django_<name>``).
"""

from __future__ import annotations

import inspect
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

from jinja2 import Undefined
from jinja2.utils import missing as nothing

from ..conf import settings
from ..utils import formats
from ..utils.html import conditional_escape, format_html
from ..utils.safestring import SafeString
from ..utils.timezone import template_localtime
from .exceptions import VariableDoesNotExist

__all__ = [
    "FAILED",
    "FUNCTIONS",
    "SUCCEEDED",
    "ForLoop",
    "Invalid",
    "Missing",
    "attempted",
    "mangled",
    "succeeded",
    "unless_invalid",
    "unmangled",
]

_RESERVED = {"self", "super", "loop", "caller", "varargs", "kwargs"}
"""Names that mean something to Jinja2 and nothing to Django."""


def mangled(name: str) -> str:
    """Return a variable's name as the compiled template has it."""
    return f"{name}__" if name in _RESERVED else name


def unmangled(name: str) -> str:
    """Return the reverse of ``mangled``."""
    return name[:-2] if name.endswith("__") and name[:-2] in _RESERVED else name


class Missing(Undefined):
    """A variable that is not in the context."""

    __slots__ = ()


def parent_block(block: Any, context: Any = None) -> Any:
    """``{{ block.super }}``, with the variables of ``context``, by default those that the block began with;
    nothing in a block that overrides none.
    """
    if isinstance(block, Undefined):
        return SafeString()
    return SafeString(block() if context is None else "".join(block._stack[block._depth](context)))


_REQUIRED: Any = object()


def lookup(value: Any, name: str, steps: Sequence[str], missing: Any) -> Any:
    """``value.step.step``: for each step a key, an attribute or an index, and a call of what can be called.

    What is not there is ``missing``.
    """
    if isinstance(value, Undefined):
        return _absent(name, steps, missing)
    try:
        current = _called(value)
        for step in steps:
            current = _called(_step(current, step))
    except (_Absent, _NotToBeCalled):
        return _absent(name, steps, missing)
    except Exception as error:
        if getattr(error, "silent_variable_failure", False):
            return _absent(name, steps, missing)
        raise
    return current


class _Absent(Exception):
    pass


class _NotToBeCalled(Exception):
    pass


def _step(value: Any, step: str) -> Any:
    try:
        return value[step]
    except (TypeError, AttributeError, KeyError, ValueError, IndexError):
        pass
    try:
        return getattr(value, step)
    except (TypeError, AttributeError):
        # A property that fails inside with AttributeError is an error in it, and not a missing name.
        if not isinstance(value, Mapping) and step in dir(value):
            raise
    try:
        return value[int(step)]
    except (IndexError, ValueError, KeyError, TypeError, AttributeError):
        raise _Absent from None


def _called(value: Any) -> Any:
    if not callable(value) or getattr(value, "do_not_call_in_templates", False):
        return value
    if getattr(value, "alters_data", False):
        raise _NotToBeCalled
    try:
        return value()
    except TypeError:
        try:
            inspect.signature(value).bind()
        except (TypeError, ValueError):
            raise _NotToBeCalled from None  # it wants arguments, which a template cannot give
        raise


def _absent(name: str, steps: Sequence[str], missing: Any) -> Any:
    if missing is not _REQUIRED:
        return missing
    raise VariableDoesNotExist(f"Failed lookup for key [{'.'.join((name, *steps))}]")


def argument(value: Any, name: str, steps: Sequence[str]) -> Any:
    """Return a filter's argument: one that is missing is an error, as in Django."""
    return lookup(value, name, steps, _REQUIRED)


def display(value: Any, autoescape: bool) -> SafeString:
    """Return what ``{{ value }}`` puts into the page."""
    shown = formats.localize(template_localtime(value))
    text = shown if isinstance(shown, str) else str(shown)
    return SafeString(conditional_escape(text) if autoescape else text)


def shown(result: Any, autoescape: bool) -> SafeString:
    """Return what a ``simple_tag`` puts into the page: a number or a date as it is, in no format."""
    return SafeString(conditional_escape(result) if autoescape else result)


def _contains(item: Any, container: Any) -> bool:
    return item in container


COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "is": operator.is_,
    "is not": operator.is_not,
    "in": _contains,
    "not in": lambda item, container: not _contains(item, container),
}


def compare(operation: str, left: Any, right: Any) -> bool:
    """One operator of an ``{% if %}``; two values that cannot be compared are simply not in that relation."""
    try:
        return bool(COMPARISONS[operation](left, right))
    except Exception:  # noqa: BLE001 - a page is not to fail over {% if 1 < "a" %}
        return False


FAILED: Any = type("Failed", (), {})()
"""The value of an operand of an ``{% if %}`` of which a filter has raised."""


SUCCEEDED = "succeeded"
"""The key of ``succeeded`` among the filters."""


def attempted(key: str) -> str:
    """Return the key of a filter that returns FAILED instead of raising."""
    return f"{key} attempted"


def succeeded(value: Any) -> Any:
    """Return a value, or False for a failed one."""
    return False if value is FAILED else value


def compare_attempts(operation: str, left: Any, right: Any) -> bool:
    """``compare`` of operands that may have failed: those are in no relation to anything."""
    return left is not FAILED and right is not FAILED and compare(operation, left, right)


class Invalid(str):
    """What is shown for a missing variable (string_if_invalid), until it is past the filters behind it."""

    __slots__ = ()


def unless_invalid(key: str) -> str:
    """Return the key of a filter that leaves ``Invalid`` as it is."""
    return f"{key} unless invalid"


def plain(value: Any) -> Any:
    """Return the value of an expression: past its filters, ``Invalid`` is a text as any other."""
    return str(value) if isinstance(value, Invalid) else value


class ForLoop:
    """``forloop`` within a loop."""

    def __init__(self, length: int, parentloop: Any) -> None:
        self.counter0 = -1
        self.length = length
        self.parentloop = parentloop

    def __repr__(self) -> str:
        return f"<forloop {self.counter} of {self.length}>"

    @property
    def counter(self) -> int:
        return self.counter0 + 1

    @property
    def revcounter(self) -> int:
        return self.length - self.counter0

    @property
    def revcounter0(self) -> int:
        return self.length - self.counter0 - 1

    @property
    def first(self) -> bool:
        return self.counter0 == 0

    @property
    def last(self) -> bool:
        return self.revcounter0 == 0


def iterate(values: Any, backwards: bool, parent: Any, width: int) -> Iterator[tuple[ForLoop, Any]]:
    """Yield the items of a ``{% for %}``, each with ``forloop``; ``width`` names take an item apart."""
    items = [] if values is None else values if hasattr(values, "__len__") and not backwards else list(values)
    loop = ForLoop(len(items), {} if isinstance(parent, Undefined) else parent)
    for item in reversed(items) if backwards else items:
        loop.counter0 += 1
        yield loop, item if width == 1 else _unpacked(item, width)


def _unpacked(item: Any, width: int) -> Any:
    try:
        length = len(item)
    except TypeError:
        length = 1
    if length != width:
        raise ValueError(f"{{% for %}} has {width} names for items of {length}")
    return item


def keep(values: MutableMapping[str, Any], name: str, value: Any) -> Any:
    """``value``, which a pass of a loop has set, is noted for the next ones."""
    values[name] = value
    return value


def kept(values: Mapping[str, Any], name: str, outside: Any) -> Any:
    """Return what a pass begins with: what an earlier one has kept, else what is ``outside``, if anything."""
    value = values.get(name, outside)
    return nothing if isinstance(value, Undefined) else value


def url(request: Any, silent: bool, viewname: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """``{% url %}``; with ``as`` a name that is not known gives nothing."""
    from ..urls import NoReverseMatch, reverse

    if isinstance(request, Undefined):
        request = None
    current_app = getattr(request, "current_app", None)
    if current_app is None and getattr(request, "resolver_match", None) is not None:
        current_app = request.resolver_match.namespace or None
    try:
        return reverse(viewname, args=args, kwargs=kwargs, current_app=current_app)
    except NoReverseMatch:
        if silent:
            return ""
        raise


def static(path: Any) -> str:
    """``{% static %}``"""
    from ..templatetags.static import static

    return static(str(path))


def csrf_input(token: Any) -> str:
    """Return the hidden field; nothing (and, with DEBUG, a warning) in a template that was rendered without a
    request.
    """
    if not isinstance(token, Undefined) and token:
        return format_html('<input type="hidden" name="csrfmiddlewaretoken" value="{}">', token)
    if settings.DEBUG:
        warnings.warn(
            "{% csrf_token %} is empty: the template was rendered without a request. Use render(request, …).",
            stacklevel=2,
        )
    return ""


def safe(value: Any) -> Any:
    """Return a literal of the template's author, or what a block was rendered to."""
    return SafeString(value)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        lookup,
        argument,
        display,
        shown,
        parent_block,
        compare,
        compare_attempts,
        Invalid,
        plain,
        iterate,
        keep,
        kept,
        url,
        static,
        csrf_input,
        safe,
    )
}
"""By the name that compiled templates call them under."""
