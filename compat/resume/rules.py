"""An application's rules for clients that come back: for how long, whose a connection is, and who may."""

from __future__ import annotations

import hashlib
import inspect
import os
import re
from collections.abc import Callable
from typing import Any

from compat.cookies import parse_cookie
from compat.engine.contracts import AUTHENTICATES, SESSION_USER_KEY
from compat.engine.limits import limit_of
from compat.exceptions import ImproperlyConfigured
from compat.names import person_key, shows_address
from compat.resume.logouts import mark_of
from compat.settings import settings
from compat.types import Scope

__all__ = [
    "frame_limit",
    "is_allowed",
    "path_of",
    "principal_of",
    "principal_of_page",
    "resume_seconds",
    "session_of",
]

SETTING = "CHANNEL_RESUME_SECONDS"
SAYS_WHO = re.compile(
    "(?!sec-|user-agent).*(account|api|auth|cookie|credential|email|identity|jwt|key|secret|session|signature|"
    "tenant|token|user)"
)
"""Names of headers that may identify the client. Proxies add other headers, which differ between links."""
OURS = __name__.partition(".")[0]
MAX_NAME = 128
"""Characters of a name that are matched, because the pattern takes long for a long one."""


def resume_seconds(own: Any, whose: str = "resume_seconds") -> float:
    """Return how long a connection waits for its client, in seconds; 0: not at all.

    ``own`` is the value of the consumer's class, or None for the environment variable, else the setting.
    Raises ImproperlyConfigured, which names it by ``whose``, if it is not a number.
    """
    value = own
    if own is None:
        whose, value = SETTING, os.environ.get(SETTING) or settings.kept(SETTING)
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                pass
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ImproperlyConfigured(f"{whose} must be a number of seconds, 0 for off; found {value!r}")
    return float(value)


def frame_limit(rules: Any) -> float | None:
    """Return how many bytes a frame of a client may have; None if there is no limit, or it is not known here.

    The consumer applies its limit in any case, and other endpoints have none. The limit is not known if the
    class computes it, or if an ``__init__`` of the application may set another one.
    """
    own = inspect.getattr_static(rules, "max_message_size", None)
    if not isinstance(rules, type) or not isinstance(own, int | float | None) or _is_set_up(rules):
        return None
    return limit_of(rules, "max_message_size", "CHANNEL_MAX_MESSAGE_SIZE")


def _is_set_up(rules: type) -> bool:
    """Return True if instances of a consumer's class have an ``__init__`` that is not ours."""
    made_by = [one.__module__.partition(".")[0] for one in rules.__mro__ if "__init__" in vars(one)]
    return not {*made_by} <= {OURS, object.__module__}


async def principal_of(rules: Any, scope: Scope) -> str:
    """Return the principal of a connection as text; raise TypeError if it would differ at the return."""
    named = await _answer(rules, "resume_key", scope, lambda scope: _known(rules, scope))
    text = f"{named!r}"
    if not isinstance(named, str | bytes) and shows_address(text):
        raise TypeError(
            f"resume_key(scope) has returned {text}, which shows only its address in memory, so it is "
            "another one when the client comes back: return a str, bytes, a number, or a tuple of these"
        )
    return text


def principal_of_page(rules: Any, scope: Scope, who: str) -> str:
    """Return the principal of a page's ticket, which has a user or a key, and no credentials.

    ``who`` is the principal of the connection.
    """
    return who if getattr(rules, "resume_key", None) is not None else repr(_user_of(scope))


def session_of(rules: Any, scope: Scope) -> str:
    """Return the mark of the session that names the user of a connection; empty if no session does.

    With a ``resume_key``, or a user whom the application knows from elsewhere, no session does.
    """
    user = scope.get(SESSION_USER_KEY)
    if user is None or getattr(rules, "resume_key", None) is not None:
        return ""
    try:
        if person_key(user) != _user_of(scope):  # a middleware further in knows better
            return ""
    except TypeError:  # a user of whom nothing can be told
        return ""
    key = getattr(scope.get("session"), "session_key", None)  # a dict of Starlette's has none
    return mark_of(key) if isinstance(key, str) and key else ""


def _user_of(scope: Scope) -> Any:
    return person_key(scope.get("user"))


def _known(rules: Any, scope: Scope) -> Any:
    """Return the key of the scope's user, or for a class that authenticates by itself a hash of credentials.

    Such a class has an ``authenticator_class``, which runs after the first ticket is written. So a ticket is
    valid for a client with the same subprotocols, headers with names of credentials, and cookies; a declared
    ``credentials`` may say which cookies count. The query string is a part of the path.
    """
    key = _user_of(scope)
    authenticator = _authenticator_of(rules)
    if key is not None or authenticator is None:
        return key
    declared = [one.name.lower() for one in getattr(authenticator, "credentials", ())]
    presented = [("", one) for one in scope.get("subprotocols", ())]
    for raw_name, raw_value in scope.get("headers", ()):
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name == "cookie" and declared:
            cookies = parse_cookie(value).items()
            presented += [(one, text) for one, text in cookies if one.lower() in declared]
        elif name in declared or SAYS_WHO.match(name, 0, MAX_NAME):
            presented.append((name, value))
    return hashlib.sha256(repr(sorted(presented)).encode("utf-8", "surrogatepass")).hexdigest()


def _authenticator_of(rules: Any) -> Any:
    """Return the ``authenticator_class`` of a typed consumer; other classes may use the name differently."""
    return rules.authenticator_class if getattr(rules, AUTHENTICATES, False) else None


async def is_allowed(rules: Any, scope: Scope, *, anew: bool = True) -> bool:
    """Return True if the client of ``scope``, whose ticket is valid, may come back.

    The application's ``resume_allowed`` decides, else its ``authenticator_class``, if the client opens
    a link (``anew``) and does not post frames.
    """
    authenticator = _authenticator_of(rules) if anew else None
    if authenticator is None or getattr(rules, "resume_allowed", None) is not None:
        return bool(await _answer(rules, "resume_allowed", scope, lambda scope: True))
    return bool(await authenticator(_unsent).authenticate({**scope}))


async def _unsent(message: Any) -> None:
    """Send nothing: the client has heard it on its first link."""


def path_of(scope: Scope) -> str:
    """Return where a connection is, as text: a ticket is good for one URL."""
    query = scope.get("query_string") or b""
    return f"{scope.get('root_path', '')}\n{scope.get('path', '')}\n{query.decode('latin-1')}"


async def _answer(rules: Any, name: str, scope: Scope, default: Callable[[Scope], Any]) -> Any:
    """Return what the application's function says about a scope, or ``default`` if it has none.

    Raises TypeError for a method of a class, which is asked before there is an instance.
    """
    rule = getattr(rules, name, None)
    if rule is None:
        return default(scope)
    if isinstance(rules, type) and _is_method(rules, name):
        raise TypeError(
            f"{rules.__name__}.{name}(scope) is asked before there is a consumer, so it must be a class "
            "method: write @classmethod above it"
        )
    answer = rule(scope)
    return await answer if inspect.isawaitable(answer) else answer


def _is_method(rules: type, name: str) -> bool:
    return inspect.isfunction(inspect.getattr_static(rules, name, None))  # and no static method
